//! The agent's journal on a disk that is cut off at any byte: the real code of `durable`, and the shell's few rules
//! around it, on a disk in memory.

use agent_core::journal::{Record, State};
use durable::Journal;
use durable::testing::{Fault, FaultyDisk};

const PATH: &str = "/state/journal";
/// What is reserved for the records of a job.
const ROOM: usize = 8 * 1024;
/// A journal is written anew when it is longer, so that worlds see that as well.
const LONG: usize = 24 * 1024;

/// How a save went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Saved {
    /// It is on the disk.
    Yes,
    /// The machine went down in the middle of it: it is there or not, and nothing has followed on it.
    CutOff,
}

/// A disk, and the journal of the agent that lives on it.
#[derive(Debug, Default)]
pub(crate) struct Board {
    disk: FaultyDisk,
    journal: Option<Journal<FaultyDisk>>,
    state: State,
}

impl Board {
    /// What a new life of the agent reads.
    pub(crate) fn open(&mut self) -> State {
        let opened =
            Journal::open_on(self.disk.clone(), PATH, Some(br#""Damaged""#)).expect("the disk works");
        assert!(opened.damage.is_none(), "a crash does no damage: {:?}", opened.damage);
        let read = |record: &Vec<u8>| serde_json::from_slice::<Record>(record).expect("it was written by us");
        self.state = State::from_records(opened.records.iter().map(read));
        self.journal = Some(opened.journal);
        self.renew();
        self.state.clone()
    }

    /// Saves a record. If `cut` is given the power goes so many bytes, syncs or renamings later, if that is in the
    /// middle of it.
    pub(crate) fn save(&mut self, record: &Record, cut: Option<usize>) -> Saved {
        if let Some(steps) = cut {
            self.disk.arm(Fault::CrashAfter(steps));
        }
        let text = serde_json::to_vec(record).expect("records are JSON");
        let Some(journal) = &mut self.journal else { return Saved::CutOff };
        let room = if matches!(record, Record::Accepted { .. }) { ROOM } else { 0 };
        let written = journal.reserve(room).and_then(|()| journal.append(&text));
        if written.is_ok() {
            self.state.apply(record);
            if journal.size() > LONG {
                self.renew();
            }
        }
        match (cut, written, self.is_open()) {
            (_, Ok(()), true) => {
                // It came through; what is armed is not for the next one.
                self.disk.disarm();
                Saved::Yes
            }
            (None, written, _) => panic!("the disk works: {written:?}"),
            (Some(_), _, _) => Saved::CutOff,
        }
    }

    fn is_open(&self) -> bool {
        self.journal.as_ref().is_some_and(|journal| !journal.is_poisoned())
    }

    fn renew(&mut self) {
        let records = self.state.to_records();
        let records: Vec<_> =
            records.iter().map(|record| serde_json::to_vec(record).expect("records are JSON")).collect();
        if let Some(journal) = &mut self.journal {
            // Only a cut can be the reason; then the agent is gone anyway.
            if journal.rewrite(&records, ROOM).is_err() {
                self.journal = None;
            }
        }
    }

    /// The power comes back after a cut. Whether what was written without a sync is there is up to the disk.
    pub(crate) fn power_returns(&mut self, all_is_there: bool) {
        self.journal = None;
        if all_is_there {
            self.disk.restart();
        } else {
            self.disk.restart_without_what_was_not_synced();
        }
    }

    /// The file is gone.
    pub(crate) fn lose(&mut self) {
        *self = Self::default();
    }
}
