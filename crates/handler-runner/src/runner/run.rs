//! A run in hand: waiting for it, stopping it, reading its outcome.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::fs::inotify;
use rustix::process::{Signal, pidfd_send_signal};

use crate::ending::{Ending, Halt, Outcome};
use crate::lost::end_without_keeper;
use crate::reports::Reported;
use crate::slot::{self, Place, Process, Slot};

/// How long a process on its way to become the handler may take for that when its keeper is gone.
const HANDLER_SAYS_WITHIN: Duration = Duration::from_secs(5);

/// A run that is held by a keeper.
#[derive(Debug)]
pub struct Run {
    slot: Slot,
    number: u64,
    pidfd: OwnedFd,
    /// Held open, so that its ending is heard of also if its files have been removed meanwhile. None if they were gone
    /// when it was found.
    records: Option<File>,
    /// Only if this very process has started the keeper.
    child: Option<Child>,
    stop_asked: AtomicBool,
}

impl Run {
    pub(super) fn new(
        slot: Slot,
        number: u64,
        pidfd: OwnedFd,
        records: Option<File>,
        child: Option<Child>,
    ) -> Self {
        Self { slot, number, pidfd, records, child, stop_asked: AtomicBool::new(false) }
    }

    /// The number that tells it apart from all other runs.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Has the handler stopped: TERM to its whole tree, KILL after the grace period. Returns at once; the end comes
    /// as always.
    pub fn stop(&self) -> io::Result<()> {
        self.stop_asked.store(true, Ordering::Relaxed);
        // A handler of the agent's own user may have stopped its keeper.
        for signal in [Signal::TERM, Signal::CONT] {
            match pidfd_send_signal(&self.pidfd, signal) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Where its files are.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.slot.directory()
    }

    /// A copy of the keeper's pidfd, to wait with: it becomes readable when the run is over.
    pub fn pidfd(&self) -> io::Result<OwnedFd> {
        self.pidfd.try_clone()
    }

    /// What the handler has reported so far, if anything.
    pub fn reported(&self) -> io::Result<Option<Reported>> {
        match self.slot.open_reported() {
            Ok(file) => slot::read_reported(&file, self.number),
            Err(error) => Err(error),
        }
    }

    /// Something to wait with for the next report: it becomes readable when there is one. What is read from it says
    /// nothing.
    pub fn watch_reports(&self) -> io::Result<OwnedFd> {
        let watch = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        inotify::add_watch(&watch, self.slot.reported_path(), inotify::WatchFlags::MODIFY)?;
        Ok(watch)
    }

    /// Reads how the run ended. To be called when the pidfd is readable; before that it waits.
    pub fn finish(mut self) -> io::Result<Outcome> {
        if let Some(child) = &mut self.child {
            child.wait()?;
        }
        let records = self.records.take().map_or_else(|| self.slot.open_records(false), Ok)?;
        if let Some(outcome) = slot::read_outcome(&records, self.number)? {
            return Ok(outcome);
        }
        // A keeper that was killed may have left a process that is about to become the handler. That holds the lock
        // until it has, and has written so before.
        slot::wait_for_lock(&records, HANDLER_SAYS_WITHIN)?;
        match slot::read_record::<Process>(&records, Place::Started, self.number)? {
            Some(handler) => end_without_keeper(self.number, Some(&handler)),
            None if slot::is_damaged(&records, Place::Started)? => end_without_keeper(self.number, None),
            // A keeper that does not hold back its signals yet is ended by them; what counts is what was asked for.
            None if self.stop_asked.into_inner() => {
                Ok(Outcome::bare(Ending::Stopped { halt: Halt { death: None, forced: false } }))
            }
            None => {
                let reason = "its keeper ended before it could start it".to_owned();
                Ok(Outcome::bare(Ending::NeverStarted { reason }))
            }
        }
    }
}

impl AsFd for Run {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}
