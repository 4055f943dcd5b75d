//! What concerns the whole account: the endpoint, and which events are published.

use serde_json::{Value, json};

use super::error::ControlError;
use super::params::{Params, wrong};
use crate::state::Turn;

pub(super) fn endpoint(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &["endpointType"])?;
    match params.text("endpointType")?.unwrap_or("iot:Data") {
        "iot:Data" | "iot:Data-ATS" | "iot:CredentialProvider" => {
            Ok(json!({"endpointAddress": turn.settings.endpoint}))
        }
        // Retired; iot:Data-ATS serves Jobs data [capture N 09-19].
        "iot:Jobs" => Err(ControlError::invalid("Endpoint type iot:Jobs is retired, use iot:Data-ATS.")),
        _ => Err(ControlError::invalid(
            "Endpoint type is not one of iot:Data, iot:Data-ATS, iot:CredentialProvider.",
        )),
    }
}

/// The kinds of events that the service knows; two of them are published here.
const KINDS: [&str; 11] = [
    "THING",
    "THING_GROUP",
    "THING_TYPE",
    "THING_GROUP_MEMBERSHIP",
    "THING_GROUP_HIERARCHY",
    "THING_TYPE_ASSOCIATION",
    "JOB",
    "JOB_EXECUTION",
    "POLICY",
    "CERTIFICATE",
    "CA_CERTIFICATE",
];

pub(super) fn update_events(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &["eventConfigurations"])?;
    let mut switches = turn.state.switches;
    for (kind, configuration) in params.object("eventConfigurations")?.into_iter().flatten() {
        let enabled = match configuration.get("Enabled") {
            None => false,
            Some(value) => {
                value.as_bool().ok_or_else(|| wrong("eventConfigurations.Enabled", "true or false"))?
            }
        };
        match kind.as_str() {
            "JOB" => switches.job = enabled,
            "JOB_EXECUTION" => switches.job_execution = enabled,
            known if KINDS.contains(&known) && !enabled => {}
            known if KINDS.contains(&known) => {
                return Err(ControlError::invalid(format!(
                    "Events of {known} are not supported by this service."
                )));
            }
            _ => return Err(wrong("eventConfigurations", &format!("keyed by one of {KINDS:?}"))),
        }
    }
    switches.set = Some([switches.set.map_or(turn.now, |[first, _]| first), turn.now]);
    turn.state.switches = switches;
    Ok(json!({}))
}

pub(super) fn describe_events(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    Params::read(params, &[])?;
    let switches = turn.state.switches;
    let enabled =
        |kind: &str| (kind == "JOB" && switches.job) || (kind == "JOB_EXECUTION" && switches.job_execution);
    let shown: serde_json::Map<String, Value> =
        KINDS.iter().map(|kind| ((*kind).to_owned(), json!({"Enabled": enabled(kind)}))).collect();
    let mut body = json!({"eventConfigurations": shown});
    if let Some([first, last]) = switches.set {
        body["creationDate"] = json!(first.seconds());
        body["lastModifiedDate"] = json!(last.seconds());
    }
    Ok(body)
}
