//! What the service has agreed to, and what it may have agreed to by mistake.

use serde_json::{Value, json};

use crate::bench::{Bench, HOUR, JOB, exited, hello, offer, seconds, settings};

fn in_progress(queued_at: u64) -> Value {
    let mut execution = offer(JOB, 2, &hello());
    execution["status"] = json!("IN_PROGRESS");
    execution["queuedAt"] = json!(queued_at);
    execution
}

/// Agreed to, while the list has left doubt about which execution it was.
fn agreed_in_doubt() -> Bench {
    let mut bench = Bench::announcing(settings(), &hello());
    bench.hears("notify", &json!({"timestamp": 1, "jobs": {}}));
    bench.deeds();
    bench.updated("IN_PROGRESS", 2);
    assert_eq!(bench.deeds(), ["ask job-1"], "an answer that is under way is older than the agreement");
    bench
}

/// An update that took its time may have been taken for a new execution that bears the old name.
#[test]
fn nothing_is_started_while_the_service_is_being_asked_about_the_execution() {
    let mut bench = agreed_in_doubt();
    bench.accepts("job-1/get", &json!({"execution": in_progress(2000)}));
    assert_eq!(bench.deeds(), ["save dropped"]);
    bench.passes(HOUR);
    assert!(bench.started.is_empty());
}

#[test]
fn when_the_doubt_is_settled_the_handler_is_started() {
    for patience in [0, 30, 3600] {
        let mut bench = agreed_in_doubt();
        bench.passes(seconds(patience));
        assert!(bench.started.is_empty());
        if patience > 0 {
            bench.deeds();
            while !bench.said().contains(&"ask job-1".to_owned()) {
                bench.passes(seconds(1));
            }
        }
        bench.accepts("job-1/get", &json!({"execution": in_progress(1000)}));
        let deeds = bench.deeds();
        assert_eq!(deeds[..2], ["save starting job-1 0.1", "start job-1 0.1"], "after {patience} seconds");
    }
}

#[test]
fn an_offer_that_has_waited_and_is_no_longer_in_the_list_is_asked_about() {
    let entry = |queued_at: u64| json!({"jobId": "job-2", "queuedAt": queued_at, "executionNumber": 1, "versionNumber": 1});
    for (queued_at, follows) in [(1000, "inspect job-2"), (2000, "ask $next")] {
        let mut bench = Bench::reporting();
        bench.notify_next(&offer("job-2", 1, &hello()));
        bench.hears("notify", &json!({"timestamp": 1, "jobs": {"QUEUED": [entry(queued_at)]}}));
        bench.deeds();
        bench.updated("SUCCEEDED", 3);
        assert_eq!(bench.deeds(), ["save closed", follows]);
    }
}

/// Found by the simulation: the board slept while the job was deleted and created again, and the handler ended before
/// the question about it was answered.
#[test]
fn when_its_name_has_been_given_to_another_execution_nothing_is_told_before_the_service_was_asked() {
    let mut newer = offer(JOB, 1, &hello());
    newer["queuedAt"] = json!(2000);
    let summary = json!({"jobId": JOB, "queuedAt": 2000, "lastUpdatedAt": 2000, "executionNumber": 1, "versionNumber": 1});
    let list = json!({"timestamp": 1, "jobs": {"QUEUED": [summary]}});
    let news: [(&str, Value); 2] =
        [("notify-next", json!({"timestamp": 1, "execution": newer})), ("notify", list)];
    for (topic, message) in news {
        let mut bench = Bench::running();
        bench.hears(topic, &message);
        bench.ends(exited(0));
        let deeds = bench.deeds();
        assert!(!deeds.contains(&"tell job-1 SUCCEEDED".to_owned()), "{topic}: {deeds:?}");
        bench.accepts("job-1/get", &json!({"execution": newer}));
        assert!(bench.deeds().contains(&"save closed".to_owned()), "{topic}");
    }
}
