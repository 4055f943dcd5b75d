//! Where faults on request come in: every request, reply, notification and call passes through here once.

use bytes::Bytes;
use jobs_protocol::message::ErrorCode;
use serde_json::{Map, Value, json};

use super::{Answer, Deed, Engine, Out};
use crate::broker::hub::ConnectionId;
use crate::clock::Millis;
use crate::faults::{Action, Subject, error_status};
use crate::jobs::{JobsTap, Plane, Publication, Refusal};

/// What a rejection on request tells.
const MESSAGE: &str = "This is a fault on request.";

impl<T: JobsTap> Engine<T> {
    /// A device has published a request.
    pub(super) fn asked(&mut self, from: ConnectionId, topic: String, payload: Bytes, now: Millis) {
        match self.faults.on(Subject::Topic(&topic)) {
            None => self.ask(from, &topic, &payload, now),
            Some(Action::Lose) => {}
            Some(Action::Delay(span)) => {
                self.deferred.put(now.plus(Millis(span)), Deed::Ask { from, topic, payload });
            }
            Some(Action::Repeat(copies)) => {
                for _ in 0..=copies {
                    self.ask(from, &topic, &payload, now);
                }
            }
            Some(Action::Reject(code)) => self.reject(from, &topic, &payload, &code, now),
            Some(Action::Throttle) => {
                let code = json!(ErrorCode::RequestThrottled);
                self.reject(from, &topic, &payload, code.as_str().unwrap_or_default(), now);
            }
            Some(Action::Cut) => self.cut(from, now),
        }
    }

    fn reject(&mut self, from: ConnectionId, topic: &str, payload: &[u8], code: &str, now: Millis) {
        let request: Map<String, Value> = serde_json::from_slice(payload).unwrap_or_default();
        let mut body = json!({"timestamp": now.0 / 1000, "code": code, "message": MESSAGE});
        if let Some(token) = request.get("clientToken").filter(|token| token.is_string()) {
            body["clientToken"] = token.clone();
        }
        let payload = Bytes::from(body.to_string());
        self.send_reply(from, &Publication { topic: format!("{topic}/rejected"), payload }, now);
    }

    /// The Jobs service answers a request.
    pub(super) fn reply(&mut self, to: ConnectionId, message: Publication, now: Millis) {
        match self.faults.on(Subject::Topic(&message.topic)) {
            // Only requests can be rejected.
            None | Some(Action::Reject(_) | Action::Throttle) => self.send_reply(to, &message, now),
            Some(Action::Lose) => {}
            Some(Action::Delay(span)) => {
                self.deferred.put(now.plus(Millis(span)), Deed::Reply(to, message));
            }
            Some(Action::Repeat(copies)) => {
                for _ in 0..=copies {
                    self.send_reply(to, &message, now);
                }
            }
            Some(Action::Cut) => self.cut(to, now),
        }
    }

    /// The Jobs service tells all subscribers.
    pub(super) fn publish(&mut self, publications: Vec<Publication>, now: Millis) {
        for message in publications {
            match self.faults.on(Subject::Topic(&message.topic)) {
                None | Some(Action::Reject(_) | Action::Throttle) => self.send_publication(&message, now),
                Some(Action::Lose) => {}
                Some(Action::Delay(span)) => {
                    self.deferred.put(now.plus(Millis(span)), Deed::Publish(message));
                }
                Some(Action::Repeat(copies)) => {
                    for _ in 0..=copies {
                        self.send_publication(&message, now);
                    }
                }
                Some(Action::Cut) => {
                    for connection in self.hub.connected_subscribers(&message.topic) {
                        self.cut(connection, now);
                    }
                }
            }
        }
    }

    /// An operation is called by HTTP.
    pub(super) fn called(
        &mut self,
        plane: Plane,
        operation: String,
        params: Value,
        answer: Answer,
        now: Millis,
    ) {
        let thing = params.get("thingName").and_then(Value::as_str);
        let fault = self.faults.on(Subject::Call { operation: &operation, thing });
        let lost = || Refusal::new(503, "ServiceUnavailableException", MESSAGE);
        let outcome = match fault {
            None => self.call(plane, &operation, params, now),
            Some(Action::Lose) => Err(lost()),
            Some(Action::Delay(span)) => {
                let deed = Deed::Call { plane, operation, params, answer };
                return self.deferred.put(now.plus(Millis(span)), deed);
            }
            Some(Action::Repeat(copies)) => {
                let outcome = self.call(plane, &operation, params.clone(), now);
                for _ in 0..copies {
                    if let Err(refusal) = self.call(plane, &operation, params.clone(), now) {
                        tracing::debug!(operation, "The repetition is refused: {}", refusal.message);
                    }
                }
                outcome
            }
            Some(Action::Reject(name)) => Err(refused(plane, &name)),
            Some(Action::Throttle) => Err(refused(plane, "ThrottlingException")),
            Some(Action::Cut) => {
                if let Err(refusal) = self.call(plane, &operation, params, now) {
                    tracing::debug!(operation, "Refused before the answer was lost: {}", refusal.message);
                }
                Err(lost())
            }
        };
        self.outbox.push(Out::Answer(answer, outcome));
    }

    fn cut(&mut self, connection: ConnectionId, now: Millis) {
        self.outbox.push(Out::Cut(connection));
        let effects = self.hub.on_gone(connection, now);
        self.perform(effects, now);
    }
}

/// An error on request, with its status on that plane: they differ in one.
fn refused(plane: Plane, name: &str) -> Refusal {
    let status = match (plane, name) {
        (Plane::Data, "ThrottlingException") => 429,
        _ => error_status(name).unwrap_or(500),
    };
    Refusal::new(status, name, MESSAGE)
}
