//! Why there is no connection, as one variant per cause that an operator can act on. Which error of the library is
//! which of them is decided in `classify`.

use std::error::Error;
use std::io;
use std::time::Duration;

use crate::settings::MAX_PACKET;

pub(crate) type Cause = Box<dyn Error + Send + Sync>;

/// Why the link is down. The texts are for an operator: what, and what to look at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The resolver knows no address.
    #[error("the name {host} cannot be resolved; check the endpoint, DNS and whether the network is up")]
    NameNotResolved {
        /// The endpoint.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// Nothing listens there, or a firewall says no.
    #[error("{host}:{port} refuses the connection; check the port and firewalls")]
    Refused {
        /// The endpoint.
        host: String,
        /// Its port.
        port: u16,
    },
    /// No way to the endpoint.
    #[error("{host}:{port} cannot be reached; check the network")]
    Unreachable {
        /// The endpoint.
        host: String,
        /// Its port.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
    /// Name resolution, TCP, TLS and CONNACK together took too long.
    #[error("no connection to {host}:{port} within {} s; check the network and firewalls", after.as_secs())]
    TimedOut {
        /// The endpoint.
        host: String,
        /// Its port.
        port: u16,
        /// How long it was tried.
        after: Duration,
    },
    /// The chain of the server's certificate does not end at a root that we trust.
    #[error(
        "the certificate of {host} is not signed by a trusted root; check the root CA file and the endpoint"
    )]
    ServerNotTrusted {
        /// The endpoint.
        host: String,
        /// What the TLS library said.
        source: Cause,
    },
    /// The server's certificate is for another name.
    #[error(
        "the server's certificate is not for {host}; check the endpoint, and that nothing intercepts TLS"
    )]
    ServerNameMismatch {
        /// The endpoint.
        host: String,
        /// What the TLS library said; it lists the names that were presented.
        source: Cause,
    },
    /// The server's certificate has ended, or our clock is ahead.
    #[error(
        "the server's certificate has expired ({expired}) and this device's clock says {now}; \
         set the clock if that is wrong, else the server needs a new certificate"
    )]
    ServerCertificateExpired {
        /// When it ended, as far as known.
        expired: String,
        /// What our clock says.
        now: String,
    },
    /// The server's certificate is not valid yet: nearly always our clock is behind.
    #[error(
        "the server's certificate is not valid before {valid_from} and this device's clock says {now}: \
         the clock is wrong; waiting until it has been set"
    )]
    ServerCertificateNotYetValid {
        /// When it begins, as far as known.
        valid_from: String,
        /// What our clock says.
        now: String,
    },
    /// Something else is wrong with the server's certificate.
    #[error("the certificate of {host} cannot be accepted")]
    ServerCertificateInvalid {
        /// The endpoint.
        host: String,
        /// What the TLS library said.
        source: Cause,
    },
    /// The server does not take our certificate.
    #[error(
        "the server refuses this device's certificate (TLS alert {alert}); \
         check that it is registered and active for this endpoint"
    )]
    CertificateRefused {
        /// The name of the alert.
        alert: String,
    },
    /// The server does not speak the protocol that was asked for by ALPN.
    #[error("the server does not offer MQTT on this port (ALPN); check the port and the ALPN setting")]
    AlpnRefused,
    /// Another failure of the handshake.
    #[error("the TLS handshake with {host}:{port} failed; check that this port speaks TLS")]
    Tls {
        /// The endpoint.
        host: String,
        /// Its port.
        port: u16,
        /// What the TLS library or the system said.
        source: Cause,
    },
    /// TLS was fine, and then the server closed without a word: AWS IoT's way to refuse a CONNECT.
    #[error(
        "the server closed the connection without an answer to CONNECT; check that the certificate is active, \
         that its policy allows iot:Connect for this client id, and that no other client uses the same id"
    )]
    ClosedBeforeConnack,
    /// The server said why it refuses.
    #[error("the server refuses the connection: {meaning} (CONNACK code {code}); check client id and policy")]
    ConnackRefused {
        /// The return code (MQTT 3.1.1, table 3.1).
        code: u8,
        /// The code in words.
        meaning: &'static str,
    },
    /// A SUBACK said 0x80.
    #[error(
        "the server refuses the subscription to {filter}; check that the policy allows iot:Subscribe for it"
    )]
    SubscriptionRefused {
        /// The filter.
        filter: String,
    },
    /// No SUBACK came.
    #[error("the server has not answered the subscriptions within {} s", after.as_secs())]
    SubscriptionUnanswered {
        /// How long was waited.
        after: Duration,
    },
    /// A ping was not answered, or nothing could be written any more: the peer or the path is dead.
    #[error("the server has not answered within the keep-alive time; the network is gone or half open")]
    KeepAliveLost,
    /// Pings are answered, but published messages are not acknowledged.
    #[error("the server answers pings but does not acknowledge published messages; it may be overloaded")]
    PublishUnacknowledged,
    /// The server, or something between, has closed the connection.
    #[error(
        "the server closed the connection; if it repeats, check for another client with the same client id \
         and for topics that the policy does not allow"
    )]
    ClosedByPeer,
    /// The connection broke.
    #[error("the connection broke")]
    Broken {
        /// What the system said.
        source: io::Error,
    },
    /// A message is larger than is ever taken.
    #[error("the server sent a packet of {size} bytes; the limit is {MAX_PACKET} bytes")]
    PacketTooLarge {
        /// Its length in bytes.
        size: usize,
    },
    /// The server does not keep to MQTT 3.1.1.
    #[error("the server does not keep to the protocol: {detail}")]
    Protocol {
        /// What it did.
        detail: String,
    },
}

impl LinkError {
    /// Whether the device's clock is the likely cause, so that it is worth an attempt as soon as it is set.
    #[must_use]
    pub fn may_be_the_clock(&self) -> bool {
        matches!(self, Self::ServerCertificateNotYetValid { .. } | Self::ServerCertificateExpired { .. })
    }
}
