//! The broker over real TLS connections, with a client library that is not ours.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests stop the test")]

mod common;

use std::sync::Arc;

use common::{Client, Client5, Desk, soon, tls};
use local_service::pki::{Authority, Validity};
use rumqttc::QoS;
use rumqttc::v5;
use rumqttc::v5::mqttbytes::v5::{DisconnectReasonCode, PubAckReason};
use rustls::pki_types::ServerName;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

const T: &str = "$aws/things/t1/jobs";

#[tokio::test]
async fn clients_of_both_versions_talk_to_each_other() {
    let desk = Desk::new().await;
    let mut old = desk.client("old").await;
    let mut new = desk.client_5("new").await;
    old.subscribe("to/old", QoS::AtLeastOnce).await;
    new.subscribe("to/+").await;
    old.publish("to/new", QoS::AtLeastOnce, "a").await;
    assert_eq!(new.hear().await.payload, b"a");
    new.publish("to/old", "b").await;
    assert_eq!(old.hear().await.payload, b"b");
    assert_eq!(new.hear().await.payload, b"b", "one's own messages come back as well");
}

#[tokio::test]
async fn a_reply_goes_to_the_asker_and_to_no_other_client_of_the_thing() {
    let desk = Desk::new().await;
    let mut asker = desk.client("asker").await;
    let mut spy = desk.client("spy").await;
    asker.subscribe(&format!("{T}/get/+"), QoS::AtLeastOnce).await;
    spy.subscribe(&format!("{T}/#"), QoS::AtLeastOnce).await;
    asker.publish(&format!("{T}/get"), QoS::AtLeastOnce, r#"{"clientToken":"a"}"#).await;
    let reply = asker.hear().await;
    assert_eq!((reply.topic.as_str(), reply.qos), (format!("{T}/get/accepted").as_str(), 1));
    assert_eq!(reply.json()["clientToken"], "a");
    asker.hears_nothing_else("own/asker").await;
    spy.hears_nothing_else("own/spy").await;
}

#[tokio::test]
async fn a_reply_comes_without_a_subscription_at_qos_0() {
    let desk = Desk::new().await;
    let mut old = desk.client("old").await;
    let mut new = desk.client_5("new").await;
    old.publish(&format!("{T}/get"), QoS::AtLeastOnce, "{}").await;
    new.publish(&format!("{T}/$next/get"), "{}").await;
    let reply = old.hear().await;
    assert_eq!((reply.topic, reply.qos), (format!("{T}/get/accepted"), 0));
    let reply = new.hear().await;
    assert_eq!((reply.topic, reply.qos), (format!("{T}/$next/get/accepted"), 0));
}

#[tokio::test]
async fn reply_then_notify_then_notify_next() {
    let desk = Desk::new().await;
    let mut device = desk.client("t1").await;
    device.subscribe(&format!("{T}/#"), QoS::AtLeastOnce).await;
    desk.create_job("j1").await;
    for topic in ["notify", "notify-next"] {
        assert_eq!(device.hear().await.topic, format!("{T}/{topic}"));
    }
    // Back to back, without waiting for the first answer.
    let update = format!("{T}/j1/update");
    device.publish(&update, QoS::AtMostOnce, r#"{"status":"IN_PROGRESS"}"#).await;
    device.publish(&update, QoS::AtMostOnce, r#"{"status":"SUCCEEDED"}"#).await;
    for topic in ["j1/update/accepted", "j1/update/accepted", "notify", "notify-next"] {
        assert_eq!(device.hear().await.topic, format!("{T}/{topic}"));
    }
}

#[tokio::test]
async fn the_older_of_two_connections_with_one_client_id_is_told_and_closed() {
    let desk = Desk::new().await;
    let first = desk.client_5("same").await;
    let mut second = desk.client_5("same").await;
    let v5::ConnectionError::MqttState(v5::StateError::ServerDisconnect { reason_code, .. }) =
        first.ended().await
    else {
        panic!("no DISCONNECT")
    };
    assert_eq!(reason_code, DisconnectReasonCode::SessionTakenOver);
    second.subscribe("a").await;

    let first = desk.client("same3").await;
    let mut second = desk.client("same3").await;
    first.ended().await;
    second.subscribe("a", QoS::AtMostOnce).await;
}

#[tokio::test]
async fn a_persistent_session_gets_the_notification_that_it_missed() {
    let desk = Desk::new().await;
    let mut options = desk.options("t1");
    options.set_clean_session(false);
    let mut device = Client::start(options.clone());
    assert!(!device.session_present().await);
    device.subscribe(&format!("{T}/notify-next"), QoS::AtLeastOnce).await;
    device.mqtt.disconnect().await.unwrap();
    device.ended().await;
    desk.create_job("j1").await;
    let mut device = Client::start(options);
    assert!(device.session_present().await);
    assert_eq!(device.hear().await.json()["execution"]["jobId"], "j1");
}

#[tokio::test]
async fn an_mqtt_5_session_lives_as_long_as_it_asks_for() {
    let desk = Desk::new().await;
    for (seconds, kept) in [(None, false), (Some(600), true)] {
        let mut options = desk.options_5("t1");
        options.set_clean_start(false);
        let mut properties = v5::mqttbytes::v5::ConnectProperties::new();
        properties.session_expiry_interval = seconds;
        options.set_connect_properties(properties);
        let mut device = Client5::start(options.clone());
        assert!(!device.session_present().await);
        device.subscribe("a").await;
        device.mqtt.disconnect().await.unwrap();
        device.ended().await;
        assert_eq!(Client5::start(options).session_present().await, kept);
    }
}

#[tokio::test]
async fn publishing_to_a_reply_topic_is_refused() {
    let desk = Desk::new().await;
    let topic = format!("{T}/get/accepted");
    let old = desk.client("old").await;
    old.publish(&topic, QoS::AtLeastOnce, "{}").await;
    old.ended().await;

    let mut new = desk.client_5("new").await;
    new.publish(&topic, "{}").await;
    let v5::Incoming::PubAck(answer) = new.packet().await else { panic!("no PUBACK") };
    assert_eq!(answer.reason, PubAckReason::TopicNameInvalid);
    new.mqtt.publish(topic, v5::mqttbytes::QoS::AtMostOnce, false, "{}").await.unwrap();
    assert!(format!("{:?}", new.ended().await).contains("TopicNameInvalid"));
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused() {
    let desk = Desk::new().await;
    let stranger = Authority::new().unwrap().device("t1", Validity::Long).unwrap();
    let expired = desk.authority.device("t1", Validity::Expired).unwrap();
    for identity in [stranger, expired] {
        let mut options = desk.options("t1");
        options.set_transport(rumqttc::Transport::tls_with_config(rumqttc::TlsConfiguration::Rustls(
            Arc::new(tls(desk.authority.certificate(), &identity)),
        )));
        let end = Client::start(options).ended().await;
        assert!(end.contains("AlertReceived"), "{end}");
    }
}

#[tokio::test]
async fn alpn_is_accepted_and_not_required() {
    let desk = Desk::new().await;
    for (offered, chosen) in
        [(vec![], None), (vec![b"x-amzn-mqtt-ca".to_vec()], Some(b"x-amzn-mqtt-ca".as_slice()))]
    {
        let mut config = desk.tls(&desk.device());
        config.alpn_protocols = offered;
        let stream = raw(&desk, config).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), chosen);
    }
}

#[tokio::test]
async fn tls_1_2_is_served_as_well() {
    let desk = Desk::new().await;
    let mut roots = rustls::RootCertStore::empty();
    for certificate in rustls_pem(desk.authority.certificate()) {
        roots.add(certificate).unwrap();
    }
    let device = desk.device();
    let key = rustls::pki_types::pem::PemObject::from_pem_slice(device.key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(rustls_pem(&device.certificate), key)
        .unwrap();
    let stream = raw(&desk, config).await;
    assert_eq!(stream.get_ref().1.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_2));
}

#[tokio::test]
async fn a_client_that_does_not_read_is_dropped_and_holds_up_nobody() {
    let desk = Desk::new().await;
    let mut deaf = raw(&desk, desk.tls(&desk.device())).await;
    // CONNECT as "d", clean, keep-alive 60; SUBSCRIBE 1 to "flood" at QoS 0.
    deaf.write_all(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01d").await.unwrap();
    deaf.write_all(b"\x82\x0a\x00\x01\x00\x05flood\x00").await.unwrap();
    let mut opening = [0; 4 + 5];
    soon(deaf.read_exact(&mut opening)).await.unwrap();
    assert_eq!(opening, *b"\x20\x02\x00\x00\x90\x03\x00\x01\x00");

    let mut flooder = desk.client("flooder").await;
    let payload = "x".repeat(100_000);
    // 16 MiB may wait for the client, some more in the sockets' buffers: 60 MB are far more than that.
    for round in 0..600 {
        flooder.publish("flood", QoS::AtMostOnce, &payload).await;
        if round % 50 == 0 {
            flooder.hears_nothing_else("own").await;
        }
    }
    flooder.hears_nothing_else("own").await;
    let mut received = 0;
    let mut buffer = vec![0; 65_536];
    while let Ok(1..) = soon(deaf.read(&mut buffer)).await.inspect(|read| received += read) {}
    assert!(received < 600 * payload.len(), "{received} bytes came before the end");
}

#[tokio::test]
async fn a_client_that_asks_a_thousand_times_at_once_gets_a_thousand_answers() {
    let desk = Desk::new().await;
    let mut client = raw(&desk, desk.tls(&desk.device())).await;
    let mut requests = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01d".to_vec();
    for id in 1..=1000_u16 {
        requests.extend(b"\x32\x1d\x00\x17$aws/things/t1/jobs/get");
        requests.extend(id.to_be_bytes());
        requests.extend(b"{}");
    }
    client.write_all(&requests).await.unwrap();
    let mut connack = [0; 4];
    soon(client.read_exact(&mut connack)).await.unwrap();
    let mut kinds = [0, 0];
    while kinds != [1000, 1000] {
        // All packets are shorter than 128 bytes, so that their length is one byte.
        let mut header = [0; 2];
        soon(client.read_exact(&mut header)).await.unwrap();
        soon(client.read_exact(&mut vec![0; header[1].into()])).await.unwrap();
        kinds[usize::from(header[0] == 0x30)] += 1;
    }
}

#[tokio::test]
async fn who_watches_many_things_hears_of_all_of_them() {
    let desk = Desk::new().await;
    let (mut zero, mut one) = (desk.client("zero").await, desk.client("one").await);
    zero.subscribe("$aws/things/+/jobs/notify", QoS::AtMostOnce).await;
    one.subscribe("$aws/things/+/jobs/notify", QoS::AtLeastOnce).await;
    let group = |thing: usize| json!({"thingName": format!("many-{thing}"), "thingGroupName": "many"});
    let control = async |operation: &str, params| desk.running.control(operation, params).await.unwrap();
    let arn = control("CreateThingGroup", json!({"thingGroupName": "many"})).await["thingGroupArn"].clone();
    for thing in 0..1500 {
        control("CreateThing", json!({"thingName": format!("many-{thing}")})).await;
        control("AddThingToThingGroup", group(thing)).await;
    }
    control("CreateJob", json!({"jobId": "all", "targets": [arn], "document": "{}"})).await;
    for client in [&mut zero, &mut one] {
        let mut heard = std::collections::BTreeSet::new();
        while heard.len() < 1500 {
            heard.insert(client.hear().await.topic);
        }
    }
}

#[tokio::test]
async fn a_client_that_sends_too_much_is_told_so_while_it_is_still_sending() {
    let desk = Desk::new().await;
    let mut client = raw(&desk, desk.tls(&desk.device())).await;
    client.write_all(b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01d").await.unwrap();
    // A publication of 8 MiB, of which the service refuses the header; what follows must not hurt.
    client.write_all(b"\x30\x80\x80\x80\x04\x00\x01a\x00").await.unwrap();
    let rest = vec![0; 4_000_000];
    soon(client.write_all(&rest)).await.expect("it is heard to its end");
    let mut answer = Vec::new();
    let end = soon(client.read_to_end(&mut answer)).await;
    assert!(answer.ends_with(b"\xe0\x02\x95\x00"), "{answer:?} {end:?}");
}

#[tokio::test]
async fn rubbish_ends_its_own_connection_only() {
    let desk = Desk::new().await;
    let mut other = desk.client("other").await;
    for rubbish in [&b"\x16\x03\x01\x00\x05hello"[..], b"\x10\xff\xff\xff\xff\xff", b"\x30\x00"] {
        let mut stream = raw(&desk, desk.tls(&desk.device())).await;
        stream.write_all(rubbish).await.unwrap();
        let mut rest = Vec::new();
        // Closed with or without TLS's own goodbye.
        let _ = soon(stream.read_to_end(&mut rest)).await;
        assert!(rest.is_empty());
    }
    other.hears_nothing_else("own").await;
}

#[tokio::test]
async fn who_watches_the_fleet_hears_who_comes_and_goes() {
    let desk = Desk::new().await;
    let mut watcher = desk.client("watcher").await;
    watcher.subscribe("$aws/events/presence/+/t1", QoS::AtLeastOnce).await;
    let device = desk.client("t1").await;
    let came = watcher.hear().await;
    assert_eq!(came.topic, "$aws/events/presence/connected/t1");
    let came = came.json();
    assert_eq!((&came["eventType"], &came["ipAddress"]), (&json!("connected"), &json!("127.0.0.1")));
    assert_eq!(came["principalIdentifier"].as_str().map(str::len), Some(64), "{came}");
    device.mqtt.disconnect().await.unwrap();
    let went = watcher.hear().await;
    assert_eq!(went.topic, "$aws/events/presence/disconnected/t1");
    let went = went.json();
    assert_eq!(went["clientInitiatedDisconnect"], true);
    assert_eq!(went["disconnectReason"], "CLIENT_INITIATED_DISCONNECT");
    for same in ["clientId", "sessionIdentifier", "versionNumber", "principalIdentifier"] {
        assert_eq!(went[same], came[same], "{same}");
    }
}

#[tokio::test]
async fn stopping_tells_the_clients() {
    let desk = Desk::new().await;
    let client = desk.client_5("c").await;
    let mqtt = desk.running.mqtt;
    soon(desk.running.stop()).await;
    assert!(format!("{:?}", client.ended().await).contains("ServerShuttingDown"));
    assert!(TcpStream::connect(mqtt).await.is_err());
}

async fn raw(desk: &Desk, config: rustls::ClientConfig) -> tokio_rustls::client::TlsStream<TcpStream> {
    let socket = TcpStream::connect(desk.running.mqtt).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    soon(TlsConnector::from(Arc::new(config)).connect(name, socket)).await.unwrap()
}

fn rustls_pem(text: &str) -> Vec<rustls::pki_types::CertificateDer<'static>> {
    rustls::pki_types::pem::PemObject::pem_slice_iter(text.as_bytes()).map(Result::unwrap).collect()
}
