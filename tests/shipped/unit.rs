//! The systemd unit and its hardening, judged by systemd's own tool, and what running handlers need of them.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

#[test]
fn systemd_finds_nothing_to_say_about_the_unit() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        return crate::skip("the systemd unit", "systemd-analyze is not installed");
    }
    // An image of a machine with the daemon: the tool also looks for the programs, and its exit code is 0 even for
    // keys that it does not know.
    let image = tempfile::tempdir().unwrap();
    let units = image.path().join("usr/lib/systemd/system");
    fs::create_dir_all(&units).unwrap();
    for program in ["usr/bin/fleethand", "bin/sh"] {
        let program = image.path().join(program);
        fs::create_dir_all(program.parent().unwrap()).unwrap();
        fs::write(&program, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    }
    for target in ["sysinit", "basic", "shutdown", "network-online", "multi-user"] {
        let path = units.join(format!("{target}.target"));
        fs::write(path, "[Unit]\nDescription=A target\nDefaultDependencies=no\n").unwrap();
    }
    fs::write(units.join("fleethand.service"), crate::read("systemd/fleethand.service")).unwrap();
    let output = verify(image.path());
    assert!(output.is_empty(), "{output}");

    // And with the hardening that an operator can switch on.
    let drop_in = units.join("fleethand.service.d");
    fs::create_dir_all(&drop_in).unwrap();
    let hardening = crate::read("systemd/fleethand.service.d/hardening.conf.example");
    fs::write(drop_in.join("hardening.conf"), hardening).unwrap();
    let output = verify(image.path());
    assert!(output.is_empty(), "{output}");

    fs::write(drop_in.join("wrong.conf"), "[Service]\nRestrat=always\n").unwrap();
    assert!(verify(image.path()).contains("Restrat"), "the check cannot fail");
}

#[test]
fn the_unit_keeps_what_a_running_handler_needs() {
    let unit = crate::read("systemd/fleethand.service");
    for line in [
        "Type=notify",
        "KillMode=process",
        "OOMPolicy=continue",
        "StartLimitIntervalSec=0",
        "StateDirectory=fleethand",
        "RestartPreventExitStatus=78 64",
    ] {
        assert!(unit.lines().any(|found| found == line), "{line} is missing");
    }
    for key in ["RuntimeDirectory=", "PrivateTmp="] {
        assert!(!unit.lines().any(|found| found.starts_with(key)), "{key} takes a handler's files away");
    }
}

#[test]
fn under_the_hardening_systemd_can_still_be_told_to_restart_the_machine_and_the_service_reached() {
    let hardening = crate::read("systemd/fleethand.service.d/hardening.conf.example");
    let families = hardening.lines().find_map(|line| line.strip_prefix("RestrictAddressFamilies=")).unwrap();
    for family in ["AF_UNIX", "AF_INET", "AF_INET6"] {
        assert!(families.split(' ').any(|found| found == family), "{family} is missing");
    }
    // None of these can be had together with handlers that are root.
    for key in
        ["User=", "CapabilityBoundingSet=", "SystemCallFilter=", "ProtectSystem=strict", "PrivateDevices="]
    {
        assert!(
            !hardening.lines().any(|line| line.starts_with(key)),
            "{key} takes more than the comments tell"
        );
    }
}

/// Everything that the tool says about the unit in this image.
fn verify(image: &std::path::Path) -> String {
    let output = Command::new("systemd-analyze")
        .arg("verify")
        .arg(format!("--root={}", image.display()))
        .arg("fleethand.service")
        .output()
        .unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
