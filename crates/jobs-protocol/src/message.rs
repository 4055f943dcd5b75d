//! Requests, replies and notifications of the MQTT device API, as JSON.
//!
//! Members without a value are left out, never `null`. Heard messages tolerate unknown members. The job document
//! travels as raw text ([`RawValue`]): a document that is nested too deeply for a parser then costs its own job, not
//! the message that carries it.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::limits::STEP_TIMEOUT_MINUTES;
use crate::topic::{JobSelector, JobsTopic, RequestTopic};
use crate::{
    ClientToken, DetailsMap, EpochSeconds, ExecutionNumber, ExecutionStatus, JobId, ReportedStatus,
    StatusDetails, VersionNumber,
};

/// An execution with its document, as `notify-next`, describe and start-next carry it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobExecution {
    /// The job.
    pub job_id: JobId,
    /// Never seen over MQTT \[capture 08-26\]; there over HTTP.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub thing_name: Option<String>,
    /// QUEUED or IN_PROGRESS in practice.
    pub status: ExecutionStatus,
    /// What was reported last; absent until somebody has set it.
    #[serde(skip_serializing_if = "Option::is_none", default, deserialize_with = "any_details")]
    pub status_details: Option<DetailsMap>,
    /// When it was queued.
    #[serde(default)]
    pub queued_at: EpochSeconds,
    /// When the device first reported on it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub started_at: Option<EpochSeconds>,
    /// When it changed last.
    #[serde(default)]
    pub last_updated_at: EpochSeconds,
    /// Its version.
    pub version_number: VersionNumber,
    /// Its number.
    pub execution_number: ExecutionNumber,
    /// Seconds until the earlier of the service's timers ends it; only while one runs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub approximate_seconds_before_timed_out: Option<i64>,
    /// The document, rewritten by the service.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub job_document: Option<Box<RawValue>>,
}

/// An entry of a pending list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobExecutionSummary {
    /// The job.
    pub job_id: JobId,
    /// When it was queued.
    #[serde(default)]
    pub queued_at: EpochSeconds,
    /// When it changed last.
    #[serde(default)]
    pub last_updated_at: EpochSeconds,
    /// When the device first reported on it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub started_at: Option<EpochSeconds>,
    /// Its number.
    pub execution_number: ExecutionNumber,
    /// Its version.
    pub version_number: VersionNumber,
}

/// Status, details and version, in update replies and some rejections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobExecutionState {
    /// Its status.
    pub status: ExecutionStatus,
    /// What was reported last.
    #[serde(skip_serializing_if = "Option::is_none", default, deserialize_with = "any_details")]
    pub status_details: Option<DetailsMap>,
    /// Its version.
    pub version_number: VersionNumber,
}

/// Details in whatever form: a value that is no string is kept as its JSON text.
fn any_details<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Option<DetailsMap>, D::Error> {
    let heard = Option::<serde_json::Map<String, serde_json::Value>>::deserialize(input)?;
    let text = |value: serde_json::Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    Ok(heard.map(|map| map.into_iter().map(|(key, value)| (key, text(value))).collect()))
}

/// GetPendingJobExecutions.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GetPendingRequest {
    /// Comes back in the reply.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub client_token: Option<ClientToken>,
}

/// DescribeJobExecution.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DescribeRequest {
    /// Which execution; the newest if absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub execution_number: Option<ExecutionNumber>,
    /// Absent means true.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub include_job_document: Option<bool>,
    /// Comes back in the reply.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub client_token: Option<ClientToken>,
}

/// StartNextPendingJobExecution.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartNextRequest {
    /// Set on the execution if it goes from QUEUED to IN_PROGRESS.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status_details: Option<StatusDetails>,
    /// Starts a step timer.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub step_timeout_in_minutes: Option<StepTimeout>,
    /// Comes back in the reply.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub client_token: Option<ClientToken>,
}

/// UpdateJobExecution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateRequest {
    /// What the execution shall become.
    pub status: ReportedStatus,
    /// Replaces the stored details; absent leaves them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status_details: Option<StatusDetails>,
    /// The version that the sender believes in; another one at the service refuses the update.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub expected_version: Option<VersionNumber>,
    /// Which execution; the newest if absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub execution_number: Option<ExecutionNumber>,
    /// Asks for the state after the update in the reply.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub include_job_execution_state: bool,
    /// Asks for the document in the reply.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub include_job_document: bool,
    /// Starts or replaces the step timer, from now.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub step_timeout_in_minutes: Option<StepTimeout>,
    /// Comes back in the reply.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub client_token: Option<ClientToken>,
}

/// A step timer: 1 to 10080 minutes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct StepTimeout(u16);

/// A number of minutes that the service does not take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} minutes: a step timer has 1 to {STEP_TIMEOUT_MINUTES}")]
pub struct InvalidStepTimeout(u16);

impl StepTimeout {
    /// At least so long: rounded up to whole minutes, and held between 1 and 10080.
    #[must_use]
    pub fn covering(milliseconds: u64) -> Self {
        let minutes = milliseconds.div_ceil(60_000).clamp(1, u64::from(STEP_TIMEOUT_MINUTES));
        Self(u16::try_from(minutes).unwrap_or(STEP_TIMEOUT_MINUTES))
    }

    /// In minutes.
    #[must_use]
    pub const fn minutes(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for StepTimeout {
    type Error = InvalidStepTimeout;
    fn try_from(minutes: u16) -> Result<Self, InvalidStepTimeout> {
        if (1..=STEP_TIMEOUT_MINUTES).contains(&minutes) {
            Ok(Self(minutes))
        } else {
            Err(InvalidStepTimeout(minutes))
        }
    }
}

impl From<StepTimeout> for u16 {
    fn from(timeout: StepTimeout) -> u16 {
        timeout.0
    }
}

/// Reply to GetPendingJobExecutions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GetPendingAccepted {
    /// Of the request.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub client_token: Option<ClientToken>,
    /// When it was sent.
    #[serde(default)]
    pub timestamp: EpochSeconds,
    /// Those at work, oldest first.
    #[serde(default)]
    pub in_progress_jobs: Vec<JobExecutionSummary>,
    /// Those waiting, oldest first.
    #[serde(default)]
    pub queued_jobs: Vec<JobExecutionSummary>,
}

/// Reply to DescribeJobExecution and StartNextPendingJobExecution. No execution: nothing is pending.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExecutionAccepted {
    /// Of the request.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub client_token: Option<ClientToken>,
    /// When it was sent.
    #[serde(default)]
    pub timestamp: EpochSeconds,
    /// What was asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub execution: Option<JobExecution>,
}

/// Reply to UpdateJobExecution.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateAccepted {
    /// Of the request.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub client_token: Option<ClientToken>,
    /// When it was sent.
    #[serde(default)]
    pub timestamp: EpochSeconds,
    /// The state after the update, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub execution_state: Option<JobExecutionState>,
    /// The document, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub job_document: Option<Box<RawValue>>,
}

/// A refused request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rejection {
    /// Of the request; absent if it could not be read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub client_token: Option<ClientToken>,
    /// When it was sent.
    #[serde(default)]
    pub timestamp: EpochSeconds,
    /// With InvalidStateTransition and VersionMismatch.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub execution_state: Option<JobExecutionState>,
    /// Why.
    #[serde(default)]
    pub code: ErrorCode,
    /// For people; not to be matched on.
    #[serde(default)]
    pub message: String,
}

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
pub enum ErrorCode {
    /// The topic maps to no operation.
    InvalidTopic,
    /// The payload is not JSON in UTF-8.
    InvalidJson,
    /// A member is missing, of the wrong type or out of its limits.
    InvalidRequest,
    /// Not possible from the stored status, or not for a device to set.
    InvalidStateTransition,
    /// No such execution for this thing.
    ResourceNotFound,
    /// The expected version is not the stored one.
    VersionMismatch,
    /// A fault of the service.
    InternalError,
    /// Too many requests.
    RequestThrottled,
    /// Describe of an execution that is over.
    TerminalStateReached,
    /// A code that this version does not know, or none.
    #[serde(other)]
    #[default]
    Unknown,
}

impl ErrorCode {
    /// Whether the same request may succeed later. A code that is not known is taken as passing: what is owed is
    /// sent until the service has answered in words that are understood.
    #[must_use]
    pub const fn is_transient(self) -> bool {
        match self {
            Self::InternalError | Self::RequestThrottled | Self::Unknown => true,
            Self::InvalidTopic
            | Self::InvalidJson
            | Self::InvalidRequest
            | Self::InvalidStateTransition
            | Self::ResourceNotFound
            | Self::VersionMismatch
            | Self::TerminalStateReached => false,
        }
    }
}

/// The pending list, in `notify`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notify {
    /// When it was sent.
    #[serde(default)]
    pub timestamp: EpochSeconds,
    /// By status.
    #[serde(default)]
    pub jobs: PendingByStatus,
}

/// A status without entries is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingByStatus {
    /// At work, oldest first.
    #[serde(rename = "IN_PROGRESS", skip_serializing_if = "Vec::is_empty", default)]
    pub in_progress: Vec<JobExecutionSummary>,
    /// Waiting, oldest first.
    #[serde(rename = "QUEUED", skip_serializing_if = "Vec::is_empty", default)]
    pub queued: Vec<JobExecutionSummary>,
}

/// Which execution is next now, in `notify-next`. None: nothing is pending.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NotifyNext {
    /// When it was sent.
    #[serde(default)]
    pub timestamp: EpochSeconds,
    /// The new front of the list.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub execution: Option<JobExecution>,
}

/// A message from the service to a device, read by its topic.
#[derive(Debug, Clone)]
pub enum ServiceMessage {
    /// `get/accepted`.
    Pending(GetPendingAccepted),
    /// `{jobId}/get/accepted` and `$next/get/accepted`.
    Described(JobSelector, ExecutionAccepted),
    /// `start-next/accepted`.
    StartedNext(ExecutionAccepted),
    /// `{jobId}/update/accepted`.
    Updated(JobId, UpdateAccepted),
    /// Any `.../rejected`.
    Rejected(RequestTopic, Rejection),
    /// `notify`.
    Notify(Notify),
    /// `notify-next`.
    NotifyNext(NotifyNext),
}

/// A payload that is not what its topic promises.
#[derive(Debug, thiserror::Error)]
pub enum MalformedMessage {
    /// A request topic: those go the other way.
    #[error("a request topic carries nothing for a device")]
    NotForDevices,
    /// Every message is an object; a list would otherwise be read as its members in order.
    #[error("the payload is not a JSON object")]
    NotAnObject,
    /// Not JSON, or not of the form.
    #[error("the payload is not what the topic promises")]
    Payload(#[source] serde_json::Error),
}

impl ServiceMessage {
    /// Reads a payload as what its topic says it is.
    pub fn parse(topic: JobsTopic, payload: &[u8]) -> Result<Self, MalformedMessage> {
        let is_blank = |byte: &&u8| b" \t\r\n".contains(*byte);
        if payload.iter().find(|byte| !is_blank(byte)) != Some(&b'{') {
            return Err(MalformedMessage::NotAnObject);
        }
        let parsed = match topic {
            JobsTopic::Request(_) => return Err(MalformedMessage::NotForDevices),
            JobsTopic::Accepted(RequestTopic::GetPending) => {
                serde_json::from_slice(payload).map(Self::Pending)
            }
            JobsTopic::Accepted(RequestTopic::StartNext) => {
                serde_json::from_slice(payload).map(Self::StartedNext)
            }
            JobsTopic::Accepted(RequestTopic::Describe(selector)) => {
                serde_json::from_slice(payload).map(|reply| Self::Described(selector, reply))
            }
            JobsTopic::Accepted(RequestTopic::Update(job)) => {
                serde_json::from_slice(payload).map(|reply| Self::Updated(job, reply))
            }
            JobsTopic::Rejected(request) => {
                serde_json::from_slice(payload).map(|reply| Self::Rejected(request, reply))
            }
            JobsTopic::Notify => serde_json::from_slice(payload).map(Self::Notify),
            JobsTopic::NotifyNext => serde_json::from_slice(payload).map(Self::NotifyNext),
        };
        parsed.map_err(MalformedMessage::Payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_object_is_no_message() {
        for payload in ["", " ", "[]", "[1]", "null", "7", "\"text\"", "\u{feff}{}", "{", "{}}"] {
            for topic in
                [JobsTopic::Notify, JobsTopic::NotifyNext, JobsTopic::Accepted(RequestTopic::GetPending)]
            {
                assert!(ServiceMessage::parse(topic, payload.as_bytes()).is_err(), "{payload:?}");
            }
        }
        assert!(ServiceMessage::parse(JobsTopic::NotifyNext, b" \n{}").is_ok());
    }
}
