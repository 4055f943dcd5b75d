//! What the machine says about the files that the configuration names. Gathered here, judged in
//! [`super::checked`]: so every rule there can be tested without a file, and a check has one meaning wherever
//! it is made.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

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
            look: |path| Ok(FileFacts::from(&File::open(path)?.metadata()?)),
        }
    }
}
