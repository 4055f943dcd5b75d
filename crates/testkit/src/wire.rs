//! A wire between daemon and service that a test holds in its hands: it can put a message on it that the service
//! would never send, and cut it. Everything else passes as it is.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use local_service::pki::{Identity, Validity};

use crate::desk::Desk;
use crate::patience::eventually;

/// How many packets may wait for a side that does not read.
const QUEUE: usize = 1000;

/// Where packets for the daemon go, while it is connected.
type ToDevice = Arc<Mutex<Option<mpsc::Sender<Vec<u8>>>>>;

/// A wire. It is cut with the value.
#[derive(Debug)]
pub struct Wire {
    port: u16,
    to_device: ToDevice,
    cut: watch::Sender<u64>,
}

#[derive(Clone)]
struct Ends {
    acceptor: TlsAcceptor,
    connector: TlsConnector,
    service: SocketAddr,
    to_device: ToDevice,
    cut: watch::Receiver<u64>,
}

impl Wire {
    /// Lays a wire to this service, which must live as long as the wire is used.
    #[must_use]
    pub fn to(desk: &Desk) -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        listener.set_nonblocking(true).expect("it is our socket");
        let port = listener.local_addr().expect("it is bound").port();
        let (cut, cuts) = watch::channel(0);
        let to_device = ToDevice::default();
        let server =
            desk.authority().server(&["localhost"], Validity::Long).expect("a certificate can be made");
        let ends = Ends {
            acceptor: TlsAcceptor::from(Arc::new(as_server(&server))),
            connector: TlsConnector::from(Arc::new(as_client(desk))),
            service: desk.mqtt(),
            to_device: Arc::clone(&to_device),
            cut: cuts,
        };
        desk.spawn(accept(listener, ends));
        Self { port, to_device, cut }
    }

    /// Where the daemon has to connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Publishes to the daemon, at QoS 0. Waits until it is connected.
    pub fn say(&self, topic: &str, payload: &[u8]) {
        let packet = publish(topic, payload);
        eventually(
            "the daemon is connected by the wire",
            || "it is not".to_owned(),
            || {
                let sender = self.to_device.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
                sender.try_send(packet.clone()).ok()
            },
        );
    }

    /// Cuts the connection that there is. The next one will pass.
    pub fn cut(&self) {
        self.cut.send_modify(|times| *times += 1);
    }
}

/// A PUBLISH at QoS 0 (MQTT 3.1.1, section 3.3).
fn publish(topic: &str, payload: &[u8]) -> Vec<u8> {
    let topic_length = u16::try_from(topic.len()).expect("topics of tests are short");
    let mut packet = vec![0x30];
    let mut remaining = 2 + topic.len() + payload.len();
    loop {
        let low = u8::try_from(remaining % 128).expect("a remainder is small");
        remaining /= 128;
        packet.push(if remaining > 0 { low | 0x80 } else { low });
        if remaining == 0 {
            break;
        }
    }
    packet.extend(topic_length.to_be_bytes());
    packet.extend(topic.as_bytes());
    packet.extend(payload);
    packet
}

/// Length of the first packet in the buffer, if it is all there (section 2.2).
fn first_packet(buffer: &[u8]) -> Option<usize> {
    let mut remaining = 0;
    for (index, &byte) in buffer.iter().skip(1).take(4).enumerate() {
        remaining |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let length = 2 + index + remaining;
            return (buffer.len() >= length).then_some(length);
        }
    }
    None
}

async fn accept(listener: std::net::TcpListener, ends: Ends) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    while let Ok((socket, _)) = listener.accept().await {
        let mut ends = ends.clone();
        ends.cut.mark_unchanged();
        tokio::spawn(async move {
            // How a connection ends is what the test is about; the daemon's log tells its side.
            let _ = pass(socket, &mut ends).await;
        });
    }
}

async fn pass(device: TcpStream, ends: &mut Ends) -> io::Result<()> {
    device.set_nodelay(true)?;
    let device = ends.acceptor.accept(device).await?;
    let service = TcpStream::connect(ends.service).await?;
    service.set_nodelay(true)?;
    let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
    let service = ends.connector.connect(name, service).await?;
    let (mut from_device, mut to_device) = tokio::io::split(device);
    let (mut from_service, mut to_service) = tokio::io::split(service);
    let (sender, mut packets) = mpsc::channel::<Vec<u8>>(QUEUE);
    tokio::select! {
        // First of all: what was sent after the cut must not pass. An error says that the wire itself is gone, which
        // cuts it as well.
        biased;
        _ = ends.cut.changed() => Ok(()),
        ended = upstream(&mut from_device, &mut to_service) => ended,
        ended = packetwise(&mut from_service, &sender, &ends.to_device) => ended,
        ended = write_all(&mut packets, &mut to_device) => ended,
    }
}

async fn upstream(from: &mut (impl AsyncRead + Unpin), to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    tokio::io::copy(from, to).await?;
    to.shutdown().await
}

/// Takes whole packets, so that others can be put between them, once the first one has passed: the answer to CONNECT.
async fn packetwise(
    from: &mut (impl AsyncRead + Unpin),
    packets: &mpsc::Sender<Vec<u8>>,
    to_device: &ToDevice,
) -> io::Result<()> {
    let mut buffer = Vec::new();
    while from.read_buf(&mut buffer).await? > 0 {
        while let Some(length) = first_packet(&buffer) {
            let rest = buffer.split_off(length);
            let packet = std::mem::replace(&mut buffer, rest);
            packets.send(packet).await.map_err(io::Error::other)?;
            *to_device.lock().unwrap_or_else(PoisonError::into_inner) = Some(packets.clone());
        }
    }
    Ok(())
}

async fn write_all(
    packets: &mut mpsc::Receiver<Vec<u8>>,
    to: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    while let Some(packet) = packets.recv().await {
        to.write_all(&packet).await?;
        to.flush().await?;
    }
    Ok(())
}

fn as_server(identity: &Identity) -> ServerConfig {
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has the default versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate(&identity.certificate)], key(identity))
        .expect("certificate and key belong together")
}

fn as_client(desk: &Desk) -> ClientConfig {
    let identity = desk.device("wire");
    let mut roots = RootCertStore::empty();
    roots.add(certificate(desk.authority().certificate())).expect("it is an authority's");
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider has the default versions")
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate(&identity.certificate)], key(&identity))
        .expect("certificate and key belong together")
}

fn certificate(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("we made it")
}

fn key(identity: &Identity) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).expect("we made it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_that_is_said_is_a_whole_packet() {
        for size in [0, 1, 120, 130, 20_000] {
            let packet = publish("a/b", &vec![b'x'; size]);
            assert_eq!(first_packet(&packet), Some(packet.len()), "{size}");
            assert_eq!(first_packet(&packet[..packet.len() - 1]), None, "{size}");
        }
    }
}
