//! What a link must be told, its limits, and the check that none of it can make the connection fail for ever.

use std::net::Ipv6Addr;
use std::time::Duration;

use rustls::pki_types::ServerName;

use crate::backoff::BackoffSettings;
use crate::tls::TlsMaterial;

/// The longest MQTT packet taken or sent, in bytes: the largest payload of AWS IoT and its topic.
pub const MAX_PACKET: usize = 160 * 1024;
/// The longest payload that is published, in bytes (128 KiB, AWS IoT's limit).
pub const MAX_PAYLOAD: usize = 128 * 1024;
/// The longest client id in bytes (AWS IoT's limit).
pub const MAX_CLIENT_ID: usize = 128;
/// The most topic filters of one link (AWS IoT's limit of subscriptions per connection).
pub const MAX_FILTERS: usize = 50;
/// The protocol name that AWS IoT wants to see in the TLS handshake for MQTT on port 443.
pub const ALPN_MQTT_443: &str = "x-amzn-mqtt-ca";

/// The longest topic or filter in bytes. AWS IoT takes 256 after its own prefixes; this is the most of which a full
/// SUBSCRIBE, or one with the longest payload, still fits into [`MAX_PACKET`].
const MAX_TOPIC: usize = 4096;
/// AWS IoT's longest keep-alive is 1200 s, and two thirds of what is promised is what is asked for.
const KEEP_ALIVE: std::ops::RangeInclusive<Duration> = Duration::from_secs(2)..=Duration::from_secs(1800);

/// What a link connects to and how.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Name or IPv4 address of the endpoint; the server's certificate must be for it.
    pub host: String,
    /// TCP port, usually 8883 or 443.
    pub port: u16,
    /// Another port of the same endpoint: as long as no connection comes up, attempts go to the two in turn, and the
    /// one that has worked is asked first from then on.
    pub other_port: Option<u16>,
    /// MQTT client id; AWS IoT closes the older of two connections with the same one.
    pub client_id: String,
    /// A dead peer is noticed within this time (2 s to 30 minutes, whole seconds).
    pub keep_alive: Duration,
    /// Topic filters, all subscribed with `QoS` 1 after every connect.
    pub filters: Vec<String>,
    /// Whom to trust and who we are.
    pub tls: TlsMaterial,
    /// Protocol name for the TLS handshake on `port`, if that needs one. On `other_port` it is the usual one.
    pub alpn: Option<String>,
    /// Waits between attempts.
    pub backoff: BackoffSettings,
    /// Where the jitter of the waits comes from; it should differ from device to device.
    pub seed: u64,
    /// How many published messages may wait to be written; more are refused.
    pub outgoing_queue: usize,
}

impl Settings {
    /// Settings with the usual values: 60 s keep-alive, ALPN on port 443 only, 64 waiting messages.
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16, client_id: impl Into<String>, tls: TlsMaterial) -> Self {
        Self {
            host: host.into(),
            port,
            other_port: None,
            client_id: client_id.into(),
            keep_alive: Duration::from_secs(60),
            filters: Vec::new(),
            tls,
            alpn: usual_alpn(port).map(str::to_owned),
            backoff: BackoffSettings::default(),
            seed: 0,
            outgoing_queue: 64,
        }
    }

    /// The ports to try, each with its protocol name for the TLS handshake.
    pub(crate) fn ports(&self) -> impl Iterator<Item = (u16, Option<&str>)> {
        let other = self.other_port.map(|port| (port, usual_alpn(port)));
        std::iter::once((self.port, self.alpn.as_deref())).chain(other)
    }

    /// Says what in these settings could never work.
    pub fn check(&self) -> Result<(), InvalidSettings> {
        if self.host.parse::<Ipv6Addr>().is_ok() || ServerName::try_from(self.host.as_str()).is_err() {
            return Err(InvalidSettings::Host { host: self.host.clone() });
        }
        if self.port == 0 || self.other_port == Some(0) {
            return Err(InvalidSettings::Port);
        }
        if self.client_id.is_empty() || self.client_id.len() > MAX_CLIENT_ID || self.client_id.contains('\0')
        {
            return Err(InvalidSettings::ClientId);
        }
        if !KEEP_ALIVE.contains(&self.keep_alive) {
            return Err(InvalidSettings::KeepAlive { found: self.keep_alive });
        }
        if self.alpn.as_ref().is_some_and(|name| name.is_empty() || name.len() > 255) {
            return Err(InvalidSettings::Alpn);
        }
        if self.filters.len() > MAX_FILTERS {
            return Err(InvalidSettings::TooManyFilters { count: self.filters.len() });
        }
        match self.filters.iter().find(|filter| !is_filter(filter)) {
            Some(filter) => Err(InvalidSettings::Filter { filter: filter.clone() }),
            None => Ok(()),
        }
    }
}

fn usual_alpn(port: u16) -> Option<&'static str> {
    (port == 443).then_some(ALPN_MQTT_443)
}

/// What is wrong with a link's settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSettings {
    /// Neither a host name nor an IPv4 address.
    #[error("`{host}` is not a host name (without scheme, port or path) or an IPv4 address")]
    Host {
        /// What was given.
        host: String,
    },
    /// Port 0.
    #[error("the port must be between 1 and 65535")]
    Port,
    /// Empty, too long or with a NUL.
    #[error("the client id must have 1 to {MAX_CLIENT_ID} bytes and no NUL")]
    ClientId,
    /// Outside what AWS IoT and the protocol can express.
    #[error("a keep-alive of {found:?} is not between 2 s and 1800 s")]
    KeepAlive {
        /// What was given.
        found: Duration,
    },
    /// An ALPN protocol name has 1 to 255 bytes.
    #[error("the ALPN protocol name must have 1 to 255 bytes")]
    Alpn,
    /// More than [`MAX_FILTERS`].
    #[error("{count} topic filters are more than the {MAX_FILTERS} that a connection may have")]
    TooManyFilters {
        /// How many there are.
        count: usize,
    },
    /// Not a topic filter (MQTT 3.1.1, section 4.7).
    #[error("`{filter}` is not a topic filter")]
    Filter {
        /// What was given.
        filter: String,
    },
}

/// Whether a message can be published to this (MQTT 3.1.1, section 4.7).
pub(crate) fn is_topic(topic: &str) -> bool {
    (1..=MAX_TOPIC).contains(&topic.len()) && !topic.contains(['+', '#', '\0'])
}

fn is_filter(filter: &str) -> bool {
    (1..=MAX_TOPIC).contains(&filter.len()) && !filter.contains('\0') && rumqttc::valid_filter(filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_settings_pass_and_each_impossible_one_is_named() {
        let usual = Settings::new("a.iot.eu-west-1.amazonaws.com", 8883, "thing", TlsMaterial::for_tests());
        assert_eq!(usual.check(), Ok(()));
        let mut numeric = usual.clone();
        numeric.host = "192.0.2.7".to_owned();
        assert_eq!(numeric.check(), Ok(()));
        let refused = |change: fn(&mut Settings)| {
            let mut settings = usual.clone();
            change(&mut settings);
            settings.check().unwrap_err()
        };
        for host in ["", "https://a.example", "a.example:8883", "::1", "a b"] {
            let mut settings = usual.clone();
            settings.host = host.to_owned();
            assert!(matches!(settings.check(), Err(InvalidSettings::Host { .. })), "{host}");
        }
        assert_eq!(refused(|s| s.port = 0), InvalidSettings::Port);
        assert_eq!(refused(|s| s.other_port = Some(0)), InvalidSettings::Port);
        assert_eq!(refused(|s| s.client_id.clear()), InvalidSettings::ClientId);
        assert_eq!(refused(|s| s.client_id = "x".repeat(129)), InvalidSettings::ClientId);
        assert!(matches!(refused(|s| s.keep_alive = Duration::ZERO), InvalidSettings::KeepAlive { .. }));
        assert!(matches!(refused(|s| s.filters = vec!["a/#/b".to_owned()]), InvalidSettings::Filter { .. }));
        assert!(matches!(
            refused(|s| s.filters = vec!["a".to_owned(); 51]),
            InvalidSettings::TooManyFilters { .. }
        ));
    }

    #[test]
    fn port_443_asks_for_mqtt_in_the_handshake() {
        let settings = |port| Settings::new("a.example", port, "thing", TlsMaterial::for_tests());
        assert_eq!(settings(443).alpn.as_deref(), Some("x-amzn-mqtt-ca"));
        assert_eq!(settings(8883).alpn, None);
        let both = Settings { other_port: Some(443), ..settings(8883) };
        assert_eq!(both.ports().collect::<Vec<_>>(), [(8883, None), (443, Some("x-amzn-mqtt-ca"))]);
    }

    #[test]
    fn a_topic_has_no_wildcards() {
        assert!(is_topic("$aws/things/t/jobs/get"));
        for topic in ["", "a/+", "a/#", "a\0b", &"x".repeat(4097)] {
            assert!(!is_topic(topic));
        }
    }
}
