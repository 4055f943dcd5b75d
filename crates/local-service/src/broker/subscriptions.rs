//! Who has subscribed to what: the question "who gets this topic?" answered for thousands of clients.
//!
//! Filters without wildcards are found by a look-up. The others form a tree of levels, so that an answer costs as many
//! steps as the topic has levels and subscribers, however many filters there are. Whether a filter may be subscribed to is
//! decided in [`super::topic`].

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::packet::Qos;
use super::shared::{Groups, Turn};
use super::topic;

/// The identity of a session.
pub(crate) type ClientId = Arc<str>;

/// Subscribers of one filter.
type Subscribers = BTreeMap<ClientId, Qos>;

/// All subscriptions of all sessions.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    exact: HashMap<Box<str>, Subscribers>,
    wildcard: Node,
    shared: Groups,
}

/// What follows a number of levels that filters begin with.
#[derive(Debug, Default)]
struct Node {
    /// By the next level, `+` among them.
    next: HashMap<Box<str>, Node>,
    /// Of filters that end here.
    here: Subscribers,
    /// Of filters that end in `#` here.
    below: Subscribers,
}

impl Subscriptions {
    /// Adds a subscription, or replaces the QoS of one that is there.
    pub(crate) fn add(&mut self, client: &ClientId, filter: &str, qos: Qos) {
        if topic::shared(filter).is_some() {
            return self.shared.add(client, filter, qos);
        }
        if !topic::has_wildcard(filter) {
            self.exact.entry(filter.into()).or_default().insert(client.clone(), qos);
            return;
        }
        let mut node = &mut self.wildcard;
        for level in filter.split('/') {
            if level == "#" {
                node.below.insert(client.clone(), qos);
                return;
            }
            node = node.next.entry(level.into()).or_default();
        }
        node.here.insert(client.clone(), qos);
    }

    /// Takes a subscription away, if it is there.
    pub(crate) fn remove(&mut self, client: &ClientId, filter: &str) {
        if topic::shared(filter).is_some() {
            self.shared.remove(client, filter);
        } else if topic::has_wildcard(filter) {
            self.wildcard.remove(client, filter);
        } else if let Some(subscribers) = self.exact.get_mut(filter) {
            subscribers.remove(client);
            if subscribers.is_empty() {
                self.exact.remove(filter);
            }
        }
    }

    /// Who gets a message on `topic` for a group, one of each.
    pub(crate) fn turns(&mut self, topic: &str, there: impl Fn(&ClientId) -> bool) -> Vec<Turn> {
        self.shared.of_topic(topic, there)
    }

    /// Each client that gets a message on `topic` for itself, once, with the highest QoS that its matching filters were
    /// granted.
    pub(crate) fn of_topic(&self, topic: &str) -> BTreeMap<ClientId, Qos> {
        let mut found = self.exact.get(topic).cloned().unwrap_or_default();
        // A wildcard in front does not match a topic that begins with `$`.
        self.wildcard.collect(Some(topic), !topic.starts_with('$'), &mut found);
        found
    }
}

impl Node {
    /// Adds the subscribers of the filters that go on from here and match the rest of a topic.
    fn collect(&self, rest: Option<&str>, wild: bool, found: &mut Subscribers) {
        let mut add = |subscribers: &Subscribers| {
            for (client, &qos) in subscribers {
                let granted = found.entry(client.clone()).or_insert(qos);
                *granted = qos.max(*granted);
            }
        };
        let Some(rest) = rest else { return add(&self.here) };
        if wild {
            add(&self.below);
        }
        let (level, rest) = rest.split_once('/').map_or((rest, None), |(level, rest)| (level, Some(rest)));
        if let Some(node) = self.next.get(level) {
            node.collect(rest, true, found);
        }
        if wild && let Some(node) = self.next.get("+") {
            node.collect(rest, true, found);
        }
    }

    /// Takes a subscription away, and with it what is empty by that.
    fn remove(&mut self, client: &ClientId, filter: &str) {
        let (level, rest) =
            filter.split_once('/').map_or((filter, None), |(level, rest)| (level, Some(rest)));
        if level == "#" {
            self.below.remove(client);
        } else if let Some(node) = self.next.get_mut(level) {
            match rest {
                Some(rest) => node.remove(client, rest),
                None => drop(node.here.remove(client)),
            }
            if node.is_empty() {
                self.next.remove(level);
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.next.is_empty() && self.here.is_empty() && self.below.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_filters_give_one_copy_with_the_highest_qos() {
        let mut all = Subscriptions::default();
        let client = ClientId::from("c");
        all.add(&client, "a/b", Qos::AtMostOnce);
        all.add(&client, "a/+", Qos::AtLeastOnce);
        all.add(&client, "#", Qos::AtMostOnce);
        assert_eq!(all.of_topic("a/b"), BTreeMap::from([(client.clone(), Qos::AtLeastOnce)]));
        all.remove(&client, "a/+");
        assert_eq!(all.of_topic("a/b"), BTreeMap::from([(client, Qos::AtMostOnce)]));
    }

    #[test]
    fn a_filter_without_subscribers_leaves_nothing_behind() {
        let mut all = Subscriptions::default();
        let (one, two) = (ClientId::from("1"), ClientId::from("2"));
        for filter in ["a/b", "a/#", "+/a/+", "a/b/+"] {
            all.add(&one, filter, Qos::AtMostOnce);
            all.add(&two, filter, Qos::AtMostOnce);
            all.remove(&one, filter);
            assert_eq!(all.of_topic(&filter.replace(['+', '#'], "b")).len(), 1, "{filter}");
            all.remove(&two, filter);
            all.remove(&two, filter);
        }
        assert!(all.exact.is_empty() && all.wildcard.is_empty());
    }

    /// The tree answers as trying one filter after another would.
    #[test]
    fn the_tree_finds_what_the_rule_for_one_filter_finds() {
        let filters = [
            "#",
            "+",
            "+/#",
            "a",
            "a/#",
            "a/+",
            "a/b",
            "a/+/c",
            "+/b/#",
            "a//+",
            "/+",
            "+/+/+",
            "$aws/#",
            "$aws/+/x",
            "$aws/things/+/jobs/#",
            "$aws/things/t/jobs/+/get/+",
            "a/b/#",
            "+/+",
        ];
        let topics = [
            "a",
            "b",
            "a/b",
            "a/b/c",
            "a/",
            "/",
            "/a",
            "a//c",
            "a/x/c",
            "x/b/y/z",
            "$aws",
            "$aws/x",
            "$aws/y/x",
            "$aws/things/t/jobs/notify",
            "$aws/things/t/jobs/$next/get/accepted",
            "$aws/things/t/jobs",
        ];
        let mut all = Subscriptions::default();
        for filter in filters {
            all.add(&ClientId::from(filter), filter, Qos::AtMostOnce);
        }
        for topic in topics {
            let wanted: Vec<&str> =
                filters.into_iter().filter(|filter| topic::matches(filter, topic)).collect();
            let mut found: Vec<String> = all.of_topic(topic).keys().map(ToString::to_string).collect();
            let mut sorted: Vec<String> = wanted.into_iter().map(str::to_owned).collect();
            found.sort();
            sorted.sort();
            assert_eq!(found, sorted, "{topic}");
        }
    }
}
