//! The one task in which everything is decided: it owns the broker's hub and the Jobs service.
//!
//! Connections and HTTP requests send it events; it never waits for any of them. What a connection does not take is
//! not kept for it: a client that does not read is dropped. What leaves the engine is collected while events are worked
//! off, and goes out in one piece after them; before that, what it follows from is saved.

mod credentials;
mod deferred;
mod disturbed;
mod management;
mod outgoing;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jobs_protocol::ThingName;
use jobs_protocol::topic::{JobsTopic, RequestTopic};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use self::deferred::{Deed, Deferred};
pub(crate) use self::management::Management;
use crate::broker::hub::{ConnectionId, Effect, Hub, Who};
use crate::broker::identity::IdentityError;
use crate::broker::outlet::Outlet;
use crate::broker::packet::{Connect, Reason, Received, Sent};
use crate::broker::policy::Permit;
use crate::clock::{Clock, Millis};
use crate::documents::Documents;
use crate::faults::Faults;
use crate::jobs::{JobsTap, Plane, Publication, Refusal};
use crate::pki::Authority;
use crate::store::{Entry, Store, StoreError};

/// How many events may wait for the engine; their senders wait beyond that.
const INBOX: usize = 256;
/// How many events are worked off before what follows from them goes out.
const BATCH: usize = 64;
/// How often acknowledgements, sessions and silent clients are looked after.
const TICK: Duration = Duration::from_secs(1);

/// Where an answer to HTTP goes.
pub(crate) type Answer = oneshot::Sender<Result<Value, Refusal>>;

/// What the engine is told.
#[derive(Debug)]
pub(crate) enum Event {
    /// A connection has shown its CONNECT.
    Opened { connection: ConnectionId, peer: Peer, connect: Connect, permit: Option<Arc<Permit>>, who: Who },
    /// What may somebody do who shows this certificate, which the service has given out?
    Judge {
        certificate: String,
        client_id: Option<String>,
        answer: oneshot::Sender<Result<Arc<Permit>, IdentityError>>,
    },
    /// A connection has brought a further packet.
    Packet(ConnectionId, Received),
    /// A connection has to end because of what it did.
    Fault(ConnectionId, Reason),
    /// A connection has ended.
    Gone(ConnectionId),
    /// An operation is called by HTTP.
    Call { plane: Plane, operation: String, params: Value, answer: Answer },
    /// Something about this very service is asked or set.
    Manage { what: Management, answer: Answer },
    /// Tell everybody and end.
    Stop,
}

/// The engine's end of a connection.
#[derive(Debug)]
pub(crate) struct Peer {
    /// Packets to be written. Dropping it closes the connection once they are.
    pub(crate) out: Outlet,
    /// Ends the connection at once.
    pub(crate) cut: oneshot::Sender<()>,
}

/// What leaves the engine.
#[derive(Debug)]
enum Out {
    Packet(ConnectionId, Sent),
    /// After what was sent before has been written.
    Close(ConnectionId),
    /// At once, whatever has not been written.
    Cut(ConnectionId),
    Answer(Answer, Result<Value, Refusal>),
}

/// The decider and its inbox.
pub(crate) struct Engine<T> {
    hub: Hub,
    jobs: T,
    faults: Faults,
    clock: Clock,
    peers: HashMap<ConnectionId, Peer>,
    deferred: Deferred,
    outbox: Vec<Out>,
    /// What has changed and is not saved yet; empty without a store.
    unsaved: Vec<Entry>,
    store: Option<Store>,
    documents: Documents,
    authority: Option<Authority>,
    inbox: mpsc::Receiver<Event>,
}

/// What an engine is made of.
pub(crate) struct Parts<T> {
    pub(crate) hub: Hub,
    pub(crate) jobs: T,
    pub(crate) faults: Faults,
    pub(crate) clock: Clock,
    /// Where state is kept, if it is.
    pub(crate) store: Option<Store>,
    pub(crate) documents: Documents,
    /// Who signs certificates, if certificates can be given out.
    pub(crate) authority: Option<Authority>,
}

impl<T: JobsTap> Engine<T> {
    /// An engine, and where to send its events.
    pub(crate) fn new(parts: Parts<T>) -> (Self, mpsc::Sender<Event>) {
        let (sender, inbox) = mpsc::channel(INBOX);
        let Parts { hub, jobs, faults, clock, store, documents, authority } = parts;
        let engine = Self {
            hub,
            jobs,
            faults,
            clock,
            peers: HashMap::new(),
            deferred: Deferred::default(),
            outbox: Vec::new(),
            unsaved: Vec::new(),
            store,
            documents,
            authority,
            inbox,
        };
        (engine, sender)
    }

    /// Registers a thing that is not there yet.
    pub(crate) fn register(&mut self, thing: &ThingName) -> Result<(), Refusal> {
        let now = self.clock.now();
        let params = json!({ "thingName": thing });
        let known = self.jobs.call(Plane::Control, "DescribeThing", params.clone(), None, now);
        if known.outcome.is_err() {
            self.call(Plane::Control, "CreateThing", params, now)?;
        }
        Ok(())
    }

    /// Runs until it is told to stop, or nobody is left who could. If something cannot be saved it ends at once, and
    /// what would have followed from it never goes out.
    pub(crate) async fn run(mut self) -> Result<(), StoreError> {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let due = self.next_due().and_then(|due| self.clock.sleep_until(due));
            tokio::select! {
                event = self.inbox.recv() => {
                    let Some(event) = event else { break };
                    if self.on_events(event).is_break() {
                        break;
                    }
                }
                () = sleep(due) => {
                    let now = self.clock.now();
                    self.catch_up(now);
                }
                _ = tick.tick() => {
                    let now = self.clock.now();
                    self.look_after(now);
                }
            }
            self.flush()?;
        }
        let effects = self.hub.on_stop();
        self.perform(effects, self.clock.now());
        self.flush()
    }

    /// Works off an event and those that wait behind it.
    fn on_events(&mut self, mut event: Event) -> ControlFlow<()> {
        for left in (0..BATCH).rev() {
            if matches!(event, Event::Stop) {
                return ControlFlow::Break(());
            }
            self.on_event(event, self.clock.now());
            if left == 0 {
                break;
            }
            // Nothing waits, or nobody is left, which the loop finds out next.
            let Ok(next) = self.inbox.try_recv() else { break };
            event = next;
        }
        ControlFlow::Continue(())
    }

    fn on_event(&mut self, event: Event, now: Millis) {
        self.catch_up(now);
        match event {
            Event::Opened { connection, peer, connect, permit, who } => {
                self.peers.insert(connection, peer);
                let effects = self.hub.on_connect(connection, connect, permit, who, now);
                self.perform(effects, now);
            }
            Event::Judge { certificate, client_id, answer } => {
                if answer.send(self.judge(certificate, client_id)).is_err() {
                    tracing::debug!("A client went away before it was judged");
                }
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
                self.called(plane, operation, params, answer, now);
            }
            Event::Manage { what, answer } => {
                let outcome = self.manage(what);
                self.outbox.push(Out::Answer(answer, outcome));
            }
            // Taken out before.
            Event::Stop => {}
        }
    }

    /// When the next thing happens by itself.
    fn next_due(&self) -> Option<Millis> {
        [self.jobs.deadline(), self.deferred.next()].into_iter().flatten().min()
    }

    /// Does what is due by now.
    fn catch_up(&mut self, now: Millis) {
        while let Some(due) = self.next_due().filter(|due| *due <= now) {
            if self.jobs.deadline() == Some(due) {
                self.keep(|| Entry::Deadline { now });
                let publications = self.jobs.on_deadline(now);
                self.publish(publications, now);
            } else if let Some(deed) = self.deferred.take_due(now) {
                self.do_deferred(deed, now);
            }
        }
    }

    /// Looks after what has no alarm of its own.
    fn look_after(&mut self, now: Millis) {
        self.catch_up(now);
        let effects = self.hub.on_tick(now);
        self.perform(effects, now);
    }

    /// Moves a virtual clock, and does on the way what falls due, each at its time.
    fn advance(&mut self, span: Millis, silent: bool) {
        let end = self.clock.now().plus(span);
        loop {
            let step = self.next_due().map_or(end, |due| due.min(end));
            self.clock.go_to(step);
            let now = self.clock.now();
            if !silent {
                self.hub.all_heard(now);
            }
            self.look_after(now);
            if now >= end {
                break;
            }
        }
        // The clock goes on from here after a restart, too.
        self.keep(|| Entry::Deadline { now: end });
    }

    fn perform(&mut self, effects: Vec<Effect>, now: Millis) {
        for effect in effects {
            match effect {
                Effect::Send(connection, packet) => self.outbox.push(Out::Packet(connection, packet)),
                Effect::Close(connection) => self.outbox.push(Out::Close(connection)),
                Effect::Jobs { connection, topic, payload } => self.asked(connection, topic, payload, now),
            }
        }
    }

    /// Has the Jobs service answer a device's request.
    fn ask(&mut self, from: ConnectionId, topic: &str, payload: &Bytes, now: Millis) {
        if let (true, Ok(text)) = (changes_something(topic), std::str::from_utf8(payload)) {
            self.keep(|| Entry::Request { now, topic: topic.to_owned(), payload: text.to_owned() });
        }
        let answer = self.jobs.device_message(topic, payload, now);
        if let Some(reply) = answer.reply {
            self.reply(from, reply, now);
        }
        self.publish(answer.publications, now);
    }

    /// Has the Jobs service perform a call.
    fn call(
        &mut self,
        plane: Plane,
        operation: &str,
        mut params: Value,
        now: Millis,
    ) -> Result<Value, Refusal> {
        let document = self.documents.of_call(operation, &params)?;
        let keys = self.credentials_of_call(operation, &mut params)?;
        if !["Describe", "List", "Get"].iter().any(|reading| operation.starts_with(reading)) {
            self.keep(|| Entry::Call {
                now,
                plane,
                operation: operation.to_owned(),
                params: params.clone(),
                document: document.clone(),
            });
        }
        let outcome = self.jobs.call(plane, operation, params, document, now);
        self.publish(outcome.publications, now);
        outcome.outcome.map(|body| credentials::with_keys(body, keys))
    }

    fn do_deferred(&mut self, deed: Deed, now: Millis) {
        match deed {
            Deed::Ask { from, topic, payload } => self.ask(from, &topic, &payload, now),
            Deed::Reply(to, message) => self.send_reply(to, &message, now),
            Deed::Publish(message) => self.send_publication(&message, now),
            Deed::Call { plane, operation, params, answer } => {
                let outcome = self.call(plane, &operation, params, now);
                self.outbox.push(Out::Answer(answer, outcome));
            }
        }
    }

    fn send_reply(&mut self, to: ConnectionId, message: &Publication, now: Millis) {
        let effects = self.hub.reply(to, &message.topic, message.payload.clone(), now);
        self.perform(effects, now);
    }

    fn send_publication(&mut self, message: &Publication, now: Millis) {
        let effects = self.hub.publish(&message.topic, message.payload.clone(), now);
        self.perform(effects, now);
    }
}

/// Whether a request on this topic can change the state: all but the two that only ask.
fn changes_something(topic: &str) -> bool {
    match JobsTopic::parse(topic) {
        Ok((_, JobsTopic::Request(request))) => match request {
            RequestTopic::StartNext | RequestTopic::Update(_) => true,
            RequestTopic::GetPending | RequestTopic::Describe(_) => false,
        },
        Ok(_) | Err(_) => false,
    }
}

async fn sleep(span: Option<Duration>) {
    match span {
        Some(span) => tokio::time::sleep(span).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
