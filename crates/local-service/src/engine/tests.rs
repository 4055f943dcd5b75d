//! The engine without sockets: what it sends, to whom and in which order.

use serde_json::value::RawValue;
use service_core::{Holder, S3Object};

use super::*;
use crate::broker::outlet::{MAX_WAITING, Outgoing, outlet};
use crate::broker::packet::{Publish, Qos, Subscribe, Version};
use crate::jobs::{ControlAnswer, DeviceAnswer};

const DEVICE: ConnectionId = ConnectionId(1);
const T: &str = "$aws/things/t1/jobs";

#[test]
fn the_acknowledgement_comes_first_then_the_reply_then_what_all_hear() {
    let mut desk = Desk::new(MAX_WAITING);
    desk.receive(Received::Subscribe(Subscribe {
        packet_id: 1,
        filters: vec![(format!("{T}/#"), Qos::AtLeastOnce)],
        identified: false,
    }));
    desk.receive(request());
    let mut order = Vec::new();
    while let Some(packet) = desk.out.try_recv() {
        order.push(if let Sent::Publish(publish) = packet {
            publish.topic
        } else {
            format!("{packet:?}").chars().take(6).collect()
        });
    }
    let topics = ["get/accepted", "notify", "notify-next"].map(|end| format!("{T}/{end}"));
    assert_eq!(order[..3], ["ConnAc", "SubAck", "PubAck"]);
    assert_eq!(order[3..], topics);
}

#[test]
fn a_connection_that_takes_nothing_is_cut() {
    let mut desk = Desk::new(300);
    assert_eq!(desk.cut.try_recv(), Err(oneshot::error::TryRecvError::Empty));
    desk.receive(request());
    assert_eq!(desk.cut.try_recv(), Ok(()), "CONNACK and PUBACK have filled its queue");
    desk.receive(request());
    assert!(desk.engine.peers.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_services_deadline_is_kept_and_its_messages_go_out() {
    let mut desk = Desk::new(MAX_WAITING);
    desk.receive(Received::Subscribe(Subscribe {
        packet_id: 1,
        filters: vec![("timed/out".into(), Qos::AtMostOnce)],
        identified: false,
    }));
    desk.engine.jobs.due = Some(Millis::now());
    let Desk { engine, events, mut out, .. } = desk;
    let run = tokio::spawn(engine.run());
    loop {
        if let Some(Sent::Publish(publish)) = out.recv().await {
            assert_eq!(publish.topic, "timed/out");
            break;
        }
    }
    events.send(Event::Stop).await.unwrap();
    run.await.unwrap().unwrap();
}

#[test]
fn nothing_is_answered_before_it_is_saved_and_nothing_that_cannot_be_saved() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let mut desk = Desk::with(MAX_WAITING, Some(crate::store::Store::open(&data).unwrap().store));
    let call = |desk: &mut Desk| {
        let (answer, outcome) = oneshot::channel();
        let (plane, operation, params) = (Plane::Control, "CreateThing".to_owned(), json!({}));
        desk.engine.on_event(Event::Call { plane, operation, params, answer }, Millis::now());
        outcome
    };
    let mut saved = call(&mut desk);
    assert!(saved.try_recv().is_err(), "not before it is saved");
    desk.engine.flush().unwrap();
    assert_eq!(saved.try_recv().unwrap(), Ok(json!({})));

    // The next entry needs a new file, and there is no directory for it any more.
    std::fs::rename(&data, directory.path().join("elsewhere")).unwrap();
    std::fs::write(&data, "").unwrap();
    desk.engine.store.as_mut().unwrap().fill();
    let mut lost = call(&mut desk);
    assert!(desk.engine.flush().is_err());
    assert!(lost.try_recv().is_err(), "what is not saved is not answered");
    drop(desk);
    let entries = crate::store::Store::open(&directory.path().join("elsewhere")).unwrap().entries;
    assert!(
        matches!(&entries[..], [Entry::Call { operation, .. }] if operation == "CreateThing"),
        "{entries:?}"
    );
}

/// Answers every request, and tells everybody twice.
#[derive(Default)]
struct Echo {
    due: Option<Millis>,
}

impl JobsTap for Echo {
    fn device_message(&mut self, topic: &str, payload: &[u8], _now: Millis) -> DeviceAnswer {
        let message = |topic: String| Publication { topic, payload: Bytes::copy_from_slice(payload) };
        DeviceAnswer {
            reply: Some(message(format!("{topic}/accepted"))),
            publications: ["notify", "notify-next"].map(|end| message(format!("{T}/{end}"))).to_vec(),
        }
    }

    fn call(
        &mut self,
        _plane: Plane,
        _operation: &str,
        params: Value,
        _document: Option<String>,
        _now: Millis,
    ) -> ControlAnswer {
        ControlAnswer { outcome: Ok(params), publications: Vec::new() }
    }

    fn holder(&self, _certificate: &str) -> Option<Holder> {
        None
    }

    fn may_fetch(&self, _object: &S3Object, _query: &str, _now: Millis) -> bool {
        false
    }

    fn save(&self) -> Result<Box<RawValue>, serde_json::Error> {
        RawValue::from_string("null".to_owned())
    }

    fn deadline(&self) -> Option<Millis> {
        self.due
    }

    fn on_deadline(&mut self, _now: Millis) -> Vec<Publication> {
        self.due = None;
        vec![Publication { topic: "timed/out".into(), payload: Bytes::new() }]
    }
}

/// An engine with one connection, whose queue holds so many packets.
struct Desk {
    engine: Engine<Echo>,
    events: mpsc::Sender<Event>,
    out: Outgoing,
    cut: oneshot::Receiver<()>,
}

impl Desk {
    fn new(queue: usize) -> Self {
        Self::with(queue, None)
    }

    fn with(queue: usize, store: Option<Store>) -> Self {
        let (mut engine, events) = Engine::new(Parts {
            hub: Hub::default(),
            jobs: Echo::default(),
            faults: Faults::default(),
            clock: Clock::real(),
            store,
            documents: Documents::default(),
            authority: None,
        });
        let (sender, out) = outlet(queue);
        let (cutter, cut) = oneshot::channel();
        let connect = Connect {
            version: Version::V311,
            client_id: "t1".into(),
            clean: true,
            keep_alive: 60,
            session_expiry: None,
            receive_maximum: u16::MAX,
            maximum_packet: u32::MAX,
            will: None,
        };
        let peer = Peer { out: sender, cut: cutter };
        engine.on_event(
            Event::Opened { connection: DEVICE, peer, connect, permit: None, who: Who::default() },
            Millis::now(),
        );
        engine.flush().unwrap();
        Self { engine, events, out, cut }
    }

    fn receive(&mut self, packet: Received) {
        self.engine.on_event(Event::Packet(DEVICE, packet), Millis::now());
        self.engine.flush().unwrap();
    }
}

fn request() -> Received {
    Received::Publish(Publish {
        topic: format!("{T}/get"),
        payload: Bytes::from_static(b"{}"),
        qos: Qos::AtLeastOnce,
        retain: false,
        packet_id: 9,
        properties: Bytes::new(),
        expiry: None,
        alias: None,
    })
}
