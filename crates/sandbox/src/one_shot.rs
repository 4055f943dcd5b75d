//! One command: JSON on standard output, words on standard error, and an exit code.

use std::process::ExitCode;
use std::sync::Arc;

use crate::chain::Chain;
use crate::cli::{Flags, OneShot};
use crate::commands;
use crate::exit::WRONG_CONFIGURATION;
use crate::screen::Screen;
use crate::session::{CommandError, Session};

pub(crate) fn run(flags: &Flags, command: OneShot) -> ExitCode {
    let screen = Arc::new(Screen::one_shot());
    let outcome =
        Session::new(flags, Arc::clone(&screen)).map_err(CommandError::from).and_then(
            |session| match command {
                OneShot::Command(command) => commands::run(command, &session),
                OneShot::Watch => commands::watch(&session),
            },
        );
    match outcome {
        Ok(()) if screen.has_failed() => ExitCode::FAILURE,
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            screen.error(&Chain(&error).to_string());
            if matches!(error, CommandError::Place(_)) {
                ExitCode::from(WRONG_CONFIGURATION)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}
