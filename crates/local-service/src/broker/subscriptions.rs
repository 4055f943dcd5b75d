//! Who has subscribed to what: the question "who gets this topic?" answered for thousands of clients.
//!
//! Filters without wildcards, which are most of them, are found by a look-up; the rest are tried one by one.
//! Whether a filter may be subscribed to is decided in [`super::topic`].

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::packet::Qos;
use super::topic;

/// The identity of a session.
pub(crate) type ClientId = Arc<str>;

/// Subscribers of one filter.
type Subscribers = BTreeMap<ClientId, Qos>;

/// All subscriptions of all sessions.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    exact: HashMap<String, Subscribers>,
    wildcard: BTreeMap<String, Subscribers>,
}

impl Subscriptions {
    /// Adds a subscription, or replaces the QoS of one that is there.
    pub(crate) fn add(&mut self, client: &ClientId, filter: &str, qos: Qos) {
        let subscribers = if topic::has_wildcard(filter) {
            self.wildcard.entry(filter.to_owned()).or_default()
        } else {
            self.exact.entry(filter.to_owned()).or_default()
        };
        subscribers.insert(client.clone(), qos);
    }

    /// Takes a subscription away, if it is there.
    pub(crate) fn remove(&mut self, client: &ClientId, filter: &str) {
        let emptied = |subscribers: &mut Subscribers| {
            subscribers.remove(client);
            subscribers.is_empty()
        };
        if topic::has_wildcard(filter) {
            if self.wildcard.get_mut(filter).is_some_and(emptied) {
                self.wildcard.remove(filter);
            }
        } else if self.exact.get_mut(filter).is_some_and(emptied) {
            self.exact.remove(filter);
        }
    }

    /// Each client that gets a message on `topic`, once, with the highest QoS that its matching filters were
    /// granted.
    pub(crate) fn of_topic(&self, topic: &str) -> BTreeMap<ClientId, Qos> {
        let mut found = self.exact.get(topic).cloned().unwrap_or_default();
        for (filter, subscribers) in &self.wildcard {
            if topic::matches(filter, topic) {
                for (client, &qos) in subscribers {
                    let granted = found.entry(client.clone()).or_insert(qos);
                    *granted = qos.max(*granted);
                }
            }
        }
        found
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
        for filter in ["a/b", "a/#"] {
            all.add(&one, filter, Qos::AtMostOnce);
            all.add(&two, filter, Qos::AtMostOnce);
            all.remove(&one, filter);
            assert_eq!(all.of_topic("a/b").len(), 1);
            all.remove(&two, filter);
            all.remove(&two, filter);
        }
        assert!(all.exact.is_empty() && all.wildcard.is_empty());
    }
}
