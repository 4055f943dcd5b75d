//! MQTT 3.1.1 on one TLS stream: from the name of the server to its CONNACK, and then packet by packet. The library
//! brings the packets and the bookkeeping of packet ids; the stream is ours, so that an address that does not answer is
//! left for the next one.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rumqttc::{
    Connect, ConnectReturnCode, Event, MqttState, Packet, PingReq, Request, StateError, mqttbytes,
};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval_at, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::dial::dial;
use crate::link::Route;
use crate::settings::{MAX_PACKET, Settings};

/// Messages that are on their way unacknowledged at any time.
const IN_FLIGHT: u16 = 10;
/// A server that takes nothing for so long is gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Room that a read finds at least, in bytes.
const READ_ROOM: usize = 4096;

/// Why a connection has not come about, or has ended. `classify` makes an operator's words of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    /// On the way to an open TCP connection.
    #[error("no TCP connection")]
    Dial(#[source] io::Error),
    /// In the handshake of TLS.
    #[error("no TLS session")]
    Handshake(#[source] io::Error),
    /// The server has answered CONNECT with a refusal.
    #[error("CONNECT is refused")]
    Refused(ConnectReturnCode),
    /// The server has answered CONNECT with another packet.
    #[error("the first packet is not a CONNACK")]
    NotConnack,
    /// Nothing can be written any more.
    #[error("nothing is taken")]
    Stuck,
    /// Nobody is left who could want to send something.
    #[error("nobody uses the connection")]
    Deserted,
    /// A packet, or the lack of one; errors of the stream are in there, too.
    #[error("the exchange has failed")]
    State(#[from] StateError),
}

impl From<mqttbytes::Error> for WireError {
    fn from(error: mqttbytes::Error) -> Self {
        Self::State(error.into())
    }
}

/// An accepted connection.
pub(crate) struct Wire {
    stream: TlsStream<TcpStream>,
    received: BytesMut,
    written: BytesMut,
    state: MqttState,
    requests: mpsc::Receiver<Request>,
    ping: Interval,
}

impl Wire {
    /// Connects and has itself accepted. Takes as long as it takes.
    pub(crate) async fn open(
        settings: &Settings,
        route: &Route,
        requests: mpsc::Receiver<Request>,
    ) -> Result<Self, WireError> {
        let tcp = dial(&settings.host, route.port).await.map_err(WireError::Dial)?;
        let name = ServerName::try_from(settings.host.clone())
            .map_err(|error| WireError::Handshake(io::Error::other(error)))?;
        let stream = TlsConnector::from(Arc::clone(&route.tls))
            .connect(name, tcp)
            .await
            .map_err(WireError::Handshake)?;
        let period = ping_period(settings.keep_alive);
        let mut ping = interval_at(tokio::time::Instant::now() + period, period);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (received, written) = (BytesMut::new(), BytesMut::new());
        let state = MqttState::new(IN_FLIGHT, false);
        let mut wire = Self { stream, received, written, state, requests, ping };

        let mut connect = Connect::new(&settings.client_id);
        // The longest keep-alive of the settings fits.
        connect.keep_alive = u16::try_from(period.as_secs()).unwrap_or(u16::MAX);
        wire.write(&Packet::Connect(connect)).await?;
        let Packet::ConnAck(answer) = wire.read().await? else { return Err(WireError::NotConnack) };
        if answer.code == ConnectReturnCode::Success {
            Ok(wire)
        } else {
            Err(WireError::Refused(answer.code))
        }
    }

    /// How many published messages the server has not acknowledged.
    pub(crate) fn in_flight(&self) -> u16 {
        self.state.inflight()
    }

    /// The next event. Not to be called again once it has been cut off: a packet may have been written by half.
    pub(crate) async fn next(&mut self) -> Result<Event, WireError> {
        loop {
            if let Some(event) = self.state.events.pop_front() {
                return Ok(event);
            }
            if let Some(packet) = self.parsed()? {
                let answer = self.state.handle_incoming_packet(packet)?;
                self.write_some(answer).await?;
                continue;
            }
            // What is over the bound waits in the channel. The ids of the library go round within the bound, so one
            // that is still owed an acknowledgement holds the others up, too.
            let room = self.state.inflight() < IN_FLIGHT && self.state.collision.is_none();
            self.received.reserve(READ_ROOM);
            let outgoing = tokio::select! {
                read = self.stream.read_buf(&mut self.received) => {
                    self.not_the_end(read)?;
                    continue;
                }
                request = self.requests.recv(), if room => request.ok_or(WireError::Deserted)?,
                _ = self.ping.tick() => {
                    // The library would call the server dead if the last ping is unanswered by now, which is chance after
                    // the process has stood still. `connection` judges instead.
                    self.state.await_pingresp = false;
                    Request::PingReq(PingReq)
                }
            };
            let packet = self.state.handle_outgoing_packet(outgoing)?;
            self.write_some(packet).await?;
        }
    }

    /// A packet that has been received whole.
    fn parsed(&mut self) -> Result<Option<Packet>, mqttbytes::Error> {
        match Packet::read(&mut self.received, MAX_PACKET) {
            Ok(packet) => Ok(Some(packet)),
            Err(mqttbytes::Error::InsufficientBytes(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn read(&mut self) -> Result<Packet, WireError> {
        loop {
            if let Some(packet) = self.parsed()? {
                return Ok(packet);
            }
            self.received.reserve(READ_ROOM);
            let read = self.stream.read_buf(&mut self.received).await;
            self.not_the_end(read)?;
        }
    }

    fn not_the_end(&self, read: io::Result<usize>) -> Result<(), StateError> {
        match read {
            Ok(0) if self.received.is_empty() => Err(StateError::ConnectionAborted),
            Ok(0) => Err(StateError::Io(io::Error::other("it was closed in the middle of a packet"))),
            Ok(_) => Ok(()),
            Err(error) => Err(StateError::Io(error)),
        }
    }

    async fn write_some(&mut self, packet: Option<Packet>) -> Result<(), WireError> {
        match packet {
            Some(packet) => self.write(&packet).await,
            None => Ok(()),
        }
    }

    async fn write(&mut self, packet: &Packet) -> Result<(), WireError> {
        self.written.clear();
        packet.write(&mut self.written, MAX_PACKET)?;
        let writing = async {
            self.stream.write_all(&self.written).await?;
            self.stream.flush().await
        };
        timeout(WRITE_TIMEOUT, writing)
            .await
            .map_err(|_elapsed| WireError::Stuck)?
            .map_err(StateError::Io)?;
        Ok(())
    }
}

/// Two thirds, in whole seconds as the packet has it: a ping that goes out at the end of a quiet period has a third
/// left to be answered, and the server, which allows half a period more (MQTT 3.1.1, section 3.1.2.10), bears
/// with a process that stands still for about the whole.
fn ping_period(keep_alive: Duration) -> Duration {
    Duration::from_secs((keep_alive.as_secs() * 2 / 3).max(1))
}
