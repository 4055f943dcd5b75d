//! Static thing groups.

use std::collections::BTreeSet;

use jobs_protocol::ThingName;
use serde_json::{Map, Value, json};

use super::error::ControlError;
use super::params::{Params, page, wrong};
use super::tags;
use super::things::{read_attributes, thing_not_found};
use crate::registry::{GROUP_DEPTH, Group, GroupName};
use crate::state::Turn;

/// A thing is in at most so many groups (quota page).
const GROUPS_OF_A_THING: usize = 10;

fn group_not_found(name: &GroupName) -> ControlError {
    ControlError::not_found(format!("Thing Group {name} cannot be found."))
}

fn name_of(params: &Params) -> Result<GroupName, ControlError> {
    params.required_text("thingGroupName")?;
    params.group("thingGroupName")?.ok_or_else(|| wrong("thingGroupName", "a group's name"))
}

pub(super) fn create(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params =
        Params::read(params, &["thingGroupName", "parentGroupName", "thingGroupProperties", "tags"])?;
    let name = name_of(&params)?;
    let parent = params.group("parentGroupName")?;
    let (description, attributes) = properties(&params)?;
    let tags = tags::read(&params)?;
    let arn = turn.arn(format_args!("thinggroup/{name}"));
    if let Some(group) = turn.state.registry.groups.get(&name) {
        let same =
            group.parent == parent && group.description == description && group.attributes == attributes;
        if !same {
            return Err(ControlError::already_exists("Thing Group", &group.id, arn));
        }
        return Ok(
            json!({"thingGroupName": name.to_string(), "thingGroupArn": arn, "thingGroupId": group.id}),
        );
    }
    if let Some(parent) = &parent {
        let above = turn.state.registry.with_ancestors(parent).len();
        if above >= GROUP_DEPTH {
            return Err(ControlError::invalid(format!("Thing groups nest at most {GROUP_DEPTH} deep.")));
        }
        // CreateThingGroup has no ResourceNotFoundException in the API's model.
        let missing = || ControlError::invalid(group_not_found(parent).message);
        let group = turn.state.registry.groups.get_mut(parent).ok_or_else(missing)?;
        group.children.insert(name.clone());
    }
    let id = turn.new_uuid();
    let group = Group {
        id: id.clone(),
        parent,
        description,
        attributes,
        created_at: turn.now,
        version: 1,
        things: BTreeSet::new(),
        children: BTreeSet::new(),
    };
    let body = json!({"thingGroupName": name.to_string(), "thingGroupArn": arn, "thingGroupId": id});
    turn.state.registry.groups.insert(name, group);
    if !tags.is_empty() {
        turn.state.tags.insert(arn, tags);
    }
    Ok(body)
}

type Properties = (Option<String>, std::collections::BTreeMap<String, String>);

/// Description and attributes of a request.
fn properties(params: &Params) -> Result<Properties, ControlError> {
    let none = Map::new();
    let properties = params.object("thingGroupProperties")?.unwrap_or(&none);
    let description = properties.get("thingGroupDescription").and_then(Value::as_str).map(str::to_owned);
    let payload = properties.get("attributePayload").and_then(Value::as_object);
    let attributes = read_attributes(payload.and_then(|payload| payload.get("attributes")))?;
    Ok((description, attributes))
}

pub(super) fn update(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &["thingGroupName", "thingGroupProperties", "expectedVersion"])?;
    let name = name_of(&params)?;
    let (description, attributes) = properties(&params)?;
    let expected = params.number("expectedVersion")?;
    let group = turn.state.registry.groups.get_mut(&name).ok_or_else(|| group_not_found(&name))?;
    if expected.is_some_and(|expected| expected != group.version) {
        return Err(other_version(&name));
    }
    (group.description, group.attributes) = (description, attributes);
    group.version += 1;
    Ok(json!({"version": group.version}))
}

fn other_version(name: &GroupName) -> ControlError {
    ControlError::version_conflict(format!(
        "The version for thing group {name} does not match the expected version."
    ))
}

/// Several groups at once; if one is not there, nothing is changed.
pub(super) fn update_for_thing(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(
        params,
        &["thingName", "thingGroupsToAdd", "thingGroupsToRemove", "overrideDynamicGroups"],
    )?;
    let thing = params.thing()?;
    if !turn.state.registry.has_thing(&thing) {
        return Err(thing_not_found(&thing));
    }
    let added = several(turn, &params, "thingGroupsToAdd")?;
    let removed = several(turn, &params, "thingGroupsToRemove")?;
    let mut groups =
        turn.state.registry.things.get(&thing).map(|thing| thing.groups.clone()).unwrap_or_default();
    groups.extend(added.iter().cloned());
    groups.retain(|group| !removed.contains(group));
    within_limit(groups.len())?;
    // First in, then out: a thing that moves between two children of a group never leaves that group.
    for group in added {
        join(turn, &thing, &group);
    }
    for group in removed {
        turn.state.registry.leave(&thing, &group);
        turn.thing_left(&thing, &group);
    }
    Ok(json!({}))
}

fn within_limit(groups: usize) -> Result<(), ControlError> {
    if groups > GROUPS_OF_A_THING {
        return Err(ControlError::invalid(format!("A thing is in at most {GROUPS_OF_A_THING} groups.")));
    }
    Ok(())
}

fn several(turn: &Turn<'_>, params: &Params, name: &str) -> Result<Vec<GroupName>, ControlError> {
    let Some(list) = params.get(name) else { return Ok(Vec::new()) };
    let names = || wrong(name, "a list of groups' names");
    let group = |value: &Value| {
        let group = GroupName::try_from(value.as_str().ok_or_else(names)?).map_err(|_| names())?;
        if turn.state.registry.groups.contains_key(&group) { Ok(group) } else { Err(group_not_found(&group)) }
    };
    list.as_array().ok_or_else(names)?.iter().map(group).collect()
}

pub(super) fn describe(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &["thingGroupName"])?;
    let name = name_of(&params)?;
    let registry = &turn.state.registry;
    let group = registry.groups.get(&name).ok_or_else(|| group_not_found(&name))?;
    let mut above = registry.with_ancestors(&name).split_off(1);
    above.reverse();
    let above: Vec<Value> = above
        .iter()
        .map(|group| {
            json!({"groupName": group.to_string(), "groupArn": turn.arn(format_args!("thinggroup/{group}"))})
        })
        .collect();
    let mut metadata = json!({"creationDate": group.created_at.seconds(), "rootToParentThingGroups": above});
    if let Some(parent) = &group.parent {
        metadata["parentGroupName"] = json!(parent.to_string());
    }
    let mut properties = json!({"attributePayload": {"attributes": group.attributes}});
    if let Some(description) = &group.description {
        properties["thingGroupDescription"] = json!(description);
    }
    Ok(json!({
        "thingGroupName": name.to_string(),
        "thingGroupId": group.id,
        "thingGroupArn": turn.arn(format_args!("thinggroup/{name}")),
        "version": group.version,
        "thingGroupProperties": properties,
        "thingGroupMetadata": metadata,
    }))
}

pub(super) fn list(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    const KNOWN: [&str; 5] = ["nextToken", "maxResults", "namePrefixFilter", "parentGroup", "recursive"];
    let params = Params::read(params, &KNOWN)?;
    let prefix = params.text("namePrefixFilter")?.unwrap_or_default();
    let recursive = params.flag("recursive")?.unwrap_or(true);
    let parent = params.group("parentGroup")?;
    let registry = &turn.state.registry;
    if let Some(parent) = parent.as_ref().filter(|parent| !registry.groups.contains_key(parent)) {
        return Err(group_not_found(parent));
    }
    let wanted = |name: &&GroupName| {
        let above = registry.with_ancestors(name);
        let below = match &parent {
            None => recursive || above.len() == 1,
            Some(parent) if recursive => above.iter().skip(1).any(|group| group == parent),
            Some(parent) => above.get(1) == Some(parent),
        };
        below && name.to_string().starts_with(prefix)
    };
    let items = registry.groups.keys().filter(wanted).map(ToString::to_string).map(|name| {
        let item = json!({"groupName": name, "groupArn": turn.arn(format_args!("thinggroup/{name}"))});
        (name, item)
    });
    page(&params, "thingGroups", items)
}

pub(super) fn delete(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &["thingGroupName", "expectedVersion"])?;
    let name = name_of(&params)?;
    let expected = params.number("expectedVersion")?;
    let Some(group) = turn.state.registry.groups.get(&name) else { return Ok(json!({})) };
    if expected.is_some_and(|expected| expected != group.version) {
        return Err(other_version(&name));
    }
    if !group.children.is_empty() {
        return Err(ControlError::invalid(format!("Thing Group {name} has child groups.")));
    }
    let things = group.things.clone();
    for thing in &things {
        turn.state.registry.leave(thing, &name);
        turn.thing_left(thing, &name);
    }
    turn.state.registry.delete_group(&name);
    let arn = turn.arn(format_args!("thinggroup/{name}"));
    turn.state.tags.remove(&arn);
    Ok(json!({}))
}

/// The thing and the group of a request, each given by name or by ARN.
fn pair(turn: &Turn<'_>, params: &Params) -> Result<(ThingName, GroupName), ControlError> {
    let thing = named(turn, params, "thingName", "thingArn", "thing")?;
    let thing = ThingName::try_from(thing).map_err(|_| wrong("thingName", "a thing's name"))?;
    let group = named(turn, params, "thingGroupName", "thingGroupArn", "thinggroup")?;
    let group = GroupName::try_from(group).map_err(|_| wrong("thingGroupName", "a group's name"))?;
    if !turn.state.registry.has_thing(&thing) {
        return Err(thing_not_found(&thing));
    }
    if !turn.state.registry.groups.contains_key(&group) {
        return Err(group_not_found(&group));
    }
    Ok((thing, group))
}

fn named<'a>(
    turn: &Turn<'_>,
    params: &'a Params,
    name: &str,
    arn: &str,
    kind: &str,
) -> Result<&'a str, ControlError> {
    let prefix = turn.arn(format_args!("{kind}/"));
    match (params.text(name)?, params.text(arn)?) {
        (Some(text), _) => Ok(text),
        (None, Some(text)) => text.strip_prefix(&prefix).ok_or_else(|| wrong(arn, "an ARN of this account")),
        (None, None) => Err(ControlError::invalid(format!("Either {name} or {arn} must be given."))),
    }
}

/// `overrideDynamicGroups` is of no consequence where there are only static ones.
const PAIR: [&str; 5] = ["thingName", "thingArn", "thingGroupName", "thingGroupArn", "overrideDynamicGroups"];

pub(super) fn add(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &PAIR)?;
    let (thing, group) = pair(turn, &params)?;
    let mut groups =
        turn.state.registry.things.get(&thing).map(|thing| thing.groups.clone()).unwrap_or_default();
    groups.insert(group.clone());
    within_limit(groups.len())?;
    join(turn, &thing, &group);
    Ok(json!({}))
}

fn join(turn: &mut Turn<'_>, thing: &ThingName, group: &GroupName) {
    let before = turn.state.registry.groups_of(thing);
    turn.state.registry.join(thing, group);
    // Who was in another child of a group has been in that group all along.
    let joined: Vec<GroupName> = turn.state.registry.groups_of(thing).difference(&before).cloned().collect();
    turn.thing_joined(thing, &joined);
}

pub(super) fn remove(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &PAIR)?;
    let (thing, group) = pair(turn, &params)?;
    turn.state.registry.leave(&thing, &group);
    turn.thing_left(&thing, &group);
    Ok(json!({}))
}

pub(super) fn things(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &["thingGroupName", "recursive", "nextToken", "maxResults"])?;
    let name = name_of(&params)?;
    let recursive = params.flag("recursive")?.unwrap_or(false);
    let group = turn.state.registry.groups.get(&name).ok_or_else(|| group_not_found(&name))?;
    let things = if recursive { turn.state.registry.members(&name) } else { group.things.clone() };
    page(&params, "things", things.into_iter().map(|thing| (thing.to_string(), json!(thing))))
}
