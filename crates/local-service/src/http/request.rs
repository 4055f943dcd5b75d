//! From an HTTP request to an operation and one object with its members, wherever they travelled.

use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use serde_json::{Map, Value};

use super::routes::{self, Hit};
use crate::documents::percent_decoded;
use crate::jobs::{Plane, Refusal};

/// What is called.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) plane: Plane,
    pub(crate) operation: &'static str,
    /// An object. Members of path and query are strings, whatever their type in the API.
    pub(crate) params: Value,
}

/// Reads a request. Path and query win over the body. `plane`: the only one that is served.
pub(crate) fn call(parts: &Parts, body: &[u8], plane: Option<Plane>) -> Result<Call, Refusal> {
    let path = parts.uri.path();
    let levels = path
        .trim_start_matches('/')
        .split('/')
        .map(percent_decoded)
        .collect::<Option<Vec<String>>>()
        .ok_or_else(|| Refusal::new(400, "InvalidRequestException", "The path is not UTF-8."))?;
    let Hit { plane, operation, members } =
        routes::find(parts.method.as_str(), &levels, plane.or_else(|| signed_for(parts))).ok_or_else(
            || {
                let message = format!("There is no operation {} {path} here.", parts.method);
                Refusal::new(501, "NotImplemented", message)
            },
        )?;
    let mut params = body_members(body)?;
    let members_of_query = query(parts.uri.query().unwrap_or_default());
    // A signature may travel in the query; it is no member of the operation.
    for (name, value) in members_of_query.filter(|(name, _)| !name.starts_with("X-Amz-")) {
        params.insert(name, Value::String(value));
    }
    for (name, value) in members {
        params.insert(name.to_owned(), Value::String(value));
    }
    // Who is attached or detached travels in a header; the older operations have another name for it.
    for header in ["x-amzn-principal", "x-amzn-iot-principal"] {
        if let Some(value) = parts.headers.get(header).and_then(|value| value.to_str().ok()) {
            params.insert("principal".to_owned(), Value::String(value.to_owned()));
        }
    }
    Ok(Call { plane, operation, params: Value::Object(params) })
}

/// The service in the credential scope: `Credential=KEY/DATE/REGION/SERVICE/aws4_request`.
fn signed_for(parts: &Parts) -> Option<Plane> {
    let header = parts.headers.get(AUTHORIZATION)?.to_str().ok()?;
    let scope = header.split_once("Credential=")?.1.split([',', ' ']).next()?;
    match scope.rsplit('/').nth(1)? {
        "iot" => Some(Plane::Control),
        "iot-jobs-data" => Some(Plane::Data),
        _ => None,
    }
}

fn body_members(body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    if body.is_empty() {
        return Ok(Map::new());
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err(Refusal::new(400, "SerializationException", "The body is not a JSON object.")),
        Err(error) => {
            Err(Refusal::new(400, "SerializationException", format!("The body is not JSON: {error}.")))
        }
    }
}

/// Pairs of a query. What is not UTF-8 after decoding is left out, as an unknown member would be.
fn query(text: &str) -> impl Iterator<Item = (String, String)> {
    text.split('&').filter_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        Some((percent_decoded(name)?, percent_decoded(value)?))
    })
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use serde_json::json;

    use super::*;

    #[test]
    fn path_query_and_body_become_one_object() {
        let call =
            read("PUT", "/things/t%3A1/jobs/j1/cancel?force=true", r#"{"expectedVersion":2}"#).unwrap();
        assert_eq!(call.operation, "CancelJobExecution");
        assert_eq!(
            call.params,
            json!({"thingName": "t:1", "jobId": "j1", "force": "true", "expectedVersion": 2})
        );
    }

    #[test]
    fn a_path_is_split_before_it_is_decoded() {
        let call = read("GET", "/things/a%2Fb/jobs/%24next", "").unwrap();
        assert_eq!(call.plane, Plane::Data);
        assert_eq!(call.params, json!({"thingName": "a/b", "jobId": "$next"}));
    }

    #[test]
    fn the_scope_of_the_signature_names_the_service() {
        let header = "AWS4-HMAC-SHA256 Credential=k/20260101/eu-central-1/iot-jobs-data/aws4_request, SignedHeaders=host";
        let request =
            Request::builder().uri("/things/t1/jobs").header("Authorization", header).body(()).unwrap();
        let call = call(&request.into_parts().0, b"", None).unwrap();
        assert_eq!(call.operation, "GetPendingJobExecutions");
    }

    #[test]
    fn what_is_not_understood_is_refused_by_name() {
        assert_eq!(read("GET", "/nothing/here", "").unwrap_err().status, 501);
        for body in ["[]", "{", "\"x\""] {
            let refusal = read("PUT", "/jobs/j1", body).unwrap_err();
            assert_eq!((refusal.status, refusal.error.as_str()), (400, "SerializationException"));
        }
        assert_eq!(read("GET", "/jobs/%FF", "").unwrap_err().status, 400);
    }

    #[test]
    fn a_percent_sign_that_is_no_escape_stands_for_itself() {
        for (text, decoded) in [("%", "%"), ("%4", "%4"), ("%zz", "%zz"), ("%24%2", "$%2"), ("a+b", "a+b")] {
            assert_eq!(percent_decoded(text).as_deref(), Some(decoded));
        }
    }

    fn read(method: &str, uri: &str, body: &str) -> Result<Call, Refusal> {
        let request = Request::builder().method(method).uri(uri).body(()).unwrap();
        call(&request.into_parts().0, body.as_bytes(), None)
    }
}
