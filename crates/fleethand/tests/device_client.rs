//! The configuration of the AWS IoT Device Client: every key of its file and every flag is known and read, a feature
//! that is not here brings exactly one warning, and no secret is told.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bench;

use std::fs;
use std::process::Stdio;

use bench::{Bench, GOOD, Said};
use serde_json::{Value, json};

/// A text that stands in every secret place.
const SECRET: &str = "open-sesame";

/// Sections of features that are not here, with every key they can have, all of them in use.
fn features() -> Vec<(&'static str, Value)> {
    let shadow = json!({"enabled": true, "shadow-name": "s", "shadow-input-file": "~/in", "shadow-output-file": "~/out"});
    let sensor = json!({
        "name": "sensor-1", "enabled": true, "addr": "/tmp/sensor_1", "addr_poll_sec": 5, "buffer_time_ms": 1,
        "buffer_size": 10, "buffer_capacity": 2048, "eom_delimiter": "[\r\n]+", "mqtt_topic": "sensors/1",
        "mqtt_dead_letter_topic": "dead", "mqtt_heartbeat_topic": "beat", "heartbeat_time_sec": 60,
    });
    vec![
        ("tunneling", json!({"enabled": true, "endpoint": "data.example"})),
        ("device-defender", json!({"enabled": true, "interval": 300})),
        (
            "fleet-provisioning",
            json!({
                "enabled": true, "template-name": "t", "template-parameters": "{\"SerialNumber\": \"7\"}",
                "csr-file": "~/x.csr", "device-key": "~/x.key", "collect-system-information": true,
            }),
        ),
        (
            "samples",
            json!({"pub-sub": {
                "enabled": true, "publish-topic": "a", "publish-file": "~/p", "publish-on-change": true,
                "subscribe-topic": "b", "subscribe-file": "~/s",
            }}),
        ),
        ("config-shadow", json!({"enabled": true, "persistent-update": true})),
        ("sample-shadow", shadow),
        ("sensor-publish", json!({"sensors": [sensor]})),
    ]
}

/// Its flags for features that are not here: with their value, if they take one, and how the warning begins.
const FEATURE_FLAGS: [(&str, Option<&str>, &str); 30] = [
    ("--enable-tunneling", Some("true"), "tunneling"),
    ("--tunneling-region", Some("eu-central-1"), "--tunneling-region"),
    ("--tunneling-service", Some("SSH"), "--tunneling-service"),
    ("--tunneling-disable-notification", None, "--tunneling-disable-notification"),
    ("--enable-device-defender", Some("true"), "device-defender"),
    ("--device-defender-interval", Some("300"), "--device-defender-interval"),
    ("--enable-fleet-provisioning", Some("true"), "fleet-provisioning"),
    ("--fleet-provisioning-template-name", Some("t"), "--fleet-provisioning-template-name"),
    ("--fleet-provisioning-template-parameters", Some("{}"), "--fleet-provisioning-template-parameters"),
    ("--csr-file", Some("~/x.csr"), "--csr-file"),
    ("--device-key", Some("~/x.key"), "--device-key"),
    ("--enable-pub-sub", Some("true"), "samples"),
    ("--publish-topic", Some("a"), "--publish-topic"),
    ("--publish-file", Some("~/p"), "--publish-file"),
    ("--subscribe-topic", Some("b"), "--subscribe-topic"),
    ("--subscribe-file", Some("~/s"), "--subscribe-file"),
    ("--enable-sample-shadow", Some("true"), "sample-shadow"),
    ("--shadow-name", Some("s"), "--shadow-name"),
    ("--shadow-input-file", Some("~/in"), "--shadow-input-file"),
    ("--shadow-output-file", Some("~/out"), "--shadow-output-file"),
    ("--enable-config-shadow", Some("true"), "config-shadow"),
    ("--pkcs11-lib", Some("/usr/lib/p11.so"), "--pkcs11-lib"),
    ("--secure-element-pin", Some(SECRET), "--secure-element-pin"),
    ("--secure-element-key-label", Some("k"), "--secure-element-key-label"),
    ("--secure-element-token-label", Some("t"), "--secure-element-token-label"),
    ("--secure-element-slot-id", Some("0"), "--secure-element-slot-id"),
    ("--enable-sdk-logging", None, "--enable-sdk-logging"),
    ("--sdk-log-level", Some("TRACE"), "--sdk-log-level"),
    ("--sdk-log-file", Some("~/sdk.log"), "--sdk-log-file"),
    ("--export-default-settings", Some("~/default.json"), "--export-default-settings"),
];

/// The good configuration with one member more.
fn with(member: &str, value: &Value) -> String {
    let mut config: Value = serde_json::from_str(GOOD).unwrap();
    config[member] = value.clone();
    config.to_string()
}

/// What the check says to a configuration and flags.
fn check(config: &str, flags: &[&str]) -> Said {
    let bench = Bench::new();
    bench.config(config);
    bench.run(&[&["check-config", "--config-file", bench.file()], flags].concat())
}

fn warnings(said: &Said) -> Vec<&str> {
    said.text.lines().filter_map(|line| line.strip_prefix("warning: ")).collect()
}

#[test]
fn every_key_of_a_feature_that_is_not_here_is_known_and_the_feature_brings_one_warning() {
    for (section, whole) in features() {
        // The whole section, and each of its keys alone beside the switch.
        let inner = ["pub-sub", "sensors"].into_iter().find(|inner| !whole[inner].is_null());
        let members = match inner {
            Some("sensors") => whole["sensors"][0].clone(),
            Some(inner) => whole[inner].clone(),
            None => whole.clone(),
        };
        let within = |members: Value| match inner {
            Some("sensors") => json!({"sensors": [members]}),
            Some(inner) => json!({inner: members}),
            None => members,
        };
        let alone = members.as_object().unwrap().iter();
        let alone = alone.map(|(key, value)| within(json!({"enabled": true, key: value})));
        for section_text in alone.chain([whole.clone()]) {
            let said = check(&with(section, &section_text), &[]);
            assert_eq!(said.code, 0, "{section_text}: {}", said.text);
            let warnings = warnings(&said);
            assert_eq!(warnings.len(), 1, "{section_text}: {}", said.text);
            assert_eq!(warnings[0], format!("{section}: this feature is not here; the section is ignored"));
        }
        let mut off = members;
        off["enabled"] = json!(false);
        let said = check(&with(section, &within(off)), &[]);
        assert_eq!((said.code, warnings(&said).len()), (0, 0), "{section} switched off: {}", said.text);
    }
}

#[test]
fn every_flag_of_a_feature_that_is_not_here_is_known_and_brings_one_warning() {
    let mut all = Vec::new();
    for (flag, value, key) in FEATURE_FLAGS {
        let words: Vec<&str> = [flag].into_iter().chain(value).collect();
        let said = check(GOOD, &words);
        assert_eq!(said.code, 0, "{flag}: {}", said.text);
        let warnings = warnings(&said);
        assert!(warnings.len() == 1 && warnings[0].starts_with(&format!("{key}: ")), "{flag}: {}", said.text);
        all.extend(words);
    }
    let said = check(GOOD, &all);
    assert_eq!((said.code, warnings(&said).len()), (0, FEATURE_FLAGS.len()), "{}", said.text);
    assert!(!said.text.contains(SECRET), "a secret is told:\n{}", said.text);
}

#[test]
fn a_switch_with_another_value_than_true_is_off_as_it_is_there() {
    let switches =
        FEATURE_FLAGS.iter().filter(|(flag, value, _)| flag.starts_with("--enable-") && value.is_some());
    for (flag, _, _) in switches.chain(&[("--enable-secure-element", None, "")]) {
        for value in ["false", "True", "yes", "1", ""] {
            let said = check(GOOD, &[flag, value]);
            assert_eq!((said.code, warnings(&said).len()), (0, 0), "{flag} {value}: {}", said.text);
        }
    }
    let said = check(GOOD, &["--enable-jobs", "yes"]);
    assert!(
        said.code == 78 && said.text.contains("error: --enable-jobs: `yes` is read as false"),
        "{}",
        said.text
    );
    for (value, words) in [("true", "handlers in "), ("false", "jobs are switched off")] {
        let said = check(GOOD, &["--enable-jobs", value]);
        assert!(said.code == 0 && said.text.contains(words), "{value}: {}", said.text);
    }
}

#[test]
fn the_flags_of_what_is_here_mean_what_they_mean_there() {
    let bench = Bench::new();
    let path = |name: &str| bench.path(name);
    let log = path("the.log");
    let (cert, key, root) = (path("device.pem"), path("device.key"), path("ca.pem"));
    let handlers = path("handlers");
    bench.config(r#"{"endpoint": "wrong.example", "thing-name": "wrong", "logging": {"type": "stdout"}}"#);
    let flags = [
        "--config-file",
        bench.file(),
        "--endpoint",
        "right.example",
        "--cert",
        &cert,
        "--key",
        &key,
        "--root-ca",
        &root,
        "--thing-name",
        "right",
        "--log-level",
        "warn",
        "--log-type",
        "FILE",
        "--log-file",
        &log,
        "--enable-jobs",
        "true",
        "--jobs-handler-dir",
        &handlers,
    ];
    let said = bench.run(&[&["check-config"], &flags[..]].concat());
    assert_eq!((said.code, warnings(&said).len()), (0, 0), "{}", said.text);
    assert!(said.text.contains("thing right at right.example port 8883"), "{}", said.text);
    for words in [
        format!("handlers in {handlers}"),
        format!("certificate {cert}, key {key}"),
        format!("trusted authorities in {root}"),
        format!("log level WARN to {log}"),
    ] {
        assert!(said.text.contains(&words), "{words:?} is not in: {}", said.text);
    }
}

/// The template that they ship, with everything switched on that is not here, and their comments.
#[test]
fn their_whole_file_works_with_a_warning_for_each_feature() {
    let mut config: Value = serde_json::from_str(include_str!("device-client.json")).unwrap();
    let good: Value = serde_json::from_str(GOOD).unwrap();
    for key in ["endpoint", "cert", "key", "root-ca"] {
        config[key] = good[key].clone();
    }
    config["jobs"]["handler-directory"] = json!("DIR/handlers/");
    config["_comment"] = json!("theirs");
    for (section, whole) in features() {
        config[section] = whole;
    }
    config["logging"]["enable-sdk-logging"] = json!(true);
    let said = check(&config.to_string(), &[]);
    assert_eq!(said.code, 0, "{}", said.text);
    let keys: Vec<&str> = warnings(&said).iter().filter_map(|line| line.split(": ").next()).collect();
    let wanted: Vec<&str> = [
        "tunneling",
        "device-defender",
        "fleet-provisioning",
        "samples",
        "sample-shadow",
        "config-shadow",
        "sensor-publish",
        "logging.enable-sdk-logging",
    ]
    .into();
    assert_eq!(keys, wanted);
}

#[test]
fn a_secure_element_or_a_proxy_keeps_the_agent_from_starting_by_file_or_flag() {
    let element = json!({"enabled": true, "pkcs11-lib": "/l", "secure-element-pin": SECRET, "secure-element-slot-id": 0});
    for said in
        [check(&with("secure-element", &element), &[]), check(GOOD, &["--enable-secure-element", "true"])]
    {
        assert_eq!(said.code, 78, "{}", said.text);
        assert!(said.text.contains("error: secure-element.enabled: "), "{}", said.text);
        assert!(!said.text.contains(SECRET), "a secret is told:\n{}", said.text);
    }
    for (enabled, code) in [(json!(true), 78), (json!(false), 0), (json!("true"), 0), (json!(SECRET), 0)] {
        let bench = Bench::new();
        bench.config(GOOD);
        let proxy = json!({
            "http-proxy-enabled": enabled, "http-proxy-host": "10.0.0.1", "http-proxy-port": "8080",
            "http-proxy-auth-method": "UserNameAndPassword", "http-proxy-username": SECRET,
            "http-proxy-password": SECRET,
        });
        bench.in_home("http-proxy.conf", &proxy.to_string());
        for words in [
            &["check-config"][..],
            &["check-config", "--http-proxy-config", "~/.aws-iot-device-client/http-proxy.conf"],
        ] {
            let said = bench.run(&[words, &["--config-file", bench.file()]].concat());
            assert_eq!(said.code, code, "{enabled}: {}", said.text);
            assert!(!said.text.contains(SECRET), "a secret is told:\n{}", said.text);
        }
    }
}

#[test]
fn their_file_is_found_at_home_and_a_tilde_in_it_is_the_home() {
    let bench = Bench::new();
    bench.in_home("aws-iot-device-client.conf", &GOOD.replace("DIR/", "~/.aws-iot-device-client/"));
    for name in ["device.pem", "device.key", "ca.pem"] {
        bench.in_home(name, &fs::read_to_string(bench.path(name)).unwrap());
    }
    fs::rename(bench.path("handlers"), bench.path("home/.aws-iot-device-client/handlers")).unwrap();
    for words in [
        &["check-config"][..],
        &["check-config", "--config-file", "~/.aws-iot-device-client/aws-iot-device-client.conf"],
    ] {
        let said = bench.run(words);
        assert_eq!(said.code, 0, "{}", said.text);
        let handlers = bench.path("home/.aws-iot-device-client/handlers");
        assert!(said.text.contains(&format!("handlers in {handlers}")), "{}", said.text);
    }
}

/// There, paths go through a shell's expansion, and commands in them are run.
#[test]
fn nothing_else_in_a_path_is_expanded() {
    let bench = Bench::new();
    let mark = bench.path("has-run");
    for text in [
        "$(touch MARK)",
        "`touch MARK`",
        "~/$(touch MARK)",
        "/x/$(touch MARK)",
        "$HOME/x",
        "~root/x",
        "~$(touch MARK)",
    ] {
        let text = text.replace("MARK", &mark);
        bench.config(&GOOD.replace("DIR/handlers", &text).replace("DIR/ca.pem", &text));
        let said = bench.run(&["check-config", "--config-file", bench.file()]);
        assert_eq!(said.code, 78, "{text}: {}", said.text);
        assert!(!fs::exists(&mark).unwrap(), "{text} was run");
    }
}

#[test]
fn what_fleet_provisioning_has_left_wins_over_everything_once_it_is_complete() {
    let runtime = |completed: bool, key: &str| {
        json!({"runtime-config": {
            "completed-fp": completed, "cert": "DIR/device.pem", "key": key, "thing-name": "born-7",
            "device-config": {"anything": SECRET},
        }})
        .to_string()
    };
    for (text, thing) in [
        (runtime(true, "DIR/device.key"), "born-7"),
        // As old versions have left it.
        (runtime(true, "DIR/device.key") + "\0", "born-7"),
        (runtime(false, "DIR/device.key"), "from-flag"),
        (runtime(true, ""), "from-flag"),
    ] {
        let bench = Bench::new();
        bench.config(GOOD);
        bench.in_home("aws-iot-device-client-runtime.conf", &text.replace("DIR", &bench.path("")));
        let said = bench.run(&["check-config", "--config-file", bench.file(), "--thing-name", "from-flag"]);
        assert_eq!(said.code, 0, "{}", said.text);
        assert!(said.text.contains(&format!("thing {thing} at ")), "{text}: {}", said.text);
        let wins = said.text.contains("that fleet provisioning has left in");
        assert_eq!(wins, thing == "born-7", "{text}: {}", said.text);
        assert!(!said.text.contains(SECRET), "a secret is told:\n{}", said.text);
    }
}

#[test]
fn no_secret_is_told_by_an_agent_that_runs_and_logs_all_it_can() {
    let bench = Bench::new();
    let mut config: Value = serde_json::from_str(&GOOD.replace("localhost", "127.0.0.1")).unwrap();
    config["port"] = json!(1);
    config["secure-element"] = json!({"enabled": false, "secure-element-pin": SECRET});
    config["fleet-provisioning"] = json!({"enabled": true, "template-parameters": SECRET});
    config["jobs"]["environment"] = json!({"TOKEN": SECRET});
    bench.config(&config.to_string());
    let proxy =
        json!({"http-proxy-enabled": false, "http-proxy-password": SECRET, "http-proxy-username": SECRET});
    bench.in_home("http-proxy.conf", &proxy.to_string());
    let log = bench.path("log");
    let mut daemon = bench
        .command(&["--config-file", bench.file(), "--log-level", "TRACE", "--secure-element-pin", SECRET])
        .env("FLEETHAND_SECURE_ELEMENT__SECURE_ELEMENT_PIN", SECRET)
        .env("AWSIOT_TUNNEL_ACCESS_TOKEN", SECRET)
        .stdout(Stdio::null())
        .stderr(fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let said = || fs::read_to_string(&log).unwrap();
    testkit::eventually("an attempt to connect", said, || said().contains("Not connected").then_some(()));
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    assert!(said().contains("--secure-element-pin"), "{}", said());
    assert!(!said().contains(SECRET), "a secret is told:\n{}", said());
    let refused = ["--secure-element-pin", SECRET, "--secure-element-pin", SECRET];
    let said = bench.run(&refused);
    assert!(said.code == 64 && !said.text.contains(SECRET), "{}", said.text);
}
