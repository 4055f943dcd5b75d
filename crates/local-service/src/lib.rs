//! An AWS IoT Jobs service on one machine, for desks, demos and tests.
//!
//! `service-core` decides what the Jobs service does; this crate puts it on the network: an MQTT broker on TLS with
//! client certificates (3.1.1 and 5 on one port), the AWS HTTP API on plain HTTP, and the certificates for both.
//! Everything that is not about bytes, sockets or files is decided in one task, in order, so that a run can be
//! followed.
//!
//! ```text
//! connection ──packets──▶ engine { hub ──requests──▶ Jobs service } ◀──calls── http
//!            ◀─packets───                                          ──answers──▶
//! ```
//!
//! State is in memory; it ends with the process.

mod broker;
mod clock;
mod engine;
mod faults;
mod http;
mod jobs;
pub mod pki;
mod serve;
mod service;

pub use broker::tls::TlsError;
pub use faults::{Action, FaultPlan, FaultRule, InvalidPlan};
pub use jobs::Refusal;
pub use serve::{Options, Running, StartError, start};
