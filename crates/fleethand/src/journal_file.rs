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

/// An open journal.
#[derive(Debug)]
pub(crate) struct JournalFile {
    journal: Journal,
    /// What the file amounts to: needed to rewrite it.
    state: State,
    /// Its size after the last rewrite, in bytes.
    base: usize,
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
    /// Opens the journal of a state directory, and says what is in it. What cannot be read is logged and left
    /// out. That is safe: whatever had been started was IN_PROGRESS at the service before, and what is
    /// IN_PROGRESS there and unknown here is never run again.
    pub(crate) fn open(directory: &Path) -> Result<(Self, State), OpenError> {
        let opened = Journal::open(directory.join(NAME))?;
        if let Some(damage) = &opened.damage {
            tracing::error!("{}", crate::chain::Chain(damage));
        }
        if opened.torn {
            tracing::info!("The last record of the journal was cut off by a crash before it counted");
        }
        let mut state = State::default();
        for record in &opened.records {
            match serde_json::from_slice(record) {
                Ok(record) => state.apply(&record),
                // As after a downgrade: the text stays out of the log, since it holds documents.
                Err(error) => tracing::error!(%error, "A record of the journal is not understood"),
            }
        }
        let journal = opened.journal;
        let base = journal.size();
        Ok((Self { journal, state: state.clone(), base }, state))
    }

    /// Saves a record: when this is `Ok` it survives a power cut.
    pub(crate) fn save(&mut self, record: &Record) -> Result<(), SaveError> {
        let text = serde_json::to_vec(record).map_err(SaveError::Encode)?;
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

    fn rewrite(&mut self) -> Result<(), SaveError> {
        let records: Result<Vec<_>, _> = self.state.to_records().iter().map(serde_json::to_vec).collect();
        self.journal.rewrite(&records.map_err(SaveError::Encode)?).map_err(SaveError::Rewrite)?;
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
    }
}
