//! What is to be run, and where the agent keeps what running needs: the words of this crate's interface.
//!
//! Says nothing about whether the program may be run (`locate`, `permission`) and does nothing itself, except to
//! refuse texts that no process can be given.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::refusal::Refusal;

/// The directories in which a program without a place is looked for, and the `PATH` of every handler, unless
/// [`Settings::search_path`] names others. Nothing of the agent's own `PATH` is taken over.
pub const DEFAULT_SEARCH_PATH: [&str; 6] =
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// The largest [`Request::head_characters`] and [`Request::tail_characters`]: what is kept of a stream stands in the keeper's memory.
pub const MAX_TAIL_CHARACTERS: usize = 64 * 1024;

/// The shortest and the longest name of a run, in bytes of UTF-8.
pub(crate) const LABEL_BYTES: std::ops::RangeInclusive<usize> = 1..=4096;

/// Which program is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// A handler by its file name: one path component, looked for in one place.
    Handler {
        /// The file's name.
        name: String,
        /// Where to look.
        place: Place,
    },
    /// A system program: an absolute path, or a name that is looked for in the search path.
    Command {
        /// The path or the name.
        program: String,
    },
}

/// Where a handler is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The operator's handler directory (`"path": "default"`): the strict rules hold.
    HandlerDirectory,
    /// The handler directory, then the search path (no `path` in the document). A file that is found and refused
    /// is refused; the search does not go on behind it.
    HandlerDirectoryThenPath,
    /// A directory that the document names. It must be absolute.
    Directory(PathBuf),
}

/// One program to be run once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The caller's name for this run, by which it is found again after a restart: 1 to 4096 bytes, unique among the
    /// runs that have not been released, opaque here.
    pub label: String,
    /// What to run.
    pub program: Program,
    /// The arguments after the program's own path.
    pub arguments: Vec<String>,
    /// Added to the environment last, so it wins over [`Settings::environment`] and over what this crate sets.
    pub environment: Vec<(String, String)>,
    /// Name or number of the user to run as; the agent's own if absent.
    pub run_as_user: Option<String>,
    /// After this time, counted on the boot clock (it runs on while the machine is suspended), the handler is stopped.
    pub time_limit: Duration,
    /// How long a handler that was told to end may take before it is killed.
    pub grace: Duration,
    /// How much of the beginning of each stream is kept, in UTF-16 units; at most [`MAX_TAIL_CHARACTERS`].
    pub head_characters: usize,
    /// The same for its end.
    pub tail_characters: usize,
}

/// What the operator allows beyond the rules of permission; by default everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// Names or numbers of the users that a request may name; the agent's own needs no entry. `None`: any user.
    pub users: Option<Vec<String>>,
    /// The directories that a request may name, each for itself without what is beneath it; the handler directory
    /// needs no entry. `None`: any directory.
    pub directories: Option<Vec<PathBuf>>,
    /// Whether programs may be run that are no handlers: [`Program::Command`], and what is found in the search path.
    pub commands: bool,
}

impl Default for Allowed {
    fn default() -> Self {
        Self { users: None, directories: None, commands: true }
    }
}

/// What is the same for all runs of one agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The operator's handlers.
    pub handler_directory: PathBuf,
    /// Where the runs keep their files, mode 0700, on a file system that outlives a restart. It is made if missing.
    pub run_directory: PathBuf,
    /// The program that ends up in [`crate::keeper_main`], normally `/proc/self/exe`, which is still the right one
    /// after the file has been replaced by an upgrade.
    pub keeper_program: PathBuf,
    /// What that program is given before the keeper's own arguments.
    pub keeper_arguments: Vec<OsString>,
    /// Where programs without a place are looked for, in this order; also every handler's `PATH`.
    pub search_path: Vec<PathBuf>,
    /// Added to the environment of every handler.
    pub environment: Vec<(String, String)>,
    /// What may be run at all.
    pub allowed: Allowed,
}

impl Settings {
    /// Settings with the usual search path, nothing added to the environment, everything allowed, and this very program
    /// as the keeper, behind the subcommand `keeper`.
    #[must_use]
    pub fn new(handler_directory: PathBuf, run_directory: PathBuf) -> Self {
        Self {
            handler_directory,
            run_directory,
            keeper_program: PathBuf::from("/proc/self/exe"),
            keeper_arguments: vec![OsString::from("keeper")],
            search_path: DEFAULT_SEARCH_PATH.iter().map(PathBuf::from).collect(),
            environment: Vec::new(),
            allowed: Allowed::default(),
        }
    }
}

/// Refuses what no process can be given: NUL bytes, impossible names of variables, sizes out of bounds.
pub(crate) fn check_texts(request: &Request, settings: &Settings) -> Result<(), Refusal> {
    if !LABEL_BYTES.contains(&request.label.len()) {
        return Err(Refusal::Label { bytes: request.label.len() });
    }
    let kept = request.head_characters.max(request.tail_characters);
    if kept > MAX_TAIL_CHARACTERS {
        return Err(Refusal::Tail { wanted: kept });
    }
    if let Some(at) = request.arguments.iter().position(|argument| argument.contains('\0')) {
        return Err(Refusal::Argument { number: at + 1 });
    }
    for (name, value) in settings.environment.iter().chain(&request.environment) {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            return Err(Refusal::Variable { name: name.clone() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nul_byte_in_an_argument_is_refused_with_its_number() {
        let mut request = request();
        request.arguments = vec!["good".into(), "b\0d".into()];
        assert!(matches!(check(&request), Err(Refusal::Argument { number: 2 })));
    }

    #[test]
    fn a_variable_that_no_environment_can_hold_is_refused() {
        for (name, value) in [("", "x"), ("A=B", "x"), ("A\0", "x"), ("A", "x\0y")] {
            let mut request = request();
            request.environment = vec![(name.into(), value.into())];
            assert!(matches!(check(&request), Err(Refusal::Variable { .. })), "{name:?}={value:?}");
        }
    }

    #[test]
    fn a_label_has_at_least_one_byte_and_not_too_many() {
        for (label, good) in
            [("", false), ("a", true), (&*"a".repeat(4096), true), (&*"a".repeat(4097), false)]
        {
            assert_eq!(check(&Request { label: label.into(), ..request() }).is_ok(), good, "{}", label.len());
        }
    }

    #[test]
    fn a_tail_that_would_fill_the_memory_is_refused() {
        let large = MAX_TAIL_CHARACTERS + 1;
        for request in
            [Request { tail_characters: large, ..request() }, Request { head_characters: large, ..request() }]
        {
            assert!(matches!(check(&request), Err(Refusal::Tail { wanted }) if wanted == large));
        }
    }

    fn check(request: &Request) -> Result<(), Refusal> {
        check_texts(request, &Settings::new("/h".into(), "/r".into()))
    }

    fn request() -> Request {
        Request {
            label: "run".into(),
            program: Program::Command { program: "true".into() },
            arguments: vec![],
            environment: vec![],
            run_as_user: None,
            time_limit: Duration::from_secs(1),
            grace: Duration::from_secs(1),
            head_characters: 0,
            tail_characters: 1024,
        }
    }
}
