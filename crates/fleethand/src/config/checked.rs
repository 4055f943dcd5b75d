//! The configuration as it is believed: what the rest of the program sees. It is made from [`RawConfig`] in
//! one go that finds **all** complaints, each with its key and its mend, since whoever reads them may have
//! one chance a day to change the file. Reading the file is left to [`super`].

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use agent_core::{FinalStep, HandlerPolicy, OnInterruption, OnStop};
use jobs_protocol::ThingName;
use tracing::level_filters::LevelFilter;

use super::facts::Surroundings;
use super::raw::{Foreign, RawConfig, RawHandler, RawJobs, RawLogging};
use super::remark::Remark;
use super::rules::{ENDPOINT_MEND, Rule, public_file, secret_file, unreadable, wrong_with_host};

/// A configuration that has been judged. Nothing in it is secret: the key is only named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Config {
    /// Host name or address of the service.
    pub(crate) endpoint: String,
    /// TCP port; 443 means MQTT by ALPN.
    pub(crate) port: u16,
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

/// What concerns jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Jobs {
    pub(crate) enabled: bool,
    /// Where the handlers of `"path": "default"` are.
    pub(crate) handler_directory: PathBuf,
    /// Time limit of a step that has none of its own.
    pub(crate) step_timeout: Duration,
    /// From TERM to KILL.
    pub(crate) grace: Duration,
    /// What becomes of a running handler when the daemon is told to end.
    pub(crate) on_stop: OnStop,
    /// When the final step of a document is run.
    pub(crate) final_step: FinalStep,
    /// Lines on standard error that a flat document tolerates if it does not say; `None`: any number.
    pub(crate) allow_std_err_flat: Option<u64>,
    /// The same for a step of the steps form.
    pub(crate) allow_std_err_step: Option<u64>,
    /// For the conditions of documents.
    pub(crate) facts: BTreeMap<String, String>,
    /// Added to the environment of every handler.
    pub(crate) environment: BTreeMap<String, String>,
    /// By the handler's file name.
    pub(crate) handlers: BTreeMap<String, HandlerPolicy>,
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
    let port = judge.number("port", raw.port, 1, 65_535).and_then(|port| u16::try_from(port).ok());
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
        match ThingName::try_from(name) {
            Ok(name) => Some(name),
            Err(wrong) => {
                self.complain("thing-name", wrong.to_string(), "write it as the registry of AWS IoT has it");
                None
            }
        }
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
                None => Some(path),
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

    fn logging(&mut self, raw: &RawLogging) -> Option<Logging> {
        let level = raw.level.as_deref().unwrap_or_default();
        let level = match level.to_ascii_uppercase().as_str() {
            "ERROR" => Some(LevelFilter::ERROR),
            "WARN" => Some(LevelFilter::WARN),
            "INFO" => Some(LevelFilter::INFO),
            "DEBUG" => Some(LevelFilter::DEBUG),
            "TRACE" => Some(LevelFilter::TRACE),
            _ => {
                let what = format!("`{}` is no level", level.escape_debug());
                self.complain("logging.level", what, "give one of ERROR, WARN, INFO, DEBUG, TRACE");
                None
            }
        };
        let kind = raw.kind.as_deref().unwrap_or_default();
        let file = match kind.to_ascii_lowercase().as_str() {
            "stdout" => Some(None),
            "file" => {
                let file = self.required("logging.file", raw.file.as_deref());
                file.and_then(|file| self.path("logging.file", file)).map(Some)
            }
            _ => {
                let what = format!("`{}` is no place to log to", kind.escape_debug());
                self.complain("logging.type", what, "give stdout (journal or standard error) or file");
                None
            }
        };
        Some(Logging { level: level?, file: file? })
    }

    fn jobs(&mut self, raw: &RawJobs) -> Option<Jobs> {
        let step_timeout =
            self.number("jobs.step-timeout-seconds", raw.step_timeout_seconds, 1, STEP_TIMEOUT_MOST);
        let grace = self.number("jobs.grace-seconds", raw.grace_seconds, 0, 3600);
        let usual = super::raw::defaults().jobs.handler_directory.unwrap_or_default();
        let directory = raw.handler_directory.as_deref().filter(|directory| !directory.is_empty());
        let directory = self.path("jobs.handler-directory", directory.unwrap_or(&usual));
        let on_stop = self.choice(
            "jobs.on-stop",
            raw.on_stop.as_deref(),
            &[("keep", OnStop::Keep), ("terminate", OnStop::Terminate)],
        );
        let final_step = self.choice(
            "jobs.final-step",
            raw.final_step.as_deref(),
            &[("on-success", FinalStep::OnSuccess), ("always", FinalStep::Always)],
        );
        let allowed = &raw.default_allow_std_err;
        let flat = self.lines("jobs.default-allow-std-err.flat", allowed.flat);
        let steps = self.lines("jobs.default-allow-std-err.steps", allowed.steps);
        let handlers: Vec<_> =
            raw.handlers.iter().map(|(name, handler)| self.handler(name, handler)).collect();
        for (name, value) in &raw.environment {
            if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
                let key = format!("jobs.environment.{}", name.escape_debug());
                self.complain(&key, "no environment can hold this variable", "leave out `=` and NUL");
            }
        }
        Some(Jobs {
            on_stop: on_stop?,
            final_step: final_step?,
            allow_std_err_flat: flat?,
            allow_std_err_step: steps?,
            facts: raw.facts.clone(),
            environment: raw.environment.clone(),
            handlers: handlers.into_iter().collect::<Option<_>>()?,
            enabled: raw.enabled.unwrap_or(true),
            handler_directory: directory?,
            step_timeout: Duration::from_secs(step_timeout?),
            grace: Duration::from_secs(grace?),
        })
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

    /// A number of lines; the inner `None` is "any number", written as -1.
    #[expect(
        clippy::option_option,
        reason = "the outer one says, as everywhere here, whether it could be judged"
    )]
    fn lines(&mut self, key: &str, found: Option<i64>) -> Option<Option<u64>> {
        if found == Some(-1) {
            return Some(None);
        }
        self.number(key, found, -1, 1_000_000).map(Some)
    }

    /// What holds for one handler.
    fn handler(&mut self, name: &str, raw: &RawHandler) -> Option<(String, HandlerPolicy)> {
        let key = |member: &str| format!("jobs.handlers.{}{member}", name.escape_debug());
        if name.is_empty() || name.contains(['/', '\0']) || name == "." || name == ".." {
            self.complain(&key(""), "is no file name", "give the handler's name without its directory");
            return None;
        }
        let usual = HandlerPolicy::default();
        let on_interruption = match raw.on_interruption.as_deref() {
            None => Some(usual.on_interruption),
            found => self.choice(
                &key(".on-interruption"),
                found,
                &[("never-rerun", OnInterruption::NeverRerun), ("rerun", OnInterruption::Rerun)],
            ),
        };
        let max_attempts = match raw.max_attempts {
            None => Some(usual.max_attempts),
            found => {
                self.number(&key(".max-attempts"), found, 1, 1000).and_then(|most| u32::try_from(most).ok())
            }
        };
        let timeout = match raw.timeout_seconds {
            None => Some(usual.timeout),
            found => self
                .number(&key(".timeout-seconds"), found, 1, STEP_TIMEOUT_MOST)
                .map(|seconds| Some(Duration::from_secs(seconds))),
        };
        let policy = HandlerPolicy {
            on_interruption: on_interruption?,
            max_attempts: max_attempts?,
            timeout: timeout?,
        };
        Some((name.to_owned(), policy))
    }
}

/// Seven days: with the quarter of an hour on top this is the longest step timer the service takes.
const STEP_TIMEOUT_MOST: i64 = 10_080 * 60 - 15 * 60;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::facts::FileFacts;
    use super::super::raw;
    use super::*;

    /// A machine on which `/good/*` is as it should be and other names tell their fault.
    fn look(path: &Path) -> io::Result<FileFacts> {
        let file = |mode, owner| Ok(FileFacts { regular: true, directory: false, mode, owner });
        match path.to_str().unwrap() {
            "/bad/open.key" => file(0o644, 1000),
            "/bad/group.key" => file(0o640, 1000),
            "/bad/writable.pem" => file(0o664, 1000),
            "/bad/stranger.key" => file(0o600, 1001),
            "/bad/denied.key" => Err(io::ErrorKind::PermissionDenied.into()),
            "/bad/directory" => Ok(FileFacts { regular: false, directory: true, mode: 0o700, owner: 1000 }),
            "/good/strict.key" | "/home/me/key.pem" => file(0o400, 1000),
            name if name.starts_with("/good/") => file(0o600, 1000),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn machine() -> Surroundings {
        Surroundings { home: Some("/home/me".into()), user: 1000, look }
    }

    fn good() -> RawConfig {
        RawConfig {
            endpoint: Some("abc-ats.iot.eu-central-1.amazonaws.com".into()),
            cert: Some("/good/cert.pem".into()),
            key: Some("/good/key.pem".into()),
            root_ca: Some("/good/ca.pem".into()),
            thing_name: Some("board:7_a-b".into()),
            ..raw::defaults()
        }
    }

    fn complaints(change: impl FnOnce(&mut RawConfig)) -> Vec<Remark> {
        let mut raw = good();
        change(&mut raw);
        judge(&raw, &machine()).config.err().unwrap_or_default()
    }

    fn config(change: impl FnOnce(&mut RawConfig)) -> Config {
        let mut raw = good();
        change(&mut raw);
        judge(&raw, &machine()).config.unwrap()
    }

    /// One change and the key, and a part of the remark, that it must bring.
    #[test]
    fn every_rule_names_its_key_and_what_was_found() {
        type Change = fn(&mut RawConfig);
        let table: &[(Change, &str, &str)] = &[
            (|raw| raw.endpoint = None, "endpoint", "is missing"),
            (|raw| raw.endpoint = Some(String::new()), "endpoint", "is missing"),
            (|raw| raw.endpoint = Some("https://a.example".into()), "endpoint", "has a scheme"),
            (|raw| raw.endpoint = Some("a.example/mqtt".into()), "endpoint", "has a path"),
            (|raw| raw.endpoint = Some("a.example:8883".into()), "endpoint", "has a port"),
            (|raw| raw.endpoint = Some("::1".into()), "endpoint", "is an IPv6 address"),
            (|raw| raw.endpoint = Some("a..example".into()), "endpoint", "is no host name"),
            (|raw| raw.endpoint = Some("a b".into()), "endpoint", "is no host name"),
            (|raw| raw.port = Some(0), "port", "is 0; give a whole number from 1 to 65535"),
            (|raw| raw.port = Some(65_536), "port", "65536"),
            (|raw| raw.thing_name = Some("a b".into()), "thing-name", "`a b`"),
            (|raw| raw.thing_name = Some("x".repeat(129)), "thing-name", "thing name"),
            (|raw| raw.cert = None, "cert", "is missing"),
            (|raw| raw.cert = Some("/bad/nowhere".into()), "cert", "/bad/nowhere cannot be read"),
            (|raw| raw.cert = Some("/bad/writable.pem".into()), "cert", "run: chmod go-w /bad/writable.pem"),
            (|raw| raw.cert = Some("/bad/directory".into()), "cert", "is not a regular file"),
            (|raw| raw.cert = Some("certs/cert.pem".into()), "cert", "is not a whole path"),
            (|raw| raw.cert = Some("$(touch /x)".into()), "cert", "is not a whole path"),
            (|raw| raw.key = Some("/bad/open.key".into()), "key", "run: chmod 600 /bad/open.key"),
            (|raw| raw.key = Some("/bad/group.key".into()), "key", "mode 640"),
            (|raw| raw.key = Some("/bad/stranger.key".into()), "key", "belongs to user 1001"),
            (|raw| raw.key = Some("/bad/denied.key".into()), "key", "chown"),
            (|raw| raw.root_ca = Some("/bad/writable.pem".into()), "root-ca", "chmod go-w"),
            (|raw| raw.logging.level = Some("LOUD".into()), "logging.level", "`LOUD` is no level"),
            (|raw| raw.logging.kind = Some("printer".into()), "logging.type", "`printer`"),
            (
                |raw| {
                    raw.logging.kind = Some("file".into());
                    raw.logging.file = Some(String::new());
                },
                "logging.file",
                "is missing",
            ),
            (|raw| raw.jobs.step_timeout_seconds = Some(0), "jobs.step-timeout-seconds", "is 0"),
            (|raw| raw.jobs.step_timeout_seconds = Some(604_800), "jobs.step-timeout-seconds", "603900"),
            (|raw| raw.jobs.grace_seconds = Some(-1), "jobs.grace-seconds", "is -1"),
            (
                |raw| raw.jobs.handler_directory = Some("handlers".into()),
                "jobs.handler-directory",
                "is not a whole path",
            ),
            (|raw| raw.jobs.on_stop = Some("run".into()), "jobs.on-stop", "give keep or terminate"),
            (|raw| raw.jobs.final_step = Some("never".into()), "jobs.final-step", "is `never`"),
            (
                |raw| raw.jobs.default_allow_std_err.flat = Some(-2),
                "jobs.default-allow-std-err.flat",
                "is -2",
            ),
            (
                |raw| drop(raw.jobs.environment.insert("A=B".into(), String::new())),
                "jobs.environment.A=B",
                "no environment",
            ),
            (
                |raw| drop(raw.jobs.handlers.insert("../x".into(), RawHandler::default())),
                "jobs.handlers.../x",
                "is no file name",
            ),
            (|raw| policy(raw).max_attempts = Some(0), "jobs.handlers.reboot.sh.max-attempts", "is 0"),
            (
                |raw| policy(raw).on_interruption = Some("maybe".into()),
                "jobs.handlers.reboot.sh.on-interruption",
                "give never-rerun or rerun",
            ),
            (
                |raw| raw.secure_element = Some(Foreign { enabled: true }),
                "secure-element.enabled",
                "cannot be used",
            ),
        ];
        for (change, key, part) in table {
            let found = complaints(change);
            assert_eq!(found.len(), 1, "{key}, {part}: {found:?}");
            assert_eq!(found[0].key, *key);
            assert!(found[0].to_string().contains(part), "{part:?} is not in `{}`", found[0]);
        }
    }

    fn policy(raw: &mut RawConfig) -> &mut RawHandler {
        raw.jobs.handlers.get_mut("reboot.sh").unwrap()
    }

    #[test]
    fn the_defaults_are_those_of_the_core() {
        let believed = config(|_| ()).jobs;
        let core = agent_core::Settings::new(ThingName::try_from("a").unwrap());
        assert_eq!(believed.step_timeout, core.step_timeout);
        assert_eq!(believed.grace, core.grace);
        assert_eq!(believed.on_stop, core.on_stop);
        assert_eq!(believed.final_step, core.final_step);
        assert_eq!(believed.allow_std_err_flat, core.default_allow_std_err_flat);
        assert_eq!(believed.allow_std_err_step, core.default_allow_std_err_step);
    }

    #[test]
    fn the_reboot_handler_may_run_a_second_time() {
        let policy = config(|_| ()).jobs.handlers["reboot.sh"].clone();
        assert_eq!((policy.on_interruption, policy.max_attempts), (OnInterruption::Rerun, 2));
    }

    #[test]
    fn all_complaints_come_at_once() {
        let found = judge(&raw::defaults(), &machine()).config.unwrap_err();
        let keys: Vec<_> = found.iter().map(|remark| remark.key.as_str()).collect();
        assert_eq!(keys, ["endpoint", "thing-name", "cert", "key"]);
    }

    #[test]
    fn a_key_with_stricter_rights_is_as_good() {
        config(|raw| raw.key = Some("/good/strict.key".into()));
    }

    #[test]
    fn a_tilde_is_the_home_and_nothing_else_is_expanded() {
        assert_eq!(config(|raw| raw.key = Some("~/key.pem".into())).key, Path::new("/home/me/key.pem"));
        assert_eq!(
            config(|raw| raw.jobs.handler_directory = Some("/$HOME/*".into())).jobs.handler_directory,
            Path::new("/$HOME/*")
        );
        assert_eq!(complaints(|raw| raw.key = Some("~root/key.pem".into())).len(), 1);
    }

    #[test]
    fn an_empty_handler_directory_means_the_default_one() {
        let directory = config(|raw| raw.jobs.handler_directory = Some(String::new())).jobs.handler_directory;
        assert_eq!(directory, Path::new("/home/me/.aws-iot-device-client/jobs"));
    }

    #[test]
    fn without_a_root_ca_the_authorities_of_the_system_are_trusted() {
        assert_eq!(config(|raw| raw.root_ca = None).root_ca, None);
        let mut raw = good();
        raw.root_ca = Some("/bad/nowhere".into());
        let judgement = judge(&raw, &machine());
        assert_eq!(judgement.config.unwrap().root_ca, None);
        assert_eq!(judgement.faults.len(), 1);
    }

    #[test]
    fn hosts_may_be_names_and_addresses() {
        for host in ["localhost", "127.0.0.1", "a_b.example.", "ABC.amazonaws.com.cn"] {
            assert_eq!(config(|raw| raw.endpoint = Some(host.into())).endpoint, host);
        }
    }

    #[test]
    fn a_feature_that_is_not_here_brings_one_notice_only_if_it_is_switched_on() {
        let mut raw = good();
        raw.tunneling = Some(Foreign { enabled: true });
        raw.samples = Some(Foreign { enabled: false });
        raw.logging.enable_sdk_logging = Some(true);
        let judgement = judge(&raw, &machine());
        let keys: Vec<_> = judgement.notices.iter().map(|remark| remark.key.as_str()).collect();
        assert_eq!(keys, ["tunneling", "logging.enable-sdk-logging"]);
        assert!(judgement.config.is_ok());
    }
}
