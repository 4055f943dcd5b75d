//! Job templates: the account's own, and how a job is made from one. The service's own stand in `managed`.

mod managed;

use jobs_protocol::JobId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::error::ControlError;
use super::jobs::config::{self, Configs};
use super::jobs::create::{PROSE, document_of};
use super::jobs::job_not_found;
use super::jobs::schedule;
use super::params::{Params, page, wrong};
use super::tags;
use crate::EpochMillis;
use crate::state::Turn;

pub(super) use managed::{describe as describe_managed, list as list_managed};

/// A template of the account. Its id has the alphabet and length of a job's.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Template {
    description: String,
    created_at: EpochMillis,
    /// Members of CreateJob that a job takes from it unless the request has them.
    members: Map<String, Value>,
}

/// What a template can give to a job, besides its configurations.
const DOCUMENT: [&str; 2] = ["document", "documentSource"];

/// Maintenance windows stand in a template's own members, and in a job's schedule.
const WINDOWS: &str = "maintenanceWindows";
const SCHEDULE: &str = "schedulingConfig";

fn id_of(params: &Params) -> Result<JobId, ControlError> {
    let text = params.required_text("jobTemplateId")?;
    JobId::try_from(text).map_err(|fault| wrong("jobTemplateId", &fault.to_string()))
}

fn not_found(id: &str) -> ControlError {
    ControlError::not_found(format!("Job Template {id} cannot be found."))
}

pub(super) fn create(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let given: Vec<&str> = DOCUMENT.into_iter().chain(config::NAMES).chain([WINDOWS]).collect();
    let known: Vec<&str> =
        ["jobTemplateId", "description", "jobArn", "tags"].into_iter().chain(given.iter().copied()).collect();
    let params = Params::read(params, &known)?;
    let id = id_of(&params)?;
    params.required_text("description")?;
    let description = params.prose("description", PROSE)?.unwrap_or_default();
    Configs::read(&params)?;
    schedule::windows(params.get(WINDOWS))?;
    let tags = tags::read(&params)?;
    let mut members = match params.text("jobArn")? {
        Some(arn) => of_job(turn, arn)?,
        None => Map::new(),
    };
    let given = given.iter().filter_map(|name| Some(((*name).to_owned(), params.get(name)?.clone())));
    members.extend(given);
    if DOCUMENT.iter().any(|name| params.get(name).is_some()) {
        let (document, source) = document_of(turn, &params)?;
        members.insert("document".to_owned(), json!(document.as_stored()));
        if source.is_none() {
            members.remove("documentSource");
        }
    } else if !members.contains_key("document") {
        return Err(ControlError::invalid("A job template needs a document or a jobArn."));
    }
    if turn.state.templates.contains_key(&id) {
        let mut error =
            ControlError::new("ConflictException", 409, format!("Job Template {id} already exists."));
        error.members.insert("resourceId".to_owned(), json!(id));
        return Err(error);
    }
    let arn = turn.arn(format_args!("jobtemplate/{id}"));
    let body = json!({"jobTemplateArn": arn, "jobTemplateId": id});
    if !tags.is_empty() {
        turn.state.tags.insert(arn, tags);
    }
    turn.state.templates.insert(id, Template { description, created_at: turn.now, members });
    Ok(body)
}

/// What a job hands to a template that is made of it.
fn of_job(turn: &Turn<'_>, arn: &str) -> Result<Map<String, Value>, ControlError> {
    let id = arn.strip_prefix(&turn.arn("job/")).and_then(|id| JobId::try_from(id).ok());
    let id = id.ok_or_else(|| wrong("jobArn", "the ARN of a job of this account"))?;
    let job = turn.state.jobs.get(&id).ok_or_else(|| job_not_found(&id))?;
    let mut members = Map::new();
    members.insert("document".to_owned(), json!(job.document.as_stored()));
    if let Some(source) = &job.source {
        members.insert("documentSource".to_owned(), json!(source));
    }
    let configs = job.shown.iter().filter(|(name, _)| config::NAMES.contains(&name.as_str()));
    members.extend(configs.map(|(name, value)| (name.clone(), value.clone())));
    if let Some(windows) = job.shown.get(SCHEDULE).and_then(|schedule| schedule.get(WINDOWS)) {
        members.insert(WINDOWS.to_owned(), windows.clone());
    }
    Ok(members)
}

pub(super) fn describe(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &["jobTemplateId"])?;
    let id = id_of(&params)?;
    let template = turn.state.templates.get(&id).ok_or_else(|| not_found(id.as_str()))?;
    let mut body = summary(turn, &id, template);
    body.extend(config::unset());
    body.extend(template.members.clone());
    Ok(body.into())
}

fn summary(turn: &Turn<'_>, id: &JobId, template: &Template) -> Map<String, Value> {
    let members = [
        ("jobTemplateArn", json!(turn.arn(format_args!("jobtemplate/{id}")))),
        ("jobTemplateId", json!(id)),
        ("description", json!(template.description)),
        ("createdAt", json!(template.created_at.seconds())),
    ];
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

pub(super) fn list(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &["maxResults", "nextToken"])?;
    let templates = turn.state.templates.iter();
    let items = templates.map(|(id, template)| (id.to_string(), summary(turn, id, template).into()));
    page(&params, "jobTemplates", items)
}

pub(super) fn delete(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &["jobTemplateId"])?;
    let id = id_of(&params)?;
    turn.state.templates.remove(&id).ok_or_else(|| not_found(id.as_str()))?;
    let arn = turn.arn(format_args!("jobtemplate/{id}"));
    turn.state.tags.remove(&arn);
    Ok(json!({}))
}

/// Puts what a request's template gives under what the request says itself.
pub(super) fn fill_in(turn: &mut Turn<'_>, params: &mut Params) -> Result<(), ControlError> {
    let Some(arn) = params.text("jobTemplateArn")?.map(str::to_owned) else {
        let given = params.object("documentParameters")?.filter(|given| !given.is_empty());
        return match given {
            None => Ok(()),
            Some(_) => {
                Err(ControlError::invalid("documentParameters needs the ARN of a managed job template."))
            }
        };
    };
    if let Some(name) = arn.strip_prefix(&managed::arn_of(turn, "")) {
        let name = name.strip_suffix(managed::VERSION_IN_ARN).unwrap_or(name);
        if DOCUMENT.iter().any(|name| params.get(name).is_some()) {
            return Err(ControlError::invalid("A managed job template brings its own document."));
        }
        let document = managed::document(name, params)?;
        params.set_default("document", document.into());
        return Ok(());
    }
    if params.object("documentParameters")?.is_some_and(|given| !given.is_empty()) {
        return Err(ControlError::invalid("documentParameters can be used with managed job templates only."));
    }
    let id = arn.strip_prefix(&turn.arn("jobtemplate/")).and_then(|id| JobId::try_from(id).ok());
    let template = id.and_then(|id| turn.state.templates.get(&id)).ok_or_else(|| not_found(&arn))?;
    let own_document = DOCUMENT.iter().any(|name| params.get(name).is_some());
    let sourced = template.members.contains_key("documentSource");
    for (name, value) in &template.members {
        match (name.as_str(), value.as_str()) {
            ("document" | "documentSource", _) if own_document => {}
            // Those of the request, if it has any, count instead.
            (WINDOWS, _) => params.set_default_in(SCHEDULE, WINDOWS, value.clone()),
            // The job shows the same source; its content is the one that the template was made with.
            ("document", Some(text)) if sourced => turn.fetched = Some(text.to_owned()),
            _ => params.set_default(name, value.clone()),
        }
    }
    Ok(())
}
