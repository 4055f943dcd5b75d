//! After a restart at any moment: the journal and what is left of the handler say how to go on.

use agent_core::journal::Record;
use agent_core::{Ending, Event, Found};
use serde_json::{Value, json};

use crate::bench::{Bench, HOUR, JOB, exited, hello, offer, outcome, seconds, settings, steps};

/// The journal of a job of two steps that went well.
fn story() -> Vec<Record> {
    let mut bench = Bench::running_with(settings(), &steps(&[json!({}), json!({})]));
    bench.ends(exited(0));
    bench.updated("IN_PROGRESS", 3);
    bench.ends(exited(0));
    bench.updated("SUCCEEDED", 4);
    assert_eq!(bench.journal.len(), 6, "accepted, starting, ended, starting, decided, closed");
    bench.journal
}

/// A new life with so much of the journal, connected; the service knows the execution in that version.
fn reborn(journal: &[Record], version: u64) -> Bench {
    let mut bench = Bench::with(settings(), journal);
    bench.happens(Event::LinkUp);
    let known = known(version);
    if bench.said().contains(&"ask job-1".to_owned()) {
        bench.accepts("job-1/get", &json!({"execution": known}));
    }
    bench
}

fn known(version: u64) -> Value {
    let mut execution = offer(JOB, version, &hello());
    execution["status"] = json!(if version == 1 { "QUEUED" } else { "IN_PROGRESS" });
    execution
}

#[test]
fn with_nothing_saved_it_begins_like_new() {
    let mut bench = Bench::with(settings(), &[]);
    assert_eq!(bench.deeds(), [""; 0]);
    bench.happens(Event::LinkUp);
    assert_eq!(bench.deeds(), ["ask $next", "ask list"]);
}

#[test]
fn accepted_and_not_started_the_service_is_told_again_and_then_it_starts() {
    let mut bench = reborn(&story()[..1], 2);
    assert_eq!(bench.said(), ["tell job-1 IN_PROGRESS"]);
    bench.updated("IN_PROGRESS", 3);
    assert_eq!(bench.deeds(), ["save starting job-1 0.1", "start job-1 0.1"]);
}

#[test]
fn a_run_that_may_have_been_started_is_looked_for_and_never_started_again() {
    for found in [Ending::Lost, Ending::Interrupted] {
        let mut bench = Bench::with(settings(), &story()[..2]);
        assert_eq!(bench.deeds(), ["adopt job-1 0.1"]);
        bench.adopted(Found::Ended(outcome(found, "")));
        assert_eq!(bench.deeds(), ["save decided FAILED", "release job-1 0.1"]);
        bench.happens(Event::LinkUp);
        bench.accepts("job-1/get", &json!({"execution": known(2)}));
        assert!(bench.detail("reason").contains("interrupted"));
        bench.updated("FAILED", 3);
        bench.passes(HOUR);
        assert!(bench.started.is_empty());
    }
}

#[test]
fn a_handler_that_runs_on_is_taken_over_and_its_true_end_reported() {
    let mut bench = reborn(&story()[..2], 2);
    bench.adopted(Found::Running);
    bench.passes(HOUR);
    assert!(bench.started.is_empty());
    let run = agent_core::RunId { execution: crate::bench::id_of(JOB), step: 0, attempt: 1 };
    bench.happens(Event::StepEnded { run, outcome: exited(0) });
    let starts: Vec<_> = bench.started.iter().map(|run| (run.run.step, run.run.attempt)).collect();
    assert_eq!(starts, [(1, 1)], "the next step, once");
}

#[test]
fn a_handler_that_ended_while_nobody_looked_is_reported_as_it_ended() {
    let mut bench = Bench::with(settings(), &story()[..4]);
    assert_eq!(bench.deeds(), ["adopt job-1 1.1"]);
    let run = agent_core::RunId { execution: crate::bench::id_of(JOB), step: 1, attempt: 1 };
    bench.happens(Event::Adopted { run, found: Found::Ended(exited(5)) });
    assert_eq!(bench.deeds(), ["save decided FAILED", "release job-1 1.1"]);
}

#[test]
fn a_run_that_was_never_started_is_started_after_the_service_has_agreed_again() {
    let mut bench = reborn(&story()[..2], 2);
    bench.adopted(Found::NeverStarted);
    assert!(bench.started.is_empty());
    bench.updated("IN_PROGRESS", 3);
    assert_eq!(bench.deeds().last().map(String::as_str), Some("start job-1 0.1"));
}

#[test]
fn after_a_step_that_is_saved_the_next_one_is_run() {
    let mut bench = reborn(&story()[..3], 2);
    assert_eq!(bench.said(), ["tell job-1 IN_PROGRESS"]);
    bench.updated("IN_PROGRESS", 3);
    assert_eq!(bench.deeds(), ["save starting job-1 1.1", "start job-1 1.1"]);
}

#[test]
fn what_is_decided_is_reported() {
    let mut bench = reborn(&story()[..5], 3);
    assert_eq!(bench.said(), ["tell job-1 SUCCEEDED"]);
    bench.updated("SUCCEEDED", 4);
    assert_eq!(bench.deeds(), ["save closed"]);
}

#[test]
fn what_is_closed_is_left_alone() {
    let mut bench = reborn(&story(), 4);
    bench.passes(seconds(5));
    assert!(!bench.deeds().iter().any(|deed| deed.contains("job-1")));
}

#[test]
fn a_cancel_that_came_while_the_agent_was_away_stops_the_handler() {
    let mut bench = Bench::with(settings(), &story()[..2]);
    bench.happens(Event::LinkUp);
    bench.rejects("job-1/get", "TerminalStateReached", None);
    bench.deeds();
    bench.adopted(Found::Running);
    assert_eq!(bench.deeds(), ["stop job-1 0.1"]);
}

#[test]
fn what_is_found_of_a_cancelled_job_is_neither_reported_nor_started() {
    for found in [Found::Ended(exited(0)), Found::NeverStarted] {
        let mut bench = Bench::with(settings(), &story()[..2]);
        bench.happens(Event::LinkUp);
        bench.rejects("job-1/get", "TerminalStateReached", None);
        bench.deeds();
        bench.adopted(found.clone());
        assert_eq!(bench.deeds(), ["save closed", "release job-1 0.1"], "{found:?}");
        bench.passes(HOUR);
        assert!(!bench.said().iter().any(|said| said.starts_with("tell")), "{found:?}");
    }
}

/// Its timers at the service may be about to run out: nobody has looked after them meanwhile.
#[test]
fn a_handler_that_was_taken_over_gets_a_new_step_timer_and_the_services_timer_is_asked_for() {
    let mut bench = reborn(&story()[..2], 2);
    bench.adopted(Found::Running);
    let mut said = bench.said();
    said.sort();
    assert_eq!(said, ["ask job-1", "tell job-1 IN_PROGRESS"]);
    assert_eq!(bench.update()["stepTimeoutInMinutes"], 24 * 60 + 15);
}

#[test]
fn a_rewritten_journal_leads_to_the_same() {
    let story = story();
    for length in 0..=story.len() {
        let mut plain = Bench::with(settings(), &story[..length]);
        let mut rewritten = Bench::with(settings(), &plain.agent.saved().to_records());
        assert_eq!(plain.deeds(), rewritten.deeds(), "after {length} records");
        plain.happens(Event::LinkUp);
        rewritten.happens(Event::LinkUp);
        assert_eq!(plain.deeds(), rewritten.deeds(), "after {length} records");
    }
}

/// The journal of a running job, of which what followed cannot be read.
fn damaged(records: usize) -> Vec<Record> {
    let mut journal = story();
    journal.truncate(records);
    journal.push(Record::Damaged);
    journal
}

/// Its end may have been saved and reported, and then what was kept of it was dropped.
#[test]
fn after_damage_a_run_of_which_nothing_is_left_is_not_taken_for_one_that_never_was() {
    let mut bench = reborn(&damaged(2), 2);
    bench.adopted(Found::NeverStarted);
    assert_eq!(bench.update()["status"], "FAILED");
    assert!(
        bench
            .detail("reason")
            .contains("nobody knows whether it ran (the agent's records of it were damaged or removed)")
    );
    bench.updated("FAILED", 3);
    assert!(bench.started.is_empty());
}

#[test]
fn after_damage_nothing_is_begun_or_gone_on_with() {
    for records in [1, 3] {
        let bench = reborn(&damaged(records), 2);
        assert_eq!(bench.update()["status"], "FAILED", "{records}");
        assert!(bench.detail("reason").contains("nobody knows whether or how far it ran"), "{records}");
        assert!(bench.started.is_empty());
    }
}

#[test]
fn after_damage_what_is_found_is_reported_as_it_is() {
    let bench = reborn(&damaged(5), 3);
    assert_eq!(bench.update()["status"], "SUCCEEDED", "a verdict is a verdict");
    let mut bench = reborn(&damaged(2), 2);
    bench.adopted(Found::Ended(exited(3)));
    assert!(bench.detail("reason").contains("exited with status: 3"));
}

#[test]
fn as_long_as_the_handler_of_a_stranger_runs_no_job_is_taken_up() {
    let mut bench = Bench::with(settings(), &[]);
    bench.happens(Event::Strangers { running: vec!["old.1.0".to_owned()] });
    bench.happens(Event::LinkUp);
    bench.accepts("get", &json!({"inProgressJobs": [], "queuedJobs": []}));
    bench.accepts("$next/get", &json!({"execution": offer(JOB, 1, &hello())}));
    bench.notify_next(&offer(JOB, 1, &hello()));
    assert!(
        bench.agent.status().contains("until the handler of old.1.0 has ended"),
        "{}",
        bench.agent.status()
    );
    bench.deeds();
    bench.passes(seconds(600));
    assert_eq!(bench.deeds(), [""; 0]);
    bench.happens(Event::Strangers { running: vec![] });
    bench.accepts("$next/get", &json!({"execution": offer(JOB, 1, &hello())}));
    assert_eq!(bench.deeds(), ["ask $next", "inspect job-1"]);
}

#[test]
fn what_has_been_accepted_is_started_when_the_strangers_are_gone() {
    let mut bench = Bench::with(settings(), &story()[..1]);
    bench.happens(Event::Strangers { running: vec!["old.1.0".to_owned()] });
    bench.happens(Event::LinkUp);
    bench.accepts("job-1/get", &json!({"execution": known(2)}));
    bench.updated("IN_PROGRESS", 3);
    assert!(bench.started.is_empty());
    bench.deeds();
    bench.happens(Event::Strangers { running: vec![] });
    assert_eq!(bench.deeds(), ["save starting job-1 0.1", "start job-1 0.1"]);
}

#[test]
fn beside_a_stranger_the_next_step_waits() {
    let mut bench = reborn(&story()[..2], 2);
    bench.adopted(Found::Running);
    bench.updated("IN_PROGRESS", 3);
    bench.accepts("job-1/get", &json!({"execution": known(3)}));
    bench.happens(Event::Strangers { running: vec!["old.1.0".to_owned()] });
    let run = agent_core::RunId { execution: crate::bench::id_of(JOB), step: 0, attempt: 1 };
    bench.happens(Event::StepEnded { run, outcome: exited(0) });
    bench.updated("IN_PROGRESS", 4);
    assert!(bench.started.is_empty());
    bench.happens(Event::Strangers { running: vec![] });
    assert_eq!(bench.started.len(), 1);
}
