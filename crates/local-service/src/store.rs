//! State on disk: nothing that was acknowledged is lost, whenever the process is killed.
//!
//! The Jobs service and the sessions are state machines; what is kept is what was put into them. Entries are appended to a
//! journal and synced before anything that follows from them leaves the engine. When the journal has outgrown the last
//! snapshot, a new snapshot of everything takes their place.
//!
//! ```text
//! DIR/lock                one process at a time
//! DIR/snapshot.json       a generation: everything as it was when its journal began
//! DIR/journal-G-0, -1 …   what has come since, for generation G
//! ```

mod entry;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use durable::{AppendError, Damage, Journal, OpenError, ReplaceError, replace_file};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::clock::Millis;

pub(crate) use entry::{Body, Entry, SavedMessage, SavedSession, SessionEntry};

const SNAPSHOT: &str = "snapshot.json";
/// A part of a group of entries; the journal takes records of at most 256 KiB.
const PART: usize = 200 * 1024;
/// The journal's length from which on a further file is begun, in bytes.
const SEGMENT: u64 = 12 * 1024 * 1024;
/// The journal is let grow to this length at least before a new snapshot is made, in bytes.
const LEAST_JOURNAL: u64 = 8 * 1024 * 1024;

/// Why state on disk cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory cannot be made or read.
    #[error("cannot use {}", path.display())]
    Directory {
        /// Which, or the file in it.
        path: PathBuf,
        #[expect(missing_docs, reason = "the cause")]
        source: io::Error,
    },
    /// Another process has it.
    #[error("{} is in use by another fleethand-local", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// The journal cannot be opened.
    #[error("cannot open the journal")]
    Open(#[from] OpenError),
    /// The journal was damaged; what was readable is kept, and a further start goes on with that.
    #[error("start again to go on with what is left of it")]
    Damaged(#[from] Damage),
    /// The snapshot or an entry is not one of this version.
    #[error("{} is not a state of this version of fleethand-local", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        #[expect(missing_docs, reason = "the cause")]
        source: serde_json::Error,
    },
    /// The saved service cannot be gone on with.
    #[error("{} holds no service of this version", path.display())]
    Service {
        /// The file.
        path: PathBuf,
        #[expect(missing_docs, reason = "the cause")]
        source: service_core::InvalidState,
    },
    /// Something cannot be written down, so that nothing may be answered any more.
    #[error("cannot save")]
    Append(#[from] AppendError),
    /// A snapshot cannot be put in its place.
    #[error("cannot save a snapshot")]
    Replace(#[from] ReplaceError),
    /// Something cannot be written as JSON.
    #[error("cannot write the state as JSON")]
    Json(#[from] serde_json::Error),
}

/// Everything at one moment, as it stands in a snapshot.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    pub(crate) generation: u64,
    /// When it was made: a virtual clock goes on from there.
    #[serde(default)]
    pub(crate) now: Millis,
    /// What `service-core` has saved.
    pub(crate) service: Box<RawValue>,
    /// What rebuilds the sessions and retained messages, as entries.
    pub(crate) sessions: Vec<SessionEntry>,
}

/// The open directory.
#[derive(Debug)]
pub(crate) struct Store {
    directory: PathBuf,
    /// Held as long as this lives.
    _lock: File,
    generation: u64,
    segment: u64,
    journal: Journal,
    /// Of the current segment, and of all of this generation, in bytes.
    written: [u64; 2],
    /// Of the last snapshot, in bytes.
    snapshot: u64,
}

/// What was found in the directory.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) store: Store,
    pub(crate) snapshot: Option<Snapshot>,
    /// What has come since, in order.
    pub(crate) entries: Vec<Entry>,
}

impl Store {
    /// Opens a directory, or makes it.
    pub(crate) fn open(directory: &Path) -> Result<Found, StoreError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            |source| StoreError::Directory { path, source }
        };
        fs::create_dir_all(directory).map_err(failed(directory))?;
        let lock_path = directory.join("lock");
        let lock = File::create(&lock_path).map_err(failed(&lock_path))?;
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(StoreError::Locked { path: directory.to_owned() });
        }
        let path = directory.join(SNAPSHOT);
        let (snapshot, length) = match fs::read(&path) {
            Ok(bytes) => {
                let read: Snapshot = serde_json::from_slice(&bytes)
                    .map_err(|source| StoreError::Unreadable { path: path.clone(), source })?;
                (Some(read), bytes.len() as u64)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => (None, 0),
            Err(source) => return Err(StoreError::Directory { path, source }),
        };
        let generation = snapshot.as_ref().map_or(0, |snapshot| snapshot.generation);
        remove_other_journals(directory, generation);
        let mut entries = Vec::new();
        let mut pending = Vec::new();
        let mut total = 0;
        let mut segment = 0;
        loop {
            let path = journal_path(directory, generation, segment);
            let opened = Journal::open(&path)?;
            if let Some(damage) = opened.damage {
                return Err(damage.into());
            }
            let mut written = 0;
            for record in opened.records {
                written += record.len() as u64;
                read_part(&record, &mut pending, &mut entries)
                    .map_err(|source| StoreError::Unreadable { path: path.clone(), source })?;
            }
            total += written;
            if !journal_path(directory, generation, segment + 1).exists() {
                // A group whose last part is missing was never acknowledged; its parts must not meet the next group's.
                let mut journal = opened.journal;
                if !pending.is_empty() {
                    journal.append(&[GIVEN_UP])?;
                }
                let written = [written, total];
                let directory = directory.to_owned();
                let store =
                    Self { directory, _lock: lock, generation, segment, journal, written, snapshot: length };
                return Ok(Found { store, snapshot, entries });
            }
            segment += 1;
        }
    }

    /// Writes entries down. When this returns `Ok`, they are there after a power cut: all of them, or none.
    pub(crate) fn append(&mut self, entries: &[Entry]) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec(entries)?;
        if self.written[0] + bytes.len() as u64 > SEGMENT {
            self.segment += 1;
            let path = journal_path(&self.directory, self.generation, self.segment);
            self.journal = Journal::open(path)?.journal;
            self.written[0] = 0;
        }
        let mut parts = bytes.chunks(PART).peekable();
        while let Some(part) = parts.next() {
            let mark = if parts.peek().is_some() { CONTINUED } else { LAST };
            let record: Vec<u8> = std::iter::once(mark).chain(part.iter().copied()).collect();
            self.journal.append(&record)?;
            self.written = self.written.map(|written| written + record.len() as u64);
        }
        Ok(())
    }

    /// As if the journal's file were full, so that the next entry begins another.
    #[cfg(test)]
    pub(crate) fn fill(&mut self) {
        self.written[0] = SEGMENT;
    }

    /// Whether a new snapshot is due: the journal is longer than the last one, so that snapshots cost no more than entries.
    pub(crate) fn wants_snapshot(&self) -> bool {
        self.written[1] > self.snapshot.max(LEAST_JOURNAL)
    }

    /// Puts everything in the place of the last snapshot and of what has come since.
    pub(crate) fn replace(
        &mut self,
        now: Millis,
        service: Box<RawValue>,
        sessions: Vec<SessionEntry>,
    ) -> Result<(), StoreError> {
        let generation = self.generation + 1;
        let bytes = serde_json::to_vec(&Snapshot { generation, now, service, sessions })?;
        replace_file(self.directory.join(SNAPSHOT), &bytes, 0o600)?;
        self.journal = Journal::open(journal_path(&self.directory, generation, 0))?.journal;
        (self.generation, self.segment, self.written) = (generation, 0, [0, 0]);
        self.snapshot = bytes.len() as u64;
        remove_other_journals(&self.directory, generation);
        Ok(())
    }
}

/// The first byte of a record: more parts follow, it is the last part, or what came before it counts for nothing.
const CONTINUED: u8 = b'+';
const LAST: u8 = b'.';
const GIVEN_UP: u8 = b'-';

fn read_part(
    record: &[u8],
    pending: &mut Vec<u8>,
    entries: &mut Vec<Entry>,
) -> Result<(), serde_json::Error> {
    let (mark, part) = record.split_first().map_or((GIVEN_UP, &[][..]), |(mark, part)| (*mark, part));
    if mark == GIVEN_UP {
        pending.clear();
        return Ok(());
    }
    pending.extend_from_slice(part);
    if mark == LAST {
        entries.extend(serde_json::from_slice::<Vec<Entry>>(pending)?);
        pending.clear();
    }
    Ok(())
}

fn journal_path(directory: &Path, generation: u64, segment: u64) -> PathBuf {
    directory.join(format!("journal-{generation}-{segment}"))
}

/// Journals of other generations are of no use any more. One that cannot be removed only takes up room.
fn remove_other_journals(directory: &Path, generation: u64) {
    let ours = format!("journal-{generation}-");
    for file in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = file.file_name();
        let Some(name) = name.to_str().filter(|name| name.starts_with("journal-")) else { continue };
        if !name.starts_with(&ours)
            && let Err(error) = fs::remove_file(file.path())
        {
            tracing::debug!("An old journal stays: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(n: u64) -> Entry {
        Entry::Deadline { now: Millis(n) }
    }

    fn moments(found: &Found) -> Vec<u64> {
        found
            .entries
            .iter()
            .map(|entry| match entry {
                Entry::Deadline { now } => now.0,
                Entry::Request { .. } | Entry::Call { .. } | Entry::Session(_) => {
                    panic!("not written here: {entry:?}")
                }
            })
            .collect()
    }

    fn null() -> Box<RawValue> {
        RawValue::from_string("null".to_owned()).unwrap()
    }

    #[test]
    fn what_was_appended_is_found_again_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = Store::open(directory.path()).unwrap().store;
        store.append(&[entry(1), entry(2)]).unwrap();
        store.append(&[entry(3)]).unwrap();
        drop(store);
        let mut found = Store::open(directory.path()).unwrap();
        assert_eq!(moments(&found), [1, 2, 3]);
        found.store.append(&[entry(4)]).unwrap();
        drop(found);
        assert_eq!(moments(&Store::open(directory.path()).unwrap()), [1, 2, 3, 4]);
    }

    #[test]
    fn a_snapshot_takes_the_place_of_what_came_before_it() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = Store::open(directory.path()).unwrap().store;
        store.append(&[entry(1)]).unwrap();
        store.replace(Millis(7), null(), Vec::new()).unwrap();
        store.append(&[entry(2)]).unwrap();
        drop(store);
        let found = Store::open(directory.path()).unwrap();
        let snapshot = found.snapshot.as_ref().map(|one| (one.generation, one.now));
        assert_eq!((snapshot, moments(&found)), (Some((1, Millis(7))), vec![2]));
        let names: Vec<_> =
            fs::read_dir(directory.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert_eq!(names.len(), 3, "lock, snapshot and one journal: {names:?}");
    }

    #[test]
    fn a_group_longer_than_a_record_is_there_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = Store::open(directory.path()).unwrap().store;
        let long: Vec<Entry> = (0..20_000).map(entry).collect();
        store.append(&long).unwrap();
        // A kill between two parts of the next group.
        store.journal.append(b"+[{\"Deadline\":").unwrap();
        drop(store);
        let mut found = Store::open(directory.path()).unwrap();
        assert_eq!(moments(&found).len(), 20_000);
        found.store.append(&[entry(7)]).unwrap();
        drop(found);
        assert_eq!(moments(&Store::open(directory.path()).unwrap()).last(), Some(&7));
    }

    #[test]
    fn a_journal_goes_on_in_a_further_file() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = Store::open(directory.path()).unwrap().store;
        let many: Vec<Entry> = (0..50_000).map(entry).collect();
        let mut groups = 0;
        while store.segment < 2 {
            store.append(&many).unwrap();
            groups += 1;
        }
        assert!(store.wants_snapshot());
        drop(store);
        let found = Store::open(directory.path()).unwrap();
        assert_eq!((found.entries.len(), found.store.segment), (groups * 50_000, 2));
    }

    #[test]
    fn one_process_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let first = Store::open(directory.path()).unwrap();
        assert!(matches!(Store::open(directory.path()), Err(StoreError::Locked { .. })));
        drop(first);
        Store::open(directory.path()).unwrap();
    }

    #[test]
    fn what_cannot_be_read_is_no_empty_state() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(SNAPSHOT), "{").unwrap();
        assert!(matches!(Store::open(directory.path()), Err(StoreError::Unreadable { .. })));
    }
}
