//! `fleethand report`: what a handler calls to say how far it is. Small and quick, since it may be called often; it
//! writes a line and is gone.

use std::ffi::OsString;
use std::process::ExitCode;

use handler_runner::ReportError;

use crate::chain::Chain;
use crate::exit::Exit;

/// The word on the command line.
const WORD: &str = "report";

/// Reports, if that is what this process was started for: before the command line is read as a whole, which would take
/// longer than all the rest.
pub(crate) fn in_short(mut arguments: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    if arguments.nth(1)? != WORD {
        return None;
    }
    let texts: Vec<OsString> = arguments.collect();
    // Whoever asks for help gets it from where all help is.
    let asks = texts.is_empty() || texts.iter().any(|text| text == "--help" || text == "-h");
    (!asks).then(|| report(texts).map_or_else(ExitCode::from, |()| ExitCode::SUCCESS))
}

/// Reports each text.
#[expect(clippy::print_stderr, reason = "this is no daemon: its caller is a handler, or a person who tries")]
pub(crate) fn report(texts: Vec<OsString>) -> Result<(), Exit> {
    handler_runner::report(texts).map_err(|error| {
        eprintln!("fleethand report: {}", Chain(&error));
        match error {
            ReportError::NoDescriptor => Exit::Usage,
            ReportError::Write { .. } => Exit::Storage,
        }
    })
}
