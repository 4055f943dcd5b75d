//! Certificates and the things they are attached to.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::error::ControlError;
use super::params::{MARKERS, Params, TOKENS, page, page_by, wrong};
use super::things::thing_not_found;
use crate::credentials::{Certificate, CertificateStatus};
use crate::state::Turn;

/// A certificate's id: the SHA-256 of it, in hexadecimal.
const ID_LENGTH: usize = 64;

fn id_of(params: &Params) -> Result<String, ControlError> {
    let id = params.required_text("certificateId")?;
    if id.len() == ID_LENGTH && id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        Ok(id.to_ascii_lowercase())
    } else {
        Err(wrong("certificateId", "64 hexadecimal digits"))
    }
}

fn not_found(id: &str) -> ControlError {
    ControlError::not_found(format!("Certificate {id} cannot be found."))
}

fn find<'a>(turn: &'a mut Turn<'_>, id: &str) -> Result<&'a mut Certificate, ControlError> {
    turn.state.credentials.certificates.get_mut(id).ok_or_else(|| not_found(id))
}

fn arn(turn: &Turn<'_>, id: &str) -> String {
    turn.arn(format_args!("cert/{id}"))
}

/// The id in a principal's ARN, if it is that of a certificate that is there.
pub(super) fn of_principal(turn: &Turn<'_>, principal: &str) -> Result<String, ControlError> {
    let prefix = turn.arn("cert/");
    let id = principal.strip_prefix(&prefix).ok_or_else(|| wrong("principal", "the ARN of a certificate"))?;
    if turn.state.credentials.certificates.contains_key(id) { Ok(id.to_owned()) } else { Err(not_found(id)) }
}

/// The shell has made the key and the certificate; id and PEM are members of the call, the key is not.
pub(super) fn create(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &["setAsActive", "certificateId", "certificatePem"])?;
    let active = params.flag("setAsActive")?.unwrap_or(false);
    let id = id_of(&params)?;
    let pem = params.required_text("certificatePem")?.to_owned();
    let certificate = Certificate {
        pem: pem.clone(),
        status: if active { CertificateStatus::Active } else { CertificateStatus::Inactive },
        created_at: turn.now,
        last_updated_at: turn.now,
        things: BTreeSet::new(),
        policies: BTreeSet::new(),
    };
    let body = json!({"certificateArn": arn(turn, &id), "certificateId": id, "certificatePem": pem});
    turn.state.credentials.certificates.insert(id, certificate);
    Ok(body)
}

fn summary(turn: &Turn<'_>, id: &str, certificate: &Certificate) -> Value {
    json!({
        "certificateArn": arn(turn, id),
        "certificateId": id,
        "status": certificate.status,
        "certificateMode": "DEFAULT",
        "creationDate": certificate.created_at.seconds(),
    })
}

pub(super) fn describe(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &["certificateId"])?;
    let id = id_of(&params)?;
    let certificate = find(turn, &id)?.clone();
    let mut body = summary(turn, &id, &certificate);
    body["certificatePem"] = json!(certificate.pem);
    body["ownedBy"] = json!(turn.settings.account);
    body["lastModifiedDate"] = json!(certificate.last_updated_at.seconds());
    Ok(json!({ "certificateDescription": body }))
}

pub(super) fn list(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &["pageSize", "marker", "isAscendingOrder"])?;
    params.flag("isAscendingOrder")?;
    let certificates = turn.state.credentials.certificates.iter();
    let items = certificates.map(|(id, certificate)| (id.clone(), summary(turn, id, certificate)));
    page_by(&MARKERS, &params, "certificates", items)
}

pub(super) fn update(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &["certificateId", "newStatus"])?;
    let id = id_of(&params)?;
    let status = match params.required_text("newStatus")? {
        "ACTIVE" => CertificateStatus::Active,
        "INACTIVE" => CertificateStatus::Inactive,
        "REVOKED" => CertificateStatus::Revoked,
        _ => return Err(wrong("newStatus", "ACTIVE, INACTIVE or REVOKED")),
    };
    let now = turn.now;
    let certificate = find(turn, &id)?;
    (certificate.status, certificate.last_updated_at) = (status, now);
    Ok(json!({}))
}

pub(super) fn delete(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &["certificateId", "forceDelete"])?;
    let id = id_of(&params)?;
    let force = params.flag("forceDelete")?.unwrap_or(false);
    let certificate = find(turn, &id)?;
    if certificate.status == CertificateStatus::Active {
        let message = format!("Certificate must be deactivated (not ACTIVE) before deletion. Id: {id}");
        return Err(ControlError::new("CertificateStateException", 406, message));
    }
    if !certificate.things.is_empty() {
        return Err(ControlError::delete_conflict(format!("Certificate {id} is attached to a thing.")));
    }
    if !certificate.policies.is_empty() && !force {
        return Err(ControlError::delete_conflict(format!("Certificate {id} has a policy attached.")));
    }
    turn.state.credentials.certificates.remove(&id);
    Ok(json!({}))
}

pub(super) fn attach(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &["thingName", "principal", "thingPrincipalType"])?;
    let thing = params.thing()?;
    if params.text("thingPrincipalType")?.is_some_and(|kind| kind != "NON_EXCLUSIVE_THING") {
        return Err(ControlError::invalid("Only NON_EXCLUSIVE_THING is supported by this service."));
    }
    let id = of_principal(turn, params.required_text("principal")?)?;
    if !turn.state.registry.has_thing(&thing) {
        return Err(thing_not_found(&thing));
    }
    find(turn, &id)?.things.insert(thing);
    Ok(json!({}))
}

pub(super) fn detach(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &["thingName", "principal"])?;
    let thing = params.thing()?;
    let id = of_principal(turn, params.required_text("principal")?)?;
    if !turn.state.registry.has_thing(&thing) {
        return Err(thing_not_found(&thing));
    }
    find(turn, &id)?.things.remove(&thing);
    Ok(json!({}))
}

pub(super) fn of_thing(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &["thingName", "maxResults", "nextToken"])?;
    let thing = params.thing()?;
    if !turn.state.registry.has_thing(&thing) {
        return Err(thing_not_found(&thing));
    }
    let items = turn.state.credentials.of_thing(&thing).map(|id| (id.clone(), json!(arn(turn, id))));
    page(&params, "principals", items)
}

pub(super) fn things(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &["principal", "maxResults", "nextToken"])?;
    let id = of_principal(turn, params.required_text("principal")?)?;
    let things = find(turn, &id)?.things.iter().map(|thing| (thing.to_string(), json!(thing)));
    page_by(&TOKENS, &params, "things", things)
}
