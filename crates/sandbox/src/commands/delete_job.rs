//! `delete-job`.

use clap::Args;
use jobs_protocol::JobId;

use super::call;
use crate::control::Call;
use crate::session::{CommandError, Session};

/// Deletes a job that is completed or cancelled.
#[derive(Debug, Args)]
pub(crate) struct DeleteJob {
    /// The job's id.
    job_id: JobId,
    /// Also one that is not over.
    #[arg(long)]
    force: bool,
}

impl DeleteJob {
    pub(super) fn run(self, session: &Session) -> Result<(), CommandError> {
        call(session, &Call::DeleteJob { job: &self.job_id, force: self.force })
    }
}
