//! Where the service is and who we are there: flags over the agent's configuration. Nothing is demanded before it is
//! needed: a command of the control plane needs no certificate.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jobs_protocol::ThingName;
use mqtt_link::{InvalidSettings, Settings, TlsMaterial, TlsMaterialError};
use serde::Deserialize;

use crate::cli::Flags;

const CONFIGURATION: &str = "fleethand.conf";
const MQTT_PORT: u16 = 8883;
/// Where `fleethand-local serve` listens unless it is told otherwise.
const LOCAL_HTTP: &str = "http://127.0.0.1:8080";
/// The variable by which all AWS clients find another `iot` service.
const ENDPOINT_VARIABLE: &str = "AWS_ENDPOINT_URL_IOT";

/// What is known of service and device.
#[derive(Debug, Default)]
pub(crate) struct Place {
    endpoint: Option<String>,
    port: Option<u16>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    root_ca: Option<PathBuf>,
    thing: Option<ThingName>,
    client_id: Option<String>,
    control: Option<String>,
}

/// What of it is wrong or missing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlaceError {
    #[error("cannot read the configuration {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is not an agent's configuration", path.display())]
    Configuration { path: PathBuf, source: serde_json::Error },
    #[error(
        "the {what} is not known: give {flag}, or --config-file with an agent's configuration or a directory of `fleethand-local init`"
    )]
    Missing { what: &'static str, flag: &'static str },
    #[error(
        "no HTTP endpoint is known: give --control-endpoint or set {ENDPOINT_VARIABLE} (for AWS itself, build with \
         the feature `aws`)"
    )]
    NoControl,
    #[error("the certificate cannot be used")]
    Tls(#[from] TlsMaterialError),
    #[error("the connection cannot be set up")]
    Settings(#[from] InvalidSettings),
    #[error("the system gives no random numbers")]
    Random(#[from] getrandom::Error),
}

/// The part of an agent's configuration that matters here.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Configuration {
    endpoint: Option<String>,
    port: Option<u16>,
    cert: Option<PathBuf>,
    key: Option<PathBuf>,
    root_ca: Option<PathBuf>,
    thing_name: Option<ThingName>,
}

impl Place {
    /// Puts flags, configuration and environment together.
    pub(crate) fn find(flags: &Flags) -> Result<Self, PlaceError> {
        let written = match &flags.config_file {
            Some(path) if path.is_dir() => of_directory(path, flags.thing_name.as_ref())?,
            Some(path) => read(path)?,
            None => Configuration::default(),
        };
        let path = |flag: &Option<PathBuf>, key: Option<PathBuf>| flag.clone().or(key.map(at_home));
        let endpoint = flags.endpoint.clone().or(written.endpoint);
        let control = flags
            .control_endpoint
            .clone()
            .or_else(|| env::var(ENDPOINT_VARIABLE).ok())
            .or_else(|| endpoint.as_deref().is_some_and(is_this_machine).then(|| LOCAL_HTTP.to_owned()));
        Ok(Self {
            port: flags.port.or(written.port),
            cert: path(&flags.cert, written.cert),
            key: path(&flags.key, written.key),
            root_ca: path(&flags.root_ca, written.root_ca),
            thing: flags.thing_name.clone().or(written.thing_name),
            client_id: flags.client_id.clone(),
            control,
            endpoint,
        })
    }

    /// The thing.
    pub(crate) fn thing(&self) -> Result<&ThingName, PlaceError> {
        self.thing.as_ref().ok_or(PlaceError::Missing { what: "thing name", flag: "--thing-name" })
    }

    /// The URL of the control plane.
    pub(crate) fn control(&self) -> Result<&str, PlaceError> {
        self.control.as_deref().ok_or(PlaceError::NoControl)
    }

    /// How to connect as the device; without filters.
    pub(crate) fn device(&self) -> Result<Settings, PlaceError> {
        let missing = |what, flag| PlaceError::Missing { what, flag };
        let thing = self.thing()?;
        let endpoint = self.endpoint.as_deref().ok_or(missing("endpoint", "--endpoint"))?;
        let cert = self.cert.as_deref().ok_or(missing("certificate", "--cert"))?;
        let key = self.key.as_deref().ok_or(missing("private key", "--key"))?;
        let tls = TlsMaterial::load(self.root_ca.as_deref(), cert, key)?;
        let random = getrandom::u64()?;
        let client_id = self.client_id.clone().unwrap_or_else(|| client_id(thing, random));
        let mut settings = Settings::new(endpoint, self.port.unwrap_or(MQTT_PORT), client_id, tls);
        settings.seed = random;
        settings.check()?;
        Ok(settings)
    }
}

/// Not the thing name, which is the agent's client id: a second connection with it would close the agent's.
fn client_id(thing: &ThingName, random: u64) -> String {
    let suffix = format!("-sandbox-{:08x}", random >> 32);
    let room = mqtt_link::MAX_CLIENT_ID - suffix.len();
    let name: String = thing.as_str().chars().take(room).collect();
    name + &suffix
}

/// The configuration of the wanted thing in a directory of `fleethand-local init`; else that of the first thing.
fn of_directory(directory: &Path, thing: Option<&ThingName>) -> Result<Configuration, PlaceError> {
    let first = directory.join("agent").join(CONFIGURATION);
    let first = if first.exists() { first } else { directory.join(CONFIGURATION) };
    let further = thing.map(|thing| directory.join("things").join(thing.as_str()).join(CONFIGURATION));
    match further {
        Some(path) if path.exists() => read(&path),
        Some(_) | None => read(&first),
    }
}

fn read(path: &Path) -> Result<Configuration, PlaceError> {
    let text = fs::read(path).map_err(|source| PlaceError::Read { path: path.to_owned(), source })?;
    serde_json::from_slice(&text)
        .map_err(|source| PlaceError::Configuration { path: path.to_owned(), source })
}

/// `~` stands for the home directory, as in the agent.
fn at_home(path: PathBuf) -> PathBuf {
    match (path.strip_prefix("~"), directories::BaseDirs::new()) {
        (Ok(rest), Some(base)) => base.home_dir().join(rest),
        (Ok(_) | Err(_), _) => path,
    }
}

fn is_this_machine(endpoint: &str) -> bool {
    endpoint == "localhost" || endpoint.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
