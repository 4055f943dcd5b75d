//! From an error of the MQTT or TLS library to the cause as an operator knows it. The chain of sources is walked for
//! the TLS library's verdict; no text is read. Pure: the time is an argument.

use std::error::Error;
use std::io;
use std::time::SystemTime;

use rumqttc::{ConnectReturnCode, StateError, mqttbytes};
use rustls::{AlertDescription, CertificateError};

use crate::calendar::{in_words, unix_seconds};
use crate::error::{Cause, LinkError};
use crate::wire::WireError;

/// How far a connection had come when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Up to the CONNACK.
    Connecting,
    /// After it.
    Connected,
}

/// What the texts need to know about the attempt.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attempt<'a> {
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    pub(crate) now: SystemTime,
}

/// Sorts an error of a connection.
pub(crate) fn classify(error: WireError, phase: Phase, attempt: Attempt<'_>) -> LinkError {
    if let Some(verdict) = find::<rustls::Error>(&error) {
        return from_tls(verdict, phase, attempt);
    }
    let (host, port) = (attempt.host.to_owned(), attempt.port);
    match error {
        WireError::Dial(source) => from_dial(source, attempt),
        WireError::Handshake(source) => LinkError::Tls { host, port, source: source.into() },
        WireError::Refused(code) => from_connack(code),
        WireError::NotConnack => {
            LinkError::Protocol { detail: "its first packet is not a CONNACK".to_owned() }
        }
        WireError::Stuck => LinkError::KeepAliveLost,
        WireError::Deserted => LinkError::ClosedByPeer,
        WireError::State(state) => from_state(state, phase),
    }
}

/// Everything on the way to an open TCP connection. The system's calls leave its error number in the error, the
/// resolver does not.
fn from_dial(source: io::Error, attempt: Attempt<'_>) -> LinkError {
    let (host, port) = (attempt.host.to_owned(), attempt.port);
    if source.raw_os_error().is_none() {
        return LinkError::NameNotResolved { host, source };
    }
    if source.kind() == io::ErrorKind::ConnectionRefused {
        return LinkError::Refused { host, port };
    }
    LinkError::Unreachable { host, port, source }
}

fn from_connack(code: ConnectReturnCode) -> LinkError {
    let (code, meaning) = match code {
        ConnectReturnCode::Success => (0, "accepted"),
        ConnectReturnCode::RefusedProtocolVersion => (1, "it does not speak MQTT 3.1.1"),
        ConnectReturnCode::BadClientId => (2, "the client id is not allowed"),
        ConnectReturnCode::ServiceUnavailable => (3, "the service is not available"),
        ConnectReturnCode::BadUserNamePassword => (4, "bad user name or password"),
        ConnectReturnCode::NotAuthorized => (5, "not authorized"),
    };
    LinkError::ConnackRefused { code, meaning }
}

fn from_state(state: StateError, phase: Phase) -> LinkError {
    match state {
        StateError::AwaitPingResp => LinkError::KeepAliveLost,
        // Pings are answered and one message is not, while later ones were.
        StateError::CollisionTimeout => LinkError::PublishUnacknowledged,
        StateError::ConnectionAborted if phase == Phase::Connecting => LinkError::ClosedBeforeConnack,
        StateError::ConnectionAborted => LinkError::ClosedByPeer,
        StateError::Io(source) | StateError::Deserialization(mqttbytes::Error::Io(source)) => {
            from_broken(source, phase)
        }
        StateError::Deserialization(mqttbytes::Error::PayloadSizeLimitExceeded(size)) => {
            LinkError::PacketTooLarge { size }
        }
        StateError::Deserialization(mqttbytes::Error::InvalidConnectReturnCode(code)) => {
            LinkError::ConnackRefused { code, meaning: "a code that is not in the standard" }
        }
        StateError::Deserialization(other) => LinkError::Protocol { detail: other.to_string() },
        other @ (StateError::InvalidState
        | StateError::Unsolicited(_)
        | StateError::WrongPacket
        | StateError::EmptySubscription) => LinkError::Protocol { detail: other.to_string() },
    }
}

fn from_broken(source: io::Error, phase: Phase) -> LinkError {
    match (phase, source.kind()) {
        // The end of the stream without TLS's good-bye, or a reset because our CONNECT was never read.
        (
            Phase::Connecting,
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe,
        ) => LinkError::ClosedBeforeConnack,
        (Phase::Connected, io::ErrorKind::UnexpectedEof) => LinkError::ClosedByPeer,
        (Phase::Connecting | Phase::Connected, _) => LinkError::Broken { source },
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "what is not told apart here is told by its source")]
fn from_tls(verdict: &rustls::Error, phase: Phase, attempt: Attempt<'_>) -> LinkError {
    let (host, port) = (attempt.host.to_owned(), attempt.port);
    let source: Cause = verdict.clone().into();
    let alert = match verdict {
        rustls::Error::AlertReceived(alert) => alert_kind(*alert),
        rustls::Error::NoApplicationProtocol => AlertKind::Alpn,
        rustls::Error::InvalidCertificate(error) => return from_server_certificate(error, source, attempt),
        _ => AlertKind::Other,
    };
    match (alert, phase) {
        (AlertKind::OurCertificate(alert), _) => LinkError::CertificateRefused { alert: alert_name(alert) },
        (AlertKind::Alpn, _) => LinkError::AlpnRefused,
        (AlertKind::Other, Phase::Connecting) => LinkError::Tls { host, port, source },
        // The handshake is long over: to send an operator after it would be misleading.
        (AlertKind::Other, Phase::Connected) => LinkError::Broken { source: io::Error::other(source) },
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "whatever else is wrong with it, now or in a later version, is told alike"
)]
fn from_server_certificate(error: &CertificateError, source: Cause, attempt: Attempt<'_>) -> LinkError {
    let host = attempt.host.to_owned();
    let now = in_words(unix_seconds(attempt.now));
    match error {
        CertificateError::ExpiredContext { not_after, .. } => {
            LinkError::ServerCertificateExpired { expired: in_words(not_after.as_secs()), now }
        }
        CertificateError::Expired => {
            LinkError::ServerCertificateExpired { expired: "date unknown".to_owned(), now }
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            LinkError::ServerCertificateNotYetValid { valid_from: in_words(not_before.as_secs()), now }
        }
        CertificateError::NotValidYet => {
            LinkError::ServerCertificateNotYetValid { valid_from: "a later date".to_owned(), now }
        }
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            LinkError::ServerNotTrusted { host, source }
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            LinkError::ServerNameMismatch { host, source }
        }
        _ => LinkError::ServerCertificateInvalid { host, source },
    }
}

enum AlertKind {
    OurCertificate(AlertDescription),
    Alpn,
    Other,
}

/// A server that wants another certificate says so in many ways; TLS 1.2 servers often just say
/// `HandshakeFailure`.
fn alert_kind(alert: AlertDescription) -> AlertKind {
    const OURS: [AlertDescription; 11] = [
        AlertDescription::HandshakeFailure,
        AlertDescription::NoCertificate,
        AlertDescription::BadCertificate,
        AlertDescription::UnsupportedCertificate,
        AlertDescription::CertificateRevoked,
        AlertDescription::CertificateExpired,
        AlertDescription::CertificateUnknown,
        AlertDescription::UnknownCA,
        AlertDescription::AccessDenied,
        AlertDescription::DecryptError,
        AlertDescription::CertificateRequired,
    ];
    if alert == AlertDescription::NoApplicationProtocol {
        AlertKind::Alpn
    } else if OURS.contains(&alert) {
        AlertKind::OurCertificate(alert)
    } else {
        AlertKind::Other
    }
}

fn alert_name(alert: AlertDescription) -> String {
    alert.as_str().map_or_else(|| format!("{}", u8::from(alert)), str::to_owned)
}

/// The first error of this type in the chain. `io::Error::source` leaves out the error that it was made from.
fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut current = Some(error);
    while let Some(error) = current {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        current = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(error: impl Into<WireError>, phase: Phase) -> LinkError {
        let now = SystemTime::UNIX_EPOCH;
        classify(error.into(), phase, Attempt { host: "a.example", port: 8883, now })
    }

    #[test]
    fn an_error_of_the_resolver_is_one_without_a_system_error_number() {
        let unresolved = sorted(WireError::Dial(io::Error::other("no such name")), Phase::Connecting);
        assert!(matches!(unresolved, LinkError::NameNotResolved { .. }), "{unresolved}");
        let unreachable = sorted(WireError::Dial(io::Error::from_raw_os_error(101)), Phase::Connecting);
        assert!(matches!(unreachable, LinkError::Unreachable { .. }), "{unreachable}");
        let refused = sorted(WireError::Dial(io::Error::from_raw_os_error(111)), Phase::Connecting);
        assert!(matches!(refused, LinkError::Refused { .. }), "{refused}");
    }

    #[test]
    fn a_verdict_of_tls_is_found_however_deep_it_lies() {
        let verdict = rustls::Error::AlertReceived(AlertDescription::CertificateUnknown);
        let inner = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, verdict));
        let state = StateError::Deserialization(mqttbytes::Error::Io(inner));
        let error = sorted(state, Phase::Connecting);
        assert!(matches!(&error, LinkError::CertificateRefused { alert } if alert == "CertificateUnknown"));
        let alpn = rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol);
        let error = sorted(WireError::Handshake(io::Error::other(alpn)), Phase::Connecting);
        assert!(matches!(error, LinkError::AlpnRefused));
    }

    #[test]
    fn a_reset_before_the_connack_is_a_refusal_and_after_it_a_broken_connection() {
        let reset = || StateError::Io(io::Error::from(io::ErrorKind::ConnectionReset));
        assert!(matches!(sorted(reset(), Phase::Connecting), LinkError::ClosedBeforeConnack));
        assert!(matches!(sorted(reset(), Phase::Connected), LinkError::Broken { .. }));
    }

    /// As it comes from the TLS stream while packets are read.
    fn of_tls(error: rustls::Error) -> StateError {
        StateError::Io(io::Error::new(io::ErrorKind::InvalidData, error))
    }

    #[test]
    fn every_way_to_refuse_our_certificate_is_one_cause() {
        for alert in [
            AlertDescription::CertificateRequired,
            AlertDescription::CertificateRevoked,
            AlertDescription::UnknownCA,
            AlertDescription::HandshakeFailure,
        ] {
            let error = sorted(of_tls(rustls::Error::AlertReceived(alert)), Phase::Connecting);
            assert!(matches!(error, LinkError::CertificateRefused { .. }), "{alert:?}: {error}");
        }
    }

    #[test]
    fn a_failure_of_tls_after_the_handshake_is_not_called_one_of_the_handshake() {
        let failure = || of_tls(rustls::Error::DecryptError);
        assert!(matches!(sorted(failure(), Phase::Connecting), LinkError::Tls { .. }));
        assert!(matches!(sorted(failure(), Phase::Connected), LinkError::Broken { .. }));
    }

    #[test]
    fn a_refusal_code_of_the_future_is_given_as_it_is() {
        let unknown = StateError::Deserialization(mqttbytes::Error::InvalidConnectReturnCode(0x17));
        let error = sorted(unknown, Phase::Connecting);
        assert!(matches!(error, LinkError::ConnackRefused { code: 0x17, .. }), "{error}");
    }

    #[test]
    fn one_message_that_is_never_acknowledged_is_told_as_such() {
        let error = sorted(StateError::CollisionTimeout, Phase::Connected);
        assert!(matches!(error, LinkError::PublishUnacknowledged), "{error}");
    }
}
