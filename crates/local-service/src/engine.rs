//! The one task in which everything is decided: it owns the broker's hub and the Jobs service.
//!
//! Connections and HTTP requests send it events; it never waits for any of them. What a connection does not take is
//! not kept for it: a client that does not read is dropped.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use crate::broker::hub::{ConnectionId, Effect, Hub};
use crate::broker::packet::{Connect, Reason, Received, Sent};
use crate::clock::Millis;
use crate::jobs::{JobsTap, Plane, Publication, Refusal};

/// How many events may wait for the engine; their senders wait beyond that.
const INBOX: usize = 256;
/// How often acknowledgements and sessions are looked after.
const TICK: Duration = Duration::from_secs(1);

/// What the engine is told.
#[derive(Debug)]
pub(crate) enum Event {
    /// A connection has shown its CONNECT.
    Opened { connection: ConnectionId, peer: Peer, connect: Connect },
    /// A connection has brought a further packet.
    Packet(ConnectionId, Received),
    /// A connection has to end because of what it did, or did not do.
    Fault(ConnectionId, Reason),
    /// A connection has ended.
    Gone(ConnectionId),
    /// An operation is called by HTTP.
    Call { plane: Plane, operation: String, params: Value, answer: oneshot::Sender<Result<Value, Refusal>> },
    /// Tell everybody and end.
    Stop,
}

/// The engine's end of a connection.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Packets to be written. Dropping it closes the connection once they are.
    pub(crate) out: mpsc::Sender<Sent>,
    /// Ends the connection at once.
    pub(crate) cut: oneshot::Sender<()>,
}

/// The decider and its inbox.
pub(crate) struct Engine<T> {
    hub: Hub,
    jobs: T,
    peers: HashMap<ConnectionId, Peer>,
    inbox: mpsc::Receiver<Event>,
}

impl<T: JobsTap> Engine<T> {
    /// An engine in front of `jobs`, and where to send its events.
    pub(crate) fn new(jobs: T) -> (Self, mpsc::Sender<Event>) {
        let (sender, inbox) = mpsc::channel(INBOX);
        (Self { hub: Hub::default(), jobs, peers: HashMap::new(), inbox }, sender)
    }

    /// Runs until it is told to stop, or nobody is left who could.
    pub(crate) async fn run(mut self) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let due = self.jobs.deadline().map(|deadline| Millis::now().until(deadline));
            tokio::select! {
                event = self.inbox.recv() => match event {
                    Some(Event::Stop) | None => break,
                    Some(event) => self.on_event(event, Millis::now()),
                },
                () = sleep(due) => {
                    let now = Millis::now();
                    let publications = self.jobs.on_deadline(now);
                    self.publish(publications, now);
                }
                _ = tick.tick() => {
                    let now = Millis::now();
                    let effects = self.hub.on_tick(now);
                    self.perform(effects, now);
                }
            }
        }
        let effects = self.hub.on_stop();
        self.perform(effects, Millis::now());
    }

    fn on_event(&mut self, event: Event, now: Millis) {
        match event {
            Event::Opened { connection, peer, connect } => {
                self.peers.insert(connection, peer);
                let effects = self.hub.on_packet(connection, Received::Connect(connect), now);
                self.perform(effects, now);
            }
            Event::Packet(connection, packet) => {
                let effects = self.hub.on_packet(connection, packet, now);
                self.perform(effects, now);
            }
            Event::Fault(connection, reason) => {
                let effects = self.hub.on_fault(connection, reason, now);
                self.perform(effects, now);
            }
            Event::Gone(connection) => {
                self.peers.remove(&connection);
                let effects = self.hub.on_gone(connection, now);
                self.perform(effects, now);
            }
            Event::Call { plane, operation, params, answer } => {
                let outcome = self.jobs.call(plane, &operation, params, now);
                self.publish(outcome.publications, now);
                if answer.send(outcome.outcome).is_err() {
                    tracing::debug!(operation, "The caller went away before the answer");
                }
            }
            // Taken out by the loop.
            Event::Stop => {}
        }
    }

    fn perform(&mut self, effects: Vec<Effect>, now: Millis) {
        for effect in effects {
            match effect {
                Effect::Send(connection, packet) => self.send(connection, packet, now),
                Effect::Close(connection) => {
                    self.peers.remove(&connection);
                }
                Effect::Jobs { connection, topic, payload } => self.ask(connection, &topic, &payload, now),
            }
        }
    }

    fn ask(&mut self, from: ConnectionId, topic: &str, payload: &Bytes, now: Millis) {
        let answer = self.jobs.device_message(topic, payload, now);
        if let Some(reply) = answer.reply {
            let effects = self.hub.reply(from, &reply.topic, reply.payload, now);
            self.perform(effects, now);
        }
        self.publish(answer.publications, now);
    }

    fn publish(&mut self, publications: Vec<Publication>, now: Millis) {
        for publication in publications {
            let effects = self.hub.publish(&publication.topic, publication.payload, now);
            self.perform(effects, now);
        }
    }

    fn send(&mut self, to: ConnectionId, packet: Sent, now: Millis) {
        let Some(peer) = self.peers.get(&to) else { return };
        match peer.out.try_send(packet) {
            // Closed: the connection's own end is on its way to us as an event.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                tracing::warn!(connection = to.0, "A client that does not read is dropped");
                if let Some(peer) = self.peers.remove(&to)
                    && peer.cut.send(()).is_err()
                {
                    tracing::debug!(connection = to.0, "It was gone already");
                }
                let effects = self.hub.on_gone(to, now);
                self.perform(effects, now);
            }
        }
    }
}

async fn sleep(span: Option<Duration>) {
    match span {
        Some(span) => tokio::time::sleep(span).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::packet::{Publish, Qos, Subscribe, Version};
    use crate::jobs::{ControlAnswer, DeviceAnswer};

    const DEVICE: ConnectionId = ConnectionId(1);
    const T: &str = "$aws/things/t1/jobs";

    #[test]
    fn the_acknowledgement_comes_first_then_the_reply_then_what_all_hear() {
        let mut desk = Desk::new(16);
        desk.receive(Received::Subscribe(Subscribe {
            packet_id: 1,
            filters: vec![(format!("{T}/#"), Qos::AtLeastOnce)],
            identified: false,
        }));
        desk.receive(request());
        let mut order = Vec::new();
        while let Ok(packet) = desk.out.try_recv() {
            order.push(if let Sent::Publish(publish) = packet {
                publish.topic
            } else {
                format!("{packet:?}").chars().take(6).collect()
            });
        }
        let topics = ["get/accepted", "notify", "notify-next"].map(|end| format!("{T}/{end}"));
        assert_eq!(order[..3], ["ConnAc", "SubAck", "PubAck"]);
        assert_eq!(order[3..], topics);
    }

    #[test]
    fn a_connection_that_takes_nothing_is_cut() {
        let mut desk = Desk::new(2);
        assert_eq!(desk.cut.try_recv(), Err(oneshot::error::TryRecvError::Empty));
        desk.receive(request());
        assert_eq!(desk.cut.try_recv(), Ok(()), "CONNACK and PUBACK have filled its queue");
        desk.receive(request());
        assert!(desk.engine.peers.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_services_deadline_is_kept_and_its_messages_go_out() {
        let mut desk = Desk::new(16);
        desk.engine.jobs.due = Some(Millis::now());
        desk.receive(Received::Subscribe(Subscribe {
            packet_id: 1,
            filters: vec![("timed/out".into(), Qos::AtMostOnce)],
            identified: false,
        }));
        let Desk { engine, events, mut out, .. } = desk;
        let run = tokio::spawn(engine.run());
        loop {
            if let Some(Sent::Publish(publish)) = out.recv().await {
                assert_eq!(publish.topic, "timed/out");
                break;
            }
        }
        events.send(Event::Stop).await.unwrap();
        run.await.unwrap();
    }

    /// Answers every request, and tells everybody twice.
    #[derive(Default)]
    struct Echo {
        due: Option<Millis>,
    }

    impl JobsTap for Echo {
        fn device_message(&mut self, topic: &str, payload: &[u8], _now: Millis) -> DeviceAnswer {
            let message = |topic: String| Publication { topic, payload: Bytes::copy_from_slice(payload) };
            DeviceAnswer {
                reply: Some(message(format!("{topic}/accepted"))),
                publications: ["notify", "notify-next"].map(|end| message(format!("{T}/{end}"))).to_vec(),
            }
        }

        fn call(&mut self, _plane: Plane, _operation: &str, params: Value, _now: Millis) -> ControlAnswer {
            ControlAnswer { outcome: Ok(params), publications: Vec::new() }
        }

        fn deadline(&self) -> Option<Millis> {
            self.due
        }

        fn on_deadline(&mut self, _now: Millis) -> Vec<Publication> {
            self.due = None;
            vec![Publication { topic: "timed/out".into(), payload: Bytes::new() }]
        }
    }

    /// An engine with one connection, whose queue holds so many packets.
    struct Desk {
        engine: Engine<Echo>,
        events: mpsc::Sender<Event>,
        out: mpsc::Receiver<Sent>,
        cut: oneshot::Receiver<()>,
    }

    impl Desk {
        fn new(queue: usize) -> Self {
            let (mut engine, events) = Engine::new(Echo::default());
            let (sender, out) = mpsc::channel(queue);
            let (cutter, cut) = oneshot::channel();
            let connect = Connect {
                version: Version::V311,
                client_id: "t1".into(),
                clean: true,
                keep_alive: 60,
                session_expiry: None,
                receive_maximum: u16::MAX,
                maximum_packet: u32::MAX,
                will: None,
            };
            let peer = Peer { out: sender, cut: cutter };
            engine.on_event(Event::Opened { connection: DEVICE, peer, connect }, Millis::now());
            Self { engine, events, out, cut }
        }

        fn receive(&mut self, packet: Received) {
            self.engine.on_event(Event::Packet(DEVICE, packet), Millis::now());
        }
    }

    fn request() -> Received {
        Received::Publish(Publish {
            topic: format!("{T}/get"),
            payload: Bytes::from_static(b"{}"),
            qos: Qos::AtLeastOnce,
            retain: false,
            packet_id: 9,
            properties: Bytes::new(),
            expiry: None,
            aliased: false,
        })
    }
}
