//! What is shipped besides code, held against what is said about it: the table of dependencies, licences, the systemd
//! unit, the sample documents, the policies, the pages, the bans of the pure crates. Nothing is built or run here but tools that only read.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by a panic, and says on standard error what it leaves out"
)]

mod dependencies;
mod differences;
mod files;
mod licences;
mod metadata;
mod pages;
mod policies;
mod samples;
mod unit;

use std::path::{Path, PathBuf};

/// The top of the checkout.
fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().expect("the package stands below the workspace").to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Says that a check cannot be made here. Where everything has been installed for it, that is a failure.
fn skip(check: &str, why: &str) {
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{check} could not be checked: {why}");
    eprintln!("SKIPPED: {check}: {why}");
}
