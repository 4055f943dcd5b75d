//! `start-next-pending-job-execution`.

use clap::Args;
use jobs_protocol::topic::RequestTopic;
use serde_json::Map;

use super::ask;
use crate::session::{CommandError, Session};

/// Takes the thing's next execution to IN_PROGRESS and shows it with its document.
#[derive(Debug, Args)]
pub(crate) struct StartNextPendingJobExecution {}

impl StartNextPendingJobExecution {
    #[expect(clippy::unused_self, reason = "every command is run in the same way")]
    pub(super) fn run(self, session: &Session) -> Result<(), CommandError> {
        ask(session, RequestTopic::StartNext, Map::new())
    }
}
