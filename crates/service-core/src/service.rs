//! The service as its shell sees it: the calls, their outcomes, and the settings.
//!
//! Each call first ends what is due by then, so that nothing depends on how soon the shell kept its alarm.

use jobs_protocol::ThingName;
use jobs_protocol::topic::{JobsTopic, RequestTopic};
use serde_json::Value;

use crate::control::error::ControlError;
use crate::state::{State, Turn};
use crate::{EpochMillis, control, device};

/// What an account fixes once.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The region in ARNs, such as `eu-central-1`.
    pub region: String,
    /// The account in ARNs: twelve digits.
    pub account: String,
    /// What DescribeEndpoint answers: a host name, without a scheme.
    pub endpoint: String,
    /// Hold status details to the published pattern, which forbids line feed, carriage return and tab too. The real
    /// service has been seen to store them.
    pub strict_details: bool,
    /// Where ids of things, groups and events are derived from.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            region: "us-east-1".to_owned(),
            account: "123456789012".to_owned(),
            endpoint: "localhost".to_owned(),
            strict_details: false,
            seed: 0,
        }
    }
}

/// A message to be delivered over MQTT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The whole topic.
    pub topic: String,
    /// Compact JSON.
    pub payload: Vec<u8>,
}

/// What follows from a device's message. On the wire the reply comes first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceOutcome {
    /// To the connection that asked, and to no other; `None` if the topic is none of the service's requests.
    pub reply: Option<Message>,
    /// To every subscriber, in this order.
    pub publications: Vec<Message>,
}

/// What follows from an operation of the control plane or the HTTP data plane.
#[derive(Debug, Clone)]
pub struct ControlOutcome {
    /// The body of the answer 200, or the error.
    pub result: Result<Value, ControlError>,
    /// To every subscriber, in this order.
    pub publications: Vec<Message>,
}

/// The Jobs service of one account in one region.
#[derive(Debug, Clone)]
pub struct Service {
    settings: Settings,
    state: State,
}

impl Service {
    /// A service without things and jobs.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self { settings, state: State::default() }
    }

    /// Answers a publish of a device to any topic below `$aws/things/{thingName}/jobs/`.
    ///
    /// Any payload is borne; whether the sender may speak for the thing is the broker's question. A topic elsewhere, and
    /// one that the service itself publishes to, has no outcome.
    pub fn device_message(&mut self, topic: &str, payload: &[u8], now: EpochMillis) -> DeviceOutcome {
        let (reply, publications) = self.turn(now, |turn| device::mqtt::answer(turn, topic, payload));
        DeviceOutcome { reply, publications }
    }

    /// The same for a request that is known by its parts.
    pub fn device_request(
        &mut self,
        thing: &ThingName,
        request: RequestTopic,
        payload: &[u8],
        now: EpochMillis,
    ) -> DeviceOutcome {
        self.device_message(&JobsTopic::Request(request).of(thing), payload, now)
    }

    /// Performs an operation of the control plane.
    ///
    /// `params` is one object with the API's member names, wherever they travel (path, query, body); numbers and booleans
    /// may come as text, as they do in a query. An operation that is not here is error 501, an option that is not here
    /// is an `InvalidRequestException` that names it.
    pub fn control(&mut self, operation: &str, params: Value, now: EpochMillis) -> ControlOutcome {
        let (result, publications) = self.turn(now, |turn| control::perform(turn, operation, params));
        ControlOutcome { result, publications }
    }

    /// Performs an operation of the HTTP data plane (`iot-jobs-data`), as [`Self::control`] does for the control plane.
    pub fn data_plane(&mut self, operation: &str, params: Value, now: EpochMillis) -> ControlOutcome {
        let (result, publications) = self.turn(now, |turn| device::http::perform(turn, operation, params));
        ControlOutcome { result, publications }
    }

    /// When [`Self::on_deadline`] wants to be called next; `None`: nothing is timed.
    #[must_use]
    pub fn deadline(&self) -> Option<EpochMillis> {
        self.state.timers.next()
    }

    /// Ends the executions whose time is over. Called too early, it does nothing.
    pub fn on_deadline(&mut self, now: EpochMillis) -> Vec<Message> {
        self.turn(now, |_| ()).1
    }

    fn turn<T>(&mut self, now: EpochMillis, deed: impl FnOnce(&mut Turn<'_>) -> T) -> (T, Vec<Message>) {
        let mut messages = Vec::new();
        while let Some(due) = self.state.timers.take_due(now) {
            let mut turn = Turn::new(&mut self.state, &self.settings, now);
            turn.time_out(&due);
            messages.extend(turn.into_messages());
        }
        let mut turn = Turn::new(&mut self.state, &self.settings, now);
        let result = deed(&mut turn);
        messages.extend(turn.into_messages());
        (result, messages)
    }
}
