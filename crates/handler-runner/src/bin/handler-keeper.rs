//! The keeper as a program of its own, for this crate's tests: cargo tells a test only the paths of its own package's
//! programs. The daemon calls the same function behind a hidden subcommand, and this program is not shipped.

use std::process::ExitCode;

fn main() -> ExitCode {
    handler_runner::keeper_main(std::env::args_os().skip(1))
}
