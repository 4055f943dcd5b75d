//! A broker that a test plays by hand, packet by packet, behind real TLS with certificates made for the test.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use mqtt_link::{BackoffSettings, Settings, TlsMaterial};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rumqttc::{
    ConnAck, ConnectReturnCode, Packet, PubAck, Publish, QoS, SubAck, Subscribe, SubscribeReasonCode,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// What is odd about the certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pki {
    Good,
    /// The client trusts another CA.
    OtherRoot,
    /// The server's certificate is for another name.
    OtherName,
    Expired,
    NotYetValid,
    /// The server trusts another CA for clients.
    ClientRefused,
}

pub(crate) struct Broker {
    listener: TcpListener,
    acceptor: TlsAcceptor,
    material: TlsMaterial,
    _files: TempDir,
}

pub(crate) struct Peer {
    stream: TlsStream<TcpStream>,
    buffer: BytesMut,
}

impl Broker {
    pub(crate) async fn start(pki: Pki) -> Self {
        let (ours, other) = (issuer("ours"), issuer("other"));
        let mut server = CertificateParams::new(vec![match pki {
            Pki::OtherName => "other.example".to_owned(),
            Pki::Good | Pki::OtherRoot | Pki::Expired | Pki::NotYetValid | Pki::ClientRefused => {
                "localhost".to_owned()
            }
        }])
        .unwrap();
        if pki == Pki::Expired {
            server.not_after = date_time_ymd(2001, 2, 3);
        }
        if pki == Pki::NotYetValid {
            server.not_before = date_time_ymd(3000, 1, 1);
        }
        let (server_key, client_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let server = server.signed_by(&server_key, &ours).unwrap();
        let client = CertificateParams::new(vec![]).unwrap().signed_by(&client_key, &ours).unwrap();

        let files = tempfile::tempdir().unwrap();
        let write = |name: &str, text: String| {
            let path = files.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            path
        };
        let root = if pki == Pki::OtherRoot { &other } else { &ours };
        let material = TlsMaterial::load(
            Some(&write("ca.pem", root.pem())),
            &write("client.pem", client.pem()),
            &write("client.key", client_key.serialize_pem()),
        )
        .unwrap();

        let client_root = if pki == Pki::ClientRefused { &other } else { &ours };
        let acceptor = acceptor(client_root.der(), server.der().clone(), &server_key);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self { listener, acceptor, material, _files: files }
    }

    /// Settings for a link to this broker that does not wait long between attempts.
    pub(crate) fn settings(&self) -> Settings {
        let port = self.listener.local_addr().unwrap().port();
        let mut settings = Settings::new("localhost", port, "thing-1", self.material.clone());
        settings.backoff.base = Duration::from_millis(20);
        settings.backoff.cap = Duration::from_millis(50);
        settings.filters = vec!["some/+/topic".to_owned()];
        settings
    }

    /// A wait that nobody sits out.
    pub(crate) fn for_ever() -> BackoffSettings {
        let long = Duration::from_secs(1_000_000);
        BackoffSettings { base: long, cap: long, good_after: long }
    }

    pub(crate) async fn tcp(&self) -> TcpStream {
        let (stream, _) = self.listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// The next client, after its handshake.
    pub(crate) async fn accept(&self) -> Peer {
        Peer { stream: self.acceptor.accept(self.tcp().await).await.unwrap(), buffer: BytesMut::new() }
    }

    /// A handshake that must fail; the client is left the time to read why.
    pub(crate) async fn accept_in_vain(&self) {
        let tcp = self.tcp().await;
        if let Err((_, mut tcp)) = self.acceptor.accept(tcp).into_fallible().await {
            tcp.shutdown().await.ok();
            tcp.read_to_end(&mut Vec::new()).await.ok();
        }
    }

    /// A client that has been let in and given all it has subscribed to.
    pub(crate) async fn welcome(&self, filters: usize) -> Peer {
        let mut peer = self.accept().await;
        peer.accept_connect().await;
        peer.grant(filters).await;
        peer
    }
}

impl Peer {
    /// The next packet; `None` when the client has closed.
    pub(crate) async fn read(&mut self) -> Option<Packet> {
        loop {
            if let Ok(packet) = Packet::read(&mut self.buffer, 1 << 20) {
                return Some(packet);
            }
            if !matches!(self.stream.read_buf(&mut self.buffer).await, Ok(1..)) {
                return None;
            }
        }
    }

    pub(crate) async fn write(&mut self, packet: Packet) -> io::Result<()> {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes, 1 << 20).unwrap();
        self.write_bytes(&bytes).await
    }

    pub(crate) async fn write_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    pub(crate) async fn close(mut self) {
        self.stream.shutdown().await.ok();
    }

    pub(crate) async fn accept_connect(&mut self) -> Packet {
        let connect = self.read().await.unwrap();
        assert!(matches!(connect, Packet::Connect(_)), "{connect:?}");
        self.write(connack(ConnectReturnCode::Success)).await.unwrap();
        connect
    }

    pub(crate) async fn read_subscribe(&mut self) -> Subscribe {
        match self.read().await {
            Some(Packet::Subscribe(subscribe)) => subscribe,
            other => panic!("no SUBSCRIBE but {other:?}"),
        }
    }

    pub(crate) async fn grant(&mut self, filters: usize) -> Vec<usize> {
        let mut sizes = Vec::new();
        while sizes.iter().sum::<usize>() < filters {
            let subscribe = self.read_subscribe().await;
            let granted = SubscribeReasonCode::Success(QoS::AtLeastOnce);
            let codes = vec![granted; subscribe.filters.len()];
            self.write(Packet::SubAck(SubAck::new(subscribe.pkid, codes))).await.unwrap();
            sizes.push(subscribe.filters.len());
        }
        sizes
    }

    pub(crate) async fn send(&mut self, id: u16, payload: Vec<u8>) -> io::Result<()> {
        let mut message = Publish::new("some/news/topic", QoS::AtLeastOnce, payload);
        message.pkid = id;
        self.write(Packet::Publish(message)).await
    }

    pub(crate) async fn read_publish(&mut self) -> Publish {
        match self.read().await {
            Some(Packet::Publish(publish)) => {
                self.write(Packet::PubAck(PubAck::new(publish.pkid))).await.unwrap();
                publish
            }
            other => panic!("no PUBLISH but {other:?}"),
        }
    }

    /// Reads until nothing comes any more.
    pub(crate) async fn read_to_end(&mut self) {
        while self.read().await.is_some() {}
    }
}

pub(crate) fn connack(code: ConnectReturnCode) -> Packet {
    Packet::ConnAck(ConnAck::new(code, false))
}

/// A CA; two of one name would be told apart only by their signatures.
fn issuer(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn acceptor(
    client_root: &CertificateDer<'_>,
    certificate: CertificateDer<'static>,
    key: &KeyPair,
) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(client_root.clone().into_owned()).unwrap();
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}
