//! The device's side over MQTT: requests that wait for their answers, and news that come by themselves. A thread of its
//! own holds the connection, so that it lives while somebody types.

mod news;
mod worker;

use std::io;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use jobs_protocol::topic::RequestTopic;
use jobs_protocol::{ExecutionStatus, ThingName};
use mqtt_link::{InvalidSettings, NotSent, Settings};
use serde_json::{Map, Value};

use crate::json::Json;
pub(crate) use news::{Event, News, filters};

/// How long an answer is waited for.
const ANSWER: Duration = Duration::from_secs(30);
/// Requests that may wait for the connection's thread; nobody asks faster than one person types.
const WAITING: usize = 16;

/// A connection of the device. Dropping it ends it in order.
#[derive(Debug)]
pub(crate) struct Device {
    asks: Option<tokio::sync::mpsc::Sender<Ask>>,
    thread: Option<JoinHandle<()>>,
}

/// Why a request has no answer, or not the one that was wanted.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum DeviceError {
    #[error("not connected: {reason}")]
    NotConnected { reason: String },
    #[error(
        "{operation}: the connection was lost before the answer came; it may have been done or not: {reason}"
    )]
    Lost { operation: &'static str, reason: String },
    #[error("{operation}: no answer within {} s; it may have been done or not", ANSWER.as_secs())]
    NoAnswer { operation: &'static str },
    #[error("{operation} was refused: {refusal}")]
    Refused { operation: &'static str, refusal: Refusal },
    #[error("{operation} could not be sent")]
    NotSent { operation: &'static str, source: NotSent },
    #[error("{operation}: the answer cannot be understood: {why}")]
    Strange { operation: &'static str, why: String },
    #[error("the connection has ended")]
    Ended,
}

/// What the service says when it refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Such as `InvalidStateTransition`; new ones are shown as they are.
    pub(crate) code: String,
    pub(crate) message: String,
    /// The execution's status, where the service tells it.
    pub(crate) status: Option<ExecutionStatus>,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.message)?;
        match self.status {
            Some(status) => write!(f, " (the execution is {status})"),
            None => Ok(()),
        }
    }
}

/// What the connection's thread is asked for.
#[derive(Debug)]
enum Ask {
    /// To say when the first attempt to connect has succeeded or failed.
    Settle(Answer<()>),
    /// To publish a request and hand its answer back.
    Request { request: RequestTopic, body: Map<String, Value>, answer: Answer<Json> },
}

type Answer<T> = mpsc::SyncSender<Result<T, DeviceError>>;

impl Device {
    /// Begins to connect; `tell` is called from the connection's thread, and should not keep it for long.
    pub(crate) fn start(
        settings: Settings,
        thing: ThingName,
        tell: impl FnMut(News) + Send + 'static,
    ) -> Result<Self, StartError> {
        settings.check()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (asks, asked) = tokio::sync::mpsc::channel(WAITING);
        let thread = std::thread::Builder::new().name("device".to_owned()).spawn(move || {
            runtime.block_on(worker::run(settings, thing, asked, tell));
        })?;
        Ok(Self { asks: Some(asks), thread: Some(thread) })
    }

    /// Waits until the first attempt to connect has an outcome.
    pub(crate) fn settle(&self) -> Result<(), DeviceError> {
        let (answer, answered) = mpsc::sync_channel(1);
        self.put(Ask::Settle(answer))?;
        answered.recv().unwrap_or(Err(DeviceError::Ended))
    }

    /// Sends a request and waits for its answer. The client token is added here.
    pub(crate) fn ask(&self, request: RequestTopic, body: Map<String, Value>) -> Result<Json, DeviceError> {
        let (answer, answered) = mpsc::sync_channel(1);
        self.put(Ask::Request { request, body, answer })?;
        answered.recv().unwrap_or(Err(DeviceError::Ended))
    }

    fn put(&self, ask: Ask) -> Result<(), DeviceError> {
        let asks = self.asks.as_ref().ok_or(DeviceError::Ended)?;
        asks.blocking_send(ask).map_err(|_| DeviceError::Ended)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // Without anybody who can ask, the thread says good-bye to the service and ends.
        self.asks = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by the thread itself, and its askers got an error.
            let _ = thread.join();
        }
    }
}

/// Why there can be no connection at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("the connection cannot be set up")]
    Settings(#[from] InvalidSettings),
    #[error("the system gives no thread for the connection")]
    Thread(#[from] io::Error),
}

/// As AWS names it.
pub(crate) fn operation(request: &RequestTopic) -> &'static str {
    match request {
        RequestTopic::GetPending => "GetPendingJobExecutions",
        RequestTopic::StartNext => "StartNextPendingJobExecution",
        RequestTopic::Describe(_) => "DescribeJobExecution",
        RequestTopic::Update(_) => "UpdateJobExecution",
    }
}
