//! A service with a clock, spoken to in short words.

use serde_json::{Value, json};
use service_core::{ControlError, DeviceOutcome, EpochMillis, Message, Service, Settings};

/// When every bench begins.
pub(crate) const START: u64 = 1_720_000_000_000;

pub(crate) struct Bench {
    pub(crate) service: Service,
    pub(crate) now: EpochMillis,
}

impl Bench {
    /// With the thing `t1`.
    pub(crate) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(crate) fn with(settings: Settings) -> Self {
        let mut bench = Self { service: Service::new(settings), now: EpochMillis(START) };
        bench.thing("t1");
        bench
    }

    pub(crate) fn thing(&mut self, name: &str) {
        self.control("CreateThing", json!({"thingName": name})).unwrap();
    }

    pub(crate) fn try_control(
        &mut self,
        operation: &str,
        params: Value,
    ) -> (Result<Value, ControlError>, Vec<Message>) {
        let outcome = self.service.control(operation, params, self.now);
        (outcome.result, outcome.publications)
    }

    pub(crate) fn control(&mut self, operation: &str, params: Value) -> Result<Value, ControlError> {
        self.try_control(operation, params).0
    }

    /// Creates a job for `t1`, with further members.
    pub(crate) fn job(&mut self, id: &str, more: Value) -> Vec<Message> {
        let mut params = json!({
            "jobId": id,
            "targets": ["arn:aws:iot:us-east-1:123456789012:thing/t1"],
            "document": "{\"do\":\"it\"}",
        });
        let Value::Object(more) = more else { panic!("members wanted") };
        params.as_object_mut().unwrap().extend(more);
        let (result, publications) = self.try_control("CreateJob", params);
        result.unwrap();
        publications
    }

    /// Publishes to a topic of `t1`.
    pub(crate) fn publish(&mut self, topic: &str, payload: &str) -> DeviceOutcome {
        self.raw(&format!("$aws/things/t1/jobs/{topic}"), payload.as_bytes())
    }

    pub(crate) fn raw(&mut self, topic: &str, payload: &[u8]) -> DeviceOutcome {
        self.service.device_message(topic, payload, self.now)
    }

    /// Publishes and gives back the last level of the reply's topic and its text.
    pub(crate) fn reply(&mut self, topic: &str, payload: &str) -> (String, String) {
        let reply = self.publish(topic, payload).reply.unwrap();
        let (_, last) = reply.topic.rsplit_once('/').unwrap();
        (last.to_owned(), String::from_utf8(reply.payload).unwrap())
    }

    /// Publishes and gives back the code of the rejection.
    #[track_caller]
    pub(crate) fn refused(&mut self, topic: &str, payload: &str) -> String {
        let outcome = self.publish(topic, payload);
        assert_eq!(outcome.publications, [], "a refused request causes nothing: {topic} {payload}");
        let reply = outcome.reply.unwrap();
        assert!(reply.topic.ends_with("/rejected"), "{topic} {payload} was accepted");
        let body: Value = serde_json::from_slice(&reply.payload).unwrap();
        body["code"].as_str().unwrap().to_owned()
    }

    pub(crate) fn execution(&mut self, job: &str) -> Value {
        self.control("DescribeJobExecution", json!({"jobId": job, "thingName": "t1"})).unwrap()["execution"]
            .clone()
    }

    pub(crate) fn passes(&mut self, milliseconds: u64) -> Vec<Message> {
        self.now.0 += milliseconds;
        self.service.on_deadline(self.now)
    }
}

/// The topics of messages, without what they all begin with.
pub(crate) fn topics(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.topic.trim_start_matches("$aws/things/")).collect()
}

pub(crate) fn text(message: &Message) -> &str {
    std::str::from_utf8(&message.payload).unwrap()
}
