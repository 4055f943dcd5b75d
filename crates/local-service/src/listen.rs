//! Listening: TCP for MQTT over TLS and for HTTP, and HTTP on the TLS listener for devices that ask for it by ALPN.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, ListenerExt};
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::broker::connection::{self, ConnectionIds};
use crate::broker::shown::Shown;
use crate::engine::Event;
use crate::http::{self, Front};
use crate::jobs::Plane;
use crate::rewound::Rewound;
use crate::serve::StartError;

/// Pause after the system refused a connection, which it does when descriptors are used up.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A connection over TLS that speaks HTTP, and who is at its other end.
#[derive(Debug)]
pub(crate) struct Https {
    pub(crate) stream: Rewound<TlsStream<TcpStream>>,
    pub(crate) shown: Shown,
}

pub(crate) async fn bind(
    address: SocketAddr,
    purpose: &'static str,
) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Bind { address, purpose, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Lets devices in, on all listeners, until it is told to stop.
pub(crate) async fn accept(
    listeners: Vec<TcpListener>,
    tls: Arc<ServerConfig>,
    events: mpsc::Sender<Event>,
    https: mpsc::Sender<Https>,
    ids: ConnectionIds,
    policies: Option<PathBuf>,
    mut stopped: watch::Receiver<bool>,
) {
    let acceptor = TlsAcceptor::from(tls);
    let policies: Option<Arc<Path>> = policies.map(Into::into);
    let (sockets, mut accepted) = mpsc::channel(1);
    let mut accepting: JoinSet<()> =
        listeners.into_iter().map(|listener| accept_on(listener, sockets.clone())).collect();
    drop(sockets);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            Some(socket) = accepted.recv() => {
                let (acceptor, events, https) = (acceptor.clone(), events.clone(), https.clone());
                let (id, policies) = (ids.next(), policies.clone());
                connections.spawn(connection::serve(socket, acceptor, id, events, https, policies));
            }
            Some(_) = connections.join_next() => {}
            // An error says that the handle was dropped, which stops the service as well.
            _ = stopped.changed() => break,
        }
    }
    accepting.shutdown().await;
    while connections.join_next().await.is_some() {}
}

async fn accept_on(listener: TcpListener, sockets: mpsc::Sender<TcpStream>) {
    loop {
        match listener.accept().await {
            Ok((socket, _)) => {
                if sockets.send(socket).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!("Cannot accept a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves the AWS API on plain HTTP.
pub(crate) async fn serve_http(listener: TcpListener, front: Front, mut stopped: watch::Receiver<bool>) {
    let listener = listener.tap_io(|socket| {
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!("Small answers may be late: {error}");
        }
    });
    let server = axum::serve(listener, http::router(front)).with_graceful_shutdown(async move {
        // An error says that the handle was dropped, which stops the service as well.
        let _ = stopped.changed().await;
    });
    if let Err(error) = server.await {
        tracing::error!("HTTP is no longer served: {error}");
    }
}

/// Serves the data plane to devices that speak HTTP with their certificate.
pub(crate) async fn serve_https(
    handed: mpsc::Receiver<Https>,
    front: Front,
    mut stopped: watch::Receiver<bool>,
) {
    let front = Front { plane: Some(Plane::Data), loopback: false, ..front };
    let service = http::router(front).into_make_service_with_connect_info::<Shown>();
    let server = axum::serve(Handed(handed), service).with_graceful_shutdown(async move {
        let _ = stopped.changed().await;
    });
    if let Err(error) = server.await {
        tracing::error!("HTTP with certificates is no longer served: {error}");
    }
}

/// Connections whose handshake is done.
struct Handed(mpsc::Receiver<Https>);

impl axum::serve::Listener for Handed {
    type Io = Rewound<TlsStream<TcpStream>>;
    type Addr = Shown;

    async fn accept(&mut self) -> (Self::Io, Shown) {
        match self.0.recv().await {
            Some(Https { stream, shown }) => (stream, shown),
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<Shown> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
}

impl Connected<IncomingStream<'_, Handed>> for Shown {
    fn connect_info(stream: IncomingStream<'_, Handed>) -> Self {
        stream.remote_addr().clone()
    }
}
