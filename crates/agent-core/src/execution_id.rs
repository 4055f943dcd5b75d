//! Which execution is meant, and which run of one of its steps.

use std::fmt;

use jobs_protocol::{EpochSeconds, ExecutionNumber, JobId};
use serde::{Deserialize, Serialize};

/// One job execution. The service may give a deleted job id and execution number out again; the moment of queueing
/// tells the two apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ExecutionId {
    /// The job.
    pub job: JobId,
    /// The number of the execution.
    pub number: ExecutionNumber,
    /// When the service queued it.
    pub queued_at: EpochSeconds,
}

impl ExecutionId {
    /// Whether both bear the same job id and execution number, whenever they were queued.
    #[must_use]
    pub fn same_name(&self, other: &Self) -> bool {
        self.job == other.job && self.number == other.number
    }
}

impl fmt::Display for ExecutionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.job, self.number)
    }
}

/// One run of one step. `Display` is free of white space and slashes, and no two runs share it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RunId {
    /// The execution that it belongs to.
    pub execution: ExecutionId,
    /// The step, counted from 0; the final step comes after the others.
    pub step: u32,
    /// Which attempt, counted from 1.
    pub attempt: u32,
}

impl RunId {
    /// The run of this execution that is displayed so.
    #[must_use]
    pub fn of(execution: &ExecutionId, text: &str) -> Option<Self> {
        let (before, attempt) = text.rsplit_once('.')?;
        let (_, step) = before.rsplit_once('.')?;
        let run =
            Self { execution: execution.clone(), step: step.parse().ok()?, attempt: attempt.parse().ok()? };
        (run.to_string() == text).then_some(run)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ExecutionId { job, number, queued_at } = &self.execution;
        write!(f, "{job}.{number}.{}.{}.{}", queued_at.0, self.step, self.attempt)
    }
}
