//! A Debian package of the daemon: its program, its unit, the directories it expects, and the examples. `dpkg-deb` packs
//! what is laid out here.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::cargo::root;
use crate::dist;
use crate::error::TaskError;

/// Directories, with their modes: the configuration's, and that of the handlers as the agent demands it.
const DIRECTORIES: [(&str, u32); 2] = [("etc/fleethand", 0o755), ("etc/fleethand/handlers", 0o700)];

/// Where files of the checkout go. The configuration is the operator's to write, so it is an example.
const FILES: [(&str, &str); 6] = [
    ("systemd/fleethand.service", "usr/lib/systemd/system/fleethand.service"),
    (
        "systemd/fleethand.service.d/hardening.conf.example",
        "usr/share/doc/fleethand/examples/hardening.conf.example",
    ),
    ("config/minimal.conf", "usr/share/doc/fleethand/examples/minimal.conf"),
    ("config/fleethand.conf", "usr/share/doc/fleethand/examples/fleethand.conf"),
    ("config/README.md", "usr/share/doc/fleethand/configuration.md"),
    ("LICENSE", "usr/share/doc/fleethand/copyright"),
];

/// What dpkg runs before and after.
const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

/// Builds the daemon for each target, and packs it.
pub(crate) fn run(targets: &[String]) -> Result<(), TaskError> {
    for target in targets {
        let architecture = architecture(target).ok_or_else(|| TaskError::Strange {
            what: "the target",
            found: format!("{target}, for which Debian has no name here"),
        })?;
        let program = dist::program(target)?;
        let package = pack(&program, architecture, program.parent().unwrap_or(Path::new(".")))?;
        println!("{target}: {}", package.display());
    }
    Ok(())
}

/// Debian's name. Raspberry Pi OS calls ARMv6 armhf as well.
fn architecture(target: &str) -> Option<&'static str> {
    let (processor, _) = target.split_once('-')?;
    match processor {
        "aarch64" => Some("arm64"),
        "armv7" | "arm" => Some("armhf"),
        "x86_64" => Some("amd64"),
        _ => None,
    }
}

/// Packs a program into a package of that architecture in a directory.
pub(crate) fn pack(program: &Path, architecture: &str, into: &Path) -> Result<PathBuf, TaskError> {
    let place = TempDir::with_prefix("fleethand-").map_err(TaskError::io("make a temporary directory"))?;
    let tree = place.path().join("package");
    for (name, mode) in DIRECTORIES {
        directory(&tree.join(name))?;
        set_mode(&tree.join(name), mode)?;
    }
    copy(program, &tree.join("usr/bin/fleethand"), 0o755)?;
    for (from, to) in FILES {
        copy(&root().join(from), &tree.join(to), 0o644)?;
    }
    for script in SCRIPTS {
        copy(&root().join("packaging/debian").join(script), &tree.join("DEBIAN").join(script), 0o755)?;
    }
    let control = root().join("packaging/debian/control");
    let text = fs::read_to_string(&control).map_err(TaskError::io(format!("read {}", control.display())))?;
    let text = text.replace("ARCHITECTURE", architecture).replace("VERSION", env!("CARGO_PKG_VERSION"));
    let control = tree.join("DEBIAN/control");
    fs::write(&control, text).map_err(TaskError::io(format!("write {}", control.display())))?;
    set_mode(&control, 0o644)?;

    let package = into.join(format!("fleethand_{}_{architecture}.deb", env!("CARGO_PKG_VERSION")));
    let status = Command::new("dpkg-deb")
        .args(["--root-owner-group", "--build"])
        .args([&tree, &package])
        .stdout(Stdio::null())
        .status()
        .map_err(TaskError::io("start dpkg-deb"))?;
    if status.success() {
        Ok(package)
    } else {
        Err(TaskError::Program { program: "dpkg-deb".into(), status })
    }
}

/// Copies a file; the directories above it are open to all, whatever the umask.
fn copy(from: &Path, to: &Path, mode: u32) -> Result<(), TaskError> {
    if let Some(above) = to.parent() {
        directory(above)?;
    }
    fs::copy(from, to).map_err(TaskError::io(format!("copy {}", from.display())))?;
    set_mode(to, mode)
}

fn directory(path: &Path) -> Result<(), TaskError> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent() {
        directory(above)?;
    }
    fs::create_dir(path).map_err(TaskError::io(format!("make {}", path.display())))?;
    set_mode(path, 0o755)
}

fn set_mode(path: &Path, mode: u32) -> Result<(), TaskError> {
    fs::set_permissions(path, Permissions::from_mode(mode))
        .map_err(TaskError::io(format!("set the mode of {}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_of_the_boards_has_an_architecture() {
        for target in dist::TARGETS {
            assert!(architecture(target).is_some(), "{target}");
        }
        assert_eq!(architecture("riscv64gc-unknown-linux-gnu"), None);
    }

    #[test]
    fn the_package_holds_what_the_unit_and_the_agent_expect_with_its_modes() {
        if Command::new("dpkg-deb").arg("--version").output().is_err() {
            println!("skipped: there is no dpkg-deb here");
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let program = place.path().join("program");
        fs::write(&program, "#!/bin/sh\n").unwrap();
        let package = pack(&program, "arm64", place.path()).unwrap();
        let contents = Command::new("dpkg-deb").arg("--contents").arg(&package).output().unwrap();
        let contents = String::from_utf8(contents.stdout).unwrap();
        for (mode, name) in [
            ("-rwxr-xr-x", "./usr/bin/fleethand"),
            ("-rw-r--r--", "./usr/lib/systemd/system/fleethand.service"),
            ("drwxr-xr-x", "./usr/"),
            ("drwxr-xr-x", "./etc/fleethand/"),
            ("drwx------", "./etc/fleethand/handlers/"),
        ] {
            let found = contents.lines().find(|line| line.ends_with(&format!(" {name}")));
            assert!(
                found.is_some_and(|line| line.starts_with(mode) && line.contains("root/root")),
                "{contents}"
            );
        }
        let control = Command::new("dpkg-deb").arg("--field").arg(&package).output().unwrap();
        let control = String::from_utf8(control.stdout).unwrap();
        assert!(control.contains("Architecture: arm64\n") && !control.contains("VERSION"), "{control}");
    }
}
