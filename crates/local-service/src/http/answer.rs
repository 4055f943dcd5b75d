//! From an outcome to the HTTP response that AWS clients parse.
//!
//! They take the error's name from a header, its text from the body, and log the request id.

use std::hash::{BuildHasher, RandomState};

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::Value;

use crate::jobs::Refusal;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// 200 with the body, or the refusal's status with its name and message.
pub(crate) fn response(outcome: Result<Value, Refusal>) -> Response<Body> {
    let (status, error, body) = match outcome {
        Ok(body) => (StatusCode::OK, None, body),
        Err(refusal) => {
            let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let mut members = refusal.members;
            members.insert("message".into(), Value::String(refusal.message));
            (status, Some(refusal.error), Value::Object(members))
        }
    };
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(REQUEST_ID, header_value(&request_id()));
    if let Some(error) = error {
        headers.insert(ERROR_TYPE, header_value(&error));
    }
    response
}

fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("InternalFailureException"))
}

/// In the form of a UUID, different each time.
fn request_id() -> String {
    // Each `RandomState` has keys of its own; that is all the uniqueness that a line in a log needs.
    let [high, low] = [RandomState::new().hash_one(0), RandomState::new().hash_one(1)];
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        high >> 32,
        high >> 16 & 0xFFFF,
        high & 0xFFF,
        low >> 52,
        low & 0xFFFF_FFFF_FFFF
    )
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;

    #[test]
    fn a_refusal_has_its_name_in_a_header_and_its_message_in_the_body() {
        let refusal = Refusal {
            status: 409,
            error: "ResourceAlreadyExistsException".into(),
            message: "Job j1 exists.".into(),
            members: Map::from_iter([("resourceId".into(), json!("j1"))]),
        };
        let response = response(Err(refusal));
        assert_eq!(response.status(), 409);
        assert_eq!(response.headers()["x-amzn-ErrorType"], "ResourceAlreadyExistsException");
        assert_eq!(response.headers()["content-type"], "application/json");
    }

    #[test]
    fn every_response_has_a_request_id_of_its_own() {
        let ids: Vec<_> =
            (0..2).map(|_| response(Ok(json!({}))).headers()["x-amzn-RequestId"].clone()).collect();
        assert_ne!(ids[0], ids[1]);
        assert_eq!(ids[0].len(), 36);
        assert!(!response(Ok(json!({}))).headers().contains_key("x-amzn-ErrorType"));
    }
}
