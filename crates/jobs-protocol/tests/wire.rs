//! Messages as the real service sends them: all are understood, and those that we write too come out byte for byte.
//!
//! The files under `tests/fixtures/wire` tell the topic, the payload as text, where it is from, and whether our own
//! writing of it has the same bytes.

#![expect(clippy::unwrap_used, reason = "a sample that cannot be read fails its test")]
#![expect(clippy::disallowed_methods, reason = "the ban is for the crate; its test reads samples from files")]

use std::path::Path;

use jobs_protocol::ExecutionStatus;
use jobs_protocol::message::{ErrorCode, ServiceMessage};
use jobs_protocol::topic::{JobsTopic, RequestTopic};
use serde_json::Value;

struct Sample {
    file: String,
    topic: String,
    payload: String,
    same_bytes: bool,
}

fn samples() -> Vec<Sample> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/wire");
    let files = std::fs::read_dir(folder).expect("the samples are in the repository");
    let read = |path: &Path| {
        let value: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let text = |member: &str| value[member].as_str().map_or_else(|| panic!("no {member}"), str::to_owned);
        assert!(!text("source").is_empty(), "{} says where it is from", path.display());
        let same_bytes = value["sameBytes"].as_bool().unwrap();
        Sample {
            file: path.display().to_string(),
            topic: text("topic"),
            payload: text("payload"),
            same_bytes,
        }
    };
    let all: Vec<Sample> = files.map(|file| read(&file.unwrap().path())).collect();
    assert!(all.len() >= 26, "{} samples", all.len());
    all
}

fn parse(sample: &Sample, payload: &str) -> ServiceMessage {
    let (thing, topic) =
        JobsTopic::parse(&sample.topic).unwrap_or_else(|error| panic!("{}: {error}", sample.file));
    assert_eq!(topic.of(&thing), sample.topic);
    ServiceMessage::parse(topic, payload.as_bytes())
        .unwrap_or_else(|error| panic!("{}: {error:?}", sample.file))
}

fn written(message: &ServiceMessage) -> String {
    match message {
        ServiceMessage::Pending(body) => serde_json::to_string(body),
        ServiceMessage::Described(_, body) | ServiceMessage::StartedNext(body) => serde_json::to_string(body),
        ServiceMessage::Updated(_, body) => serde_json::to_string(body),
        ServiceMessage::Rejected(_, body) => serde_json::to_string(body),
        ServiceMessage::Notify(body) => serde_json::to_string(body),
        ServiceMessage::NotifyNext(body) => serde_json::to_string(body),
    }
    .unwrap()
}

#[test]
fn messages_of_the_service_are_understood_and_written_alike() {
    for sample in samples() {
        let text = written(&parse(&sample, &sample.payload));
        assert_eq!(text == sample.payload, sample.same_bytes, "{}: {text}", sample.file);
        if !sample.same_bytes {
            let (ours, again) = (parse(&sample, &text), written(&parse(&sample, &text)));
            assert_eq!(written(&ours), again, "{}: what we write we understand", sample.file);
        }
    }
}

#[test]
fn every_kind_of_message_has_a_sample() {
    let messages: Vec<ServiceMessage> =
        samples().iter().map(|sample| parse(sample, &sample.payload)).collect();
    let kinds: [fn(&ServiceMessage) -> bool; 7] = [
        |message| matches!(message, ServiceMessage::Pending(_)),
        |message| matches!(message, ServiceMessage::Described(..)),
        |message| matches!(message, ServiceMessage::StartedNext(_)),
        |message| matches!(message, ServiceMessage::Updated(..)),
        |message| matches!(message, ServiceMessage::Rejected(..)),
        |message| matches!(message, ServiceMessage::Notify(_)),
        |message| matches!(message, ServiceMessage::NotifyNext(_)),
    ];
    for (n, kind) in kinds.iter().enumerate() {
        assert!(messages.iter().any(kind), "kind {n}");
    }
}

/// Puts a member that nobody knows into every object but those whose keys are data.
fn with_news(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let inner = |(name, value): (&String, &Value)| {
                let data = ["jobDocument", "statusDetails"].contains(&name.as_str());
                (name.clone(), if data { value.clone() } else { with_news(value) })
            };
            let mut news: serde_json::Map<String, Value> = members.iter().map(inner).collect();
            news.insert("newThing".to_owned(), serde_json::json!({"a": [1, null]}));
            news.into()
        }
        Value::Array(elements) => elements.iter().map(with_news).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

#[test]
fn members_that_nobody_knows_change_nothing() {
    for sample in samples() {
        let news = with_news(&serde_json::from_str(&sample.payload).unwrap()).to_string();
        assert_ne!(news, sample.payload);
        let (plain, with_news) = (parse(&sample, &sample.payload), parse(&sample, &news));
        let (plain, with_news) = (written(&plain), written(&with_news));
        let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        assert_eq!(value(&plain), value(&with_news), "{}", sample.file);
    }
}

#[test]
fn statuses_and_codes_that_nobody_knows_do_no_harm() {
    let mut statuses = 0;
    let mut codes = 0;
    for sample in samples() {
        let mut value: Value = serde_json::from_str(&sample.payload).unwrap();
        for holder in ["execution", "executionState"] {
            if value[holder].is_object() {
                value[holder]["status"] = "PAUSED".into();
            }
        }
        if value["code"].is_string() {
            value["code"] = "TooLate".into();
        }
        let found = match parse(&sample, &value.to_string()) {
            ServiceMessage::Described(_, body) | ServiceMessage::StartedNext(body) => {
                body.execution.map(|execution| execution.status)
            }
            ServiceMessage::NotifyNext(body) => body.execution.map(|execution| execution.status),
            ServiceMessage::Updated(_, body) => body.execution_state.map(|state| state.status),
            ServiceMessage::Rejected(_, body) => {
                codes += 1;
                assert_eq!(body.code, ErrorCode::Unknown);
                body.execution_state.map(|state| state.status)
            }
            ServiceMessage::Pending(_) | ServiceMessage::Notify(_) => None,
        };
        if let Some(status) = found {
            statuses += 1;
            assert_eq!(status, ExecutionStatus::Unknown, "{}", sample.file);
        }
    }
    assert!(statuses >= 9 && codes >= 6, "{statuses} statuses and {codes} codes were tried");
}

#[test]
fn a_reply_is_known_by_its_request() {
    let reply = samples().into_iter().find(|sample| sample.topic.ends_with("/Job1/update/rejected")).unwrap();
    let ServiceMessage::Rejected(request, _) = parse(&reply, &reply.payload) else {
        panic!("{}", reply.file)
    };
    assert_eq!(request, RequestTopic::Update("Job1".parse().unwrap()));
}
