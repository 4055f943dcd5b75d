//! The seam between broker and Jobs service: what the one asks the other.
//!
//! The broker hands over requests of devices, the HTTP front those of operators; both get their answers from the
//! same place in one order. Which answer that is, the implementation decides.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use service_core::{Holder, S3Object};

use crate::clock::Millis;

/// A message from the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Publication {
    pub(crate) topic: String,
    pub(crate) payload: Bytes,
}

/// What a request of a device leads to.
#[derive(Debug, Default)]
pub(crate) struct DeviceAnswer {
    /// For the connection that asked, and nobody else.
    pub(crate) reply: Option<Publication>,
    /// For all subscribers, after the reply, in this order.
    pub(crate) publications: Vec<Publication>,
}

/// Which of the two HTTP services is meant; they share paths and even names of operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Plane {
    /// `iot`: the operator's side.
    Control,
    /// `iot-jobs-data`: the device's side over HTTP.
    Data,
}

/// A refusal as the AWS clients read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// Name of the error, such as `ResourceNotFoundException`.
    pub error: String,
    /// For people.
    pub message: String,
    /// Further members of the error's shape, such as `resourceId`.
    pub members: serde_json::Map<String, Value>,
}

impl Refusal {
    pub(crate) fn new(status: u16, error: &str, message: impl Into<String>) -> Self {
        Self { status, error: error.into(), message: message.into(), members: serde_json::Map::new() }
    }

    /// The service has ended before it could answer.
    pub(crate) fn stopping() -> Self {
        Self::new(503, "ServiceUnavailableException", "The service is stopping.")
    }
}

/// What a call by HTTP leads to.
#[derive(Debug)]
pub(crate) struct ControlAnswer {
    /// The body of the response, or why there is none.
    pub(crate) outcome: Result<Value, Refusal>,
    /// For all subscribers, in this order.
    pub(crate) publications: Vec<Publication>,
}

/// The Jobs service behind the broker.
pub(crate) trait JobsTap: Send + 'static {
    /// A device has published `payload` on `topic`, which is one of the Jobs topics that devices may publish to.
    fn device_message(&mut self, topic: &str, payload: &[u8], now: Millis) -> DeviceAnswer;

    /// An operation of the AWS API has been called, with its members in one object. `document` is what its
    /// `documentSource` holds, if it has one.
    fn call(
        &mut self,
        plane: Plane,
        operation: &str,
        params: Value,
        document: Option<String>,
        now: Millis,
    ) -> ControlAnswer;

    /// Whether a URL that stands for an object was given out and is still good.
    fn may_fetch(&self, object: &S3Object, query: &str, now: Millis) -> bool;

    /// Who holds a certificate that the service has given out, by its id.
    fn holder(&self, certificate: &str) -> Option<Holder>;

    /// Everything that it knows, as JSON.
    fn save(&self) -> Result<Box<RawValue>, serde_json::Error>;

    /// When [`JobsTap::on_deadline`] wants to be called next.
    fn deadline(&self) -> Option<Millis>;

    /// Time has passed; returns what is to be told to all subscribers.
    fn on_deadline(&mut self, now: Millis) -> Vec<Publication>;
}
