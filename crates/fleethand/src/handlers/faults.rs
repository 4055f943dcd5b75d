//! What is wrong with the handler directory before any job needs it. The rules are `handler-runner`'s own: what
//! is said here is what a job would be rejected with.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use handler_runner::{Place, Program, Refusal, Settings};

use super::words::to_check;
use crate::chain::Chain;
use crate::config::{Jobs, Remark};

/// What is wrong with the handler directory and with what in it looks like a handler. No reason not to start:
/// such a job is refused with the same words.
pub(crate) fn faults(jobs: &Jobs) -> Vec<Remark> {
    const KEY: &str = "jobs.handler-directory";
    if !jobs.enabled {
        return Vec::new();
    }
    let directory = &jobs.handler_directory;
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => {
            let what = format!("{} cannot be read ({error})", directory.display());
            return vec![Remark::new(KEY, what, format!("run: mkdir -p -m 700 {}", directory.display()))];
        }
    };
    let mut names: Vec<String> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let metadata = entry.metadata().ok()?;
            let name = entry.file_name().into_string().ok()?;
            let script = Path::new(&name).extension().is_some_and(|extension| extension == "sh");
            let executable = metadata.permissions().mode() & 0o111 != 0;
            (!metadata.is_dir() && (executable || script)).then_some(name)
        })
        .take(MOST_NAMES)
        .collect();
    names.sort_unstable();
    // Nothing is started, so no run needs a directory.
    let settings = Settings::new(directory.clone(), PathBuf::new());
    let refusal = |name: &str| {
        let program = Program::Handler { name: name.to_owned(), place: Place::HandlerDirectory };
        handler_runner::check(&settings, &to_check(program, Vec::new(), None)).err()
    };
    // A name that is not there: what else is said about it concerns the directory.
    if let Some(refusal) = refusal(NO_HANDLER).filter(|refusal| !matches!(refusal, Refusal::NotFound { .. }))
    {
        return vec![Remark::new(KEY, Chain(&refusal).to_string(), REFUSED)];
    }
    let refused = names.iter().filter_map(|name| refusal(name));
    refused.map(|refusal| Remark::new(KEY, Chain(&refusal).to_string(), REFUSED)).collect()
}

/// More handlers than anybody has; a start does not get slow over a directory that is something else.
const MOST_NAMES: usize = 1000;

/// No handler has this name.
const NO_HANDLER: &str = "no-handler-of-this-name";

/// The mend stands in the refusal.
const REFUSED: &str = "until then jobs that need it are rejected";
