//! The HTTP front with requests as AWS clients write them.

mod common;

use common::Desk;
use serde_json::json;

#[tokio::test]
async fn a_job_is_created_described_cancelled_and_listed() {
    let desk = Desk::new().await;
    let made = desk.ok("POST", "/things/new%3A1", json!({})).await;
    assert_eq!(made["thingName"], "new:1");
    assert_eq!(desk.ok("GET", "/things/new%3A1", json!({})).await["thingArn"], made["thingArn"]);

    let job = json!({ "targets": [made["thingArn"]], "document": "{}", "description": "first" });
    let created = desk.ok("PUT", "/jobs/j1", job).await;
    assert_eq!(created["jobId"], "j1");
    let described = desk.ok("GET", "/jobs/j1", json!({})).await;
    assert_eq!(described["job"]["status"], "IN_PROGRESS");
    assert_eq!(described["job"]["jobProcessDetails"]["numberOfQueuedThings"], 1);
    let execution = desk.ok("GET", "/things/new%3A1/jobs/j1?executionNumber=1", json!({})).await;
    assert_eq!(execution["execution"]["status"], "QUEUED");
    let listed = desk.ok("GET", "/things/new%3A1/jobs?status=QUEUED", json!({})).await;
    assert_eq!(listed["executionSummaries"][0]["jobId"], "j1");
    desk.ok("PUT", "/jobs/j1/cancel?force=true", json!({ "reasonCode": "DONE" })).await;
    let described = desk.ok("GET", "/jobs/j1", json!({})).await;
    assert_eq!(described["job"]["status"], "CANCELED");
}

#[tokio::test]
async fn errors_have_the_shape_that_clients_parse() {
    let desk = Desk::new().await;
    let answer = desk.http("GET", "/jobs/none", "", "").await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.header("x-amzn-errortype"), Some("ResourceNotFoundException"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("x-amzn-requestid").map(str::len), Some(36));
    assert_eq!(answer.body, json!({ "message": "Job none cannot be found." }));

    desk.create_job("j1").await;
    let again = r#"{"targets":["arn:aws:iot:us-east-1:123456789012:thing/t1"],"document":"{}"}"#;
    let answer = desk.http("PUT", "/jobs/j1", "", again).await;
    assert_eq!(answer.status, 409);
    assert_eq!(answer.header("x-amzn-errortype"), Some("ResourceAlreadyExistsException"));
}

#[tokio::test]
async fn what_is_not_here_is_501_and_bad_bodies_are_400() {
    let desk = Desk::new().await;
    assert_eq!(desk.http("GET", "/nothing", "", "").await.status, 501);
    assert_eq!(desk.http("PUT", "/jobs/j1", "", "{").await.status, 400);
    let huge = format!("{{\"document\":\"{}\"}}", "x".repeat(2_000_000));
    assert_eq!(desk.http("PUT", "/jobs/j1", "", &huge).await.status, 413);
}

#[tokio::test]
async fn a_device_may_work_over_http_and_the_others_hear_of_it() {
    let desk = Desk::new().await;
    let mut watcher = desk.client("watcher").await;
    watcher.subscribe("$aws/things/t1/jobs/notify", rumqttc::QoS::AtLeastOnce).await;
    desk.create_job("j1").await;
    watcher.hear().await;

    let signed = "Authorization: AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/iot-jobs-data/aws4_request, SignedHeaders=host, Signature=0\r\n";
    let pending = desk.http("GET", "/things/t1/jobs", signed, "").await.body;
    assert_eq!(pending["queuedJobs"][0]["jobId"], "j1");
    let next = desk.http("GET", "/things/t1/jobs/%24next", signed, "").await.body;
    assert_eq!(next["execution"]["jobDocument"], r#"{"operation":"hello"}"#);
    let started = desk.http("PUT", "/things/t1/jobs/$next", signed, "").await.body;
    assert_eq!(started["execution"]["status"], "IN_PROGRESS");
    let update = desk.http("POST", "/things/t1/jobs/j1", signed, r#"{"status":"SUCCEEDED"}"#).await;
    assert_eq!(update.status, 200, "{update:?}");
    assert_eq!(watcher.hear().await.json()["jobs"], json!({}));
}
