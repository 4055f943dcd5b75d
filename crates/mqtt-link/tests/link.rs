//! The link against a broker that the test plays by hand, over real TLS.
#![expect(clippy::unwrap_used, reason = "the helpers are part of the tests")]

mod broker;
mod hostile;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use broker::{Broker, Peer, Pki, connack};
use mqtt_link::{Link, LinkError, LinkEvent, MAX_PAYLOAD, NotSent};
use rumqttc::{ConnectReturnCode, Packet, QoS, SubAck, SubscribeReasonCode};
use tokio::time::timeout;

#[tokio::test]
async fn it_connects_with_a_certificate_and_is_up_when_all_is_subscribed() {
    let broker = Broker::start(Pki::Good).await;
    let mut settings = broker.settings();
    settings.filters = (0..17).map(|number| format!("$aws/{number}/+")).collect();
    let mut link = Link::start(settings).unwrap();
    let ((), ()) = soon(async {
        tokio::join!(
            async {
                let mut peer = broker.accept().await;
                let Packet::Connect(connect) = peer.accept_connect().await else { unreachable!() };
                assert_eq!((connect.client_id.as_str(), connect.keep_alive), ("thing-1", 40));
                assert!(connect.clean_session);
                assert_eq!(peer.grant(17).await, [8, 8, 1]);
                peer.read_to_end().await;
            },
            async {
                assert!(!link.is_up());
                assert!(matches!(link.next_event().await, LinkEvent::Up { .. }));
                assert!(link.is_up());
                drop(link);
            }
        )
    })
    .await;
}

#[tokio::test]
async fn it_is_not_up_and_publishes_nothing_before_the_last_answer() {
    let broker = Broker::start(Pki::Good).await;
    let mut link = Link::start(broker.settings()).unwrap();
    assert_eq!(link.publish("a", "b"), Err(NotSent::Down));
    let mut peer = soon(broker.accept()).await;
    soon(peer.accept_connect()).await;
    let subscribe = soon(peer.read_subscribe()).await;
    // A message that overtakes the answer is kept for after the good news.
    peer.send(1, b"early".to_vec()).await.unwrap();
    let granted = vec![SubscribeReasonCode::Success(QoS::AtLeastOnce)];
    peer.write(Packet::SubAck(SubAck::new(subscribe.pkid, granted))).await.unwrap();
    assert!(matches!(soon(link.next_event()).await, LinkEvent::Up { .. }));
    assert_eq!(message(&mut link).await, b"early");
}

/// Defect L1 of the reference client: it came back without its subscriptions.
#[tokio::test]
async fn after_a_cut_it_says_so_connects_and_subscribes_again() {
    let broker = Broker::start(Pki::Good).await;
    let mut link = Link::start(broker.settings()).unwrap();
    for _ in 0..3 {
        let peer = up(&broker, &mut link).await;
        peer.close().await;
        let reason = down(&mut link).await;
        assert!(matches!(reason, LinkError::ClosedByPeer), "{reason}");
        assert_eq!(link.publish("a", "b"), Err(NotSent::Down));
    }
}

/// Defect C3 of the reference client: a subscription that failed ended it.
#[tokio::test]
async fn a_refused_filter_is_named_and_the_connection_is_given_up() {
    let broker = Broker::start(Pki::Good).await;
    let mut link = Link::start(broker.settings()).unwrap();
    let mut peer = soon(broker.accept()).await;
    soon(peer.accept_connect()).await;
    let subscribe = soon(peer.read_subscribe()).await;
    let refused = vec![SubscribeReasonCode::Failure];
    peer.write(Packet::SubAck(SubAck::new(subscribe.pkid, refused))).await.unwrap();
    let reason = down(&mut link).await;
    assert!(
        matches!(&reason, LinkError::SubscriptionRefused { filter } if filter == "some/+/topic"),
        "{reason}"
    );
    soon(peer.read_to_end()).await;
    up(&broker, &mut link).await;
}

#[tokio::test]
async fn a_server_certificate_that_is_wrong_is_told_apart() {
    let reason = handshake(Pki::OtherRoot).await;
    assert!(matches!(reason, LinkError::ServerNotTrusted { .. }), "{reason}");
    let reason = handshake(Pki::OtherName).await;
    assert!(matches!(reason, LinkError::ServerNameMismatch { .. }), "{reason}");
    let reason = handshake(Pki::Expired).await;
    assert!(matches!(reason, LinkError::ServerCertificateExpired { .. }), "{reason}");
    assert!(
        reason.to_string().contains("2001-02-03")
            && reason.to_string().contains("clock")
            && reason.may_be_the_clock(),
        "{reason}"
    );
    let reason = handshake(Pki::NotYetValid).await;
    assert!(matches!(reason, LinkError::ServerCertificateNotYetValid { .. }), "{reason}");
    assert!(reason.to_string().contains("3000-01-01") && reason.may_be_the_clock(), "{reason}");
}

#[tokio::test]
async fn a_client_certificate_that_the_server_refuses_is_told_with_the_alert() {
    let reason = handshake(Pki::ClientRefused).await;
    assert!(matches!(&reason, LinkError::CertificateRefused { alert } if alert == "UnknownCA"), "{reason}");
}

#[tokio::test]
async fn a_close_without_connack_and_a_connack_that_refuses_are_told_apart() {
    let broker = Broker::start(Pki::Good).await;
    let mut link = Link::start(broker.settings()).unwrap();
    let mut peer = soon(broker.accept()).await;
    soon(peer.read()).await.unwrap();
    peer.close().await;
    let reason = down(&mut link).await;
    assert!(matches!(reason, LinkError::ClosedBeforeConnack), "{reason}");

    let mut peer = soon(broker.accept()).await;
    soon(peer.read()).await.unwrap();
    peer.write(connack(ConnectReturnCode::NotAuthorized)).await.unwrap();
    let reason = down(&mut link).await;
    assert!(matches!(reason, LinkError::ConnackRefused { code: 5, .. }), "{reason}");
}

#[tokio::test]
async fn a_port_that_nobody_listens_on_refuses_and_one_without_tls_is_named() {
    let broker = Broker::start(Pki::Good).await;
    let mut link = Link::start(broker.settings()).unwrap();
    let mut plain = soon(broker.tcp()).await;
    tokio::io::AsyncWriteExt::write_all(&mut plain, b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    let reason = down(&mut link).await;
    assert!(matches!(reason, LinkError::Tls { .. }), "{reason}");

    // Held, so that nobody listens there in the meantime.
    let held = tokio::net::TcpSocket::new_v4().unwrap();
    held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let mut settings = broker.settings();
    settings.host = "127.0.0.1".to_owned();
    settings.port = held.local_addr().unwrap().port();
    let reason = down(&mut Link::start(settings).unwrap()).await;
    assert!(matches!(reason, LinkError::Refused { .. }), "{reason}");
}

/// Where a firewall lets only one of the two through, that one is found, and asked first after a cut.
#[tokio::test]
async fn of_two_ports_the_one_that_works_is_found_and_kept() {
    let broker = Broker::start(Pki::Good).await;
    let held = tokio::net::TcpSocket::new_v4().unwrap();
    held.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let mut settings = broker.settings();
    let works = settings.port;
    settings.other_port = Some(works);
    settings.port = held.local_addr().unwrap().port();
    let mut link = Link::start(settings).unwrap();
    let reason = down(&mut link).await;
    assert!(matches!(reason, LinkError::Refused { .. }), "{reason}");
    for _ in 0..2 {
        let (peer, event) = soon(async { tokio::join!(broker.welcome(1), link.next_event()) }).await;
        assert!(matches!(event, LinkEvent::Up { port } if port == works), "{event:?}");
        peer.close().await;
        let reason = down(&mut link).await;
        assert!(matches!(reason, LinkError::ClosedByPeer), "{reason}");
    }
}

#[tokio::test]
async fn a_peer_that_falls_silent_is_noticed_by_the_keep_alive() {
    let broker = Broker::start(Pki::Good).await;
    let mut settings = broker.settings();
    settings.keep_alive = Duration::from_secs(2);
    let mut link = Link::start(settings).unwrap();
    let mut peer = up(&broker, &mut link).await;
    let (reason, ()) = soon(async { tokio::join!(down(&mut link), peer.read_to_end()) }).await;
    assert!(matches!(reason, LinkError::KeepAliveLost), "{reason}");
}

#[tokio::test]
async fn a_peer_that_answers_pings_but_acknowledges_nothing_is_given_up() {
    let broker = Broker::start(Pki::Good).await;
    let mut settings = broker.settings();
    settings.keep_alive = Duration::from_secs(2);
    let mut link = Link::start(settings).unwrap();
    let mut peer = up(&broker, &mut link).await;
    link.publish("a", "b").unwrap();
    let pongs = async {
        while let Some(packet) = peer.read().await {
            if packet == Packet::PingReq && peer.write(Packet::PingResp).await.is_err() {
                break;
            }
        }
    };
    let (reason, ()) = soon(async { tokio::join!(down(&mut link), pongs) }).await;
    assert!(matches!(reason, LinkError::PublishUnacknowledged), "{reason}");
}

#[tokio::test]
async fn a_large_message_arrives_whole_and_is_acknowledged() {
    let broker = Broker::start(Pki::Good).await;
    let mut link = Link::start(broker.settings()).unwrap();
    let mut peer = up(&broker, &mut link).await;
    let payload: Vec<u8> = (0..100 * 1024_u32).map(|number| number.to_le_bytes()[0]).collect();
    let (sent, received) = tokio::join!(peer.send(7, payload.clone()), message(&mut link));
    sent.unwrap();
    assert_eq!(received, payload);
    assert!(matches!(soon(peer.read()).await, Some(Packet::PubAck(ack)) if ack.pkid == 7));
}

#[tokio::test]
async fn a_packet_beyond_the_limit_ends_the_connection_with_its_size() {
    let broker = Broker::start(Pki::Good).await;
    let mut link = Link::start(broker.settings()).unwrap();
    let mut peer = up(&broker, &mut link).await;
    // The length alone is enough; nothing is allocated for it.
    peer.write_bytes(&[0x32, 0xff, 0xff, 0xff, 0x7f]).await.unwrap();
    let reason = down(&mut link).await;
    assert!(matches!(reason, LinkError::PacketTooLarge { size: 268_435_455 }), "{reason}");
}

#[tokio::test]
async fn what_is_published_arrives_in_order_and_what_cannot_be_sent_is_refused() {
    let broker = Broker::start(Pki::Good).await;
    let mut link = Link::start(broker.settings()).unwrap();
    let mut peer = up(&broker, &mut link).await;
    assert_eq!(link.publish("a", vec![0; MAX_PAYLOAD + 1]), Err(NotSent::TooLarge { size: MAX_PAYLOAD + 1 }));
    assert_eq!(link.publish("a/#", "b"), Err(NotSent::InvalidTopic));
    link.publish("first", vec![1; MAX_PAYLOAD]).unwrap();
    for number in 0..30 {
        link.publish(&format!("topic/{number}"), "x").unwrap();
    }
    assert_eq!(soon(peer.read_publish()).await.payload.len(), MAX_PAYLOAD);
    for number in 0..30 {
        let publish = soon(peer.read_publish()).await;
        assert_eq!((publish.topic, publish.qos), (format!("topic/{number}"), QoS::AtLeastOnce));
    }
}

#[tokio::test]
async fn the_queue_of_what_is_to_be_sent_is_bounded_and_has_room_again_when_it_is_written() {
    let broker = Broker::start(Pki::Good).await;
    let mut settings = broker.settings();
    settings.outgoing_queue = 3;
    let mut link = Link::start(settings).unwrap();
    let mut peer = up(&broker, &mut link).await;
    for _ in 0..3 {
        link.publish("a", "b").unwrap();
    }
    assert_eq!(link.publish("a", "b"), Err(NotSent::QueueFull));
    for _ in 0..3 {
        soon(peer.read_publish()).await;
    }
    link.publish("a", "b").unwrap();
    soon(peer.read_publish()).await;
}

#[tokio::test]
async fn a_flood_that_nobody_takes_stops_the_sender_and_loses_nothing() {
    const MESSAGES: usize = 1000;
    let broker = Broker::start(Pki::Good).await;
    let mut link = Link::start(broker.settings()).unwrap();
    let mut peer = up(&broker, &mut link).await;
    let written = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&written);
    let flood = tokio::spawn(async move {
        for number in 0..MESSAGES {
            let mut payload = vec![0; 100 * 1024];
            payload[..8].copy_from_slice(&number.to_le_bytes());
            peer.send(1, payload).await.unwrap();
            counter.fetch_add(1, Ordering::Relaxed);
        }
        peer
    });
    // A machine that is too slow to stall here passes without proof; none fails without cause.
    let mut before = usize::MAX;
    while before != written.load(Ordering::Relaxed) {
        before = written.load(Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert!(before < MESSAGES, "all of it went somewhere");
    for number in 0..MESSAGES {
        assert_eq!(message(&mut link).await[..8], number.to_le_bytes());
    }
    drop(soon(flood).await.unwrap());
}

#[tokio::test]
async fn closing_sends_what_waits_and_a_disconnect() {
    let broker = Broker::start(Pki::Good).await;
    let mut link = Link::start(broker.settings()).unwrap();
    let mut peer = up(&broker, &mut link).await;
    link.publish("last", "words").unwrap();
    let told = async {
        assert_eq!(peer.read_publish().await.topic, "last");
        assert_eq!(peer.read().await, Some(Packet::Disconnect));
        peer.close().await;
    };
    soon(async { tokio::join!(link.close(), told) }).await;
}

/// Defect L10 of the reference client: it could not be stopped before its first connection.
#[tokio::test]
async fn closing_ends_even_if_the_queue_is_full_or_there_is_no_connection() {
    let broker = Broker::start(Pki::Good).await;
    let mut link = Link::start(broker.settings()).unwrap();
    let mut peer = up(&broker, &mut link).await;
    let flood = tokio::spawn(async move { while peer.send(1, vec![0; 1000]).await.is_ok() {} });
    message(&mut link).await;
    soon(link.close()).await;
    soon(flood).await.unwrap();
    soon(Link::start(broker.settings()).unwrap().close()).await;
}

#[tokio::test]
async fn being_asked_to_try_now_ends_the_wait() {
    let broker = Broker::start(Pki::Good).await;
    let mut settings = broker.settings();
    settings.backoff = Broker::for_ever();
    let mut link = Link::start(settings).unwrap();
    drop(soon(broker.tcp()).await);
    down(&mut link).await;
    link.try_now();
    up(&broker, &mut link).await;
}

#[tokio::test]
async fn no_bytes_of_a_broker_bring_the_link_down_for_good() {
    let rubbish: [&[u8]; 16] = [
        b"HTTP/1.1 200 OK\r\n\r\n",
        &[0x00, 0x00],
        &[0xf0, 0x00],
        &[0x20, 0x02, 0x00, 0x00],
        &[0x10, 0x02, 0x00, 0x00],
        &[0xe0, 0x00],
        &[0x30, 0x00],
        &[0x30, 0x02, 0x00, 0x09],
        &[0x32, 0x03, 0x00, 0x01, b'a'],
        &[0x32, 0x05, 0x00, 0x01, b'a', 0, 0],
        &[0x36, 0x05, 0x00, 0x01, b'a', 0, 1],
        &[0x40, 0x02, 0xff, 0xff],
        &[0x50, 0x02, 0x00, 0x09],
        &[0x62, 0x02, 0xff, 0xff],
        &[0x70, 0x02, 0x00, 0x00],
        &[0x30, 0xff, 0xff, 0xff, 0xff, 0xff],
    ];
    let broker = Broker::start(Pki::Good).await;
    let mut link = Link::start(broker.settings()).unwrap();
    for bytes in rubbish {
        let mut peer = up(&broker, &mut link).await;
        peer.write_bytes(bytes).await.unwrap();
        peer.close().await;
        down(&mut link).await;
        // And the same in the place of the CONNACK.
        let mut peer = soon(broker.accept()).await;
        peer.write_bytes(bytes).await.unwrap();
        peer.close().await;
        fails(&mut link, bytes).await;
    }
}

#[tokio::test]
async fn odd_answers_to_subscriptions_are_an_error() {
    let answers: [&[u8]; 4] = [
        &[0x90, 0x03, 0x00, 0x63, 0x01],
        &[0x90, 0x04, 0x00, 0x01, 0x01, 0x01],
        &[0x90, 0x02, 0x00, 0x01],
        &[0x90, 0x03, 0x00, 0x01, 0x03],
    ];
    let broker = Broker::start(Pki::Good).await;
    let mut link = Link::start(broker.settings()).unwrap();
    for bytes in answers {
        let mut peer = soon(broker.accept()).await;
        soon(peer.accept_connect()).await;
        soon(peer.read_subscribe()).await;
        peer.write_bytes(bytes).await.unwrap();
        let reason = down(&mut link).await;
        assert!(matches!(reason, LinkError::Protocol { .. }), "{bytes:x?}: {reason}");
    }
}

/// The rubbish that happens to be a CONNACK is followed by a close; all else is a failed attempt too.
async fn fails(link: &mut Link, bytes: &[u8]) {
    let event = soon(link.next_event()).await;
    assert!(matches!(event, LinkEvent::Down { .. }), "{bytes:x?}: {event:?}");
}

/// What a link says whose handshake fails.
async fn handshake(pki: Pki) -> LinkError {
    let broker = Broker::start(pki).await;
    let mut settings = broker.settings();
    settings.backoff = Broker::for_ever();
    let mut link = Link::start(settings).unwrap();
    let served = tokio::spawn(async move { broker.accept_in_vain().await });
    let reason = down(&mut link).await;
    soon(served).await.unwrap();
    reason
}

async fn up(broker: &Broker, link: &mut Link) -> Peer {
    let (peer, event) = soon(async { tokio::join!(broker.welcome(1), link.next_event()) }).await;
    assert!(matches!(event, LinkEvent::Up { .. }), "{event:?}");
    peer
}

async fn down(link: &mut Link) -> LinkError {
    match soon(link.next_event()).await {
        LinkEvent::Down { reason, .. } => reason,
        event @ (LinkEvent::Up { .. } | LinkEvent::Message { .. }) => panic!("not down but {event:?}"),
    }
}

async fn message(link: &mut Link) -> Vec<u8> {
    match soon(link.next_event()).await {
        LinkEvent::Message { payload, .. } => payload,
        event @ (LinkEvent::Up { .. } | LinkEvent::Down { .. }) => panic!("no message but {event:?}"),
    }
}

/// Everything here happens at once; the limit is for a machine that is busy with other things.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(60), future).await.expect("within a minute")
}
