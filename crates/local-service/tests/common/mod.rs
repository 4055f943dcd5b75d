//! A running service, and clients for it: rumqttc for MQTT, a bare socket for HTTP.

#![allow(dead_code, reason = "each test binary uses its own part of the helpers")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests stop the test")]

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use jobs_protocol::ThingName;
use local_service::pki::{Authority, Identity, Validity};
use local_service::{Options, Running, start};
use rumqttc::v5;
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS, TlsConfiguration, Transport};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// Long enough for a loaded machine; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for what must come.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it comes before patience ends")
}

/// A service of our own, with the things t1 and t2.
pub(crate) struct Desk {
    pub(crate) running: Running,
    pub(crate) authority: Authority,
    pub(crate) options: Options,
}

impl Desk {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// With other options.
    pub(crate) async fn with(change: impl FnOnce(&mut Options)) -> Self {
        Self::of(Authority::new().unwrap(), change).await
    }

    /// With the authority's key, so that certificates can be given out.
    pub(crate) async fn able_to_sign(change: impl FnOnce(&mut Options)) -> Self {
        let authority = Authority::new().unwrap();
        let key = authority.identity().key;
        let able = |options: &mut Options| {
            options.authority_key = Some(key);
            change(options);
        };
        Self::of(authority, able).await
    }

    async fn of(authority: Authority, change: impl FnOnce(&mut Options)) -> Self {
        let server = authority.server(&["localhost", "127.0.0.1"], Validity::Long).unwrap();
        let things = ["t1", "t2"].map(|name| ThingName::try_from(name).unwrap()).to_vec();
        let mut options = Options::new(authority.certificate().to_owned(), server, things);
        change(&mut options);
        Self { running: start(options.clone()).await.unwrap(), authority, options }
    }

    pub(crate) fn device(&self) -> Identity {
        self.authority.device("t1", Validity::Long).unwrap()
    }

    /// TLS as a client with this certificate has it.
    pub(crate) fn tls(&self, identity: &Identity) -> rustls::ClientConfig {
        tls(self.authority.certificate(), identity)
    }

    /// Options for an MQTT 3.1.1 client.
    pub(crate) fn options(&self, id: &str) -> MqttOptions {
        let mut options = MqttOptions::new(id, "127.0.0.1", self.running.mqtt.port());
        options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(Arc::new(
            self.tls(&self.device()),
        ))));
        options.set_max_packet_size(200_000, 200_000);
        options
    }

    /// Options for an MQTT 5 client.
    pub(crate) fn options_5(&self, id: &str) -> v5::MqttOptions {
        let mut options = v5::MqttOptions::new(id, "127.0.0.1", self.running.mqtt.port());
        options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(Arc::new(
            self.tls(&self.device()),
        ))));
        options
    }

    /// A connected MQTT 3.1.1 client.
    pub(crate) async fn client(&self, id: &str) -> Client {
        let mut client = Client::start(self.options(id));
        assert!(!client.session_present().await);
        client
    }

    /// A connected MQTT 5 client.
    pub(crate) async fn client_5(&self, id: &str) -> Client5 {
        let mut client = Client5::start(self.options_5(id));
        assert!(!client.session_present().await);
        client
    }

    /// One HTTP request on a connection of its own.
    pub(crate) async fn http(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let socket = TcpStream::connect(self.running.http).await.unwrap();
        Answer::of(socket, method, path, headers, body).await
    }

    /// One HTTPS request on a connection of its own, to where MQTT is served.
    pub(crate) async fn https(
        &self,
        tls: rustls::ClientConfig,
        method: &str,
        path: &str,
        body: &str,
    ) -> Answer {
        let socket = TcpStream::connect(self.running.mqtt).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(tls));
        let stream = soon(connector.connect(name, socket)).await.unwrap();
        Answer::of(stream, method, path, "", body).await
    }

    /// The same, for the control plane and successful.
    pub(crate) async fn ok(&self, method: &str, path: &str, body: Value) -> Value {
        let answer = self.http(method, path, "", &body.to_string()).await;
        assert_eq!(answer.status, 200, "{method} {path}: {answer:?}");
        answer.body
    }

    pub(crate) async fn create_job(&self, id: &str) {
        let targets = ["arn:aws:iot:us-east-1:123456789012:thing/t1"];
        let body = serde_json::json!({ "targets": targets, "document": r#"{"operation":"hello"}"# });
        self.ok("PUT", &format!("/jobs/{id}"), body).await;
    }
}

/// A client's TLS for a service of `authority`.
pub(crate) fn tls(authority: &str, identity: &Identity) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()).unwrap();
    let chain = vec![CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .unwrap()
}

/// A response, taken apart.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Value,
}

impl Answer {
    /// The response to one request on a connection.
    async fn of(
        mut stream: impl AsyncRead + AsyncWrite + Unpin,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> Self {
        let length = body.len();
        let host = if headers.starts_with("Host:") { "" } else { "Host: local\r\n" };
        let request = format!(
            "{method} {path} HTTP/1.1\r\n{host}Connection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        soon(stream.read_to_string(&mut text)).await.unwrap();
        Self::parse(&text)
    }

    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").expect("a response has a head");
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        Self { status, headers, body: serde_json::from_str(body).unwrap_or(Value::Null) }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }
}

/// What a client has received on a topic.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Heard {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) qos: u8,
}

impl Heard {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.payload).unwrap()
    }
}

/// An MQTT 3.1.1 client that is polled in the background until its connection ends.
pub(crate) struct Client {
    pub(crate) mqtt: AsyncClient,
    packets: mpsc::UnboundedReceiver<Packet>,
    end: tokio::task::JoinHandle<String>,
}

impl Client {
    pub(crate) fn start(options: MqttOptions) -> Self {
        let (mqtt, mut events) = AsyncClient::new(options, 100);
        let (sender, packets) = mpsc::unbounded_channel();
        let end = tokio::spawn(async move {
            loop {
                match events.poll().await {
                    Ok(Event::Incoming(packet)) => {
                        if sender.send(packet).is_err() {
                            return "no longer wanted".to_owned();
                        }
                    }
                    Ok(Event::Outgoing(_)) => {}
                    Err(error) => return format!("{error:?}"),
                }
            }
        });
        Self { mqtt, packets, end }
    }

    async fn packet(&mut self) -> Packet {
        match soon(self.packets.recv()).await {
            Some(packet) => packet,
            None => panic!("the connection has ended: {}", (&mut self.end).await.unwrap()),
        }
    }

    pub(crate) async fn session_present(&mut self) -> bool {
        loop {
            if let Packet::ConnAck(answer) = self.packet().await {
                return answer.session_present;
            }
        }
    }

    pub(crate) async fn subscribe(&mut self, filter: &str, qos: QoS) {
        self.mqtt.subscribe(filter, qos).await.unwrap();
        loop {
            if let Packet::SubAck(_) = self.packet().await {
                return;
            }
        }
    }

    pub(crate) async fn publish(&self, topic: &str, qos: QoS, payload: &str) {
        self.mqtt.publish(topic, qos, false, payload).await.unwrap();
    }

    /// The next message.
    pub(crate) async fn hear(&mut self) -> Heard {
        loop {
            if let Packet::Publish(publish) = self.packet().await {
                let payload = publish.payload.to_vec();
                return Heard { topic: publish.topic, payload, qos: publish.qos as u8 };
            }
        }
    }

    /// Nothing more than has been heard comes before what is published now to this very client.
    pub(crate) async fn hears_nothing_else(&mut self, own: &str) {
        self.subscribe(own, QoS::AtMostOnce).await;
        self.publish(own, QoS::AtMostOnce, "end").await;
        assert_eq!(self.hear().await.topic, own);
    }

    /// Waits for the end of the connection and tells how it came.
    pub(crate) async fn ended(self) -> String {
        soon(self.end).await.unwrap()
    }
}

/// An MQTT 5 client that is polled in the background until its connection ends.
pub(crate) struct Client5 {
    pub(crate) mqtt: v5::AsyncClient,
    packets: mpsc::UnboundedReceiver<v5::Incoming>,
    end: tokio::task::JoinHandle<v5::ConnectionError>,
}

impl Client5 {
    pub(crate) fn start(options: v5::MqttOptions) -> Self {
        let (mqtt, mut events) = v5::AsyncClient::new(options, 100);
        let (sender, packets) = mpsc::unbounded_channel();
        let end = tokio::spawn(async move {
            loop {
                match events.poll().await {
                    // Nobody listens any more, which is the test's business.
                    Ok(v5::Event::Incoming(packet)) => drop(sender.send(packet)),
                    Ok(v5::Event::Outgoing(_)) => {}
                    Err(error) => return error,
                }
            }
        });
        Self { mqtt, packets, end }
    }

    pub(crate) async fn packet(&mut self) -> v5::Incoming {
        match soon(self.packets.recv()).await {
            Some(packet) => packet,
            None => panic!("the connection has ended: {:?}", (&mut self.end).await.unwrap()),
        }
    }

    pub(crate) async fn session_present(&mut self) -> bool {
        loop {
            if let v5::Incoming::ConnAck(answer) = self.packet().await {
                return answer.session_present;
            }
        }
    }

    pub(crate) async fn subscribe(&mut self, filter: &str) {
        self.mqtt.subscribe(filter, v5::mqttbytes::QoS::AtLeastOnce).await.unwrap();
        loop {
            if let v5::Incoming::SubAck(_) = self.packet().await {
                return;
            }
        }
    }

    pub(crate) async fn publish(&self, topic: &str, payload: &'static str) {
        self.mqtt.publish(topic, v5::mqttbytes::QoS::AtLeastOnce, false, payload).await.unwrap();
    }

    /// The next message.
    pub(crate) async fn hear(&mut self) -> Heard {
        loop {
            if let v5::Incoming::Publish(publish) = self.packet().await {
                let topic = String::from_utf8(publish.topic.to_vec()).unwrap();
                return Heard { topic, payload: publish.payload.to_vec(), qos: publish.qos as u8 };
            }
        }
    }

    /// Waits for the end of the connection and tells how it came.
    pub(crate) async fn ended(self) -> v5::ConnectionError {
        soon(self.end).await.unwrap()
    }
}
