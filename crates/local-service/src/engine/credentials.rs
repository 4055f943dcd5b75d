//! Certificates that the service gives out: their keys are made here, and whoever shows one is let in by what the Jobs
//! service knows of it. A private key is in the answer and nowhere else.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Engine;
use crate::broker::identity::IdentityError;
use crate::broker::policy::{Permit, Policy};
use crate::jobs::{JobsTap, Refusal};

/// The keys of a new certificate.
pub(super) struct Keys {
    public: String,
    private: String,
}

impl<T: JobsTap> Engine<T> {
    /// Makes what a call needs and the core cannot make, and refuses a policy that could not be judged.
    pub(super) fn credentials_of_call(
        &self,
        operation: &str,
        params: &mut Value,
    ) -> Result<Option<Keys>, Refusal> {
        match operation {
            "CreatePolicy" => {
                let document = params.get("policyDocument").and_then(Value::as_str).unwrap_or_default();
                match serde_json::from_str::<Policy>(document) {
                    Ok(_) => Ok(None),
                    Err(error) => {
                        let message = format!("This is no policy that this service can judge: {error}.");
                        Err(Refusal::new(400, "MalformedPolicyException", message))
                    }
                }
            }
            "CreateKeysAndCertificate" => {
                let authority = self.authority.as_ref().ok_or_else(|| {
                    let message = "This service has no key of its authority to sign with.";
                    Refusal::new(501, "NotImplemented", message)
                })?;
                let failed = |error| Refusal::new(500, "InternalFailureException", format!("{error}"));
                let issued = authority.issue().map_err(failed)?;
                let members = [("certificateId", issued.id), ("certificatePem", issued.identity.certificate)];
                let members = members.map(|(name, text)| (name.to_owned(), Value::String(text)));
                params.as_object_mut().into_iter().for_each(|params| params.extend(members.clone()));
                Ok(Some(Keys { public: issued.public_key, private: issued.identity.key }))
            }
            _ => Ok(None),
        }
    }

    /// What somebody may do who shows this certificate of the service.
    pub(super) fn judge(
        &self,
        certificate: String,
        client_id: Option<String>,
    ) -> Result<Arc<Permit>, IdentityError> {
        let holder = self.jobs.holder(&certificate).filter(|holder| holder.active);
        let Some(holder) = holder else { return Err(IdentityError::Inactive { id: certificate }) };
        if holder.policies.is_empty() {
            tracing::warn!("The certificate {certificate} has no policy that allows anything");
        }
        let thing = client_id.clone().filter(|id| holder.things.iter().any(|thing| thing.as_str() == id));
        // Each was read when it was made.
        let policies = holder.policies.iter().filter_map(|document| serde_json::from_str(document).ok());
        Ok(Arc::new(Permit::issued(policies.collect(), thing, client_id)))
    }
}

/// The answer to a call, with the keys that were made for it.
pub(super) fn with_keys(mut body: Value, keys: Option<Keys>) -> Value {
    if let Some(Keys { public, private }) = keys {
        body["keyPair"] = json!({"PublicKey": public, "PrivateKey": private});
    }
    body
}
