//! One connection from the first packet to the last: connect, subscribe, carry messages, say why it ended. It is
//! never used again; waiting and trying again is left to `link`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use rumqttc::{Disconnect, Event, Outgoing, Packet, Publish, QoS, Request, Subscribe, SubscribeFilter};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use crate::classify::{Attempt, Phase, classify};
use crate::error::LinkError;
use crate::link::{NotSent, Route, Signal};
use crate::settings::{MAX_PAYLOAD, Settings, is_topic};
use crate::subscriptions::Subscriptions;
use crate::wire::Wire;

/// Name resolution, TCP, TLS and CONNACK together; and again for the subscriptions.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// After this process has stood still, the answers of the server lie in the socket: so long is given to look at
/// them before the server is called silent.
const GRACE: Duration = Duration::from_secs(1);
/// So many pings may be answered while a published message is not. Counted, not timed, for the same reason.
const PINGS_PER_ACKNOWLEDGEMENT: u32 = 2;
/// Messages that may come between CONNACK and the last SUBACK.
const MAX_EARLY: usize = 32;
/// How long the server has to close its side after our DISCONNECT.
const LINGER: Duration = Duration::from_millis(500);

/// How a connection ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Why; `None` if we closed it.
    pub(crate) reason: Option<LinkError>,
    /// How long it was up, if it ever was.
    pub(crate) up_for: Option<Duration>,
}

/// The way out of one connection. It leads nowhere once the connection has ended.
#[derive(Debug)]
pub(crate) struct Outlet {
    requests: mpsc::Sender<Request>,
    waiting: Arc<AtomicUsize>,
    bound: usize,
}

impl Outlet {
    /// Hands a message over without waiting.
    pub(crate) fn publish(&self, topic: &str, payload: Vec<u8>) -> Result<(), NotSent> {
        if payload.len() > MAX_PAYLOAD {
            return Err(NotSent::TooLarge { size: payload.len() });
        }
        if !is_topic(topic) {
            return Err(NotSent::InvalidTopic);
        }
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.bound {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(NotSent::QueueFull);
        }
        // The channel has room for more than the bound, so that only a connection that has ended refuses.
        let message = Publish::new(topic, QoS::AtLeastOnce, payload);
        self.requests.try_send(Request::Publish(message)).map_err(|_ended| NotSent::Down)
    }

    /// Asks for a DISCONNECT after what is waiting; false if the connection has ended.
    pub(crate) fn disconnect(&self) -> bool {
        self.requests.try_send(Request::Disconnect(Disconnect)).is_ok()
    }
}

/// Runs one connection to its end.
pub(crate) async fn run(settings: &Settings, route: &Route, signals: &mpsc::Sender<Signal>) -> Ended {
    let capacity = settings.outgoing_queue + Subscriptions::packet_count(settings.filters.len()) + 1;
    let (requests, queue) = mpsc::channel(capacity);
    let opened = match timeout(CONNECT_TIMEOUT, Wire::open(settings, route, queue)).await {
        Ok(opened) => {
            opened.map_err(|error| classify(error, Phase::Connecting, attempt(settings, route.port)))
        }
        Err(_elapsed) => {
            Err(LinkError::TimedOut { host: settings.host.clone(), port: route.port, after: CONNECT_TIMEOUT })
        }
    };
    let wire = match opened {
        Ok(wire) => wire,
        Err(reason) => return Ended { reason: Some(reason), up_for: None },
    };
    let mut connection = Connection {
        settings,
        port: route.port,
        wire,
        waiting: Arc::new(AtomicUsize::new(0)),
        hear_by: Instant::now() + settings.keep_alive,
        reprieve: None,
        pings_unacknowledged: 0,
        up_since: None,
    };
    let reason = connection.live(requests, signals).await.err();
    Ended { reason, up_for: connection.up_since.map(|since| since.elapsed()) }
}

/// What the words about an error need to know.
fn attempt(settings: &Settings, port: u16) -> Attempt<'_> {
    Attempt { host: &settings.host, port, now: SystemTime::now() }
}

struct Connection<'a> {
    settings: &'a Settings,
    port: u16,
    wire: Wire,
    /// Published messages that have not been written yet.
    waiting: Arc<AtomicUsize>,
    /// Something must be heard from the server by then.
    hear_by: Instant,
    /// Instead of `hear_by`, once, if that has passed without anybody looking.
    reprieve: Option<Instant>,
    /// Pings answered since the server has acknowledged anything, while it owes an acknowledgement.
    pings_unacknowledged: u32,
    up_since: Option<Instant>,
}

impl Connection<'_> {
    /// `Ok` if it was closed by us.
    async fn live(
        &mut self,
        requests: mpsc::Sender<Request>,
        signals: &mpsc::Sender<Signal>,
    ) -> Result<(), LinkError> {
        let early = self.subscribe(&requests).await?;
        self.up_since = Some(Instant::now());
        let outlet =
            Outlet { requests, waiting: Arc::clone(&self.waiting), bound: self.settings.outgoing_queue };
        if signals.send(Signal::Up { outlet, port: self.port }).await.is_err() {
            return Ok(());
        }
        for message in early {
            if signals.send(message_of(message)).await.is_err() {
                return Ok(());
            }
        }
        loop {
            match self.next().await? {
                Event::Incoming(Packet::Publish(message)) => {
                    // A full queue stops the reading, and TCP the server: that is what bounds a flood.
                    if signals.send(message_of(message)).await.is_err() {
                        return Ok(());
                    }
                }
                Event::Outgoing(Outgoing::Disconnect) => {
                    self.linger().await;
                    return Ok(());
                }
                Event::Incoming(_) | Event::Outgoing(_) => {}
            }
        }
    }

    /// Subscribes to everything; gives back the messages that came before the last answer.
    async fn subscribe(&mut self, requests: &mpsc::Sender<Request>) -> Result<Vec<Publish>, LinkError> {
        let mut subscriptions = Subscriptions::new(&self.settings.filters);
        for filters in subscriptions.packets() {
            let filters = filters.iter().map(|path| SubscribeFilter::new(path.clone(), QoS::AtLeastOnce));
            // The channel has room for all of them.
            requests
                .try_send(Request::Subscribe(Subscribe::new_many(filters)))
                .map_err(|_full| LinkError::Protocol { detail: "too many subscriptions".to_owned() })?;
        }
        let deadline = Instant::now() + CONNECT_TIMEOUT;
        let mut early = Vec::new();
        while !subscriptions.complete() {
            // When the deadline cuts it off, the connection is dropped and never asked again.
            let event = timeout_at(deadline, self.next())
                .await
                .map_err(|_elapsed| LinkError::SubscriptionUnanswered { after: CONNECT_TIMEOUT })??;
            match event {
                Event::Outgoing(Outgoing::Subscribe(id)) => subscriptions.on_sent(id),
                Event::Incoming(Packet::SubAck(answer)) => subscriptions.on_answer(&answer)?,
                Event::Incoming(Packet::Publish(message)) => {
                    if early.len() == MAX_EARLY {
                        let detail = "a flood of messages before the subscriptions are granted".to_owned();
                        return Err(LinkError::Protocol { detail });
                    }
                    early.push(message);
                }
                Event::Incoming(_) | Event::Outgoing(_) => {}
            }
        }
        Ok(early)
    }

    /// The next event, after its bookkeeping.
    async fn next(&mut self) -> Result<Event, LinkError> {
        let now = Instant::now();
        if self.hear_by <= now {
            self.reprieve.get_or_insert(now + GRACE);
        }
        let patience = self.reprieve.unwrap_or(self.hear_by);
        // When patience cuts it off, the connection is dropped and never asked again.
        let next =
            timeout_at(patience, self.wire.next()).await.map_err(|_elapsed| LinkError::KeepAliveLost)?;
        let event =
            next.map_err(|error| classify(error, Phase::Connected, attempt(self.settings, self.port)))?;
        match &event {
            Event::Outgoing(Outgoing::Publish(_)) => {
                self.waiting.fetch_sub(1, Ordering::Relaxed);
            }
            Event::Incoming(packet) => {
                self.hear_by = Instant::now() + self.settings.keep_alive;
                self.reprieve = None;
                self.count_debt(packet)?;
            }
            Event::Outgoing(_) => {}
        }
        Ok(event)
    }

    /// A server that answers pings and acknowledges nothing would hold up all messages for ever.
    fn count_debt(&mut self, packet: &Packet) -> Result<(), LinkError> {
        if self.wire.in_flight() == 0 || matches!(packet, Packet::PubAck(_)) {
            self.pings_unacknowledged = 0;
        } else if matches!(packet, Packet::PingResp) {
            self.pings_unacknowledged += 1;
        }
        if self.pings_unacknowledged < PINGS_PER_ACKNOWLEDGEMENT {
            Ok(())
        } else {
            Err(LinkError::PublishUnacknowledged)
        }
    }

    /// Lets the server close first: closing a socket with unread data would destroy the DISCONNECT under way.
    async fn linger(&mut self) {
        let closed = async { while self.wire.next().await.is_ok() {} };
        if timeout(LINGER, closed).await.is_err() {
            tracing::debug!("the server has not closed the connection after DISCONNECT");
        }
    }
}

fn message_of(message: Publish) -> Signal {
    Signal::Message { topic: message.topic, payload: message.payload.into() }
}
