//! MQTT over WebSocket, and who comes without a certificate: frames written by hand.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests stop the test")]

mod common;

use std::sync::Arc;

use common::{Desk, soon};
use rumqttc::QoS;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

const CONNECT: &[u8] = b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01w";
const SUBSCRIBE: &[u8] = b"\x82\x0b\x00\x01\x00\x00\x05to/ws\x01";

/// A WebSocket, as a client writes it.
struct Socket<S>(S);

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// The status of the answer, and the socket if it is one.
    async fn open(mut stream: S, query: &str) -> (String, Self) {
        let request = format!(
            "GET /mqtt{query} HTTP/1.1\r\nHost: local\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Protocol: mqtt\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(soon(stream.read_u8()).await.unwrap());
        }
        (String::from_utf8(head).unwrap().to_lowercase(), Self(stream))
    }

    /// One message. It is masked with zeros, which leaves it as it is.
    async fn say(&mut self, bytes: &[u8]) {
        let length = u8::try_from(bytes.len()).unwrap();
        assert!(length < 126);
        let frame = [&[0x82, 0x80 | length, 0, 0, 0, 0][..], bytes].concat();
        self.0.write_all(&frame).await.unwrap();
    }

    /// What comes next, of the messages' bytes; what a test asks for comes in one message. `None`: the socket is closed.
    async fn hear(&mut self) -> Option<Vec<u8>> {
        let kind = soon(self.0.read_u8()).await.unwrap();
        let length = soon(self.0.read_u8()).await.unwrap();
        assert!(length < 126, "messages of this test are short");
        let mut bytes = vec![0; length.into()];
        soon(self.0.read_exact(&mut bytes)).await.unwrap();
        assert!(matches!(kind, 0x82 | 0x88), "a binary message, or the end: {kind:#04x}");
        (kind == 0x82).then_some(bytes)
    }
}

async fn plain(desk: &Desk) -> TcpStream {
    TcpStream::connect(desk.running.http).await.unwrap()
}

/// TLS without a certificate of the client.
fn unknown(desk: &Desk) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    let authority = desk.authority.certificate().as_bytes();
    roots.add(rustls::pki_types::pem::PemObject::from_pem_slice(authority).unwrap()).unwrap();
    rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

async fn over_tls(desk: &Desk, config: rustls::ClientConfig) -> tokio_rustls::client::TlsStream<TcpStream> {
    let socket = TcpStream::connect(desk.running.mqtt).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    soon(tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, socket)).await.unwrap()
}

async fn talks<S: AsyncRead + AsyncWrite + Unpin>(desk: &Desk, stream: S, query: &str) {
    let (head, mut socket) = Socket::open(stream, query).await;
    assert!(head.starts_with("http/1.1 101") && head.contains("sec-websocket-protocol: mqtt"), "{head}");
    // Messages are no packets: one packet in two, and two packets in one.
    socket.say(&CONNECT[..7]).await;
    socket.say(&[&CONNECT[7..], SUBSCRIBE].concat()).await;
    let mut answers = socket.hear().await.unwrap();
    if answers.len() < 22 {
        answers.extend(socket.hear().await.unwrap());
    }
    assert_eq!((answers[0], answers[3]), (0x20, 0), "{answers:?}");
    assert!(answers.ends_with(b"\x90\x04\x00\x01\x00\x01"), "{answers:?}");
    let other = desk.client("other").await;
    other.publish("to/ws", QoS::AtLeastOnce, "hello").await;
    assert!(socket.hear().await.unwrap().ends_with(b"hello"));
    // A fault is told, and then the socket is closed.
    socket.say(b"\xf0\x00").await;
    assert_eq!(socket.hear().await.unwrap(), b"\xe0\x02\x81\x00");
    assert_eq!(socket.hear().await, None);
}

#[tokio::test]
async fn mqtt_is_spoken_over_websocket_plain_and_over_tls() {
    let desk = Desk::new().await;
    talks(&desk, plain(&desk).await, "").await;
    talks(&desk, over_tls(&desk, desk.tls(&desk.device())).await, "").await;
    talks(&desk, over_tls(&desk, unknown(&desk)).await, "?X-Amz-Algorithm=a&X-Amz-Signature=0").await;
}

#[tokio::test]
async fn a_second_connection_takes_over_whichever_way_it_comes() {
    let desk = Desk::new().await;
    let (_, mut socket) = Socket::open(plain(&desk).await, "").await;
    socket.say(CONNECT).await;
    assert_eq!(socket.hear().await.unwrap()[0], 0x20);
    desk.client_5("w").await;
    assert_eq!(socket.hear().await.unwrap(), b"\xe0\x02\x8e\x00");
    assert_eq!(socket.hear().await, None);
}

#[tokio::test]
async fn a_client_that_goes_without_a_word_has_its_will_published() {
    let desk = Desk::new().await;
    let mut watcher = desk.client("watcher").await;
    watcher.subscribe("gone", QoS::AtLeastOnce).await;
    let (_, mut socket) = Socket::open(plain(&desk).await, "").await;
    socket.say(b"\x10\x1a\x00\x04MQTT\x04\x06\x00\x3c\x00\x01w\x00\x04gone\x00\x05alive").await;
    assert_eq!(socket.hear().await.unwrap(), b"\x20\x02\x00\x00");
    drop(socket);
    assert_eq!(watcher.hear().await.payload, b"alive");
}

#[tokio::test]
async fn without_a_certificate_mqtt_is_closed_after_connect_and_http_has_to_be_signed() {
    let desk = Desk::new().await;
    let mut stream = over_tls(&desk, unknown(&desk)).await;
    stream.write_all(CONNECT).await.unwrap();
    let mut rest = Vec::new();
    // Closed with or without TLS's own goodbye, and without a CONNACK.
    let _ = soon(stream.read_to_end(&mut rest)).await;
    assert_eq!(rest, b"");
    let refused = desk.https(unknown(&desk), "GET", "/things/t1/jobs", "").await;
    assert_eq!(refused.status, 403);
    assert_eq!(refused.header("x-amzn-errortype"), Some("MissingAuthenticationTokenException"));
    let signed = "/things/t1/jobs?X-Amz-Signature=0";
    assert_eq!(desk.https(unknown(&desk), "GET", signed, "").await.status, 200);
    let (head, _) = Socket::open(over_tls(&desk, unknown(&desk)).await, "").await;
    assert!(head.starts_with("http/1.1 403"), "{head}");
}

#[tokio::test]
async fn what_is_no_websocket_is_refused() {
    let desk = Desk::new().await;
    assert_eq!(desk.http("GET", "/mqtt", "", "").await.status, 501);
    assert_eq!(desk.http("GET", "/mqtt", "Upgrade: websocket\r\n", "").await.status, 400);
}
