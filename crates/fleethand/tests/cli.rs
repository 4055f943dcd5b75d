//! The command line of the built daemon: what is said about a configuration, and the exit code.

mod bench;

use bench::{Bench, GOOD};

#[test]
fn a_good_configuration_is_good() {
    let bench = Bench::new();
    bench.config(GOOD);
    let said = bench.run(&["check-config", "--config-file", bench.file()]);
    assert_eq!(said.code, 0, "{}", said.text);
    assert!(said.text.contains("the configuration is good"), "{}", said.text);
    assert!(said.text.contains("thing board-7 at localhost port 8883"), "{}", said.text);
}

#[test]
fn all_complaints_come_at_once_each_with_its_key_and_its_mend() {
    let bench = Bench::new();
    bench.config(r#"{"endpoint": "https://a.example:8883/", "port": 0, "cert": "/nowhere/c.pem", "logging": {"level": "LOUD"}}"#);
    for words in [&["check-config"][..], &["run"], &[]] {
        let said = bench.run(&[words, &["--config-file", bench.file()]].concat());
        assert_eq!(said.code, 78, "{}", said.text);
        for part in [
            "endpoint: `https://a.example:8883/` has a scheme; write the host name alone",
            "port: is 0; give a whole number from 1 to 65535",
            "thing-name: is missing",
            "cert: /nowhere/c.pem cannot be read",
            "key: is missing",
            "logging.level: `LOUD` is no level",
        ] {
            assert!(said.text.contains(part), "{part:?} is not in:\n{}", said.text);
        }
    }
}

#[test]
fn a_key_that_others_can_read_is_refused_with_the_command_that_mends_it() {
    let bench = Bench::new();
    bench.config(GOOD);
    bench.chmod("device.key", 0o644);
    let said = bench.run(&["--config-file", bench.file()]);
    assert_eq!(said.code, 78, "{}", said.text);
    assert!(said.text.contains(&format!("run: chmod 600 {}", bench.path("device.key"))), "{}", said.text);
}

/// Whoever can change it can run what he likes; and a board that does not start cannot be repaired from afar.
#[test]
fn a_configuration_that_others_can_change_is_found_by_the_check() {
    let complaint = |prepare: &dyn Fn(&Bench)| {
        let bench = Bench::new();
        bench.config(GOOD);
        prepare(&bench);
        let said = bench.run(&["check-config", "--config-file", bench.file()]);
        assert_eq!(said.code, 78, "{}", said.text);
        let told = said.text.lines().find_map(|line| line.strip_prefix("error: --config-file: "));
        told.unwrap_or(&said.text).replace(&bench.path(""), "DIR/")
    };
    assert_eq!(
        complaint(&|bench| bench.chmod("fleethand.conf", 0o620)),
        "DIR/fleethand.conf can be changed by others (mode 620); run: chmod go-w DIR/fleethand.conf"
    );
    let of_directory = complaint(&|bench| bench.chmod(".", 0o777));
    assert!(of_directory.contains("can be changed by others (mode 777); run: chmod go-w "), "{of_directory}");
    if rustix::process::geteuid().is_root() {
        let owned = |bench: &Bench| std::os::unix::fs::chown(bench.file(), Some(65534), None).unwrap();
        assert_eq!(
            complaint(&owned),
            "DIR/fleethand.conf belongs to user 65534, neither root nor us; run: chown 0 DIR/fleethand.conf"
        );
    }
}

#[test]
fn a_key_of_another_certificate_is_found_before_the_first_connection() {
    let bench = Bench::new();
    bench.config(GOOD);
    bench.another_key();
    for word in ["check-config", "run"] {
        let said = bench.run(&[word, "--config-file", bench.file()]);
        assert_eq!(said.code, 78, "{}", said.text);
        assert!(said.text.contains("does not belong to the certificate"), "{}", said.text);
    }
}

#[test]
fn a_file_that_was_named_must_be_there() {
    let bench = Bench::new();
    let said = bench.run(&["--config-file", "/nowhere/fleethand.conf"]);
    assert_eq!(said.code, 78, "{}", said.text);
    assert!(said.text.contains("cannot read /nowhere/fleethand.conf"), "{}", said.text);
}

#[test]
fn without_any_file_it_is_said_where_one_was_looked_for() {
    let bench = Bench::new();
    let said = bench.run(&["check-config"]);
    assert_eq!(said.code, 78, "{}", said.text);
    assert!(said.text.contains("/etc/fleethand/fleethand.conf"), "{}", said.text);
    assert!(said.text.contains(".aws-iot-device-client/aws-iot-device-client.conf"), "{}", said.text);
}

#[test]
fn an_unknown_key_is_an_error_for_the_check() {
    let bench = Bench::new();
    bench.config(&GOOD.replacen('{', r#"{"endpont": "x", "_note": "a comment","#, 1));
    let said = bench.run(&["check-config", "--config-file", bench.file()]);
    assert_eq!(said.code, 78, "{}", said.text);
    assert!(said.text.contains("error: endpont: no such key is known"), "{}", said.text);
    assert!(!said.text.contains("_note"), "{}", said.text);
}

#[test]
fn users_and_directories_that_are_allowed_and_do_not_exist_are_found_by_the_check() {
    let bench = Bench::new();
    let jobs = |more: &str| GOOD.replacen(r#""jobs": {"#, &format!(r#""jobs": {{{more},"#), 1);
    bench.config(&jobs(
        r#""allowed-users": ["root", "no-such-user", "-u"], "allowed-paths": ["/usr/bin", "DIR/nowhere"]"#,
    ));
    let said = bench.run(&["check-config", "--config-file", bench.file()]);
    assert_eq!(said.code, 78, "{}", said.text);
    for part in [
        "error: jobs.allowed-users: user `no-such-user` does not exist on this device",
        "error: jobs.allowed-users: user `-u` does not exist on this device",
        "error: jobs.allowed-paths: DIR/nowhere is no directory",
    ] {
        assert!(
            said.text.contains(&part.replace("DIR", &bench.path(""))[..].replace("//", "/")),
            "{}",
            said.text
        );
    }
    assert_eq!(said.text.matches("error: ").count(), 3, "{}", said.text);
    bench.config(&jobs(r#""allowed-users": [], "allowed-paths": [], "allow-commands": false"#));
    let said = bench.run(&["check-config", "--config-file", bench.file()]);
    assert_eq!(said.code, 0, "{}", said.text);
    assert!(said.text.contains("may name no user but the agent's own, no directory"), "{}", said.text);
}

#[test]
fn a_restriction_of_a_wrong_type_keeps_the_agent_from_starting() {
    for (restriction, complaint) in [
        (r#""allowed-users": "deploy","#, "jobs.allowed-users: is a string, wanted an array of strings; "),
        (r#""allowed-users": [1001],"#, "jobs.allowed-users[0]: is 1001, wanted a string; "),
        (r#""allowed-paths": {},"#, "jobs.allowed-paths: is an object, wanted an array of strings; "),
        (r#""allow-commands": "no","#, "jobs.allow-commands: is a string, wanted true or false; "),
    ] {
        let bench = Bench::new();
        bench.config(&GOOD.replacen(r#""jobs": {"#, &format!(r#""jobs": {{{restriction}"#), 1));
        let said = bench.run(&["--config-file", bench.file()]);
        assert_eq!(said.code, 78, "{}", said.text);
        assert!(said.text.contains(complaint), "{}", said.text);
    }
}

#[test]
fn what_is_not_json_is_reported_with_line_and_column() {
    let bench = Bench::new();
    bench.config("{\n  \"endpoint\": \"a\",\n  \"cert\" \"b\"\n}");
    let said = bench.run(&["--config-file", bench.file()]);
    assert_eq!(said.code, 78, "{}", said.text);
    assert!(said.text.contains("line 3, column 10"), "{}", said.text);
}

#[test]
fn values_of_a_wrong_type_come_all_at_once_and_are_not_missed_as_well() {
    let bench = Bench::new();
    bench.config(r#"{"endpoint": 5, "port": "8883", "cert": ["/c"], "thing-name": "a", "jobs": {"enabled": "true", "handlers": 1}}"#);
    let said = bench.run(&["check-config", "--config-file", bench.file()]);
    assert_eq!(said.code, 78, "{}", said.text);
    let errors: Vec<_> = said.text.lines().filter_map(|line| line.strip_prefix("error: ")).collect();
    assert_eq!(
        errors,
        [
            "cert: is an array, wanted a string; write a string, in double quotes",
            "endpoint: is 5, wanted a string; write a string, in double quotes",
            "jobs.enabled: is a string, wanted true or false; write true or false, without quotes",
            "jobs.handlers: is 1, wanted an object; write its keys in braces: {\"key\": …}",
            "port: is a string, wanted a whole number; write a whole number, without quotes",
            "key: is missing; set it",
        ]
    );
}

#[test]
fn a_variable_that_nobody_asked_for_is_told_by_its_name() {
    let bench = Bench::new();
    bench.config(GOOD);
    let said =
        bench.run_with(&["check-config", "--config-file", bench.file()], &[("FLEETHAND_GRACE_SECONDS", "5")]);
    assert_eq!(said.code, 78, "{}", said.text);
    let complaint = "error: FLEETHAND_GRACE_SECONDS: no such key is known (in the environment)";
    assert!(said.text.contains(complaint), "{}", said.text);
}

#[test]
fn a_wrong_type_in_the_environment_is_told_by_the_name_of_the_variable() {
    let bench = Bench::new();
    bench.config(GOOD);
    let said =
        bench.run_with(&["check-config", "--config-file", bench.file()], &[("FLEETHAND_PORT", "many")]);
    assert_eq!(said.code, 78, "{}", said.text);
    assert!(said.text.contains("error: FLEETHAND_PORT: is a string, wanted a whole number"), "{}", said.text);
    assert_eq!(said.text.matches("error: ").count(), 1, "{}", said.text);
}

/// What keeps no Device Client from starting keeps no board from working, and is found by the check.
#[test]
fn what_the_device_client_reads_all_the_same_is_a_warning_at_start_and_an_error_for_the_check() {
    for (text, complaint) in [
        (
            GOOD.replacen('{', "{\"logging\": {\"level\": 5, \"enable-sdk-logging\": \"true\"},", 1),
            "logging.level: is 5, wanted a string; ",
        ),
        (GOOD.replacen('{', "{\"logging\": \"DEBUG\",", 1), "logging: is a string, wanted an object; "),
        (
            GOOD.replacen("\"board-7\",", "\"board-7\", \"thing-name\": \"other\",", 1),
            "thing-name: is there twice, and the first one counts; ",
        ),
        (
            GOOD.replacen('{', "{\"runtime-config\": {\"completed-fp\": \"true\"},", 1),
            "runtime-config.completed-fp: is a string",
        ),
        (
            GOOD.replacen('{', "{\"logging\": {\"type\": \"FILE\", \"file\": \"DIR/nowhere/x.log\"},", 1),
            "logging.file: its directory ",
        ),
    ] {
        let bench = Bench::new();
        bench.config(&text);
        let said = bench.run(&["check-config", "--config-file", bench.file()]);
        assert_eq!(said.code, 78, "{}", said.text);
        assert!(said.text.contains(complaint), "{complaint:?} is not in:\n{}", said.text);
        assert!(said.text.contains("thing board-7 at localhost"), "{}", said.text);
    }
    for text in [
        format!("\u{feff}{GOOD}"),
        GOOD.replacen('{', "{\"logging\": {\"level\": \"\", \"type\": \"\", \"file\": \"\"},", 1),
        GOOD.replacen('{', "{\"logging\": null, \"tunneling\": null, \"fleet-provisioning\": null,", 1),
    ] {
        let bench = Bench::new();
        bench.config(&text);
        let said = bench.run(&["check-config", "--config-file", bench.file()]);
        assert_eq!(said.code, 0, "{text}: {}", said.text);
    }
}

#[test]
fn a_file_too_long_to_be_a_configuration_is_not_read() {
    let bench = Bench::new();
    bench.config(&format!("{{\"_\": \"{}\"}}", "x".repeat(70_000)));
    let said = bench.run(&["check-config", "--config-file", bench.file()]);
    assert_eq!(said.code, 78, "{}", said.text);
    assert!(said.text.contains("is longer than 65536 bytes"), "{}", said.text);
}

#[test]
fn features_that_are_not_here_bring_one_warning_each_and_no_failure() {
    let bench = Bench::new();
    bench.config(&GOOD.replacen(
        '{',
        r#"{"tunneling": {"enabled": true}, "samples": {"pub-sub": {"enabled": true}}, "device-defender": {"enabled": false},"#,
        1,
    ));
    let said = bench.run(&["check-config", "--config-file", bench.file(), "--enable-sdk-logging"]);
    assert_eq!(said.code, 0, "{}", said.text);
    assert_eq!(said.text.matches("warning: ").count(), 3, "{}", said.text);
}

#[test]
fn a_secure_element_or_a_proxy_that_is_switched_on_is_an_error() {
    let bench = Bench::new();
    bench.config(&GOOD.replacen(
        '{',
        r#"{"secure-element": {"enabled": true, "secure-element-pin": "sesame"},"#,
        1,
    ));
    bench.write("proxy.conf", r#"{"http-proxy-enabled": true, "http-proxy-password": "sesame"}"#);
    let proxy = bench.path("proxy.conf");
    let said =
        bench.run(&["--config-file", bench.file(), "--http-proxy-config", &proxy, "--log-level", "TRACE"]);
    assert_eq!(said.code, 78, "{}", said.text);
    assert!(said.text.contains("secure-element.enabled: "), "{}", said.text);
    assert!(said.text.contains("http-proxy-enabled: "), "{}", said.text);
    assert!(!said.text.contains("sesame"), "a secret is told:\n{}", said.text);
}

#[test]
fn the_environment_and_flags_lie_over_the_file() {
    let bench = Bench::new();
    bench.config(GOOD);
    let variables = [("FLEETHAND_THING_NAME", "from-environment"), ("FLEETHAND_PORT", "1883")];
    let said = bench.run_with(&["check-config", "--config-file", bench.file(), "--port", "443"], &variables);
    assert_eq!(said.code, 0, "{}", said.text);
    assert!(said.text.contains("thing from-environment at localhost port 443"), "{}", said.text);
}

#[test]
fn a_handler_that_jobs_could_not_use_is_found_by_the_check() {
    let bench = Bench::new();
    bench.config(GOOD);
    bench.write("handlers/open.sh", "#!/bin/sh\n");
    bench.chmod("handlers/open.sh", 0o755);
    bench.write("handlers/good.sh", "#!/bin/sh\n");
    bench.chmod("handlers/good.sh", 0o700);
    bench.write("handlers/README", "not a handler");
    bench.write("handlers/plain.sh", "echo hello\n");
    bench.chmod("handlers/plain.sh", 0o700);
    let said = bench.run(&["check-config", "--config-file", bench.file()]);
    assert_eq!(said.code, 78, "{}", said.text);
    assert_eq!(said.text.matches("error: ").count(), 2, "{}", said.text);
    assert!(
        said.text.contains("plain.sh: it is neither a program for this machine nor a script"),
        "{}",
        said.text
    );
    assert!(said.text.contains(&format!("chmod 700 {}", bench.path("handlers/open.sh"))), "{}", said.text);
}

#[test]
fn a_handler_directory_that_others_can_enter_is_found_by_the_check() {
    let bench = Bench::new();
    bench.config(GOOD);
    bench.chmod("handlers", 0o755);
    let said = bench.run(&["check-config", "--config-file", bench.file()]);
    assert_eq!(said.code, 78, "{}", said.text);
    assert!(said.text.contains(&format!("chmod 700 {}", bench.path("handlers"))), "{}", said.text);
}

#[test]
fn a_handler_directory_that_is_not_there_is_found_by_the_check() {
    let bench = Bench::new();
    bench.config(&GOOD.replace("DIR/handlers", "DIR/nowhere"));
    let said = bench.run(&["check-config", "--config-file", bench.file()]);
    assert_eq!(said.code, 78, "{}", said.text);
    assert!(said.text.contains("run: mkdir -p -m 700"), "{}", said.text);
}

#[test]
fn a_command_line_that_is_not_understood_ends_with_64() {
    let bench = Bench::new();
    for words in [&["--endpont", "x"][..], &["fly"], &["--port", "many"]] {
        let said = bench.run(words);
        assert_eq!(said.code, 64, "{words:?}: {}", said.text);
    }
}

#[test]
fn a_report_that_nobody_can_take_is_told_to_who_made_it() {
    let bench = Bench::new();
    let said = bench.run(&["report", "half"]);
    assert_eq!(said.code, 64, "{}", said.text);
    assert!(said.text.contains("HANDLER_PROGRESS_FD is not set"), "{}", said.text);
    let said = bench.run_with(&["report", "half"], &[("HANDLER_PROGRESS_FD", "/etc/passwd")]);
    assert_eq!(said.code, 64, "{}", said.text);
    let said = bench.run_with(&["report", "half"], &[("HANDLER_PROGRESS_FD", "99")]);
    assert_eq!(said.code, 74, "{}", said.text);
    assert!(said.text.contains("cannot write to descriptor 99"), "{}", said.text);
    assert_eq!(bench.run(&["report"]).code, 64, "nothing to report");
    let help = bench.run(&["report", "--help"]);
    assert!(help.code == 0 && help.text.contains("NAME=VALUE"), "{}", help.text);
}

#[test]
fn help_and_version_end_with_0() {
    let bench = Bench::new();
    let version = bench.run(&["--version"]);
    assert_eq!((version.code, version.text.trim()), (0, concat!("fleethand ", env!("CARGO_PKG_VERSION"))));
    let help = bench.run(&["--help"]);
    assert_eq!(help.code, 0);
    assert!(!help.text.contains("keeper") && !help.text.contains("secure-element-pin"), "{}", help.text);
}

/// The files that are shipped, with their paths moved and the place-holders of the operator filled in.
#[test]
fn every_shipped_example_passes_the_check() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
    let mut found = 0;
    for entry in std::fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "conf") {
            continue;
        }
        found += 1;
        let bench = Bench::new();
        let text = std::fs::read_to_string(&path).unwrap();
        bench.config(
            &text
                .replace("/etc/fleethand/device.pem.crt", "DIR/device.pem")
                .replace("/etc/fleethand/device.pem.key", "DIR/device.key")
                .replace("/etc/fleethand/AmazonRootCA1.pem", "DIR/ca.pem")
                .replace("/etc/fleethand/handlers", "DIR/handlers")
                .replace("REPLACE-ME", "mine"),
        );
        let said = bench.run(&["check-config", "--config-file", bench.file()]);
        assert_eq!(said.code, 0, "{}: {}", path.display(), said.text);
        assert!(!said.text.contains("warning"), "{}: {}", path.display(), said.text);
    }
    assert!(found >= 2, "the examples are not where they were");
}
