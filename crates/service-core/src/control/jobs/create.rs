//! CreateJob.
//!
//! Executions exist when it returns; the real service makes them a moment later.

use std::collections::{BTreeMap, VecDeque};

use jobs_protocol::ThingName;
use serde_json::{Map, Value};

use super::config::Configs;
use super::{TARGETS, named, schedule};
use crate::control::error::ControlError;
use crate::control::params::{Params, wrong};
use crate::control::{tags, templates};
use crate::document::{Document, InvalidDocument};
use crate::job::{Counts, Job, JobStatus, Target};
use crate::maintenance::Gate;
use crate::registry::GroupName;
use crate::rollout::Pace;
use crate::state::Turn;

/// Longest description or comment, in characters.
pub(in crate::control) const PROSE: usize = 2028;

/// Longest `documentSource`, in characters.
const SOURCE: usize = 1350;

const KNOWN: [&str; 15] = [
    "jobId",
    "targets",
    "document",
    "documentSource",
    "description",
    "targetSelection",
    "timeoutConfig",
    "abortConfig",
    "jobExecutionsRetryConfig",
    "jobExecutionsRolloutConfig",
    "schedulingConfig",
    "presignedUrlConfig",
    "tags",
    "jobTemplateArn",
    "documentParameters",
];

pub(in crate::control) fn create(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let mut params = Params::read(params, &KNOWN)?;
    templates::fill_in(turn, &mut params)?;
    let id = params.job()?;
    let (document, source) = document_of(turn, &params)?;
    let description = params.prose("description", PROSE)?;
    let continuous = match params.text("targetSelection")? {
        None | Some("SNAPSHOT") => false,
        Some("CONTINUOUS") => true,
        Some(_) => return Err(wrong("targetSelection", "SNAPSHOT or CONTINUOUS")),
    };
    let configs = Configs::read(&params)?;
    let schedule = schedule::read(&params, continuous, turn.now)?;
    let tags = tags::read(&params)?;
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
        status: if schedule.start.is_some() || schedule.has_windows() {
            JobStatus::Scheduled
        } else {
            JobStatus::InProgress
        },
        document,
        source,
        description,
        timeout: None,
        retry: Vec::new(),
        abort: Vec::new(),
        pace: Pace::default(),
        gate: Gate { held: false, change: schedule.first_opening(turn.now) },
        schedule,
        waiting: VecDeque::new(),
        next_batch: None,
        notified: 0,
        ended: false,
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
    for name in ["schedulingConfig", "jobTemplateArn", "documentParameters"] {
        if let Some(value) = params.get(name) {
            job.shown.insert(name.to_owned(), value.clone());
        }
    }
    if !tags.is_empty() {
        turn.state.tags.insert(turn.arn(format_args!("job/{id}")), tags);
    }
    turn.start_job(&id, job);
    Ok(body)
}

/// The document of a request, and where it comes from if it is not in the request.
pub(in crate::control) fn document_of(
    turn: &mut Turn<'_>,
    params: &Params,
) -> Result<(Document, Option<String>), ControlError> {
    let source = params.text("documentSource")?.map(str::to_owned);
    let text = match (params.text("document")?, &source) {
        (Some(_), Some(_)) => {
            return Err(ControlError::invalid("Only one of document and documentSource can be given."));
        }
        (Some(text), None) => text.to_owned(),
        (None, None) => params.required_text("document")?.to_owned(),
        (None, Some(source)) if !(1..=SOURCE).contains(&source.chars().count()) => {
            return Err(wrong("documentSource", "from 1 to 1350 characters"));
        }
        (None, Some(_)) => turn.fetched.take().ok_or_else(|| {
            ControlError::invalid(
                "The documentSource cannot be read: this service has no directory of documents.",
            )
        })?,
    };
    let document = checked_document(text)?;
    let role = params.object("presignedUrlConfig")?.and_then(|config| config.get("roleArn"));
    if document.is_presigned() && !role.is_some_and(Value::is_string) {
        let message = "A job document with presigned URL placeholders needs presignedUrlConfig.roleArn.";
        return Err(ControlError::invalid(message));
    }
    Ok((document, source))
}

/// A document that the service takes.
fn checked_document(text: String) -> Result<Document, ControlError> {
    if text.chars().count() > jobs_protocol::limits::JOB_DOCUMENT_BYTES {
        return Err(wrong("document", "at most 32768 characters"));
    }
    Document::parse(text).map_err(|fault| match fault {
        InvalidDocument::Placeholder(_) => ControlError::invalid(format!("Job document: {fault}.")),
        InvalidDocument::Unreadable(_) | InvalidDocument::Unsendable(_) => {
            ControlError::invalid("Job document located at request input is an invalid JSON document.")
        }
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
