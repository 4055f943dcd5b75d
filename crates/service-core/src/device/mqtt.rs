//! Device requests as they travel over MQTT: by topic, with client token and timestamp.

use jobs_protocol::message::{ErrorCode, ExecutionAccepted, GetPendingAccepted, Rejection, UpdateAccepted};
use jobs_protocol::topic::{JobsTopic, NotAJobsTopic, RequestTopic};
use jobs_protocol::{ClientToken, EpochSeconds, ThingName};
use serde_json::Value;

use super::Refusal;
use super::request::{Describe, Members, StartNext, Update, invalid};
use crate::notification::to_json;
use crate::service::Message;
use crate::state::Turn;

const PREFIX: &str = "$aws/things/";

/// Answers a publish; `None` if its topic is none for requests.
///
/// A topic below `.../jobs/` that names no operation is refused on the same topic with `/rejected`, as far as that is a
/// topic of the broker; no capture shows what the real service does.
pub(crate) fn answer(turn: &mut Turn<'_>, topic: &str, payload: &[u8]) -> Option<Message> {
    match JobsTopic::parse(topic) {
        Ok((thing, JobsTopic::Request(request))) => Some(answer_request(turn, &thing, request, payload)),
        Ok(_) | Err(NotAJobsTopic::Elsewhere) => None,
        Err(NotAJobsTopic::NoSuchOperation) => refuse_topic(turn, topic, payload),
    }
}

fn answer_request(turn: &mut Turn<'_>, thing: &ThingName, request: RequestTopic, payload: &[u8]) -> Message {
    let timestamp = turn.now.seconds();
    let mut token = None;
    let body = read(payload, &mut token)
        .and_then(|members| perform(turn, thing, &request, &members, token.clone(), timestamp));
    match body {
        Ok(payload) => Message { topic: JobsTopic::Accepted(request).of(thing), payload },
        Err(refusal) => {
            tracing::debug!(%thing, %request, code = ?refusal.code, "Request refused");
            let payload = rejection(refusal, token, timestamp);
            Message { topic: JobsTopic::Rejected(request).of(thing), payload }
        }
    }
}

fn perform(
    turn: &mut Turn<'_>,
    thing: &ThingName,
    request: &RequestTopic,
    members: &Members,
    client_token: Option<ClientToken>,
    timestamp: EpochSeconds,
) -> Result<Vec<u8>, Refusal> {
    let strict = turn.settings.strict_details;
    Ok(match request {
        RequestTopic::GetPending => {
            let [in_progress_jobs, queued_jobs] = turn.get_pending(thing)?;
            to_json(&GetPendingAccepted { client_token, timestamp, in_progress_jobs, queued_jobs })
        }
        RequestTopic::StartNext => {
            let execution = turn.start_next(thing, StartNext::read(members, strict)?)?;
            to_json(&ExecutionAccepted { client_token, timestamp, execution })
        }
        RequestTopic::Describe(selector) => {
            let execution = turn.describe(thing, selector, &Describe::read(members)?)?;
            to_json(&ExecutionAccepted { client_token, timestamp, execution })
        }
        RequestTopic::Update(id) => {
            let updated = turn.update(thing, id, Update::read(members, strict)?)?;
            let (execution_state, job_document) = (updated.state, updated.document);
            to_json(&UpdateAccepted { client_token, timestamp, execution_state, job_document })
        }
    })
}

/// The members of a payload; an empty payload counts as `{}`. The token is kept even if the request is refused later.
fn read(payload: &[u8], token: &mut Option<ClientToken>) -> Result<Members, Refusal> {
    if payload.is_empty() {
        return Ok(Members::new());
    }
    let unreadable = || {
        let message = "The contents of the request could not be interpreted as valid UTF-8-encoded JSON";
        Refusal::new(ErrorCode::InvalidJson, message)
    };
    let Ok(Value::Object(members)) = serde_json::from_slice(payload) else { return Err(unreadable()) };
    match members.get("clientToken") {
        None | Some(Value::Null) => {}
        Some(Value::String(text)) => *token = Some(ClientToken::from(text.as_str())),
        Some(_) => return Err(invalid("clientToken is not a string")),
    }
    Ok(members)
}

fn rejection(refusal: Refusal, client_token: Option<ClientToken>, timestamp: EpochSeconds) -> Vec<u8> {
    let Refusal { code, message, state } = refusal;
    to_json(&Rejection { client_token, timestamp, execution_state: state, code, message })
}

fn refuse_topic(turn: &Turn<'_>, topic: &str, payload: &[u8]) -> Option<Message> {
    let reserved = ["accepted", "rejected"].contains(&topic.rsplit('/').next()?);
    let topic_with_reply = format!("{topic}/rejected");
    let too_deep = topic_with_reply.matches('/').count() > 7;
    let too_long = topic_with_reply.len() > 256;
    if reserved || too_deep || too_long || topic.contains(['+', '#']) {
        return None;
    }
    let mut token = None;
    let to_next = topic.strip_prefix(PREFIX).is_some_and(|rest| rest.ends_with("/jobs/$next/update"));
    let refusal = match read(payload, &mut token) {
        Err(refusal) => refusal,
        Ok(_) if to_next => {
            Refusal::new(ErrorCode::ResourceNotFound, "Job $next not found: update names a job by its id")
        }
        Ok(_) if names_a_bad_job(topic) => invalid("The topic's job id is not 1 to 64 of [a-zA-Z0-9_-]"),
        Ok(_) => {
            Refusal::new(ErrorCode::InvalidTopic, "The topic does not map to an operation of AWS IoT Jobs")
        }
    };
    Some(Message { topic: topic_with_reply, payload: rejection(refusal, token, turn.now.seconds()) })
}

/// Whether a topic would be a request if the level before its last one were a job's id.
fn names_a_bad_job(topic: &str) -> bool {
    let levels: Vec<&str> = topic.split('/').collect();
    matches!(levels[..], ["$aws", "things", _, "jobs", _, "get" | "update"])
}
