//! What can go wrong with a journal, and what a caller then knows about its records.

use std::io;
use std::path::PathBuf;

use crate::segment::{DamageKind, MAX_RECORD};

/// A damaged journal file and where it lies now, for somebody to look at.
#[derive(Debug, thiserror::Error)]
#[error("the journal was damaged and has been set aside as {}", set_aside.display())]
pub struct Damage {
    /// The damaged file.
    pub set_aside: PathBuf,
    /// What is wrong with it.
    #[source]
    pub kind: DamageKind,
}

/// Why a journal cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its directory is not there and cannot be made.
    #[error("cannot create the directory {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        #[expect(missing_docs, reason = "the cause")]
        source: io::Error,
    },
    /// There is a file, and it may not be opened (permissions, a directory of that name).
    #[error("cannot open the journal {}", path.display())]
    Open {
        /// The journal.
        path: PathBuf,
        #[expect(missing_docs, reason = "the cause")]
        source: io::Error,
    },
    /// A damaged file cannot be set aside.
    #[error("cannot set the damaged journal {} aside", path.display())]
    SetAside {
        /// The journal.
        path: PathBuf,
        #[expect(missing_docs, reason = "the cause")]
        source: io::Error,
    },
    /// A fresh file, or the cut end of this one, cannot be written.
    #[error("cannot prepare the journal {}", path.display())]
    Prepare {
        /// The journal.
        path: PathBuf,
        #[expect(missing_docs, reason = "the cause")]
        source: io::Error,
    },
}

/// Why a record is not in the journal.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Longer than [`MAX_RECORD`]. The journal is unharmed.
    #[error("a record of {size} bytes is longer than the limit of {MAX_RECORD}")]
    TooLong {
        /// Its length in bytes.
        size: usize,
    },
    /// The file would become longer than [`MAX_JOURNAL`](crate::MAX_JOURNAL). The journal is unharmed; rewrite it.
    #[error("the journal is full")]
    Full,
    /// The disk failed. Whether the record is there is known after the next open; the journal is poisoned.
    #[error("cannot append to the journal {}", path.display())]
    Disk {
        /// The journal.
        path: PathBuf,
        #[expect(missing_docs, reason = "the cause")]
        source: io::Error,
    },
    /// An earlier append has failed.
    #[error("the journal is closed because an earlier write has failed")]
    Poisoned,
}

/// Why a journal was not rewritten.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// A record is longer than [`MAX_RECORD`]. The journal is as it was.
    #[error("a record of {size} bytes is longer than the limit of {MAX_RECORD}")]
    TooLong {
        /// Its length in bytes.
        size: usize,
    },
    /// The records together are longer than [`MAX_JOURNAL`](crate::MAX_JOURNAL). The journal is as it was.
    #[error("the records do not fit into a journal")]
    Full,
    /// The new file cannot be written. The journal is as it was and can be used.
    #[error("cannot write a new journal beside {}", path.display())]
    Write {
        /// The journal.
        path: PathBuf,
        #[expect(missing_docs, reason = "the cause")]
        source: io::Error,
    },
    /// Whether the old file or the new one will be there after a crash is not known; the journal is poisoned.
    #[error("cannot put the new journal in the place of {}", path.display())]
    Replace {
        /// The journal.
        path: PathBuf,
        #[expect(missing_docs, reason = "the cause")]
        source: io::Error,
    },
    /// An earlier append has failed.
    #[error("the journal is closed because an earlier write has failed")]
    Poisoned,
}
