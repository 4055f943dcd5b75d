//! One MQTT connection that stays.
//!
//! A [`Link`] connects over TLS with a client certificate, subscribes, says that it is up, and when the
//! connection is lost it says why, waits and begins again, for ever. Topics and payloads are opaque to it.
//!
//! It keeps nothing across a connection: a message that was handed over and not yet answered when the
//! connection broke may or may not have arrived. Whoever publishes keeps what it still owes.
//!
//! This is the only crate of the agent that names `rumqttc`, and it takes the packets and the bookkeeping of one
//! connection from it and nothing more: each attempt begins anew, and one task drives it.

mod backoff;
mod calendar;
mod classify;
mod connection;
mod dial;
mod error;
mod link;
mod settings;
mod subscriptions;
mod tls;
mod wire;

pub use backoff::{Backoff, BackoffSettings};
pub use error::LinkError;
pub use link::{Link, LinkEvent, NotSent};
pub use settings::{
    ALPN_MQTT_443, InvalidSettings, MAX_CLIENT_ID, MAX_FILTERS, MAX_PACKET, MAX_PAYLOAD, Settings,
};
pub use tls::{TlsMaterial, TlsMaterialError};
