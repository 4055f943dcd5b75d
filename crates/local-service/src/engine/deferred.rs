//! What a fault has put off: deeds in the order of their time.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::Value;

use super::Answer;
use crate::broker::hub::ConnectionId;
use crate::clock::Millis;
use crate::jobs::{Plane, Publication};

/// Something that is to be done later, as it would have been done at once.
#[derive(Debug)]
pub(super) enum Deed {
    Ask { from: ConnectionId, topic: String, payload: Bytes },
    Reply(ConnectionId, Publication),
    Publish(Publication),
    Call { plane: Plane, operation: String, params: Value, answer: Answer },
}

/// All of them. Two of the same time keep their order.
#[derive(Debug, Default)]
pub(super) struct Deferred {
    deeds: BTreeMap<(Millis, u64), Deed>,
    serial: u64,
}

impl Deferred {
    pub(super) fn put(&mut self, at: Millis, deed: Deed) {
        self.serial += 1;
        self.deeds.insert((at, self.serial), deed);
    }

    /// When the earliest is due.
    pub(super) fn next(&self) -> Option<Millis> {
        self.deeds.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes the earliest that is due; never one that is not.
    pub(super) fn take_due(&mut self, now: Millis) -> Option<Deed> {
        if self.next()? <= now { self.deeds.pop_first().map(|(_, deed)| deed) } else { None }
    }
}
