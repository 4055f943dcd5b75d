//! What is wrong with the handler directory, and with the users and directories that are allowed, before any job needs
//! them. The rules are `handler-runner`'s own: what is said here is what a job would be rejected with.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use handler_runner::{Place, Program, Refusal, Settings, shell_word};

use super::words::to_check;
use crate::chain::Chain;
use crate::config::{Jobs, Remark};

/// What on this device is not as the configuration has it. No reason not to start: a job that needs it is refused with
/// the same words.
pub(crate) fn faults(jobs: &Jobs) -> Vec<Remark> {
    if !jobs.enabled {
        return Vec::new();
    }
    let mut faults = of_the_handlers(&jobs.handler_directory);
    faults.extend(of_the_users(jobs));
    faults.extend(of_the_directories(jobs));
    faults
}

/// The handler directory and what in it looks like a handler.
fn of_the_handlers(directory: &Path) -> Vec<Remark> {
    const KEY: &str = "jobs.handler-directory";
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => {
            let what = format!("{} cannot be read ({error})", directory.display());
            let mend = if error.kind() == std::io::ErrorKind::NotFound {
                format!("run: mkdir -p -m 700 {}", shell_word(directory))
            } else {
                "name a directory that the agent's user can read".to_owned()
            };
            return vec![Remark::new(KEY, what, mend)];
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
    let settings = settings(directory);
    let refusal = |name: &str| refusal(&settings, name, Place::HandlerDirectory);
    // A name that is not there: what else is said about it concerns the directory.
    if let Some(refusal) = refusal(NO_HANDLER)
        .filter(|refusal| !matches!(refusal, Refusal::NotFound { .. } | Refusal::NoDirectory { .. }))
    {
        return vec![Remark::new(KEY, Chain(&refusal).to_string(), REFUSED)];
    }
    let refused = |name: &String| {
        if let Some(refusal) = refusal(name) {
            return Some(Remark::new(KEY, Chain(&refusal).to_string(), REFUSED));
        }
        let path = directory.join(name);
        let words = handler_runner::foreseen_refusal(&path)?;
        Some(Remark::new(KEY, format!("{}: {words}", path.display()), FAILS))
    };
    names.iter().filter_map(refused).collect()
}

/// Users that are allowed and do not exist.
fn of_the_users(jobs: &Jobs) -> impl Iterator<Item = Remark> {
    jobs.allowed.users.iter().flatten().filter_map(|user| {
        let what = match handler_runner::user_exists(user) {
            Ok(true) => return None,
            Ok(false) => format!("user `{}` does not exist on this device", user.escape_debug()),
            Err(error) => Chain(&error).to_string(),
        };
        Some(Remark::new("jobs.allowed-users", what, REFUSED))
    })
}

/// Directories that are allowed and from which nothing can be run.
fn of_the_directories(jobs: &Jobs) -> impl Iterator<Item = Remark> {
    let mut settings = settings(&jobs.handler_directory);
    settings.allowed = jobs.allowed.clone();
    jobs.allowed.directories.iter().flatten().filter_map(move |directory| {
        let refusal = refusal(&settings, NO_HANDLER, Place::Directory(directory.clone()))?;
        let what = if !matches!(refusal, Refusal::NotFound { .. } | Refusal::NoDirectory { .. }) {
            Chain(&refusal).to_string()
        } else if !directory.is_dir() {
            format!("{} is no directory", directory.display())
        } else {
            return None;
        };
        Some(Remark::new("jobs.allowed-paths", what, REFUSED))
    })
}

/// Nothing is started, so no run needs a directory.
fn settings(handler_directory: &Path) -> Settings {
    Settings::new(handler_directory.to_owned(), PathBuf::new())
}

fn refusal(settings: &Settings, name: &str, place: Place) -> Option<Refusal> {
    let program = Program::Handler { name: name.to_owned(), place };
    handler_runner::check(settings, &to_check(program, Vec::new(), None)).err()
}

/// More handlers than anybody has; a start does not get slow over a directory that is something else.
const MOST_NAMES: usize = 1000;

/// No handler has this name.
const NO_HANDLER: &str = "no-handler-of-this-name";

/// The mend stands in the refusal.
const REFUSED: &str = "until then jobs that need it are rejected";

/// As above, where the kernel will refuse.
const FAILS: &str = "until then jobs that need it fail";
