//! Faults on request and the virtual clock, as a device and an operator meet them.

mod common;

use common::Desk;
use rumqttc::QoS;
use serde_json::{Value, json};

const T: &str = "$aws/things/t1/jobs";

async fn rules(desk: &Desk, rules: Value) {
    desk.ok("PUT", "/_fleethand/faults", json!({ "rules": rules })).await;
}

async fn acted(desk: &Desk) -> Vec<u64> {
    let report = desk.ok("GET", "/_fleethand/faults", Value::Null).await;
    let rules = report["rules"].as_array().expect("the rules are told");
    rules.iter().map(|rule| rule["acted"].as_u64().expect("each with its count")).collect()
}

#[tokio::test]
async fn a_lost_request_changes_nothing_and_a_lost_reply_hides_what_was_done() {
    let desk = Desk::new().await;
    let mut device = desk.client("t1").await;
    device.subscribe(&format!("{T}/#"), QoS::AtLeastOnce).await;
    rules(&desk, json!([{"topic": "get", "action": "lose", "count": 1}, {"topic": "start-next/accepted", "action": "lose"}])).await;
    device.publish(&format!("{T}/get"), QoS::AtLeastOnce, r#"{"clientToken":"lost"}"#).await;
    device.publish(&format!("{T}/get"), QoS::AtLeastOnce, r#"{"clientToken":"heard"}"#).await;
    assert_eq!(device.hear().await.json()["clientToken"], "heard");
    desk.create_job("j1").await;
    device.hear().await;
    device.hear().await;
    device.publish(&format!("{T}/start-next"), QoS::AtLeastOnce, "{}").await;
    device.publish(&format!("{T}/$next/get"), QoS::AtLeastOnce, "{}").await;
    assert_eq!(device.hear().await.json()["execution"]["status"], "IN_PROGRESS");
    assert_eq!(acted(&desk).await, [1, 1]);
}

#[tokio::test]
async fn a_request_can_be_rejected_with_a_code_or_throttled_without_being_performed() {
    let desk = Desk::new().await;
    let mut device = desk.client("t1").await;
    desk.create_job("j1").await;
    let refused = [json!({"reject": "InternalError"}), json!("throttle")];
    let [one, two] =
        refused.map(|action| json!({"thing": "t1", "topic": "+/update", "action": action, "count": 1}));
    rules(&desk, json!([one, two])).await;
    let update = r#"{"status":"IN_PROGRESS","expectedVersion":1,"clientToken":"c"}"#;
    for code in ["InternalError", "RequestThrottled"] {
        device.publish(&format!("{T}/j1/update"), QoS::AtLeastOnce, update).await;
        let heard = device.hear().await;
        assert_eq!(heard.topic, format!("{T}/j1/update/rejected"));
        assert_eq!((&heard.json()["code"], &heard.json()["clientToken"]), (&json!(code), &json!("c")));
    }
    device.publish(&format!("{T}/j1/update"), QoS::AtLeastOnce, update).await;
    assert_eq!(device.hear().await.topic, format!("{T}/j1/update/accepted"));
}

#[tokio::test]
async fn a_cut_before_a_request_leaves_it_undone_and_a_cut_at_the_reply_does_not() {
    let desk = Desk::new().await;
    desk.create_job("j1").await;
    for (topic, status) in [("start-next", "QUEUED"), ("start-next/accepted", "IN_PROGRESS")] {
        rules(&desk, json!([{"topic": topic, "action": "cut", "count": 1}])).await;
        let device = desk.client("t1").await;
        device.publish(&format!("{T}/start-next"), QoS::AtLeastOnce, "{}").await;
        device.ended().await;
        let execution = desk.ok("GET", "/things/t1/jobs/j1", json!({})).await;
        assert_eq!(execution["execution"]["status"], status);
    }
}

#[tokio::test]
async fn a_cut_at_a_notification_ends_the_connections_of_its_subscribers_only() {
    let desk = Desk::new().await;
    let mut subscriber = desk.client("t1").await;
    subscriber.subscribe(&format!("{T}/notify"), QoS::AtLeastOnce).await;
    let mut other = desk.client("other").await;
    rules(&desk, json!([{"topic": "notify", "action": "cut"}])).await;
    desk.create_job("j1").await;
    subscriber.ended().await;
    other.hears_nothing_else("own").await;
}

#[tokio::test]
async fn a_message_can_be_repeated_and_a_rule_taken_away_again() {
    let desk = Desk::new().await;
    let mut device = desk.client("t1").await;
    device.subscribe(&format!("{T}/notify"), QoS::AtLeastOnce).await;
    rules(&desk, json!([{"topic": "notify", "action": {"repeat": 2}}])).await;
    desk.create_job("j1").await;
    for _ in 0..3 {
        device.hear().await;
    }
    desk.ok("DELETE", "/_fleethand/faults", Value::Null).await;
    desk.create_job("j2").await;
    device.hear().await;
    device.hears_nothing_else("own").await;
}

#[tokio::test]
async fn delays_and_time_outs_come_when_the_virtual_clock_has_gone_so_far() {
    let desk = Desk::with(|options| options.virtual_clock = true).await;
    let mut device = desk.client("t1").await;
    device.subscribe(&format!("{T}/notify-next"), QoS::AtLeastOnce).await;
    rules(&desk, json!([{"topic": "notify-next", "action": {"delay": 5000}, "count": 1}])).await;
    let more = json!({
        "targets": ["arn:aws:iot:us-east-1:123456789012:thing/t1"],
        "document": "{}",
        "timeoutConfig": {"inProgressTimeoutInMinutes": 10},
    });
    desk.ok("PUT", "/jobs/j1", more).await;
    let begin = desk.ok("GET", "/_fleethand/clock", Value::Null).await["milliseconds"].as_u64().unwrap();
    desk.ok("POST", "/_fleethand/clock", json!({"advanceMilliseconds": 4999})).await;
    device.publish(&format!("{T}/start-next"), QoS::AtLeastOnce, "{}").await;
    assert!(device.hear().await.topic.ends_with("start-next/accepted"), "the delayed one is not there yet");
    let clock = desk.ok("POST", "/_fleethand/clock", json!({"advanceMilliseconds": 1})).await;
    assert_eq!(clock, json!({"milliseconds": begin + 5000, "virtual": true}));
    assert!(device.hear().await.json()["execution"]["jobId"] == "j1");
    desk.ok("POST", "/_fleethand/clock", json!({"advanceSeconds": 600})).await;
    assert!(device.hear().await.json().get("execution").is_none(), "it has timed out");
    desk.ok("POST", "/_fleethand/clock", json!({"advanceSeconds": 3600, "silent": true})).await;
    device.ended().await;
}

#[tokio::test]
async fn calls_are_refused_lost_or_thought_lost() {
    let desk = Desk::new().await;
    let create =
        json!({"targets": ["arn:aws:iot:us-east-1:123456789012:thing/t1"], "document": "{}"}).to_string();
    for (n, (action, status, error, there)) in [
        (json!({"reject": "LimitExceededException"}), 410, "LimitExceededException", 404),
        (json!("throttle"), 400, "ThrottlingException", 404),
        (json!("lose"), 503, "ServiceUnavailableException", 404),
        (json!("cut"), 503, "ServiceUnavailableException", 200),
    ]
    .into_iter()
    .enumerate()
    {
        rules(&desk, json!([{"operation": "CreateJob", "action": action}])).await;
        let answer = desk.http("PUT", &format!("/jobs/j{n}"), "", &create).await;
        assert_eq!((answer.status, answer.header("x-amzn-errortype")), (status, Some(error)));
        assert_eq!(desk.http("GET", &format!("/jobs/j{n}"), "", "").await.status, there, "{error}");
    }
}

#[tokio::test]
async fn what_cannot_be_followed_is_refused_in_words() {
    let desk = Desk::new().await;
    for (path, method, body, said) in [
        ("faults", "PUT", r#"{"rules":[{"action":"lose"}]}"#, "rule 0"),
        ("faults", "PUT", r#"{"rules":[{"topic":"get","action":"explode"}]}"#, "explode"),
        ("clock", "POST", r#"{"advanceSeconds":1}"#, "--virtual-clock"),
        ("clock", "POST", r#"{"minutes":1}"#, "advanceSeconds"),
    ] {
        let answer = desk.http(method, &format!("/_fleethand/{path}"), "", body).await;
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.body["message"].as_str().unwrap().contains(said), "{answer:?}");
    }
    assert_eq!(desk.http("GET", "/_fleethand/else", "", "").await.status, 501);
}

#[tokio::test]
async fn the_sample_in_the_repository_can_be_followed() {
    let sample = include_str!("../../../config/local-faults.json");
    let desk = Desk::new().await;
    let answer = desk.http("PUT", "/_fleethand/faults", "", sample).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(acted(&desk).await.len() >= 5);
}
