//! Who may call over HTTPS: the holder of a certificate what its policy allows, anybody else what is signed.
//!
//! Signatures are not checked. On the plain address, which is for the desk itself, nothing is asked for.

use axum::extract::ConnectInfo;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use serde_json::Value;
use tokio::sync::mpsc;

use super::request::Call;
use crate::broker::policy::Deed;
use crate::broker::shown::Shown;
use crate::engine::Event;
use crate::jobs::Refusal;

/// What was shown in the TLS handshake, if there was one.
pub(super) fn shown(parts: &Parts) -> Option<&Shown> {
    parts.extensions.get::<ConnectInfo<Shown>>().map(|ConnectInfo(shown)| shown)
}

/// Whether the caller may speak at all.
pub(super) fn at_all(parts: &Parts) -> Result<(), Refusal> {
    if shown(parts).is_none_or(Shown::is_certificate) || is_signed(parts) {
        Ok(())
    } else {
        Err(Refusal::new(403, "MissingAuthenticationTokenException", "Missing Authentication Token"))
    }
}

/// Whether the caller, who may speak, may have an operation of the data plane performed. It has actions of its own in policies, each on a
/// thing.
pub(super) async fn to_operation(
    parts: &Parts,
    call: &Call,
    events: &mpsc::Sender<Event>,
) -> Result<(), Refusal> {
    let Some(shown) = shown(parts).filter(|shown| shown.is_certificate()) else { return Ok(()) };
    let thing = call.params.get("thingName").and_then(Value::as_str).unwrap_or_default();
    let allowed = match shown.permit(None, events).await {
        Ok(permit) => {
            let deed = Deed::JobsData { operation: call.operation, thing };
            permit.is_none_or(|permit| permit.allows(deed))
        }
        Err(error) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(cause, "A caller may do nothing: {error}");
            false
        }
    };
    if allowed { Ok(()) } else { Err(Refusal::new(403, "ForbiddenException", "Forbidden")) }
}

/// Whether there is a signature, in a header or, as with WebSockets, in the query.
fn is_signed(parts: &Parts) -> bool {
    let header = parts.headers.get(AUTHORIZATION).and_then(|header| header.to_str().ok());
    let query = parts.uri.query().unwrap_or_default();
    header.is_some_and(|header| header.starts_with("AWS4-"))
        || query.split('&').any(|pair| pair.starts_with("X-Amz-Signature="))
}
