//! Why a program is not run: one variant per thing that an operator can mend.
//!
//! The texts travel to the person who created the job, often the only one who sees anything of the device; so each
//! names the file, what was found, what is wanted and, where there is one, the command that mends it.

use std::io;
use std::path::{Path, PathBuf};

use crate::shell_word::shell_word;

/// Why a request is refused before anything has run.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The name of a handler is not one path component.
    #[error(
        "handler name {name:?} is not a plain file name (no `/`, no `..`, not empty, at most 255 bytes): name its \
         directory in `path`"
    )]
    Name {
        /// The name as it was asked for.
        name: String,
    },
    /// A directory is given by a relative path.
    #[error(
        "path {path:?} is not absolute, wanted a directory that begins with `/`, or \"default\", or nothing"
    )]
    RelativePath {
        /// The path as it was asked for.
        path: PathBuf,
    },
    /// A command is given by a relative path.
    #[error(
        "command {program:?} is a path that is not absolute, wanted a plain file name, or a path that begins with `/`"
    )]
    RelativeCommand {
        /// The command as it was asked for.
        program: String,
    },
    /// There is no such directory.
    #[error("{name:?} was not found: its directory {} does not exist (mkdir -p -m 700 {})", .directory.display(), shell_word(.directory))]
    NoDirectory {
        /// The name that was looked for.
        name: String,
        /// The directory.
        directory: PathBuf,
    },
    /// There is no such file.
    #[error("{name:?} was not found in {}", places(.looked_in))]
    NotFound {
        /// The name that was looked for.
        name: String,
        /// The directories in which it is not.
        looked_in: Vec<PathBuf>,
    },
    /// The handler directory has permissions for others than its owner.
    #[error("handler directory {} has mode {found:04o}, wanted 0700 (chmod 700 {})", .path.display(), shell_word(.path))]
    DirectoryMode {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        found: u32,
    },
    /// The handler has permissions for others than its owner, or its owner may not execute it.
    #[error("handler {} has mode {found:04o}, wanted 0700 (chmod 700 {})", .path.display(), shell_word(.path))]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permission bits, with set-user-id, set-group-id and sticky.
        found: u32,
    },
    /// The file would run with its owner's rights instead of the ones that were asked for.
    #[error("{} is set-user-id or set-group-id (mode {found:04o}), which a handler may not be (chmod ug-s {})", .path.display(), shell_word(.path))]
    SetId {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        found: u32,
    },
    /// A file or a directory belongs to a user who is neither root nor the agent's.
    #[error("{} belongs to user {found}, wanted {} (chown {} {})", .path.display(), owners(*.agent), .agent, shell_word(.path))]
    Owner {
        /// The file or the directory.
        path: PathBuf,
        /// The number of its owner.
        found: u32,
        /// The number of the agent's user.
        agent: u32,
    },
    /// A directory above the file can be written by others, who could put another file in its place.
    #[error("directory {} above it can be written by group or others (mode {found:04o}) (chmod go-w {})", .path.display(), shell_word(.path))]
    WritableParent {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        found: u32,
    },
    /// A file or a link lies where others can make some, too.
    #[error("{} lies in {}, where everybody can put files (mode {found:04o}), wanted a directory that only its owner can write", .path.display(), .directory.display())]
    SharedDirectory {
        /// The file or the link.
        path: PathBuf,
        /// Where it lies.
        directory: PathBuf,
        /// The permission bits of that.
        found: u32,
    },
    /// A system program can be written by others.
    #[error("program {} can be written by group or others (mode {found:04o}) (chmod go-w {})", .path.display(), shell_word(.path))]
    WritableFile {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        found: u32,
    },
    /// A system program that nobody may execute.
    #[error("program {} is not executable (mode {found:04o}) (chmod +x {})", .path.display(), shell_word(.path))]
    NotExecutable {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        found: u32,
    },
    /// Not a file that can be executed at all.
    #[error("{} is {found}, wanted a regular file", .path.display())]
    NotRegular {
        /// What has the name.
        path: PathBuf,
        /// What it is: "a directory", "a socket".
        found: &'static str,
    },
    /// Where a directory has to be is something else.
    #[error("{} is {found}, wanted a directory", .path.display())]
    NotDirectory {
        /// What has the name.
        path: PathBuf,
        /// What it is.
        found: &'static str,
    },
    /// A handler is a symbolic link.
    #[error("handler {} is a symbolic link, wanted the file itself (cp --remove-destination \"$(readlink -f {})\" {})", .path.display(), shell_word(.path), shell_word(.path))]
    SymbolicLink {
        /// The link.
        path: PathBuf,
    },
    /// More symbolic links than the kernel would follow.
    #[error("{} leads through too many symbolic links", .path.display())]
    TooManyLinks {
        /// The path that was being followed.
        path: PathBuf,
    },
    /// The user database has no such user.
    #[error("user {user:?} does not exist on this device")]
    UnknownUser {
        /// The user as asked for.
        user: String,
    },
    /// The operator's list of users does not have it.
    #[error("user {user:?} is not among the users that handlers may run as here")]
    UserNotAllowed {
        /// The user as asked for.
        user: String,
    },
    /// The operator's list of directories does not have the one that was named, or the file lies somewhere else.
    #[error("{} is not in one of the directories that may be named here", .path.display())]
    DirectoryNotAllowed {
        /// The directory as asked for; or the file that the handler turned out to be.
        path: PathBuf,
    },
    /// The operator allows no programs but handlers.
    #[error("{program:?} is a command, and only handlers may be run here")]
    CommandNotAllowed {
        /// The program as asked for.
        program: String,
    },
    /// No such handler, and the operator does not allow the search to go on.
    #[error("{name:?} was not found in {}, and only handlers may be run here, no programs of the system", .directory.display())]
    SearchNotAllowed {
        /// The name that was looked for.
        name: String,
        /// The handler directory.
        directory: PathBuf,
    },
    /// The agent's user may not become another one.
    #[error(
        "cannot run as user {user:?}: the agent runs as user {agent}, and only root can switch to another user"
    )]
    CannotSwitch {
        /// The user as asked for.
        user: String,
        /// The number of the agent's user.
        agent: u32,
    },
    /// A handler too large to be copied for another user.
    #[error("handler {} has {bytes} bytes; run as another user it may have at most {limit}", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The largest size.
        limit: u64,
    },
    /// An argument holds a NUL byte.
    #[error("argument {number} holds a NUL byte")]
    Argument {
        /// Which, counted from 1.
        number: usize,
    },
    /// An environment variable that cannot be set.
    #[error("environment variable {name:?} cannot be set (empty name, `=` in the name, or a NUL byte)")]
    Variable {
        /// Its name.
        name: String,
    },
    /// The name of the run is empty or too long.
    #[error("the name of the run has {bytes} bytes, wanted 1 to 4096")]
    Label {
        /// Its length.
        bytes: usize,
    },
    /// More output is to be kept than there is room for.
    #[error(
        "{wanted} characters of output are to be kept, at most {} are",
        crate::request::MAX_TAIL_CHARACTERS
    )]
    Tail {
        /// The number asked for.
        wanted: usize,
    },
    /// The kernel would not tell about a file or a user.
    #[error("cannot examine {what}")]
    Examine {
        /// The file or the user.
        what: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

impl Refusal {
    /// For a file that the kernel does not tell about.
    pub(crate) fn examine(path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Examine { what: path.display().to_string(), source: source.into() }
    }
}

fn places(looked_in: &[PathBuf]) -> String {
    let places: Vec<_> = looked_in.iter().map(|place| place.display().to_string()).collect();
    if places.is_empty() { "an empty search path".to_owned() } else { places.join(", ") }
}

fn owners(agent: u32) -> String {
    if agent == 0 { "root (0)".to_owned() } else { format!("the agent's user ({agent}) or root (0)") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_was_found_what_is_wanted_and_how_to_mend_it() {
        let path = PathBuf::from("/x/y");
        assert_eq!(
            Refusal::Mode { path: path.clone(), found: 0o755 }.to_string(),
            "handler /x/y has mode 0755, wanted 0700 (chmod 700 /x/y)"
        );
        let odd = PathBuf::from("/x/$(id)");
        assert!(Refusal::NoDirectory { name: "z".into(), directory: odd }.to_string().contains("'/x/$(id)'"));
        assert_eq!(
            Refusal::Owner { path, found: 1000, agent: 0 }.to_string(),
            "/x/y belongs to user 1000, wanted root (0) (chown 0 /x/y)"
        );
        let looked_in = vec!["/a".into(), "/b".into()];
        assert_eq!(
            Refusal::NotFound { name: "z".into(), looked_in }.to_string(),
            "\"z\" was not found in /a, /b"
        );
    }
}
