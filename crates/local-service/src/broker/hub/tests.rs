//! The broker's rules, without a socket.

use super::*;
use crate::broker::packet::{MAX_PAYLOAD, Qos, Subscribe, Unsubscribe};

const NOW: Millis = Millis(1_700_000_000_000);
const T: &str = "$aws/things/t1/jobs";

#[test]
fn a_client_is_closed_when_it_is_silent_for_more_than_one_and_a_half_keep_alives() {
    for (asked, silence) in [(10, 45_000), (60, 90_000), (0, 1_800_000)] {
        let mut desk = Desk::default();
        let (client, _) = desk.connect(Connect { keep_alive: asked, ..connect("c", Version::V5) });
        let after = |span: u64| NOW.plus(Millis(span));
        assert_eq!(desk.hub.on_tick(after(silence)), [], "keep-alive {asked}");
        let _ = desk.hub.on_packet(client, Received::PingReq, after(20_000));
        assert_eq!(desk.hub.on_tick(after(20_000 + silence)), []);
        assert_eq!(desk.hub.on_tick(after(20_001 + silence)), closed(client, Reason::KeepAliveTimeout));
    }
}

#[test]
fn a_message_reaches_every_subscriber_at_the_lower_qos() {
    let mut desk = Desk::default();
    let publisher = desk.client("p", Version::V311);
    let one = desk.client("one", Version::V311);
    let zero = desk.client("zero", Version::V5);
    desk.subscribe(one, "a/+", Qos::AtLeastOnce);
    desk.subscribe(zero, "a/b", Qos::AtMostOnce);
    let effects = desk.publish(publisher, "a/b", Qos::AtLeastOnce);
    assert_eq!(effects[0], puback(publisher, Reason::Success));
    assert_eq!(
        delivered(&effects),
        [(one, "a/b".into(), Qos::AtLeastOnce), (zero, "a/b".into(), Qos::AtMostOnce)]
    );
    let effects = desk.publish(publisher, "a/b", Qos::AtMostOnce);
    assert_eq!(delivered(&effects).len(), 2);
    assert!(delivered(&effects).iter().all(|(_, _, qos)| *qos == Qos::AtMostOnce));
}

#[test]
fn a_jobs_request_goes_to_the_service_and_to_no_subscriber() {
    let mut desk = Desk::default();
    let device = desk.client("t1", Version::V311);
    let spy = desk.client("spy", Version::V311);
    desk.subscribe(spy, &format!("{T}/#"), Qos::AtLeastOnce);
    let topic = format!("{T}/get");
    let effects = desk.publish(device, &topic, Qos::AtLeastOnce);
    let payload = Bytes::from_static(b"{}");
    assert_eq!(
        effects,
        [puback(device, Reason::Success), Effect::Jobs { connection: device, topic, payload }]
    );
}

#[test]
fn a_reply_goes_to_the_asker_alone_subscribed_or_not() {
    let mut desk = Desk::default();
    let device = desk.client("t1", Version::V311);
    let spy = desk.client("spy", Version::V311);
    desk.subscribe(spy, &format!("{T}/#"), Qos::AtLeastOnce);
    let topic = format!("{T}/get/accepted");
    let unsubscribed = desk.hub.reply(device, &topic, Bytes::new(), NOW);
    assert_eq!(delivered(&unsubscribed), [(device, topic.clone(), Qos::AtMostOnce)]);
    desk.subscribe(device, &format!("{T}/get/+"), Qos::AtLeastOnce);
    desk.subscribe(device, &format!("{T}/#"), Qos::AtMostOnce);
    let subscribed = desk.hub.reply(device, &topic, Bytes::new(), NOW);
    assert_eq!(delivered(&subscribed), [(device, topic.clone(), Qos::AtLeastOnce)]);
    let _ = desk.hub.on_gone(device, NOW);
    assert!(desk.hub.reply(device, &topic, Bytes::new(), NOW).is_empty(), "nobody is there to be answered");
}

#[test]
fn a_notification_goes_to_all_subscribers_at_qos_1() {
    let mut desk = Desk::default();
    let device = desk.client("t1", Version::V311);
    let other = desk.client("other", Version::V5);
    let topic = format!("{T}/notify");
    desk.subscribe(device, &topic, Qos::AtLeastOnce);
    desk.subscribe(other, "$aws/things/+/jobs/#", Qos::AtMostOnce);
    let effects = desk.hub.publish(&topic, Bytes::new(), NOW);
    assert_eq!(
        delivered(&effects),
        [(other, topic.clone(), Qos::AtMostOnce), (device, topic, Qos::AtLeastOnce)]
    );
}

#[test]
fn publishing_to_a_reply_topic_closes_3_1_1_and_is_refused_to_5() {
    let topic = format!("{T}/get/accepted");
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce] {
        let mut desk = Desk::default();
        let old = desk.client("old", Version::V311);
        assert!(desk.publish(old, &topic, qos).contains(&Effect::Close(old)));
    }
    let mut desk = Desk::default();
    let new = desk.client("new", Version::V5);
    assert_eq!(desk.publish(new, &topic, Qos::AtLeastOnce), [puback(new, Reason::TopicNameInvalid)]);
    assert_eq!(desk.publish(new, &topic, Qos::AtMostOnce), closed(new, Reason::TopicNameInvalid));
}

#[test]
fn a_request_with_the_retain_flag_is_refused() {
    let mut desk = Desk::default();
    let device = desk.client("t1", Version::V5);
    let request = Publish { retain: true, ..message(&format!("{T}/get"), Qos::AtLeastOnce) };
    let effects = desk.hub.on_packet(device, Received::Publish(request), NOW);
    assert_eq!(effects, [puback(device, Reason::TopicNameInvalid)]);
}

#[test]
fn a_second_connection_with_the_client_id_takes_over() {
    for version in [Version::V311, Version::V5] {
        let mut desk = Desk::default();
        let first = desk.client("same", version);
        let (second, effects) = desk.connect(connect("same", version));
        assert_eq!(effects[..2], closed(first, Reason::SessionTakenOver));
        assert!(matches!(&effects[2], Effect::Send(to, Sent::ConnAck(_)) if *to == second));
        // The end of the first connection is noticed late and does not hurt the second.
        assert!(desk.hub.on_gone(first, NOW).is_empty());
        desk.subscribe(second, "a", Qos::AtMostOnce);
        assert_eq!(delivered(&desk.publish(second, "a", Qos::AtMostOnce)).len(), 1);
    }
}

#[test]
fn a_persistent_session_keeps_subscriptions_and_qos_1_messages() {
    for version in [Version::V311, Version::V5] {
        let mut desk = Desk::default();
        let persistent = || Connect {
            clean: false,
            session_expiry: (version == Version::V5).then_some(600),
            ..connect("dev", version)
        };
        let (first, effects) = desk.connect(persistent());
        assert!(!session_present(&effects));
        desk.subscribe(first, "a/#", Qos::AtLeastOnce);
        let _ = desk.hub.on_gone(first, NOW);
        assert!(desk.hub.publish("a/1", Bytes::new(), NOW).is_empty());
        let publisher = desk.client("p", version);
        desk.publish(publisher, "a/0", Qos::AtMostOnce);
        let (second, effects) = desk.connect(persistent());
        assert!(session_present(&effects));
        assert_eq!(delivered(&effects), [(second, "a/1".into(), Qos::AtLeastOnce)]);
    }
}

#[test]
fn a_clean_connection_finds_and_leaves_nothing() {
    let mut desk = Desk::default();
    let (first, _) = desk.connect(Connect { clean: false, ..connect("dev", Version::V311) });
    desk.subscribe(first, "a", Qos::AtLeastOnce);
    let _ = desk.hub.on_gone(first, NOW);
    let (second, effects) = desk.connect(connect("dev", Version::V311));
    assert!(!session_present(&effects));
    assert!(desk.hub.publish("a", Bytes::new(), NOW).is_empty());
    desk.subscribe(second, "a", Qos::AtLeastOnce);
    let _ = desk.hub.on_gone(second, NOW);
    let (_, effects) = desk.connect(Connect { clean: false, ..connect("dev", Version::V311) });
    assert!(!session_present(&effects));
}

#[test]
fn a_session_is_not_carried_from_one_version_to_the_other() {
    let mut desk = Desk::default();
    let (first, _) = desk.connect(Connect { clean: false, ..connect("dev", Version::V311) });
    let _ = desk.hub.on_gone(first, NOW);
    let newer = Connect { clean: false, session_expiry: Some(60), ..connect("dev", Version::V5) };
    assert!(!session_present(&desk.connect(newer).1));
}

#[test]
fn a_session_ends_when_its_time_is_over() {
    let mut desk = Desk::default();
    let kept = || Connect { clean: false, session_expiry: Some(60), ..connect("dev", Version::V5) };
    let (first, _) = desk.connect(kept());
    let _ = desk.hub.on_gone(first, NOW);
    let _ = desk.hub.on_tick(NOW.plus(Millis(59_999)));
    let (second, effects) = desk.connect(kept());
    assert!(session_present(&effects));
    let _ = desk.hub.on_gone(second, NOW);
    let _ = desk.hub.on_tick(NOW.plus(Millis(60_000)));
    assert!(!session_present(&desk.connect(kept()).1));
}

#[test]
fn an_mqtt_5_session_life_beyond_the_maximum_is_lowered_and_said_so() {
    let mut desk = Desk::default();
    let asked = Connect { session_expiry: Some(u32::MAX), ..connect("dev", Version::V5) };
    let (_, effects) = desk.connect(asked);
    let Effect::Send(_, Sent::ConnAck(answer)) = &effects[0] else { panic!() };
    assert_eq!(answer.session_expiry, Some(3600));
}

#[test]
fn keep_alive_is_held_between_30_and_1200_seconds() {
    for (asked, given) in [(0, 1200), (1, 30), (30, 30), (1200, 1200), (1201, 1200)] {
        assert_eq!(keep_alive(asked), given);
    }
}

#[test]
fn qos_2_is_not_answered_in_3_1_1() {
    let mut desk = Desk::default();
    let client = desk.client("c", Version::V311);
    assert!(desk.publish(client, "a", Qos::ExactlyOnce).is_empty());
    assert!(desk.subscribe(client, "a", Qos::ExactlyOnce).is_empty());
    assert!(delivered(&desk.publish(client, "a", Qos::AtMostOnce)).is_empty());
}

#[test]
fn qos_2_is_a_fault_in_5_and_a_subscription_is_granted_1() {
    let mut desk = Desk::default();
    let client = desk.client("c", Version::V5);
    let effects = desk.subscribe(client, "a", Qos::ExactlyOnce);
    assert_eq!(effects, [suback(client, vec![Ok(Qos::AtLeastOnce)])]);
    assert_eq!(desk.publish(client, "a", Qos::ExactlyOnce), closed(client, Reason::QosNotSupported));
}

#[test]
fn a_filter_outside_the_client_families_closes_3_1_1_and_is_refused_to_5() {
    for filter in ["$aws/#", "$foo/x", "a/#/b", ""] {
        let mut desk = Desk::default();
        let old = desk.client("old", Version::V311);
        assert_eq!(desk.subscribe(old, filter, Qos::AtMostOnce), closed(old, Reason::TopicFilterInvalid));
        let new = desk.client("new", Version::V5);
        let effects = desk.subscribe(new, filter, Qos::AtMostOnce);
        assert_eq!(effects, [suback(new, vec![Err(Reason::TopicFilterInvalid)])]);
    }
}

#[test]
fn nine_filters_in_a_packet_are_refused() {
    let filters: Vec<(String, Qos)> = (0..9).map(|n| (format!("a/{n}"), Qos::AtMostOnce)).collect();
    let packet =
        || Received::Subscribe(Subscribe { packet_id: 7, filters: filters.clone(), identified: false });
    let mut desk = Desk::default();
    let old = desk.client("old", Version::V311);
    assert!(desk.hub.on_packet(old, packet(), NOW).contains(&Effect::Close(old)));
    let new = desk.client("new", Version::V5);
    let effects = desk.hub.on_packet(new, packet(), NOW);
    assert_eq!(effects, [suback(new, vec![Err(Reason::QuotaExceeded); 9])]);
}

#[test]
fn a_client_has_at_most_50_subscriptions() {
    let mut desk = Desk::default();
    let client = desk.client("c", Version::V5);
    for n in 0..50 {
        desk.subscribe(client, &format!("a/{n}"), Qos::AtMostOnce);
    }
    let refused = suback(client, vec![Err(Reason::QuotaExceeded)]);
    assert_eq!(desk.subscribe(client, "a/50", Qos::AtMostOnce), [refused]);
    let again = suback(client, vec![Ok(Qos::AtLeastOnce)]);
    assert_eq!(desk.subscribe(client, "a/49", Qos::AtLeastOnce), [again]);
}

#[test]
fn a_payload_over_128_kb_ends_the_connection() {
    let mut desk = Desk::default();
    let client = desk.client("c", Version::V5);
    let exact = Publish { payload: vec![0; MAX_PAYLOAD].into(), ..message("a", Qos::AtMostOnce) };
    assert!(desk.hub.on_packet(client, Received::Publish(exact.clone()), NOW).is_empty());
    let larger = Publish { payload: vec![0; MAX_PAYLOAD + 1].into(), ..exact };
    let effects = desk.hub.on_packet(client, Received::Publish(larger), NOW);
    assert_eq!(effects, closed(client, Reason::PacketTooLarge));
}

#[test]
fn a_client_id_is_1_to_128_bytes_and_does_not_begin_with_a_dollar() {
    let mut desk = Desk::default();
    for id in ["$x", &"x".repeat(129)] {
        for version in [Version::V311, Version::V5] {
            let (client, effects) = desk.connect(connect(id, version));
            assert!(effects.contains(&Effect::Close(client)), "{id}");
        }
    }
    let (client, effects) = desk.connect(connect("", Version::V311));
    assert!(effects.contains(&Effect::Close(client)));
    let (_, effects) = desk.connect(connect("", Version::V5));
    let Effect::Send(_, Sent::ConnAck(answer)) = &effects[0] else { panic!() };
    let first = answer.assigned_client_id.clone();
    assert!(first.is_some());
    // After a restart, connections are counted anew.
    let later = NOW.plus(Millis(1));
    let effects =
        Hub::default().on_packet(ConnectionId(6), Received::Connect(connect("", Version::V5)), later);
    let Effect::Send(_, Sent::ConnAck(answer)) = &effects[0] else { panic!() };
    assert_ne!(answer.assigned_client_id, first);
}

#[test]
fn a_will_is_published_when_the_client_goes_without_a_word() {
    for (goodbye, published) in [(true, 0), (false, 1)] {
        let mut desk = Desk::default();
        let watcher = desk.client("w", Version::V311);
        desk.subscribe(watcher, "gone", Qos::AtLeastOnce);
        let will = Some(message("gone", Qos::AtMostOnce));
        let (client, _) = desk.connect(Connect { will, ..connect("c", Version::V311) });
        let mut effects = Vec::new();
        if goodbye {
            let packet = Received::Disconnect(Disconnect { with_will: false, session_expiry: None });
            effects.extend(desk.hub.on_packet(client, packet, NOW));
        }
        effects.extend(desk.hub.on_gone(client, NOW));
        assert_eq!(delivered(&effects).len(), published);
    }
}

#[test]
fn a_will_that_cannot_be_published_is_not_accepted() {
    for (version, topic, qos, reason) in [
        (Version::V311, "gone", Qos::ExactlyOnce, Reason::QosNotSupported),
        (Version::V5, "gone", Qos::ExactlyOnce, Reason::QosNotSupported),
        (Version::V311, "gone/+", Qos::AtLeastOnce, Reason::TopicNameInvalid),
        (Version::V5, "gone/+", Qos::AtLeastOnce, Reason::TopicNameInvalid),
    ] {
        let mut desk = Desk::default();
        let (client, effects) =
            desk.connect(Connect { will: Some(message(topic, qos)), ..connect("c", version) });
        let told = effects.iter().any(
            |effect| matches!(effect, Effect::Send(_, Sent::ConnAck(answer)) if answer.reason == reason),
        );
        assert_eq!(told, version == Version::V5);
        assert_eq!(effects.last(), Some(&Effect::Close(client)));
    }
}

#[test]
fn a_retained_will_greets_later_subscribers() {
    let mut desk = Desk::default();
    let will = Some(Publish { retain: true, ..message("gone", Qos::AtLeastOnce) });
    let (client, _) = desk.connect(Connect { will, ..connect("c", Version::V311) });
    let _ = desk.hub.on_gone(client, NOW);
    let late = desk.client("late", Version::V5);
    assert_eq!(delivered(&desk.subscribe(late, "gone", Qos::AtLeastOnce)).len(), 1);
}

#[test]
fn a_retained_message_greets_later_subscribers_of_the_exact_topic() {
    let mut desk = Desk::default();
    let client = desk.client("c", Version::V311);
    let retained = Publish { retain: true, ..message("a/b", Qos::AtLeastOnce) };
    let _ = desk.hub.on_packet(client, Received::Publish(retained.clone()), NOW);
    let effects = desk.subscribe(client, "a/b", Qos::AtMostOnce);
    let Effect::Send(_, Sent::Publish(greeting)) = &effects[1] else { panic!() };
    assert!(greeting.retain);
    assert_eq!(desk.subscribe(client, "a/+", Qos::AtMostOnce).len(), 1, "not for wildcards");
    let erased = Publish { payload: Bytes::new(), ..retained };
    let _ = desk.hub.on_packet(client, Received::Publish(erased), NOW);
    assert_eq!(desk.subscribe(client, "a/b", Qos::AtMostOnce).len(), 1);
}

#[test]
fn what_is_larger_than_the_client_takes_is_not_sent() {
    let mut desk = Desk::default();
    let small = Connect { maximum_packet: 600, ..connect("c", Version::V5) };
    let (client, _) = desk.connect(small);
    desk.subscribe(client, "a", Qos::AtMostOnce);
    assert_eq!(delivered(&desk.hub.publish("a", vec![0; 500].into(), NOW)).len(), 1);
    assert!(desk.hub.publish("a", vec![0; 700].into(), NOW).is_empty());
}

#[test]
fn an_unsubscribed_filter_gets_nothing_and_is_answered() {
    let mut desk = Desk::default();
    let client = desk.client("c", Version::V5);
    desk.subscribe(client, "a", Qos::AtMostOnce);
    let packet = Received::Unsubscribe(Unsubscribe { packet_id: 3, filters: vec!["a".into(), "b".into()] });
    let effects = desk.hub.on_packet(client, packet, NOW);
    assert_eq!(effects, [Effect::Send(client, Sent::UnsubAck { packet_id: 3, found: vec![true, false] })]);
    assert!(delivered(&desk.publish(client, "a", Qos::AtMostOnce)).is_empty());
}

#[test]
fn coming_and_going_are_told_to_who_watches() {
    let mut desk = Desk::default();
    let watcher = desk.client("w", Version::V5);
    desk.subscribe(watcher, "$aws/events/presence/+/c", Qos::AtLeastOnce);
    let told = |effects: &[Effect]| -> Vec<(String, u64, String)> {
        let heard = effects.iter().filter_map(|effect| match effect {
            Effect::Send(_, Sent::Publish(publish)) => {
                serde_json::from_slice::<serde_json::Value>(&publish.payload).ok()
            }
            Effect::Send(..) | Effect::Close(_) | Effect::Jobs { .. } => None,
        });
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        heard
            .map(|event| {
                assert_eq!(event["clientId"], "c");
                let number = event["versionNumber"].as_u64().unwrap();
                (text(&event["eventType"]), number, text(&event["disconnectReason"]))
            })
            .collect()
    };
    let came = |number| ("connected".to_owned(), number, String::new());
    let went = |number, why: &str| ("disconnected".to_owned(), number, why.to_owned());
    let (first, effects) = desk.connect(connect("c", Version::V5));
    assert_eq!(told(&effects), [came(0)]);
    let (second, effects) = desk.connect(connect("c", Version::V311));
    assert_eq!(told(&effects), [went(0, "DUPLICATE_CLIENTID"), came(2)]);
    assert_eq!(told(&desk.hub.on_gone(first, NOW)), []);
    let goodbye = Received::Disconnect(Disconnect { with_will: false, session_expiry: None });
    let effects = desk.hub.on_packet(second, goodbye, NOW);
    assert_eq!(told(&effects), [went(2, "CLIENT_INITIATED_DISCONNECT")]);
    let (third, effects) = desk.connect(connect("c", Version::V5));
    assert_eq!(told(&effects), [came(4)]);
    assert_eq!(told(&desk.hub.on_gone(third, NOW)), [went(4, "CONNECTION_LOST")]);
    // After an hour they are counted anew.
    let later = NOW.plus(Millis(3_600_000));
    desk.hub.all_heard(later);
    let _ = desk.hub.on_tick(later);
    assert_eq!(told(&desk.connect(connect("c", Version::V5)).1), [came(0)]);
}

#[test]
fn each_message_goes_to_one_of_a_group_and_to_those_who_are_there_first() {
    let mut desk = Desk::default();
    let lasting = |id| Connect { clean: false, ..connect(id, Version::V311) };
    let (first, _) = desk.connect(lasting("a"));
    let second = desk.client("b", Version::V5);
    for member in [first, second] {
        desk.subscribe(member, "$share/g/t/+", Qos::AtLeastOnce);
    }
    let hear = |hub: &mut Hub| delivered(&hub.publish("t/1", Bytes::new(), NOW));
    let to = |member| vec![(member, "t/1".to_owned(), Qos::AtLeastOnce)];
    assert_eq!(hear(&mut desk.hub), to(first));
    assert_eq!(hear(&mut desk.hub), to(second));
    let _ = desk.hub.on_gone(first, NOW);
    assert_eq!(hear(&mut desk.hub), to(second));
    let _ = desk.hub.on_gone(second, NOW);
    assert_eq!(hear(&mut desk.hub), [], "kept for the one whose session lasts");
    assert_eq!(delivered(&desk.connect(lasting("a")).1).len(), 1);
}

#[test]
fn a_topic_alias_stands_for_its_topic_on_its_connection() {
    let mut desk = Desk::default();
    let client = desk.client("c", Version::V5);
    desk.subscribe(client, "a/#", Qos::AtMostOnce);
    let say = |desk: &mut Desk, topic: &str, alias| {
        let publish = Publish { alias: Some(alias), ..message(topic, Qos::AtMostOnce) };
        desk.hub.on_packet(client, Received::Publish(publish), NOW)
    };
    for (topic, heard) in [("a/1", "a/1"), ("", "a/1"), ("a/2", "a/2"), ("", "a/2")] {
        let effects = say(&mut desk, topic, 8);
        assert_eq!(delivered(&effects), [(client, heard.to_owned(), Qos::AtMostOnce)]);
    }
    let (other, _) = desk.connect(connect("d", Version::V5));
    for (connection, topic, alias, reason) in
        [(other, "", 8, Reason::ProtocolError), (client, "a/3", 9, Reason::TopicAliasInvalid)]
    {
        let publish = Publish { alias: Some(alias), ..message(topic, Qos::AtMostOnce) };
        let effects = desk.hub.on_packet(connection, Received::Publish(publish), NOW);
        assert_eq!(effects, closed(connection, reason));
    }
    let client = desk.client("c", Version::V5);
    let publish = Publish { alias: Some(0), ..message("a", Qos::AtMostOnce) };
    let effects = desk.hub.on_packet(client, Received::Publish(publish), NOW);
    assert_eq!(effects, closed(client, Reason::TopicAliasInvalid));
}

#[test]
fn a_second_connect_on_a_connection_is_a_fault() {
    let mut desk = Desk::default();
    let client = desk.client("c", Version::V5);
    let effects = desk.hub.on_packet(client, Received::Connect(connect("d", Version::V5)), NOW);
    assert_eq!(effects, closed(client, Reason::ProtocolError));
}

/// A hub, and the connections to it.
#[derive(Default)]
struct Desk {
    hub: Hub,
    connections: u64,
}

impl Desk {
    fn connect(&mut self, connect: Connect) -> (ConnectionId, Vec<Effect>) {
        self.connections += 1;
        let connection = ConnectionId(self.connections);
        (connection, self.hub.on_packet(connection, Received::Connect(connect), NOW))
    }

    fn client(&mut self, id: &str, version: Version) -> ConnectionId {
        self.connect(connect(id, version)).0
    }

    fn subscribe(&mut self, client: ConnectionId, filter: &str, qos: Qos) -> Vec<Effect> {
        let filters = vec![(filter.to_owned(), qos)];
        let packet = Subscribe { packet_id: 7, filters, identified: false };
        self.hub.on_packet(client, Received::Subscribe(packet), NOW)
    }

    fn publish(&mut self, client: ConnectionId, topic: &str, qos: Qos) -> Vec<Effect> {
        self.hub.on_packet(client, Received::Publish(message(topic, qos)), NOW)
    }
}

fn connect(id: &str, version: Version) -> Connect {
    Connect {
        version,
        client_id: id.into(),
        clean: true,
        keep_alive: 60,
        session_expiry: None,
        receive_maximum: u16::MAX,
        maximum_packet: u32::MAX,
        will: None,
    }
}

fn message(topic: &str, qos: Qos) -> Publish {
    Publish {
        topic: topic.into(),
        payload: Bytes::from_static(b"{}"),
        qos,
        retain: false,
        packet_id: if qos == Qos::AtMostOnce { 0 } else { 5 },
        properties: Bytes::new(),
        expiry: None,
        alias: None,
    }
}

fn puback(to: ConnectionId, reason: Reason) -> Effect {
    Effect::Send(to, Sent::PubAck { packet_id: 5, reason })
}

fn suback(to: ConnectionId, grants: Vec<Result<Qos, Reason>>) -> Effect {
    Effect::Send(to, Sent::SubAck { packet_id: 7, grants })
}

fn closed(client: ConnectionId, reason: Reason) -> [Effect; 2] {
    [Effect::Send(client, Sent::Disconnect(reason)), Effect::Close(client)]
}

fn session_present(effects: &[Effect]) -> bool {
    effects
        .iter()
        .any(|effect| matches!(effect, Effect::Send(_, Sent::ConnAck(answer)) if answer.session_present))
}

fn delivered(effects: &[Effect]) -> Vec<(ConnectionId, String, Qos)> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Send(to, Sent::Publish(publish)) => Some((*to, publish.topic.clone(), publish.qos)),
            Effect::Send(..) | Effect::Close(_) | Effect::Jobs { .. } => None,
        })
        .collect()
}
