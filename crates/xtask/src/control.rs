//! The operator's side of the service: the few calls of the AWS API that the tasks make, over plain HTTP.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::error::TaskError;

/// The account and region that the local service plays.
const ARN: &str = "arn:aws:iot:us-east-1:123456789012";

/// A client of the service.
#[derive(Debug)]
pub(crate) struct Control {
    agent: ureq::Agent,
    base: String,
}

/// An execution, as `DescribeJobExecution` of the control plane tells it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Execution {
    /// Such as `QUEUED`.
    pub(crate) status: String,
    /// Whether the device has ever said that it works on it.
    pub(crate) started: bool,
    /// `statusDetails.detailsMap`.
    pub(crate) details: BTreeMap<String, String>,
}

impl Execution {
    /// Whether the status is a final one.
    pub(crate) fn is_over(&self) -> bool {
        !matches!(&*self.status, "" | "QUEUED" | "IN_PROGRESS")
    }
}

/// The ARN of a thing.
pub(crate) fn thing_arn(thing: &str) -> String {
    format!("{ARN}:thing/{thing}")
}

impl Control {
    /// A client for the service at this URL. No proxy is used, whatever the environment says.
    pub(crate) fn new(base: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(20)))
            .proxy(None)
            .build();
        Self { agent: config.into(), base: base.trim_end_matches('/').to_owned() }
    }

    /// Where the service is.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// Creates a job for one thing.
    pub(crate) fn create_job(&self, job: &str, thing: &str, document: &str) -> Result<(), TaskError> {
        let body = json!({ "targets": [thing_arn(thing)], "document": document });
        self.put(&format!("/jobs/{job}"), &body).map(drop)
    }

    /// Cancels a job, running executions included.
    pub(crate) fn cancel_by_force(&self, job: &str) -> Result<(), TaskError> {
        self.put(&format!("/jobs/{job}/cancel?force=true"), &json!({})).map(drop)
    }

    /// Looks at an execution.
    pub(crate) fn execution(&self, job: &str, thing: &str) -> Result<Execution, TaskError> {
        let request = format!("GET /things/{thing}/jobs/{job}");
        let sent = self.agent.get(format!("{}/things/{thing}/jobs/{job}", self.base)).call();
        let answer = understood(request, sent)?;
        execution(&answer).ok_or_else(|| TaskError::Strange {
            what: "the answer to DescribeJobExecution",
            found: answer.to_string(),
        })
    }

    fn put(&self, path: &str, body: &Value) -> Result<Value, TaskError> {
        let sent = self
            .agent
            .put(format!("{}{path}", self.base))
            .content_type("application/json")
            .send(body.to_string());
        understood(format!("PUT {path}"), sent)
    }
}

fn understood(
    request: String,
    sent: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
) -> Result<Value, TaskError> {
    let failed = |source, request| TaskError::Http { request, source: Box::new(source) };
    let mut response = match sent {
        Ok(response) => response,
        Err(error) => return Err(failed(error, request)),
    };
    let text = match response.body_mut().read_to_string() {
        Ok(text) => text,
        Err(error) => return Err(failed(error, request)),
    };
    if !response.status().is_success() {
        return Err(TaskError::Refused { request, answer: format!("{} {text}", response.status()) });
    }
    serde_json::from_str(&text).map_err(|_| TaskError::Strange { what: "the service's answer", found: text })
}

/// Takes an answer to `DescribeJobExecution` apart. Details must be strings, as the API says.
fn execution(answer: &Value) -> Option<Execution> {
    let execution = answer.get("execution")?;
    let details = match execution.pointer("/statusDetails/detailsMap") {
        None => BTreeMap::new(),
        Some(map) => {
            let pair = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
            map.as_object()?.iter().map(pair).collect::<Option<_>>()?
        }
    };
    Some(Execution {
        status: execution.get("status")?.as_str()?.to_owned(),
        started: execution.get("startedAt").is_some_and(|at| !at.is_null()),
        details,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_execution_is_read_from_the_answer_of_the_control_plane() {
        let answer = json!({ "execution": { "jobId": "j", "status": "FAILED", "startedAt": 1.5,
            "statusDetails": { "detailsMap": { "reason": "r" } } } });
        let read = execution(&answer).unwrap();
        assert_eq!((&*read.status, read.started, &*read.details["reason"]), ("FAILED", true, "r"));
        assert!(read.is_over());
    }

    #[test]
    fn an_execution_that_nobody_has_touched_has_no_details() {
        let read = execution(&json!({ "execution": { "status": "QUEUED" } })).unwrap();
        assert_eq!(read, Execution { status: "QUEUED".into(), ..Execution::default() });
        assert!(!read.is_over());
    }

    #[test]
    fn a_detail_that_is_no_string_is_not_overlooked() {
        let answer =
            json!({ "execution": { "status": "FAILED", "statusDetails": { "detailsMap": { "n": 1 } } } });
        assert_eq!(execution(&answer), None);
    }
}
