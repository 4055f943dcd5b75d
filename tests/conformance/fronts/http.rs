//! The AWS API as its clients write it: which operation has which method and path, and what travels in the query.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::{Map, Value};

use super::PATIENCE;
use crate::world::{Answer, Failure};

/// Operation, method, path, and the members that travel in the query; the others are the body.
type Row = (&'static str, &'static str, &'static str, &'static [&'static str]);

const PAGE: &[&str] = &["maxResults", "nextToken"];

/// As the service's model has them.
const CONTROL: &[Row] = &[
    ("CreateJob", "PUT", "/jobs/{jobId}", &[]),
    ("DescribeJob", "GET", "/jobs/{jobId}", &[]),
    ("UpdateJob", "PATCH", "/jobs/{jobId}", &[]),
    ("CancelJob", "PUT", "/jobs/{jobId}/cancel", &["force"]),
    ("DeleteJob", "DELETE", "/jobs/{jobId}", &["force"]),
    ("ListJobs", "GET", "/jobs", &["status", "targetSelection", "maxResults", "nextToken", "thingGroupName"]),
    ("GetJobDocument", "GET", "/jobs/{jobId}/job-document", &[]),
    ("AssociateTargetsWithJob", "POST", "/jobs/{jobId}/targets", &[]),
    ("ListJobExecutionsForJob", "GET", "/jobs/{jobId}/things", &["status", "maxResults", "nextToken"]),
    (
        "ListJobExecutionsForThing",
        "GET",
        "/things/{thingName}/jobs",
        &["status", "maxResults", "nextToken", "jobId"],
    ),
    ("DescribeJobExecution", "GET", "/things/{thingName}/jobs/{jobId}", &["executionNumber"]),
    ("CancelJobExecution", "PUT", "/things/{thingName}/jobs/{jobId}/cancel", &["force"]),
    (
        "DeleteJobExecution",
        "DELETE",
        "/things/{thingName}/jobs/{jobId}/executionNumber/{executionNumber}",
        &["force"],
    ),
    ("CreateJobTemplate", "PUT", "/job-templates/{jobTemplateId}", &[]),
    ("DescribeJobTemplate", "GET", "/job-templates/{jobTemplateId}", &[]),
    ("ListJobTemplates", "GET", "/job-templates", PAGE),
    ("DeleteJobTemplate", "DELETE", "/job-templates/{jobTemplateId}", &[]),
    (
        "ListManagedJobTemplates",
        "GET",
        "/managed-job-templates",
        &["templateName", "maxResults", "nextToken"],
    ),
    ("DescribeManagedJobTemplate", "GET", "/managed-job-templates/{templateName}", &["templateVersion"]),
    ("CreateThing", "POST", "/things/{thingName}", &[]),
    ("DescribeThing", "GET", "/things/{thingName}", &[]),
    ("DeleteThing", "DELETE", "/things/{thingName}", &["expectedVersion"]),
    ("ListThingGroupsForThing", "GET", "/things/{thingName}/thing-groups", PAGE),
    ("CreateThingGroup", "POST", "/thing-groups/{thingGroupName}", &[]),
    ("AddThingToThingGroup", "PUT", "/thing-groups/addThingToThingGroup", &[]),
    ("RemoveThingFromThingGroup", "PUT", "/thing-groups/removeThingFromThingGroup", &[]),
    (
        "ListThingsInThingGroup",
        "GET",
        "/thing-groups/{thingGroupName}/things",
        &["recursive", "maxResults", "nextToken"],
    ),
    ("DescribeEndpoint", "GET", "/endpoint", &["endpointType"]),
    ("UpdateEventConfigurations", "PATCH", "/event-configurations", &[]),
    ("DescribeEventConfigurations", "GET", "/event-configurations", &[]),
];

const DATA: &[Row] = &[
    ("GetPendingJobExecutions", "GET", "/things/{thingName}/jobs", &[]),
    ("StartNextPendingJobExecution", "PUT", "/things/{thingName}/jobs/$next", &[]),
    (
        "DescribeJobExecution",
        "GET",
        "/things/{thingName}/jobs/{jobId}",
        &["includeJobDocument", "executionNumber"],
    ),
    ("UpdateJobExecution", "POST", "/things/{thingName}/jobs/{jobId}", &[]),
];

/// Calls an operation.
pub(super) fn call(
    address: SocketAddr,
    data: bool,
    operation: &str,
    params: Value,
) -> Result<Answer, Failure> {
    let table = if data { DATA } else { CONTROL };
    let row = table.iter().find(|(name, ..)| *name == operation);
    let (_, method, path, in_query) = row.ok_or_else(|| format!("{operation} is not in the table"))?;
    let Value::Object(mut members) = params else { return Err("the params are no object".to_owned()) };
    let mut levels = Vec::new();
    for level in path.split('/') {
        let name = level.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        levels.push(match name {
            None => level.to_owned(),
            Some(name) => encoded(&text(&members.remove(name).ok_or(format!("no {name}"))?)),
        });
    }
    let query: Vec<String> = in_query
        .iter()
        .filter_map(|name| Some(format!("{name}={}", encoded(&text(&members.remove(*name)?)))))
        .collect();
    let mut target = levels.join("/");
    if !query.is_empty() {
        target = format!("{target}?{}", query.join("&"));
    }
    let service = if data { "iot-jobs-data" } else { "iot" };
    let scope = format!("Credential=k/20260101/us-east-1/{service}/aws4_request");
    let signed = format!("Authorization: AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0\r\n");
    let body = if members.is_empty() { String::new() } else { Value::Object(members).to_string() };
    exchange(address, method, &target, &signed, &body)
}

/// One request on a connection of its own.
pub(super) fn exchange(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &str,
    body: &str,
) -> Result<Answer, Failure> {
    let failed = |error: std::io::Error| format!("{method} {target}: {error}");
    let mut socket = TcpStream::connect(address).map_err(failed)?;
    socket.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    let length = body.len();
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: local\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    socket.write_all(request.as_bytes()).map_err(failed)?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).map_err(failed)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("an answer without a head")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("no status")?;
    let names = head.lines().filter_map(|line| line.split_once(": "));
    let error = names
        .filter(|(name, _)| name.eq_ignore_ascii_case("x-amzn-errortype"))
        .map(|(_, value)| Value::from(value.split(':').next().unwrap_or_default()))
        .next();
    let body = serde_json::from_str(body).unwrap_or_else(|_| Value::Object(Map::new()));
    Ok(Answer { status, error: error.unwrap_or(Value::Null), body })
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
