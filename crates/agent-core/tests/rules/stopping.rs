//! The agent is told to end.

use agent_core::{Ending, Event, OnStop};
use serde_json::json;

use crate::bench::{Bench, exited, hello, outcome, seconds, settings, steps};

fn terminating() -> Bench {
    let mut settings = settings();
    settings.on_stop = OnStop::Terminate;
    Bench::running_with(settings, &hello())
}

#[test]
fn an_idle_agent_ends_at_once() {
    let mut bench = Bench::idle();
    bench.happens(Event::StopRequested);
    assert_eq!(bench.deeds(), ["exit"]);
}

#[test]
fn a_running_handler_is_left_alone_by_default() {
    let mut bench = Bench::running();
    bench.happens(Event::StopRequested);
    assert_eq!(bench.deeds(), ["exit"]);
}

#[test]
fn with_terminate_the_handler_is_stopped_and_that_is_reported_before_the_end() {
    let mut bench = terminating();
    bench.happens(Event::StopRequested);
    assert_eq!(bench.deeds(), ["stop job-1 0.1"]);
    bench.passes(seconds(3));
    bench.ends(outcome(Ending::Stopped { killed: false }, ""));
    assert_eq!(bench.deeds(), ["save decided FAILED", "tell job-1 FAILED", "release job-1 0.1"]);
    assert!(bench.detail("reason").contains("the agent was told to end"));
    bench.updated("FAILED", 3);
    assert_eq!(bench.deeds(), ["save closed", "exit"]);
}

#[test]
fn a_handler_that_ends_well_while_it_is_being_stopped_has_succeeded() {
    let mut bench = terminating();
    bench.happens(Event::StopRequested);
    bench.ends(exited(0));
    assert_eq!(bench.update()["status"], "SUCCEEDED");
}

#[test]
fn what_is_left_of_the_steps_is_not_run_any_more() {
    let mut settings = settings();
    settings.on_stop = OnStop::Terminate;
    let document = steps(&[json!({"ignoreStepFailure": true}), json!({})]);
    for last in [exited(0), outcome(Ending::Stopped { killed: false }, "")] {
        let mut bench = Bench::running_with(settings.clone(), &document);
        bench.happens(Event::StopRequested);
        bench.ends(last);
        assert_eq!(bench.started.len(), 1);
        assert_eq!(bench.update()["status"], "FAILED");
        assert!(bench.detail("reason").contains("the remaining steps were not run"));
    }
}

#[test]
fn a_handler_is_told_to_stop_once_for_however_many_reasons() {
    let mut bench = terminating();
    bench.happens(Event::StopRequested);
    bench.hears("notify", &json!({"timestamp": 1, "jobs": {}}));
    bench.rejects("job-1/get", "TerminalStateReached", None);
    assert_eq!(bench.deeds(), ["stop job-1 0.1", "ask job-1"]);
    bench.ends(outcome(Ending::Stopped { killed: false }, ""));
    assert_eq!(bench.deeds(), ["save closed", "release job-1 0.1", "exit"]);
}

#[test]
fn it_does_not_wait_for_ever_for_handler_or_service() {
    for ends in [false, true] {
        let mut bench = terminating();
        bench.happens(Event::LinkDown);
        bench.happens(Event::StopRequested);
        if ends {
            bench.ends(outcome(Ending::Stopped { killed: true }, ""));
        }
        bench.deeds();
        bench.passes(seconds(29));
        assert!(!bench.deeds().contains(&"exit".to_owned()));
        bench.passes(seconds(2));
        assert_eq!(bench.deeds(), ["exit"]);
    }
}

#[test]
fn the_second_request_ends_it_at_once() {
    let mut bench = terminating();
    bench.happens(Event::StopRequested);
    bench.deeds();
    bench.happens(Event::StopRequested);
    assert_eq!(bench.deeds(), ["exit"]);
}
