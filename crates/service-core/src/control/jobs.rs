//! Jobs: describe, list, change, cancel and delete; creation has its own file.

pub(super) mod config;
pub(super) mod create;
pub(super) mod schedule;

use std::collections::BTreeSet;

use jobs_protocol::JobId;
use serde_json::{Map, Value, json};

use super::error::ControlError;
use super::params::{Params, newest_first, page, wrong};
use crate::calendar;
use crate::event::selection;
use crate::job::{COUNTED, Job, JobStatus, RetryCriterion, Target};
use crate::lifecycle::Cancellation;
use crate::state::{State, Turn};

/// Most targets of one job (quota page).
const TARGETS: usize = 100;

pub(super) fn job_not_found(id: &JobId) -> ControlError {
    ControlError::not_found(format!("Job {id} cannot be found."))
}

fn find<'a>(state: &'a State, id: &JobId) -> Result<&'a Job, ControlError> {
    state.jobs.get(id).ok_or_else(|| job_not_found(id))
}

pub(super) fn describe(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &["jobId", "beforeSubstitution"])?;
    let id = params.job()?;
    let job = find(turn.state, &id)?;
    let mut counters: Map<String, Value> =
        COUNTED.iter().map(|(status, name)| ((*name).to_owned(), json!(job.counts.of(*status)))).collect();
    if job.is_rolling_out() {
        counters.insert("processingTargets".to_owned(), json!(processing(turn, job)));
    }
    let mut shown = summary(turn, &id, job);
    let targets: Vec<String> = job.targets.iter().map(|target| turn.arn(target.resource())).collect();
    shown.insert("targets".to_owned(), json!(targets));
    shown.insert("jobProcessDetails".to_owned(), counters.into());
    // Unset configurations that the service shows as empty objects [capture N 09-19; CLI reference, describe-job].
    shown.insert("schedulingConfig".to_owned(), json!({}));
    shown.extend(config::unset());
    shown.extend(job.shown.clone());
    let optional = [
        ("description", job.description.as_ref().map(|text| json!(text))),
        ("reasonCode", job.reason_code.as_ref().map(|text| json!(text))),
        ("comment", job.comment.as_ref().map(|text| json!(text))),
        ("forceCanceled", (job.status == JobStatus::Canceled).then_some(json!(job.force_canceled))),
    ];
    shown.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    if job.schedule.has_windows() && job.status.is_open() {
        let coming = job.schedule.coming_windows(turn.now).into_iter();
        let rollouts: Vec<Value> = coming.map(|at| json!({"startTime": calendar::write(at)})).collect();
        shown.insert("scheduledJobRollouts".to_owned(), rollouts.into());
    }
    let mut body = json!({"job": shown});
    if let Some(source) = &job.source {
        body["documentSource"] = json!(source);
    }
    Ok(body)
}

/// The targets with things that the rollout has not reached.
fn processing(turn: &Turn<'_>, job: &Job) -> Vec<String> {
    let registry = &turn.state.registry;
    let unreached = |target: &&Target| match target {
        Target::Thing(thing) => job.waiting.contains(thing),
        Target::Group(group) => {
            let members = registry.members(group);
            job.waiting.iter().any(|thing| members.contains(thing))
        }
    };
    job.targets.iter().filter(unreached).map(|target| turn.arn(target.resource())).collect()
}

/// What a list shows of a job.
fn summary(turn: &Turn<'_>, id: &JobId, job: &Job) -> Map<String, Value> {
    let optional = job.completed_at.map(|at| ("completedAt", json!(at.seconds())));
    let members = [
        ("jobArn", json!(turn.arn(format_args!("job/{id}")))),
        ("jobId", json!(id)),
        ("targetSelection", json!(selection(job))),
        ("status", json!(job.status.as_str())),
        ("createdAt", json!(job.created_at.seconds())),
        ("lastUpdatedAt", json!(job.last_updated_at.seconds())),
        ("isConcurrent", json!(job.is_rolling_out())),
    ];
    members.into_iter().chain(optional).map(|(name, value)| (name.to_owned(), value)).collect()
}

/// What operations on a job answer.
fn named(turn: &Turn<'_>, id: &JobId, description: Option<&String>) -> Value {
    let mut body = json!({"jobArn": turn.arn(format_args!("job/{id}")), "jobId": id});
    if let (Some(members), Some(description)) = (body.as_object_mut(), description) {
        members.insert("description".to_owned(), json!(description));
    }
    body
}

pub(super) fn document(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    // Package versions are not here, so that before and after substitution are the same text.
    let params = Params::read(params, &["jobId", "beforeSubstitution"])?;
    let job = find(turn.state, &params.job()?)?;
    Ok(json!({"document": job.document.as_stored()}))
}

pub(super) fn list(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    const KNOWN: [&str; 6] =
        ["status", "targetSelection", "maxResults", "nextToken", "thingGroupName", "thingGroupId"];
    let params = Params::read(params, &KNOWN)?;
    let status = params.text("status")?;
    let statuses = ["IN_PROGRESS", "CANCELED", "COMPLETED", "DELETION_IN_PROGRESS", "SCHEDULED"];
    if status.is_some_and(|status| !statuses.contains(&status)) {
        return Err(wrong("status", &format!("one of {statuses:?}")));
    }
    let taken = params.text("targetSelection")?;
    if taken.is_some_and(|taken| !["SNAPSHOT", "CONTINUOUS"].contains(&taken)) {
        return Err(wrong("targetSelection", "SNAPSHOT or CONTINUOUS"));
    }
    let group = params.group("thingGroupName")?;
    if let Some(group) = group.as_ref().filter(|group| !turn.state.registry.groups.contains_key(group)) {
        return Err(ControlError::not_found(format!("Thing Group {group} cannot be found.")));
    }
    let by_id = match params.text("thingGroupId")? {
        None => None,
        Some(id) => Some(turn.state.registry.group_of_id(id).cloned().ok_or_else(|| {
            let id: String = id.chars().take(128).collect();
            ControlError::not_found(format!("Thing Group {id} cannot be found."))
        })?),
    };
    let target = group.or(by_id).map(Target::Group);
    let wanted = |job: &Job| {
        status.is_none_or(|status| job.status.as_str() == status)
            && taken.is_none_or(|taken| selection(job) == taken)
            && target.as_ref().is_none_or(|target| job.targets.contains(target))
    };
    let mut jobs: Vec<(&JobId, &Job)> = turn.state.jobs.iter().filter(|(_, job)| wanted(job)).collect();
    jobs.sort_by_key(|(_, job)| std::cmp::Reverse(job.serial));
    let items = jobs.into_iter().map(|(id, job)| (newest_first(job.serial), summary(turn, id, job).into()));
    page(&params, "jobs", items)
}

pub(super) fn update(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let known: Vec<&str> = ["jobId", "description"].into_iter().chain(config::NAMES).collect();
    let params = Params::read(params, &known)?;
    let id = params.job()?;
    if params.members().len() < 2 {
        return Err(ControlError::invalid(format!("Update Job request for job {id} cannot be empty.")));
    }
    let description = params.prose("description", create::PROSE)?;
    let configs = config::Configs::read(&params)?;
    let now = turn.now;
    let job = turn.state.jobs.get_mut(&id).ok_or_else(|| job_not_found(&id))?;
    if !job.status.is_open() {
        let status = job.status.as_str();
        return Err(ControlError::invalid(format!("Job {id} in status {status} cannot be updated.")));
    }
    if let Some(retry) = &configs.retry {
        if retry.iter().any(|criterion| criterion.retries > 0) {
            return Err(ControlError::invalid("UpdateJob can set numberOfRetries only to 0."));
        }
        let types =
            |criteria: &[RetryCriterion]| criteria.iter().map(|one| one.failure).collect::<BTreeSet<_>>();
        if types(retry) != types(&job.retry) {
            return Err(ControlError::invalid("UpdateJob cannot change the failure types of retries."));
        }
    }
    job.last_updated_at = now;
    job.description = description.or(job.description.take());
    configs.apply(job);
    Ok(json!({}))
}

pub(super) fn cancel(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &["jobId", "force", "reasonCode", "comment"])?;
    let id = params.job()?;
    let force = params.flag("force")?.unwrap_or(false);
    let reason_code = params.text("reasonCode")?.map(str::to_owned);
    let letter = |c: char| c.is_uppercase() || c.is_ascii_digit() || c == '_';
    if reason_code.as_ref().is_some_and(|code| code.chars().count() > 128 || !code.chars().all(letter)) {
        return Err(wrong("reasonCode", "at most 128 of [\\p{Upper}\\p{Digit}_]"));
    }
    let comment = params.prose("comment", create::PROSE)?;
    let job = find(turn.state, &id)?;
    let work_left = job.counts.open() > 0;
    // After a cancellation without force, one with force reaches what is still in progress.
    let again = job.status == JobStatus::Canceled && force && work_left;
    if !job.status.is_open() && !again {
        let status = job.status.as_str();
        return Err(ControlError::invalid(format!("Job {id} in status {status} cannot be canceled.")));
    }
    let body = named(turn, &id, job.description.as_ref());
    turn.cancel_job(&id, Cancellation { force, reason_code, comment });
    Ok(body)
}

pub(super) fn delete(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &["jobId", "force"])?;
    let id = params.job()?;
    let force = params.flag("force")?.unwrap_or(false);
    let job = find(turn.state, &id)?;
    if job.status.is_open() && !force {
        let status = job.status.as_str();
        let message = format!("Job {id} in status {status} cannot be deleted without force flag.");
        return Err(ControlError::state_transition(message));
    }
    turn.delete_job(&id);
    Ok(json!({}))
}

pub(super) fn associate(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &["jobId", "targets", "comment"])?;
    let id = params.job()?;
    let comment = params.prose("comment", create::PROSE)?;
    let targets = create::targets(turn, &params)?;
    let now = turn.now;
    let job = turn.state.jobs.get_mut(&id).ok_or_else(|| job_not_found(&id))?;
    if !job.continuous || job.status != JobStatus::InProgress {
        let message = format!("Job {id} takes no further targets: it is not CONTINUOUS and IN_PROGRESS.");
        return Err(ControlError::invalid(message));
    }
    if job.ended {
        return Err(ControlError::invalid(format!(
            "Job {id} takes no further targets: its end time has passed."
        )));
    }
    let mut added = targets;
    added.retain(|target| !job.targets.contains(target));
    if job.targets.len() + added.len() > TARGETS {
        return Err(ControlError::limit(format!("A job has at most {TARGETS} targets.")));
    }
    job.targets.extend(added.iter().cloned());
    job.comment = comment.or(job.comment.take());
    job.last_updated_at = now;
    let description = job.description.clone();
    turn.queue_for(&id, &added);
    Ok(named(turn, &id, description.as_ref()))
}
