//! The link as its user holds it, and the task behind it that goes from one connection to the next.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::backoff::Backoff;
use crate::connection::{self, Outlet};
use crate::error::LinkError;
use crate::settings::{InvalidSettings, MAX_PAYLOAD, Settings};

/// Events that may wait for the user; with packets of at most 160 KiB this is what a flood can take.
const INCOMING_QUEUE: usize = 8;
/// How long closing waits for what is still to be sent.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

/// What a link tells.
#[derive(Debug)]
pub enum LinkEvent {
    /// Connected, and every subscription has been granted. Messages published from now on are sent.
    Up {
        /// The TCP port that was reached.
        port: u16,
    },
    /// There is no connection: it was lost, or an attempt has failed.
    Down {
        /// Why.
        reason: LinkError,
        /// When the next attempt begins, from now.
        retry_in: Duration,
    },
    /// A message for one of the filters. It may come twice, as `QoS` 1 says.
    Message {
        /// Its topic.
        topic: String,
        /// Its payload.
        payload: Vec<u8>,
    },
}

/// Why a message was not taken. Nothing has been sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// There is no connection.
    #[error("there is no connection")]
    Down,
    /// As many messages wait to be written as may; the network is slower than the caller.
    #[error("too many messages wait to be sent")]
    QueueFull,
    /// Longer than [`MAX_PAYLOAD`].
    #[error("a payload of {size} bytes is larger than the limit of {MAX_PAYLOAD}")]
    TooLarge {
        /// Its length in bytes.
        size: usize,
    },
    /// Empty, too long, or with a wildcard.
    #[error("not a topic that can be published to")]
    InvalidTopic,
}

/// What the task says to the link; the way out of a connection comes with the news that it is there, so that
/// both change in one order.
#[derive(Debug)]
pub(crate) enum Signal {
    Up { outlet: Outlet, port: u16 },
    Down { reason: LinkError, retry_in: Duration },
    Message { topic: String, payload: Vec<u8> },
}

/// A connection that stays. Dropping it ends the connection without a DISCONNECT.
#[derive(Debug)]
pub struct Link {
    signals: mpsc::Receiver<Signal>,
    retry: mpsc::Sender<()>,
    outlet: Option<Outlet>,
    task: JoinHandle<()>,
}

impl Link {
    /// Begins to connect, at once and then for ever.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time.
    pub fn start(settings: Settings) -> Result<Self, InvalidSettings> {
        settings.check()?;
        let routes =
            settings.ports().map(|(port, alpn)| Route { port, tls: settings.tls.config(alpn) }).collect();
        let (signal, signals) = mpsc::channel(INCOMING_QUEUE);
        let (retry, retries) = mpsc::channel(1);
        let task = tokio::spawn(keep_up(settings, routes, signal, retries));
        Ok(Self { signals, retry, outlet: None, task })
    }

    /// Waits for the next event. Cancel safe: an event is lost by no drop of this future.
    ///
    /// # Panics
    /// If the task of the link has panicked.
    pub async fn next_event(&mut self) -> LinkEvent {
        let signal = self.signals.recv().await.expect("the task ends only when the link is closed");
        self.note(signal)
    }

    /// Hands a message over to be sent with `QoS` 1. Never waits. `Ok` means that it will be written if the
    /// connection lasts, and no more; the answer of the receiver is the only proof of arrival.
    pub fn publish(&self, topic: &str, payload: impl Into<Vec<u8>>) -> Result<(), NotSent> {
        self.outlet.as_ref().ok_or(NotSent::Down)?.publish(topic, payload.into())
    }

    /// Whether the last word was [`LinkEvent::Up`].
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.outlet.is_some()
    }

    /// Ends the present wait between two attempts, or the next one if an attempt is under way: the clock has
    /// been set, the network has come up.
    pub fn try_now(&self) {
        // Full means that the same has been asked already; closed, that there is nothing to wait for.
        let _ = self.retry.try_send(());
    }

    /// Sends what is waiting and a DISCONNECT, and closes; takes at most three seconds.
    pub async fn close(mut self) {
        while let Ok(signal) = self.signals.try_recv() {
            self.note(signal);
        }
        let Some(outlet) = self.outlet.take() else { return };
        if outlet.disconnect() && timeout(CLOSE_TIMEOUT, self.drain()).await.is_err() {
            tracing::debug!("the connection could not be closed in order");
        }
    }

    fn note(&mut self, signal: Signal) -> LinkEvent {
        match signal {
            Signal::Up { outlet, port } => {
                self.outlet = Some(outlet);
                LinkEvent::Up { port }
            }
            Signal::Down { reason, retry_in } => {
                self.outlet = None;
                LinkEvent::Down { reason, retry_in }
            }
            Signal::Message { topic, payload } => LinkEvent::Message { topic, payload },
        }
    }

    /// Takes events away until the connection has ended, so that it is not held up by a full queue.
    async fn drain(&mut self) {
        while let Some(signal) = self.signals.recv().await {
            if matches!(signal, Signal::Down { .. }) {
                return;
            }
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A way to the server.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) port: u16,
    pub(crate) tls: Arc<ClientConfig>,
}

/// From one connection to the next, until the link is closed. The first of the routes is taken as long as it works.
async fn keep_up(
    settings: Settings,
    mut routes: VecDeque<Route>,
    signals: mpsc::Sender<Signal>,
    mut retries: mpsc::Receiver<()>,
) {
    let mut backoff = Backoff::new(settings.backoff, settings.seed);
    loop {
        let ended = connection::run(&settings, &routes[0], &signals).await;
        let Some(reason) = ended.reason else { return };
        if ended.up_for.is_none() {
            routes.rotate_left(1);
        } else {
            // Asked for while it was up: has nothing to do with this loss.
            while retries.try_recv().is_ok() {}
        }
        let retry_in = backoff.next_delay(ended.up_for);
        if signals.send(Signal::Down { reason, retry_in }).await.is_err() {
            return;
        }
        tokio::select! {
            () = sleep(retry_in) => {}
            asked = retries.recv() => if asked.is_none() { return },
        }
    }
}
