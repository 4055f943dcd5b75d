//! When which execution ends by itself, earliest first.

use std::collections::BTreeSet;

use jobs_protocol::{ExecutionNumber, JobId, ThingName};

use crate::EpochMillis;

/// The end of an execution's time: of its in-progress timer or its step timer, whichever comes first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Alarm {
    pub(crate) at: EpochMillis,
    pub(crate) thing: ThingName,
    pub(crate) job: JobId,
    pub(crate) number: ExecutionNumber,
}

/// All alarms; an execution has at most one, and has it only while IN_PROGRESS.
#[derive(Debug, Clone, Default)]
pub(crate) struct Timers(BTreeSet<Alarm>);

impl Timers {
    /// When the earliest is due.
    pub(crate) fn next(&self) -> Option<EpochMillis> {
        self.0.first().map(|alarm| alarm.at)
    }

    pub(crate) fn set(&mut self, alarm: Alarm) {
        self.0.insert(alarm);
    }

    pub(crate) fn clear(&mut self, alarm: &Alarm) {
        self.0.remove(alarm);
    }

    /// Takes the earliest that is due; never one that is not.
    pub(crate) fn take_due(&mut self, now: EpochMillis) -> Option<Alarm> {
        if self.next()? <= now { self.0.pop_first() } else { None }
    }
}
