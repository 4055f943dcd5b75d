//! `describe-job-execution`.

use clap::Args;
use jobs_protocol::JobId;
use jobs_protocol::topic::{JobSelector, RequestTopic};
use serde_json::Map;

use super::ask;
use crate::session::{CommandError, Session};

/// Shows the thing's execution of a job, as long as it is not over.
#[derive(Debug, Args)]
pub(crate) struct DescribeJobExecution {
    /// The job's id, or `$next` for the next one.
    #[arg(value_parser = selector)]
    job_id: JobSelector,
}

fn selector(text: &str) -> Result<JobSelector, jobs_protocol::InvalidName> {
    if text == "$next" { Ok(JobSelector::Next) } else { JobId::try_from(text).map(JobSelector::Job) }
}

impl DescribeJobExecution {
    pub(super) fn run(self, session: &Session) -> Result<(), CommandError> {
        ask(session, RequestTopic::Describe(self.job_id), Map::new())
    }
}
