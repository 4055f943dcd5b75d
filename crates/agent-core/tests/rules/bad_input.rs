//! Whatever comes in: nothing is done for it, it is logged once, and the agent goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};

use crate::bench::{Bench, HOUR, exited, hello, offer, seconds, settings};

/// C1, C2, C3, C6: answers without a code, with an unknown token, without the members that the API promises.
#[test]
fn bad_input_does_nothing_and_is_logged_once() {
    let nested =
        |member: &str| format!(r#"{{"timestamp":1,"{member}":{}{}}}"#, "[".repeat(9000), "]".repeat(9000));
    let big = format!(r#"{{"timestamp":"{}"}}"#, "x".repeat(120 * 1024));
    let other = json!({"timestamp": 1, "execution": offer("job-9", 1, &hello())}).to_string();
    let missing = |member: &str| {
        let mut execution = offer("job-9", 1, &hello());
        execution.as_object_mut().expect("an object").remove(member);
        json!({"timestamp": 1, "execution": execution}).to_string()
    };
    let messages: Vec<(&str, String)> = vec![
        ("$aws/things/t2/jobs/notify-next", other.clone()),
        ("$aws/things/t1/jobs/nothing/of/the/kind", other.clone()),
        ("$aws/things/t1/shadow/update/accepted", other.clone()),
        ("", other.clone()),
        ("\u{1b}[2J\u{7}", other),
        ("$aws/things/t1/jobs/notify-next", "not JSON".to_owned()),
        ("$aws/things/t1/jobs/notify-next", String::new()),
        ("$aws/things/t1/jobs/notify-next", "[]".to_owned()),
        ("$aws/things/t1/jobs/notify", "[1, {}]".to_owned()),
        ("$aws/things/t1/jobs/notify-next", r#"{"execution": 5}"#.to_owned()),
        ("$aws/things/t1/jobs/notify-next", r#"{"execution": {}}"#.to_owned()),
        ("$aws/things/t1/jobs/notify-next", missing("jobId")),
        ("$aws/things/t1/jobs/notify-next", missing("executionNumber")),
        ("$aws/things/t1/jobs/notify-next", missing("versionNumber")),
        ("$aws/things/t1/jobs/notify-next", missing("status")),
        ("$aws/things/t1/jobs/notify-next", nested("execution")),
        ("$aws/things/t1/jobs/notify", nested("jobs")),
        ("$aws/things/t1/jobs/notify", big),
        ("$aws/things/t1/jobs/notify", r#"{"jobs": {"QUEUED": "none"}}"#.to_owned()),
        ("$aws/things/t1/jobs/notify", r#"{"jobs": {"QUEUED": [{"jobId": "a b"}]}}"#.to_owned()),
        ("$aws/things/t1/jobs/get/accepted", "{}".to_owned()),
        ("$aws/things/t1/jobs/get/accepted", r#"{"clientToken": 5}"#.to_owned()),
        ("$aws/things/t1/jobs/get/rejected", "{}".to_owned()),
        ("$aws/things/t1/jobs/$next/get/accepted", r#"{"clientToken": "x"}"#.to_owned()),
        ("$aws/things/t1/jobs/$next/get/rejected", "null".to_owned()),
        ("$aws/things/t1/jobs/start-next/accepted", "{}".to_owned()),
        ("$aws/things/t1/jobs/start-next/rejected", "{}".to_owned()),
        ("$aws/things/t1/jobs/job-1/get/accepted", "{}".to_owned()),
        ("$aws/things/t1/jobs/job-1/get/rejected", r#"{"code": "ResourceNotFound"}"#.to_owned()),
        ("$aws/things/t1/jobs/job-1/update/accepted", r#"{"clientToken": "nobody's"}"#.to_owned()),
        ("$aws/things/t1/jobs/job-1/update/accepted", "{}".to_owned()),
        ("$aws/things/t1/jobs/job-1/update/rejected", r#"{"clientToken": "nobody's"}"#.to_owned()),
        ("$aws/things/t1/jobs/job-1/update/rejected", r#"{"code": 7}"#.to_owned()),
        ("$aws/things/t1/jobs/job-1/update/rejected", "null".to_owned()),
        ("$aws/things/t1/jobs/job-1/update", "{}".to_owned()),
    ];
    for begin in [Bench::idle as fn() -> Bench, Bench::running, Bench::reporting] {
        let mut bench = begin();
        for (topic, payload) in &messages {
            let shown: String = payload.chars().take(80).collect();
            let lines = lines_logged(|| bench.hears_bytes(topic, payload.as_bytes()));
            assert_eq!(bench.deeds(), [""; 0], "{topic} {shown}");
            assert_eq!(lines, 1, "{topic} {shown}");
        }
        bench.hears_bytes("$aws/things/t1/jobs/notify", &[0xff, 0xfe, 0x00]);
        assert_eq!(bench.deeds(), [""; 0]);
    }
}

/// Whoever can send one message can send a million, and the disk of a board holds so many lines and no more.
#[test]
fn a_flood_of_bad_input_is_counted_and_not_logged() {
    let mut bench = Bench::idle();
    let flood = |bench: &mut Bench| {
        lines_logged(|| {
            for number in 0..1000 {
                bench.hears_bytes("$aws/things/t1/jobs/notify", b"rubbish");
                bench.hears_bytes("$aws/things/t2/jobs/notify", b"{}");
                bench.hears_bytes(&format!("\u{1b}{number}"), b"{}");
                bench.hears_bytes("$aws/things/t1/jobs/job-1/update/accepted", b"{}");
            }
        })
    };
    assert_eq!(flood(&mut bench), 101, "a hundred, and that there are many");
    assert_eq!(flood(&mut bench), 0);
    bench.passes(HOUR);
    assert_eq!(flood(&mut bench), 102, "the same again, and how many there were");
    assert_eq!(bench.deeds(), [""; 0]);
}

#[test]
fn after_all_that_a_job_still_runs() {
    let mut bench = Bench::running();
    for _ in 0..10_000 {
        bench.hears_bytes("$aws/things/t1/jobs/job-1/update/rejected", b"{\"code\":\"ResourceNotFound\"}");
    }
    bench.ends(exited(0));
    bench.updated("SUCCEEDED", 3);
    assert_eq!(bench.deeds().last().map(String::as_str), Some("save closed"));
}

#[test]
fn unknown_members_and_new_words_do_not_matter() {
    let mut bench = Bench::idle();
    let mut execution = offer("job-1", 1, &json!({"operation": "hello", "_comment": "new"}));
    execution["somethingNew"] = json!({"a": [1, 2, {"b": null}]});
    execution["statusDetails"] = json!({"k": 5, "l": {"m": true}});
    bench.hears("notify-next", &json!({"timestamp": 1.5, "execution": execution, "more": []}));
    assert_eq!(bench.deeds(), ["inspect job-1"]);
}

#[test]
fn an_execution_in_a_status_that_nobody_knows_is_left_alone_and_asked_about() {
    let mut bench = Bench::idle();
    let mut execution = offer("job-1", 1, &hello());
    execution["status"] = json!("PONDERING");
    bench.notify_next(&execution);
    bench.passes(seconds(5));
    let deeds = bench.deeds();
    assert!(!deeds.is_empty() && deeds.iter().all(|deed| deed == "ask $next"), "{deeds:?}");
}

#[test]
fn a_notification_without_a_job_says_that_nothing_is_pending() {
    let mut bench = Bench::idle();
    bench.hears("notify-next", &json!({"timestamp": 1}));
    assert_eq!(bench.deeds(), [""; 0]);
}

#[test]
fn the_answer_for_another_execution_is_not_taken_for_this_one() {
    let mut bench = Bench::running();
    bench.hears("notify", &json!({"timestamp": 1, "jobs": {}}));
    assert_eq!(bench.deeds(), ["ask job-1"]);
    let mut other = offer("job-1", 9, &hello());
    other["executionNumber"] = json!(2);
    bench.accepts("job-1/get", &json!({"execution": other}));
    bench.passes(seconds(3));
    assert_eq!(bench.deeds(), ["ask job-1"], "asked again, and not stopped");
}

#[test]
fn an_answer_on_the_topic_of_another_job_is_no_answer() {
    let mut bench = Bench::announcing(settings(), &hello());
    bench.deeds();
    let token = bench.update()["clientToken"].clone();
    let state = json!({"status": "IN_PROGRESS", "versionNumber": 2});
    bench.hears("job-9/update/accepted", &json!({"clientToken": token, "executionState": state}));
    bench.hears("job-9/update/rejected", &json!({"clientToken": token, "code": "ResourceNotFound"}));
    assert_eq!(bench.deeds(), [""; 0]);
    bench.updated("IN_PROGRESS", 2);
    assert_eq!(bench.started.len(), 1);
}

#[test]
fn a_flood_of_notifications_is_borne_without_piling_up() {
    let mut bench = Bench::announcing(settings(), &hello());
    let entry = |n: usize| json!({"jobId": format!("job-{n}"), "queuedAt": 1, "executionNumber": 1, "versionNumber": 1});
    let many: Vec<_> = (100..1100).map(entry).collect();
    for _ in 0..200 {
        bench.hears("notify", &json!({"timestamp": 1, "jobs": {"QUEUED": many}}));
    }
    assert!(bench.deeds().len() < 10, "one question at a time");
}

/// An answer that is in order and of no use is no reason to ask in haste: a whole fleet may hear it.
#[test]
fn answers_of_no_use_are_asked_for_ever_more_slowly() {
    let mut odd = offer("job-1", 1, &hello());
    odd["status"] = json!("PONDERING");
    let mut bench = Bench::idle();
    bench.notify_next(&odd);
    let asked = answered_for_an_hour(&mut bench, "$next/get", &json!({"execution": odd}));
    assert!((5..200).contains(&asked), "the front was asked for {asked} times in an hour");

    let mut bench = Bench::running();
    bench.hears("notify", &json!({"timestamp": 1, "jobs": {}}));
    let asked = answered_for_an_hour(&mut bench, "job-1/get", &json!({}));
    assert!((5..200).contains(&asked), "the job was asked about {asked} times in an hour");
}

/// Each question on the topic gets that answer at once. How many there were.
fn answered_for_an_hour(bench: &mut Bench, topic: &str, answer: &serde_json::Value) -> usize {
    let end = bench.now.after(HOUR);
    let mut asked = 0;
    while bench.now < end {
        let questions = bench.said().len();
        if questions > 0 {
            bench.accepts(topic, answer);
        }
        asked += questions;
        bench.passes(seconds(1));
    }
    asked
}

/// How many events are logged at WARN or above meanwhile.
fn lines_logged(deed: impl FnOnce()) -> usize {
    let count = Arc::new(AtomicUsize::new(0));
    tracing::subscriber::with_default(Counter(Arc::clone(&count)), deed);
    count.load(Ordering::Relaxed)
}

struct Counter(Arc<AtomicUsize>);

impl Subscriber for Counter {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::WARN
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}
