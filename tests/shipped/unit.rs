//! The systemd unit, judged by systemd's own tool.

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
