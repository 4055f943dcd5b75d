//! The statuses of a job execution: those that are heard, and the few that a device may say.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A status that the service may send. One that is new must not break an old device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ExecutionStatus {
    /// Waits for the device.
    Queued,
    /// The device works on it.
    InProgress,
    /// Ended well.
    Succeeded,
    /// Ended badly; the service may queue it again.
    Failed,
    /// A timer of the service ran out; the service may queue it again.
    TimedOut,
    /// The device refused it; never queued again.
    Rejected,
    /// Its target left the job.
    Removed,
    /// Cancelled at the service.
    Canceled,
    /// A status that this version does not know.
    #[serde(other)]
    Unknown,
}

impl ExecutionStatus {
    /// Whether the execution is over. An unknown status is not taken as the end.
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        match self {
            Self::Succeeded
            | Self::Failed
            | Self::TimedOut
            | Self::Rejected
            | Self::Removed
            | Self::Canceled => true,
            Self::Queued | Self::InProgress | Self::Unknown => false,
        }
    }

    /// As AWS spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "QUEUED",
            Self::InProgress => "IN_PROGRESS",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::TimedOut => "TIMED_OUT",
            Self::Rejected => "REJECTED",
            Self::Removed => "REMOVED",
            Self::Canceled => "CANCELED",
            Self::Unknown => "UNKNOWN",
        }
    }
}

impl fmt::Display for ExecutionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The few that a device may report: a wrong one does not compile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ReportedStatus {
    /// At work, or still at work.
    InProgress,
    /// Every step that had to pass has passed.
    Succeeded,
    /// Some step that had to pass has not.
    Failed,
    /// Not fit to be run here; nothing was run.
    Rejected,
}

impl From<ReportedStatus> for ExecutionStatus {
    fn from(said: ReportedStatus) -> Self {
        match said {
            ReportedStatus::InProgress => Self::InProgress,
            ReportedStatus::Succeeded => Self::Succeeded,
            ReportedStatus::Failed => Self::Failed,
            ReportedStatus::Rejected => Self::Rejected,
        }
    }
}

impl fmt::Display for ReportedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        ExecutionStatus::from(*self).fmt(f)
    }
}
