//! `/_fleethand/...`: the service's own paths, beside those of AWS.
//!
//! ```text
//! GET, PUT, DELETE  /_fleethand/faults   the rules; PUT takes {"seed": 1, "rules": [...]}
//! GET, POST         /_fleethand/clock    the clock; POST takes {"advanceSeconds": 60} or {"advanceMilliseconds": 5},
//!                                        and "silent": true if clients shall not count as alive meanwhile
//! ```

use std::time::Duration;

use axum::http::Method;
use serde::Deserialize;

use crate::engine::Management;
use crate::faults::FaultPlan;
use crate::jobs::Refusal;

/// What they all begin with.
pub(super) const PREFIX: &str = "/_fleethand/";

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Step {
    #[serde(default)]
    advance_seconds: u64,
    #[serde(default)]
    advance_milliseconds: u64,
    #[serde(default)]
    silent: bool,
}

/// What a request to one of the paths asks.
pub(super) fn read(method: &Method, path: &str, body: &[u8]) -> Result<Management, Refusal> {
    match (method.as_str(), path.strip_prefix(PREFIX).unwrap_or_default()) {
        ("GET", "faults") => Ok(Management::ShowFaults),
        ("PUT", "faults") => parsed(body, "rules for faults, {\"rules\": [...]}").map(Management::SetFaults),
        ("DELETE", "faults") => Ok(Management::SetFaults(FaultPlan::default())),
        ("GET", "clock") => Ok(Management::ShowClock),
        ("POST", "clock") => {
            let Step { advance_seconds, advance_milliseconds, silent } =
                parsed(body, "{\"advanceSeconds\": 60}")?;
            let span =
                Duration::from_secs(advance_seconds).checked_add(Duration::from_millis(advance_milliseconds));
            Ok(Management::Advance { span: span.unwrap_or(Duration::MAX), silent })
        }
        (method, _) => Err(Refusal::new(501, "NotImplemented", format!("There is no {method} {path} here."))),
    }
}

fn parsed<T: for<'de> Deserialize<'de>>(body: &[u8], wanted: &str) -> Result<T, Refusal> {
    serde_json::from_slice(body).map_err(|error| {
        Refusal::new(400, "InvalidRequestException", format!("The body is not {wanted}: {error}."))
    })
}
