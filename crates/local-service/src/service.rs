//! The Jobs service behind the broker: `service-core`, in the shape the broker and the HTTP front want.

use std::hash::{BuildHasher, RandomState};

use serde_json::Value;
use serde_json::value::RawValue;
use service_core::{ControlError, EpochMillis, Holder, InvalidState, Message, S3Object, Service, Settings};

use crate::clock::Millis;
use crate::jobs::{ControlAnswer, DeviceAnswer, JobsTap, Plane, Publication, Refusal};

/// The service of one account.
#[derive(Debug)]
pub(crate) struct Jobs(Service);

impl Jobs {
    /// Without things and jobs. `documents`: what the URLs of presigned placeholders begin with; `strict_details`: whether
    /// status details are held to the letter of the API.
    pub(crate) fn new(documents: String, strict_details: bool) -> Self {
        // Ids of things and events shall differ between two runs; each `RandomState` has keys of its own.
        let seed = RandomState::new().hash_one(0);
        Self(Service::new(Settings { seed, documents, strict_details, ..Settings::default() }))
    }

    /// As it was saved.
    pub(crate) fn restore(
        documents: String,
        strict_details: bool,
        saved: &RawValue,
    ) -> Result<Self, InvalidState> {
        let settings = Settings { documents, strict_details, ..Settings::default() };
        Service::restore(settings, saved.get().as_bytes()).map(Self)
    }
}

impl JobsTap for Jobs {
    fn device_message(&mut self, topic: &str, payload: &[u8], now: Millis) -> DeviceAnswer {
        let outcome = self.0.device_message(topic, payload, EpochMillis(now.0));
        DeviceAnswer {
            reply: outcome.reply.map(publication),
            publications: publications(outcome.publications),
        }
    }

    fn call(
        &mut self,
        plane: Plane,
        operation: &str,
        params: Value,
        document: Option<String>,
        now: Millis,
    ) -> ControlAnswer {
        let now = EpochMillis(now.0);
        let outcome = match (plane, document) {
            (Plane::Control, None) => self.0.control(operation, params, now),
            (Plane::Control, Some(document)) => {
                self.0.control_with_document(operation, params, document, now)
            }
            (Plane::Data, _) => self.0.data_plane(operation, params, now),
        };
        ControlAnswer {
            outcome: outcome.result.map_err(refusal),
            publications: publications(outcome.publications),
        }
    }

    fn may_fetch(&self, object: &S3Object, query: &str, now: Millis) -> bool {
        self.0.may_fetch(object, query, EpochMillis(now.0))
    }

    fn holder(&self, certificate: &str) -> Option<Holder> {
        self.0.holder(certificate)
    }

    fn save(&self) -> Result<Box<RawValue>, serde_json::Error> {
        let mut bytes = Vec::new();
        self.0.save(&mut bytes).map_err(serde::ser::Error::custom)?;
        serde_json::from_slice(&bytes)
    }

    fn deadline(&self) -> Option<Millis> {
        self.0.deadline().map(|deadline| Millis(deadline.0))
    }

    fn on_deadline(&mut self, now: Millis) -> Vec<Publication> {
        publications(self.0.on_deadline(EpochMillis(now.0)))
    }
}

fn publication(message: Message) -> Publication {
    Publication { topic: message.topic, payload: message.payload.into() }
}

fn publications(messages: Vec<Message>) -> Vec<Publication> {
    messages.into_iter().map(publication).collect()
}

fn refusal(error: ControlError) -> Refusal {
    Refusal { status: error.status, error: error.name.into(), message: error.message, members: error.members }
}
