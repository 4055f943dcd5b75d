//! What is told to the service: in which order, with what, how often, and what its refusals mean.

use agent_core::Event;
use serde_json::json;

use crate::bench::{Bench, HOUR, JOB, exited, hello, offer, outcome, seconds, settings, steps};
use agent_core::Ending;

#[test]
fn it_is_saved_before_it_is_spoken_and_before_it_is_started() {
    let mut bench = Bench::announcing(settings(), &hello());
    assert_eq!(bench.deeds(), ["save accepted", "tell job-1 IN_PROGRESS"]);
    bench.updated("IN_PROGRESS", 2);
    assert_eq!(bench.deeds(), ["save starting job-1 0.1", "start job-1 0.1"]);
    bench.ends(exited(0));
    assert_eq!(bench.deeds(), ["save decided SUCCEEDED", "tell job-1 SUCCEEDED", "release job-1 0.1"]);
    bench.updated("SUCCEEDED", 3);
    assert_eq!(bench.deeds(), ["save closed"]);
}

#[test]
fn in_progress_carries_version_number_step_timer_and_token() {
    let bench = Bench::announcing(settings(), &hello());
    let update = bench.update();
    assert_eq!(update["expectedVersion"], 1);
    assert_eq!(update["executionNumber"], 1);
    assert_eq!(
        update["stepTimeoutInMinutes"],
        24 * 60 + 15,
        "the limit of the step, and a quarter of an hour"
    );
    assert_eq!(update["includeJobExecutionState"], true);
    assert!(update["clientToken"].as_str().is_some_and(|token| (1..=64).contains(&token.len())));
}

#[test]
fn the_step_timer_is_set_anew_while_a_handler_runs_on() {
    let mut long = settings();
    long.step_timeout = 100 * HOUR;
    let mut bench = Bench::running_with(long, &hello());
    bench.passes(25 * HOUR);
    assert!(bench.deeds().contains(&"tell job-1 IN_PROGRESS".to_owned()));
    assert_eq!(bench.update()["stepTimeoutInMinutes"], 100 * 60 + 15);
    assert_eq!(bench.update()["expectedVersion"], 2);
}

/// R11: the Device Client runs the job although IN_PROGRESS was refused, or never answered.
#[test]
fn nothing_is_started_before_the_service_has_agreed() {
    let mut bench = Bench::announcing(settings(), &hello());
    bench.deeds();
    bench.passes(HOUR);
    bench.rejects("job-1/update", "RequestThrottled", None);
    bench.passes(HOUR);
    bench.happens(Event::LinkDown);
    bench.happens(Event::LinkUp);
    bench.accepts("job-1/get", &json!({"execution": offer(JOB, 1, &hello())}));
    assert!(bench.deeds().iter().all(|deed| deed.starts_with("tell ") || deed.starts_with("ask ")));
    assert!(bench.started.is_empty());
    bench.updated("IN_PROGRESS", 2);
    assert_eq!(bench.started.len(), 1);
}

/// R7: the Device Client sends with a new token each time and without an expected version.
#[test]
fn a_report_that_is_not_answered_is_sent_again_the_same() {
    let mut bench = Bench::reporting();
    let first = bench.update().clone();
    bench.passes(seconds(12));
    assert_eq!(bench.said(), ["tell job-1 SUCCEEDED"]);
    assert_eq!(*bench.update(), first);
    assert_eq!(first["expectedVersion"], 2);
    bench.passes(HOUR);
    let again = bench.said().len();
    assert!((20..400).contains(&again), "sent {again} times in an hour without an answer");
    bench.updated("SUCCEEDED", 3);
    assert_eq!(bench.deeds(), ["save closed"]);
}

/// R7: what piles up offline must not come as a burst; R6: and must come.
#[test]
fn a_report_that_is_owed_for_a_week_is_sent_once_when_the_link_is_back() {
    let mut bench = Bench::running();
    bench.happens(Event::LinkDown);
    bench.ends(exited(0));
    assert_eq!(bench.deeds(), ["save decided SUCCEEDED", "release job-1 0.1"]);
    bench.passes(7 * 24 * HOUR);
    assert_eq!(bench.deeds(), [""; 0]);
    bench.happens(Event::LinkUp);
    let mut known = offer(JOB, 2, &hello());
    known["status"] = json!("IN_PROGRESS");
    bench.accepts("job-1/get", &json!({"execution": known}));
    bench.passes(seconds(1));
    let told = bench.said().iter().filter(|said| said.starts_with("tell")).count();
    assert_eq!(told, 1);
}

/// R6: any other rejection makes the Device Client drop the result.
#[test]
fn a_result_is_sent_again_after_a_refusal_that_is_not_final() {
    let passing =
        ["RequestThrottled", "InternalError", "InvalidJson", "InvalidTopic", "InvalidRequest", "BrandNew"];
    for code in passing {
        let mut bench = Bench::reporting();
        for _ in 0..12 {
            bench.rejects("job-1/update", code, None);
            bench.passes(seconds(130));
            let said = bench.said();
            assert!(said.contains(&"tell job-1 SUCCEEDED".to_owned()), "{code}: {said:?}");
        }
        bench.updated("SUCCEEDED", 3);
        assert_eq!(bench.deeds(), ["save closed"], "{code}");
    }
}

#[test]
fn a_throttled_report_backs_off() {
    let mut bench = Bench::reporting();
    let mut gaps = Vec::new();
    for _ in 0..10 {
        bench.rejects("job-1/update", "RequestThrottled", None);
        let before = bench.now;
        bench.now = bench.agent.deadline().expect("it will try again");
        gaps.push(bench.now.since(before));
        bench.happens(Event::DeadlineReached);
        assert_eq!(bench.said(), ["tell job-1 SUCCEEDED"]);
    }
    assert!(gaps.iter().all(|gap| *gap <= seconds(128)), "{gaps:?}");
    assert!(gaps[0] <= seconds(1) && gaps[5..].iter().any(|gap| *gap > seconds(8)), "{gaps:?}");
}

#[test]
fn refused_words_are_said_more_strictly_and_then_not_at_all() {
    let mut bench = Bench::running();
    bench.ends(outcome(Ending::Exited { code: 1 }, "first\nsecond\n"));
    assert_eq!(bench.detail("stderr"), "first\nsecond\n");
    bench.deeds();
    bench.rejects("job-1/update", "InvalidRequest", None);
    assert_eq!(bench.said(), ["tell job-1 FAILED"]);
    assert_eq!(bench.detail("stderr"), "first␊second␊");
    bench.rejects("job-1/update", "InvalidRequest", None);
    assert_eq!(bench.said(), ["tell job-1 FAILED"]);
    assert_eq!(bench.update().get("statusDetails"), None);
    bench.rejects("job-1/update", "InvalidRequest", None);
    assert_eq!(bench.said(), [""; 0], "not at once any more");
    bench.passes(seconds(130));
    assert!(!bench.said().is_empty(), "and not never");
}

#[test]
fn a_version_of_an_earlier_attempt_is_taken_over() {
    let mut bench = Bench::announcing(settings(), &hello());
    bench.deeds();
    bench.rejects("job-1/update", "VersionMismatch", Some(("IN_PROGRESS", 2)));
    let asked = ["ask job-1", "tell job-1 IN_PROGRESS"];
    assert_eq!(bench.deeds(), asked, "and nothing is started by that");
    assert_eq!(bench.update()["expectedVersion"], 2);
    let mut known = offer(JOB, 2, &hello());
    known["status"] = json!("IN_PROGRESS");
    bench.accepts("job-1/get", &json!({"execution": known}));
    bench.updated("IN_PROGRESS", 3);
    bench.ends(exited(0));
    assert_eq!(bench.update()["expectedVersion"], 3);
}

#[test]
fn a_dispute_about_versions_slows_down() {
    let mut bench = Bench::reporting();
    let mut told = 0;
    let begin = bench.now;
    for version in 10..40 {
        bench.rejects("job-1/update", "VersionMismatch", Some(("IN_PROGRESS", version)));
        bench.passes(seconds(1));
        told += bench.said().iter().filter(|said| said.starts_with("tell")).count();
    }
    assert!(told < 20, "told {told} times in {:?}", bench.now.since(begin));
}

#[test]
fn a_report_that_had_arrived_before_is_done() {
    for code in ["VersionMismatch", "InvalidStateTransition"] {
        let mut bench = Bench::reporting();
        bench.rejects("job-1/update", code, Some(("SUCCEEDED", 3)));
        assert_eq!(bench.deeds(), ["save closed"], "{code}");
    }
}

#[test]
fn a_report_on_what_is_over_is_not_sent_again() {
    let over = [
        ("ResourceNotFound", None),
        ("TerminalStateReached", None),
        ("InvalidStateTransition", Some(("CANCELED", 4))),
        ("InvalidStateTransition", Some(("TIMED_OUT", 4))),
        ("InvalidStateTransition", Some(("REMOVED", 4))),
        ("VersionMismatch", Some(("CANCELED", 4))),
    ];
    for (code, state) in over {
        let mut bench = Bench::reporting();
        bench.rejects("job-1/update", code, state);
        assert_eq!(bench.deeds(), ["save closed"], "{code}");
        bench.passes(HOUR);
        assert!(bench.said().iter().all(|said| said.starts_with("ask")), "{code}");
    }
}

#[test]
fn what_is_over_before_it_was_started_is_dropped() {
    for (code, state) in [
        ("ResourceNotFound", None),
        ("InvalidStateTransition", Some(("CANCELED", 2))),
        ("VersionMismatch", Some(("CANCELED", 2))),
        ("VersionMismatch", Some(("REMOVED", 1))),
    ] {
        let mut bench = Bench::announcing(settings(), &hello());
        bench.deeds();
        bench.rejects("job-1/update", code, state);
        assert_eq!(bench.deeds(), ["save dropped"], "{code}");
        bench.passes(HOUR);
        assert!(bench.started.is_empty(), "{code}");
    }
}

/// A part of the service that lags behind answers so.
#[test]
fn one_update_that_finds_no_execution_does_not_stop_a_good_handler() {
    let running_and_not_found = || {
        let mut bench = Bench::running_with(settings(), &steps(&[json!({}), json!({})]));
        bench.ends(exited(0));
        bench.rejects("job-1/update", "ResourceNotFound", None);
        assert!(!bench.deeds().contains(&"stop job-1 1.1".to_owned()));
        bench.passes(seconds(2));
        assert!(bench.said().contains(&"ask job-1".to_owned()));
        bench
    };
    let mut bench = running_and_not_found();
    let mut known = offer(JOB, 2, &hello());
    known["status"] = json!("IN_PROGRESS");
    bench.accepts("job-1/get", &json!({"execution": known}));
    bench.passes(HOUR);
    assert!(!bench.deeds().contains(&"stop job-1 1.1".to_owned()));
    let mut bench = running_and_not_found();
    bench.rejects("job-1/get", "ResourceNotFound", None);
    assert_eq!(bench.deeds(), ["stop job-1 1.1"]);
}

#[test]
fn what_is_over_in_the_answer_to_an_update_is_not_started_or_gone_on_with() {
    let mut bench = Bench::announcing(settings(), &hello());
    bench.deeds();
    bench.updated("CANCELED", 3);
    assert_eq!(bench.deeds(), ["save dropped"]);
    let mut bench = Bench::running_with(settings(), &steps(&[json!({}), json!({})]));
    bench.ends(exited(0));
    bench.deeds();
    bench.updated("TIMED_OUT", 4);
    assert_eq!(bench.deeds(), ["stop job-1 1.1"]);
}

#[test]
fn a_mismatch_that_does_not_say_the_state_is_followed_by_a_question() {
    for code in ["VersionMismatch", "InvalidStateTransition"] {
        let mut bench = Bench::reporting();
        bench.rejects("job-1/update", code, None);
        assert_eq!(bench.deeds(), ["ask job-1"], "{code}");
        let mut known = offer(JOB, 7, &hello());
        known["status"] = json!("IN_PROGRESS");
        bench.accepts("job-1/get", &json!({"execution": known}));
        bench.passes(seconds(5));
        assert_eq!(bench.said(), ["tell job-1 SUCCEEDED"], "{code}");
        assert_eq!(bench.update()["expectedVersion"], 7, "{code}");
    }
}

/// R8: the Device Client's updates overtake each other.
#[test]
fn one_update_at_a_time_and_the_last_word_last() {
    let document = steps(&[json!({}), json!({})]);
    let mut bench = Bench::running_with(settings(), &document);
    bench.ends(exited(0));
    let progress = bench.update()["clientToken"].clone();
    assert_eq!(
        bench.deeds(),
        [
            "save ended job-1 0.1",
            "save starting job-1 1.1",
            "start job-1 1.1",
            "tell job-1 IN_PROGRESS",
            "release job-1 0.1"
        ]
    );
    bench.ends(exited(0));
    assert_eq!(bench.said(), ["tell job-1 SUCCEEDED"]);
    let late =
        json!({"clientToken": progress, "executionState": {"status": "IN_PROGRESS", "versionNumber": 3}});
    bench.hears("job-1/update/accepted", &late);
    assert_eq!(bench.deeds(), [""; 0], "an answer to the progress is no answer to the report");
    bench.rejects("job-1/update", "VersionMismatch", Some(("IN_PROGRESS", 3)));
    bench.updated("SUCCEEDED", 4);
    assert_eq!(bench.deeds(), ["tell job-1 SUCCEEDED", "save closed"]);
    bench.passes(HOUR);
    assert!(!bench.said().iter().any(|said| said.starts_with("tell")));
}

/// C4: a second answer for one token makes the Device Client abort.
#[test]
fn an_answer_that_comes_twice_counts_once() {
    let mut bench = Bench::announcing(settings(), &hello());
    bench.deeds();
    for _ in 0..3 {
        bench.updated("IN_PROGRESS", 2);
    }
    assert_eq!(bench.deeds(), ["save starting job-1 0.1", "start job-1 0.1"]);
    bench.ends(exited(0));
    bench.deeds();
    for _ in 0..3 {
        bench.updated("SUCCEEDED", 3);
    }
    bench.rejects("job-1/update", "VersionMismatch", Some(("SUCCEEDED", 3)));
    assert_eq!(bench.deeds(), ["save closed"]);
}
