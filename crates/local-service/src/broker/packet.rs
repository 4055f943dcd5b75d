//! The MQTT packets of a server, as one vocabulary for 3.1.1 and 5.
//!
//! Reading and writing them is left to [`super::decode`] and [`super::encode`]; what they mean is left to
//! [`super::hub`]. A server hears seven kinds of packets and says seven; QoS 2 and AUTH do not exist here, as
//! they do not on AWS IoT Core.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Largest packet taken or announced, in bytes without the fixed header (146 KB, AWS IoT quota for MQTT 5).
pub(crate) const MAX_PACKET: usize = 149_504;
/// Largest payload of a publication, in bytes (AWS IoT quota).
pub(crate) const MAX_PAYLOAD: usize = 131_072;

/// Most topic aliases of a client (AWS IoT quota for MQTT 5).
pub(crate) const MAX_ALIASES: u16 = 8;
/// Most publications that a client may have unacknowledged (AWS IoT quota). They are acknowledged as they come.
pub(crate) const RECEIVE_MAXIMUM: u16 = 100;

/// The two protocol levels that are spoken on one port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Version {
    /// MQTT 3.1.1, protocol level 4.
    V311,
    /// MQTT 5, protocol level 5.
    V5,
}

/// Quality of service as a client may write it; the broker itself only serves the first two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[expect(clippy::enum_variant_names, reason = "the names of the MQTT standard")]
pub(crate) enum Qos {
    AtMostOnce,
    AtLeastOnce,
    ExactlyOnce,
}

impl Qos {
    /// The two bits of the wire.
    pub(crate) const fn bits(self) -> u8 {
        match self {
            Self::AtMostOnce => 0,
            Self::AtLeastOnce => 1,
            Self::ExactlyOnce => 2,
        }
    }
}

/// Why something was refused, as MQTT 5 says it in one byte. A 3.1.1 client only sees the connection close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    Success,
    MalformedPacket,
    ProtocolError,
    ClientIdentifierNotValid,
    NotAuthorized,
    ServerShuttingDown,
    KeepAliveTimeout,
    SessionTakenOver,
    TopicFilterInvalid,
    TopicNameInvalid,
    TopicAliasInvalid,
    PacketTooLarge,
    QuotaExceeded,
    QosNotSupported,
    SubscriptionIdentifiersNotSupported,
}

impl Reason {
    /// The reason code of MQTT 5, section 2.4.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Success => 0x00,
            Self::MalformedPacket => 0x81,
            Self::ProtocolError => 0x82,
            Self::ClientIdentifierNotValid => 0x85,
            Self::NotAuthorized => 0x87,
            Self::ServerShuttingDown => 0x8B,
            Self::KeepAliveTimeout => 0x8D,
            Self::SessionTakenOver => 0x8E,
            Self::TopicFilterInvalid => 0x8F,
            Self::TopicNameInvalid => 0x90,
            Self::TopicAliasInvalid => 0x94,
            Self::PacketTooLarge => 0x95,
            Self::QuotaExceeded => 0x97,
            Self::QosNotSupported => 0x9B,
            Self::SubscriptionIdentifiersNotSupported => 0xA1,
        }
    }
}

/// A packet that a client sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Received {
    Connect(Connect),
    Publish(Publish),
    /// Acknowledgement of a QoS 1 publication, by its packet id. A refusal by the client ends it as well.
    PubAck(u16),
    Subscribe(Subscribe),
    Unsubscribe(Unsubscribe),
    PingReq,
    Disconnect(Disconnect),
}

/// The first packet of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Connect {
    pub(crate) version: Version,
    pub(crate) client_id: String,
    /// Clean session (3.1.1) or clean start (5).
    pub(crate) clean: bool,
    /// Seconds, as asked for.
    pub(crate) keep_alive: u16,
    /// Seconds that the session outlives the connection; `None` where the packet does not say (always in 3.1.1).
    pub(crate) session_expiry: Option<u32>,
    /// Unacknowledged QoS 1 publications that the client will hold.
    pub(crate) receive_maximum: u16,
    /// Largest whole packet that the client takes, in bytes.
    pub(crate) maximum_packet: u32,
    pub(crate) will: Option<Publish>,
}

/// A publication, in either direction and as a will.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Publish {
    pub(crate) topic: String,
    pub(crate) payload: Bytes,
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
    /// 0 with QoS 0.
    pub(crate) packet_id: u16,
    /// The MQTT 5 properties that travel on to subscribers unchanged, in wire form without their length.
    pub(crate) properties: Bytes,
    /// MQTT 5: seconds after which the message is of no use any more.
    pub(crate) expiry: Option<u32>,
    /// MQTT 5: a number that stands for the topic on this connection, or shall from now on. Clients may use it; the broker
    /// does not.
    pub(crate) alias: Option<u16>,
}

/// Filters with the QoS wanted for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subscribe {
    pub(crate) packet_id: u16,
    pub(crate) filters: Vec<(String, Qos)>,
    /// A subscription identifier was given; none is supported.
    pub(crate) identified: bool,
}

/// Filters to be forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unsubscribe {
    pub(crate) packet_id: u16,
    pub(crate) filters: Vec<String>,
}

/// A client's goodbye.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Disconnect {
    /// MQTT 5: reason 0x04 asks for the will in spite of the goodbye.
    pub(crate) with_will: bool,
    /// MQTT 5: a new life of the session, in seconds.
    pub(crate) session_expiry: Option<u32>,
}

/// A packet that the broker sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sent {
    ConnAck(ConnAck),
    Publish(Publish),
    PubAck {
        packet_id: u16,
        reason: Reason,
    },
    /// One code per filter: the granted QoS or the refusal.
    SubAck {
        packet_id: u16,
        grants: Vec<Result<Qos, Reason>>,
    },
    /// One answer per filter: whether there was such a subscription.
    UnsubAck {
        packet_id: u16,
        found: Vec<bool>,
    },
    PingResp,
    /// MQTT 5 only; nothing is written to a 3.1.1 client.
    Disconnect(Reason),
}

/// The answer to a CONNECT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ConnAck {
    pub(crate) session_present: bool,
    pub(crate) reason: Reason,
    /// Seconds; announced to an MQTT 5 client if not what it asked for.
    pub(crate) server_keep_alive: Option<u16>,
    /// Seconds; announced to an MQTT 5 client if not what it asked for.
    pub(crate) session_expiry: Option<u32>,
    /// The id that was made up for a client that gave none.
    pub(crate) assigned_client_id: Option<String>,
}
