//! One client's session: what it has subscribed to and the QoS 1 messages that it still has to acknowledge.
//!
//! Pure; a session does not know sockets. It hands out the publications that are to be written now, and keeps the
//! others. Who gets which message is left to [`super::hub`].

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use super::encode;
use super::packet::{Publish, Qos, Version};
use crate::clock::Millis;
use crate::store::{Body, SavedMessage, SavedSession};

/// Most QoS 1 messages that are sent and not acknowledged (AWS IoT quota), if the client does not want fewer.
const MAX_IN_FLIGHT: u16 = 100;
/// Most QoS 1 messages that wait for a client that is away or slow, and most bytes of them; what comes after that is
/// dropped. A watcher of ten thousand things misses nothing of a job for all of them.
const MAX_QUEUED: usize = 10_000;
const MAX_QUEUED_BYTES: usize = 16 * 1024 * 1024;
/// How long an acknowledgement is waited for before the message is sent again.
pub(crate) const REDELIVER_AFTER: Millis = Millis(30_000);

/// A message on its way through the broker, shared between its receivers.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) topic: Arc<str>,
    pub(crate) payload: Bytes,
    pub(crate) qos: Qos,
    /// MQTT 5 properties in wire form; dropped for a 3.1.1 client.
    pub(crate) properties: Bytes,
    /// When the message is of no use any more.
    pub(crate) expires: Option<Millis>,
}

impl Message {
    /// In the form in which it is kept.
    pub(crate) fn saved(&self) -> SavedMessage {
        SavedMessage {
            topic: self.topic.to_string(),
            payload: Body::from(&self.payload),
            qos: self.qos,
            properties: Body::from(&self.properties),
            expires: self.expires,
        }
    }

    /// What it holds.
    fn bytes(&self) -> usize {
        self.topic.len() + self.payload.len() + self.properties.len()
    }

    /// A message without anything but content.
    pub(crate) fn new(topic: &str, payload: Bytes, qos: Qos) -> Self {
        Self { topic: topic.into(), payload, qos, properties: Bytes::new(), expires: None }
    }
}

impl From<SavedMessage> for Message {
    fn from(saved: SavedMessage) -> Self {
        Self {
            topic: saved.topic.into(),
            payload: saved.payload.into(),
            qos: saved.qos,
            properties: saved.properties.into(),
            expires: saved.expires,
        }
    }
}

/// The state that a client has at the broker, and that outlives its connection if it asked for that.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) version: Version,
    pub(crate) subscriptions: BTreeMap<String, Qos>,
    /// Life after the connection; zero ends it with the connection.
    pub(crate) expiry: Millis,
    /// When the connection was lost, while there is none.
    pub(crate) away_since: Option<Millis>,
    window: usize,
    /// Largest packet that the client takes, in bytes.
    maximum_packet: u32,
    next_id: u16,
    in_flight: BTreeMap<u16, InFlight>,
    queued: VecDeque<Message>,
    /// What they hold.
    queued_bytes: usize,
}

#[derive(Debug)]
struct InFlight {
    message: Message,
    sent_at: Millis,
    /// Packet ids wrap around; this does not.
    order: u64,
}

impl Session {
    pub(crate) fn new(version: Version) -> Self {
        Self {
            version,
            subscriptions: BTreeMap::new(),
            expiry: Millis(0),
            away_since: None,
            window: MAX_IN_FLIGHT.into(),
            maximum_packet: u32::MAX,
            next_id: 1,
            in_flight: BTreeMap::new(),
            queued: VecDeque::new(),
            queued_bytes: 0,
        }
    }

    /// In the form in which it is kept.
    pub(crate) fn saved(&self) -> SavedSession {
        let mut in_flight: Vec<(&u16, &InFlight)> = self.in_flight.iter().collect();
        in_flight.sort_by_key(|(_, sent)| sent.order);
        SavedSession {
            version: self.version,
            expiry: self.expiry,
            away_since: self.away_since,
            subscriptions: self.subscriptions.clone(),
            window: self.window,
            maximum_packet: self.maximum_packet,
            next_id: self.next_id,
            in_flight: in_flight
                .into_iter()
                .map(|(packet_id, sent)| (*packet_id, sent.sent_at, sent.message.saved()))
                .collect(),
            queued: self.queued.iter().map(Message::saved).collect(),
        }
    }

    /// As it was kept.
    pub(crate) fn restored(saved: SavedSession) -> Self {
        let in_flight = saved.in_flight.into_iter().zip(0..);
        let queued: VecDeque<Message> = saved.queued.into_iter().map(Message::from).collect();
        let queued_bytes = queued.iter().map(Message::bytes).sum();
        Self {
            version: saved.version,
            subscriptions: saved.subscriptions,
            expiry: saved.expiry,
            away_since: saved.away_since,
            window: saved.window,
            maximum_packet: saved.maximum_packet,
            next_id: saved.next_id,
            in_flight: in_flight
                .map(|((packet_id, sent_at, message), order)| {
                    (packet_id, InFlight { message: message.into(), sent_at, order })
                })
                .collect(),
            queued,
            queued_bytes,
        }
    }

    /// Whether it outlives its connection.
    pub(crate) fn persists(&self) -> bool {
        self.expiry > Millis(0)
    }

    /// A connection for this session: returns what was waiting and may be sent at once.
    ///
    /// Messages that were in flight before are repeated when their time comes, not now (as AWS IoT Core does).
    pub(crate) fn attach(&mut self, receive_maximum: u16, maximum_packet: u32, now: Millis) -> Vec<Publish> {
        self.away_since = None;
        self.window = receive_maximum.min(MAX_IN_FLIGHT).into();
        self.maximum_packet = maximum_packet;
        self.pump(now)
    }

    /// A message for this client: returns what is to be written now, if anything.
    ///
    /// QoS 0 is not kept for a client that is away.
    pub(crate) fn deliver(&mut self, message: Message, now: Millis) -> Vec<Publish> {
        let connected = self.away_since.is_none();
        if message.qos == Qos::AtMostOnce {
            return if connected { self.written(&message, 0, now).into_iter().collect() } else { Vec::new() };
        }
        if self.queued.len() >= MAX_QUEUED || self.queued_bytes + message.bytes() > MAX_QUEUED_BYTES {
            tracing::warn!(topic = %message.topic, "A client's queue is full; a message for it is dropped");
            return Vec::new();
        }
        self.queued_bytes += message.bytes();
        self.queued.push_back(message);
        if connected { self.pump(now) } else { Vec::new() }
    }

    /// The client has acknowledged; returns what may follow now.
    pub(crate) fn acknowledge(&mut self, packet_id: u16, now: Millis) -> Vec<Publish> {
        self.in_flight.remove(&packet_id);
        self.pump(now)
    }

    /// What has waited too long for its acknowledgement, to be sent again, oldest first.
    pub(crate) fn overdue(&mut self, now: Millis) -> Vec<Publish> {
        if self.away_since.is_some() {
            return Vec::new();
        }
        let mut late: Vec<(u64, u16)> = self
            .in_flight
            .iter()
            .filter(|(_, sent)| sent.sent_at.plus(REDELIVER_AFTER) <= now)
            .map(|(&packet_id, sent)| (sent.order, packet_id))
            .collect();
        late.sort_unstable();
        let mut again = Vec::new();
        for (_, packet_id) in late {
            let Some(sent) = self.in_flight.get_mut(&packet_id) else { continue };
            sent.sent_at = now;
            let message = sent.message.clone();
            match self.written(&message, packet_id, now) {
                Some(publish) => again.push(publish),
                // Nothing is left to be acknowledged: it has expired, or is too large for the client of today.
                None => drop(self.in_flight.remove(&packet_id)),
            }
        }
        again.extend(self.pump(now));
        again
    }

    /// Acknowledgements are waited for from now on only.
    pub(crate) fn wait_anew(&mut self, now: Millis) {
        for sent in self.in_flight.values_mut() {
            sent.sent_at = now;
        }
    }

    fn pump(&mut self, now: Millis) -> Vec<Publish> {
        let mut out = Vec::new();
        while self.in_flight.len() < self.window
            && let Some(message) = self.queued.pop_front()
        {
            self.queued_bytes -= message.bytes();
            let packet_id = self.free_id();
            let Some(publish) = self.written(&message, packet_id, now) else { continue };
            out.push(publish);
            let order = self.in_flight.values().map(|sent| sent.order + 1).max().unwrap_or(0);
            self.in_flight.insert(packet_id, InFlight { message, sent_at: now, order });
        }
        out
    }

    /// The next packet id that is not in flight; there is one, as the window is far smaller than the range.
    fn free_id(&mut self) -> u16 {
        loop {
            let candidate = self.next_id;
            self.next_id = candidate.checked_add(1).unwrap_or(1);
            if !self.in_flight.contains_key(&candidate) {
                return candidate;
            }
        }
    }

    /// The packet that carries a message; `None` if the message has expired, or is too large for the client, which is to be
    /// treated as if it had been sent and acknowledged (MQTT 5, section 3.1.2.11.4).
    fn written(&self, message: &Message, packet_id: u16, now: Millis) -> Option<Publish> {
        let mut left = None;
        if let Some(expires) = message.expires {
            if expires <= now {
                return None;
            }
            left = u32::try_from(now.until(expires).as_secs()).ok();
        }
        let five = self.version == Version::V5;
        let publish = Publish {
            topic: message.topic.to_string(),
            payload: message.payload.clone(),
            qos: message.qos,
            retain: false,
            packet_id,
            properties: if five { message.properties.clone() } else { Bytes::new() },
            expiry: left.filter(|_| five),
            alias: None,
        };
        (encode::size(&publish) <= usize::try_from(self.maximum_packet).unwrap_or(usize::MAX))
            .then_some(publish)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Millis = Millis(1_000_000);

    #[test]
    fn no_more_messages_are_in_flight_than_the_client_takes() {
        let mut session = Session::new(Version::V311);
        session.attach(2, u32::MAX, START);
        let sent: Vec<usize> = (0..4).map(|_| session.deliver(message("t"), START).len()).collect();
        assert_eq!(sent, [1, 1, 0, 0]);
        assert_eq!(session.acknowledge(1, START).len(), 1);
        assert!(session.acknowledge(1, START).is_empty(), "the same acknowledgement twice frees nothing");
    }

    #[test]
    fn an_unacknowledged_message_is_sent_again_after_30_seconds_with_the_same_id() {
        let mut session = Session::new(Version::V311);
        session.attach(10, u32::MAX, START);
        let first = session.deliver(message("t"), START);
        assert!(session.overdue(START.plus(Millis(29_999))).is_empty());
        assert_eq!(session.overdue(START.plus(REDELIVER_AFTER)), first);
        assert!(session.overdue(START.plus(REDELIVER_AFTER)).is_empty());
        session.acknowledge(first[0].packet_id, START);
        assert!(session.overdue(START.plus(Millis(600_000))).is_empty());
    }

    #[test]
    fn a_client_that_is_away_gets_its_qos_1_messages_in_order_when_it_returns() {
        let mut session = Session::new(Version::V5);
        session.away_since = Some(START);
        for topic in ["1", "2", "3"] {
            assert!(session.deliver(message(topic), START).is_empty());
        }
        session.deliver(Message { qos: Qos::AtMostOnce, ..message("0") }, START);
        let topics: Vec<String> =
            session.attach(10, u32::MAX, START).into_iter().map(|publish| publish.topic).collect();
        assert_eq!(topics, ["1", "2", "3"]);
    }

    #[test]
    fn a_message_expires_while_it_waits_and_tells_how_long_it_is_still_good() {
        let mut session = Session::new(Version::V5);
        session.away_since = Some(START);
        for seconds in [10, 30] {
            let expires = Some(START.plus(Millis(seconds * 1000)));
            session.deliver(Message { expires, ..message("t") }, START);
        }
        let sent = session.attach(10, u32::MAX, START.plus(Millis(10_000)));
        assert_eq!(sent.iter().map(|publish| publish.expiry).collect::<Vec<_>>(), [Some(20)]);
    }

    #[test]
    fn what_is_too_large_for_the_client_takes_no_place_in_its_window() {
        let mut session = Session::new(Version::V5);
        session.attach(1, 600, START);
        let large = Message { payload: vec![0; 700].into(), ..message("large") };
        assert!(session.deliver(large.clone(), START).is_empty());
        assert_eq!(session.deliver(message("small"), START).len(), 1);
        assert_eq!(session.overdue(START.plus(REDELIVER_AFTER)).len(), 1, "only what was sent is sent again");

        // It was sent to a client that took more; the one that comes back takes less.
        let mut session = Session::new(Version::V5);
        session.attach(1, u32::MAX, START);
        assert_eq!(session.deliver(large, START).len(), 1);
        assert!(session.deliver(message("next"), START).is_empty());
        session.attach(1, 600, START);
        let again = session.overdue(START.plus(REDELIVER_AFTER));
        assert_eq!(again.iter().map(|publish| publish.topic.as_str()).collect::<Vec<_>>(), ["next"]);
    }

    #[test]
    fn a_message_that_expires_unacknowledged_leaves_its_place_to_the_next() {
        let mut session = Session::new(Version::V5);
        session.attach(1, u32::MAX, START);
        let expires = Some(START.plus(Millis(10_000)));
        assert_eq!(session.deliver(Message { expires, ..message("short") }, START).len(), 1);
        assert!(session.deliver(message("next"), START).is_empty());
        let again = session.overdue(START.plus(REDELIVER_AFTER));
        assert_eq!(again.iter().map(|publish| publish.topic.as_str()).collect::<Vec<_>>(), ["next"]);
    }

    #[test]
    fn the_queue_of_a_client_that_never_returns_is_bounded() {
        let mut session = Session::new(Version::V5);
        session.away_since = Some(START);
        for _ in 0..2 * MAX_QUEUED {
            session.deliver(message("t"), START);
        }
        assert_eq!(session.queued.len(), MAX_QUEUED);

        let mut session = Session::new(Version::V5);
        session.away_since = Some(START);
        for _ in 0..1000 {
            session.deliver(Message { payload: vec![0; 100_000].into(), ..message("t") }, START);
        }
        assert_eq!(session.queued.len(), MAX_QUEUED_BYTES / 100_001);
        while !session.queued.is_empty() {
            let sent = session.attach(10, u32::MAX, START);
            assert!(sent.iter().all(|publish| session.acknowledge(publish.packet_id, START).len() <= 10));
            session.in_flight.clear();
        }
        assert_eq!(session.queued_bytes, 0);
    }

    #[test]
    fn a_packet_id_in_flight_is_not_given_out_again() {
        let mut session = Session::new(Version::V311);
        session.attach(2, u32::MAX, START);
        let held = session.deliver(message("held"), START)[0].packet_id;
        for _ in 0..70_000_u32 {
            let sent = session.deliver(message("t"), START);
            assert_ne!(sent[0].packet_id, held);
            assert_ne!(sent[0].packet_id, 0);
            session.acknowledge(sent[0].packet_id, START);
        }
    }

    fn message(topic: &str) -> Message {
        Message::new(topic, Bytes::new(), Qos::AtLeastOnce)
    }
}
