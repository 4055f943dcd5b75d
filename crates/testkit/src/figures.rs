//! What a suite has counted, for whoever asked to know (`cargo xtask reliability`), and what it could not do.

use std::fs::OpenOptions;
use std::io::Write;

/// Names the file to which counts are added, a line each.
const FIGURES: &str = "FLEETHAND_FIGURES";

/// If set, nothing may be left out.
const NO_SKIPS: &str = "FLEETHAND_NO_SKIPS";

/// Tells that so many of these were gone through and all was well.
pub fn figure(name: &str, count: u64) {
    let Some(path) = std::env::var_os(FIGURES) else { return };
    let file = OpenOptions::new().append(true).create(true).open(path);
    // In one piece, since the tests of a suite run side by side.
    let line = format!("{name}\t{count}\n");
    file.and_then(|mut file| file.write_all(line.as_bytes()))
        .expect("the file of the figures can be written");
}

/// Says visibly that a check is left out here, and why. Where nothing may be left out it is a failure.
#[expect(clippy::print_stderr, reason = "what was not tested has to be seen")]
pub fn skip(check: &str, why: &str) {
    assert!(std::env::var_os(NO_SKIPS).is_none(), "{check} may not be left out, but {why}");
    eprintln!("SKIPPED: {check}: {why}");
}
