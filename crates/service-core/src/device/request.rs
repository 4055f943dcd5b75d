//! What a device asks, read from untrusted JSON.
//!
//! Members that are not known are ignored, `null` counts as absent; a member of another type than it should have is
//! refused, whatever else is right.

use jobs_protocol::details;
use jobs_protocol::limits::STEP_TIMEOUT_MINUTES;
use jobs_protocol::message::ErrorCode;
use jobs_protocol::{DetailsMap, ReportedStatus};
use serde_json::{Map, Value};

use super::{Refusal, StepTimer};

/// A request's members.
pub(super) type Members = Map<String, Value>;

/// StartNextPendingJobExecution.
#[derive(Debug)]
pub(super) struct StartNext {
    pub(super) details: Option<DetailsMap>,
    pub(super) step_timer: StepTimer,
}

/// DescribeJobExecution.
#[derive(Debug)]
pub(super) struct Describe {
    pub(super) number: Option<u64>,
    pub(super) with_document: bool,
}

/// UpdateJobExecution.
#[derive(Debug)]
pub(super) struct Update {
    pub(super) status: ReportedStatus,
    pub(super) details: Option<DetailsMap>,
    pub(super) expected_version: Option<u64>,
    pub(super) number: Option<u64>,
    pub(super) with_state: bool,
    pub(super) with_document: bool,
    pub(super) step_timer: StepTimer,
}

impl StartNext {
    pub(super) fn read(members: &Members, strict_details: bool) -> Result<Self, Refusal> {
        Ok(Self { details: details(members, strict_details)?, step_timer: step_timer(members)? })
    }
}

impl Describe {
    pub(super) fn read(members: &Members) -> Result<Self, Refusal> {
        let number = number(members, "executionNumber")?;
        // Only the literal `false` suppresses the document.
        let with_document = members.get("includeJobDocument") != Some(&Value::Bool(false));
        Ok(Self { number, with_document })
    }
}

impl Update {
    pub(super) fn read(members: &Members, strict_details: bool) -> Result<Self, Refusal> {
        let details = details(members, strict_details)?;
        let step_timer = step_timer(members)?;
        let expected_version = number(members, "expectedVersion")?;
        let number = number(members, "executionNumber")?;
        let with_state = flag(members, "includeJobExecutionState")?;
        let with_document = flag(members, "includeJobDocument")?;
        let status = status(members)?;
        Ok(Self { status, details, expected_version, number, with_state, with_document, step_timer })
    }
}

/// Refuses a request for its form.
pub(super) fn invalid(message: impl Into<String>) -> Refusal {
    Refusal::new(ErrorCode::InvalidRequest, message)
}

fn present<'a>(members: &'a Members, name: &str) -> Option<&'a Value> {
    members.get(name).filter(|value| !value.is_null())
}

/// The last check of form: a status that no device may set is refused before the execution is looked up
/// \[capture N 09-19\].
fn status(members: &Members) -> Result<ReportedStatus, Refusal> {
    const CONSTRAINT: &str = "failed to satisfy constraint: Member must";
    let Some(status) = present(members, "status") else {
        return Err(invalid(format!(
            "1 validation error detected: Value null at 'status' {CONSTRAINT} not be null"
        )));
    };
    match status.as_str() {
        Some("IN_PROGRESS") => Ok(ReportedStatus::InProgress),
        Some("SUCCEEDED") => Ok(ReportedStatus::Succeeded),
        Some("FAILED") => Ok(ReportedStatus::Failed),
        Some("REJECTED") => Ok(ReportedStatus::Rejected),
        Some(theirs @ ("QUEUED" | "CANCELED" | "TIMED_OUT" | "REMOVED")) => Err(Refusal::new(
            ErrorCode::InvalidStateTransition,
            format!("The status of job execution cannot be changed to be {theirs}"),
        )),
        _ => Err(invalid(format!(
            "1 validation error detected: Value at 'status' {CONSTRAINT} satisfy enum value set: \
             [IN_PROGRESS, SUCCEEDED, FAILED, REJECTED]"
        ))),
    }
}

/// The status details of a request, held to the service's limits.
pub(crate) fn details(members: &Members, strict: bool) -> Result<Option<DetailsMap>, Refusal> {
    let Some(value) = members.get("statusDetails") else { return Ok(None) };
    let Some(pairs) = value.as_object() else { return Err(invalid("statusDetails is not a map")) };
    let mut map = DetailsMap::new();
    for (key, value) in pairs {
        let Some(text) = value.as_str() else {
            return Err(invalid("statusDetails has a value that is not a string"));
        };
        map.insert(key.clone(), text.to_owned());
    }
    details::check(&map).map_err(|fault| invalid(format!("statusDetails is not valid: {fault}")))?;
    let unchanged = |text: &String| details::harmless(text, details::Text::Strict) == *text;
    if strict && !map.values().all(unchanged) {
        return Err(invalid("statusDetails has a value with a control character"));
    }
    Ok(Some(map))
}

fn step_timer(members: &Members) -> Result<StepTimer, Refusal> {
    let Some(value) = present(members, "stepTimeoutInMinutes") else { return Ok(StepTimer::Keep) };
    match value.as_i64() {
        Some(-1) => Ok(StepTimer::Discard),
        Some(minutes @ 1..) if minutes <= i64::from(STEP_TIMEOUT_MINUTES) => {
            Ok(StepTimer::Minutes(minutes.unsigned_abs()))
        }
        _ => Err(invalid(format!(
            "stepTimeoutInMinutes must be from 1 to {STEP_TIMEOUT_MINUTES}, or -1 for no step timer"
        ))),
    }
}

/// A number, as JSON number or as a string of digits, which is what AWS's embedded library sends.
fn number(members: &Members, name: &str) -> Result<Option<u64>, Refusal> {
    let Some(value) = present(members, name) else { return Ok(None) };
    let digits = |text: &str| {
        let all = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        all.then(|| text.parse().ok()).flatten()
    };
    let read = value.as_u64().or_else(|| value.as_str().and_then(digits));
    read.map(Some).ok_or_else(|| invalid(format!("{name} is not a whole number")))
}

fn flag(members: &Members, name: &str) -> Result<bool, Refusal> {
    match present(members, name) {
        None => Ok(false),
        Some(value) => value.as_bool().ok_or_else(|| invalid(format!("{name} is not true or false"))),
    }
}
