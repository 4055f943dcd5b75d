//! `update-job-execution`.

use clap::Args;
use jobs_protocol::topic::RequestTopic;
use jobs_protocol::{ExecutionStatus, JobId};
use serde_json::json;

use super::{ask, body};
use crate::session::{CommandError, Session};

/// What can be tried; a device may set the first four, and the service says so about the others.
pub(crate) const STATUSES: [ExecutionStatus; 8] = [
    ExecutionStatus::InProgress,
    ExecutionStatus::Succeeded,
    ExecutionStatus::Failed,
    ExecutionStatus::Rejected,
    ExecutionStatus::Canceled,
    ExecutionStatus::Queued,
    ExecutionStatus::TimedOut,
    ExecutionStatus::Removed,
];

/// Reports a status of the thing's execution of a job.
#[derive(Debug, Args)]
pub(crate) struct UpdateJobExecution {
    /// The job's id.
    job_id: JobId,
    /// IN_PROGRESS, SUCCEEDED, FAILED or REJECTED; others are known to the service but not for a device to set.
    #[arg(value_parser = status)]
    status: ExecutionStatus,
}

fn status(text: &str) -> Result<ExecutionStatus, String> {
    STATUSES.into_iter().find(|status| status.as_str() == text).ok_or_else(|| {
        let known: Vec<_> = STATUSES.iter().map(|status| status.as_str()).collect();
        format!("no such status; there are {}", known.join(", "))
    })
}

impl UpdateJobExecution {
    pub(super) fn run(self, session: &Session) -> Result<(), CommandError> {
        let members = body([("status", json!(self.status.as_str()))]);
        ask(session, RequestTopic::Update(self.job_id), members)
    }
}
