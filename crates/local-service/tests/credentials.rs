//! The way from AWS's tutorials: keys and a certificate, a policy, a thing; and what a client with them may do.

mod common;

use common::{Answer, Client, Client5, Desk, soon};
use local_service::pki::Identity;
use local_service::{Options, Running, start};
use rumqttc::v5;
use rumqttc::{MqttOptions, QoS, TlsConfiguration, Transport};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const ALL: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iot:*","iotjobsdata:*"],"Resource":"*"}]}"#;

/// A certificate that the service has given out.
struct Made {
    id: String,
    arn: String,
    identity: Identity,
}

async fn desk() -> Desk {
    Desk::able_to_sign(|_| {}).await
}

async fn make(desk: &Desk, active: bool) -> Made {
    let body = desk.ok("POST", &format!("/keys-and-certificate?setAsActive={active}"), json!({})).await;
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).expect(pointer).to_owned();
    assert!(text("/keyPair/PublicKey").starts_with("-----BEGIN PUBLIC KEY-----"));
    let identity = Identity { certificate: text("/certificatePem"), key: text("/keyPair/PrivateKey") };
    Made { id: text("/certificateId"), arn: text("/certificateArn"), identity }
}

async fn allow(desk: &Desk, made: &Made, name: &str, document: &str) {
    desk.ok("POST", &format!("/policies/{name}"), json!({ "policyDocument": document })).await;
    desk.ok("PUT", &format!("/target-policies/{name}"), json!({ "target": made.arn })).await;
}

async fn attach(desk: &Desk, made: &Made, thing: &str) {
    let header = format!("x-amzn-principal: {}\r\n", made.arn);
    let answer = desk.http("PUT", &format!("/things/{thing}/principals"), &header, "").await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

fn transport(desk: &Desk, made: &Made) -> Transport {
    Transport::tls_with_config(TlsConfiguration::Rustls(Arc::new(desk.tls(&made.identity))))
}

fn options(desk: &Desk, made: &Made, id: &str) -> MqttOptions {
    let mut options = MqttOptions::new(id, "127.0.0.1", desk.running.mqtt.port());
    options.set_transport(transport(desk, made));
    options
}

fn options_5(desk: &Desk, made: &Made, id: &str) -> v5::MqttOptions {
    let mut options = v5::MqttOptions::new(id, "127.0.0.1", desk.running.mqtt.port());
    options.set_transport(transport(desk, made));
    options
}

async fn connects(desk: &Desk, made: &Made, id: &str) -> Client {
    let mut client = Client::start(options(desk, made, id));
    assert!(!client.session_present().await);
    client
}

/// Neither version gets a CONNACK.
async fn is_shut_out(desk: &Desk, made: &Made) {
    let end = Client::start(options(desk, made, "t1")).ended().await;
    assert!(!end.contains("ConnectionRefused"), "{end}");
    let end = Client5::start(options_5(desk, made, "t1")).ended().await;
    assert!(!matches!(end, v5::ConnectionError::ConnectionRefused(_)), "{end:?}");
}

#[tokio::test]
async fn a_device_connects_with_what_the_tutorials_make_and_gets_its_job() {
    let desk = desk().await;
    let made = make(&desk, true).await;
    allow(&desk, &made, "agent", ALL).await;
    attach(&desk, &made, "t1").await;
    let mut client = connects(&desk, &made, "t1").await;
    client.subscribe("$aws/things/t1/jobs/notify-next", QoS::AtLeastOnce).await;
    desk.create_job("j").await;
    assert_eq!(client.hear().await.json()["execution"]["jobId"], "j");
}

#[tokio::test]
async fn the_policies_of_a_certificate_say_what_its_holder_may_do() {
    let desk = desk().await;
    let made = make(&desk, true).await;
    // Without a policy nothing is allowed.
    let end = Client5::start(options_5(&desk, &made, "t1")).ended().await;
    assert!(matches!(
        end,
        v5::ConnectionError::ConnectionRefused(v5::mqttbytes::v5::ConnectReturnCode::NotAuthorized)
    ));
    let name = "${iot:Connection.Thing.ThingName}";
    let own = json!({"Statement": [
        {"Effect": "Allow", "Action": "iot:Connect", "Resource": format!("arn:aws:iot:us-east-1:123456789012:client/{name}")},
        {"Effect": "Allow", "Action": "iot:Subscribe", "Resource": format!("arn:aws:iot:us-east-1:123456789012:topicfilter/$aws/things/{name}/*")},
    ]});
    allow(&desk, &made, "own", &own.to_string()).await;
    let end = Client::start(options(&desk, &made, "t1")).ended().await;
    assert!(!end.contains("ConnectionRefused"), "attached to no thing: {end}");
    attach(&desk, &made, "t1").await;
    let client = connects(&desk, &made, "t1").await;
    client.mqtt.subscribe("elsewhere", QoS::AtLeastOnce).await.expect("it is sent");
    client.ended().await;
    // Two policies allow what either of them does.
    allow(&desk, &made, "all", ALL).await;
    let mut client = connects(&desk, &made, "anything").await;
    client.subscribe("elsewhere", QoS::AtLeastOnce).await;
}

#[tokio::test]
async fn a_certificate_that_is_not_active_or_was_deleted_is_shut_out() {
    let desk = desk().await;
    let made = make(&desk, false).await;
    allow(&desk, &made, "all", ALL).await;
    is_shut_out(&desk, &made).await;
    let path = format!("/certificates/{}", made.id);
    desk.ok("PUT", &format!("{path}?newStatus=ACTIVE"), json!({})).await;
    connects(&desk, &made, "t1").await;
    assert_eq!(pending_over_https(&desk, &made).await, 200);
    desk.ok("PUT", &format!("{path}?newStatus=REVOKED"), json!({})).await;
    is_shut_out(&desk, &made).await;
    assert_eq!(pending_over_https(&desk, &made).await, 403);
    desk.ok("POST", "/target-policies/all", json!({ "target": made.arn })).await;
    desk.ok("DELETE", &path, json!({})).await;
    is_shut_out(&desk, &made).await;
}

/// The status of a request to the data plane with this certificate; 0: none.
async fn pending_over_https(desk: &Desk, made: &Made) -> u16 {
    let mut tls = desk.tls(&made.identity);
    tls.alpn_protocols = vec![b"x-amzn-http-ca".to_vec()];
    let socket = TcpStream::connect(desk.running.mqtt).await.expect("it listens");
    let name = "127.0.0.1".try_into().expect("an address");
    let mut stream = TlsConnector::from(Arc::new(tls)).connect(name, socket).await.expect("TLS");
    let request = "GET /things/t1/jobs HTTP/1.1\r\nHost: local\r\nConnection: close\r\n\r\n";
    let mut text = String::new();
    // A connection that is closed instead fails in the one or the other.
    if stream.write_all(request.as_bytes()).await.is_err()
        || soon(stream.read_to_string(&mut text)).await.is_err()
    {
        return 0;
    }
    text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

#[tokio::test]
async fn a_policy_that_cannot_be_judged_is_refused_when_it_is_made() {
    let desk = desk().await;
    let unknown =
        r#"{"Statement":[{"Effect":"Allow","Action":"iot:*","Resource":"*","NotAction":"iot:Connect"}]}"#;
    for document in
        ["", "{", "[]", "{}", r#"{"Statement":[{"Effect":"Maybe","Action":"a","Resource":"*"}]}"#, unknown]
    {
        let answer =
            desk.http("POST", "/policies/p", "", &json!({ "policyDocument": document }).to_string()).await;
        let refused = (answer.status, answer.header("x-amzn-errortype"));
        assert_eq!(refused, (400, Some("MalformedPolicyException")), "{document}: {answer:?}");
    }
}

#[tokio::test]
async fn without_the_authoritys_key_no_certificate_is_given_out() {
    let desk = Desk::new().await;
    let answer: Answer = desk.http("POST", "/keys-and-certificate", "", "").await;
    assert_eq!((answer.status, answer.header("x-amzn-errortype")), (501, Some("NotImplemented")));
}

#[tokio::test]
async fn certificates_and_policies_are_kept_on_disk_and_private_keys_are_not() {
    let data = tempfile::tempdir().expect("a directory");
    let kept = data.path().to_owned();
    let mut desk = Desk::able_to_sign(|options| options.data = Some(kept)).await;
    let made = make(&desk, true).await;
    allow(&desk, &made, "all", ALL).await;
    attach(&desk, &made, "t1").await;
    let options = Options { data: Some(data.path().to_owned()), ..desk.options.clone() };
    let running: Running = std::mem::replace(
        &mut desk.running,
        start(Options { data: None, ..options.clone() }).await.expect("it starts"),
    );
    running.stop().await;
    desk.running = start(options).await.expect("it starts again");
    connects(&desk, &made, "t1").await;
    let header = format!("x-amzn-principal: {}\r\n", made.arn);
    assert_eq!(desk.http("GET", "/principals/things", &header, "").await.body, json!({"things": ["t1"]}));
    let body: String = made.identity.key.lines().nth(1).expect("a key of several lines").to_owned();
    for file in std::fs::read_dir(data.path()).expect("the directory").flatten() {
        let bytes = std::fs::read(file.path()).expect("a file");
        assert!(!bytes.windows(body.len()).any(|part| part == body.as_bytes()), "{:?}", file.path());
    }
}
