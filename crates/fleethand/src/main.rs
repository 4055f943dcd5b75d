//! fleethand, the daemon: a table of contents. The keeper comes first, because it must be small and quick and
//! needs nothing of the rest.

mod chain;
mod check;
mod cli;
mod clock;
mod clock_watch;
mod config;
mod device_facts;
mod exit;
mod handlers;
mod journal_file;
mod link;
mod notify;
mod perform;
mod readiness;
mod reboot;
mod report;
mod run;
mod shell;
mod signals;
mod state_dir;
mod telemetry;
mod worded;

use std::process::ExitCode;

use cli::Command;
use exit::Exit;

fn main() -> ExitCode {
    if let Some(code) = handlers::keeper(std::env::args_os()) {
        return code;
    }
    if let Some(code) = report::in_short(std::env::args_os()) {
        return code;
    }
    let command = match cli::parse(std::env::args_os()) {
        Ok(command) => command,
        Err(error) => return cli::explain(&error),
    };
    let outcome = match command {
        Command::Run(flags) => run::run(&flags),
        Command::Report(texts) => report::report(texts),
        Command::CheckConfig(flags) => {
            // A report that nobody can read has found nothing.
            check::check_config(&flags, &mut std::io::stdout().lock()).unwrap_or(Err(Exit::Storage))
        }
    };
    outcome.map_or_else(ExitCode::from, |()| ExitCode::SUCCESS)
}
