//! Policies, and the certificates they are attached to. Each has one version; what a document means is judged by the
//! shell, which has refused what it cannot judge.

use serde_json::{Map, Value, json};

use super::certificates::of_principal;
use super::error::ControlError;
use super::params::{MARKERS, Params, page_by, wrong};
use crate::credentials::Policy;
use crate::state::Turn;

/// Longest name, in characters.
const NAME: usize = 128;
/// Longest document, in characters without white space.
const DOCUMENT: usize = 2048;
/// A certificate has at most so many policies (quota page).
const POLICIES: usize = 10;
const VERSION: &str = "1";

fn name_of(params: &Params) -> Result<String, ControlError> {
    let name = params.required_text("policyName")?;
    let fits = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
    if (1..=NAME).contains(&name.len()) && name.chars().all(fits) {
        Ok(name.to_owned())
    } else {
        Err(wrong("policyName", "1 to 128 of [\\w+=,.@-]"))
    }
}

fn not_found(name: &str) -> ControlError {
    ControlError::not_found(format!("Policy {name} cannot be found."))
}

/// The policy that a call names, if it is there.
fn known(turn: &Turn<'_>, params: &Params) -> Result<String, ControlError> {
    let name = name_of(params)?;
    if turn.state.credentials.policies.contains_key(&name) { Ok(name) } else { Err(not_found(&name)) }
}

fn arn(turn: &Turn<'_>, name: &str) -> String {
    turn.arn(format_args!("policy/{name}"))
}

pub(super) fn create(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &["policyName", "policyDocument"])?;
    let name = name_of(&params)?;
    let document = params.required_text("policyDocument")?.to_owned();
    if document.chars().filter(|c| !c.is_whitespace()).count() > DOCUMENT {
        return Err(malformed("A policy has at most 2048 characters without white space."));
    }
    if !serde_json::from_str::<Map<String, Value>>(&document)
        .is_ok_and(|policy| policy.contains_key("Statement"))
    {
        return Err(malformed("The policy is not a JSON object with a Statement."));
    }
    let arn = arn(turn, &name);
    if turn.state.credentials.policies.contains_key(&name) {
        return Err(ControlError::already_exists("Policy", &name, arn));
    }
    let body = json!({
        "policyName": name,
        "policyArn": arn,
        "policyDocument": document,
        "policyVersionId": VERSION,
    });
    turn.state.credentials.policies.insert(name, Policy { document, created_at: turn.now });
    Ok(body)
}

fn malformed(message: &str) -> ControlError {
    ControlError::new("MalformedPolicyException", 400, message)
}

pub(super) fn describe(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &["policyName"])?;
    let name = name_of(&params)?;
    let policy = turn.state.credentials.policies.get(&name).ok_or_else(|| not_found(&name))?;
    Ok(json!({
        "policyName": name,
        "policyArn": arn(turn, &name),
        "policyDocument": policy.document,
        "defaultVersionId": VERSION,
        "creationDate": policy.created_at.seconds(),
        "lastModifiedDate": policy.created_at.seconds(),
    }))
}

fn summary(turn: &Turn<'_>, name: &str) -> Value {
    json!({"policyName": name, "policyArn": arn(turn, name)})
}

pub(super) fn list(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &["pageSize", "marker", "isAscendingOrder"])?;
    params.flag("isAscendingOrder")?;
    let names = turn.state.credentials.policies.keys();
    page_by(&MARKERS, &params, "policies", names.map(|name| (name.clone(), summary(turn, name))))
}

pub(super) fn delete(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &["policyName"])?;
    let name = known(turn, &params)?;
    if turn.state.credentials.of_policy(&name).next().is_some() {
        let message = format!("The policy {name} is attached to one or more targets.");
        return Err(ControlError::delete_conflict(message));
    }
    turn.state.credentials.policies.remove(&name);
    Ok(json!({}))
}

/// The target of a call, by its newer name or its older one, as the id of a certificate.
fn target(turn: &Turn<'_>, params: &Params) -> Result<String, ControlError> {
    match params.text("principal")? {
        Some(principal) => of_principal(turn, principal),
        None => of_principal(turn, params.required_text("target")?),
    }
}

pub(super) fn attach(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &["policyName", "target", "principal"])?;
    let name = known(turn, &params)?;
    let id = target(turn, &params)?;
    if let Some(certificate) = turn.state.credentials.certificates.get_mut(&id) {
        if certificate.policies.len() >= POLICIES && !certificate.policies.contains(&name) {
            return Err(ControlError::limit(format!("A certificate has at most {POLICIES} policies.")));
        }
        certificate.policies.insert(name);
    }
    Ok(json!({}))
}

pub(super) fn detach(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &["policyName", "target", "principal"])?;
    let name = name_of(&params)?;
    let id = target(turn, &params)?;
    if let Some(certificate) = turn.state.credentials.certificates.get_mut(&id) {
        certificate.policies.remove(&name);
    }
    Ok(json!({}))
}

/// The policies of a certificate.
pub(super) fn attached(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &["target", "recursive", "pageSize", "marker"])?;
    params.flag("recursive")?;
    let id = target(turn, &params)?;
    let names = turn.state.credentials.certificates.get(&id).into_iter().flat_map(|one| &one.policies);
    page_by(&MARKERS, &params, "policies", names.map(|name| (name.clone(), summary(turn, name))))
}

/// The certificates of a policy.
pub(super) fn targets(turn: &mut Turn<'_>, params: Value) -> Result<Value, ControlError> {
    let params = Params::read(params, &["policyName", "pageSize", "marker"])?;
    let name = known(turn, &params)?;
    let ids = turn.state.credentials.of_policy(&name);
    let items = ids.map(|id| (id.clone(), json!(turn.arn(format_args!("cert/{id}")))));
    page_by(&MARKERS, &params, "targets", items)
}
