//! Job executions, seen from the control plane: also those that are over.

use jobs_protocol::{ExecutionNumber, ExecutionStatus, JobId, ThingName};
use serde_json::{Map, Value, json};

use super::error::ControlError;
use super::jobs::job_not_found;
use super::params::{Params, newest_first, page, wrong};
use crate::device::details;
use crate::execution::Execution;
use crate::state::{State, Turn};

fn not_found(thing: &ThingName, id: &JobId) -> ControlError {
    ControlError::not_found(format!("Job execution for thing {thing} cannot be found within job {id}."))
}

fn find<'a>(
    state: &'a State,
    thing: &ThingName,
    id: &JobId,
    number: Option<u64>,
) -> Result<(ExecutionNumber, &'a Execution), ControlError> {
    let job = state.jobs.get(id).ok_or_else(|| {
        ControlError::not_found(format!("Job execution cannot be found as the Job {id} does not exist."))
    })?;
    let found = match number.map(ExecutionNumber::new) {
        None => job.newest(thing),
        Some(number) => job.execution(thing, number).map(|execution| (number, execution)),
    };
    found.ok_or_else(|| not_found(thing, id))
}

pub(super) fn describe(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &["jobId", "thingName", "executionNumber"])?;
    let (id, thing) = (params.job()?, params.thing()?);
    let (number, execution) = find(turn.state, &thing, &id, params.number("executionNumber")?)?;
    let details =
        execution.details.as_ref().map_or_else(|| json!({}), |details| json!({"detailsMap": details}));
    let mut shown = times(execution);
    shown.extend(
        [
            ("jobId", json!(id)),
            ("status", json!(execution.status)),
            ("statusDetails", details),
            ("thingArn", json!(turn.arn(format_args!("thing/{thing}")))),
            ("executionNumber", json!(number)),
            ("versionNumber", json!(execution.version)),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    if execution.force_canceled {
        shown.insert("forceCanceled".to_owned(), json!(true));
    }
    if let Some(seconds) = execution.seconds_left(turn.now) {
        shown.insert("approximateSecondsBeforeTimedOut".to_owned(), json!(seconds));
    }
    Ok(json!({"execution": shown}))
}

fn times(execution: &Execution) -> Map<String, Value> {
    let mut members = Map::new();
    members.insert("queuedAt".to_owned(), json!(execution.queued_at.seconds()));
    if let Some(started_at) = execution.started_at {
        members.insert("startedAt".to_owned(), json!(started_at.seconds()));
    }
    members.insert("lastUpdatedAt".to_owned(), json!(execution.last_updated_at.seconds()));
    members
}

fn summary(number: ExecutionNumber, execution: &Execution) -> Value {
    let mut members = times(execution);
    members.insert("status".to_owned(), json!(execution.status));
    members.insert("executionNumber".to_owned(), json!(number));
    members.insert("retryAttempt".to_owned(), json!(execution.retries.total()));
    members.into()
}

fn wanted_status(params: &Params) -> Result<Option<&str>, ControlError> {
    const STATUSES: [&str; 8] =
        ["QUEUED", "IN_PROGRESS", "SUCCEEDED", "FAILED", "TIMED_OUT", "REJECTED", "REMOVED", "CANCELED"];
    let status = params.text("status")?;
    if status.is_some_and(|status| !STATUSES.contains(&status)) {
        return Err(wrong("status", &format!("one of {STATUSES:?}")));
    }
    Ok(status)
}

pub(super) fn list_for_job(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &["jobId", "status", "maxResults", "nextToken"])?;
    let id = params.job()?;
    let status = wanted_status(&params)?;
    let job = turn.state.jobs.get(&id).ok_or_else(|| job_not_found(&id))?;
    // Ordered by thing and number; a space sorts before every character of a name, as the end of the name does.
    let all = job.executions.iter().flat_map(|(thing, numbers)| {
        numbers.iter().map(move |(number, execution)| (thing, number, execution))
    });
    let items = all
        .filter(|(_, _, execution)| status.is_none_or(|status| execution.status.as_str() == status))
        .map(|(thing, number, execution)| {
            let arn = turn.arn(format_args!("thing/{thing}"));
            let item = json!({"thingArn": arn, "jobExecutionSummary": summary(*number, execution)});
            (format!("{thing} {:016x}", number.get()), item)
        });
    page(&params, "executionSummaries", items)
}

pub(super) fn list_for_thing(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &["thingName", "status", "maxResults", "nextToken", "jobId"])?;
    let thing = params.thing()?;
    let status = wanted_status(&params)?;
    let job = if params.get("jobId").is_some() { Some(params.job()?) } else { None };
    let queue = turn.state.queues.get(&thing);
    if queue.is_none() && !turn.state.registry.has_thing(&thing) {
        return Err(ControlError::not_found(format!("Thing {thing} cannot be found.")));
    }
    let mut places: Vec<_> = queue.into_iter().flat_map(crate::queue::Queue::all).collect();
    places.retain(|place| job.as_ref().is_none_or(|job| *job == place.job));
    places.sort_by_key(|place| std::cmp::Reverse(place.serial));
    let jobs = &turn.state.jobs;
    let items = places.into_iter().filter_map(|place| {
        let execution = jobs.get(&place.job)?.execution(&thing, place.number)?;
        let item = json!({"jobId": place.job, "jobExecutionSummary": summary(place.number, execution)});
        let shown = status.is_none_or(|status| execution.status.as_str() == status);
        shown.then(|| (newest_first(place.serial), item))
    });
    page(&params, "executionSummaries", items)
}

pub(super) fn cancel(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    const KNOWN: [&str; 5] = ["jobId", "thingName", "force", "expectedVersion", "statusDetails"];
    let params = Params::read(params, &KNOWN)?;
    let (id, thing) = (params.job()?, params.thing()?);
    let force = params.flag("force")?.unwrap_or(false);
    let expected = params.number("expectedVersion")?;
    let details = details(params.members(), turn.settings.strict_details)
        .map_err(|refusal| ControlError::invalid(refusal.message))?;
    let (number, execution) = find(turn.state, &thing, &id, None)?;
    let version = execution.version;
    if let Some(expected) = expected.filter(|expected| *expected != version.get()) {
        let message = format!("Expected version {expected} but found version {version}");
        return Err(ControlError::version_conflict(message));
    }
    let open = match execution.status {
        ExecutionStatus::Queued => true,
        ExecutionStatus::InProgress => force,
        ExecutionStatus::Succeeded
        | ExecutionStatus::Failed
        | ExecutionStatus::TimedOut
        | ExecutionStatus::Rejected
        | ExecutionStatus::Removed
        | ExecutionStatus::Canceled
        | ExecutionStatus::Unknown => false,
    };
    if !open {
        let message = format!("Job execution for thing {thing} within job {id} cannot be canceled.");
        return Err(ControlError::state_transition(message));
    }
    let now = turn.now;
    turn.change(&id, &thing, number, |execution| {
        execution.details = details.or(execution.details.take());
        execution.force_canceled = force;
        execution.end(ExecutionStatus::Canceled, now);
    });
    Ok(json!({}))
}

pub(super) fn delete(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &["jobId", "thingName", "executionNumber", "force"])?;
    let (id, thing) = (params.job()?, params.thing()?);
    let force = params.flag("force")?.unwrap_or(false);
    let invalid = || ControlError::invalid("Execution number is invalid.");
    let number = params.number("executionNumber").map_err(|_| invalid())?;
    let number = number.filter(|number| *number >= 1).ok_or_else(invalid)?;
    let (number, execution) = find(turn.state, &thing, &id, Some(number))?;
    if execution.status == ExecutionStatus::InProgress && !force {
        return Err(ControlError::state_transition(format!(
            "Job execution for thing {thing} within job {id} in status IN_PROGRESS cannot be deleted without force flag."
        )));
    }
    turn.delete_execution(&id, &thing, number);
    Ok(json!({}))
}
