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

/// Whoever makes a job runs a program at the desk, and a browser may be open there.
#[tokio::test]
async fn a_web_page_can_neither_read_nor_change_anything() {
    let desk = Desk::new().await;
    let job = r#"{"targets":["arn:aws:iot:us-east-1:123456789012:thing/t1"],"document":"{}"}"#;
    for header in ["Origin: http://somewhere.example\r\n", "Origin: null\r\n"] {
        assert_eq!(desk.http("PUT", "/jobs/j1", header, job).await.status, 403, "{header}");
        assert_eq!(desk.http("POST", "/things/t2", header, "{}").await.status, 403, "{header}");
        assert_eq!(desk.http("POST", "/_fleethand/faults", header, "{}").await.status, 403, "{header}");
        assert_eq!(desk.http("GET", "/_fleethand/objects/b/k", header, "").await.status, 403, "{header}");
    }
    for (method, path) in [("PUT", "/jobs/j1"), ("GET", "/jobs"), ("GET", "/_fleethand/faults")] {
        let answer = desk.http(method, path, "Host: rebound.example:8080\r\n", job).await;
        assert_eq!((answer.status, answer.header("x-amzn-errortype")), (403, Some("AccessDeniedException")));
    }
    assert_eq!(desk.http("GET", "/jobs/j1", "", "").await.status, 404, "nothing has come of it");
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
    // The token is a member over MQTT only; a device that speaks both may send it.
    let body = r#"{"status":"SUCCEEDED","clientToken":"x"}"#;
    let update = desk.http("POST", "/things/t1/jobs/j1", signed, body).await;
    assert_eq!((update.status, &update.body), (200, &json!({})), "{update:?}");
    assert_eq!(watcher.hear().await.json()["jobs"], json!({}));
}

#[tokio::test]
async fn a_document_is_read_at_creation_and_an_object_is_served_by_its_url() {
    let root = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(root.path().join("b")).expect("it can be made");
    let document = r#"{"url":"${aws:iot:s3-presigned-url:https://s3.us-east-1.amazonaws.com/b/k.bin}"}"#;
    std::fs::write(root.path().join("b/doc.json"), document).expect("it can be written");
    std::fs::write(root.path().join("b/k.bin"), [0, 7, 1]).expect("it can be written");
    let documents = Some(root.path().to_owned());
    let desk = Desk::with(|options| (options.documents, options.virtual_clock) = (documents, true)).await;
    let body = json!({
        "targets": ["arn:aws:iot:us-east-1:123456789012:thing/t1"],
        "documentSource": "https://s3.us-east-1.amazonaws.com/b/doc.json",
        "presignedUrlConfig": {"roleArn": "arn:aws:iam::123456789012:role/r", "expiresInSec": 60},
    });
    desk.ok("PUT", "/jobs/j1", body).await;
    std::fs::write(root.path().join("b/doc.json"), "{}").expect("it can be written");
    let mut device = desk.client("t1").await;
    device.publish("$aws/things/t1/jobs/$next/get", rumqttc::QoS::AtLeastOnce, "{}").await;
    let url = device.hear().await.json()["execution"]["jobDocument"]["url"].clone();
    let path = url.as_str().and_then(|url| url.strip_prefix(&format!("http://{}", desk.running.http)));
    let path = path.expect("a URL of this service").to_owned();
    let got = desk.http("GET", &path, "", "").await;
    assert_eq!((got.status, got.header("content-type")), (200, Some("application/octet-stream")));
    assert_eq!(got.header("content-length"), Some("3"));
    assert_eq!(desk.http("GET", path.split('?').next().expect("a path"), "", "").await.status, 403);
    desk.ok("POST", "/_fleethand/clock", json!({"advanceSeconds": 61})).await;
    assert_eq!(desk.http("GET", &path, "", "").await.status, 403, "its time is over");
    let lost =
        json!({"targets": ["arn:aws:iot:us-east-1:123456789012:thing/t1"], "documentSource": "s3://b/none"});
    let answer = desk.http("PUT", "/jobs/j2", "", &lost.to_string()).await;
    assert_eq!((answer.status, answer.header("x-amzn-errortype")), (400, Some("InvalidRequestException")));
}

#[tokio::test]
async fn a_device_with_a_certificate_may_speak_http_on_the_mqtt_port() {
    let desk = Desk::new().await;
    desk.create_job("j1").await;
    for alpn in [Some("x-amzn-http-ca"), Some("http/1.1"), None] {
        for (path, wanted) in [("/things/t1/jobs", 200), ("/jobs/j1", 501), ("/_fleethand/faults", 501)] {
            let mut tls = desk.tls(&desk.device());
            tls.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
            let answer = desk.https(tls, "GET", path, "").await;
            assert_eq!(answer.status, wanted, "{alpn:?} {path}");
            assert!(wanted != 200 || answer.body["queuedJobs"][0]["jobId"] == "j1", "{:?}", answer.body);
        }
    }
}
