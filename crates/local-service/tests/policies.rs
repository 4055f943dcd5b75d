//! A missing permission, as a client of either version meets it.

mod common;

use common::{Client, Client5, Desk};
use rumqttc::QoS;
use rumqttc::v5;
use rumqttc::v5::mqttbytes::v5::{ConnectReturnCode, PubAckReason, SubscribeReasonCode};
use serde_json::{Value, json};

/// A service with this policy for t1; everybody else may do nothing.
async fn desk(statements: Value) -> (Desk, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let policy = json!({"Version": "2012-10-17", "Statement": statements});
    std::fs::write(directory.path().join("t1.json"), policy.to_string()).expect("it can be written");
    let policies = Some(directory.path().to_owned());
    (Desk::with(|options| options.policies = policies).await, directory)
}

fn allow(action: &str, resource: &str) -> Value {
    json!({"Effect": "Allow", "Action": action, "Resource": format!("arn:aws:iot:eu-central-1:999999999999:{resource}")})
}

#[tokio::test]
async fn a_client_id_that_is_not_allowed_is_closed_without_a_word_or_told_0x87() {
    let (desk, _policies) =
        desk(json!([allow("iot:Connect", "client/${iot:Connection.Thing.ThingName}")])).await;
    desk.client("t1").await;
    let end = Client::start(desk.options("other")).ended().await;
    assert!(!end.contains("ConnectionRefused"), "no CONNACK: {end}");
    let refused = Client5::start(desk.options_5("other")).ended().await;
    assert!(
        matches!(refused, v5::ConnectionError::ConnectionRefused(ConnectReturnCode::NotAuthorized)),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_filter_that_is_not_allowed_closes_3_1_1_and_is_refused_alone_to_5() {
    let (desk, _policies) =
        desk(json!([allow("iot:Connect", "client/*"), allow("iot:Subscribe", "topicfilter/good/*")])).await;
    let client = desk.client("old").await;
    client.mqtt.subscribe("bad", QoS::AtLeastOnce).await.expect("it is sent");
    client.ended().await;
    let mut client = desk.client_5("new").await;
    let wanted = ["good/+", "bad"]
        .map(|filter| v5::mqttbytes::v5::Filter::new(filter, v5::mqttbytes::QoS::AtLeastOnce));
    client.mqtt.subscribe_many(wanted).await.expect("it is sent");
    loop {
        if let v5::Incoming::SubAck(answer) = client.packet().await {
            let granted = SubscribeReasonCode::Success(v5::mqttbytes::QoS::AtLeastOnce);
            assert_eq!(answer.return_codes, [granted, SubscribeReasonCode::NotAuthorized]);
            break;
        }
    }
    client.publish("bad", "x").await;
    loop {
        if let v5::Incoming::PubAck(answer) = client.packet().await {
            assert_eq!(
                answer.reason,
                PubAckReason::NotAuthorized,
                "and the connection has stayed until here"
            );
            break;
        }
    }
    client.mqtt.publish("bad", v5::mqttbytes::QoS::AtMostOnce, false, "x").await.expect("it is sent");
    let end = client.ended().await;
    assert!(format!("{end:?}").contains("ServerDisconnect { reason_code: NotAuthorized"), "{end:?}");
}

#[tokio::test]
async fn a_publication_that_is_not_allowed_closes_3_1_1() {
    let (desk, _policies) =
        desk(json!([allow("iot:Connect", "client/*"), allow("iot:Publish", "topic/good")])).await;
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
        let client = desk.client("c").await;
        client.publish("good", qos, "x").await;
        client.publish("bad", qos, "x").await;
        client.ended().await;
    }
    let client = desk.client("c").await;
    client.mqtt.publish("good", QoS::AtLeastOnce, true, "x").await.expect("it is sent");
    client.ended().await;
}

#[tokio::test]
async fn what_may_not_be_received_is_dropped_in_silence() {
    let statements = json!([
        allow("iot:Connect", "client/*"),
        allow("iot:Subscribe", "topicfilter/*"),
        allow("iot:Publish", "topic/*"),
        allow("iot:Receive", "topic/own"),
    ]);
    let (desk, _policies) = desk(statements).await;
    let mut client = desk.client("t1").await;
    client.subscribe("$aws/things/t1/jobs/#", QoS::AtLeastOnce).await;
    desk.create_job("j1").await;
    client.publish("$aws/things/t1/jobs/get", QoS::AtLeastOnce, "{}").await;
    client.hears_nothing_else("own").await;
}

#[tokio::test]
async fn a_certificate_without_a_policy_is_not_let_in() {
    let (desk, policies) = desk(json!([allow("iot:*", "*")])).await;
    desk.client("t1").await;
    std::fs::remove_file(policies.path().join("t1.json")).expect("it can be removed");
    let end = Client::start(desk.options("t1")).ended().await;
    assert!(!end.contains("ConnectionRefused"), "no CONNACK: {end}");
}

#[tokio::test]
async fn the_data_plane_over_https_has_actions_of_its_own() {
    let statements = json!([
        allow("iotjobsdata:DescribeJobExecution", "thing/t1"),
        allow("iotjobsdata:UpdateJobExecution", "thing/t1"),
        {"Effect": "Deny", "Action": "iotjobsdata:UpdateJobExecution", "Resource": "*"},
        allow("iot:*", "*"),
    ]);
    let (desk, policies) = desk(statements).await;
    desk.create_job("j1").await;
    let ask = async |method: &str, path: &str| {
        let body = if method == "POST" { r#"{"status":"SUCCEEDED"}"# } else { "" };
        let answer = desk.https(desk.tls(&desk.device()), method, path, body).await;
        (answer.status, answer.header("x-amzn-errortype").map(str::to_owned))
    };
    let forbidden = (403, Some("ForbiddenException".to_owned()));
    assert_eq!(ask("GET", "/things/t1/jobs/j1").await, (200, None));
    assert_eq!(ask("POST", "/things/t1/jobs/j1").await, forbidden, "denied");
    assert_eq!(ask("GET", "/things/t1/jobs").await, forbidden, "not allowed");
    assert_eq!(ask("GET", "/things/t2/jobs/j1").await, forbidden, "another thing");
    std::fs::remove_file(policies.path().join("t1.json")).expect("it can be removed");
    assert_eq!(ask("GET", "/things/t1/jobs/j1").await, forbidden, "no policy");
    desk.ok("GET", "/things/t1/jobs/j1", json!({})).await;
}

#[tokio::test]
async fn the_policy_that_is_shipped_for_the_agent_lets_it_work() {
    let policy = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/policies/agent.json");
    let text = std::fs::read(policy).expect("it is there");
    let policy: Value = serde_json::from_slice(&text).expect("it is JSON");
    let (desk, _policies) = desk(policy["Statement"].clone()).await;
    desk.create_job("j1").await;
    let mut agent = desk.client("t1").await;
    for filter in ["notify", "notify-next", "get/+", "+/get/+", "+/update/+"] {
        agent.subscribe(&format!("$aws/things/t1/jobs/{filter}"), QoS::AtLeastOnce).await;
    }
    agent.publish("$aws/things/t1/jobs/$next/get", QoS::AtLeastOnce, "{}").await;
    assert_eq!(agent.hear().await.json()["execution"]["jobId"], "j1");
    Client::start(desk.options("other")).ended().await;
}

#[tokio::test]
async fn a_persistent_session_may_be_what_a_policy_does_not_allow() {
    let mut connect = allow("iot:Connect", "client/*");
    connect["Condition"] = json!({"ForAllValues:StringEquals": {"iot:ConnectAttributes": ["LastWill"]}});
    let (desk, _policies) = desk(json!([connect])).await;
    desk.client("t1").await;
    let mut persistent = desk.options("t1");
    persistent.set_clean_session(false);
    Client::start(persistent).ended().await;
}
