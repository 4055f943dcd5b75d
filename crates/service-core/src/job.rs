//! A job: what was asked for, how far it has come, and its executions.

use std::collections::{BTreeMap, VecDeque};

use jobs_protocol::{ExecutionNumber, ExecutionStatus, JobId, ThingName};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::EpochMillis;
use crate::document::Document;
use crate::execution::{Execution, Retries};
use crate::maintenance::Gate;
use crate::queue::Part;
use crate::registry::{GroupName, Registry};
use crate::rollout::{Pace, Schedule};
use crate::runs::Runs;
use crate::timers::{Alarm, Due};

/// The states of a job. Deletion is immediate here, so that DELETION_IN_PROGRESS is never seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum JobStatus {
    Scheduled,
    InProgress,
    Completed,
    Canceled,
}

impl JobStatus {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "SCHEDULED",
            Self::InProgress => "IN_PROGRESS",
            Self::Completed => "COMPLETED",
            Self::Canceled => "CANCELED",
        }
    }

    /// Whether there is still something to come of it.
    pub(crate) const fn is_open(self) -> bool {
        matches!(self, Self::Scheduled | Self::InProgress)
    }
}

/// What a job is directed at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Target {
    Thing(ThingName),
    Group(GroupName),
}

impl Target {
    /// The last part of its ARN.
    pub(crate) fn resource(&self) -> String {
        match self {
            Self::Thing(name) => format!("thing/{name}"),
            Self::Group(name) => format!("thinggroup/{name}"),
        }
    }
}

/// A kind of failure that retry and abort criteria speak of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum FailureType {
    Failed,
    Rejected,
    TimedOut,
    All,
}

impl FailureType {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "FAILED",
            Self::Rejected => "REJECTED",
            Self::TimedOut => "TIMED_OUT",
            Self::All => "ALL",
        }
    }

    fn covers(self, status: ExecutionStatus) -> bool {
        let own = match status {
            ExecutionStatus::Failed => Self::Failed,
            ExecutionStatus::Rejected => Self::Rejected,
            ExecutionStatus::TimedOut => Self::TimedOut,
            ExecutionStatus::Queued
            | ExecutionStatus::InProgress
            | ExecutionStatus::Succeeded
            | ExecutionStatus::Removed
            | ExecutionStatus::Canceled
            | ExecutionStatus::Unknown => return false,
        };
        self == own || self == Self::All
    }
}

/// How often a failed execution is queued again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RetryCriterion {
    pub(crate) failure: FailureType,
    pub(crate) retries: u64,
}

/// When a job is given up.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct AbortCriterion {
    pub(crate) failure: FailureType,
    pub(crate) threshold_percentage: f64,
    pub(crate) min_executed: u64,
}

/// How many executions are in which state. Despite the API's names it counts executions, not things \[capture C 10-05\].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts([u64; 8]);

/// The statuses that are counted, with the API's names for the counters.
pub(crate) const COUNTED: [(ExecutionStatus, &str); 8] = [
    (ExecutionStatus::Canceled, "numberOfCanceledThings"),
    (ExecutionStatus::Succeeded, "numberOfSucceededThings"),
    (ExecutionStatus::Failed, "numberOfFailedThings"),
    (ExecutionStatus::Rejected, "numberOfRejectedThings"),
    (ExecutionStatus::Queued, "numberOfQueuedThings"),
    (ExecutionStatus::InProgress, "numberOfInProgressThings"),
    (ExecutionStatus::Removed, "numberOfRemovedThings"),
    (ExecutionStatus::TimedOut, "numberOfTimedOutThings"),
];

impl Counts {
    pub(crate) fn of(&self, status: ExecutionStatus) -> u64 {
        Self::place(status).map_or(0, |place| self.0[place])
    }

    pub(crate) fn add(&mut self, status: ExecutionStatus) {
        if let Some(place) = Self::place(status) {
            self.0[place] += 1;
        }
    }

    pub(crate) fn subtract(&mut self, status: ExecutionStatus) {
        if let Some(place) = Self::place(status) {
            self.0[place] = self.0[place].saturating_sub(1);
        }
    }

    /// QUEUED and IN_PROGRESS.
    pub(crate) fn open(&self) -> u64 {
        self.of(ExecutionStatus::Queued) + self.of(ExecutionStatus::InProgress)
    }

    /// All that are over.
    pub(crate) fn terminal(&self) -> u64 {
        self.0.iter().sum::<u64>() - self.open()
    }

    fn failures(&self, failure: FailureType) -> u64 {
        COUNTED.iter().filter(|(status, _)| failure.covers(*status)).map(|(status, _)| self.of(*status)).sum()
    }

    fn place(status: ExecutionStatus) -> Option<usize> {
        COUNTED.iter().position(|(counted, _)| *counted == status)
    }
}

/// A job and all its executions.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Job {
    /// Counts creations: newest first is by it.
    pub(crate) serial: u64,
    pub(crate) targets: Vec<Target>,
    pub(crate) continuous: bool,
    pub(crate) status: JobStatus,
    pub(crate) document: Document,
    /// Where the document was read from.
    pub(crate) source: Option<String>,
    pub(crate) description: Option<String>,
    /// The in-progress timer, in minutes.
    pub(crate) timeout: Option<u64>,
    pub(crate) retry: Vec<RetryCriterion>,
    pub(crate) abort: Vec<AbortCriterion>,
    pub(crate) pace: Pace,
    pub(crate) schedule: Schedule,
    /// The things that the rollout has not reached yet.
    pub(crate) waiting: VecDeque<ThingName>,
    /// When the next batch is released, while things wait.
    pub(crate) next_batch: Option<EpochMillis>,
    /// How many executions the job has ever had.
    pub(crate) notified: u64,
    /// The end of its schedule is past.
    pub(crate) ended: bool,
    #[serde(default)]
    pub(crate) gate: Gate,
    /// Configurations as they were given, by member name, to be shown again.
    pub(crate) shown: Map<String, Value>,
    pub(crate) created_at: EpochMillis,
    pub(crate) last_updated_at: EpochMillis,
    pub(crate) completed_at: Option<EpochMillis>,
    pub(crate) force_canceled: bool,
    pub(crate) reason_code: Option<String>,
    pub(crate) comment: Option<String>,
    pub(crate) counts: Counts,
    pub(crate) executions: BTreeMap<ThingName, Runs>,
}

impl Job {
    pub(crate) fn execution(&self, thing: &ThingName, number: ExecutionNumber) -> Option<&Execution> {
        self.executions.get(thing)?.get(number)
    }

    /// The alarms that belong to the job itself and not to one of its executions.
    pub(crate) fn alarms(&self, id: &JobId) -> Vec<Alarm> {
        // A job with windows begins with the first of them.
        let waits = self.status == JobStatus::Scheduled && !self.schedule.has_windows();
        let start = self.schedule.start.filter(|_| waits);
        let end = self.schedule.end.filter(|_| self.status.is_open() && !self.ended);
        let alarms = [
            start.map(|at| Alarm { at, due: Due::Start(id.clone()) }),
            end.map(|at| Alarm { at, due: Due::End(id.clone()) }),
            self.gate
                .change
                .filter(|_| self.status.is_open())
                .map(|at| Alarm { at, due: Due::Window(id.clone()) }),
            self.next_batch.map(|at| Alarm { at, due: Due::Batch(id.clone()) }),
        ];
        alarms.into_iter().flatten().collect()
    }

    /// Whether things that come into its groups get it.
    pub(crate) fn follows_groups(&self) -> bool {
        self.continuous && self.is_running() && !self.ended
    }

    /// Whether it has begun and is not over. Between two maintenance windows it is SCHEDULED and runs all the same.
    pub(crate) fn is_running(&self) -> bool {
        self.status == JobStatus::InProgress || (self.status == JobStatus::Scheduled && self.gate.held)
    }

    /// The part of its thing's queue that an execution belongs to.
    pub(crate) fn part_of(&self, execution: &Execution) -> Part {
        match execution.part() {
            Part::Queued if self.gate.held => Part::Held,
            part @ (Part::InProgress | Part::Queued | Part::Held | Part::Finished) => part,
        }
    }

    /// Whether executions are still being handed out.
    pub(crate) fn is_rolling_out(&self) -> bool {
        self.status == JobStatus::InProgress && !self.waiting.is_empty()
    }

    /// The execution of a thing that requests without a number mean.
    pub(crate) fn newest(&self, thing: &ThingName) -> Option<(ExecutionNumber, &Execution)> {
        self.executions.get(thing)?.newest()
    }

    /// The executions in one of the given states.
    pub(crate) fn in_status(&self, wanted: &[ExecutionStatus]) -> Vec<(ThingName, ExecutionNumber)> {
        let all = self.executions.iter();
        let flat =
            all.flat_map(|(thing, numbers)| numbers.iter().map(move |(number, one)| (thing, number, one)));
        flat.filter(|(_, _, execution)| wanted.contains(&execution.status))
            .map(|(thing, number, _)| (thing.clone(), *number))
            .collect()
    }

    /// Whether one of its targets includes the thing.
    pub(crate) fn is_for(&self, thing: &ThingName, registry: &Registry) -> bool {
        self.targets.iter().any(|target| match target {
            Target::Thing(name) => name == thing,
            Target::Group(group) => registry.is_member(thing, group),
        })
    }

    /// What a further execution starts with, if one that has ended so is to be queued again.
    pub(crate) fn retry_after(&self, ended: &Execution) -> Option<Retries> {
        let used = ended.retries;
        let (mut next, spent) = (used, |criterion: &RetryCriterion| match criterion.failure {
            FailureType::Failed => used.failed,
            FailureType::TimedOut => used.timed_out,
            FailureType::All | FailureType::Rejected => used.total(),
        });
        if ended.status == ExecutionStatus::TimedOut {
            next.timed_out += 1;
        } else if ended.status == ExecutionStatus::Failed {
            next.failed += 1;
        } else {
            return None;
        }
        let open = |criterion: &RetryCriterion| {
            criterion.failure.covers(ended.status) && spent(criterion) < criterion.retries
        };
        self.retry.iter().any(open).then_some(next)
    }

    /// The comment of the first abort criterion that is met.
    #[expect(clippy::cast_precision_loss, reason = "counts of executions are far below 2^52")]
    pub(crate) fn abort_reason(&self) -> Option<String> {
        let executed = self.counts.terminal();
        let met = |criterion: &&AbortCriterion| {
            let failures = self.counts.failures(criterion.failure);
            executed >= criterion.min_executed
                && 100.0 * failures as f64 >= criterion.threshold_percentage * executed as f64
        };
        let criterion = self.abort.iter().find(met)?;
        let kind = criterion.failure.as_str();
        Some(format!(
            "Abort criteria for failure type {kind} with threshold {:.2}% met. Total completed executions: {executed}, \
             total {kind} executions: {}",
            criterion.threshold_percentage,
            self.counts.failures(criterion.failure),
        ))
    }
}
