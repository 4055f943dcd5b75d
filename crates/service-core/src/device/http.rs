//! Device requests as they travel over the HTTP data plane (`iot-jobs-data`): errors by HTTP status, the job document as
//! a string, the thing's name in every execution; no token, no timestamp.

use jobs_protocol::message::{ErrorCode, JobExecution};
use jobs_protocol::topic::JobSelector;
use jobs_protocol::{JobId, ThingName};
use serde_json::{Map, Value, json};

use super::Refusal;
use super::request::{Describe, Members, StartNext, Update};
use crate::control::error::ControlError;
use crate::control::params::Params;
use crate::state::Turn;

/// Devices that speak MQTT as well send the same body: the token is no member of these operations, and is not echoed.
const CLIENT_TOKEN: &str = "clientToken";

/// Performs an operation of the data plane by its API name.
pub(crate) fn perform(turn: &mut Turn<'_>, operation: &str, params: Value) -> Result<Value, ControlError> {
    let strict = turn.settings.strict_details;
    match operation {
        "GetPendingJobExecutions" => {
            let params = Params::read(params, &["thingName"])?;
            let thing = params.thing()?;
            let [in_progress, queued] = turn.get_pending(&thing).map_err(error)?;
            Ok(json!({"inProgressJobs": in_progress, "queuedJobs": queued}))
        }
        "StartNextPendingJobExecution" => {
            let params =
                Params::read(params, &["thingName", "statusDetails", "stepTimeoutInMinutes", CLIENT_TOKEN])?;
            let thing = params.thing()?;
            let request = StartNext::read(params.members(), strict).map_err(error)?;
            let execution = turn.start_next(&thing, request).map_err(error)?;
            Ok(execution_body(execution, &thing))
        }
        "DescribeJobExecution" => {
            let params =
                Params::read(params, &["thingName", "jobId", "includeJobDocument", "executionNumber"])?;
            let thing = params.thing()?;
            let selector = match params.required_text("jobId")? {
                "$next" => JobSelector::Next,
                _ => JobSelector::Job(params.job()?),
            };
            let request = Describe {
                number: params.number("executionNumber")?,
                with_document: with_document(&params)?,
            };
            let execution = turn.describe(&thing, &selector, &request).map_err(error)?;
            Ok(execution_body(execution, &thing))
        }
        "UpdateJobExecution" => {
            let params = Params::read(
                params,
                &[
                    "thingName",
                    "jobId",
                    "status",
                    "statusDetails",
                    "expectedVersion",
                    "executionNumber",
                    "includeJobExecutionState",
                    "includeJobDocument",
                    "stepTimeoutInMinutes",
                    CLIENT_TOKEN,
                ],
            )?;
            update(turn, &params.thing()?, &params.job()?, params.members(), strict)
        }
        _ => Err(ControlError::unknown_operation(operation)),
    }
}

fn update(
    turn: &mut Turn<'_>,
    thing: &ThingName,
    id: &JobId,
    members: &Members,
    strict: bool,
) -> Result<Value, ControlError> {
    let request = Update::read(members, strict).map_err(error)?;
    let updated = turn.update(thing, id, request).map_err(error)?;
    let mut body = Map::new();
    if let Some(state) = updated.state {
        body.insert("executionState".to_owned(), json!(state));
    }
    if let Some(document) = updated.document {
        body.insert("jobDocument".to_owned(), json!(document.get()));
    }
    Ok(body.into())
}

fn with_document(params: &Params) -> Result<bool, ControlError> {
    Ok(params.flag("includeJobDocument")?.unwrap_or(true))
}

fn execution_body(execution: Option<JobExecution>, thing: &ThingName) -> Value {
    let Some(mut execution) = execution else { return json!({}) };
    execution.thing_name = Some(thing.to_string());
    let document = execution.job_document.take();
    let mut shown = json!(execution);
    if let (Some(members), Some(document)) = (shown.as_object_mut(), document) {
        members.insert("jobDocument".to_owned(), json!(document.get()));
    }
    json!({"execution": shown})
}

fn error(refusal: Refusal) -> ControlError {
    let (name, status) = match refusal.code {
        ErrorCode::ResourceNotFound => ("ResourceNotFoundException", 404),
        ErrorCode::InvalidStateTransition => ("InvalidStateTransitionException", 409),
        ErrorCode::TerminalStateReached => ("TerminalStateException", 410),
        ErrorCode::RequestThrottled => ("ThrottlingException", 429),
        // A version mismatch has no error of its own in the service's model.
        ErrorCode::VersionMismatch
        | ErrorCode::InvalidRequest
        | ErrorCode::InvalidJson
        | ErrorCode::InvalidTopic => ("InvalidRequestException", 400),
        ErrorCode::InternalError | ErrorCode::Unknown => ("InternalFailureException", 500),
    };
    ControlError::new(name, status, refusal.message)
}
