//! Starting and stopping: state found or made, sockets bound, the engine running, connections let in.

use std::net::SocketAddr;
use std::time::Duration;

use jobs_protocol::ThingName;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::broker::connection::ConnectionIds;
use crate::broker::hub::Hub;
use crate::broker::tls::{TlsError, server_config};
use crate::clock::{Clock, Millis};
use crate::documents::Documents;
use crate::engine::{Engine, Event, Management, Parts};
use crate::faults::{FaultPlan, Faults, InvalidPlan};
use crate::http::{Front, objects};
use crate::jobs::{Plane, Refusal};
use crate::listen;
use crate::options::Options;
use crate::pki::{Authority, Identity, InitError};
use crate::restore::{Restored, restore};
use crate::service::Jobs;
use crate::store::StoreError;

/// Time that clients get to notice that the service stops.
const STOPPING: Duration = Duration::from_secs(2);

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
    /// The state on disk cannot be used.
    #[error("cannot go on with the state on disk")]
    Store(#[from] StoreError),
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
    /// Where MQTT is served: the first of the addresses.
    pub mqtt: SocketAddr,
    /// The further addresses of MQTT, in the order of the options.
    pub also_mqtt: Vec<SocketAddr>,
    /// Where HTTP is served.
    pub http: SocketAddr,
    events: mpsc::Sender<Event>,
    stop: watch::Sender<bool>,
    failure: oneshot::Receiver<StoreError>,
    tasks: JoinSet<()>,
}

/// Starts the service in the current tokio runtime.
pub async fn start(options: Options) -> Result<Running, StartError> {
    let faults = Faults::new(options.faults)?;
    let tls = server_config(
        options.authority.as_bytes(),
        options.server.certificate.as_bytes(),
        options.server.key.as_bytes(),
    )?;
    let (first, mqtt) = listen::bind(options.mqtt, "MQTT").await?;
    let mut listeners = vec![first];
    let mut also_mqtt = Vec::new();
    for address in options.also_mqtt {
        let (listener, bound) = listen::bind(address, "MQTT").await?;
        listeners.push(listener);
        also_mqtt.push(bound);
    }
    let (http_listener, http) = listen::bind(options.http, "HTTP").await?;
    let objects = format!("http://{http}{}", objects::PREFIX);
    let Restored { jobs, hub, store, latest } = match options.data {
        Some(directory) => restore(&directory, objects, options.strict_details)?,
        None => Restored {
            jobs: Jobs::new(objects, options.strict_details),
            hub: Hub::default(),
            store: None,
            latest: Millis(0),
        },
    };
    let clock = if options.virtual_clock { Clock::held(latest) } else { Clock::real() };
    let documents = Documents::new(options.documents);
    let authority =
        options.authority_key.map(|key| Authority::load(Identity { certificate: options.authority, key }));
    let authority = authority.transpose().map_err(InitError::from)?;
    let parts = Parts { hub, jobs, faults, clock, store, documents: documents.clone(), authority };
    let (mut engine, events) = Engine::new(parts);
    for thing in &options.things {
        engine.register(thing).map_err(|refusal| {
            let message = refusal.message;
            StartError::Thing { thing: thing.clone(), message }
        })?;
    }
    engine.flush()?;
    let (stop, stopped) = watch::channel(false);
    let (fail, failure) = oneshot::channel();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        if let Err(error) = engine.run().await {
            // Nobody may want to know.
            let _ = fail.send(error);
        }
    });
    let (https, handed) = mpsc::channel(1);
    let loopback = http.ip().is_loopback();
    if !loopback {
        tracing::warn!(%http, "Whoever reaches this address can make jobs: no signature is checked");
    }
    let ids = ConnectionIds::default();
    let front = Front { events: events.clone(), documents, ids: ids.clone(), plane: None, loopback };
    tasks.spawn(listen::accept(
        listeners,
        tls,
        events.clone(),
        https,
        ids,
        options.policies,
        stopped.clone(),
    ));
    tasks.spawn(listen::serve_https(handed, front.clone(), stopped.clone()));
    tasks.spawn(listen::serve_http(http_listener, front, stopped));
    tracing::info!(%mqtt, %http, "The Jobs service is up");
    Ok(Running { mqtt, also_mqtt, http, events, stop, failure, tasks })
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

    /// Returns when the service has had to give up because something could not be saved; otherwise never.
    pub async fn failed(&mut self) -> StoreError {
        match (&mut self.failure).await {
            Ok(error) => error,
            // It has ended as it was told to.
            Err(_) => std::future::pending().await,
        }
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
