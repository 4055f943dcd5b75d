//! What is kept: the inputs of the two state machines, each with its time.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::broker::packet::{Qos, Version};
use crate::clock::Millis;
use crate::jobs::Plane;

/// Something that has changed the state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Entry {
    /// A device's request.
    Request { now: Millis, topic: String, payload: String },
    /// An operation by HTTP. `document`: what its `documentSource` held.
    Call { now: Millis, plane: Plane, operation: String, params: Value, document: Option<String> },
    /// What was due has been done.
    Deadline { now: Millis },
    /// Something about a session that outlives its connection.
    Session(SessionEntry),
}

/// Something that has changed a session, or what is retained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum SessionEntry {
    /// A client has connected; `fresh`: to a new session.
    Attached {
        now: Millis,
        client: String,
        version: Version,
        fresh: bool,
        expiry: Millis,
        receive_maximum: u16,
        #[serde(default = "any_size")]
        maximum_packet: u32,
    },
    /// Its connection has ended.
    Detached {
        now: Millis,
        client: String,
        expiry: Millis,
    },
    Ended {
        client: String,
    },
    Subscribed {
        client: String,
        filter: String,
        qos: Qos,
    },
    Unsubscribed {
        client: String,
        filter: String,
    },
    /// A message of QoS 1 is for it.
    Delivered {
        now: Millis,
        client: String,
        message: SavedMessage,
    },
    /// In a snapshot: a whole session.
    Saved {
        client: String,
        session: SavedSession,
    },
    /// It has acknowledged a message.
    Acknowledged {
        now: Millis,
        client: String,
        packet_id: u16,
    },
    Retained {
        message: SavedMessage,
    },
    Forgotten {
        topic: String,
    },
}

/// What a state that was saved before this was kept stands for.
const fn any_size() -> u32 {
    u32::MAX
}

/// A session in a form for JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedSession {
    pub(crate) version: Version,
    pub(crate) expiry: Millis,
    pub(crate) away_since: Option<Millis>,
    pub(crate) subscriptions: BTreeMap<String, Qos>,
    pub(crate) window: usize,
    #[serde(default = "any_size")]
    pub(crate) maximum_packet: u32,
    pub(crate) next_id: u16,
    /// Sent and not acknowledged, in the order of sending: packet id, and when.
    pub(crate) in_flight: Vec<(u16, Millis, SavedMessage)>,
    pub(crate) queued: Vec<SavedMessage>,
}

/// A message in a form for JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SavedMessage {
    pub(crate) topic: String,
    pub(crate) payload: Body,
    pub(crate) qos: Qos,
    pub(crate) properties: Body,
    pub(crate) expires: Option<Millis>,
}

/// Bytes, most of them text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Body {
    Text(String),
    Binary(Vec<u8>),
}

impl From<&Bytes> for Body {
    fn from(bytes: &Bytes) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Binary(bytes.to_vec()),
        }
    }
}

impl From<Body> for Bytes {
    fn from(body: Body) -> Self {
        match body {
            Body::Text(text) => text.into(),
            Body::Binary(bytes) => bytes.into(),
        }
    }
}
