//! What happens by itself, and when: earliest first.

use std::collections::BTreeSet;

use jobs_protocol::{ExecutionNumber, JobId, ThingName};

use crate::EpochMillis;

/// Something that happens at a moment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Alarm {
    pub(crate) at: EpochMillis,
    pub(crate) due: Due,
}

/// What it is. Of those at the same moment, an end comes before the next batch, and so does
/// the end of a window.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    /// A scheduled job begins.
    Start(JobId),
    /// A job's schedule ends.
    End(JobId),
    /// A maintenance window of a job opens or closes.
    Window(JobId),
    /// The next batch of a job's rollout.
    Batch(JobId),
    /// The end of an execution's time: of its in-progress timer or its step timer, whichever comes first.
    TimeOut { thing: ThingName, job: JobId, number: ExecutionNumber },
}

/// All alarms. An execution has at most one, and has it only while IN_PROGRESS.
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
