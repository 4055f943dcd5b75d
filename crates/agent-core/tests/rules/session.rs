//! Connecting, asking, asking again; and sleeping when there is nothing to do.

use agent_core::Event;
use serde_json::json;

use crate::bench::{Bench, HOUR, exited, hello, offer, seconds, settings};

#[test]
fn after_connecting_it_asks_for_the_front_and_the_list() {
    let mut bench = Bench::with(settings(), &[]);
    assert_eq!(bench.agent.deadline(), None, "without a link there is nothing to wait for");
    bench.happens(Event::LinkUp);
    assert_eq!(bench.deeds(), ["ask $next", "ask list"]);
    assert_ne!(bench.request("$next/get")["clientToken"], bench.request("get")["clientToken"]);
}

/// L2: a refused question is asked again.
#[test]
fn a_question_that_is_refused_or_not_answered_is_asked_again_until_it_is_answered() {
    let mut bench = Bench::with(settings(), &[]);
    bench.happens(Event::LinkUp);
    bench.deeds();
    for code in ["RequestThrottled", "InternalError", "InvalidRequest", "SomethingNew"] {
        bench.rejects("$next/get", code, None);
        bench.rejects("get", code, None);
        assert_eq!(bench.deeds(), [""; 0], "not at once");
        bench.passes(seconds(9));
        let mut asked = bench.deeds();
        asked.sort();
        assert_eq!(asked, ["ask $next", "ask list"], "{code}");
    }
    bench.passes(HOUR);
    let asked = bench.deeds().len();
    assert!((40..600).contains(&asked), "asked {asked} times in an hour without an answer");
    while !bench.deeds().contains(&"ask $next".to_owned()) {
        bench.passes(seconds(1));
    }
    bench.accepts("$next/get", &json!({"execution": offer("job-1", 1, &hello())}));
    assert_eq!(bench.deeds(), ["inspect job-1"]);
}

/// L1: a new connection is asked what is pending.
#[test]
fn when_the_link_returns_it_asks_again() {
    let mut bench = Bench::idle();
    bench.happens(Event::LinkDown);
    assert_eq!(bench.agent.deadline(), None, "offline and idle: asleep");
    bench.passes(HOUR);
    assert_eq!(bench.deeds(), [""; 0]);
    bench.happens(Event::LinkUp);
    assert_eq!(bench.deeds(), ["ask $next", "ask list"]);
}

#[test]
fn the_answer_to_a_question_of_an_earlier_connection_is_not_taken_for_new() {
    let mut bench = Bench::with(settings(), &[]);
    bench.happens(Event::LinkUp);
    let old = bench.request("$next/get")["clientToken"].clone();
    bench.happens(Event::LinkDown);
    bench.happens(Event::LinkUp);
    bench.deeds();
    let execution = offer("job-1", 1, &hello());
    bench.hears("$next/get/accepted", &json!({"clientToken": old, "execution": execution}));
    assert_eq!(bench.deeds(), [""; 0]);
}

#[test]
fn when_idle_it_sleeps_for_hours_and_then_asks_anyway() {
    let mut bench = Bench::idle();
    bench.passes(4 * HOUR);
    assert_eq!(bench.deeds(), [""; 0]);
    bench.passes(2 * HOUR);
    assert_eq!(bench.deeds().first().map(String::as_str), Some("ask $next"));
}

#[test]
fn while_a_handler_runs_it_is_woken_a_few_times_an_hour_at_most() {
    let mut bench = Bench::running();
    bench.passes(seconds(25));
    let mut known = offer("job-1", 2, &hello());
    known["status"] = json!("IN_PROGRESS");
    bench.accepts("job-1/get", &json!({"execution": known}));
    bench.deeds();
    bench.passes(3 * HOUR);
    assert_eq!(bench.deeds(), [""; 0]);
}

#[test]
fn offline_a_running_handler_costs_no_wake_ups() {
    let mut bench = Bench::running();
    bench.happens(Event::LinkDown);
    bench.passes(seconds(60));
    bench.deeds();
    bench.passes(12 * HOUR);
    assert_eq!(bench.deeds(), [""; 0]);
}

#[test]
fn a_list_that_names_something_is_followed_by_a_question_for_the_front() {
    let mut bench = Bench::idle();
    let entry = json!({"jobId": "job-1", "queuedAt": 1000, "executionNumber": 1, "versionNumber": 1});
    bench.hears("notify", &json!({"timestamp": 1, "jobs": {"QUEUED": [entry]}}));
    bench.passes(seconds(3));
    assert_eq!(bench.deeds(), ["ask $next"]);
}

/// The service sends both whenever the front changes, in this order or the other.
#[test]
fn a_pair_of_notifications_costs_no_question() {
    let entry = json!({"jobId": "job-1", "queuedAt": 1000, "executionNumber": 1, "versionNumber": 1});
    let list = json!({"timestamp": 1, "jobs": {"QUEUED": [entry]}});
    for list_first in [true, false] {
        let mut bench = Bench::idle();
        if list_first {
            bench.hears("notify", &list);
        }
        bench.notify_next(&offer("job-1", 1, &hello()));
        if !list_first {
            bench.hears("notify", &list);
        }
        bench.inspected(None);
        bench.updated("IN_PROGRESS", 2);
        bench.ends(exited(0));
        bench.hears("notify", &json!({"timestamp": 2, "jobs": {}}));
        bench.hears("notify-next", &json!({"timestamp": 2}));
        bench.updated("SUCCEEDED", 3);
        bench.passes(HOUR);
        assert_eq!(bench.said(), ["tell job-1 IN_PROGRESS", "tell job-1 SUCCEEDED"], "{list_first}");
    }
}

#[test]
fn over_a_link_that_takes_half_a_minute_answers_still_count() {
    let mut bench = Bench::with(settings(), &[]);
    bench.happens(Event::LinkUp);
    let mut on_its_way = Vec::new();
    for _ in 0..600 {
        if bench.deeds().contains(&"ask $next".to_owned()) {
            on_its_way.push((bench.now, bench.request("$next/get")["clientToken"].clone()));
        }
        bench.passes(seconds(1));
        if on_its_way.first().is_some_and(|(asked, _)| bench.now.since(*asked) >= seconds(30)) {
            let (_, token) = on_its_way.remove(0);
            let execution = offer("job-1", 1, &hello());
            bench.hears("$next/get/accepted", &json!({"clientToken": token, "execution": execution}));
            if bench.deeds().contains(&"inspect job-1".to_owned()) {
                return;
            }
        }
    }
    panic!("every answer has come too late");
}

#[test]
fn after_an_answer_of_use_it_is_as_patient_as_at_first() {
    let mut bench = Bench::with(settings(), &[]);
    bench.happens(Event::LinkUp);
    for _ in 0..8 {
        bench.rejects("get", "RequestThrottled", None);
        bench.rejects("$next/get", "RequestThrottled", None);
        bench.passes(seconds(130));
    }
    bench.happens(Event::LinkUp);
    bench.accepts("get", &json!({}));
    bench.accepts("$next/get", &json!({}));
    bench.happens(Event::LinkUp);
    bench.deeds();
    bench.passes(seconds(12));
    let mut asked = bench.deeds();
    asked.sort();
    asked.dedup();
    assert_eq!(asked, ["ask $next", "ask list"]);
}

/// However long the last wait was to be.
#[test]
fn what_the_service_was_asked_about_the_job_is_asked_at_once_when_the_link_is_back() {
    let mut bench = Bench::running();
    bench.hears("notify", &json!({"timestamp": 1, "jobs": {}}));
    for _ in 0..6 {
        bench.rejects("job-1/get", "RequestThrottled", None);
        bench.passes(seconds(64));
    }
    bench.rejects("job-1/get", "RequestThrottled", None);
    bench.deeds();
    bench.happens(Event::LinkDown);
    bench.happens(Event::LinkUp);
    let said = bench.said();
    assert!(said.contains(&"ask job-1".to_owned()), "{said:?}");
}
