//! The hub's messages: what a client may publish, and who gets it.

use bytes::Bytes;

use super::{ConnectionId, Effect, Hub};
use crate::broker::packet::{MAX_ALIASES, MAX_PAYLOAD, Publish, Qos, Reason, Sent, Version};
use crate::broker::policy::{Deed, Permit};
use crate::broker::session::Message;
use crate::broker::shared::Turn;
use crate::broker::subscriptions::ClientId;
use crate::broker::topic::{self, Destination};
use crate::clock::Millis;
use crate::store::SessionEntry;

/// Most retained messages that are kept; further topics are not retained.
const MAX_RETAINED: usize = 1000;
/// Longest life of a message, in seconds (AWS IoT quota: seven days).
const MAX_MESSAGE_EXPIRY: u32 = 604_800;

impl Hub {
    /// The service's answer to a request: to that connection and nobody else, in one copy, subscribed or not.
    #[must_use]
    pub(crate) fn reply(
        &mut self,
        to: ConnectionId,
        topic: &str,
        payload: Bytes,
        now: Millis,
    ) -> Vec<Effect> {
        if let Some(client) = self.links.get(&to).map(|link| link.client.clone())
            && let Some(attached) = self.sessions.get(&client)
        {
            let granted = attached
                .session
                .subscriptions
                .iter()
                .filter(|(filter, _)| topic::matches(filter, topic))
                .map(|(_, &qos)| qos)
                .max();
            let qos = granted.unwrap_or(Qos::AtMostOnce);
            self.deliver(&client, Message::new(topic, payload, qos), None, now);
        }
        std::mem::take(&mut self.effects)
    }

    /// A notification or an event of the service: QoS 1 to every subscriber, kept for those that are away.
    #[must_use]
    pub(crate) fn publish(&mut self, topic: &str, payload: Bytes, now: Millis) -> Vec<Effect> {
        let message = Message::new(topic, payload, Qos::AtLeastOnce);
        self.distribute(&message, now);
        std::mem::take(&mut self.effects)
    }

    /// The connections that a message on `topic` goes to.
    pub(crate) fn connected_subscribers(&self, topic: &str) -> Vec<ConnectionId> {
        let clients = self.subscriptions.of_topic(topic).into_keys();
        clients.filter_map(|client| self.sessions.get(&client)?.connection).collect()
    }

    pub(super) fn published(
        &mut self,
        from: ConnectionId,
        version: Version,
        mut publish: Publish,
        now: Millis,
    ) {
        if let Some(alias) = publish.alias
            && let Err(reason) = self.resolve(from, alias, &mut publish.topic)
        {
            return self.shut(from, reason, now);
        }
        match publish_verdict(&publish) {
            PublishVerdict::Take => {}
            PublishVerdict::Unsupported if version == Version::V311 => return,
            PublishVerdict::Unsupported => return self.shut(from, Reason::QosNotSupported, now),
            PublishVerdict::Fault(reason) => return self.shut(from, reason, now),
            PublishVerdict::Refuse(reason) => {
                return self.refuse_publication(from, version, &publish, reason, now);
            }
        }
        let permit = self.links.get(&from).and_then(|link| link.permit.as_deref());
        if !may_publish(permit, &publish) {
            tracing::info!(connection = from.0, topic = %publish.topic, "The policy does not allow a publication");
            return self.refuse_publication(from, version, &publish, Reason::NotAuthorized, now);
        }
        if publish.qos == Qos::AtLeastOnce {
            let answer = Sent::PubAck { packet_id: publish.packet_id, reason: Reason::Success };
            self.effects.push(Effect::Send(from, answer));
        }
        if topic::destination(&publish.topic) == Destination::Jobs {
            let Publish { topic, payload, .. } = publish;
            self.effects.push(Effect::Jobs { connection: from, topic, payload });
        } else {
            self.distribute_of_client(publish, now);
        }
    }

    /// Puts the topic in that an alias stands for, or lets it stand for the topic from now on (MQTT 5, section 3.3.2.3.4).
    fn resolve(&mut self, from: ConnectionId, alias: u16, topic: &mut String) -> Result<(), Reason> {
        let Some(link) = self.links.get_mut(&from) else { return Ok(()) };
        if !(1..=MAX_ALIASES).contains(&alias) {
            return Err(Reason::TopicAliasInvalid);
        }
        if topic.is_empty() {
            topic.clone_from(link.aliases.get(&alias).ok_or(Reason::ProtocolError)?);
        } else {
            link.aliases.insert(alias, topic.clone());
        }
        Ok(())
    }

    /// As live-behaviour, section 9, has it: 3.1.1 is closed; 5 is told, and stays if there is a PUBACK to tell it.
    fn refuse_publication(
        &mut self,
        from: ConnectionId,
        version: Version,
        publish: &Publish,
        reason: Reason,
        now: Millis,
    ) {
        if version == Version::V311 || publish.qos == Qos::AtMostOnce {
            return self.shut(from, reason, now);
        }
        let refusal = Sent::PubAck { packet_id: publish.packet_id, reason };
        self.effects.push(Effect::Send(from, refusal));
    }

    pub(super) fn distribute_of_client(&mut self, publish: Publish, now: Millis) {
        let message = Message {
            topic: publish.topic.as_str().into(),
            payload: publish.payload,
            qos: publish.qos,
            properties: publish.properties,
            expires: publish.expiry.map(|seconds| {
                let seconds = seconds.clamp(1, MAX_MESSAGE_EXPIRY);
                now.plus(Millis(u64::from(seconds) * 1000))
            }),
        };
        if publish.retain {
            if message.payload.is_empty() {
                self.retained.remove(&publish.topic);
                self.keep(|| SessionEntry::Forgotten { topic: publish.topic });
            } else if self.retained.len() < MAX_RETAINED || self.retained.contains_key(&publish.topic) {
                self.retained.insert(publish.topic, message.clone());
                self.keep(|| SessionEntry::Retained { message: message.saved() });
            } else {
                tracing::warn!(topic = %message.topic, "Too many retained messages; this one is not kept");
            }
        }
        self.distribute(&message, now);
    }

    pub(super) fn distribute(&mut self, message: &Message, now: Millis) {
        for (client, granted) in self.subscriptions.of_topic(&message.topic) {
            let qos = message.qos.min(granted);
            self.deliver(&client, Message { qos, ..message.clone() }, None, now);
        }
        let Self { subscriptions, sessions, .. } = self;
        let there =
            |client: &ClientId| sessions.get(client).is_some_and(|attached| attached.connection.is_some());
        for Turn { client, qos, group } in subscriptions.turns(&message.topic, there) {
            let qos = message.qos.min(qos);
            self.deliver(&client, Message { qos, ..message.clone() }, Some(&group), now);
        }
    }

    /// Gives a message to a client; `group`: for which it gets it.
    fn deliver(&mut self, client: &ClientId, message: Message, group: Option<&str>, now: Millis) {
        if let Some(attached) = self.sessions.get_mut(client) {
            // Dropped without a word to either side, as AWS does.
            if !attached.may_receive(&message.topic, group) {
                tracing::debug!(%client, topic = %message.topic, "The policy does not let a client receive a message");
                return;
            }
            if self.keeping && message.qos == Qos::AtLeastOnce && attached.session.persists() {
                let client = client.to_string();
                self.kept.push(SessionEntry::Delivered { now, client, message: message.saved() });
            }
            let out = attached.session.deliver(message, now);
            if let Some(connection) = attached.connection {
                self.write(connection, out);
            }
        }
    }

    pub(super) fn write(&mut self, connection: ConnectionId, publications: Vec<Publish>) {
        let packets =
            publications.into_iter().map(|publish| Effect::Send(connection, Sent::Publish(publish)));
        self.effects.extend(packets);
    }
}

/// What becomes of a publication, before it is asked where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PublishVerdict {
    Take,
    /// QoS 2: not answered (3.1.1) or a fault (5).
    Unsupported,
    /// The publication is not accepted.
    Refuse(Reason),
    /// The client has broken the protocol or a limit; the connection ends.
    Fault(Reason),
}

/// Whether a policy allows a publication.
pub(super) fn may_publish(permit: Option<&Permit>, publish: &Publish) -> bool {
    permit.is_none_or(|permit| {
        permit.allows(Deed::Publish(&publish.topic))
            && (!publish.retain || permit.allows(Deed::RetainPublish(&publish.topic)))
    })
}

/// Why a client with this will is not let in: its QoS is not supported (MQTT 5, section 3.2.2.3.4), or its topic is none. A
/// will on a topic of the service is no fault, and is never published.
pub(super) fn unacceptable_will(will: &Publish) -> Option<Reason> {
    if will.qos == Qos::ExactlyOnce {
        Some(Reason::QosNotSupported)
    } else if !topic::is_valid_topic(&will.topic) {
        Some(Reason::TopicNameInvalid)
    } else {
        None
    }
}

pub(super) fn publish_verdict(publish: &Publish) -> PublishVerdict {
    if publish.qos == Qos::ExactlyOnce {
        PublishVerdict::Unsupported
    } else if !topic::is_valid_topic(&publish.topic) {
        PublishVerdict::Fault(Reason::TopicNameInvalid)
    } else if publish.payload.len() > MAX_PAYLOAD {
        PublishVerdict::Fault(Reason::PacketTooLarge)
    } else {
        match topic::destination(&publish.topic) {
            Destination::Reserved => PublishVerdict::Refuse(Reason::TopicNameInvalid),
            Destination::Jobs if publish.retain => PublishVerdict::Refuse(Reason::TopicNameInvalid),
            Destination::Jobs | Destination::Subscribers => PublishVerdict::Take,
        }
    }
}
