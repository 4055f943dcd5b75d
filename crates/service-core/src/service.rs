//! The service as its shell sees it: the calls, their outcomes, and the settings.
//!
//! Each call first ends what is due by then, so that nothing depends on how soon the shell kept its alarm.

use jobs_protocol::ThingName;
use jobs_protocol::topic::{JobsTopic, RequestTopic};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::control::error::ControlError;
use crate::credentials::Holder;
use crate::state::{State, Turn};
use crate::{EpochMillis, S3Object, control, device};

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
    /// What the URLs of presigned placeholders begin with; bucket and key follow.
    pub documents: String,
    /// Where ids of things, groups and events are derived from.
    pub seed: u64,
}

/// A saved state that cannot be gone on with.
#[derive(Debug, thiserror::Error)]
#[error("the saved state is not one of this version of the service")]
pub struct InvalidState(#[from] serde_json::Error);

impl Default for Settings {
    fn default() -> Self {
        Self {
            region: "us-east-1".to_owned(),
            account: "123456789012".to_owned(),
            endpoint: "localhost".to_owned(),
            strict_details: false,
            documents: "http://localhost/".to_owned(),
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

#[derive(Serialize, Deserialize)]
struct Saved<S> {
    seed: u64,
    state: S,
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

    /// The same for an operation with a `documentSource`, whose content has been read.
    pub fn control_with_document(
        &mut self,
        operation: &str,
        params: Value,
        document: String,
        now: EpochMillis,
    ) -> ControlOutcome {
        let (result, publications) = self.turn(now, |turn| {
            turn.fetched = Some(document);
            control::perform(turn, operation, params)
        });
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

    /// Whether a URL that was handed out in the place of a presigned placeholder still opens its object.
    #[must_use]
    pub fn may_fetch(&self, object: &S3Object, query: &str, now: EpochMillis) -> bool {
        object.is_open(query, self.settings.seed, now)
    }

    /// Who holds the certificate with this id, which is the SHA-256 of its DER in lower-case hexadecimal digits. `None`: it
    /// is none that CreateKeysAndCertificate has given out, or it has been deleted.
    #[must_use]
    pub fn holder(&self, certificate: &str) -> Option<Holder> {
        self.state.credentials.holder(certificate)
    }

    /// Everything that the service knows, and the seed of its ids, as JSON.
    pub fn save(&self, out: impl std::io::Write) -> Result<(), InvalidState> {
        Ok(serde_json::to_writer(out, &Saved { seed: self.settings.seed, state: &self.state })?)
    }

    /// A service that goes on from a saved state. The seed is the saved one.
    pub fn restore(settings: Settings, saved: &[u8]) -> Result<Self, InvalidState> {
        let Saved::<State> { seed, mut state } = serde_json::from_slice(saved)?;
        state.derive();
        Ok(Self { settings: Settings { seed, ..settings }, state })
    }

    /// The seed that ids are derived from.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.settings.seed
    }

    /// Does what is due by itself: ends executions whose time is over, begins and ends schedules, releases batches.
    /// Called too early, it does nothing.
    pub fn on_deadline(&mut self, now: EpochMillis) -> Vec<Message> {
        self.turn(now, |_| ()).1
    }

    fn turn<T>(&mut self, now: EpochMillis, deed: impl FnOnce(&mut Turn<'_>) -> T) -> (T, Vec<Message>) {
        let mut messages = Vec::new();
        while let Some(alarm) = self.state.timers.take_due(now) {
            let mut turn = Turn::new(&mut self.state, &self.settings, now);
            turn.on_alarm(alarm.due);
            messages.extend(turn.into_messages());
        }
        let mut turn = Turn::new(&mut self.state, &self.settings, now);
        let result = deed(&mut turn);
        messages.extend(turn.into_messages());
        (result, messages)
    }
}
