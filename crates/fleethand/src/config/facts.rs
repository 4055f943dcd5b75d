//! What the machine says about the files that the configuration names. Gathered here, judged in
//! [`super::checked`]: so every rule there can be tested without a file, and a check has one meaning wherever
//! it is made.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

/// Owner, mode and kind of something in the file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileFacts {
    pub(crate) regular: bool,
    pub(crate) directory: bool,
    /// The twelve permission bits.
    pub(crate) mode: u32,
    pub(crate) owner: u32,
}

impl From<&Metadata> for FileFacts {
    fn from(metadata: &Metadata) -> Self {
        Self {
            regular: metadata.is_file(),
            directory: metadata.is_dir(),
            mode: metadata.permissions().mode() & 0o7777,
            owner: metadata.uid(),
        }
    }
}

/// Everything outside the configuration on which a judgement of it rests.
pub(crate) struct Surroundings {
    /// What `~` stands for, if anything.
    pub(crate) home: Option<PathBuf>,
    /// The user we run as.
    pub(crate) user: u32,
    /// The facts of a file that can be opened for reading, links followed; else why it cannot.
    pub(crate) look: fn(&Path) -> io::Result<FileFacts>,
}

impl Surroundings {
    /// The machine as it is.
    pub(crate) fn of_this_process() -> Self {
        Self {
            home: directories::BaseDirs::new().map(|dirs| dirs.home_dir().to_owned()),
            user: rustix::process::geteuid().as_raw(),
            look,
        }
    }
}

/// Opens without waiting: a path that leads to a pipe must not hold up the start.
fn look(path: &Path) -> io::Result<FileFacts> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
    Ok(FileFacts::from(&file.metadata()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_nobody_writes_to_is_looked_at_without_waiting() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).unwrap();
        assert!(!look(&path).unwrap().regular);
    }
}
