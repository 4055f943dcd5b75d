//! What the service has told us is waiting: the cache of pending executions.

use jobs_protocol::message::{GetPendingAccepted, JobExecution, JobExecutionSummary, Notify};

use crate::ExecutionId;

/// The cache. It is news, not truth: an execution is worked on only after the service has agreed.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    next: Next,
    /// The pending list as it was last heard, front first; bounded, because the service's own list is.
    listed: Vec<JobExecutionSummary>,
}

/// More entries than the service ever lists are not kept.
const MOST_LISTED: usize = 32;

/// What is known of the front of the list.
#[derive(Debug, Default)]
pub(crate) enum Next {
    /// Nothing that is still true.
    #[default]
    Unknown,
    /// That nothing is pending.
    Nothing,
    /// This one.
    Offer(Box<JobExecution>),
}

impl Pending {
    /// What was known may be outdated from now on.
    pub(crate) fn forget_next(&mut self) {
        self.next = Next::Unknown;
    }

    pub(crate) fn heard_next(&mut self, execution: Option<JobExecution>) {
        self.next = execution.map_or(Next::Nothing, |execution| Next::Offer(Box::new(execution)));
    }

    /// Takes out what is known of the front, so that it is considered once.
    pub(crate) fn take_next(&mut self) -> Next {
        std::mem::take(&mut self.next)
    }

    pub(crate) fn heard_list(
        &mut self,
        in_progress: Vec<JobExecutionSummary>,
        queued: Vec<JobExecutionSummary>,
    ) {
        self.listed = in_progress.into_iter().chain(queued).take(MOST_LISTED).collect();
    }

    pub(crate) fn heard_notify(&mut self, notify: Notify) {
        self.heard_list(notify.jobs.in_progress, notify.jobs.queued);
    }

    pub(crate) fn heard_get(&mut self, reply: GetPendingAccepted) {
        self.heard_list(reply.in_progress_jobs, reply.queued_jobs);
    }

    /// How many are waiting, as last heard.
    pub(crate) fn count(&self) -> usize {
        self.listed.len()
    }

    /// Whether the list, when it was last heard, had a newer execution of the same name.
    pub(crate) fn lists_newer_namesake(&self, execution: &ExecutionId) -> bool {
        self.listed.iter().any(|summary| is_newer_namesake(summary, execution))
    }

    /// Whether that execution was in the list when it was last heard.
    pub(crate) fn lists(&self, execution: &ExecutionId) -> bool {
        self.listed.iter().any(|summary| {
            summary.job_id == execution.job
                && summary.execution_number == execution.number
                && summary.queued_at == execution.queued_at
        })
    }
}

/// Whether the service has given the name of an execution to another one since.
fn is_newer_namesake(summary: &JobExecutionSummary, of: &ExecutionId) -> bool {
    summary.job_id == of.job && summary.execution_number == of.number && summary.queued_at > of.queued_at
}

/// Who an execution on the wire is.
pub(crate) fn id_of(execution: &JobExecution) -> ExecutionId {
    ExecutionId {
        job: execution.job_id.clone(),
        number: execution.execution_number,
        queued_at: execution.queued_at,
    }
}
