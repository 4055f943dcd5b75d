//! What the service does in a world, and what becomes of messages on their way.

use serde_json::{Value, json};
use service_core::{EpochMillis, Message};

use super::{Coming, LAG, LATEST, World};

impl World {
    pub(super) fn service_hears(&mut self, link: u64, topic: &str, payload: &[u8]) {
        self.tell(|| format!("  service hears {topic} {}", String::from_utf8_lossy(payload)));
        if self.now < self.overloaded_until || self.dice.per_mille(self.weather.refuse) {
            return self.service_refuses(link, topic, payload);
        }
        let reads = topic.ends_with("/get");
        if !reads && self.now < self.replica.1 + LAG && self.dice.per_mille(self.weather.stale) {
            // It does not take the update, but it may refuse it.
            let answer = self.replica.0.clone().device_message(topic, payload, EpochMillis(self.now));
            if let Some(refusal) = answer.reply.filter(|reply| reply.topic.ends_with("/rejected")) {
                self.tell(|| "  (a lagging replica refuses it)".to_owned());
                return self.send_over(link, &refusal.topic, &refusal.payload);
            }
        }
        let stale = reads && self.now < self.replica.1 + LAG && self.dice.per_mille(self.weather.stale);
        // A copy is asked: time must not pass for the replica itself.
        let answer = if stale {
            self.tell(|| "  (a lagging replica answers)".to_owned());
            self.replica.0.clone().device_message(topic, payload, EpochMillis(self.now))
        } else {
            if !reads {
                self.note_replica();
            }
            self.service.device_message(topic, payload, EpochMillis(self.now))
        };
        if let Some(reply) = answer.reply {
            self.note_agreement(&reply);
            self.send_over(link, &reply.topic, &reply.payload);
        }
        for message in answer.publications {
            self.send(&message);
        }
    }

    pub(super) fn service_refuses(&mut self, link: u64, topic: &str, payload: &[u8]) {
        let codes = ["RequestThrottled", "RequestThrottled", "InternalError", "SomethingNew"];
        let code = codes[self.dice.between(0, 4) as usize];
        self.tell(|| format!("  (refused: {code})"));
        let request: Value = serde_json::from_slice(payload).expect("the agent speaks JSON");
        let refusal =
            json!({"clientToken": request["clientToken"], "timestamp": 1, "code": code, "message": ""});
        self.send_over(link, &format!("{topic}/rejected"), refusal.to_string().as_bytes());
    }

    /// What a part of the service that lags behind will say from now on.
    pub(super) fn note_replica(&mut self) {
        if self.weather.stale > 0 {
            self.replica = (self.service.clone(), self.now);
        }
    }

    pub(super) fn send(&mut self, message: &Message) {
        if !self.dice.per_mille(self.weather.mute) {
            self.send_over(self.link, &message.topic, &message.payload);
        }
    }

    pub(super) fn send_over(&mut self, link: u64, topic: &str, payload: &[u8]) {
        for delay in self.deliveries() {
            let (topic, payload) = (topic.to_owned(), payload.to_owned());
            self.later(delay, Coming::ToAgent { link, topic, payload });
        }
    }

    /// When a message arrives: not at all, once, or twice; mostly soon and in order.
    pub(super) fn deliveries(&mut self) -> Vec<u64> {
        let mut times = Vec::new();
        if !self.dice.per_mille(self.weather.lose) {
            times.push(if self.dice.per_mille(self.weather.delay) {
                self.dice.between(1, LATEST)
            } else {
                20
            });
        }
        if self.dice.per_mille(self.weather.repeat) {
            times.push(self.dice.between(1, LATEST));
        }
        times
    }
}
