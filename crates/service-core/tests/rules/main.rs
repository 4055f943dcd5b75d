//! The service's rules as a shell sees them, where the protocol's vectors do not look: order of checks, exact bytes and
//! their order, timers to the millisecond, hostile payloads, many things.

#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up fails its test")]

mod bench;
mod control;
mod credentials;
mod device;
mod documents;
mod handout;
mod maintenance;
mod moves;
mod notifications;
mod saved;
mod scale;
mod tags;
mod templates;
mod timers;
