//! A relay between daemon and service that notes when each publication passes. It speaks TLS to both with the
//! certificates of the desk and hands every packet on as it is, at once.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, mpsc};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::clock::Moment;
use super::mqtt::{self, Publish};
use crate::error::TaskError;

/// Where a publication was going.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    ToService,
    ToDevice,
}

/// A publication that has passed.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// When it was complete here, before it was handed on.
    pub(super) at: Moment,
    pub(super) direction: Direction,
    pub(super) publish: Publish,
}

/// A running relay. Its thread ends with the process.
#[derive(Debug)]
pub(super) struct Relay {
    /// Where the daemon finds it.
    pub(super) port: u16,
    seen: mpsc::Receiver<Seen>,
}

/// How both sides are spoken to.
#[derive(Clone)]
struct Sides {
    acceptor: TlsAcceptor,
    connector: TlsConnector,
    service: SocketAddr,
}

impl Relay {
    /// Starts a relay to the service on `port`, with the files that `fleethand-local init` has made in `desk`.
    pub(super) fn start(desk: &Path, port: u16) -> Result<Self, TaskError> {
        let sides = Sides {
            acceptor: TlsAcceptor::from(Arc::new(
                as_server(desk).map_err(TaskError::io("set up the relay"))?,
            )),
            connector: TlsConnector::from(Arc::new(
                as_client(desk).map_err(TaskError::io("set up the relay"))?,
            )),
            service: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        };
        let failed = || TaskError::io("start the relay");
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed())?;
        listener.set_nonblocking(true).map_err(failed())?;
        let port = listener.local_addr().map_err(failed())?.port();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed())?;
        let (sender, seen) = mpsc::channel();
        std::thread::spawn(move || runtime.block_on(accept(listener, sides, sender)));
        Ok(Self { port, seen })
    }

    /// The next publication that has passed, if there is one.
    pub(super) fn next(&self) -> Option<Seen> {
        self.seen.try_recv().ok()
    }

    /// Forgets what has passed so far.
    pub(super) fn forget(&self) {
        while self.next().is_some() {}
    }
}

async fn accept(listener: std::net::TcpListener, sides: Sides, seen: mpsc::Sender<Seen>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    while let Ok((socket, _)) = listener.accept().await {
        let (sides, seen) = (sides.clone(), seen.clone());
        tokio::spawn(async move {
            // A connection that breaks is told to the daemon by its end, and the daemon's log says what it made of it.
            let _ = relay(socket, &sides, &seen).await;
        });
    }
}

async fn relay(device: TcpStream, sides: &Sides, seen: &mpsc::Sender<Seen>) -> io::Result<()> {
    device.set_nodelay(true)?;
    let device = sides.acceptor.accept(device).await?;
    let service = TcpStream::connect(sides.service).await?;
    service.set_nodelay(true)?;
    let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
    let service = sides.connector.connect(name, service).await?;
    let (mut from_device, mut to_device) = tokio::io::split(device);
    let (mut from_service, mut to_service) = tokio::io::split(service);
    tokio::select! {
        ended = carry(&mut from_device, &mut to_service, Direction::ToService, seen) => ended,
        ended = carry(&mut from_service, &mut to_device, Direction::ToDevice, seen) => ended,
    }
}

/// Hands packets on until one side ends.
async fn carry(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    direction: Direction,
    seen: &mpsc::Sender<Seen>,
) -> io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        while let Some(packet) = mqtt::first(&buffer).map_err(|_| io::ErrorKind::InvalidData)? {
            if let Some(publish) = packet.publish {
                // The bench that listened is at its end.
                let _ = seen.send(Seen { at: Moment::now(), direction, publish });
            }
            to.write_all(&buffer[..packet.length]).await?;
            to.flush().await?;
            buffer.drain(..packet.length);
        }
        if from.read_buf(&mut buffer).await? == 0 {
            return to.shutdown().await;
        }
    }
}

fn as_server(desk: &Path) -> io::Result<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(vec![certificate(&desk.join("server.pem"))?], key(&desk.join("server.key"))?)
        .map_err(io::Error::other)
}

fn as_client(desk: &Path) -> io::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate(&desk.join("ca.pem"))?).map_err(io::Error::other)?;
    let device = desk.join("agent");
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_client_auth_cert(
            vec![certificate(&device.join("device.pem"))?],
            key(&device.join("device.key"))?,
        )
        .map_err(io::Error::other)
}

fn certificate(path: &Path) -> io::Result<CertificateDer<'static>> {
    CertificateDer::from_pem_file(path).map_err(io::Error::other)
}

fn key(path: &Path) -> io::Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(path).map_err(io::Error::other)
}
