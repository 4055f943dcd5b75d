//! `list-jobs`.

use clap::Args;

use super::call;
use crate::control::Call;
use crate::session::{CommandError, Session};

/// Lists the account's jobs, up to 250 at once.
#[derive(Debug, Args)]
pub(crate) struct ListJobs {
    /// Only those with this status: SCHEDULED, IN_PROGRESS, COMPLETED, CANCELED or DELETION_IN_PROGRESS.
    #[arg(long)]
    status: Option<String>,
    /// Where to go on: the `nextToken` of the page before.
    #[arg(long, value_name = "TOKEN")]
    next_token: Option<String>,
}

impl ListJobs {
    pub(super) fn run(self, session: &Session) -> Result<(), CommandError> {
        let call_ = Call::ListJobs { status: self.status.as_deref(), next_token: self.next_token.as_deref() };
        call(session, &call_)
    }
}
