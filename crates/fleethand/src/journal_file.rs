//! The core's journal on disk: records as JSON in a [`durable::Journal`], read at the start, appended to at
//! every save, rewritten when it has grown. What the records mean is the core's business.

use std::path::Path;

use agent_core::journal::{Record, State};
use durable::{AppendError, Journal, OpenError, RewriteError};

/// Its name in the state directory.
const NAME: &str = "journal";

/// Below this size in bytes a journal is never rewritten: at some hundred bytes a record that is once in
/// a few hundred jobs.
const SMALL: usize = 256 * 1024;

/// What the records of a job take at most, in bytes, unless its document has very many steps: its document of 32 KiB,
/// twice that as a text within a text, and the outcomes of its steps.
const ROOM: usize = 128 * 1024;

/// An open journal.
#[derive(Debug)]
pub(crate) struct JournalFile {
    journal: Journal,
    /// What the file amounts to: needed to rewrite it.
    state: State,
    /// Its size after the last rewrite, in bytes.
    base: usize,
}

/// Why the journal cannot be used. Nothing has been sent or started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JournalError {
    /// It cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A file with records that are not understood cannot be kept.
    #[error("the journal holds records that are not understood, and cannot be set aside")]
    SetAside(#[source] std::io::Error),
    /// The disk has no room.
    #[error("there is no room for the records of a job")]
    Room(#[source] AppendError),
    /// It cannot be written anew.
    #[error("the journal cannot be written")]
    Renew(#[source] SaveError),
}

/// Why a record is not saved. Nothing that depends on it may happen.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SaveError {
    /// It cannot be put into words: a mistake of ours.
    #[error("a record cannot be written as JSON")]
    Encode(#[source] serde_json::Error),
    /// The disk, or a limit.
    #[error("a record cannot be saved")]
    Append(#[source] AppendError),
    /// There is no room, and none could be made.
    #[error("the journal is full and cannot be rewritten")]
    Rewrite(#[source] RewriteError),
}

impl JournalFile {
    /// Opens the journal of a state directory, and says what is in it. What cannot be read is logged, kept aside and
    /// left out, and the records say so from then on. That is safe: whatever had been started was IN_PROGRESS at the
    /// service before, and what is IN_PROGRESS there and unknown here is never run again.
    ///
    /// Then it is written anew. So it is known before anything else is done whether the disk takes what has to be
    /// remembered; and after a failed sync, which may have left the memory's pages ahead of the disk, everything that
    /// is believed now is on the disk.
    pub(crate) fn open(directory: &Path) -> Result<(Self, State), JournalError> {
        let mark = serde_json::to_vec(&Record::Damaged).expect("a name is JSON");
        let opened = Journal::open_with_mark(directory.join(NAME), &mark)?;
        if let Some(damage) = &opened.damage {
            tracing::error!("{}", crate::chain::Chain(damage));
        }
        if opened.torn {
            tracing::info!("The last record of the journal was cut off by a crash before it counted");
        }
        let (mut state, mut kept) = (State::default(), None);
        for record in &opened.records {
            match serde_json::from_slice(record) {
                Ok(record) => state.apply(&record),
                // As after a downgrade: the text stays out of the log, since it holds documents.
                Err(error) => {
                    state.apply(&Record::Damaged);
                    if kept.is_none() {
                        kept = Some(opened.journal.set_aside().map_err(JournalError::SetAside)?);
                    }
                    tracing::error!(%error, ?kept, "A record of the journal is not understood");
                }
            }
        }
        let mut file = Self { base: opened.journal.size(), journal: opened.journal, state: state.clone() };
        match file.rewrite() {
            Ok(()) => {}
            // A full disk: a job that is in hand may still come to its end in the old file.
            Err(error) if !file.journal.is_poisoned() => {
                file.journal.reserve(ROOM).map_err(JournalError::Room)?;
                tracing::warn!("{}", crate::chain::Chain(&error));
            }
            Err(error) => return Err(JournalError::Renew(error)),
        }
        Ok((file, state))
    }

    /// Saves a record: when this is `Ok` it survives a power cut.
    pub(crate) fn save(&mut self, record: &Record) -> Result<(), SaveError> {
        let text = serde_json::to_vec(record).map_err(SaveError::Encode)?;
        if let Record::Accepted { .. } = record {
            self.make_room()?;
        }
        match self.journal.append(&text) {
            Ok(()) => self.state.apply(record),
            Err(AppendError::Full) => {
                self.state.apply(record);
                return self.rewrite();
            }
            Err(error @ (AppendError::TooLong { .. } | AppendError::Disk { .. } | AppendError::Poisoned)) => {
                return Err(SaveError::Append(error));
            }
        }
        if self.journal.size() > self.base.saturating_mul(2).max(SMALL) {
            match self.rewrite() {
                Ok(()) => {}
                // The record itself is safe, and the old file goes on being used.
                Err(error) if !self.journal.is_poisoned() => {
                    tracing::warn!("{}", crate::chain::Chain(&error));
                    self.base = self.journal.size();
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// A job is taken up only if its whole life can be written down, however full the disk gets meanwhile; and where it
    /// will be found again.
    fn make_room(&mut self) -> Result<(), SaveError> {
        if self.journal.is_removed() {
            tracing::error!("Somebody has removed the journal: it is written anew");
            return self.rewrite();
        }
        match self.journal.reserve(ROOM) {
            Err(AppendError::Full) => self.rewrite(),
            other => other.map_err(SaveError::Append),
        }
    }

    fn rewrite(&mut self) -> Result<(), SaveError> {
        let records: Result<Vec<_>, _> = self.state.to_records().iter().map(serde_json::to_vec).collect();
        self.journal.rewrite(&records.map_err(SaveError::Encode)?, ROOM).map_err(SaveError::Rewrite)?;
        self.base = self.journal.size();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use agent_core::ExecutionId;
    use agent_core::journal::Finished;
    use jobs_protocol::{EpochSeconds, ExecutionNumber, JobId, VersionNumber};

    use super::*;

    fn execution(number: usize) -> ExecutionId {
        ExecutionId {
            job: JobId::try_from(format!("job-{number}")).unwrap(),
            number: ExecutionNumber::new(1),
            queued_at: EpochSeconds(100),
        }
    }

    fn accepted(number: usize) -> Record {
        Record::Accepted {
            execution: execution(number),
            version: VersionNumber::new(1),
            document: "x".repeat(10_000),
        }
    }

    fn closed(number: usize) -> Record {
        let version = VersionNumber::new(2);
        Record::Closed(Finished { execution: execution(number), version, verdict: None })
    }

    #[test]
    fn what_was_saved_is_there_in_the_next_life() {
        let directory = tempfile::tempdir().unwrap();
        let (mut journal, empty) = JournalFile::open(directory.path()).unwrap();
        assert_eq!(empty, State::default());
        journal.save(&closed(1)).unwrap();
        journal.save(&accepted(2)).unwrap();
        drop(journal);
        let (_, state) = JournalFile::open(directory.path()).unwrap();
        assert!(state.finished(&execution(1)).is_some());
        assert_eq!(state.current().unwrap().execution, execution(2));
    }

    /// One that did not would end the agent, at every start anew, since the service goes on offering it.
    #[test]
    fn the_longest_document_that_is_read_fits_into_a_record() {
        let document = |bytes: usize| {
            let (before, after) = (r#"{"operation":"h","args":[""#, r#""]}"#);
            let quotes = r#"\""#.repeat((bytes - before.len() - after.len()) / 2);
            format!("{before}{quotes}{after}")
        };
        let longest = 4 * jobs_protocol::limits::JOB_DOCUMENT_BYTES;
        let document = [longest + 2, longest + 1, longest].map(document);
        let [too_long, .., document] = document;
        assert!(jobs_protocol::document::JobDocument::parse(&too_long).is_err());
        assert!(jobs_protocol::document::JobDocument::parse(&document).is_ok());
        let mut execution = execution(1);
        execution.job = JobId::try_from("j".repeat(64)).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let (mut journal, _) = JournalFile::open(directory.path()).unwrap();
        let version = VersionNumber::new(u64::MAX);
        journal.save(&Record::Accepted { execution, version, document }).unwrap();
    }

    #[test]
    fn a_journal_stays_small_whatever_passes_through_it() {
        let directory = tempfile::tempdir().unwrap();
        let (mut journal, _) = JournalFile::open(directory.path()).unwrap();
        for number in 0..200 {
            journal.save(&accepted(number)).unwrap();
            journal.save(&closed(number)).unwrap();
            assert!(journal.journal.size() <= SMALL);
        }
        let saved = journal.state.clone();
        drop(journal);
        assert_eq!(JournalFile::open(directory.path()).unwrap().1, saved);
    }

    #[test]
    fn a_record_that_is_not_understood_does_not_hide_the_others() {
        let directory = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(directory.path().join(NAME)).unwrap().journal;
        journal.append(br#"{"FromTheFuture":{}}"#).unwrap();
        journal.append(&serde_json::to_vec(&closed(1)).unwrap()).unwrap();
        drop(journal);
        let (_, state) = JournalFile::open(directory.path()).unwrap();
        assert!(state.finished(&execution(1)).is_some());
        let kept = std::fs::read(directory.path().join("journal.damaged-1")).unwrap();
        assert!(kept.windows(13).any(|bytes| bytes == b"FromTheFuture"), "somebody may want to look at it");
    }

    #[test]
    fn of_a_job_with_a_record_that_is_not_understood_not_everything_is_known_from_then_on() {
        let directory = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(directory.path().join(NAME)).unwrap().journal;
        journal.append(&serde_json::to_vec(&accepted(1)).unwrap()).unwrap();
        journal.append(br#"{"FromTheFuture":{}}"#).unwrap();
        drop(journal);
        for life in 1..3 {
            let (_, state) = JournalFile::open(directory.path()).unwrap();
            assert!(state.current().unwrap().uncertain, "life {life}");
        }
    }

    #[test]
    fn of_a_job_in_a_damaged_journal_not_everything_is_known_from_then_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(NAME);
        let (mut journal, _) = JournalFile::open(directory.path()).unwrap();
        for record in [closed(1), accepted(2), closed(2), closed(3)] {
            journal.save(&record).unwrap();
        }
        drop(journal);
        let mut bytes = std::fs::read(&path).unwrap();
        let second_end = bytes.windows(6).rposition(|text| text == b"Closed").unwrap();
        let third_end = bytes[..second_end].windows(6).rposition(|text| text == b"Closed").unwrap();
        bytes[third_end] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        for life in 1..3 {
            let (_, state) = JournalFile::open(directory.path()).unwrap();
            assert!(state.finished(&execution(1)).is_some(), "life {life}");
            assert!(state.current().unwrap().uncertain, "life {life}");
        }
    }
}
