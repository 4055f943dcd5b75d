//! The command line: ours, and the flags of the AWS IoT Device Client by their own names. Turns them into a
//! [`Command`] and the configuration's top layer; what the values mean is judged with the configuration.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, ArgAction, ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::config::{Flags, Foreign, RawConfig, RawJobs, RawLogging, Remark};
use crate::exit::Exit;

/// What is asked for.
#[derive(Debug)]
pub(crate) enum Command {
    /// Be the agent until a signal comes.
    Run(Flags),
    /// Say what is understood of the configuration and what is not.
    CheckConfig(Flags),
    /// Say how far a handler is.
    Report(Vec<OsString>),
}

/// The AWS IoT Jobs agent for Linux boards.
#[derive(Debug, Parser)]
#[command(name = "fleethand", version, about, disable_help_subcommand = true, after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    word: Option<Word>,
    /// The JSON configuration file
    #[arg(long, value_name = "FILE", global = true)]
    config_file: Option<PathBuf>,
    /// Host name of the service
    #[arg(long, value_name = "HOST", global = true)]
    endpoint: Option<String>,
    /// TCP port of the service (443 uses ALPN); without it 8883 and 443 are tried in turn
    #[arg(long, value_name = "PORT", global = true)]
    port: Option<i64>,
    /// PEM file with the device's certificate
    #[arg(long, value_name = "FILE", global = true)]
    cert: Option<String>,
    /// PEM file with the device's private key
    #[arg(long, value_name = "FILE", global = true)]
    key: Option<String>,
    /// PEM file with the authorities that may vouch for the service
    #[arg(long, value_name = "FILE", global = true)]
    root_ca: Option<String>,
    /// The thing this device is
    // Its name may begin with a hyphen.
    #[arg(long, value_name = "NAME", global = true, allow_hyphen_values = true)]
    thing_name: Option<String>,
    /// ERROR, WARN, INFO, DEBUG or TRACE
    #[arg(long, value_name = "LEVEL", global = true)]
    log_level: Option<String>,
    /// stdout (journal or standard error) or file
    #[arg(long, value_name = "TYPE", global = true)]
    log_type: Option<String>,
    /// The file to log to, with --log-type file
    #[arg(long, value_name = "FILE", global = true)]
    log_file: Option<String>,
    /// Whether jobs are taken
    #[arg(long, value_name = "true|false", global = true)]
    enable_jobs: Option<String>,
    /// The directory of the handlers
    #[arg(long, value_name = "DIR", global = true)]
    jobs_handler_dir: Option<String>,
    /// A proxy file of the AWS IoT Device Client: an enabled proxy is an error here
    #[arg(long, value_name = "FILE", global = true, hide = true)]
    http_proxy_config: Option<PathBuf>,
}

#[derive(Debug, Clone, Subcommand)]
enum Word {
    /// Runs the agent (as without any word)
    Run,
    /// Says what is wrong with the configuration, and ends with 0 if nothing is
    CheckConfig,
    /// Called by a handler: reports facts about its work to the service while it runs
    Report {
        /// NAME=VALUE, or a line about the progress
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        texts: Vec<OsString>,
    },
}

const AFTER_HELP: &str = "Every key of the file can also be set in the environment: FLEETHAND_JOBS__HANDLER_DIRECTORY \
    is jobs.handler-directory.\nFlags of the AWS IoT Device Client for features that are not here are accepted with a \
    warning.\nExit codes: 0 stopped, 64 usage, 70 internal, 74 state, 75 already running, 77 permission, 78 configuration.";

/// Puts a section into the layer of the flags.
type SetSection = fn(&mut RawConfig, Foreign);

/// Flags of the Device Client that switch on a feature which is not here.
const FEATURE_FLAGS: [(&str, SetSection); 7] = [
    ("enable-tunneling", |raw, section| raw.tunneling = Some(section)),
    ("enable-device-defender", |raw, section| raw.device_defender = Some(section)),
    ("enable-fleet-provisioning", |raw, section| raw.fleet_provisioning = Some(section)),
    ("enable-pub-sub", |raw, section| raw.samples = Some(section)),
    ("enable-sample-shadow", |raw, section| raw.sample_shadow = Some(section)),
    ("enable-config-shadow", |raw, section| raw.config_shadow = Some(section)),
    ("enable-secure-element", |raw, section| raw.secure_element = Some(section)),
];

/// Its other flags with a value for such features.
const VALUE_FLAGS: [&str; 22] = [
    "tunneling-region",
    "tunneling-service",
    "device-defender-interval",
    "fleet-provisioning-template-name",
    "fleet-provisioning-template-parameters",
    "csr-file",
    "device-key",
    "publish-topic",
    "publish-file",
    "subscribe-topic",
    "subscribe-file",
    "shadow-name",
    "shadow-input-file",
    "shadow-output-file",
    "pkcs11-lib",
    "secure-element-pin",
    "secure-element-key-label",
    "secure-element-token-label",
    "secure-element-slot-id",
    "sdk-log-level",
    "sdk-log-file",
    "export-default-settings",
];

/// And those without one.
const SWITCH_FLAGS: [&str; 2] = ["tunneling-disable-notification", "enable-sdk-logging"];

/// Reads the command line. The error prints itself: help and version are errors, too, with exit code 0.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, clap::Error> {
    let matches = command().try_get_matches_from(arguments)?;
    let mut cli = Cli::from_arg_matches(&matches)?;
    let word = cli.word.take().unwrap_or(Word::Run);
    let flags = cli.into_flags(&matches);
    Ok(match word {
        Word::Run => Command::Run(flags),
        Word::CheckConfig => Command::CheckConfig(flags),
        Word::Report { texts } => Command::Report(texts),
    })
}

/// Prints what the parser has to say. Help and version, which were asked for, are no failure.
pub(crate) fn explain(error: &clap::Error) -> ExitCode {
    let asked_for = !error.use_stderr();
    // If it cannot be printed there is nobody to read it; the exit code still tells.
    let _ = error.print();
    if asked_for { ExitCode::SUCCESS } else { Exit::Usage.into() }
}

fn command() -> clap::Command {
    let foreign = |name: &'static str| Arg::new(name).long(name).hide(true).global(true);
    Cli::command()
        .args(FEATURE_FLAGS.map(|(name, _)| foreign(name).action(ArgAction::Set)))
        .args(VALUE_FLAGS.map(|name| foreign(name).action(ArgAction::Set).allow_hyphen_values(true)))
        .args(SWITCH_FLAGS.map(|name| foreign(name).action(ArgAction::SetTrue)))
}

impl Cli {
    fn into_flags(self, matches: &ArgMatches) -> Flags {
        let mut keys = RawConfig {
            endpoint: self.endpoint,
            port: self.port,
            cert: self.cert,
            key: self.key,
            root_ca: self.root_ca,
            thing_name: self.thing_name,
            logging: RawLogging {
                level: self.log_level,
                kind: self.log_type,
                file: self.log_file,
                ..RawLogging::default()
            },
            jobs: RawJobs {
                enabled: self.enable_jobs.as_deref().map(is_true),
                handler_directory: self.jobs_handler_dir,
                ..RawJobs::default()
            },
            ..RawConfig::default()
        };
        for (name, set) in FEATURE_FLAGS {
            if let Some(enabled) = matches.get_one::<String>(name) {
                set(&mut keys, Foreign { enabled: is_true(enabled) });
            }
        }
        let values = VALUE_FLAGS.into_iter().filter(|name| matches.contains_id(name));
        let switches = SWITCH_FLAGS.into_iter().filter(|name| matches.get_flag(name));
        let ignored = values.chain(switches).map(|name| format!("--{name}")).collect();
        let faults = self.enable_jobs.iter().filter(|value| !matches!(value.as_str(), "true" | "false"));
        let faults = faults.map(|value| neither_true_nor_false("--enable-jobs", value)).collect();
        Flags { file: self.config_file, proxy_file: self.http_proxy_config, keys, ignored, faults }
    }
}

/// To the Device Client everything but this very word means no.
fn is_true(value: &str) -> bool {
    value == "true"
}

fn neither_true_nor_false(flag: &str, value: &str) -> Remark {
    let what = format!("`{}` is read as false, as by the Device Client", value.escape_debug());
    Remark::new(flag, what, "write true or false")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(line: &str) -> Flags {
        match parse(line.split(' ').map(OsString::from)).unwrap() {
            Command::Run(flags) | Command::CheckConfig(flags) => flags,
            Command::Report(texts) => panic!("{texts:?}"),
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn the_word_run_may_stand_before_or_after_the_flags_or_not_at_all() {
        for line in [
            "fleethand --config-file /f --thing-name a",
            "fleethand run --config-file /f --thing-name a",
            "fleethand --config-file /f run --thing-name a",
        ] {
            let flags = flags(line);
            assert_eq!(flags.file, Some(PathBuf::from("/f")), "{line}");
            assert_eq!(flags.keys.thing_name.as_deref(), Some("a"), "{line}");
        }
    }

    #[test]
    fn every_flag_of_the_device_client_is_accepted() {
        let all = "fleethand --config-file a --endpoint a --cert a --key a --root-ca a --thing-name a --log-level a \
                   --log-type a --log-file a --enable-jobs true --jobs-handler-dir a --enable-tunneling true \
                   --enable-sdk-logging --tunneling-disable-notification --secure-element-pin 1234 \
                   --enable-pub-sub false --device-defender-interval 300 --http-proxy-config a";
        let words: Vec<_> = all.split_whitespace().collect();
        let flags = flags(&words.join(" "));
        assert_eq!(flags.keys.tunneling, Some(Foreign { enabled: true }));
        assert_eq!(flags.keys.samples, Some(Foreign { enabled: false }));
        assert!(flags.ignored.contains(&"--secure-element-pin".to_owned()));
        assert!(!format!("{flags:?}").contains("1234"), "a secret is kept");
    }

    #[test]
    fn a_value_may_begin_with_a_hyphen_where_it_can() {
        let flags = flags("fleethand --thing-name -x --secure-element-pin -1 --endpoint=a");
        assert_eq!(flags.keys.thing_name.as_deref(), Some("-x"));
        assert_eq!(flags.ignored, ["--secure-element-pin"]);
    }

    #[test]
    fn an_unknown_flag_and_a_flag_given_twice_are_refused() {
        for line in ["fleethand --endpont a", "fleethand --endpoint a --endpoint b", "fleethand fly"] {
            assert!(parse(line.split(' ').map(OsString::from)).is_err(), "{line}");
        }
    }
}
