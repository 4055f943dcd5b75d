//! A small MQTT broker that behaves as AWS IoT Core does towards a Jobs device: 3.1.1 and 5 on one port, QoS 0
//! and 1, reserved topics, replies that only the asker gets.
//!
//! Decisions are in [`hub`] and below it, without sockets; [`connection`] moves bytes. The Jobs service is
//! reached through the engine.

pub(crate) mod connection;
pub(crate) mod decode;
pub(crate) mod encode;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzed;
pub(crate) mod hub;
pub(crate) mod identity;
pub(crate) mod outlet;
pub(crate) mod packet;
pub(crate) mod policy;
pub(crate) mod session;
pub(crate) mod shared;
pub(crate) mod shown;
pub(crate) mod subscriptions;
pub(crate) mod tls;
pub(crate) mod topic;
