//! The configuration as it is believed: what the rest of the program sees. It is made from [`RawConfig`] in
//! one go that finds **all** complaints, each with its key and its mend, since whoever reads them may have
//! one chance a day to change the file. Reading the file is left to [`super`].

mod jobs;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use jobs_protocol::ThingName;
use tracing::level_filters::LevelFilter;

use super::facts::Surroundings;
use super::raw::{self, Foreign, RawConfig, RawLogging};
use super::remark::Remark;
use super::rules::{
    ENDPOINT_MEND, PLACEHOLDER, Rule, changeable_directory, public_file, secret_file, unreadable,
    wrong_with_host,
};

pub(crate) use jobs::Jobs;

/// A configuration that has been judged. Nothing in it is secret: the key is only named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    /// Host name or address of the service.
    pub(crate) endpoint: String,
    /// TCP port; 443 means MQTT by ALPN.
    pub(crate) port: u16,
    /// Where no port is given: the other one at which AWS IoT listens. The Device Client knows no other than 443, and
    /// there are networks that let only one of the two through.
    pub(crate) other_port: Option<u16>,
    /// A dead connection is noticed within this time.
    pub(crate) keep_alive: Duration,
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
    /// PEM file of the authorities that may vouch for the service; `None`: those of the system.
    pub(crate) root_ca: Option<PathBuf>,
    /// Also the MQTT client id.
    pub(crate) thing_name: ThingName,
    pub(crate) logging: Logging,
    pub(crate) jobs: Jobs,
}

/// What is logged, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Logging {
    pub(crate) level: LevelFilter,
    /// `None`: the journal or standard error.
    pub(crate) file: Option<PathBuf>,
}

/// What a judgement has found.
#[derive(Debug)]
pub(crate) struct Judgement {
    /// The configuration, or every complaint there is.
    pub(crate) config: Result<Config, Vec<Remark>>,
    /// Worth a line at start, and no mistake: features that are not here.
    pub(crate) notices: Vec<Remark>,
    /// A mistake that does not keep the daemon from starting, since a board that does not start cannot be
    /// repaired from afar. `check-config` fails on it.
    pub(crate) faults: Vec<Remark>,
}

/// Judges a merged configuration.
pub(crate) fn judge(raw: &RawConfig, surroundings: &Surroundings) -> Judgement {
    let mut judge = Judge { surroundings, complaints: Vec::new(), faults: Vec::new() };
    let endpoint = judge.endpoint(raw.endpoint.as_deref());
    let (port, other_port) = match raw.port {
        None => (Some(8883), Some(443)),
        given => (judge.number("port", given, 1, 65_535).and_then(|port| u16::try_from(port).ok()), None),
    };
    let keep_alive = judge.number("keep-alive-seconds", raw.keep_alive_seconds, 2, 1800);
    let thing_name = judge.thing_name(raw.thing_name.as_deref());
    let cert = judge.credential("cert", raw.cert.as_deref(), &public_file);
    let key = judge.credential("key", raw.key.as_deref(), &secret_file);
    let root_ca = judge.root_ca(raw.root_ca.as_deref());
    let logging = judge.logging(&raw.logging);
    let jobs = judge.jobs(&raw.jobs);
    if on(raw.secure_element) {
        judge.complain(
            "secure-element.enabled",
            "keys in a secure element cannot be used",
            "set it to false and give the key as a file in `key`",
        );
    }
    let Judge { complaints, faults, .. } = judge;
    let config = (|| {
        Some(Config {
            endpoint: endpoint?,
            port: port?,
            other_port,
            keep_alive: Duration::from_secs(keep_alive?),
            cert: cert?,
            key: key?,
            root_ca: root_ca?,
            thing_name: thing_name?,
            logging: logging?,
            jobs: jobs?,
        })
    })();
    let config = match config {
        Some(config) if complaints.is_empty() => Ok(config),
        Some(_) | None => Err(complaints),
    };
    Judgement { config, notices: absent_features(raw), faults }
}

fn on(section: Option<Foreign>) -> bool {
    section.is_some_and(|section| section.enabled)
}

/// One notice for each feature that is switched on and not here.
fn absent_features(raw: &RawConfig) -> Vec<Remark> {
    [
        ("tunneling", raw.tunneling),
        ("device-defender", raw.device_defender),
        ("fleet-provisioning", raw.fleet_provisioning),
        ("samples", raw.samples),
        ("sample-shadow", raw.sample_shadow),
        ("config-shadow", raw.config_shadow),
        ("sensor-publish", raw.sensor_publish),
    ]
    .into_iter()
    .filter(|(_, section)| on(*section))
    .map(|(key, _)| Remark::new(key, "this feature is not here", "the section is ignored"))
    .chain((raw.logging.enable_sdk_logging == Some(true)).then(|| {
        Remark::new(
            "logging.enable-sdk-logging",
            "there is no SDK with a log of its own",
            "the key is ignored",
        )
    }))
    .collect()
}

/// Collects complaints while the members are judged one after the other. A method answers `None` exactly
/// when it has complained.
struct Judge<'a> {
    surroundings: &'a Surroundings,
    complaints: Vec<Remark>,
    faults: Vec<Remark>,
}

impl Judge<'_> {
    fn complain(&mut self, key: &str, what: impl Into<String>, mend: impl Into<String>) {
        self.complaints.push(Remark::new(key, what, mend));
    }

    /// A text that must be there. An empty one counts as absent, as in the Device Client's templates.
    fn required<'t>(&mut self, key: &str, text: Option<&'t str>) -> Option<&'t str> {
        let text = text.filter(|text| !text.is_empty());
        if text.is_none() {
            self.complain(key, "is missing", "set it");
        }
        text
    }

    fn number(&mut self, key: &str, found: Option<i64>, least: i64, most: i64) -> Option<u64> {
        let number = found.filter(|found| (least..=most).contains(found));
        let number = number.and_then(|found| u64::try_from(found).ok());
        if number.is_none() {
            let found = found.map_or_else(|| "nothing".to_owned(), |found| found.to_string());
            let mend = format!("give a whole number from {least} to {most}");
            self.complain(key, format!("is {found}"), mend);
        }
        number
    }

    fn endpoint(&mut self, text: Option<&str>) -> Option<String> {
        let host = self.required("endpoint", text)?;
        if let Some(what) = wrong_with_host(host) {
            self.complain("endpoint", format!("`{}` {what}", host.escape_debug()), ENDPOINT_MEND);
            return None;
        }
        Some(host.to_owned())
    }

    fn thing_name(&mut self, text: Option<&str>) -> Option<ThingName> {
        let name = self.required("thing-name", text)?;
        let wrong = match ThingName::try_from(name) {
            Ok(_) if name == PLACEHOLDER => format!("`{name}` stands in the example for your thing's name"),
            Ok(name) => return Some(name),
            Err(wrong) => wrong.to_string(),
        };
        self.complain("thing-name", wrong, "write it as the registry of AWS IoT has it");
        None
    }

    /// A path with `~` expanded, and nothing else.
    fn path(&mut self, key: &str, text: &str) -> Option<PathBuf> {
        let path = match (text.strip_prefix('~'), &self.surroundings.home) {
            (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => {
                home.join(rest.trim_start_matches('/'))
            }
            (Some(rest), None) if rest.is_empty() || rest.starts_with('/') => {
                self.complain(key, "`~` stands for nothing, as this user has no home", "give the whole path");
                return None;
            }
            (Some(_) | None, _) => PathBuf::from(text),
        };
        if path.is_absolute() && !text.contains('\0') {
            return Some(path);
        }
        self.complain(
            key,
            format!("`{}` is not a whole path", text.escape_debug()),
            "begin it with / or ~/ (the daemon has no working directory to count on)",
        );
        None
    }

    /// Certificate or key: a file that can be read and that satisfies `rule`.
    fn credential(&mut self, key: &str, text: Option<&str>, rule: &Rule) -> Option<PathBuf> {
        let text = self.required(key, text)?;
        let path = self.path(key, text)?;
        match (self.surroundings.look)(&path) {
            Ok(facts) => match rule(key, &path, facts, self.surroundings) {
                None => {
                    self.faults.extend(changeable_directory(key, &path, self.surroundings));
                    Some(path)
                }
                Some(complaint) => {
                    self.complaints.push(complaint);
                    None
                }
            },
            Err(error) => {
                let (what, mend) = unreadable(&path, &error);
                self.complain(key, what, mend);
                None
            }
        }
    }

    /// The authorities: the file that is given, else the system's. One that is given and does not exist is the
    /// system's, too: so the Device Client has it, and boards are in the field that count on it.
    #[expect(
        clippy::option_option,
        reason = "the outer one says, as everywhere here, whether it could be judged"
    )]
    fn root_ca(&mut self, text: Option<&str>) -> Option<Option<PathBuf>> {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return Some(None) };
        let path = self.path("root-ca", text)?;
        if (self.surroundings.look)(&path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            self.faults.push(Remark::new(
                "root-ca",
                format!("{} does not exist", path.display()),
                "put the certificate there; until then the authorities of the system are trusted",
            ));
            return Some(None);
        }
        self.credential("root-ca", Some(text), &public_file).map(Some)
    }

    /// A word that is not known keeps no board from working: the Device Client goes on with its defaults as well.
    /// Empty texts, which its setup script writes, count as absent.
    fn logging(&mut self, raw: &RawLogging) -> Option<Logging> {
        let usual = raw::defaults().logging;
        let given = |text: &Option<String>, usual: Option<String>| {
            text.clone().filter(|text| !text.is_empty()).or(usual).unwrap_or_default()
        };
        let level = given(&raw.level, usual.level);
        let level = match level.to_ascii_uppercase().as_str() {
            "ERROR" => LevelFilter::ERROR,
            "WARN" => LevelFilter::WARN,
            "INFO" => LevelFilter::INFO,
            "DEBUG" => LevelFilter::DEBUG,
            "TRACE" => LevelFilter::TRACE,
            _ => {
                let what = format!("`{}` is no level", level.escape_debug());
                let mend = "give one of ERROR, WARN, INFO, DEBUG, TRACE; until then it is INFO";
                self.faults.push(Remark::new("logging.level", what, mend));
                LevelFilter::INFO
            }
        };
        let kind = given(&raw.kind, usual.kind);
        let file = match kind.to_ascii_lowercase().as_str() {
            "stdout" => Some(None),
            "file" => self.path("logging.file", &given(&raw.file, usual.file)).map(Some),
            _ => {
                let what = format!("`{}` is no place to log to", kind.escape_debug());
                let mend = "give stdout (journal or standard error) or file; until then it is stdout";
                self.faults.push(Remark::new("logging.type", what, mend));
                Some(None)
            }
        };
        Some(Logging { level, file: file? })
    }

    /// One of a few words.
    fn choice<T: Copy>(&mut self, key: &str, found: Option<&str>, words: &[(&str, T)]) -> Option<T> {
        let found = found.unwrap_or_default();
        let chosen = words.iter().find(|(word, _)| *word == found).map(|(_, meaning)| *meaning);
        if chosen.is_none() {
            let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            self.complain(
                key,
                format!("is `{}`", found.escape_debug()),
                format!("give {}", words.join(" or ")),
            );
        }
        chosen
    }
}

#[cfg(test)]
mod tests;
