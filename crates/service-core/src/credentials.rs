//! Certificates that the service has given out, and policies: who a device is, and what it may do.
//!
//! Kept and listed here; keys are made, and policies are judged, by the shell.

use std::collections::{BTreeMap, BTreeSet};

use jobs_protocol::ThingName;
use serde::{Deserialize, Serialize};

use crate::EpochMillis;

/// The states of a certificate that operators can set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum CertificateStatus {
    Active,
    Inactive,
    Revoked,
}

/// A certificate. Its id is the key it is kept under.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Certificate {
    pub(crate) pem: String,
    pub(crate) status: CertificateStatus,
    pub(crate) created_at: EpochMillis,
    pub(crate) last_updated_at: EpochMillis,
    /// The things it is attached to.
    pub(crate) things: BTreeSet<ThingName>,
    /// The names of the policies that are attached to it.
    pub(crate) policies: BTreeSet<String>,
}

/// A policy, in its only version.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Policy {
    pub(crate) document: String,
    pub(crate) created_at: EpochMillis,
}

/// All of them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Credentials {
    pub(crate) certificates: BTreeMap<String, Certificate>,
    pub(crate) policies: BTreeMap<String, Policy>,
}

/// Who shows a certificate of the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Whether it is ACTIVE: with another one no connection comes about.
    pub active: bool,
    /// The things it is attached to.
    pub things: BTreeSet<ThingName>,
    /// The documents of its policies. Without any, nothing is allowed.
    pub policies: Vec<String>,
}

impl Credentials {
    /// Who holds a certificate; `None` if it is none of the service's.
    pub(crate) fn holder(&self, id: &str) -> Option<Holder> {
        let certificate = self.certificates.get(id)?;
        let policies = certificate.policies.iter().filter_map(|name| self.policies.get(name));
        Some(Holder {
            active: certificate.status == CertificateStatus::Active,
            things: certificate.things.clone(),
            policies: policies.map(|policy| policy.document.clone()).collect(),
        })
    }

    /// The certificates that are attached to a thing, by their ids.
    pub(crate) fn of_thing(&self, thing: &ThingName) -> impl Iterator<Item = &String> {
        let attached = |(_, certificate): &(_, &Certificate)| certificate.things.contains(thing);
        self.certificates.iter().filter(attached).map(|(id, _)| id)
    }

    /// The certificates that a policy is attached to, by their ids.
    pub(crate) fn of_policy(&self, policy: &str) -> impl Iterator<Item = &String> {
        let attached = |(_, certificate): &(_, &Certificate)| certificate.policies.contains(policy);
        self.certificates.iter().filter(attached).map(|(id, _)| id)
    }
}
