//! `cancel-job`.

use clap::Args;
use jobs_protocol::JobId;

use super::call;
use crate::control::Call;
use crate::session::{CommandError, Session};

/// Cancels a job: its executions that are QUEUED.
#[derive(Debug, Args)]
pub(crate) struct CancelJob {
    /// The job's id.
    job_id: JobId,
    /// Also those that are IN_PROGRESS.
    #[arg(long)]
    force: bool,
}

impl CancelJob {
    pub(super) fn run(self, session: &Session) -> Result<(), CommandError> {
        call(session, &Call::CancelJob { job: &self.job_id, force: self.force })
    }
}
