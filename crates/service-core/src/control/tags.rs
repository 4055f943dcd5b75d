//! Tags of jobs, job templates and thing groups.

use std::collections::BTreeMap;

use jobs_protocol::JobId;
use serde_json::{Value, json};

use super::error::ControlError;
use super::params::{Params, page, wrong};
use crate::registry::GroupName;
use crate::state::Turn;

/// Most tags of one resource.
const TAGS: usize = 50;

/// The tags that a creation brings along.
pub(super) fn read(params: &Params) -> Result<BTreeMap<String, String>, ControlError> {
    let Some(list) = params.get("tags") else { return Ok(BTreeMap::new()) };
    let entries = list.as_array().ok_or_else(|| wrong("tags", "a list"))?;
    let mut tags = BTreeMap::new();
    for entry in entries {
        let key = entry.get("Key").and_then(Value::as_str);
        let key = key.filter(|key| (1..=128).contains(&key.chars().count()) && key.chars().all(fits));
        let value = entry.get("Value").map_or(Some(""), Value::as_str);
        let value = value.filter(|value| value.chars().count() <= 256 && value.chars().all(fits));
        let (Some(key), Some(value)) = (key, value) else {
            return Err(wrong(
                "tags",
                "Keys of 1 to 128 and Values of at most 256 of letters, digits and _.:/=+-@",
            ));
        };
        if tags.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(ControlError::invalid("A tag's Key is given twice."));
        }
    }
    if tags.len() > TAGS {
        return Err(ControlError::limit(format!("A resource has at most {TAGS} tags.")));
    }
    Ok(tags)
}

fn fits(sign: char) -> bool {
    sign.is_alphanumeric() || sign == ' ' || "_.:/=+-@".contains(sign)
}

/// The ARN of a request, if it is that of something that can have tags.
fn resource(turn: &Turn<'_>, params: &Params) -> Result<String, ControlError> {
    let arn = params.required_text("resourceArn")?;
    let kinds = ["job", "jobtemplate", "thinggroup"].map(|kind| (kind, turn.arn(format_args!("{kind}/"))));
    let found = kinds.iter().find_map(|(kind, prefix)| Some((*kind, arn.strip_prefix(prefix.as_str())?)));
    let there = match found {
        Some(("job", id)) => JobId::try_from(id).is_ok_and(|id| turn.state.jobs.contains_key(&id)),
        Some(("jobtemplate", id)) => {
            JobId::try_from(id).is_ok_and(|id| turn.state.templates.contains_key(&id))
        }
        Some((_, name)) => {
            GroupName::try_from(name).is_ok_and(|name| turn.state.registry.groups.contains_key(&name))
        }
        None => return Err(wrong("resourceArn", "the ARN of a job, a job template or a thing group")),
    };
    if there {
        Ok(arn.to_owned())
    } else {
        Err(ControlError::not_found(format!("Resource {arn} cannot be found.")))
    }
}

pub(super) fn tag(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &["resourceArn", "tags"])?;
    let arn = resource(turn, &params)?;
    let mut tags = turn.state.tags.get(&arn).cloned().unwrap_or_default();
    tags.extend(read(&params)?);
    if tags.len() > TAGS {
        return Err(ControlError::limit(format!("A resource has at most {TAGS} tags.")));
    }
    turn.state.tags.insert(arn, tags);
    Ok(json!({}))
}

pub(super) fn untag(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &["resourceArn", "tagKeys"])?;
    let arn = resource(turn, &params)?;
    let keys = params.get("tagKeys").and_then(Value::as_array);
    let keys = keys.ok_or_else(|| wrong("tagKeys", "a list of strings"))?;
    if let Some(tags) = turn.state.tags.get_mut(&arn) {
        for key in keys.iter().filter_map(Value::as_str) {
            tags.remove(key);
        }
    }
    Ok(json!({}))
}

pub(super) fn list(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &["resourceArn", "nextToken"])?;
    let arn = resource(turn, &params)?;
    let tags = turn.state.tags.get(&arn).cloned().unwrap_or_default();
    page(
        &params,
        "tags",
        tags.into_iter().map(|(key, value)| (key.clone(), json!({"Key": key, "Value": value}))),
    )
}
