//! `fleethand-sandbox`: try things out with AWS IoT Jobs, on both sides of a job. Control-plane commands go to the local
//! service (or to AWS) over HTTP, device commands over MQTT with the device's certificate; what the service tells the
//! device is shown as it comes. A table of contents.

mod chain;
mod cli;
mod commands;
mod control;
mod device;
mod exit;
mod json;
mod names;
mod one_shot;
mod place;
mod repl;
mod screen;
mod session;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match cli.command {
        Some(command) => one_shot::run(&cli.flags, command),
        None => repl::run(&cli.flags),
    }
}
