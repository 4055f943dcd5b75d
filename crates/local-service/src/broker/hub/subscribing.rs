//! The hub's subscriptions: what is granted, and what a new subscriber is greeted with.

use super::{ConnectionId, Effect, Hub};
use crate::broker::packet::{Qos, Reason, Sent, Subscribe, Unsubscribe, Version};
use crate::broker::policy::Deed;
use crate::broker::session::Message;
use crate::broker::subscriptions::ClientId;
use crate::broker::topic;
use crate::clock::Millis;
use crate::store::SessionEntry;

/// Most filters in one SUBSCRIBE (AWS IoT quota).
const MAX_FILTERS: usize = 8;
/// Most subscriptions of one client (AWS IoT quota).
const MAX_SUBSCRIPTIONS: usize = 50;

impl Hub {
    pub(super) fn subscribed(
        &mut self,
        from: ConnectionId,
        client: &ClientId,
        version: Version,
        subscribe: Subscribe,
        now: Millis,
    ) {
        let Subscribe { packet_id, filters, identified } = subscribe;
        if identified {
            return self.shut(from, Reason::SubscriptionIdentifiersNotSupported, now);
        }
        let permit = self.links.get(&from).and_then(|link| link.permit.clone());
        let allowed =
            |filter: &str| permit.as_ref().is_none_or(|permit| permit.allows(Deed::Subscribe(filter)));
        if version == Version::V311 {
            if filters.iter().any(|(_, qos)| *qos == Qos::ExactlyOnce) {
                // AWS IoT Core does not answer a 3.1.1 client that asks for QoS 2.
                return;
            }
            if filters.len() > MAX_FILTERS
                || !filters.iter().all(|(filter, _)| topic::is_valid_filter(filter))
            {
                return self.shut(from, Reason::TopicFilterInvalid, now);
            }
            // One filter that is not allowed ends the connection, however many others are.
            if !filters.iter().all(|(filter, _)| allowed(filter)) {
                return self.shut(from, Reason::NotAuthorized, now);
            }
        }
        let Some(attached) = self.sessions.get_mut(client) else { return };
        let held = &mut attached.session.subscriptions;
        let too_many = filters.len() > MAX_FILTERS;
        let persists = attached.session.expiry > Millis(0);
        let mut fresh = Vec::new();
        let mut grants = Vec::new();
        for (filter, asked) in filters {
            let qos = asked.min(Qos::AtLeastOnce);
            let grant = if too_many || (held.len() >= MAX_SUBSCRIPTIONS && !held.contains_key(&filter)) {
                Err(Reason::QuotaExceeded)
            } else if !topic::is_valid_filter(&filter) {
                Err(Reason::TopicFilterInvalid)
            } else if !allowed(&filter) {
                Err(Reason::NotAuthorized)
            } else {
                Ok(qos)
            };
            if grant.is_ok() {
                self.subscriptions.add(client, &filter, qos);
                held.insert(filter.clone(), qos);
                fresh.push((filter, qos));
            }
            grants.push(grant);
        }
        self.effects.push(Effect::Send(from, Sent::SubAck { packet_id, grants }));
        for (filter, qos) in fresh {
            if persists {
                let (client, filter) = (client.to_string(), filter.clone());
                self.keep(|| SessionEntry::Subscribed { client, filter, qos });
            }
            self.send_retained(client, &filter, qos, now);
        }
    }

    /// Retained messages go to filters without wildcards only, as on AWS IoT Core.
    fn send_retained(&mut self, client: &ClientId, filter: &str, granted: Qos, now: Millis) {
        let Some(message) = self.retained.get(filter) else { return };
        let message = Message { qos: message.qos.min(granted), ..message.clone() };
        if let Some(attached) = self.sessions.get_mut(client)
            && let Some(connection) = attached.connection
        {
            let mut out = attached.session.deliver(message, now);
            for publish in &mut out {
                publish.retain = publish.topic == filter;
            }
            self.write(connection, out);
        }
    }

    pub(super) fn unsubscribed(&mut self, from: ConnectionId, client: &ClientId, unsubscribe: &Unsubscribe) {
        let Some(attached) = self.sessions.get_mut(client) else { return };
        let found: Vec<bool> = unsubscribe
            .filters
            .iter()
            .map(|filter| {
                self.subscriptions.remove(client, filter);
                attached.session.subscriptions.remove(filter).is_some()
            })
            .collect();
        if attached.session.persists() {
            for filter in &unsubscribe.filters {
                let (client, filter) = (client.to_string(), filter.clone());
                self.keep(|| SessionEntry::Unsubscribed { client, filter });
            }
        }
        self.effects.push(Effect::Send(from, Sent::UnsubAck { packet_id: unsubscribe.packet_id, found }));
    }
}
