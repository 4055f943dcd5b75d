//! What a handler has reported so far, in a file of its own beside the records, for an agent that looks while it runs.
//!
//! Not synced: what is lost with the power is old by then, and the ending holds the last of it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use super::{Slot, put, take};
use crate::reports::Reported;

/// More than the largest that [`crate::reports`] keeps takes as JSON, in bytes.
pub(crate) const MOST_REPORTED: usize = 32 * 1024;

impl Slot {
    /// The file that is written at every change.
    pub(crate) fn reported_path(&self) -> PathBuf {
        self.directory.join("reported")
    }

    /// Made with the slot, so that it can be watched before there is anything in it.
    pub(crate) fn open_reported(&self) -> io::Result<File> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.reported_path())
    }
}

pub(crate) fn write_reported(file: &File, run: u64, reported: &Reported) -> io::Result<()> {
    let content = serde_json::to_vec(reported)?;
    if content.len() > MOST_REPORTED {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "reports are larger than their file"));
    }
    put(file, 0, run, &content)
}

/// `None` if this run has reported nothing, or is just reporting: then it says so again when it is done.
pub(crate) fn read_reported(file: &File, run: u64) -> io::Result<Option<Reported>> {
    take(file, 0, run)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_run_has_reported_is_nothing_to_the_next() {
        let directory = tempfile::tempdir().unwrap();
        let file = Slot::at(directory.path().to_owned()).open_reported().unwrap();
        assert_eq!(read_reported(&file, 1).unwrap(), None);
        let mut reported = Reported::default();
        for value in ["a long value", "short"] {
            reported.facts.insert("progress".into(), value.into());
            write_reported(&file, 1, &reported).unwrap();
            assert_eq!(read_reported(&file, 1).unwrap().as_ref(), Some(&reported));
        }
        assert_eq!(read_reported(&file, 2).unwrap(), None);
    }
}
