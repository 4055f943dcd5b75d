//! The shipped units, read by systemd itself: any complaint is a failure, since for most of them `verify` ends
//! with 0.

use std::path::Path;
use std::process::Command;

#[test]
fn the_unit_and_its_hardening_are_understood_by_systemd() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        println!("SKIPPED: there is no systemd-analyze here");
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../systemd");
    let unit = std::fs::read_to_string(root.join("fleethand.service")).unwrap();
    let unit = unit.replace("/usr/bin/fleethand", env!("CARGO_BIN_EXE_fleethand"));
    let hardening = std::fs::read_to_string(root.join("fleethand.service.d/hardening.conf.example")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in
        [("plain.service", unit.clone()), ("hardened.service", format!("{unit}\n{hardening}"))]
    {
        let file = directory.path().join(name);
        std::fs::write(&file, text).unwrap();
        let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(file).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{name}: {said}");
    }
}

#[test]
fn the_unit_keeps_what_a_running_handler_needs() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../systemd");
    let unit = std::fs::read_to_string(root.join("fleethand.service")).unwrap();
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
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../systemd");
    let hardening = std::fs::read_to_string(root.join("fleethand.service.d/hardening.conf.example")).unwrap();
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
