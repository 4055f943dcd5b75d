//! Brokers that are silent, slow or mad, and a process that stands still: the link says what it was and goes on.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use mqtt_link::{Link, LinkError, LinkEvent};
use rumqttc::{Packet, Publish, QoS, SubAck, SubscribeReasonCode};
use tokio::time::{Instant, pause, sleep, timeout};

use crate::broker::{Broker, Peer, Pki};
use crate::{down, message, soon, up};

#[tokio::test]
async fn a_connect_that_is_never_answered_is_given_up_after_thirty_seconds() {
    let broker = Broker::start(Pki::Good).await;
    let mut link = Link::start(broker.settings()).unwrap();
    let mut peer = soon(broker.accept()).await;
    assert!(matches!(soon(peer.read()).await, Some(Packet::Connect(_))));
    let reason = in_quick_time(&mut link).await;
    assert!(
        matches!(reason, LinkError::TimedOut { after, .. } if after == Duration::from_secs(30)),
        "{reason}"
    );
}

#[tokio::test]
async fn a_port_that_accepts_and_never_speaks_is_given_up_after_thirty_seconds() {
    let broker = Broker::start(Pki::Good).await;
    let mut link = Link::start(broker.settings()).unwrap();
    let _silent = soon(broker.tcp()).await;
    let reason = in_quick_time(&mut link).await;
    assert!(matches!(reason, LinkError::TimedOut { .. }), "{reason}");
}

#[tokio::test]
async fn a_subscription_that_is_never_answered_is_given_up() {
    let broker = Broker::start(Pki::Good).await;
    let mut link = Link::start(broker.settings()).unwrap();
    let mut peer = soon(broker.accept()).await;
    soon(peer.accept_connect()).await;
    soon(peer.read_subscribe()).await;
    let reason = in_quick_time(&mut link).await;
    assert!(matches!(reason, LinkError::SubscriptionUnanswered { .. }), "{reason}");
}

#[tokio::test]
async fn a_peer_that_dies_is_noticed_within_the_usual_keep_alive() {
    let broker = Broker::start(Pki::Good).await;
    let mut link = Link::start(broker.settings()).unwrap();
    let _peer = up(&broker, &mut link).await;
    let began = Instant::now();
    let reason = in_quick_time(&mut link).await;
    assert!(matches!(reason, LinkError::KeepAliveLost), "{reason}");
    // The clock that runs fast may have been stopped a little after the last packet.
    assert!(began.elapsed() < Duration::from_secs(62), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_quiet_connection_stays() {
    let broker = Broker::start(Pki::Good).await;
    let mut settings = broker.settings();
    settings.keep_alive = Duration::from_secs(2);
    let mut link = Link::start(settings).unwrap();
    let mut peer = up(&broker, &mut link).await;
    for _ in 0..4 {
        let (ping, ()) = soon(async { tokio::join!(peer.read(), nothing_happens(&mut link)) }).await;
        assert_eq!(ping, Some(Packet::PingReq));
        peer.write(Packet::PingResp).await.unwrap();
    }
    peer.send(1, b"still there".to_vec()).await.unwrap();
    assert_eq!(message(&mut link).await, b"still there");
}

#[test]
fn a_process_that_stood_still_does_not_blame_the_server() {
    let broker_side = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let broker = broker_side.block_on(Broker::start(Pki::Good));
    let mut settings = broker.settings();
    settings.keep_alive = Duration::from_secs(4);
    let (heard, news) = mpsc::channel();
    // On a thread of its own: it answers while the link's thread stands still.
    thread::spawn(move || {
        broker_side.block_on(async {
            let mut peer = broker.welcome(1).await;
            while let Some(packet) = peer.read().await {
                if packet == Packet::PingReq {
                    heard.send(None).unwrap();
                    // So that the answer comes while the link's thread stands still.
                    sleep(Duration::from_millis(200)).await;
                    peer.write(Packet::PingResp).await.unwrap();
                } else if let Packet::Publish(publish) = packet {
                    peer.write(Packet::PubAck(rumqttc::PubAck::new(publish.pkid))).await.unwrap();
                    heard.send(Some(publish.topic)).unwrap();
                }
            }
        });
    });
    let agent_side = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    agent_side.block_on(async {
        let mut link = Link::start(settings).unwrap();
        assert!(matches!(soon(link.next_event()).await, LinkEvent::Up { .. }));
        for round in 0..2 {
            until(&mut link, || news.try_iter().any(|topic| topic.is_none())).await;
            // This is what is tested, not a way to wait: nothing of the link can run meanwhile.
            thread::sleep(Duration::from_millis(4500));
            let name = format!("round/{round}");
            link.publish(&name, "").unwrap();
            until(&mut link, || news.try_iter().flatten().any(|topic| topic == name)).await;
        }
    });
}

/// Defect C4 of the reference client: a second delivery of the same answer ended it.
#[tokio::test]
async fn a_message_that_is_delivered_again_is_passed_on_again() {
    let broker = Broker::start(Pki::Good).await;
    let mut link = Link::start(broker.settings()).unwrap();
    let mut peer = up(&broker, &mut link).await;
    let mut again = Publish::new("some/news/topic", QoS::AtLeastOnce, b"twice".to_vec());
    again.pkid = 9;
    peer.write(Packet::Publish(again.clone())).await.unwrap();
    again.dup = true;
    peer.write(Packet::Publish(again)).await.unwrap();
    assert_eq!(message(&mut link).await, b"twice");
    assert_eq!(message(&mut link).await, b"twice");
}

/// Defects C1 and C2 of the reference client: an answer with unexpected contents ended it. Here contents are opaque.
#[tokio::test]
async fn messages_with_odd_contents_arrive_as_they_are() {
    let broker = Broker::start(Pki::Good).await;
    let mut link = Link::start(broker.settings()).unwrap();
    let mut peer = up(&broker, &mut link).await;
    let rows: [(&str, QoS, &[u8]); 4] = [
        ("", QoS::AtMostOnce, b"no topic"),
        ("a/+/#", QoS::AtLeastOnce, b"a filter for a topic"),
        ("never/subscribed", QoS::ExactlyOnce, b"more than was granted"),
        ("some/news/topic", QoS::AtLeastOnce, b"\xff\x00{\"clientToken\":\"of nobody\"}"),
    ];
    for (id, (topic, qos, payload)) in (1..).zip(rows) {
        let mut publish = Publish::new(topic, qos, payload);
        publish.pkid = if qos == QoS::AtMostOnce { 0 } else { id };
        peer.write(Packet::Publish(publish)).await.unwrap();
        match soon(link.next_event()).await {
            LinkEvent::Message { topic: t, payload: p } => assert_eq!((t.as_str(), &p[..]), (topic, payload)),
            event @ (LinkEvent::Up { .. } | LinkEvent::Down { .. }) => panic!("{event:?}"),
        }
    }
}

#[tokio::test]
async fn a_close_in_the_middle_of_a_packet_is_an_end_like_others() {
    let broker = Broker::start(Pki::Good).await;
    let mut link = Link::start(broker.settings()).unwrap();
    let mut peer = up(&broker, &mut link).await;
    peer.write_bytes(&[0x32, 0x20, 0x00, 0x05, b'h', b'a']).await.unwrap();
    peer.close().await;
    let reason = down(&mut link).await;
    assert!(matches!(reason, LinkError::Broken { .. }), "{reason}");
    up(&broker, &mut link).await;
}

#[tokio::test]
async fn answers_to_subscriptions_in_another_order_are_fine() {
    let broker = Broker::start(Pki::Good).await;
    let mut settings = broker.settings();
    settings.filters = (0..10).map(|number| format!("filter/{number}")).collect();
    let mut link = Link::start(settings).unwrap();
    let mut peer = soon(broker.accept()).await;
    soon(peer.accept_connect()).await;
    let first = soon(peer.read_subscribe()).await;
    let second = soon(peer.read_subscribe()).await;
    for subscribe in [second, first] {
        assert!(!link.is_up());
        let codes = vec![SubscribeReasonCode::Success(QoS::AtMostOnce); subscribe.filters.len()];
        peer.write(Packet::SubAck(SubAck::new(subscribe.pkid, codes))).await.unwrap();
    }
    assert!(matches!(soon(link.next_event()).await, LinkEvent::Up { .. }));
}

#[tokio::test]
async fn acknowledgements_in_another_order_hold_up_nothing() {
    let broker = Broker::start(Pki::Good).await;
    let mut link = Link::start(broker.settings()).unwrap();
    let mut peer = up(&broker, &mut link).await;
    for number in 0..40 {
        link.publish(&format!("topic/{number}"), "x").unwrap();
    }
    let mut waiting: Vec<u16> = Vec::new();
    for number in 0..40 {
        // The newest is acknowledged first, an older one when nothing else comes.
        let publish = soon(next_publish(&mut peer, &mut waiting)).await;
        assert_eq!(publish.topic, format!("topic/{number}"));
        waiting.push(publish.pkid);
        if waiting.len() == 5 {
            acknowledge_newest(&mut peer, &mut waiting).await;
        }
    }
}

#[tokio::test]
async fn no_framed_rubbish_brings_the_link_down_for_good() {
    let broker = Broker::start(Pki::Good).await;
    let mut link = Link::start(broker.settings()).unwrap();
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    let mut byte = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random.to_le_bytes()[4]
    };
    for _ in 0..150 {
        let mut peer = up(&broker, &mut link).await;
        link.publish("in/flight", "x").unwrap();
        let mut rubbish = Vec::new();
        for _ in 0..4 {
            let length = byte() % 12;
            rubbish.extend([byte(), length]);
            // Small numbers are more likely to be identifiers and lengths that fit.
            rubbish.extend((0..length).map(|_| if byte() % 4 == 0 { byte() } else { byte() % 4 }));
        }
        // The link may have closed already, at the first packet of the four.
        peer.write_bytes(&rubbish).await.ok();
        peer.close().await;
        soon(async { while !matches!(link.next_event().await, LinkEvent::Down { .. }) {} }).await;
    }
}

/// The next message; while none comes, what waits is acknowledged.
async fn next_publish(peer: &mut Peer, waiting: &mut Vec<u16>) -> Publish {
    loop {
        match timeout(Duration::from_millis(200), peer.read()).await {
            Ok(Some(Packet::Publish(publish))) => return publish,
            Ok(other) => panic!("no PUBLISH but {other:?}"),
            // A machine that is slow: nothing has come yet, and nothing waits.
            Err(_elapsed) if waiting.is_empty() => {}
            Err(_elapsed) => acknowledge_newest(peer, waiting).await,
        }
    }
}

async fn acknowledge_newest(peer: &mut Peer, waiting: &mut Vec<u16>) {
    let id = waiting.pop().expect("the link owes a message and waits for an acknowledgement");
    peer.write(Packet::PubAck(rumqttc::PubAck::new(id))).await.unwrap();
}

/// What ends the link's attempt or connection when nothing but time passes.
async fn in_quick_time(link: &mut Link) -> LinkError {
    pause();
    let event = timeout(Duration::from_secs(600), link.next_event()).await;
    match event.expect("in ten minutes") {
        LinkEvent::Down { reason, .. } => reason,
        event @ (LinkEvent::Up { .. } | LinkEvent::Message { .. }) => panic!("not down but {event:?}"),
    }
}

/// Lets the link work, and say nothing, until something has come about.
async fn until(link: &mut Link, mut condition: impl FnMut() -> bool) {
    soon(async {
        while !condition() {
            nothing_happens(link).await;
        }
    })
    .await;
}

/// For a moment.
async fn nothing_happens(link: &mut Link) {
    if let Ok(event) = timeout(Duration::from_millis(100), link.next_event()).await {
        panic!("{event:?}");
    }
}
