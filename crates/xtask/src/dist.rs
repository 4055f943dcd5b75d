//! Static programs for boards: one file for each target, with nothing beside it, small enough for a Pi Zero.
//!
//! The standard library is built along, without what only a backtrace needs: stripped programs have none to show.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::cargo::root;
use crate::error::TaskError;

/// Raspberry Pi 3 and later with a 64-bit system; Pi 2 and later with a 32-bit one; Pi 1 and Zero; gateways.
pub(crate) const TARGETS: [&str; 4] = [
    "aarch64-unknown-linux-musl",
    "armv7-unknown-linux-musleabihf",
    "arm-unknown-linux-musleabihf",
    "x86_64-unknown-linux-musl",
];

/// What the daemon may take of a board's flash, in bytes: a promise of the project.
const LARGEST: u64 = 2_500_000;

/// Builds the daemon for each target.
pub(crate) fn run(targets: &[String]) -> Result<(), TaskError> {
    for target in targets {
        program(target)?;
    }
    Ok(())
}

/// Builds the daemon for a target, and refuses one that has grown too large.
pub(crate) fn program(target: &str) -> Result<PathBuf, TaskError> {
    let program = build(target)?;
    let size = fs::metadata(&program).map_err(TaskError::io(format!("find {}", program.display())))?.len();
    println!("{target}: {size} bytes, {}", program.display());
    if size > LARGEST {
        let found = format!("{size} bytes, more than {LARGEST}");
        return Err(TaskError::Strange { what: "the size of the program", found });
    }
    Ok(program)
}

fn build(target: &str) -> Result<PathBuf, TaskError> {
    let directory = root().join("target/dist");
    let status = Command::new("cargo-zigbuild")
        .current_dir(root())
        .arg("rustc")
        .args(["--release", "--locked", "--package", "fleethand", "--bin", "fleethand", "--target", target])
        .arg("--target-dir")
        .arg(&directory)
        .args(["-Zbuild-std=std,panic_abort", "-Zbuild-std-features="])
        // The start-up files come from zig; both sets together do not link.
        .args(["--", "-C", "link-self-contained=no"])
        // The released compiler builds its own standard library when it is told to trust itself.
        .env("RUSTC_BOOTSTRAP", "1")
        // Nothing unwinds in a release.
        .env("RUSTFLAGS", "-Cforce-unwind-tables=no")
        .status()
        .map_err(TaskError::io("start cargo-zigbuild (docs/building.md says what to install)"))?;
    if !status.success() {
        return Err(TaskError::Program { program: "cargo-zigbuild".into(), status });
    }
    Ok(directory.join(target).join("release/fleethand"))
}
