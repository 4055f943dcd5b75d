//! What comes without having been asked for, and which topics it comes on.

use std::time::Duration;

use jobs_protocol::ThingName;
use jobs_protocol::topic::JobsTopic;

use crate::json::Json;

/// Below these AWS IoT tells of jobs and executions of the whole account, once that is switched on.
const JOB_EVENTS: &str = "$aws/events/job/";
const EXECUTION_EVENTS: &str = "$aws/events/jobExecution/";

/// News from the connection.
#[derive(Debug, Clone)]
pub(crate) enum News {
    /// Connected and subscribed.
    Connected,
    /// Not, or no longer.
    NotConnected { reason: String, retry_in: Duration },
    /// The service tells something.
    Event(Event, Json),
    /// A message that is not what its topic promises.
    Strange { topic: String, why: String },
}

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// `notify`: the set of pending executions has changed.
    JobExecutionsChanged,
    /// `notify-next`: another execution is next.
    NextJobExecutionChanged,
    /// `$aws/events/job/...`.
    Job,
    /// `$aws/events/jobExecution/...`.
    JobExecution,
}

impl Event {
    /// As the AWS samples name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::JobExecutionsChanged => "JobExecutionsChangedEvent",
            Self::NextJobExecutionChanged => "NextJobExecutionChangedEvent",
            Self::Job => "JobEvent",
            Self::JobExecution => "JobExecutionEvent",
        }
    }

    /// Which event a topic carries.
    pub(super) fn of(topic: &str, thing: &ThingName) -> Option<Self> {
        if topic.starts_with(JOB_EVENTS) {
            return Some(Self::Job);
        }
        if topic.starts_with(EXECUTION_EVENTS) {
            return Some(Self::JobExecution);
        }
        match JobsTopic::parse(topic) {
            Ok((whose, JobsTopic::Notify)) if whose == *thing => Some(Self::JobExecutionsChanged),
            Ok((whose, JobsTopic::NotifyNext)) if whose == *thing => Some(Self::NextJobExecutionChanged),
            Ok(_) | Err(_) => None,
        }
    }
}

/// What the sandbox subscribes to: notifications and the replies to every request, and events if they are wanted. At
/// most eight, so that they fit into one packet.
pub(crate) fn filters(thing: &ThingName, events: bool) -> Vec<String> {
    let mut filters = jobs_protocol::topic::agent_filters(thing);
    filters.push(format!("$aws/things/{thing}/jobs/start-next/+"));
    if events {
        filters.extend([JOB_EVENTS, EXECUTION_EVENTS].map(|prefix| format!("{prefix}#")));
    }
    filters
}
