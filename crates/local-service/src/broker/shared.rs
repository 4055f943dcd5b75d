//! Shared subscriptions, `$share/NAME/FILTER`: groups of clients of which one gets each message, in turn.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};

use super::packet::Qos;
use super::subscriptions::ClientId;
use super::topic;

/// All groups, each by its whole filter.
#[derive(Debug, Default)]
pub(crate) struct Groups(BTreeMap<Box<str>, Group>);

#[derive(Debug, Default)]
struct Group {
    members: BTreeMap<ClientId, Qos>,
    /// Who had the last turn.
    last: Option<ClientId>,
}

/// Somebody whose turn it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) client: ClientId,
    pub(crate) qos: Qos,
    /// The group's name.
    pub(crate) group: String,
}

impl Groups {
    /// Adds a member, or replaces the QoS of one that is there.
    pub(crate) fn add(&mut self, client: &ClientId, filter: &str, qos: Qos) {
        self.0.entry(filter.into()).or_default().members.insert(client.clone(), qos);
    }

    /// Takes a member away, if it is there.
    pub(crate) fn remove(&mut self, client: &ClientId, filter: &str) {
        if let Some(group) = self.0.get_mut(filter) {
            group.members.remove(client);
            if group.members.is_empty() {
                self.0.remove(filter);
            }
        }
    }

    /// Who gets a message on `topic`, one of each group that it is for: whose turn it is of those who are `there`, or of
    /// all if nobody is.
    pub(crate) fn of_topic(&mut self, topic: &str, there: impl Fn(&ClientId) -> bool) -> Vec<Turn> {
        let groups = self.0.iter_mut().filter_map(|(filter, group)| {
            let (name, filter) = topic::shared(filter)?;
            topic::matches(filter, topic).then_some((name, group))
        });
        groups.filter_map(|(name, group)| group.turn(name, &there)).collect()
    }
}

impl Group {
    fn turn(&mut self, name: &str, there: impl Fn(&ClientId) -> bool) -> Option<Turn> {
        let behind = self.last.as_ref().map_or(Unbounded, Excluded);
        let mut in_turn = self.members.range::<ClientId, _>((behind, Unbounded)).chain(&self.members);
        let (client, &qos) = in_turn.clone().find(|(client, _)| there(client)).or_else(|| in_turn.next())?;
        let turn = Turn { client: client.clone(), qos, group: name.to_owned() };
        self.last = Some(turn.client.clone());
        Some(turn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clients(groups: &mut Groups, topic: &str, there: &[&str]) -> Vec<String> {
        let turns = groups.of_topic(topic, |client| there.contains(&&**client));
        turns.into_iter().map(|turn| format!("{}/{}", turn.group, turn.client)).collect()
    }

    #[test]
    fn members_take_turns_and_those_who_are_there_come_first() {
        let mut groups = Groups::default();
        for client in ["a", "b", "c"] {
            groups.add(&client.into(), "$share/g/t/+", Qos::AtLeastOnce);
        }
        let all = ["a", "b", "c"];
        let turns: Vec<_> = (0..4).flat_map(|_| clients(&mut groups, "t/1", &all)).collect();
        assert_eq!(turns, ["g/a", "g/b", "g/c", "g/a"]);
        assert_eq!(clients(&mut groups, "t/1", &["a", "c"]), ["g/c"]);
        assert_eq!(clients(&mut groups, "t/1", &[]), ["g/a"]);
        groups.remove(&"b".into(), "$share/g/t/+");
        assert_eq!(clients(&mut groups, "t/1", &all), ["g/c"]);
    }

    #[test]
    fn groups_are_told_apart_by_name_and_filter() {
        let mut groups = Groups::default();
        for filter in ["$share/g/t/#", "$share/h/t/#", "$share/h/t/1", "$share/h/other"] {
            groups.add(&"a".into(), filter, Qos::AtMostOnce);
        }
        assert_eq!(clients(&mut groups, "t/1", &[]), ["g/a", "h/a", "h/a"]);
        groups.remove(&"a".into(), "$share/g/t/#");
        groups.remove(&"a".into(), "$share/x/t/#");
        assert_eq!(clients(&mut groups, "t/2", &[]), ["h/a"]);
    }
}
