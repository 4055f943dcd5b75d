//! What is published, in which order and when not.

use serde_json::{Value, json};

use crate::bench::{Bench, text, topics};

#[test]
fn notify_comes_before_notify_next_in_the_services_bytes() {
    let mut bench = Bench::new();
    let published = bench.job("j", json!({"document": "{ \"a\" : 1.50, \"n\": null }"}));
    assert_eq!(topics(&published), ["t1/jobs/notify", "t1/jobs/notify-next"]);
    assert_eq!(
        text(&published[0]),
        r#"{"timestamp":1720000000,"jobs":{"QUEUED":[{"jobId":"j","queuedAt":1720000000,"lastUpdatedAt":1720000000,"executionNumber":1,"versionNumber":1}]}}"#
    );
    assert_eq!(
        text(&published[1]),
        r#"{"timestamp":1720000000,"execution":{"jobId":"j","status":"QUEUED","queuedAt":1720000000,"lastUpdatedAt":1720000000,"versionNumber":1,"executionNumber":1,"jobDocument":{"a":1.5}}}"#
    );
    let published = bench.publish("j/update", r#"{"status":"SUCCEEDED"}"#).publications;
    let texts: Vec<&str> = published.iter().map(text).collect();
    assert_eq!(texts, [r#"{"timestamp":1720000000,"jobs":{}}"#, r#"{"timestamp":1720000000}"#]);
}

#[test]
fn a_failure_with_a_retry_is_one_change() {
    let mut bench = Bench::new();
    let retry = json!({"jobExecutionsRetryConfig": {"criteriaList": [{"failureType": "FAILED", "numberOfRetries": 1}]}});
    bench.job("j", retry);
    bench.publish("start-next", "");
    let published = bench.publish("j/update", r#"{"status":"FAILED"}"#).publications;
    assert_eq!(topics(&published), ["t1/jobs/notify", "t1/jobs/notify-next"]);
    let next: Value = serde_json::from_slice(&published[1].payload).unwrap();
    assert_eq!(
        (&next["execution"]["executionNumber"], &next["execution"]["versionNumber"]),
        (&json!(2), &json!(1))
    );
}

#[test]
fn an_execution_that_takes_the_number_of_a_deleted_one_is_another() {
    let mut bench = Bench::new();
    bench.job("j", json!({}));
    let (_, gone) = bench.try_control("DeleteJob", json!({"jobId": "j", "force": "true"}));
    assert_eq!(topics(&gone), ["t1/jobs/notify", "t1/jobs/notify-next"]);
    assert_eq!(topics(&bench.job("j", json!({}))), ["t1/jobs/notify", "t1/jobs/notify-next"]);
    assert_eq!(bench.execution("j")["executionNumber"], 1);
}

#[test]
fn a_cancelled_job_tells_every_thing_and_only_whom_it_concerns() {
    let mut bench = Bench::new();
    for thing in ["t2", "t3"] {
        bench.thing(thing);
    }
    let arns = ["t1", "t2"].map(|thing| format!("arn:aws:iot:us-east-1:123456789012:thing/{thing}"));
    bench.job("j", json!({"targets": arns}));
    bench.publish("start-next", "");
    let (_, published) = bench.try_control("CancelJob", json!({"jobId": "j"}));
    assert_eq!(topics(&published), ["t2/jobs/notify", "t2/jobs/notify-next"]);
    let (_, published) = bench.try_control("CancelJob", json!({"jobId": "j", "force": true}));
    assert_eq!(
        topics(&published),
        ["t1/jobs/notify", "t1/jobs/notify-next"],
        "the second one reaches what runs"
    );
    assert_eq!(bench.execution("j")["forceCanceled"], true);
}

#[test]
fn events_follow_the_notifications_and_an_execution_precedes_its_job() {
    let mut bench = Bench::new();
    let on = json!({"eventConfigurations": {"JOB": {"Enabled": true}, "JOB_EXECUTION": {"Enabled": true}}});
    bench.control("UpdateEventConfigurations", on).unwrap();
    bench.job("j", json!({}));
    let published = bench.publish("j/update", r#"{"status":"SUCCEEDED"}"#).publications;
    assert_eq!(
        topics(&published),
        [
            "t1/jobs/notify",
            "t1/jobs/notify-next",
            "$aws/events/jobExecution/j/succeeded",
            "$aws/events/job/j/completed"
        ]
    );
}
