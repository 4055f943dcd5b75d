//! The part of the hub that can outlive the process: persistent sessions and retained messages, as entries of a journal.

use super::{Attached, Hub};
use crate::broker::session::Session;
use crate::broker::subscriptions::ClientId;
use crate::clock::Millis;
use crate::store::{SavedSession, SessionEntry};

impl Hub {
    /// A hub that tells what of its state outlives its connections.
    pub(crate) fn kept() -> Self {
        Self { keeping: true, ..Self::default() }
    }

    /// What has changed since the last call.
    pub(crate) fn take_kept(&mut self) -> Vec<SessionEntry> {
        std::mem::take(&mut self.kept)
    }

    pub(super) fn keep(&mut self, entry: impl FnOnce() -> SessionEntry) {
        if self.keeping {
            self.kept.push(entry());
        }
    }

    /// Everything, as entries that make it anew.
    pub(crate) fn save(&self) -> Vec<SessionEntry> {
        let persistent = self.sessions.iter().filter(|(_, attached)| attached.session.persists());
        let mut persistent: Vec<_> = persistent.collect();
        persistent.sort_by_key(|(client, _)| *client);
        let sessions = persistent.into_iter().map(|(client, attached)| SessionEntry::Saved {
            client: client.to_string(),
            session: attached.session.saved(),
        });
        let retained = self.retained.values();
        sessions.chain(retained.map(|message| SessionEntry::Retained { message: message.saved() })).collect()
    }

    /// Does again what an entry tells.
    pub(crate) fn replay(&mut self, entry: SessionEntry) {
        match entry {
            SessionEntry::Saved { client, session } => self.restore_session(&client.into(), session),
            SessionEntry::Attached {
                now,
                client,
                version,
                fresh,
                expiry,
                receive_maximum,
                maximum_packet,
            } => {
                let client = ClientId::from(client);
                if fresh {
                    self.forget(&client);
                }
                let attached =
                    self.sessions.entry(client).or_insert_with(|| Attached::new(Session::new(version)));
                attached.session.expiry = expiry;
                // What it returns was written to the client then.
                let _ = attached.session.attach(receive_maximum, maximum_packet, now);
            }
            SessionEntry::Detached { now, client, expiry } => {
                if let Some(attached) = self.sessions.get_mut(client.as_str()) {
                    attached.session.away_since = Some(now);
                    attached.session.expiry = expiry;
                }
            }
            SessionEntry::Ended { client } => self.forget(&client.into()),
            SessionEntry::Subscribed { client, filter, qos } => {
                let client = ClientId::from(client);
                if let Some(attached) = self.sessions.get_mut(&client) {
                    self.subscriptions.add(&client, &filter, qos);
                    attached.session.subscriptions.insert(filter, qos);
                }
            }
            SessionEntry::Unsubscribed { client, filter } => {
                let client = ClientId::from(client);
                self.subscriptions.remove(&client, &filter);
                if let Some(attached) = self.sessions.get_mut(&client) {
                    attached.session.subscriptions.remove(&filter);
                }
            }
            SessionEntry::Delivered { now, client, message } => {
                if let Some(attached) = self.sessions.get_mut(client.as_str()) {
                    let _ = attached.session.deliver(message.into(), now);
                }
            }
            SessionEntry::Acknowledged { now, client, packet_id } => {
                if let Some(attached) = self.sessions.get_mut(client.as_str()) {
                    let _ = attached.session.acknowledge(packet_id, now);
                }
            }
            SessionEntry::Retained { message } => {
                self.retained.insert(message.topic.clone(), message.into());
            }
            SessionEntry::Forgotten { topic } => {
                self.retained.remove(&topic);
            }
        }
    }

    /// After everything has been done again: no client is connected any more.
    pub(crate) fn all_away(&mut self, now: Millis) {
        for (client, attached) in &mut self.sessions {
            if attached.session.away_since.is_none() {
                attached.session.away_since = Some(now);
                let (client, expiry) = (client.to_string(), attached.session.expiry);
                self.kept.push(SessionEntry::Detached { now, client, expiry });
            }
        }
    }

    fn restore_session(&mut self, client: &ClientId, saved: SavedSession) {
        for (filter, &qos) in &saved.subscriptions {
            self.subscriptions.add(client, filter, qos);
        }
        let session = Session::restored(saved);
        self.sessions.insert(client.clone(), Attached::new(session));
    }

    fn forget(&mut self, client: &ClientId) {
        if let Some(ended) = self.sessions.remove(client) {
            for filter in ended.session.subscriptions.keys() {
                self.subscriptions.remove(client, filter);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::broker::hub::{ConnectionId, Effect};
    use crate::broker::packet::{
        Connect, Disconnect, Publish, Qos, Received, Sent, Subscribe, Unsubscribe, Version,
    };

    const NOW: Millis = Millis(1_700_000_000_000);
    const ONE: ConnectionId = ConnectionId(1);
    const OTHER: ConnectionId = ConnectionId(2);

    fn connect(id: &str, expiry: Option<u32>) -> Received {
        Received::Connect(Connect {
            version: if expiry.is_some() { Version::V5 } else { Version::V311 },
            client_id: id.to_owned(),
            clean: false,
            keep_alive: 60,
            session_expiry: expiry,
            receive_maximum: 2,
            maximum_packet: u32::MAX,
            will: None,
        })
    }

    fn subscribe(filter: &str) -> Received {
        let filters = vec![(filter.to_owned(), Qos::AtLeastOnce)];
        Received::Subscribe(Subscribe { packet_id: 1, filters, identified: false })
    }

    fn publish(topic: &str, retain: bool) -> Received {
        let payload = Bytes::from_static(b"\xFFx");
        let properties = Bytes::from_static(b"\x01\x01");
        let (topic, qos) = (topic.to_owned(), Qos::AtLeastOnce);
        Received::Publish(Publish {
            topic,
            payload,
            qos,
            retain,
            packet_id: 7,
            properties,
            expiry: Some(600),
            alias: None,
        })
    }

    /// What a client is sent when it comes back.
    fn return_of(mut hub: Hub, id: &str, expiry: Option<u32>) -> Vec<Effect> {
        // The one that is no copy still has the connection.
        let _ = hub.on_gone(ONE, NOW);
        hub.all_away(NOW);
        hub.on_packet(ConnectionId(9), connect(id, expiry), NOW.plus(Millis(1000)))
    }

    /// Every step's entries are played to a twin, and the twin is saved and restored as well; in the end all three are
    /// the same to a client that returns.
    #[test]
    fn a_hub_made_anew_from_its_entries_or_from_a_snapshot_is_the_same_to_its_clients() {
        for expiry in [None, Some(600)] {
            let mut hub = Hub::kept();
            let mut steps = vec![
                (ONE, connect("p", expiry)),
                (ONE, subscribe("a/+")),
                (ONE, subscribe("gone")),
                (ONE, Received::Unsubscribe(Unsubscribe { packet_id: 2, filters: vec!["gone".to_owned()] })),
                (OTHER, connect("q", expiry)),
            ];
            // Two of five are in flight, the others wait; one is acknowledged.
            steps.extend((0..5).map(|n| (OTHER, publish(&format!("a/{n}"), n == 4))));
            steps.push((ONE, Received::PubAck(1)));
            steps.push((OTHER, publish("gone", false)));
            steps.push((
                OTHER,
                Received::Disconnect(Disconnect { with_will: false, session_expiry: expiry.map(|_| 0) }),
            ));
            let mut twin = Hub::default();
            for (from, packet) in steps {
                let _ = hub.on_packet(from, packet, NOW);
                for entry in hub.take_kept() {
                    let text = serde_json::to_string(&entry).unwrap();
                    twin.replay(serde_json::from_str(&text).unwrap());
                }
            }
            assert_eq!(hub.sessions.len(), if expiry.is_some() { 1 } else { 2 });
            assert_eq!(twin.save(), hub.save(), "{expiry:?}");
            let mut third = Hub::default();
            for entry in twin.save() {
                third.replay(entry);
            }
            let effects = return_of(hub, "p", expiry);
            assert!(matches!(&effects[0], Effect::Send(_, Sent::ConnAck(answer)) if answer.session_present));
            assert_eq!(return_of(twin, "p", expiry), effects);
            let mut fourth = third;
            let retained = fourth.on_packet(ONE, connect("new", None), NOW);
            assert_eq!(retained.len(), 1);
            let heard = fourth.on_packet(ONE, subscribe("a/4"), NOW);
            assert_eq!(heard.len(), 2, "the acknowledgement, and what was retained");
            assert_eq!(return_of(fourth, "p", expiry), effects);
        }
    }

    #[test]
    fn what_does_not_outlive_its_connection_is_not_kept() {
        let mut hub = Hub::kept();
        let Received::Connect(clean) = connect("c", None) else { panic!("a CONNECT") };
        let _ = hub.on_packet(ONE, Received::Connect(Connect { clean: true, ..clean }), NOW);
        let _ = hub.on_packet(ONE, subscribe("a"), NOW);
        let _ = hub.on_packet(ONE, publish("a", false), NOW);
        let _ = hub.on_packet(ONE, Received::PubAck(1), NOW);
        assert_eq!(hub.take_kept(), []);
        assert_eq!(hub.save(), []);
    }
}
