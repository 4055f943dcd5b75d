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
//! State is in memory and ends with the process, unless it is given a directory.

mod broker;
mod clock;
mod documents;
mod engine;
mod faults;
mod http;
mod jobs;
mod listen;
mod options;
pub mod pki;
mod restore;
mod rewound;
mod serve;
mod service;
mod store;

pub use broker::tls::TlsError;
pub use faults::{Action, FaultPlan, FaultRule, InvalidPlan};
pub use jobs::Refusal;
pub use options::Options;
pub use serve::{Running, StartError, start};
pub use store::StoreError;
