//! The pipe that a handler reports to, and the file in which an agent finds the latest of it.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use super::stream::{DRAIN, read_some};
use crate::reports::{Reported, Reports};
use crate::slot::{self, Slot};

/// The file is written no more often: each time wakes the agent.
const WRITE_EVERY: Duration = Duration::from_secs(1);

/// What comes from the handler, and what of it has been written down.
#[derive(Debug)]
pub(super) struct Reporting {
    pub(super) pipe: Option<OwnedFd>,
    reports: Reports,
    file: File,
    run: u64,
    changed: bool,
    not_before: Duration,
}

impl Reporting {
    /// Reads from a pipe that does not block.
    pub(super) fn new(pipe: OwnedFd, slot: &Slot, run: u64) -> io::Result<Self> {
        Ok(Self {
            pipe: Some(pipe),
            reports: Reports::default(),
            file: slot.open_reported()?,
            run,
            changed: false,
            not_before: Duration::ZERO,
        })
    }

    /// Reads once, if there is something.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        if let Some(read) = read_some(&mut self.pipe, buffer)? {
            self.changed |= self.reports.push(&buffer[..read]);
        }
        Ok(())
    }

    /// When to call [`Reporting::write_if_due`] next, on the boot clock.
    pub(super) fn alarm(&self) -> Option<Duration> {
        self.changed.then_some(self.not_before)
    }

    /// Writes the latest down, if there is news and it is not too early.
    pub(super) fn write_if_due(&mut self, now: Duration) {
        if !self.changed || now < self.not_before {
            return;
        }
        self.changed = false;
        self.not_before = now.saturating_add(WRITE_EVERY);
        // A handler does not fail for a full disk of the agent's: the next report tries again, and the ending has the
        // last one.
        let _ = slot::write_reported(&self.file, self.run, &self.reports.latest);
    }

    /// What the handler has reported last of all.
    pub(super) fn finish(mut self, buffer: &mut [u8]) -> io::Result<Reported> {
        for _ in 0..DRAIN {
            self.read(buffer)?;
        }
        self.reports.finish();
        Ok(self.reports.latest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn the_first_report_is_written_at_once_and_others_once_a_second() {
        let directory = tempfile::tempdir().unwrap();
        let slot = Slot::at(directory.path().to_owned());
        let (pipe, handler) = rustix::pipe::pipe().unwrap();
        super::super::never_wait(&pipe).unwrap();
        let mut reporting = Reporting::new(pipe, &slot, 7).unwrap();
        let says = |reporting: &mut Reporting, text: &str| {
            rustix::io::write(&handler, text.as_bytes()).unwrap();
            reporting.read(&mut [0; 100]).unwrap();
        };
        let file = slot.open_reported().unwrap();
        let written = || slot::read_reported(&file, 7).unwrap().map(|all| all.facts["progress"].clone());
        assert_eq!(reporting.alarm(), None, "nothing to do");
        says(&mut reporting, "one\n");
        reporting.write_if_due(at(5000));
        assert_eq!((written().as_deref(), reporting.alarm()), (Some("one"), None));
        says(&mut reporting, "two\n");
        says(&mut reporting, "three\n");
        reporting.write_if_due(at(5999));
        assert_eq!((written().as_deref(), reporting.alarm()), (Some("one"), Some(at(6000))));
        reporting.write_if_due(at(6000));
        assert_eq!((written().as_deref(), reporting.alarm()), (Some("three"), None));
        says(&mut reporting, "three\n");
        assert_eq!(reporting.alarm(), None, "nothing new");
        says(&mut reporting, "four");
        assert_eq!(reporting.finish(&mut [0; 100]).unwrap().facts["progress"], "four");
    }
}
