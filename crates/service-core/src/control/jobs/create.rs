//! CreateJob.
//!
//! Executions exist when it returns; the real service makes them a moment later.

use std::collections::BTreeMap;

use jobs_protocol::ThingName;
use serde_json::{Map, Value};

use super::config::Configs;
use super::{TARGETS, named};
use crate::control::error::ControlError;
use crate::control::params::{Params, wrong};
use crate::control::templates;
use crate::document::Document;
use crate::job::{Counts, Job, JobStatus, Target};
use crate::registry::GroupName;
use crate::state::Turn;

/// Longest description or comment, in characters.
pub(in crate::control) const PROSE: usize = 2028;

const KNOWN: [&str; 11] = [
    "jobId",
    "targets",
    "document",
    "description",
    "targetSelection",
    "timeoutConfig",
    "abortConfig",
    "jobExecutionsRetryConfig",
    "presignedUrlConfig",
    "jobTemplateArn",
    "documentParameters",
];

pub(in crate::control) fn create(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let mut params = Params::read(params, &KNOWN)?;
    templates::fill_in(turn, &mut params)?;
    let id = params.job()?;
    let document = checked_document(params.required_text("document")?.to_owned())?;
    let description = params.prose("description", PROSE)?;
    let continuous = match params.text("targetSelection")? {
        None | Some("SNAPSHOT") => false,
        Some("CONTINUOUS") => true,
        Some(_) => return Err(wrong("targetSelection", "SNAPSHOT or CONTINUOUS")),
    };
    let configs = Configs::read(&params)?;
    if turn.state.jobs.contains_key(&id) {
        let arn = turn.arn(format_args!("job/{id}"));
        return Err(ControlError::already_exists("Job", id.as_str(), arn));
    }
    let targets = targets(turn, &params)?;
    let body = named(turn, &id, description.as_ref());
    let mut job = Job {
        serial: turn.state.next_serial(),
        targets,
        continuous,
        status: JobStatus::InProgress,
        document,
        description,
        timeout: None,
        retry: Vec::new(),
        abort: Vec::new(),
        shown: Map::new(),
        created_at: turn.now,
        last_updated_at: turn.now,
        completed_at: None,
        force_canceled: false,
        reason_code: None,
        comment: None,
        counts: Counts::default(),
        executions: BTreeMap::new(),
    };
    configs.apply(&mut job);
    for name in ["presignedUrlConfig", "jobTemplateArn", "documentParameters"] {
        if let Some(value) = params.get(name) {
            job.shown.insert(name.to_owned(), value.clone());
        }
    }
    turn.start_job(&id, job);
    Ok(body)
}

/// A document that the service takes. Placeholders that would have to be replaced on delivery are not among them.
pub(in crate::control) fn checked_document(text: String) -> Result<Document, ControlError> {
    if text.chars().count() > jobs_protocol::limits::JOB_DOCUMENT_BYTES {
        return Err(wrong("document", "at most 32768 characters"));
    }
    if text.contains("${aws:iot:") {
        let message = "Placeholders in the job document (${aws:iot:...}) are not supported by this service.";
        return Err(ControlError::invalid(message));
    }
    Document::parse(text).map_err(|_| {
        ControlError::invalid("Job document located at request input is an invalid JSON document.")
    })
}

/// The targets of a request: ARNs of things and groups that are there.
pub(super) fn targets(turn: &Turn<'_>, params: &Params) -> Result<Vec<Target>, ControlError> {
    let arns =
        params.get("targets").and_then(Value::as_array).ok_or_else(|| wrong("targets", "a list of ARNs"))?;
    if !(1..=TARGETS).contains(&arns.len()) {
        return Err(wrong("targets", "from 1 to 100 ARNs"));
    }
    let mut targets = Vec::new();
    for arn in arns {
        let target = arn.as_str().ok_or_else(|| wrong("targets", "a list of ARNs"))?;
        let target = find(turn, target)?;
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    Ok(targets)
}

fn find(turn: &Turn<'_>, arn: &str) -> Result<Target, ControlError> {
    let malformed = || wrong("targets", "ARNs of things or thing groups");
    let resource =
        arn.strip_prefix("arn:").and_then(|rest| rest.splitn(5, ':').nth(4)).ok_or_else(malformed)?;
    let ours = arn == turn.arn(resource);
    let registry = &turn.state.registry;
    match resource.split_once('/').ok_or_else(malformed)? {
        ("thing", name) => {
            let thing = ThingName::try_from(name).map_err(|_| malformed())?;
            let missing = ControlError::not_found(format!("Thing {thing} cannot be found."));
            if ours && registry.has_thing(&thing) { Ok(Target::Thing(thing)) } else { Err(missing) }
        }
        ("thinggroup", name) => {
            let group = GroupName::try_from(name).map_err(|_| malformed())?;
            let missing = ControlError::not_found(format!("Thing Group {group} cannot be found."));
            if ours && registry.groups.contains_key(&group) { Ok(Target::Group(group)) } else { Err(missing) }
        }
        _ => Err(malformed()),
    }
}
