//! Life cycle events, `$aws/events/presence/...`: that a client has come or gone, for whoever watches the fleet.

use std::net::IpAddr;

use bytes::Bytes;
use serde_json::json;

use super::{ConnectionId, Hub, Link};
use crate::broker::packet::{Qos, Reason, Version};
use crate::broker::session::Message;
use crate::broker::subscriptions::ClientId;
use crate::broker::topic;
use crate::clock::Millis;

/// For how long after a client has gone its events are counted on (AWS IoT: about an hour).
const COUNTED: Millis = Millis(3_600_000);

/// What a connection's own end knows of the client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Who {
    /// The id of its certificate.
    pub(crate) principal: Option<String>,
    pub(crate) address: Option<IpAddr>,
}

/// How many events there have been of a client.
#[derive(Debug, Default)]
pub(super) struct Count {
    next: u64,
    away_since: Option<Millis>,
}

/// One stay of a client.
#[derive(Debug)]
pub(super) struct Stay {
    who: Who,
    session: String,
    /// Of both its events.
    number: u64,
}

/// How a stay has ended, in the words of the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parting {
    Goodbye,
    Lost,
    Closed(Reason),
}

impl Parting {
    /// As was seen at AWS; 3.1.1 and 5 differ where something was not allowed.
    fn reason(self, version: Version) -> &'static str {
        match self {
            Self::Goodbye => "CLIENT_INITIATED_DISCONNECT",
            Self::Lost => "CONNECTION_LOST",
            Self::Closed(Reason::SessionTakenOver) => "DUPLICATE_CLIENTID",
            Self::Closed(Reason::KeepAliveTimeout) => "MQTT_KEEP_ALIVE_TIMEOUT",
            Self::Closed(Reason::ServerShuttingDown) => "SERVER_INITIATED_DISCONNECT",
            Self::Closed(Reason::NotAuthorized) if version == Version::V5 => "AUTH_ERROR",
            Self::Closed(_) => "CLIENT_ERROR",
        }
    }
}

impl Hub {
    /// A client has come.
    pub(super) fn arrived(
        &mut self,
        connection: ConnectionId,
        client: &ClientId,
        who: Who,
        now: Millis,
    ) -> Stay {
        let count = self.counts.entry(client.clone()).or_default();
        count.away_since = None;
        let number = count.next;
        count.next += 1;
        let session = format!("{:016x}{:016x}", now.0, connection.0);
        let stay = Stay { who, session, number };
        self.tell("connected", client, &stay, json!({}), now);
        stay
    }

    /// It has gone. Its going is counted, but told with the number of its coming.
    pub(super) fn parted(&mut self, link: &Link, parting: Parting, now: Millis) {
        let count = self.counts.entry(link.client.clone()).or_default();
        count.next += 1;
        // One that was taken over is there again.
        count.away_since = (parting != Parting::Closed(Reason::SessionTakenOver)).then_some(now);
        let more = json!({
            "clientInitiatedDisconnect": parting == Parting::Goodbye,
            "disconnectReason": parting.reason(link.version),
        });
        self.tell("disconnected", &link.client, &link.stay, more, now);
    }

    /// Forgets the counts of clients that have been away for long.
    pub(super) fn forget_counts(&mut self, now: Millis) {
        self.counts.retain(|_, count| count.away_since.is_none_or(|since| since.plus(COUNTED) > now));
    }

    fn tell(&mut self, kind: &str, client: &ClientId, stay: &Stay, more: serde_json::Value, now: Millis) {
        let topic = format!("$aws/events/presence/{kind}/{client}");
        // A client id may hold what no topic may.
        if !topic::is_valid_topic(&topic) {
            return;
        }
        let mut event = json!({
            "clientId": &**client,
            "timestamp": now.0,
            "eventType": kind,
            "sessionIdentifier": stay.session,
            "versionNumber": stay.number,
        });
        if let (Some(event), serde_json::Value::Object(mut more)) = (event.as_object_mut(), more) {
            event.append(&mut more);
            event.extend(stay.who.principal.iter().map(|id| ("principalIdentifier".to_owned(), json!(id))));
            event.extend(stay.who.address.iter().map(|ip| ("ipAddress".to_owned(), json!(ip))));
        }
        let payload = Bytes::from(event.to_string());
        self.distribute(&Message::new(&topic, payload, Qos::AtLeastOnce), now);
    }
}
