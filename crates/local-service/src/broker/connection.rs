//! One client's connection: handshake, bytes to packets and packets to bytes, nothing decided.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::decode::{Malformed, decode};
use super::encode::encode;
use super::hub::{ConnectionId, Who};
use super::outlet::{MAX_WAITING, Outgoing, outlet};
use super::packet::{Connect, Reason, Received, Version};
use super::shown::Shown;
use super::tls::HTTP;
use crate::engine::{Event, Peer};
use crate::listen::Https;
use crate::rewound::Rewound;

/// Time for the TLS handshake, and again for the CONNECT after it.
const OPENING: Duration = Duration::from_secs(20);
/// Time for the last packets of a connection that is being closed.
const CLOSING: Duration = Duration::from_secs(5);
/// How long a client may be silent without closing its side after ours was closed, and how long it may go on sending.
const LINGER: Duration = Duration::from_secs(2);
const LONGEST_LINGER: Duration = Duration::from_secs(20);
/// Bytes after which packets are written before further ones are added.
const BATCH: usize = 16 * 1024;

/// Why a connection came to nothing before it was one.
#[derive(Debug, thiserror::Error)]
enum OpenError {
    #[error("no TLS session came about")]
    Handshake(#[source] std::io::Error),
    #[error("nothing came of it in {} seconds", OPENING.as_secs())]
    Late,
    #[error("the client went away before its CONNECT")]
    Gone,
    #[error("the first packet is no CONNECT")]
    NotMqtt(#[from] Malformed),
}

/// What a client has shown itself to speak.
enum Opened {
    Mqtt(TlsStream<TcpStream>, Connect),
    Https(TlsStream<TcpStream>),
}

/// Gives every connection an id of its own, whichever way it comes.
#[derive(Debug, Clone, Default)]
pub(crate) struct ConnectionIds(Arc<AtomicU64>);

impl ConnectionIds {
    pub(crate) fn next(&self) -> ConnectionId {
        ConnectionId(self.0.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// Serves one client until either side ends it; one that speaks HTTP is handed over.
pub(crate) async fn serve(
    socket: TcpStream,
    acceptor: TlsAcceptor,
    connection: ConnectionId,
    events: mpsc::Sender<Event>,
    https: mpsc::Sender<Https>,
    policies: Option<Arc<Path>>,
) {
    let mut buffer = BytesMut::new();
    match open(socket, &acceptor, &mut buffer).await {
        Ok(Opened::Mqtt(stream, connect)) => {
            let shown = shown(&stream, policies);
            let address = stream.get_ref().0.peer_addr().ok().map(|address| address.ip());
            let who = Who { principal: shown.principal(), address };
            talk(stream, buffer, connect, connection, Some(&shown), who, events).await;
        }
        Ok(Opened::Https(stream)) => {
            let shown = shown(&stream, policies);
            if https.send(Https { stream: Rewound::new(buffer, stream), shown }).await.is_err() {
                tracing::debug!(connection = connection.0, "HTTP is no longer served");
            }
        }
        Err(error) => not_admitted(connection, &error),
    }
}

/// Speaks MQTT with a client that has come through HTTP. `shown`: the certificate that the client acts under, if it does.
pub(crate) async fn serve_within(
    mut stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    connection: ConnectionId,
    events: mpsc::Sender<Event>,
    shown: Option<&Shown>,
) {
    let mut buffer = BytesMut::new();
    let opening = timeout(OPENING, opening(&mut stream, &mut buffer)).await;
    match opening.unwrap_or(Err(OpenError::Late)) {
        Ok(Opening::Connect(connect)) => {
            let who = Who { principal: shown.and_then(Shown::principal), address: None };
            talk(stream, buffer, connect, connection, shown, who, events).await;
        }
        Ok(Opening::Method) => not_admitted(connection, &OpenError::NotMqtt(Malformed::Protocol)),
        Err(error) => not_admitted(connection, &error),
    }
}

/// Everything after the CONNECT.
async fn talk(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send,
    buffer: BytesMut,
    connect: Connect,
    connection: ConnectionId,
    shown: Option<&Shown>,
    who: Who,
    events: mpsc::Sender<Event>,
) {
    let permit = match shown {
        Some(shown) => shown.permit(Some(connect.client_id.as_str()), &events).await,
        None => Ok(None),
    };
    let permit = match permit {
        Ok(permit) => permit,
        // As with a certificate that is not known: closed after CONNECT, without CONNACK.
        Err(error) => return not_admitted(connection, &error),
    };
    let version = connect.version;
    let (out, outgoing) = outlet(MAX_WAITING);
    let (cut, cut_off) = oneshot::channel();
    let opened = Event::Opened { connection, peer: Peer { out, cut }, connect, permit, who };
    if events.send(opened).await.is_err() {
        return;
    }
    let (mut reader, writer) = tokio::io::split(stream);
    let closed_from_here = tokio::select! {
        () = read(&mut reader, buffer, version, connection, &events) => false,
        () = write(writer, version, outgoing) => true,
        () = until_cut(cut_off) => false,
    };
    // If the engine has ended there is nobody left to be told.
    let _ = events.send(Event::Gone(connection)).await;
    if closed_from_here {
        tokio::select! {
            () = linger(&mut reader) => {}
            () = events.closed() => {}
        }
    }
}

fn not_admitted(connection: ConnectionId, error: &(dyn std::error::Error + 'static)) {
    let cause = error.source().map(ToString::to_string);
    tracing::warn!(connection = connection.0, cause, "A client was not admitted: {error}");
}

fn shown(stream: &TlsStream<TcpStream>, policies: Option<Arc<Path>>) -> Shown {
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    Shown::new(certificates.first().map(AsRef::as_ref), policies)
}

async fn open(socket: TcpStream, acceptor: &TlsAcceptor, buffer: &mut BytesMut) -> Result<Opened, OpenError> {
    // Small packets go out at once; otherwise Nagle waits for the peer's delayed acknowledgement.
    socket.set_nodelay(true).map_err(OpenError::Handshake)?;
    let mut stream = timeout(OPENING, acceptor.accept(socket))
        .await
        .map_err(|_| OpenError::Late)?
        .map_err(OpenError::Handshake)?;
    if stream.get_ref().1.alpn_protocol().is_some_and(|protocol| HTTP.contains(&protocol)) {
        return Ok(Opened::Https(stream));
    }
    match timeout(OPENING, opening(&mut stream, buffer)).await.map_err(|_| OpenError::Late)?? {
        Opening::Connect(connect) => Ok(Opened::Mqtt(stream, connect)),
        Opening::Method => Ok(Opened::Https(stream)),
    }
}

/// What a client begins with.
enum Opening {
    Connect(Connect),
    /// A letter, as HTTP does; MQTT never.
    Method,
}

async fn opening(stream: &mut (impl AsyncRead + Unpin), buffer: &mut BytesMut) -> Result<Opening, OpenError> {
    loop {
        if buffer.first().is_some_and(u8::is_ascii_uppercase) {
            return Ok(Opening::Method);
        }
        match decode(buffer, None)? {
            Some(Received::Connect(connect)) => return Ok(Opening::Connect(connect)),
            // Without a version the decoder knows no other packet.
            Some(_) => return Err(OpenError::NotMqtt(Malformed::Protocol)),
            None => {}
        }
        if !matches!(stream.read_buf(buffer).await, Ok(1..)) {
            return Err(OpenError::Gone);
        }
    }
}

/// Hands packets to the engine until the client ends the connection. A fault leaves the ending to the engine,
/// which has a last word for the client; it also judges who has been silent for too long.
async fn read(
    reader: &mut (impl AsyncRead + Unpin),
    mut buffer: BytesMut,
    version: Version,
    connection: ConnectionId,
    events: &mpsc::Sender<Event>,
) {
    let fault = loop {
        match decode(&mut buffer, Some(version)) {
            Ok(Some(packet)) => {
                if events.send(Event::Packet(connection, packet)).await.is_err() {
                    return;
                }
                continue;
            }
            Ok(None) => {}
            Err(malformed) => {
                tracing::warn!(connection = connection.0, "A client sent what is no packet: {malformed}");
                break if malformed == Malformed::TooLarge {
                    Reason::PacketTooLarge
                } else {
                    Reason::MalformedPacket
                };
            }
        }
        if !matches!(reader.read_buf(&mut buffer).await, Ok(1..)) {
            return;
        }
    };
    if events.send(Event::Fault(connection, fault)).await.is_ok() {
        std::future::pending::<()>().await;
    }
}

/// Writes what the engine sends until the engine lets go. Small packets that wait go out together.
async fn write(mut writer: impl AsyncWrite + Unpin, version: Version, mut outgoing: Outgoing) {
    let mut buffer = BytesMut::new();
    while let Some(packet) = outgoing.recv().await {
        encode(&packet, version, &mut buffer);
        while buffer.len() < BATCH
            && let Some(packet) = outgoing.try_recv()
        {
            encode(&packet, version, &mut buffer);
        }
        if writer.write_all_buf(&mut buffer).await.is_err() || writer.flush().await.is_err() {
            return;
        }
    }
    // The client may have closed first; then there is nobody to say goodbye to.
    let _ = writer.shutdown().await;
}

/// Reads on after the goodbye, until the client has closed as well: a socket that is closed with something unread in it
/// resets the connection, and the client's system may then throw the goodbye away before the client has seen it.
async fn linger(reader: &mut (impl AsyncRead + Unpin)) {
    let mut rest = vec![0; BATCH];
    let all = async { while matches!(timeout(LINGER, reader.read(&mut rest)).await, Ok(Ok(1..))) {} };
    if timeout(LONGEST_LINGER, all).await.is_err() {
        tracing::debug!("A client goes on sending after the goodbye");
    }
}

/// Returns at once when the connection is cut, and a while after the engine has let go of it.
async fn until_cut(cut: oneshot::Receiver<()>) {
    if cut.await.is_err() {
        tokio::time::sleep(CLOSING).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::packet::Sent;

    const CONNECTION: ConnectionId = ConnectionId(1);

    #[tokio::test]
    async fn packets_in_one_piece_come_out_one_by_one_and_in_order() {
        let (mut client, mut server) = tokio::io::duplex(64);
        let (events, mut inbox) = mpsc::channel(8);
        client.write_all(b"\xC0\x00\x30\x03\x00\x01a\xE0\x00").await.unwrap();
        drop(client);
        read(&mut server, BytesMut::new(), Version::V311, CONNECTION, &events).await;
        let mut kinds = Vec::new();
        while let Ok(Event::Packet(_, packet)) = inbox.try_recv() {
            kinds.push(std::mem::discriminant(&packet));
        }
        assert_eq!(kinds.len(), 3);
        assert_eq!(kinds[0], std::mem::discriminant(&Received::PingReq));
    }

    #[tokio::test]
    async fn what_was_sent_before_the_end_is_written() {
        let (mut client, server) = tokio::io::duplex(64);
        let (out, outgoing) = outlet(MAX_WAITING);
        out.send(Sent::PingResp).unwrap();
        out.send(Sent::Disconnect(Reason::SessionTakenOver)).unwrap();
        drop(out);
        write(server, Version::V5, outgoing).await;
        let mut written = Vec::new();
        client.read_to_end(&mut written).await.unwrap();
        assert_eq!(written, b"\xD0\x00\xE0\x02\x8E\x00");
    }
}
