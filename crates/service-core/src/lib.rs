//! The Jobs service's decisions, as a pure state machine: no clock, no files, no sockets, no randomness.
//!
//! [`Service`] is asked in three ways: [`Service::device_message`] for what a device publishes below
//! `$aws/things/{thingName}/jobs/`, [`Service::control`] for the control plane's operations by their API names, and
//! [`Service::data_plane`] for the device operations over HTTP. Every call gets the time; what shall be published comes
//! back with the answer. Between calls the shell keeps one alarm, at [`Service::deadline`], and then calls
//! [`Service::on_deadline`].
//!
//! The transport is not here: who may speak for a thing, quality of service and sessions are the broker's, paths and
//! headers are the HTTP server's.

mod calendar;
mod control;
mod credentials;
mod cron;
mod device;
mod document;
mod event;
mod execution;
mod handout;
mod ids;
mod job;
mod lifecycle;
mod maintenance;
mod notification;
mod queue;
mod registry;
mod rollout;
mod runs;
mod s3;
mod service;
mod state;
mod time;
mod timers;

pub use control::error::ControlError;
pub use credentials::Holder;
pub use s3::S3Object;
pub use service::{ControlOutcome, DeviceOutcome, InvalidState, Message, Service, Settings};
pub use time::EpochMillis;
