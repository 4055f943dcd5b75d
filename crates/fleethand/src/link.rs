//! The connection, in the words of the core: events and payloads to and from `mqtt-link`, and what an operator
//! hears of it. When to publish what is the core's decision, when to try again the link's.

use std::time::Duration;

use agent_core::Event;
use jobs_protocol::topic::agent_filters;
use mqtt_link::{InvalidSettings, LinkEvent, TlsMaterial, TlsMaterialError};

use crate::chain::Chain;
use crate::config::Config;

/// A connection to the service, or none at all if jobs are switched off.
#[derive(Debug)]
pub(crate) struct Link {
    connection: Option<mqtt_link::Link>,
    /// The port that is asked first; another one is worth a word.
    port: u16,
    /// Why there is no connection, as it was told since there was one: the same reason again is no news. The last is
    /// the latest.
    told: Vec<String>,
}

/// More reasons than an outage has.
const MOST_TOLD: usize = 8;

/// Why no connection can ever be made with this configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// The certificates or the key.
    #[error("the credentials cannot be used")]
    Tls(#[source] TlsMaterialError),
    /// What the connection is to be made with.
    #[error("the connection cannot be set up")]
    Settings(#[source] InvalidSettings),
}

/// Reads certificates and key: also a check of them.
pub(crate) fn credentials(config: &Config) -> Result<TlsMaterial, LinkError> {
    TlsMaterial::load(config.root_ca.as_deref(), &config.cert, &config.key).map_err(LinkError::Tls)
}

impl Link {
    /// Begins to connect. Needs a running runtime.
    pub(crate) fn start(config: &Config, tls: TlsMaterial, seed: u64) -> Result<Self, LinkError> {
        if !config.jobs.enabled {
            return Ok(Self { connection: None, port: config.port, told: Vec::new() });
        }
        let name = config.thing_name.as_str();
        let mut settings = mqtt_link::Settings::new(config.endpoint.as_str(), config.port, name, tls);
        settings.other_port = config.other_port;
        settings.filters = agent_filters(&config.thing_name);
        settings.keep_alive = config.keep_alive;
        settings.seed = seed;
        let link = mqtt_link::Link::start(settings).map_err(LinkError::Settings)?;
        Ok(Self { connection: Some(link), port: config.port, told: Vec::new() })
    }

    /// The next thing that happens. Safe to cancel.
    pub(crate) async fn next_event(&mut self) -> Event {
        let Some(link) = &mut self.connection else { return std::future::pending().await };
        match link.next_event().await {
            LinkEvent::Up { port } => {
                if port == self.port {
                    tracing::info!("Connected");
                } else {
                    tracing::info!(port, "Connected");
                }
                self.told.clear();
                Event::LinkUp
            }
            LinkEvent::Down { reason, retry_in } => {
                self.tell(Chain(&reason).to_string(), retry_in);
                Event::LinkDown
            }
            LinkEvent::Message { topic, payload } => {
                tracing::trace!(%topic, payload = %String::from_utf8_lossy(&payload), "Received");
                Event::Message { topic, payload }
            }
        }
    }

    /// An outage of a week is a line at its beginning and one at its end, not one per attempt.
    fn tell(&mut self, reason: String, retry_in: Duration) {
        let retry_in = format!("{:.1} s", retry_in.as_secs_f32());
        if let Some(again) = self.told.iter().position(|told| *told == reason) {
            tracing::debug!(%reason, %retry_in, "Still not connected");
            self.told.remove(again);
        } else {
            tracing::warn!(%retry_in, "Not connected: {reason}");
        }
        if self.told.len() == MOST_TOLD {
            self.told.remove(0);
        }
        self.told.push(reason);
    }

    /// Why there is no connection, as far as known.
    pub(crate) fn trouble(&self) -> Option<&str> {
        self.told.last().map(String::as_str)
    }

    /// Hands a message over. What is not taken is not lost: the core asks again.
    pub(crate) fn publish(&self, topic: &str, payload: Vec<u8>) {
        tracing::trace!(%topic, payload = %String::from_utf8_lossy(&payload), "Sent");
        let Some(link) = &self.connection else { return };
        if let Err(error) = link.publish(topic, payload) {
            tracing::debug!(%error, %topic, "Not sent");
        }
    }

    /// The clock has been set: an attempt that failed for it may succeed now.
    pub(crate) fn try_now(&self) {
        if let Some(link) = &self.connection {
            link.try_now();
        }
    }

    /// Sends what waits and says good-bye; a few seconds at most.
    pub(crate) async fn close(self) {
        if let Some(link) = self.connection {
            link.close().await;
        }
    }
}
