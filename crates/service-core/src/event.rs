//! Events for whoever watches the fleet: `$aws/events/job/...` and `$aws/events/jobExecution/...`. Off until
//! UpdateEventConfigurations turns them on.

use jobs_protocol::{ExecutionStatus, JobId, ThingName};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::EpochMillis;
use crate::execution::Execution;
use crate::job::{COUNTED, Job};
use crate::notification::to_json;
use crate::service::Message;
use crate::state::Turn;

/// Which events are on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Switches {
    pub(crate) job: bool,
    pub(crate) job_execution: bool,
    /// When they were set first, and last.
    #[serde(default)]
    pub(crate) set: Option<[EpochMillis; 2]>,
}

/// What has happened to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobEvent {
    Completed,
    CancellationInProgress,
    Canceled,
    DeletionInProgress,
    Deleted,
}

impl JobEvent {
    /// The last level of the topic; the status is the same in capitals.
    const fn operation(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::CancellationInProgress => "cancellation_in_progress",
            Self::Canceled => "canceled",
            Self::DeletionInProgress => "deletion_in_progress",
            Self::Deleted => "deleted",
        }
    }
}

impl Turn<'_> {
    /// Announces what has happened to a job; the job must still be there.
    pub(crate) fn job_event(&mut self, id: &JobId, event: JobEvent) {
        if !self.state.switches.job {
            return;
        }
        let operation = event.operation();
        let mut body = self.common(operation, "JOB", id, &operation.to_ascii_uppercase());
        let Some(job) = self.state.jobs.get(id) else { return };
        let targets: Vec<String> = job.targets.iter().map(|target| self.arn(target.resource())).collect();
        let mut say = |name: &str, value: Value| body.insert(name.to_owned(), value);
        say("targetSelection", json!(selection(job)));
        say("targets", json!(targets));
        // In milliseconds, unlike every other time of the service.
        say("createdAt", json!(job.created_at.0));
        say("lastUpdatedAt", json!(job.last_updated_at.0));
        if let Some(description) = &job.description {
            say("description", json!(description));
        }
        if event == JobEvent::Completed {
            say("completedAt", json!(job.completed_at.unwrap_or(self.now).0));
        } else {
            if let Some(comment) = &job.comment {
                say("comment", json!(comment));
            }
            if let Some(reason) = &job.reason_code {
                say("reasonCode", json!(reason));
            }
        }
        if matches!(event, JobEvent::Canceled | JobEvent::CancellationInProgress) {
            say("forceCanceled", json!(job.force_canceled));
        }
        if matches!(event, JobEvent::Completed | JobEvent::Canceled) {
            say("jobProcessDetails", counters(job));
        }
        self.publish_event(format!("$aws/events/job/{id}/{operation}"), &body);
    }

    /// Announces that an execution has reached the end that its status tells.
    pub(crate) fn execution_event(&mut self, id: &JobId, thing: &ThingName, execution: &Execution) {
        self.execution_event_as(id, thing, execution, execution.status.as_str());
    }

    /// Announces that an execution has been deleted.
    pub(crate) fn execution_deleted(&mut self, id: &JobId, thing: &ThingName, execution: &Execution) {
        self.execution_event_as(id, thing, execution, "DELETED");
    }

    fn execution_event_as(&mut self, id: &JobId, thing: &ThingName, execution: &Execution, status: &str) {
        if !self.state.switches.job_execution {
            return;
        }
        let operation = status.to_ascii_lowercase();
        let mut body = self.common(&operation, "JOB_EXECUTION", id, status);
        body.insert("thingArn".to_owned(), json!(self.arn(format_args!("thing/{thing}"))));
        if let Some(details) = execution.details.as_ref().filter(|details| !details.is_empty()) {
            body.insert("statusDetails".to_owned(), json!(details));
        }
        self.publish_event(format!("$aws/events/jobExecution/{id}/{operation}"), &body);
    }

    fn common(&mut self, operation: &str, kind: &str, id: &JobId, status: &str) -> Map<String, Value> {
        let members = [
            ("eventType", json!(kind)),
            ("eventId", json!(self.new_uuid())),
            ("timestamp", json!(self.now.seconds())),
            ("operation", json!(operation)),
            ("jobId", json!(id)),
            ("status", json!(status)),
        ];
        members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    fn publish_event(&mut self, topic: String, body: &Map<String, Value>) {
        self.changes.event(Message { topic, payload: to_json(body) });
    }
}

/// The API's word for how targets are taken.
pub(crate) const fn selection(job: &Job) -> &'static str {
    if job.continuous { "CONTINUOUS" } else { "SNAPSHOT" }
}

/// The six counters that events carry: those of executions that are over.
fn counters(job: &Job) -> Value {
    let over = |status: &ExecutionStatus| status.is_terminal();
    let counted = COUNTED.iter().filter(|(status, _)| over(status));
    counted
        .map(|(status, name)| ((*name).to_owned(), json!(job.counts.of(*status))))
        .collect::<Map<_, _>>()
        .into()
}
