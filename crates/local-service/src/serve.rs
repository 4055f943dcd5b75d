//! Starting and stopping: sockets bound, the engine running, connections let in.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt;
use jobs_protocol::ThingName;
use rustls::ServerConfig;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::broker::connection;
use crate::broker::hub::ConnectionId;
use crate::broker::tls::{TlsError, server_config};
use crate::clock::{Clock, Millis};
use crate::engine::{Engine, Event, Management};
use crate::faults::{FaultPlan, Faults, InvalidPlan};
use crate::http;
use crate::jobs::{JobsTap, Plane, Refusal};
use crate::pki::{self, Identity, InitError};
use crate::service::Jobs;

/// Time that clients get to notice that the service stops.
const STOPPING: Duration = Duration::from_secs(2);
/// Pause after the system refused a connection, which it does when descriptors are used up.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What the service is started with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Certificate of the authority that signed the devices' certificates, in PEM.
    pub authority: String,
    /// The server's certificate and key.
    pub server: Identity,
    /// Things that are registered from the beginning.
    pub things: Vec<ThingName>,
    /// Where MQTT over TLS is served; port 0 takes a free one.
    pub mqtt: SocketAddr,
    /// Where HTTP is served; port 0 takes a free one.
    pub http: SocketAddr,
    /// A clock that stands still until it is moved: for tests that must not wait for minutes.
    pub virtual_clock: bool,
    /// Faults from the beginning.
    pub faults: FaultPlan,
}

/// Why the service does not run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The files of `init` are not all there, or cannot be read.
    #[error("the directory is not ready: `init` makes what is missing")]
    Directory(#[from] InitError),
    /// A PEM file is not what it should be.
    #[error("cannot serve TLS")]
    Tls(#[from] TlsError),
    /// An address is taken, or not ours.
    #[error("cannot listen on {address} for {purpose}")]
    Bind {
        /// As it was asked for.
        address: SocketAddr,
        /// MQTT or HTTP.
        purpose: &'static str,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The rules for faults cannot be followed.
    #[error("the rules for faults cannot be followed")]
    Faults(#[from] InvalidPlan),
    /// A thing could not be registered.
    #[error("cannot register thing {thing}: {message}")]
    Thing {
        /// Its name.
        thing: ThingName,
        /// What the service said.
        message: String,
    },
}

/// The service, running in the background of the runtime it was started in. Dropping it stops it without a word to
/// its clients.
#[derive(Debug)]
pub struct Running {
    /// Where MQTT is served.
    pub mqtt: SocketAddr,
    /// Where HTTP is served.
    pub http: SocketAddr,
    events: mpsc::Sender<Event>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Options {
    /// On free ports of the loopback address, without anything that has to be asked for.
    #[must_use]
    pub fn new(authority: String, server: Identity, things: Vec<ThingName>) -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            authority,
            server,
            things,
            mqtt: any,
            http: any,
            virtual_clock: false,
            faults: FaultPlan::default(),
        }
    }

    /// Options for a directory that `init` has made, with all the things in it.
    pub fn of_directory(directory: &Path) -> Result<Self, InitError> {
        let files = pki::server_files(directory)?;
        let things = pki::things(directory)?;
        let server = Identity { certificate: files.certificate, key: files.key };
        Ok(Self::new(files.authority, server, things))
    }
}

/// Starts the service in the current tokio runtime.
pub async fn start(options: Options) -> Result<Running, StartError> {
    let jobs = registered(&options.things)?;
    let faults = Faults::new(options.faults)?;
    let clock = if options.virtual_clock { Clock::held(Millis(0)) } else { Clock::real() };
    let tls = server_config(
        options.authority.as_bytes(),
        options.server.certificate.as_bytes(),
        options.server.key.as_bytes(),
    )?;
    let (mqtt, mqtt_address) = bind(options.mqtt, "MQTT").await?;
    let (http, http_address) = bind(options.http, "HTTP").await?;
    let (engine, events) = Engine::new(jobs, clock, faults);
    let (stop, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    tasks.spawn(engine.run());
    tasks.spawn(accept(mqtt, tls, events.clone(), stopped.clone()));
    tasks.spawn(serve_http(http, events.clone(), stopped));
    tracing::info!(mqtt = %mqtt_address, http = %http_address, "The Jobs service is up");
    Ok(Running { mqtt: mqtt_address, http: http_address, events, stop, tasks })
}

impl Running {
    /// Calls an operation of the control plane, as an HTTP client would.
    ///
    /// `params` is an object of the operation's members, wherever they travel by HTTP.
    pub async fn control(&self, operation: &str, params: Value) -> Result<Value, Refusal> {
        let (answer, outcome) = oneshot::channel();
        let operation = operation.to_owned();
        self.tell(Event::Call { plane: Plane::Control, operation, params, answer }, outcome).await
    }

    /// Follows other rules for faults from now on; `FaultPlan::default()` has none.
    pub async fn set_faults(&self, plan: FaultPlan) -> Result<(), Refusal> {
        self.manage(Management::SetFaults(plan)).await.map(drop)
    }

    /// The rules for faults, with how often each was met (`matched`) and has acted (`acted`).
    pub async fn faults(&self) -> Result<Value, Refusal> {
        self.manage(Management::ShowFaults).await
    }

    /// Moves the virtual clock on; what falls due on the way happens before this returns. Clients count as alive, unless
    /// they are to be `silent`.
    pub async fn advance(&self, span: Duration, silent: bool) -> Result<(), Refusal> {
        self.manage(Management::Advance { span, silent }).await.map(drop)
    }

    async fn manage(&self, what: Management) -> Result<Value, Refusal> {
        let (answer, outcome) = oneshot::channel();
        self.tell(Event::Manage { what, answer }, outcome).await
    }

    async fn tell(
        &self,
        event: Event,
        outcome: oneshot::Receiver<Result<Value, Refusal>>,
    ) -> Result<Value, Refusal> {
        self.events.send(event).await.map_err(|_| Refusal::stopping())?;
        outcome.await.map_err(|_| Refusal::stopping())?
    }

    /// Tells the clients and ends; returns when everything has ended.
    pub async fn stop(mut self) {
        if self.stop.send(true).is_err() || self.events.send(Event::Stop).await.is_err() {
            tracing::debug!("Parts of the service had ended before");
        }
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(STOPPING, all).await.is_err() {
            tracing::debug!("Some connections are cut");
        }
        self.tasks.shutdown().await;
    }
}

fn registered(things: &[ThingName]) -> Result<Jobs, StartError> {
    let mut jobs = Jobs::new();
    for thing in things {
        let params = serde_json::json!({ "thingName": thing.as_str() });
        jobs.call(Plane::Control, "CreateThing", params, Millis::now())
            .outcome
            .map_err(|refusal| StartError::Thing { thing: thing.clone(), message: refusal.message })?;
    }
    Ok(jobs)
}

async fn bind(address: SocketAddr, purpose: &'static str) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Bind { address, purpose, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

async fn accept(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    events: mpsc::Sender<Event>,
    mut stopped: watch::Receiver<bool>,
) {
    let acceptor = TlsAcceptor::from(tls);
    let mut connections = JoinSet::new();
    let mut last = 0;
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => {
                    last += 1;
                    let connection = ConnectionId(last);
                    connections.spawn(connection::serve(socket, acceptor.clone(), connection, events.clone()));
                }
                Err(error) => {
                    tracing::warn!("Cannot accept a connection: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
            // An error says that the handle was dropped, which stops the service as well.
            _ = stopped.changed() => break,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn serve_http(listener: TcpListener, events: mpsc::Sender<Event>, mut stopped: watch::Receiver<bool>) {
    let listener = listener.tap_io(|socket| {
        if let Err(error) = socket.set_nodelay(true) {
            tracing::debug!("Small answers may be late: {error}");
        }
    });
    let server = axum::serve(listener, http::router(events)).with_graceful_shutdown(async move {
        // An error says that the handle was dropped, which stops the service as well.
        let _ = stopped.changed().await;
    });
    if let Err(error) = server.await {
        tracing::error!("HTTP is no longer served: {error}");
    }
}
