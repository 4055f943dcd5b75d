//! The control plane over plain HTTP, without signatures: how the local service is called.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};
use ureq::http::{Request, Response};
use ureq::{Agent, Body};

use super::{Call, ControlError};
use crate::json::{Json, harmless};

const TIMEOUT: Duration = Duration::from_secs(30);
/// The page of a listing: the most that AWS gives at once.
const PAGE: &str = "250";

/// The service at one URL.
#[derive(Debug)]
pub(crate) struct Http {
    agent: Agent,
    base: String,
}

/// What goes over the wire.
struct Wire {
    method: &'static str,
    path: String,
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
}

impl Http {
    /// No proxy is used, whatever the environment says: the local service is on this machine.
    pub(crate) fn new(base: &str) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(TIMEOUT))
            .proxy(None)
            .build();
        Self { agent: config.into(), base: base.trim_end_matches('/').to_owned() }
    }

    pub(crate) fn call(&self, call: &Call<'_>) -> Result<Json, ControlError> {
        let operation = call.operation();
        let unreachable = |source: ureq::Error| ControlError::Unreachable {
            operation,
            service: self.base.clone(),
            source: Box::new(source),
        };
        let mut response = self.send(wire(call)).map_err(unreachable)?;
        let text = response.body_mut().read_to_vec().map_err(unreachable)?;
        if !response.status().is_success() {
            return Err(refusal(operation, &response, &text));
        }
        Json::read(&text).map_err(|source| ControlError::Strange {
            operation,
            service: self.base.clone(),
            source,
        })
    }

    fn send(&self, wire: Wire) -> Result<Response<Body>, ureq::Error> {
        let mut url = format!("{}{}", self.base, wire.path);
        for (index, (name, value)) in wire.query.iter().enumerate() {
            url.push(if index == 0 { '?' } else { '&' });
            url.push_str(name);
            url.push('=');
            url.push_str(&percent_encoded(value));
        }
        let request = Request::builder().method(wire.method).uri(url);
        match wire.body {
            Some(body) => {
                let request = request.header("content-type", "application/json").body(body.to_string());
                self.agent.run(request?)
            }
            None => self.agent.run(request.body(())?),
        }
    }
}

/// Method, path and members as the API's model has them.
fn wire(call: &Call<'_>) -> Wire {
    let without_body = |method, path| Wire { method, path, query: Vec::new(), body: None };
    match *call {
        Call::DescribeThing { thing } => {
            without_body("GET", format!("/things/{}", percent_encoded(thing.as_str())))
        }
        Call::CreateThing { thing } => Wire {
            body: Some(json!({})),
            ..without_body("POST", format!("/things/{}", percent_encoded(thing.as_str())))
        },
        Call::CreateJob { job, target, document } => Wire {
            body: Some(json!({
                "targets": [target],
                "document": document,
                "targetSelection": "SNAPSHOT",
            })),
            ..without_body("PUT", format!("/jobs/{job}"))
        },
        Call::CancelJob { job, force } => Wire {
            body: Some(json!({})),
            query: vec![("force", force.to_string())],
            ..without_body("PUT", format!("/jobs/{job}/cancel"))
        },
        Call::DeleteJob { job, force } => Wire {
            query: vec![("force", force.to_string())],
            ..without_body("DELETE", format!("/jobs/{job}"))
        },
        Call::ListJobs { status, next_token } => {
            let mut query = vec![("maxResults", PAGE.to_owned())];
            query.extend(status.map(|status| ("status", status.to_owned())));
            query.extend(next_token.map(|token| ("nextToken", token.to_owned())));
            Wire { query, ..without_body("GET", "/jobs".to_owned()) }
        }
        Call::DescribeJobExecution { thing, job, number } => Wire {
            query: vec![("executionNumber", number.get().to_string())],
            ..without_body("GET", format!("/things/{}/jobs/{job}", percent_encoded(thing.as_str())))
        },
        Call::UpdateEventConfigurations => Wire {
            body: Some(json!({ "eventConfigurations": {
                "JOB": { "Enabled": true },
                "JOB_EXECUTION": { "Enabled": true },
            } })),
            ..without_body("PATCH", "/event-configurations".to_owned())
        },
    }
}

/// The error's name is in a header, its text in the body.
fn refusal(operation: &'static str, response: &Response<Body>, text: &[u8]) -> ControlError {
    let name = response.headers().get("x-amzn-errortype").and_then(|value| value.to_str().ok());
    let body: Option<Value> = serde_json::from_slice(text).ok();
    let message = body.as_ref().and_then(|body| body.get("message")?.as_str()).unwrap_or("no reason given");
    ControlError::Refused {
        operation,
        code: name.map_or_else(|| format!("HTTP {}", response.status()), harmless),
        message: harmless(message),
    }
}

/// For one level of a path or one value of a query.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("a String takes everything");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use jobs_protocol::{ExecutionNumber, JobId, ThingName};

    use super::*;

    #[test]
    fn method_path_and_members_are_those_of_the_api() {
        let thing = &ThingName::try_from("t:1").unwrap();
        let job = &JobId::try_from("j1").unwrap();
        let number = ExecutionNumber::new(2);
        let table = [
            (Call::DescribeThing { thing }, "GET /things/t%3A1 - -"),
            (Call::CreateThing { thing }, "POST /things/t%3A1 - {}"),
            (
                Call::CreateJob { job, target: "arn", document: "{}" },
                r#"PUT /jobs/j1 - {"document":"{}","targetSelection":"SNAPSHOT","targets":["arn"]}"#,
            ),
            (Call::CancelJob { job, force: true }, "PUT /jobs/j1/cancel force=true {}"),
            (Call::DeleteJob { job, force: false }, "DELETE /jobs/j1 force=false -"),
            (
                Call::ListJobs { status: Some("COMPLETED"), next_token: Some("a=b") },
                "GET /jobs maxResults=250&status=COMPLETED&nextToken=a=b -",
            ),
            (
                Call::DescribeJobExecution { thing, job, number },
                "GET /things/t%3A1/jobs/j1 executionNumber=2 -",
            ),
        ];
        for (call, wanted) in table {
            let Wire { method, path, query, body } = wire(&call);
            let pairs: Vec<_> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let query = if pairs.is_empty() { "-".to_owned() } else { pairs.join("&") };
            let body = body.map_or_else(|| "-".to_owned(), |body| body.to_string());
            assert_eq!(format!("{method} {path} {query} {body}"), wanted);
        }
    }

    #[test]
    fn what_has_a_meaning_in_a_url_is_encoded() {
        assert_eq!(percent_encoded("aZ9-_.~"), "aZ9-_.~");
        assert_eq!(percent_encoded("a/b?c=d&e%f+g h\u{e9}"), "a%2Fb%3Fc%3Dd%26e%25f%2Bg%20h%C3%A9");
    }
}
