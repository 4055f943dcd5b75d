//! Where the service is and who we are there: flags over the agent's configuration. Nothing is demanded before it is
//! needed: a command of the control plane needs no certificate.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jobs_protocol::ThingName;
use mqtt_link::{InvalidSettings, Settings, TlsMaterial, TlsMaterialError};
use serde::Deserialize;

use crate::cli::Flags;

const CONFIGURATION: &str = "fleethand.conf";
const MQTT_PORT: u16 = 8883;
/// Between two attempts to connect: one person waits for it, not a fleet.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
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
    control: Option<ControlPlace>,
}

/// Where the control plane is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ControlPlace {
    /// A service at this URL, which takes requests without signatures.
    Http(String),
    /// AWS, or what the environment names in its place.
    #[cfg(feature = "aws")]
    Aws {
        /// If it is known.
        region: Option<String>,
        /// What is called, for people.
        service: String,
    },
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
        "no HTTP endpoint is known: give --config-file with a directory of `fleethand-local init`, or --control-endpoint, \
         or set {ENDPOINT_VARIABLE} (for AWS itself, build with the feature `aws`)"
    )]
    NoControl,
    #[error(
        "`{url}` is not the URL of a local service: it begins with http:// and names a host, such as {LOCAL_HTTP}"
    )]
    ControlUrl { url: String },
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
        Ok(Self {
            port: flags.port.or(written.port),
            cert: path(&flags.cert, written.cert),
            key: path(&flags.key, written.key),
            root_ca: path(&flags.root_ca, written.root_ca),
            thing: flags.thing_name.clone().or(written.thing_name),
            client_id: flags.client_id.clone(),
            control: control(flags, endpoint.as_deref()),
            endpoint,
        })
    }

    /// The thing.
    pub(crate) fn thing(&self) -> Result<&ThingName, PlaceError> {
        self.thing.as_ref().ok_or(PlaceError::Missing { what: "thing name", flag: "--thing-name" })
    }

    /// The control plane.
    pub(crate) fn control(&self) -> Result<&ControlPlace, PlaceError> {
        match &self.control {
            Some(ControlPlace::Http(url)) if !is_plain_http(url) => {
                Err(PlaceError::ControlUrl { url: url.clone() })
            }
            Some(control) => Ok(control),
            None => Err(PlaceError::NoControl),
        }
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
        settings.backoff.cap = LONGEST_WAIT;
        settings.check()?;
        Ok(settings)
    }
}

/// A flag; else what the environment names; else, at a desk, where the local service usually is; else AWS.
#[cfg_attr(feature = "aws", expect(clippy::unnecessary_wraps, reason = "there may be nothing else than AWS"))]
fn control(flags: &Flags, endpoint: Option<&str>) -> Option<ControlPlace> {
    let named = env::var(ENDPOINT_VARIABLE).ok().filter(|url| !url.is_empty());
    if let Some(url) = &flags.control_endpoint {
        return Some(ControlPlace::Http(url.clone()));
    }
    if named.is_none() && endpoint.is_some_and(is_this_machine) {
        return Some(ControlPlace::Http(LOCAL_HTTP.to_owned()));
    }
    // The SDK reads the variable itself.
    #[cfg(feature = "aws")]
    return Some(ControlPlace::Aws {
        region: flags.region.clone().or_else(|| region_of(endpoint?)),
        service: named.unwrap_or_else(|| "AWS IoT".to_owned()),
    });
    #[cfg(not(feature = "aws"))]
    named.map(ControlPlace::Http)
}

/// `ID-ats.iot.REGION.amazonaws.com`, or the same below another partition's domain.
#[cfg(feature = "aws")]
fn region_of(endpoint: &str) -> Option<String> {
    let (_, rest) = endpoint.split_once(".iot.")?;
    let (region, _) = rest.split_once(".amazonaws.com")?;
    Some(region.to_owned())
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

/// No other scheme is spoken to a service that takes requests without signatures.
fn is_plain_http(url: &str) -> bool {
    url.parse::<ureq::http::Uri>().is_ok_and(|url| url.scheme_str() == Some("http"))
}

fn is_this_machine(endpoint: &str) -> bool {
    endpoint == "localhost" || endpoint.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_id_is_never_the_agents_and_always_short_enough() {
        for name in ["t", &"t".repeat(128)] {
            let thing = ThingName::try_from(name).unwrap();
            let id = client_id(&thing, 0x0123_4567_89ab_cdef);
            assert!(id.ends_with("t-sandbox-01234567") && id.len() <= mqtt_link::MAX_CLIENT_ID, "{id}");
            assert_ne!(id, name);
        }
    }

    #[test]
    fn this_machine_is_known_by_name_and_by_address() {
        for here in ["localhost", "127.0.0.1", "127.0.0.12"] {
            assert!(is_this_machine(here), "{here}");
        }
        for there in ["localhost.example", "192.0.2.1", "x-ats.iot.eu-west-1.amazonaws.com"] {
            assert!(!is_this_machine(there), "{there}");
        }
    }

    #[cfg(feature = "aws")]
    #[test]
    fn the_region_is_read_from_the_endpoint() {
        assert_eq!(region_of("x-ats.iot.eu-west-1.amazonaws.com").as_deref(), Some("eu-west-1"));
        assert_eq!(region_of("x.ats.iot.cn-north-1.amazonaws.com.cn").as_deref(), Some("cn-north-1"));
        assert_eq!(region_of("iot.example"), None);
    }
}
