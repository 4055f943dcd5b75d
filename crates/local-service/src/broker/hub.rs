//! The broker's decisions: packets of all connections in, packets and closings out.
//!
//! Pure: no sockets and no clock. It holds the sessions and the subscriptions and knows the rules of AWS IoT Core
//! for them. Requests to the Jobs service come out as [`Effect::Jobs`]; whoever performs it gives the answer back
//! through [`Hub::reply`] and [`Hub::publish`] before the next packet, which keeps everything in order.

mod keeping;
mod messages;
mod presence;
mod subscribing;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;

use self::messages::{PublishVerdict, publish_verdict};
pub(crate) use self::presence::Who;
use self::presence::{Count, Parting, Stay};
use super::packet::{ConnAck, Connect, Disconnect, Publish, Reason, Received, Sent, Version};
use super::policy::{Deed, Permit};
use super::session::{Message, Session};
use super::subscriptions::{ClientId, Subscriptions};
use super::topic::{self, Destination};
use crate::clock::Millis;
use crate::store::SessionEntry;

/// A connection, from its acceptance on. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ConnectionId(pub(crate) u64);

/// What is to be done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Write a packet.
    Send(ConnectionId, Sent),
    /// Close, after what was sent before has been written.
    Close(ConnectionId),
    /// Ask the Jobs service.
    Jobs { connection: ConnectionId, topic: String, payload: Bytes },
}

/// Life of a persistent session after its connection, in seconds (AWS IoT default: one hour).
const SESSION_EXPIRY: u32 = 3600;

/// The keep-alive that a connection gets for the one it asks for, in seconds (AWS IoT: 30 to 1200, 0 is 1200).
fn keep_alive(asked: u16) -> u16 {
    if asked == 0 { 1200 } else { asked.clamp(30, 1200) }
}

/// All that the broker knows.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    links: HashMap<ConnectionId, Link>,
    sessions: HashMap<ClientId, Attached>,
    subscriptions: Subscriptions,
    retained: BTreeMap<String, Message>,
    /// Of the events of clients.
    counts: HashMap<ClientId, Count>,
    effects: Vec<Effect>,
    /// Whether what outlives a connection outlives the process, too.
    keeping: bool,
    kept: Vec<SessionEntry>,
}

/// A connection that has been accepted.
#[derive(Debug)]
struct Link {
    client: ClientId,
    version: Version,
    will: Option<Publish>,
    /// What the client's topic aliases stand for.
    aliases: BTreeMap<u16, String>,
    /// What its policy lets it do; `None`: everything.
    permit: Option<Arc<Permit>>,
    stay: Stay,
    heard_at: Millis,
    /// How long it may be silent: one and a half times its keep-alive.
    silence: Millis,
}

#[derive(Debug)]
struct Attached {
    session: Session,
    connection: Option<ConnectionId>,
    /// That of its last connection.
    permit: Option<Arc<Permit>>,
}

impl Hub {
    /// A packet has come in.
    #[must_use]
    pub(crate) fn on_packet(&mut self, from: ConnectionId, packet: Received, now: Millis) -> Vec<Effect> {
        match (self.links.get_mut(&from), packet) {
            (Some(link), packet) => {
                link.heard_at = now;
                let (client, version) = (link.client.clone(), link.version);
                self.on_session_packet(from, &client, version, packet, now);
            }
            (None, Received::Connect(connect)) => self.connect(from, connect, None, Who::default(), now),
            // What a client still sends on a connection that has just been refused or taken over.
            (None, _) => self.effects.push(Effect::Close(from)),
        }
        std::mem::take(&mut self.effects)
    }

    /// A connection has begun, by a client whose policy allows this much; `None`: everything.
    #[must_use]
    pub(crate) fn on_connect(
        &mut self,
        from: ConnectionId,
        connect: Connect,
        permit: Option<Arc<Permit>>,
        who: Who,
        now: Millis,
    ) -> Vec<Effect> {
        self.connect(from, connect, permit, who, now);
        std::mem::take(&mut self.effects)
    }

    /// The connection is of no more use for `reason`: tell the client, close, publish its will.
    #[must_use]
    pub(crate) fn on_fault(&mut self, connection: ConnectionId, reason: Reason, now: Millis) -> Vec<Effect> {
        self.shut(connection, reason, now);
        std::mem::take(&mut self.effects)
    }

    /// The connection is gone, without a goodbye unless one was heard before.
    #[must_use]
    pub(crate) fn on_gone(&mut self, connection: ConnectionId, now: Millis) -> Vec<Effect> {
        self.drop_link(connection, true, Parting::Lost, now);
        std::mem::take(&mut self.effects)
    }

    /// Time has passed: repeats what is not acknowledged, ends sessions whose time is over and connections of clients
    /// that are silent. To be called about once a second.
    #[must_use]
    pub(crate) fn on_tick(&mut self, now: Millis) -> Vec<Effect> {
        let silent = |link: &Link| link.heard_at.plus(link.silence) < now;
        let silent: Vec<ConnectionId> =
            self.links.iter().filter(|(_, link)| silent(link)).map(|(&connection, _)| connection).collect();
        for connection in silent {
            self.shut(connection, Reason::KeepAliveTimeout, now);
        }
        let mut ended = Vec::new();
        for (client, attached) in &mut self.sessions {
            let away = attached.session.away_since;
            if away.is_some_and(|since| since.plus(attached.session.expiry) <= now) {
                ended.push(client.clone());
            }
            if let Some(connection) = attached.connection {
                for publish in attached.session.overdue(now) {
                    self.effects.push(Effect::Send(connection, Sent::Publish(publish)));
                }
            }
        }
        for client in ended {
            self.end_session(&client);
        }
        self.forget_counts(now);
        std::mem::take(&mut self.effects)
    }

    /// Every connected client has given a sign of life, and none is late with an acknowledgement: for a clock that goes
    /// faster than they can.
    pub(crate) fn all_heard(&mut self, now: Millis) {
        for link in self.links.values_mut() {
            link.heard_at = now;
        }
        for attached in self.sessions.values_mut().filter(|attached| attached.connection.is_some()) {
            attached.session.wait_anew(now);
        }
    }

    /// The service stops: every client is told.
    #[must_use]
    pub(crate) fn on_stop(&mut self) -> Vec<Effect> {
        for &connection in self.links.keys() {
            self.effects.push(Effect::Send(connection, Sent::Disconnect(Reason::ServerShuttingDown)));
            self.effects.push(Effect::Close(connection));
        }
        std::mem::take(&mut self.effects)
    }

    fn connect(
        &mut self,
        from: ConnectionId,
        connect: Connect,
        permit: Option<Arc<Permit>>,
        who: Who,
        now: Millis,
    ) {
        let made_up = connect.client_id.is_empty() && connect.version == Version::V5;
        let client: ClientId =
            if made_up { made_up_id(from, now) } else { connect.client_id.as_str().into() };
        if !(1..=128).contains(&client.len()) || client.starts_with('$') {
            self.effects.push(refused(from, Reason::ClientIdentifierNotValid));
            self.effects.push(Effect::Close(from));
            return;
        }
        if let Some(reason) = connect.will.as_ref().and_then(messages::unacceptable_will) {
            // 3.1.1 has no code for it.
            if connect.version == Version::V5 {
                self.effects.push(refused(from, reason));
            }
            self.effects.push(Effect::Close(from));
            return;
        }
        if !may_connect(permit.as_deref(), &connect) {
            tracing::info!(%client, "The policy does not let a client connect");
            // 3.1.1 is closed without a word (live-behaviour, section 9).
            if connect.version == Version::V5 {
                self.effects.push(refused(from, Reason::NotAuthorized));
            }
            self.effects.push(Effect::Close(from));
            return;
        }
        if let Some(older) = self.sessions.get(&client).and_then(|attached| attached.connection) {
            self.shut(older, Reason::SessionTakenOver, now);
        }
        // A session is not carried from one version to the other.
        let reusable = !connect.clean
            && self.sessions.get(&client).is_some_and(|kept| kept.session.version == connect.version);
        if !reusable {
            self.end_session(&client);
        }
        let asked = asked_expiry(&connect);
        let expiry = asked.min(SESSION_EXPIRY);
        let given = keep_alive(connect.keep_alive);
        let answer = ConnAck {
            session_present: reusable,
            reason: Reason::Success,
            server_keep_alive: (given != connect.keep_alive).then_some(given),
            session_expiry: (expiry != asked).then_some(expiry),
            assigned_client_id: made_up.then(|| client.to_string()),
        };
        self.effects.push(Effect::Send(from, Sent::ConnAck(answer)));
        tracing::info!(%client, version = ?connect.version, session_present = reusable, "A client has connected");
        let stay = self.arrived(from, &client, who, now);
        self.links.insert(
            from,
            Link {
                client: client.clone(),
                version: connect.version,
                will: connect.will,
                aliases: BTreeMap::new(),
                permit: permit.clone(),
                stay,
                heard_at: now,
                silence: Millis(u64::from(given) * 1500),
            },
        );
        let attached = self
            .sessions
            .entry(client.clone())
            .or_insert_with(|| Attached::new(Session::new(connect.version)));
        attached.permit = permit;
        attached.connection = Some(from);
        let persisted = reusable && attached.session.persists();
        attached.session.expiry = Millis(u64::from(expiry) * 1000);
        let (version, expiry) = (connect.version, attached.session.expiry);
        let receive_maximum = connect.receive_maximum;
        let maximum_packet = connect.maximum_packet;
        let waiting = attached.session.attach(receive_maximum, maximum_packet, now);
        let name = client.to_string();
        if expiry > Millis(0) {
            let fresh = !persisted;
            self.keep(|| SessionEntry::Attached {
                now,
                client: name,
                version,
                fresh,
                expiry,
                receive_maximum,
                maximum_packet,
            });
        } else if persisted {
            self.keep(|| SessionEntry::Ended { client: name });
        }
        self.write(from, waiting);
    }

    fn on_session_packet(
        &mut self,
        from: ConnectionId,
        client: &ClientId,
        version: Version,
        packet: Received,
        now: Millis,
    ) {
        match packet {
            Received::Connect(_) => self.shut(from, Reason::ProtocolError, now),
            Received::Publish(publish) => self.published(from, version, publish, now),
            Received::PubAck(packet_id) => {
                if let Some(attached) = self.sessions.get_mut(client) {
                    let next = attached.session.acknowledge(packet_id, now);
                    if attached.session.persists() {
                        let client = client.to_string();
                        self.keep(|| SessionEntry::Acknowledged { now, client, packet_id });
                    }
                    self.write(from, next);
                }
            }
            Received::Subscribe(subscribe) => self.subscribed(from, client, version, subscribe, now),
            Received::Unsubscribe(unsubscribe) => self.unsubscribed(from, client, &unsubscribe),
            Received::PingReq => self.effects.push(Effect::Send(from, Sent::PingResp)),
            Received::Disconnect(goodbye) => self.disconnected(from, client, &goodbye, now),
        }
    }

    fn disconnected(&mut self, from: ConnectionId, client: &ClientId, goodbye: &Disconnect, now: Millis) {
        if let (Some(seconds), Some(attached)) = (goodbye.session_expiry, self.sessions.get_mut(client))
            && attached.session.expiry > Millis(0)
        {
            attached.session.expiry = Millis(u64::from(seconds.min(SESSION_EXPIRY)) * 1000);
        }
        self.effects.push(Effect::Close(from));
        self.drop_link(from, goodbye.with_will, Parting::Goodbye, now);
    }

    /// Says why (to MQTT 5) and closes.
    fn shut(&mut self, connection: ConnectionId, reason: Reason, now: Millis) {
        if let Some(link) = self.links.get(&connection) {
            tracing::info!(client = %link.client, ?reason, "A connection is closed by the broker");
        }
        self.effects.push(Effect::Send(connection, Sent::Disconnect(reason)));
        self.effects.push(Effect::Close(connection));
        self.drop_link(connection, true, Parting::Closed(reason), now);
    }

    /// Takes the connection off its session, and publishes the will if it is due.
    fn drop_link(&mut self, connection: ConnectionId, with_will: bool, parting: Parting, now: Millis) {
        let Some(link) = self.links.remove(&connection) else { return };
        tracing::info!(client = %link.client, "A client is gone");
        self.parted(&link, parting, now);
        if let Some(attached) = self.sessions.get_mut(&link.client)
            && attached.connection == Some(connection)
        {
            attached.connection = None;
            attached.session.away_since = Some(now);
            let expiry = attached.session.expiry;
            if expiry == Millis(0) {
                self.end_session(&link.client);
                // It persisted until the client's goodbye said otherwise.
                self.keep(|| SessionEntry::Ended { client: link.client.to_string() });
            } else {
                self.keep(|| SessionEntry::Detached { now, client: link.client.to_string(), expiry });
            }
        }
        if let Some(will) = link.will.filter(|_| with_will) {
            let acceptable = publish_verdict(&will) == PublishVerdict::Take
                && topic::destination(&will.topic) == Destination::Subscribers;
            if acceptable {
                self.distribute_of_client(will, now);
            } else {
                tracing::warn!(client = %link.client, topic = %will.topic, "A will that may not be published is dropped");
            }
        }
    }

    fn end_session(&mut self, client: &ClientId) {
        if let Some(ended) = self.sessions.remove(client) {
            for filter in ended.session.subscriptions.keys() {
                self.subscriptions.remove(client, filter);
            }
            if ended.session.persists() {
                self.keep(|| SessionEntry::Ended { client: client.to_string() });
            }
        }
    }
}

impl Attached {
    fn new(session: Session) -> Self {
        Self { session, connection: None, permit: None }
    }

    /// Whether its policy lets it receive a message; for a group, AWS's samples allow the topic with the group's name.
    fn may_receive(&self, topic: &str, group: Option<&str>) -> bool {
        self.permit.as_ref().is_none_or(|permit| {
            let shared = group.map(|group| format!("$share/{group}/{topic}"));
            permit.allows(Deed::Receive(topic))
                || shared.is_some_and(|topic| permit.allows(Deed::Receive(&topic)))
        })
    }
}

/// An id for a client that has given none. Clients keep it when they connect again, so that it must not be given to another
/// one by a service that has been restarted and counts its connections anew.
fn made_up_id(connection: ConnectionId, now: Millis) -> ClientId {
    format!("assigned-{:x}-{}", now.0, connection.0).into()
}

fn refused(connection: ConnectionId, reason: Reason) -> Effect {
    Effect::Send(
        connection,
        Sent::ConnAck(ConnAck {
            session_present: false,
            reason,
            server_keep_alive: None,
            session_expiry: None,
            assigned_client_id: None,
        }),
    )
}

/// Whether a client may connect as it wants to, and its will be published.
fn may_connect(permit: Option<&Permit>, connect: &Connect) -> bool {
    let persistent = asked_expiry(connect) > 0;
    let deed = Deed::Connect { persistent, will: connect.will.is_some() };
    permit.is_none_or(|permit| {
        let will = connect.will.as_ref();
        permit.allows(deed) && will.is_none_or(|will| messages::may_publish(Some(permit), will))
    })
}

/// Seconds that the session shall outlive the connection.
fn asked_expiry(connect: &Connect) -> u32 {
    match connect.version {
        Version::V311 if connect.clean => 0,
        Version::V311 => SESSION_EXPIRY,
        Version::V5 => connect.session_expiry.unwrap_or(0),
    }
}

#[cfg(test)]
mod tests;
