//! Things and static groups: who is there, and who belongs to what.
//!
//! What a change of membership means for jobs is not decided here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jobs_protocol::{InvalidName, ThingName};
use serde::{Deserialize, Serialize};

use crate::EpochMillis;

/// A group's name: the same alphabet and length as a thing's, and never mixed up with one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct GroupName(ThingName);

impl TryFrom<&str> for GroupName {
    type Error = InvalidName;
    fn try_from(text: &str) -> Result<Self, InvalidName> {
        ThingName::try_from(text).map(Self)
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A registered thing.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Thing {
    pub(crate) id: String,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) version: u64,
    /// The groups it is directly in.
    pub(crate) groups: BTreeSet<GroupName>,
}

/// A static group.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Group {
    pub(crate) id: String,
    pub(crate) parent: Option<GroupName>,
    pub(crate) description: Option<String>,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) created_at: EpochMillis,
    pub(crate) version: u64,
    /// The things that are directly in it.
    pub(crate) things: BTreeSet<ThingName>,
    pub(crate) children: BTreeSet<GroupName>,
}

/// Groups may nest so deep (quota page), the root included.
pub(crate) const GROUP_DEPTH: usize = 7;

/// All things and groups.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Registry {
    pub(crate) things: BTreeMap<ThingName, Thing>,
    pub(crate) groups: BTreeMap<GroupName, Group>,
}

impl Registry {
    pub(crate) fn has_thing(&self, name: &ThingName) -> bool {
        self.things.contains_key(name)
    }

    /// The group that has been given this id.
    pub(crate) fn group_of_id(&self, id: &str) -> Option<&GroupName> {
        self.groups.iter().find(|(_, group)| group.id == id).map(|(name, _)| name)
    }

    /// A group and those above it, nearest first.
    pub(crate) fn with_ancestors(&self, group: &GroupName) -> Vec<GroupName> {
        std::iter::successors(Some(group), |name| self.groups.get(*name)?.parent.as_ref()).cloned().collect()
    }

    /// The things of a group and of the groups below it.
    pub(crate) fn members(&self, group: &GroupName) -> BTreeSet<ThingName> {
        let mut members = BTreeSet::new();
        let mut open = vec![group];
        while let Some(group) = open.pop().and_then(|name| self.groups.get(name)) {
            members.extend(group.things.iter().cloned());
            open.extend(&group.children);
        }
        members
    }

    /// Whether a thing is in a group or in one below it.
    pub(crate) fn is_member(&self, thing: &ThingName, group: &GroupName) -> bool {
        self.groups_of(thing).contains(group)
    }

    /// All groups that a thing is in: its own, and those above them.
    pub(crate) fn groups_of(&self, thing: &ThingName) -> BTreeSet<GroupName> {
        let direct = self.things.get(thing).into_iter().flat_map(|thing| &thing.groups);
        direct.flat_map(|group| self.with_ancestors(group)).collect()
    }

    /// Puts a thing into a group; both must be there.
    pub(crate) fn join(&mut self, thing: &ThingName, group: &GroupName) {
        if let (Some(member), Some(joined)) = (self.things.get_mut(thing), self.groups.get_mut(group)) {
            member.groups.insert(group.clone());
            joined.things.insert(thing.clone());
        }
    }

    /// Takes a thing out of a group.
    pub(crate) fn leave(&mut self, thing: &ThingName, group: &GroupName) {
        if let Some(member) = self.things.get_mut(thing) {
            member.groups.remove(group);
        }
        if let Some(left) = self.groups.get_mut(group) {
            left.things.remove(thing);
        }
    }

    /// Takes a thing out of the registry and out of its groups.
    pub(crate) fn delete_thing(&mut self, name: &ThingName) {
        for group in self.things.remove(name).into_iter().flat_map(|thing| thing.groups) {
            if let Some(group) = self.groups.get_mut(&group) {
                group.things.remove(name);
            }
        }
    }

    /// Takes a group without children out: its things leave it, its parent forgets it.
    pub(crate) fn delete_group(&mut self, name: &GroupName) {
        let Some(group) = self.groups.remove(name) else { return };
        for thing in &group.things {
            if let Some(thing) = self.things.get_mut(thing) {
                thing.groups.remove(name);
            }
        }
        if let Some(parent) = group.parent.and_then(|parent| self.groups.get_mut(&parent)) {
            parent.children.remove(name);
        }
    }
}
