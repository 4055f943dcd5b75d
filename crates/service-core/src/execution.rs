//! One execution: what is known of it, how it looks to a device, and how it changes.
//!
//! Whether a change is allowed is asked before; queue, timers and counters follow in `lifecycle`.

use jobs_protocol::message::{JobExecution, JobExecutionState, JobExecutionSummary};
use jobs_protocol::{
    DetailsMap, ExecutionNumber, ExecutionStatus, JobId, ReportedStatus, ThingName, VersionNumber,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::EpochMillis;
use crate::queue::{Part, Place};
use crate::timers::{Alarm, Due};

/// A job's instance on one thing. Its number is the key it is kept under.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Execution {
    /// See [`Place::serial`].
    pub(crate) serial: u64,
    pub(crate) status: ExecutionStatus,
    /// `None` until somebody sets them; from then on visible even if empty.
    pub(crate) details: Option<DetailsMap>,
    pub(crate) queued_at: EpochMillis,
    pub(crate) started_at: Option<EpochMillis>,
    pub(crate) last_updated_at: EpochMillis,
    pub(crate) version: VersionNumber,
    pub(crate) force_canceled: bool,
    pub(crate) retries: Retries,
    /// End of the in-progress timer, fixed when the execution starts.
    job_deadline: Option<EpochMillis>,
    /// End of the step timer, which the device sets.
    step_deadline: Option<EpochMillis>,
}

/// How often this thing has been given the job again, by the kind of failure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Retries {
    pub(crate) failed: u64,
    pub(crate) timed_out: u64,
}

impl Retries {
    pub(crate) const fn total(self) -> u64 {
        self.failed + self.timed_out
    }
}

/// What a device asks of the step timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StepTimer {
    /// Nothing: a running timer runs on.
    Keep,
    /// No timer any more.
    Discard,
    /// A new one of so many minutes from now, in place of any other.
    Minutes(u64),
}

/// What a device reports.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    pub(crate) status: ReportedStatus,
    /// Replace the stored ones; `None` leaves those.
    pub(crate) details: Option<DetailsMap>,
    pub(crate) step_timer: StepTimer,
}

impl Execution {
    pub(crate) fn queued(serial: u64, retries: Retries, now: EpochMillis) -> Self {
        Self {
            serial,
            status: ExecutionStatus::Queued,
            details: None,
            queued_at: now,
            started_at: None,
            last_updated_at: now,
            version: VersionNumber::new(1),
            force_canceled: false,
            retries,
            job_deadline: None,
            step_deadline: None,
        }
    }

    /// Takes a report of the device. `limit`: the job's in-progress timer in minutes, for an execution that starts.
    pub(crate) fn report(&mut self, report: Report, limit: Option<u64>, now: EpochMillis) {
        if self.status == ExecutionStatus::Queued && report.status == ReportedStatus::InProgress {
            self.job_deadline = limit.map(|minutes| now.plus_minutes(minutes));
        }
        if report.status != ReportedStatus::Rejected {
            self.started_at.get_or_insert(now);
        }
        if let Some(details) = report.details {
            self.details = Some(details);
        }
        match report.step_timer {
            StepTimer::Keep => {}
            StepTimer::Discard => self.step_deadline = None,
            StepTimer::Minutes(minutes) => self.step_deadline = Some(now.plus_minutes(minutes)),
        }
        self.status = report.status.into();
        self.changed(now);
    }

    /// Ends it from the service's side.
    pub(crate) fn end(&mut self, status: ExecutionStatus, now: EpochMillis) {
        self.status = status;
        self.changed(now);
    }

    /// Ends it because the thing left the job's targets: the one change that does not count as a version
    /// \[capture C 10-05\].
    pub(crate) fn remove(&mut self, now: EpochMillis) {
        self.status = ExecutionStatus::Removed;
        self.last_updated_at = now;
    }

    fn changed(&mut self, now: EpochMillis) {
        self.version = self.version.next();
        self.last_updated_at = now;
    }

    /// When it times out: the earlier of its timers, while IN_PROGRESS.
    pub(crate) fn deadline(&self) -> Option<EpochMillis> {
        let running = self.status == ExecutionStatus::InProgress;
        [self.job_deadline, self.step_deadline].into_iter().flatten().min().filter(|_| running)
    }

    /// The alarm of that moment.
    pub(crate) fn alarm(&self, thing: &ThingName, job: &JobId, number: ExecutionNumber) -> Option<Alarm> {
        let due = Due::TimeOut { thing: thing.clone(), job: job.clone(), number };
        self.deadline().map(|at| Alarm { at, due })
    }

    /// Seconds until it times out.
    pub(crate) fn seconds_left(&self, now: EpochMillis) -> Option<u64> {
        self.deadline().map(|deadline| deadline.seconds_after(now))
    }

    pub(crate) fn part(&self) -> Part {
        match self.status {
            ExecutionStatus::Queued => Part::Queued,
            ExecutionStatus::InProgress => Part::InProgress,
            ExecutionStatus::Succeeded
            | ExecutionStatus::Failed
            | ExecutionStatus::TimedOut
            | ExecutionStatus::Rejected
            | ExecutionStatus::Removed
            | ExecutionStatus::Canceled
            | ExecutionStatus::Unknown => Part::Finished,
        }
    }

    pub(crate) fn place(&self, job: &JobId, number: ExecutionNumber) -> Place {
        Place { queued_at: self.queued_at, serial: self.serial, job: job.clone(), number }
    }

    /// As `get` and `notify` list it.
    pub(crate) fn summary(&self, place: &Place) -> JobExecutionSummary {
        JobExecutionSummary {
            job_id: place.job.clone(),
            queued_at: self.queued_at.seconds(),
            last_updated_at: self.last_updated_at.seconds(),
            started_at: self.started_at.map(EpochMillis::seconds),
            execution_number: place.number,
            version_number: self.version,
        }
    }

    /// As describe, start-next and `notify-next` show it over MQTT: without the thing's name.
    pub(crate) fn describe(
        &self,
        place: &Place,
        document: Option<Box<RawValue>>,
        now: EpochMillis,
    ) -> JobExecution {
        JobExecution {
            job_id: place.job.clone(),
            thing_name: None,
            status: self.status,
            status_details: self.details.clone(),
            queued_at: self.queued_at.seconds(),
            started_at: self.started_at.map(EpochMillis::seconds),
            last_updated_at: self.last_updated_at.seconds(),
            version_number: self.version,
            execution_number: place.number,
            approximate_seconds_before_timed_out: self
                .seconds_left(now)
                .map(|seconds| i64::try_from(seconds).unwrap_or(i64::MAX)),
            job_document: document,
        }
    }

    /// As an update's reply and some rejections carry it.
    pub(crate) fn state(&self) -> JobExecutionState {
        JobExecutionState {
            status: self.status,
            status_details: self.details.clone(),
            version_number: self.version,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;

    fn in_progress(step_timer: StepTimer) -> Report {
        Report { status: ReportedStatus::InProgress, details: None, step_timer }
    }

    #[test]
    fn the_step_timer_is_replaced_and_bounded_by_the_jobs_timer() {
        // The guide's worked example: started at 12:00 with 20 minutes; 7 at 12:05, 5 at 12:10, 9 at 12:13.
        let mut execution = Execution::queued(1, Retries::default(), EpochMillis(0));
        execution.report(in_progress(StepTimer::Keep), Some(20), EpochMillis(0));
        assert_eq!(execution.deadline(), Some(EpochMillis(20 * MINUTE)));
        for (at, minutes, end) in [(5, 7, 12), (10, 5, 15), (13, 9, 20)] {
            execution.report(in_progress(StepTimer::Minutes(minutes)), Some(1), EpochMillis(at * MINUTE));
            assert_eq!(execution.deadline(), Some(EpochMillis(end * MINUTE)), "{minutes} minutes at {at}");
        }
        execution.report(in_progress(StepTimer::Minutes(4)), Some(1), EpochMillis(14 * MINUTE));
        execution.report(in_progress(StepTimer::Keep), Some(1), EpochMillis(15 * MINUTE));
        assert_eq!(
            execution.deadline(),
            Some(EpochMillis(18 * MINUTE)),
            "a plain report leaves the timer alone"
        );
        execution.report(in_progress(StepTimer::Discard), Some(1), EpochMillis(15 * MINUTE));
        assert_eq!(execution.deadline(), Some(EpochMillis(20 * MINUTE)));
        assert_eq!(execution.seconds_left(EpochMillis(19 * MINUTE + 1)), Some(59));
        execution.end(ExecutionStatus::Canceled, EpochMillis(16 * MINUTE));
        assert_eq!(execution.deadline(), None);
    }

    #[test]
    fn a_rejection_from_queued_does_not_count_as_a_start() {
        let report = |status| Report { status, details: None, step_timer: StepTimer::Keep };
        for (status, started) in
            [(ReportedStatus::Rejected, None), (ReportedStatus::Failed, Some(EpochMillis(5)))]
        {
            let mut execution = Execution::queued(1, Retries::default(), EpochMillis(1));
            execution.report(report(status), None, EpochMillis(5));
            assert_eq!(execution.started_at, started, "{status}");
            assert_eq!(execution.version, VersionNumber::new(2));
        }
    }

    #[test]
    fn removal_is_no_version() {
        let mut execution = Execution::queued(1, Retries::default(), EpochMillis(1));
        execution.remove(EpochMillis(9));
        assert_eq!((execution.version, execution.last_updated_at), (VersionNumber::new(1), EpochMillis(9)));
    }
}
