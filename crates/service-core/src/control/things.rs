//! Things.

use std::collections::{BTreeMap, BTreeSet};

use jobs_protocol::ThingName;
use serde_json::{Value, json};

use super::error::ControlError;
use super::params::{Params, page, wrong};
use crate::registry::Thing;
use crate::state::Turn;

/// A thing without a type has at most so many attributes.
const ATTRIBUTES: usize = 3;
/// Longest name and longest value of an attribute, in characters (service model).
const ATTRIBUTE_NAME: usize = 128;
const ATTRIBUTE_VALUE: usize = 800;

pub(super) fn thing_not_found(name: &ThingName) -> ControlError {
    ControlError::not_found(format!("Thing {name} cannot be found."))
}

pub(super) fn create(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &["thingName", "attributePayload"])?;
    let name = params.thing()?;
    let attributes = attributes(&params, "attributePayload")?;
    if attributes.len() > ATTRIBUTES {
        return Err(ControlError::invalid("A thing without a type has at most 3 attributes."));
    }
    let arn = turn.arn(format_args!("thing/{name}"));
    let id = match turn.state.registry.things.get(&name) {
        Some(thing) if thing.attributes == attributes => thing.id.clone(),
        Some(thing) => {
            let message = format!("Thing {name} already exists in account with different attributes");
            let mut error = ControlError::already_exists("Thing", &thing.id, arn);
            error.message = message;
            return Err(error);
        }
        None => {
            let id = turn.new_uuid();
            let thing = Thing { id: id.clone(), attributes, version: 1, groups: BTreeSet::new() };
            turn.state.registry.things.insert(name.clone(), thing);
            id
        }
    };
    Ok(json!({"thingName": name, "thingArn": arn, "thingId": id}))
}

/// The attributes of an `attributePayload`, which may stand inside other properties.
pub(super) fn attributes(params: &Params, member: &str) -> Result<BTreeMap<String, String>, ControlError> {
    let Some(payload) = params.object(member)? else { return Ok(BTreeMap::new()) };
    read_attributes(payload.get("attributes"))
}

pub(super) fn read_attributes(value: Option<&Value>) -> Result<BTreeMap<String, String>, ControlError> {
    let map = || wrong("attributePayload.attributes", "a map of strings");
    let Some(value) = value else { return Ok(BTreeMap::new()) };
    let pairs = value.as_object().ok_or_else(map)?;
    let attribute = |(key, value): (&String, &Value)| {
        let value = value.as_str().ok_or_else(map)?;
        let fits =
            |text: &str, more: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c));
        if !(1..=ATTRIBUTE_NAME).contains(&key.len()) || !fits(key, "_.,@/:#-") {
            return Err(wrong("attributePayload.attributes", "keyed by 1 to 128 of [a-zA-Z0-9_.,@/:#-]"));
        }
        if value.len() > ATTRIBUTE_VALUE || !fits(value, "_.,@/:#=[]-") {
            return Err(wrong(
                "attributePayload.attributes",
                "of values with at most 800 of [a-zA-Z0-9_.,@/:#=\\[\\]-]",
            ));
        }
        Ok((key.clone(), value.to_owned()))
    };
    pairs.iter().map(attribute).collect()
}

pub(super) fn update(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &["thingName", "attributePayload", "expectedVersion"])?;
    let name = params.thing()?;
    let given = attributes(&params, "attributePayload")?;
    let payload = params.object("attributePayload")?;
    let merge = payload.and_then(|payload| payload.get("merge")).and_then(Value::as_bool).unwrap_or(false);
    let expected = params.number("expectedVersion")?;
    let thing = turn.state.registry.things.get_mut(&name).ok_or_else(|| thing_not_found(&name))?;
    if expected.is_some_and(|expected| expected != thing.version) {
        return Err(other_version(&name));
    }
    if payload.is_some() {
        let mut attributes = if merge { thing.attributes.clone() } else { BTreeMap::new() };
        attributes.extend(given);
        // In a merge an empty value takes an attribute away.
        attributes.retain(|_, value| !merge || !value.is_empty());
        if attributes.len() > ATTRIBUTES {
            return Err(ControlError::invalid("A thing without a type has at most 3 attributes."));
        }
        thing.attributes = attributes;
    }
    thing.version += 1;
    Ok(json!({}))
}

fn other_version(name: &ThingName) -> ControlError {
    ControlError::version_conflict(format!(
        "The version for thing {name} does not match the expected version."
    ))
}

pub(super) fn describe(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &["thingName"])?;
    let name = params.thing()?;
    let thing = turn.state.registry.things.get(&name).ok_or_else(|| thing_not_found(&name))?;
    Ok(json!({
        "defaultClientId": name,
        "thingName": name,
        "thingId": thing.id,
        "thingArn": turn.arn(format_args!("thing/{name}")),
        "attributes": thing.attributes,
        "version": thing.version,
    }))
}

pub(super) fn list(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &["nextToken", "maxResults", "attributeName", "attributeValue"])?;
    let (key, value) = (params.text("attributeName")?, params.text("attributeValue")?);
    let wanted = |thing: &Thing| {
        key.is_none_or(|key| match thing.attributes.get(key) {
            None => false,
            Some(found) => value.is_none_or(|value| found == value),
        })
    };
    let things = turn.state.registry.things.iter().filter(|(_, thing)| wanted(thing));
    let items = things.map(|(name, thing)| {
        let item = json!({
            "thingName": name,
            "thingArn": turn.arn(format_args!("thing/{name}")),
            "attributes": thing.attributes,
            "version": thing.version,
        });
        (name.to_string(), item)
    });
    page(&params, "things", items)
}

/// The thing's executions stay, and are no longer delivered.
pub(super) fn delete(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &["thingName", "expectedVersion"])?;
    let name = params.thing()?;
    let expected = params.number("expectedVersion")?;
    if let Some(thing) = turn.state.registry.things.get(&name) {
        let version = thing.version;
        if expected.is_some_and(|expected| expected != version) {
            return Err(other_version(&name));
        }
        if turn.state.credentials.of_thing(&name).next().is_some() {
            let message = format!("Thing {name} is still attached to one or more principals.");
            return Err(ControlError::invalid(message));
        }
        turn.state.registry.delete_thing(&name);
    }
    Ok(json!({}))
}

pub(super) fn groups(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &["thingName", "nextToken", "maxResults"])?;
    let name = params.thing()?;
    let thing = turn.state.registry.things.get(&name).ok_or_else(|| thing_not_found(&name))?;
    let items = thing.groups.iter().map(|group| {
        let arn = turn.arn(format_args!("thinggroup/{group}"));
        (group.to_string(), json!({"groupName": group.to_string(), "groupArn": arn}))
    });
    page(&params, "thingGroups", items)
}
