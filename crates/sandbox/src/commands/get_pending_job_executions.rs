//! `get-pending-job-executions`.

use clap::Args;
use jobs_protocol::topic::RequestTopic;
use serde_json::Map;

use super::ask;
use crate::session::{CommandError, Session};

/// Shows the thing's executions that are not over.
#[derive(Debug, Args)]
pub(crate) struct GetPendingJobExecutions {}

impl GetPendingJobExecutions {
    #[expect(clippy::unused_self, reason = "every command is run in the same way")]
    pub(super) fn run(self, session: &Session) -> Result<(), CommandError> {
        ask(session, RequestTopic::GetPending, Map::new())
    }
}
