//! In-progress and step timers.

use serde_json::json;
use service_core::EpochMillis;

use crate::bench::{Bench, START, topics};

const MINUTE: u64 = 60_000;

fn running(minutes: u64) -> Bench {
    let mut bench = Bench::new();
    bench.job("j", json!({"timeoutConfig": {"inProgressTimeoutInMinutes": minutes}}));
    bench.publish("start-next", "");
    bench
}

#[test]
fn a_timer_ends_on_its_millisecond_and_never_before() {
    let mut bench = running(20);
    assert_eq!(bench.service.deadline(), Some(EpochMillis(START + 20 * MINUTE)));
    assert_eq!(bench.passes(20 * MINUTE - 1), []);
    assert_eq!(bench.execution("j")["status"], "IN_PROGRESS");
    assert_eq!(topics(&bench.passes(1)), ["t1/jobs/notify", "t1/jobs/notify-next"]);
    let execution = bench.execution("j");
    assert_eq!((&execution["status"], &execution["versionNumber"]), (&json!("TIMED_OUT"), &json!(3)));
    assert_eq!((bench.service.deadline(), bench.passes(MINUTE)), (None, vec![]));
}

#[test]
fn what_is_due_ends_before_the_next_request_is_looked_at() {
    let mut bench = running(1);
    bench.now.0 += MINUTE;
    let outcome = bench.publish("j/update", r#"{"status":"SUCCEEDED"}"#);
    assert!(outcome.reply.unwrap().topic.ends_with("/rejected"));
    assert_eq!(topics(&outcome.publications), ["t1/jobs/notify", "t1/jobs/notify-next"]);
    assert_eq!(bench.execution("j")["status"], "TIMED_OUT");
}

#[test]
fn nothing_is_timed_once_an_execution_is_over_or_gone() {
    for end in ["update", "cancel", "delete", "delete job"] {
        let mut bench = running(1);
        match end {
            "update" => assert_eq!(bench.reply("j/update", r#"{"status":"FAILED"}"#).0, "accepted"),
            "cancel" => {
                bench.control("CancelJob", json!({"jobId": "j", "force": true})).unwrap();
            }
            "delete" => {
                let which = json!({"jobId": "j", "thingName": "t1", "executionNumber": "1", "force": "true"});
                bench.control("DeleteJobExecution", which).unwrap();
            }
            _ => {
                bench.control("DeleteJob", json!({"jobId": "j", "force": true})).unwrap();
            }
        }
        assert_eq!(bench.service.deadline(), None, "{end}");
        assert_eq!(bench.passes(10 * MINUTE), [], "{end}");
    }
}

#[test]
fn a_new_step_timer_leaves_no_trace_of_the_old_one() {
    let mut bench = running(60);
    for minutes in [5, 1, 30] {
        bench.publish(
            "j/update",
            &json!({"status": "IN_PROGRESS", "stepTimeoutInMinutes": minutes}).to_string(),
        );
        assert_eq!(bench.service.deadline(), Some(EpochMillis(START + minutes * MINUTE)));
    }
    bench.publish("j/update", r#"{"status":"IN_PROGRESS","stepTimeoutInMinutes":-1}"#);
    assert_eq!(bench.service.deadline(), Some(EpochMillis(START + 60 * MINUTE)));
}

#[test]
fn many_that_are_due_at_once_end_each_with_its_own_messages() {
    let mut bench = running(1);
    bench.job("k", json!({"timeoutConfig": {"inProgressTimeoutInMinutes": 1}}));
    bench.publish("k/update", r#"{"status":"IN_PROGRESS"}"#);
    let published = bench.passes(5 * MINUTE);
    assert_eq!(
        topics(&published),
        ["t1/jobs/notify", "t1/jobs/notify-next", "t1/jobs/notify", "t1/jobs/notify-next"]
    );
}

#[test]
fn a_clock_that_goes_back_ends_nothing_early() {
    let mut bench = running(1);
    bench.now = EpochMillis(START - 3_600_000);
    assert_eq!(bench.reply("j/update", r#"{"status":"IN_PROGRESS"}"#).0, "accepted");
    assert_eq!(bench.passes(MINUTE), []);
    assert_eq!(bench.execution("j")["status"], "IN_PROGRESS");
}
