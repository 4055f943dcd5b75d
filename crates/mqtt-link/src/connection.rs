//! One connection from the first packet to the last: connect, subscribe, carry messages, say why it ended. It is
//! never used again; waiting and trying again is left to `link`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use rumqttc::{
    AsyncClient, Event, EventLoop, MqttOptions, NetworkOptions, Outgoing, Packet, Publish, QoS,
    SubscribeFilter, TlsConfiguration, Transport,
};
use rustls::ClientConfig;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use crate::classify::{Attempt, Phase, classify};
use crate::error::LinkError;
use crate::link::{NotSent, Signal};
use crate::settings::{MAX_PACKET, MAX_PAYLOAD, Settings, is_topic};
use crate::subscriptions::Subscriptions;

/// Name resolution, TCP, TLS and CONNACK together; and again for the subscriptions.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// After this process has stood still, the answers of the server lie in the socket: so long is given to look at
/// them before the server is called silent.
const GRACE: Duration = Duration::from_secs(1);
/// So many pings may be answered while a published message is not. Counted, not timed, for the same reason.
const PINGS_PER_ACKNOWLEDGEMENT: u32 = 2;
/// Messages that are on their way unacknowledged at any time.
const IN_FLIGHT: u16 = 10;
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
    client: AsyncClient,
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
        self.client.try_publish(topic, QoS::AtLeastOnce, false, payload).map_err(|_ended| NotSent::Down)
    }

    /// Asks for a DISCONNECT after what is waiting; false if the connection has ended.
    pub(crate) fn disconnect(&self) -> bool {
        self.client.try_disconnect().is_ok()
    }
}

/// Runs one connection to its end.
pub(crate) async fn run(
    settings: &Settings,
    tls: Arc<ClientConfig>,
    signals: &mpsc::Sender<Signal>,
) -> Ended {
    let capacity = settings.outgoing_queue + Subscriptions::packet_count(settings.filters.len()) + 1;
    let (client, events) = AsyncClient::new(options(settings, tls), capacity);
    let mut connection = Connection {
        settings,
        events,
        waiting: Arc::new(AtomicUsize::new(0)),
        hear_by: Instant::now() + CONNECT_TIMEOUT + GRACE,
        reprieve: None,
        pings_unacknowledged: 0,
        up_since: None,
        phase: Phase::Connecting,
    };
    connection.events.set_network_options(network_options());
    let reason = connection.live(client, signals).await.err();
    Ended { reason, up_for: connection.up_since.map(|since| since.elapsed()) }
}

struct Connection<'a> {
    settings: &'a Settings,
    events: EventLoop,
    /// Published messages that have not been written yet.
    waiting: Arc<AtomicUsize>,
    /// Something must be heard from the server by then.
    hear_by: Instant,
    /// Instead of `hear_by`, once, if that has passed without anybody looking.
    reprieve: Option<Instant>,
    /// Pings answered since the server has acknowledged anything, while it owes an acknowledgement.
    pings_unacknowledged: u32,
    up_since: Option<Instant>,
    phase: Phase,
}

impl Connection<'_> {
    /// `Ok` if it was closed by us.
    async fn live(&mut self, client: AsyncClient, signals: &mpsc::Sender<Signal>) -> Result<(), LinkError> {
        // The first event is the CONNACK, accepted.
        self.next().await?;
        self.phase = Phase::Connected;
        let early = self.subscribe(&client).await?;
        self.up_since = Some(Instant::now());
        let outlet =
            Outlet { client, waiting: Arc::clone(&self.waiting), bound: self.settings.outgoing_queue };
        if signals.send(Signal::Up(outlet)).await.is_err() {
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
    async fn subscribe(&mut self, client: &AsyncClient) -> Result<Vec<Publish>, LinkError> {
        let mut subscriptions = Subscriptions::new(&self.settings.filters);
        for filters in subscriptions.packets() {
            let filters = filters.iter().map(|path| SubscribeFilter::new(path.clone(), QoS::AtLeastOnce));
            client.try_subscribe_many(filters).map_err(|error| LinkError::Protocol {
                detail: format!("the subscriptions cannot be sent: {error}"),
            })?;
        }
        let deadline = Instant::now() + CONNECT_TIMEOUT;
        let mut early = Vec::new();
        while !subscriptions.complete() {
            // When the deadline cuts the poll off, the event loop is dropped and never polled again.
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
        // The library would call the server dead if the timer of the next ping is looked at before the answer to
        // the last one, which is chance after the process has stood still. `hear_by` judges instead.
        self.events.state.await_pingresp = false;
        let now = Instant::now();
        if self.hear_by <= now {
            self.reprieve.get_or_insert(now + GRACE);
        }
        let patience = self.reprieve.unwrap_or(self.hear_by);
        // When patience cuts the poll off, the event loop is dropped and never polled again.
        let polled =
            timeout_at(patience, self.events.poll()).await.map_err(|_elapsed| LinkError::KeepAliveLost)?;
        let event = polled.map_err(|error| {
            let attempt = Attempt {
                host: &self.settings.host,
                port: self.settings.port,
                timeout: CONNECT_TIMEOUT,
                now: SystemTime::now(),
            };
            classify(error, self.phase, attempt)
        })?;
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
        if self.events.state.inflight() == 0 || matches!(packet, Packet::PubAck(_)) {
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
        let closed = async { while self.events.poll().await.is_ok() {} };
        if timeout(LINGER, closed).await.is_err() {
            tracing::debug!("the server has not closed the connection after DISCONNECT");
        }
    }
}

fn message_of(message: Publish) -> Signal {
    Signal::Message { topic: message.topic, payload: message.payload.into() }
}

fn options(settings: &Settings, tls: Arc<ClientConfig>) -> MqttOptions {
    let mut options = MqttOptions::new(&settings.client_id, &settings.host, settings.port);
    options
        .set_transport(Transport::Tls(TlsConfiguration::Rustls(tls)))
        .set_clean_session(true)
        .set_keep_alive(ping_period(settings.keep_alive))
        .set_max_packet_size(MAX_PACKET, MAX_PACKET)
        .set_inflight(IN_FLIGHT);
    options
}

/// Two thirds, in whole seconds as the packet has it: a ping that goes out at the end of a quiet period has a third
/// left to be answered, and the server, which allows half a period more (MQTT 3.1.1, section 3.1.2.10), bears
/// with a process that stands still for about the whole.
fn ping_period(keep_alive: Duration) -> Duration {
    Duration::from_secs((keep_alive.as_secs() * 2 / 3).max(1))
}

fn network_options() -> NetworkOptions {
    let mut options = NetworkOptions::new();
    options.set_connection_timeout(CONNECT_TIMEOUT.as_secs());
    // Nagle's algorithm against delayed acknowledgements would cost 40 ms per request and answer.
    options.set_tcp_nodelay(true);
    options
}
