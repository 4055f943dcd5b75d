//! Documents that come from elsewhere, and URLs in the place of presigned placeholders.

use serde_json::{Value, json};
use service_core::{EpochMillis, S3Object};

use crate::bench::{Bench, START};

const PLACEHOLDER: &str = "${aws:iot:s3-presigned-url:https://s3.us-east-1.amazonaws.com/b/k.sh}";

fn from_source(bench: &mut Bench, operation: &str, params: Value) -> Value {
    let document = r#"{"read":"once"}"#.to_owned();
    bench.service.control_with_document(operation, params, document, bench.now).result.unwrap()
}

fn sourced(id: &str) -> Value {
    json!({"jobId": id, "targets": ["arn:aws:iot:us-east-1:123456789012:thing/t1"], "documentSource": "s3://b/doc.json"})
}

#[test]
fn a_document_that_was_read_is_the_jobs_and_its_source_is_shown() {
    let mut bench = Bench::new();
    from_source(&mut bench, "CreateJob", sourced("j"));
    let shown = bench.control("DescribeJob", json!({"jobId": "j"})).unwrap();
    assert_eq!(shown["documentSource"], "s3://b/doc.json");
    let document = bench.control("GetJobDocument", json!({"jobId": "j"})).unwrap();
    assert_eq!(document["document"], r#"{"read":"once"}"#);
}

#[test]
fn a_template_keeps_what_was_read_when_it_was_made() {
    let mut bench = Bench::new();
    let template = json!({"jobTemplateId": "t", "description": "d", "documentSource": "s3://b/doc.json"});
    let arn = from_source(&mut bench, "CreateJobTemplate", template)["jobTemplateArn"].clone();
    let job = json!({"jobId": "j", "targets": ["arn:aws:iot:us-east-1:123456789012:thing/t1"], "jobTemplateArn": arn});
    bench.control("CreateJob", job.clone()).unwrap();
    assert_eq!(
        bench.control("GetJobDocument", json!({"jobId": "j"})).unwrap()["document"],
        r#"{"read":"once"}"#
    );
    let mut own = job;
    (own["jobId"], own["document"]) = (json!("k"), json!("{}"));
    bench.control("CreateJob", own).unwrap();
    assert_eq!(bench.control("GetJobDocument", json!({"jobId": "k"})).unwrap()["document"], "{}");
    assert_eq!(bench.control("DescribeJob", json!({"jobId": "k"})).unwrap().get("documentSource"), None);
}

#[test]
fn a_source_that_was_not_read_or_that_stands_beside_a_document_is_refused() {
    let mut bench = Bench::new();
    let unread = bench.control("CreateJob", sourced("j")).expect_err("nobody has read it");
    assert_eq!((unread.status, unread.name), (400, "InvalidRequestException"));
    assert!(unread.message.contains("documentSource"), "{unread}");
    let mut both = sourced("j");
    both["document"] = json!("{}");
    assert!(bench.control("CreateJob", both).expect_err("one is too many").message.contains("Only one"));
}

#[test]
fn every_delivery_has_a_fresh_url_and_the_stored_text_has_none() {
    let mut bench = Bench::new();
    let more = json!({
        "document": json!({"url": PLACEHOLDER}).to_string(),
        "presignedUrlConfig": {"roleArn": "arn:aws:iam::123456789012:role/r", "expiresInSec": 60},
    });
    let published = bench.job("j", more);
    let url = |body: &[u8]| {
        let body: Value = serde_json::from_slice(body).unwrap();
        body["execution"]["jobDocument"]["url"].as_str().unwrap().to_owned()
    };
    let first = url(&published[1].payload);
    bench.now.0 += 5000;
    let second = url(&bench.publish("$next/get", "{}").reply.unwrap().payload);
    assert_ne!(first, second);
    let query = first.strip_prefix("http://localhost/b/k.sh?").unwrap();
    let object = S3Object { bucket: "b".into(), key: "k.sh".into() };
    assert!(bench.service.may_fetch(&object, query, EpochMillis(START + 59_999)));
    assert!(!bench.service.may_fetch(&object, query, EpochMillis(START + 60_000)));
    let stored = bench.control("GetJobDocument", json!({"jobId": "j"})).unwrap()["document"].clone();
    assert_eq!(stored, json!({"url": PLACEHOLDER}).to_string());
}

#[test]
fn a_placeholder_needs_a_role() {
    let mut bench = Bench::new();
    let params = json!({"jobId": "j", "targets": ["arn:aws:iot:us-east-1:123456789012:thing/t1"], "document": json!({"u": PLACEHOLDER}).to_string()});
    assert!(bench.control("CreateJob", params).expect_err("refused").message.contains("roleArn"));
}
