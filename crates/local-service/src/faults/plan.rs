//! Rules for faults as they are written, and what makes them invalid.

use jobs_protocol::ThingName;
use jobs_protocol::message::ErrorCode;
use serde::{Deserialize, Serialize};

use crate::broker::topic;
use crate::http::routes;

/// Longest delay, in milliseconds: a day.
const LONGEST: u64 = 86_400_000;
/// Most further copies of one message.
const COPIES: u32 = 100;

/// All the rules; the first that acts on something decides.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultPlan {
    /// Where chance comes from: the same seed, the same faults.
    #[serde(default)]
    pub seed: u64,
    /// In order.
    #[serde(default)]
    pub rules: Vec<FaultRule>,
}

/// One rule: for topics, or for an operation called by HTTP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultRule {
    /// Only what is about this thing; absent: every thing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thing: Option<ThingName>,
    /// An MQTT filter below `$aws/things/{thing}/jobs/`, such as `+/update` (requests), `+/update/accepted` (replies) or
    /// `notify-next`; one that begins with `$aws/` is a whole topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// An operation of the HTTP API, such as `CreateJob`; `*` for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// What becomes of it.
    pub action: Action,
    /// So many are let through first.
    #[serde(default)]
    pub skip: u64,
    /// Acts so often; absent: always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// In how many of the cases, from 0 to 1.
    #[serde(default = "always")]
    pub probability: f64,
}

/// What becomes of a message or a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It never arrives; a call is answered 503 and not performed.
    Lose,
    /// It comes so many milliseconds later; what follows may overtake it.
    Delay(u64),
    /// It comes so many times more.
    Repeat(u32),
    /// A request is rejected with this code, a call with this error, and neither is performed.
    Reject(String),
    /// The same, with the service's answer to too many requests.
    Throttle,
    /// The connection breaks instead: before a request is heard, or before a reply or a notification is sent. A call is
    /// performed and answered 503.
    Cut,
}

/// Rules that cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("rule {rule}: {fault}")]
pub struct InvalidPlan {
    /// Counted from 0.
    rule: usize,
    fault: String,
}

const fn always() -> f64 {
    1.0
}

impl FaultPlan {
    /// Says what is wrong with the first rule that is.
    pub(super) fn check(&self) -> Result<(), InvalidPlan> {
        for (rule, written) in self.rules.iter().enumerate() {
            written.check().map_err(|fault| InvalidPlan { rule, fault })?;
        }
        Ok(())
    }
}

impl FaultRule {
    fn check(&self) -> Result<(), String> {
        match (&self.topic, &self.operation) {
            (Some(topic), None) => {
                let whole = if topic.starts_with("$aws/") {
                    topic.clone()
                } else {
                    format!("$aws/things/t/jobs/{topic}")
                };
                if !topic::is_valid_filter(&whole) || !fits_something(&whole) {
                    return Err(format!("`topic` fits no topic of Jobs: {}", topic.escape_debug()));
                }
                if let Some(thing) = &self.thing
                    && topic.starts_with("$aws/")
                    && !whole.split('/').nth(2).is_some_and(|level| level == "+" || level == thing.as_str())
                {
                    return Err(format!("`topic` is not about the thing {thing}: {}", topic.escape_debug()));
                }
            }
            (None, Some(operation)) if operation == "*" || routes::is_operation(operation) => {}
            (None, Some(operation)) => {
                return Err(format!("`operation` is none that is here: {}", operation.escape_debug()));
            }
            (None, None) | (Some(_), Some(_)) => {
                return Err("exactly one of `topic` and `operation` is needed".to_owned());
            }
        }
        if !(0.0..=1.0).contains(&self.probability) {
            return Err("`probability` is from 0 to 1".to_owned());
        }
        match &self.action {
            Action::Delay(span) if *span > LONGEST => {
                Err(format!("`delay` is at most {LONGEST} milliseconds"))
            }
            Action::Repeat(copies) if !(1..=COPIES).contains(copies) => {
                Err(format!("`repeat` is from 1 to {COPIES}"))
            }
            Action::Reject(name) if self.topic.is_some() && error_code(name).is_none() => {
                Err("`reject` names a code of the device API, such as InternalError".to_owned())
            }
            Action::Reject(name) if self.operation.is_some() && error_status(name).is_none() => {
                Err("`reject` names an error of the API, such as InternalFailureException".to_owned())
            }
            Action::Reject(_) | Action::Throttle if self.topic.as_deref().is_some_and(answers_nothing) => {
                Err("only requests can be rejected, and `topic` is one of replies or notifications"
                    .to_owned())
            }
            Action::Lose
            | Action::Delay(_)
            | Action::Repeat(_)
            | Action::Reject(_)
            | Action::Throttle
            | Action::Cut => Ok(()),
        }
    }
}

/// Whether there is a topic of the service that fits a filter: one with a mistake in it would act on nothing without a word.
fn fits_something(filter: &str) -> bool {
    let levels: Vec<&str> = filter.split('/').collect();
    if levels[..2] == ["$aws", "events"] {
        return true;
    }
    let literal = |index: usize, other: &'static str| match levels.get(index) {
        Some(&("+" | "#")) | None => other.to_owned(),
        Some(level) => (*level).to_owned(),
    };
    let (thing, job) = (literal(2, "t"), literal(4, "j"));
    let requests = ["get", "start-next", &format!("{job}/get"), &format!("{job}/update")].map(str::to_owned);
    let replies =
        requests.iter().flat_map(|request| ["accepted", "rejected"].map(|end| format!("{request}/{end}")));
    let all = ["notify", "notify-next"].into_iter().map(str::to_owned).chain(replies).chain(requests.clone());
    all.into_iter().any(|rest| topic::matches(filter, &format!("$aws/things/{thing}/jobs/{rest}")))
}

fn answers_nothing(filter: &str) -> bool {
    let last = filter.rsplit('/').next().unwrap_or_default();
    filter.starts_with("$aws/events/") || ["notify", "notify-next", "accepted", "rejected"].contains(&last)
}

/// A code of the device API by its name.
pub(crate) fn error_code(name: &str) -> Option<ErrorCode> {
    let code = serde_json::from_value(name.into()).ok()?;
    if code == ErrorCode::Unknown { None } else { Some(code) }
}

/// The HTTP status of an error of the control plane.
pub(crate) fn error_status(name: &str) -> Option<u16> {
    Some(match name {
        "InvalidRequestException" | "ThrottlingException" | "CertificateValidationException" => 400,
        "UnauthorizedException" => 401,
        "AccessDeniedException" | "ForbiddenException" => 403,
        "ResourceNotFoundException" => 404,
        "ResourceAlreadyExistsException"
        | "ConflictException"
        | "InvalidStateTransitionException"
        | "VersionConflictException" => 409,
        "LimitExceededException" | "TerminalStateException" => 410,
        "InternalFailureException" | "InternalServerException" => 500,
        "ServiceUnavailableException" => 503,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn fault(rule: &Value) -> Option<String> {
        let plan: FaultPlan = serde_json::from_value(json!({ "rules": [rule] })).unwrap();
        plan.check().err().map(|error| error.to_string())
    }

    #[test]
    fn every_action_has_its_form() {
        for action in [
            json!("lose"),
            json!("cut"),
            json!("throttle"),
            json!({"delay": 1500}),
            json!({"repeat": 1}),
            json!({"reject": "InternalError"}),
        ] {
            let rule = json!({"topic": "+/update", "action": action});
            assert_eq!(fault(&rule), None, "{rule}");
            let read: FaultRule = serde_json::from_value(rule.clone()).unwrap();
            assert_eq!(json!(read)["action"], rule["action"]);
        }
    }

    #[test]
    fn every_topic_of_jobs_has_its_filters() {
        for topic in [
            "#",
            "+",
            "+/#",
            "get",
            "get/+",
            "get/accepted",
            "start-next/rejected",
            "$next/get",
            "$next/get/accepted",
            "+/update",
            "+/update/#",
            "job-1/update/rejected",
            "notify-next",
            "$aws/things/t1/jobs/get",
            "$aws/things/+/jobs/#",
            "$aws/things/t1/#",
            "$aws/events/jobExecution/+/succeeded",
        ] {
            assert_eq!(fault(&json!({"topic": topic, "action": "lose"})), None, "{topic}");
        }
        assert_eq!(fault(&json!({"topic": "$aws/things/+/jobs/#", "thing": "t2", "action": "lose"})), None);
    }

    #[test]
    fn what_cannot_be_followed_is_told_with_its_rule() {
        for (rule, said) in [
            (json!({"action": "lose"}), "exactly one"),
            (json!({"topic": "a", "operation": "b", "action": "lose"}), "exactly one"),
            (json!({"topic": "a#", "action": "lose"}), "fits no topic"),
            (json!({"topic": "", "action": "lose"}), "fits no topic"),
            (json!({"topic": "update", "action": "lose"}), "fits no topic"),
            (json!({"topic": "+/update/acepted", "action": "lose"}), "fits no topic"),
            (
                json!({"topic": "$aws/things/t1/jobs/get", "thing": "t2", "action": "lose"}),
                "not about the thing t2",
            ),
            (
                json!({"topic": "$aws/events/job/#", "thing": "t2", "action": "lose"}),
                "not about the thing t2",
            ),
            (json!({"operation": "createJob", "action": "lose"}), "none that is here"),
            (json!({"topic": "get", "action": "lose", "probability": 1.5}), "from 0 to 1"),
            (json!({"topic": "get", "action": {"repeat": 0}}), "`repeat`"),
            (json!({"topic": "get", "action": {"delay": 90_000_000}}), "`delay`"),
            (json!({"topic": "get", "action": {"reject": "Nonsense"}}), "code of the device API"),
            (json!({"operation": "CreateJob", "action": {"reject": "InternalError"}}), "error of the API"),
            (json!({"topic": "notify", "action": "throttle"}), "only requests"),
        ] {
            let found = fault(&rule).unwrap_or_else(|| panic!("{rule} was taken"));
            assert!(found.starts_with("rule 0: ") && found.contains(said), "{rule}: {found}");
        }
        for unread in
            [json!({"topic": "get", "action": "loose"}), json!({"topic": "get", "action": "lose", "x": 1})]
        {
            assert!(serde_json::from_value::<FaultRule>(unread).is_err());
        }
    }
}
