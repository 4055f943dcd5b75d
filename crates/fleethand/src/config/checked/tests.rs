use std::path::Path;

use agent_core::{AfterReboot, OnInterruption};

use super::*;
use crate::config::facts::FileFacts;
use crate::config::raw;
use crate::config::raw::RawHandler;

/// A machine on which `/good/*` is as it should be and other names tell their fault.
fn look(path: &Path) -> io::Result<FileFacts> {
    let file = |mode, owner| Ok(FileFacts { regular: true, directory: false, mode, owner });
    match path.to_str().unwrap() {
        "/bad/open.key" => file(0o644, 1000),
        "/bad/group.key" => file(0o640, 1000),
        "/bad/writable.pem" => file(0o664, 1000),
        "/bad/stranger.key" => file(0o600, 1001),
        "/bad/denied.key" => Err(io::ErrorKind::PermissionDenied.into()),
        "/open" => Ok(FileFacts { regular: false, directory: true, mode: 0o775, owner: 0 }),
        "/theirs" => Ok(FileFacts { regular: false, directory: true, mode: 0o755, owner: 1001 }),
        "/sticky" => Ok(FileFacts { regular: false, directory: true, mode: 0o1777, owner: 0 }),
        "/bad/directory" => Ok(FileFacts { regular: false, directory: true, mode: 0o700, owner: 1000 }),
        "/good/strict.key" | "/home/me/key.pem" => file(0o400, 1000),
        "/open/x.pem" | "/theirs/x.pem" | "/sticky/x.pem" => file(0o600, 1000),
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
        // As in the examples of `config/`, and forgotten there.
        (
            |raw| raw.endpoint = Some("REPLACE-ME-ats.iot.x.amazonaws.com".into()),
            "endpoint",
            "for your endpoint",
        ),
        (|raw| raw.thing_name = Some("REPLACE-ME".into()), "thing-name", "for your thing's name"),
        (|raw| raw.port = Some(0), "port", "is 0; give a whole number from 1 to 65535"),
        (|raw| raw.port = Some(65_536), "port", "65536"),
        (|raw| raw.thing_name = Some("a b".into()), "thing-name", "`a b`"),
        (|raw| raw.thing_name = Some("x".repeat(129)), "thing-name", "thing name"),
        (|raw| raw.cert = None, "cert", "is missing"),
        (|raw| raw.cert = Some("/bad/nowhere".into()), "cert", "/bad/nowhere cannot be read"),
        (
            |raw| raw.cert = Some("/home/${USER}/c.pem".into()),
            "cert",
            "only a leading `~` stands for something",
        ),
        (|raw| raw.cert = Some("/bad/writable.pem".into()), "cert", "run: chmod go-w /bad/writable.pem"),
        (|raw| raw.cert = Some("/bad/directory".into()), "cert", "is not a regular file"),
        (|raw| raw.cert = Some("certs/cert.pem".into()), "cert", "is not a whole path"),
        (|raw| raw.cert = Some("$(touch /x)".into()), "cert", "is not a whole path"),
        (|raw| raw.key = Some("/bad/open.key".into()), "key", "run: chmod 600 /bad/open.key"),
        (|raw| raw.key = Some("/bad/group.key".into()), "key", "mode 640"),
        (|raw| raw.key = Some("/bad/stranger.key".into()), "key", "belongs to user 1001"),
        (|raw| raw.key = Some("/bad/denied.key".into()), "key", "chown"),
        (|raw| raw.root_ca = Some("/bad/writable.pem".into()), "root-ca", "chmod go-w"),
        (
            |raw| {
                raw.logging.kind = Some("file".into());
                raw.logging.file = Some("x.log".into());
            },
            "logging.file",
            "is not a whole path",
        ),
        (|raw| raw.jobs.step_timeout_seconds = Some(0), "jobs.step-timeout-seconds", "is 0"),
        (|raw| raw.jobs.step_timeout_seconds = Some(604_800), "jobs.step-timeout-seconds", "603900"),
        (|raw| raw.jobs.progress_seconds = Some(0), "jobs.progress-seconds", "is 0"),
        (|raw| raw.jobs.grace_seconds = Some(-1), "jobs.grace-seconds", "is -1"),
        (
            |raw| raw.jobs.handler_directory = Some("handlers".into()),
            "jobs.handler-directory",
            "is not a whole path",
        ),
        (|raw| raw.jobs.on_stop = Some("run".into()), "jobs.on-stop", "give keep or terminate"),
        (|raw| raw.jobs.final_step = Some("never".into()), "jobs.final-step", "is `never`"),
        (
            |raw| raw.jobs.details = Some("all".into()),
            "jobs.details",
            "give tail or head-and-tail or device-client",
        ),
        (|raw| raw.jobs.default_allow_std_err.flat = Some(-2), "jobs.default-allow-std-err.flat", "is -2"),
        (
            |raw| drop(raw.jobs.environment.insert("A=B".into(), String::new())),
            "jobs.environment.A=B",
            "no environment",
        ),
        (
            |raw| drop(raw.jobs.environment.insert("JOB_ID".into(), "mine".into())),
            "jobs.environment.JOB_ID",
            "is set by the agent itself",
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
        (|raw| raw.jobs.reboot_exit_code = Some(256), "jobs.reboot-exit-code", "is 256"),
        (
            |raw| policy(raw).after_reboot = Some("later".into()),
            "jobs.handlers.reboot.sh.after-reboot",
            "give same-step or next-step",
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

#[test]
fn a_keep_alive_is_what_the_link_can_keep() {
    for (seconds, allowed) in [(1, false), (2, true), (1800, true), (1801, false)] {
        let found = complaints(|raw| raw.keep_alive_seconds = Some(seconds));
        let keys: Vec<_> = found.iter().map(|complaint| complaint.key.as_str()).collect();
        assert_eq!(keys, if allowed { vec![] } else { vec!["keep-alive-seconds"] }, "{seconds}: {found:?}");
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
    assert_eq!(believed.progress_interval, core.progress_interval);
    assert_eq!(believed.on_stop, core.on_stop);
    assert_eq!(believed.final_step, core.final_step);
    assert_eq!(believed.reboot_exit_code, core.reboot_exit_code);
    assert_eq!(believed.allow_std_err_flat, core.default_allow_std_err_flat);
    assert_eq!(believed.allow_std_err_step, core.default_allow_std_err_step);
    assert_eq!(believed.user_argument_flat, core.user_argument_flat);
    assert_eq!(believed.user_argument_steps, core.user_argument_steps);
    assert_eq!(believed.allowed, handler_runner::Allowed::default());
}

#[test]
fn a_list_with_an_entry_that_means_nothing_is_no_list() {
    let users = complaints(|raw| raw.jobs.allowed_users = Some(vec!["deploy".into(), String::new()]));
    let paths = complaints(|raw| raw.jobs.allowed_paths = Some(vec!["/opt/h".into(), "handlers".into()]));
    for (found, key, part) in [
        (users, "jobs.allowed-users", "an empty name"),
        (paths, "jobs.allowed-paths", "`handlers` is not a whole path"),
    ] {
        assert!(found.len() == 1 && found[0].key == key, "{found:?}");
        assert!(found[0].to_string().contains(part), "{}", found[0]);
    }
}

#[test]
fn an_empty_list_allows_nothing_and_is_not_the_same_as_none() {
    let allowed = config(|raw| {
        raw.jobs.allowed_users = Some(vec![]);
        raw.jobs.allowed_paths = Some(vec![]);
        raw.jobs.allow_commands = Some(false);
    })
    .jobs
    .allowed;
    assert_eq!((allowed.users, allowed.directories, allowed.commands), (Some(vec![]), Some(vec![]), false));
    let directories =
        config(|raw| raw.jobs.allowed_paths = Some(vec!["~/h".into()])).jobs.allowed.directories;
    assert_eq!(directories, Some(vec!["/home/me/h".into()]));
}

#[test]
fn the_reboot_handler_may_run_a_second_time() {
    let policy = config(|_| ()).jobs.handlers["reboot.sh"].clone();
    assert_eq!((policy.on_interruption, policy.max_attempts), (OnInterruption::Rerun, 2));
    assert_eq!(policy.after_reboot, Some(AfterReboot::SameStep));
}

#[test]
fn an_exit_code_0_asks_for_no_reboot() {
    assert_eq!(config(|raw| raw.jobs.reboot_exit_code = Some(0)).jobs.reboot_exit_code, None);
    assert_eq!(config(|raw| raw.jobs.reboot_exit_code = Some(7)).jobs.reboot_exit_code, Some(7));
}

#[test]
fn all_complaints_come_at_once() {
    let found = judge(&raw::defaults(), &machine()).config.unwrap_err();
    let keys: Vec<_> = found.iter().map(|remark| remark.key.as_str()).collect();
    assert_eq!(keys, ["endpoint", "thing-name", "cert", "key"]);
}

#[test]
fn a_directory_in_which_others_can_exchange_the_file_is_told_and_does_not_keep_the_agent_from_starting() {
    for (path, mend) in [
        ("/open/x.pem", Some("run: chmod go-w /open")),
        ("/theirs/x.pem", Some("run: chown 1000 /theirs")),
        ("/sticky/x.pem", None),
        ("/good/key.pem", None),
    ] {
        let mut raw = good();
        raw.key = Some(path.into());
        let judgement = judge(&raw, &machine());
        assert!(judgement.config.is_ok(), "{path}");
        let faults: Vec<_> = judgement.faults.iter().map(|fault| (&*fault.key, &*fault.mend)).collect();
        assert_eq!(faults, Vec::from_iter(mend.map(|mend| ("key", mend))), "{path}");
    }
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

/// As with the Device Client, whose files are read: a board that stays silent for a word about its log is lost.
#[test]
fn an_unknown_word_about_the_log_is_told_and_does_not_keep_the_agent_from_starting() {
    let mut raw = good();
    raw.logging.level = Some("LOUD".into());
    raw.logging.kind = Some("printer".into());
    let judgement = judge(&raw, &machine());
    let told: Vec<String> = judgement.faults.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("logging.level: `LOUD` is no level"), "{told:?}");
    assert!(told[1].starts_with("logging.type: `printer` is no place to log to"), "{told:?}");
    let logging = judgement.config.unwrap().logging;
    assert_eq!((logging.level, logging.file), (LevelFilter::INFO, None));
}

/// The setup script of the Device Client writes an empty text for what was not answered.
#[test]
fn an_empty_text_about_the_log_is_the_usual() {
    let mut raw = good();
    raw.logging.level = Some(String::new());
    raw.logging.kind = Some("FILE".into());
    raw.logging.file = Some(String::new());
    let judgement = judge(&raw, &machine());
    assert!(judgement.faults.is_empty(), "{:?}", judgement.faults);
    let logging = judgement.config.unwrap().logging;
    assert_eq!(logging.level, LevelFilter::INFO);
    assert_eq!(logging.file, Some(PathBuf::from("/var/log/fleethand/fleethand.log")));
}

#[test]
fn without_a_port_both_of_aws_are_asked_and_one_that_is_given_is_the_only_one() {
    let ports = |port| {
        let config = config(|raw| raw.port = port);
        (config.port, config.other_port)
    };
    assert_eq!(ports(None), (8883, Some(443)));
    assert_eq!(ports(Some(443)), (443, None));
    assert_eq!(ports(Some(8883)), (8883, None));
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
