//! What the service offers, what becomes of it, and what is believed about what is in hand.

use agent_core::{Ending, Event, ExecutionId, HandlerPolicy, OnInterruption, Refused, Settings};
use jobs_protocol::EpochSeconds;
use serde_json::{Value, json};

use crate::bench::{Bench, HOUR, JOB, exited, hello, id_of, offer, outcome, seconds, settings, steps};

fn in_progress(job: &str, version: u64) -> Value {
    let mut execution = offer(job, version, &hello());
    execution["status"] = json!("IN_PROGRESS");
    execution
}

fn summary(job: &str, version: u64) -> Value {
    json!({"jobId": job, "queuedAt": 1000, "lastUpdatedAt": 1000, "executionNumber": 1, "versionNumber": version})
}

/// R9: the Device Client has no test whether it is busy.
#[test]
fn another_job_waits_for_the_one_in_hand() {
    let mut bench = Bench::running();
    bench.notify_next(&offer("job-2", 1, &hello()));
    assert_eq!(bench.deeds(), ["ask job-1"], "why is another one in front?");
    bench.accepts("job-1/get", &json!({"execution": in_progress(JOB, 2)}));
    bench.passes(HOUR);
    assert_eq!(bench.started.len(), 1);
    assert!(!bench.deeds().iter().any(|deed| deed.contains("job-2")));
    bench.ends(exited(0));
    bench.updated("SUCCEEDED", 3);
    bench.deeds();
    bench.notify_next(&offer("job-2", 1, &hello()));
    assert_eq!(bench.deeds(), ["inspect job-2"]);
}

/// R9, R10: the same job again, at any moment of its life, runs once.
#[test]
fn the_same_job_offered_again_at_any_moment_runs_once() {
    let mut bench = Bench::offered(settings(), &hello());
    bench.notify_next(&offer(JOB, 1, &hello()));
    bench.inspected(None);
    bench.notify_next(&offer(JOB, 1, &hello()));
    bench.inspected(None);
    bench.updated("IN_PROGRESS", 2);
    bench.notify_next(&offer(JOB, 1, &hello()));
    bench.notify_next(&in_progress(JOB, 2));
    bench.inspected(None);
    bench.ends(exited(0));
    bench.notify_next(&in_progress(JOB, 2));
    bench.updated("SUCCEEDED", 3);
    bench.notify_next(&offer(JOB, 1, &hello()));
    bench.notify_next(&in_progress(JOB, 2));
    bench.passes(seconds(1));
    assert_eq!(bench.started.len(), 1);
    let deeds = bench.deeds();
    assert_eq!(deeds.iter().filter(|deed| deed.starts_with("save accepted")).count(), 1, "{deeds:?}");
}

/// R10: the memory of what has run outlives a restart.
#[test]
fn what_is_finished_and_still_open_at_the_service_is_reported_again_and_not_run() {
    let journal = Bench::finished().journal;
    for restart in [false, true] {
        let mut bench = if restart { Bench::with(settings(), &journal) } else { Bench::finished() };
        bench.happens(Event::LinkUp);
        bench.deeds();
        bench.notify_next(&in_progress(JOB, 2));
        bench.passes(seconds(3));
        assert!(bench.deeds().iter().all(|deed| deed.starts_with("ask")), "old news proves nothing");
        bench.happens(Event::LinkUp);
        bench.deeds();
        bench.accepts("$next/get", &json!({"execution": in_progress(JOB, 2)}));
        assert_eq!(bench.deeds(), ["tell job-1 SUCCEEDED"]);
        bench.updated("SUCCEEDED", 3);
        assert_eq!(bench.deeds(), ["save closed"]);
        assert_eq!(bench.started.len(), usize::from(!restart));
        assert_eq!(bench.agent.saved().to_records().len(), 1, "it stands in the ledger once");
    }
}

#[test]
fn the_same_name_queued_at_another_time_is_another_execution() {
    let mut bench = Bench::finished();
    let mut anew = offer(JOB, 1, &hello());
    anew["queuedAt"] = json!(2000);
    bench.notify_next(&anew);
    assert_eq!(bench.deeds(), ["inspect job-1"]);
}

#[test]
fn the_same_name_with_another_number_is_another_execution() {
    let mut bench = Bench::finished();
    let mut retry = offer(JOB, 1, &hello());
    retry["executionNumber"] = json!(2);
    bench.notify_next(&retry);
    assert_eq!(bench.deeds(), ["inspect job-1"]);
}

#[test]
fn a_fresh_answer_with_a_lower_version_and_queued_is_another_execution() {
    let mut bench = Bench::finished();
    bench.happens(Event::LinkUp);
    bench.deeds();
    bench.accepts("$next/get", &json!({"execution": offer(JOB, 1, &hello())}));
    assert_eq!(bench.deeds(), ["inspect job-1"]);
}

/// L7: the Device Client never learns of a cancel.
#[test]
fn a_cancelled_job_is_stopped_and_nothing_more_is_sent_for_it() {
    for code in ["TerminalStateReached", "ResourceNotFound"] {
        let mut bench = Bench::running();
        bench.hears("notify", &json!({"timestamp": 1, "jobs": {}}));
        assert_eq!(bench.deeds(), ["ask job-1"]);
        bench.rejects("job-1/get", code, None);
        if code == "ResourceNotFound" {
            assert_eq!(
                bench.deeds(),
                [""; 0],
                "one such answer may come from a part of the service that lags behind"
            );
            bench.passes(seconds(3));
            assert_eq!(bench.deeds(), ["ask job-1"]);
            bench.rejects("job-1/get", code, None);
        }
        assert_eq!(bench.deeds(), ["stop job-1 0.1"]);
        bench.passes(seconds(5));
        bench.hears("notify", &json!({"timestamp": 1, "jobs": {}}));
        bench.deeds();
        bench.ends(outcome(Ending::Stopped { killed: true }, ""));
        assert_eq!(bench.deeds(), ["save closed", "release job-1 0.1"], "{code}");
        bench.passes(HOUR);
        assert!(!bench.said().iter().any(|said| said.starts_with("tell")), "{code}");
    }
}

#[test]
fn absence_from_the_list_alone_is_no_proof() {
    let mut bench = Bench::running();
    for _ in 0..3 {
        bench.hears("notify", &json!({"timestamp": 1, "jobs": {"QUEUED": [summary("job-2", 1)]}}));
        assert_eq!(bench.deeds(), ["ask job-1"]);
        bench.accepts("job-1/get", &json!({"execution": in_progress(JOB, 2)}));
        assert_eq!(bench.deeds(), [""; 0]);
    }
    bench.hears("notify", &json!({"timestamp": 1, "jobs": {"IN_PROGRESS": [summary(JOB, 2)]}}));
    assert_eq!(bench.deeds(), [""; 0], "it is in the list");
    let mut anew = summary(JOB, 1);
    anew["queuedAt"] = json!(2000);
    bench.hears("notify", &json!({"timestamp": 1, "jobs": {"QUEUED": [anew]}}));
    assert_eq!(bench.deeds(), ["ask job-1"], "that is another one of the same name");
}

#[test]
fn a_job_that_went_away_while_the_link_was_down_is_stopped() {
    let mut bench = Bench::running();
    bench.happens(Event::LinkDown);
    bench.passes(HOUR);
    bench.happens(Event::LinkUp);
    bench.accepts("get", &json!({}));
    bench.accepts("$next/get", &json!({}));
    bench.passes(seconds(1));
    bench.rejects("job-1/get", "TerminalStateReached", None);
    assert_eq!(bench.deeds().last().map(String::as_str), Some("stop job-1 0.1"));
}

#[test]
fn a_number_that_was_given_to_a_new_execution_ends_the_old_one() {
    let mut bench = Bench::running();
    let mut anew = offer(JOB, 1, &hello());
    anew["queuedAt"] = json!(2000);
    bench.notify_next(&anew);
    assert_eq!(bench.deeds(), ["ask job-1"]);
    bench.accepts("job-1/get", &json!({"execution": anew}));
    assert_eq!(bench.deeds(), ["stop job-1 0.1"]);
    bench.ends(outcome(Ending::Stopped { killed: false }, ""));
    assert_eq!(bench.deeds(), ["save closed", "inspect job-1", "release job-1 0.1"]);
}

/// The queueing time is given in whole seconds: within one, the version tells the two apart.
#[test]
fn a_number_that_was_given_anew_within_the_same_second_ends_the_old_one() {
    let mut bench = Bench::running();
    bench.hears("notify", &json!({"timestamp": 1, "jobs": {}}));
    bench.accepts("job-1/get", &json!({"execution": offer(JOB, 1, &hello())}));
    assert_eq!(
        bench.deeds(),
        ["ask job-1"],
        "one such answer may come from a part of the service that lags behind"
    );
    bench.passes(seconds(3));
    bench.accepts("job-1/get", &json!({"execution": offer(JOB, 1, &hello())}));
    assert_eq!(bench.deeds(), ["ask job-1", "stop job-1 0.1"]);
}

/// A report must not hit a new execution that has been given the name of the one that it is about.
#[test]
fn a_version_that_has_gone_down_is_not_taken_over_but_asked_about() {
    let mut bench = Bench::reporting();
    bench.rejects("job-1/update", "VersionMismatch", Some(("QUEUED", 1)));
    assert_eq!(bench.deeds(), ["ask job-1"]);
    let mut anew = offer(JOB, 1, &hello());
    anew["queuedAt"] = json!(2000);
    bench.accepts("job-1/get", &json!({"execution": anew}));
    assert_eq!(bench.deeds(), ["save closed"]);
    bench.passes(HOUR);
    assert!(!bench.said().iter().any(|said| said.starts_with("tell")));
}

/// After a gap nobody knows whether the name still means the same execution.
#[test]
fn after_a_gap_the_service_is_asked_before_it_is_told() {
    let mut bench = Bench::announcing(settings(), &hello());
    bench.happens(Event::LinkDown);
    bench.deeds();
    bench.passes(HOUR);
    bench.happens(Event::LinkUp);
    assert_eq!(bench.said(), ["ask $next", "ask list", "ask job-1"]);
    bench.passes(seconds(5));
    assert_eq!(bench.said(), [""; 0]);
    let mut anew = offer(JOB, 1, &hello());
    anew["queuedAt"] = json!(2000);
    bench.accepts("job-1/get", &json!({"execution": anew}));
    assert_eq!(bench.deeds(), ["save dropped"]);

    let mut bench = Bench::announcing(settings(), &hello());
    bench.happens(Event::LinkDown);
    bench.happens(Event::LinkUp);
    bench.deeds();
    bench.accepts("job-1/get", &json!({"execution": offer(JOB, 1, &hello())}));
    assert_eq!(bench.deeds(), ["tell job-1 IN_PROGRESS"]);
}

#[test]
fn an_execution_in_progress_that_nobody_here_knows_is_failed_as_interrupted() {
    let mut bench = Bench::idle();
    bench.notify_next(&in_progress(JOB, 4));
    assert_eq!(bench.deeds(), ["save decided FAILED", "tell job-1 FAILED"]);
    assert!(bench.detail("reason").starts_with("interrupted"), "{}", bench.detail("reason"));
    assert_eq!(bench.update()["expectedVersion"], 4);
    bench.updated("FAILED", 5);
    assert!(bench.started.is_empty());
}

#[test]
fn an_execution_in_progress_that_nobody_here_knows_is_run_again_if_its_policy_says_so() {
    let mut bench = Bench::idle_with(may_run_twice());
    bench.notify_next(&in_progress(JOB, 4));
    assert_eq!(bench.deeds(), ["save accepted", "tell job-1 IN_PROGRESS"]);
    bench.updated("IN_PROGRESS", 5);
    assert_eq!(bench.deeds(), ["save starting job-1 0.2", "start job-1 0.2"], "the first was another life's");
    bench.ends(outcome(Ending::Lost, ""));
    assert_eq!(bench.update()["status"], "FAILED");
}

/// Something of it has run here: that must be remembered.
#[test]
fn a_job_that_is_cancelled_between_two_attempts_stays_in_the_ledger() {
    let mut bench = Bench::running_with(may_run_twice(), &hello());
    bench.ends(outcome(Ending::Lost, ""));
    bench.deeds();
    bench.rejects("job-1/update", "InvalidStateTransition", Some(("CANCELED", 3)));
    assert_eq!(bench.deeds(), ["save closed"]);
}

fn may_run_twice() -> Settings {
    let policy =
        HandlerPolicy { on_interruption: OnInterruption::Rerun, max_attempts: 2, ..HandlerPolicy::default() };
    let mut settings = settings();
    settings.handlers.insert("hello".to_owned(), policy);
    settings
}

#[test]
fn what_was_next_before_a_gap_is_asked_for_anew() {
    let mut bench = Bench::offered(settings(), &hello());
    bench.notify_next(&offer("job-2", 1, &hello()));
    bench.happens(Event::LinkDown);
    bench.inspected(None);
    bench.happens(Event::LinkUp);
    bench.deeds();
    bench.rejects("job-1/get", "TerminalStateReached", None);
    assert_eq!(bench.deeds(), ["save dropped"], "and job-2 may be gone as well");
}

#[test]
fn once_the_end_is_decided_no_more_is_asked_about_the_job() {
    let mut bench = Bench::running();
    bench.hears("notify", &json!({"timestamp": 1, "jobs": {}}));
    assert_eq!(bench.deeds(), ["ask job-1"]);
    bench.ends(exited(0));
    bench.passes(seconds(60));
    let said = bench.said();
    assert!(!said.is_empty() && said.iter().all(|said| said == "tell job-1 SUCCEEDED"), "{said:?}");
}

/// The service sends its answers in any order.
#[test]
fn an_answer_that_is_older_than_an_update_is_not_believed() {
    let mut bench = Bench::running_with(settings(), &steps(&[json!({}), json!({})]));
    bench.hears("notify", &json!({"timestamp": 1, "jobs": {}}));
    let old = bench.request("job-1/get")["clientToken"].clone();
    bench.ends(exited(0));
    bench.deeds();
    bench.updated("IN_PROGRESS", 3);
    assert_eq!(bench.deeds(), ["ask job-1"], "asked anew");
    bench.hears("job-1/get/accepted", &json!({"clientToken": old, "execution": in_progress(JOB, 2)}));
    bench.ends(exited(0));
    assert_eq!(bench.update()["expectedVersion"], 3);
}

#[test]
fn a_version_that_was_heard_is_the_one_that_the_report_expects() {
    let mut bench = Bench::running();
    bench.hears("notify", &json!({"timestamp": 1, "jobs": {}}));
    bench.accepts("job-1/get", &json!({"execution": in_progress(JOB, 5)}));
    bench.ends(exited(0));
    assert_eq!(bench.update()["expectedVersion"], 5);
}

/// Nobody knows how old a notification is.
#[test]
fn a_notification_does_not_take_the_version_back() {
    let mut bench = Bench::running_with(settings(), &steps(&[json!({}), json!({})]));
    bench.ends(exited(0));
    bench.updated("IN_PROGRESS", 3);
    bench.notify_next(&in_progress(JOB, 2));
    bench.ends(exited(0));
    assert_eq!(bench.update()["expectedVersion"], 3);
}

/// One answer that a job is gone needs another one; an answer about an earlier job is not that.
#[test]
fn a_suspicion_ends_with_the_job_that_it_was_about() {
    let mut bench = Bench::running();
    bench.hears("notify", &json!({"timestamp": 1, "jobs": {}}));
    bench.rejects("job-1/get", "ResourceNotFound", None);
    bench.ends(exited(0));
    bench.updated("SUCCEEDED", 3);
    let mut anew = offer(JOB, 1, &hello());
    anew["queuedAt"] = json!(2000);
    bench.notify_next(&anew);
    let execution = ExecutionId { queued_at: EpochSeconds(2000), ..id_of(JOB) };
    bench.happens(Event::Inspected { execution, refused: None });
    bench.updated("IN_PROGRESS", 2);
    assert_eq!(bench.started.len(), 2);
    bench.hears("notify", &json!({"timestamp": 1, "jobs": {}}));
    bench.deeds();
    bench.rejects("job-1/get", "ResourceNotFound", None);
    assert_eq!(bench.deeds(), [""; 0], "asked again before a good handler is stopped");
    bench.passes(seconds(2));
    assert_eq!(bench.deeds(), ["ask job-1"]);
    bench.rejects("job-1/get", "ResourceNotFound", None);
    assert_eq!(bench.deeds(), ["stop job-1 0.1"]);
}

/// A part of the service that lags behind may still offer it as it was before it was run.
#[test]
fn a_finished_execution_that_was_taken_for_a_new_one_is_recognised_by_its_version() {
    // The version that it was left with here, or a later one.
    for version in [3, 4] {
        let mut bench = Bench::finished();
        bench.happens(Event::LinkUp);
        bench.accepts("$next/get", &json!({"execution": offer(JOB, 1, &hello())}));
        bench.inspected(None);
        bench.deeds();
        bench.rejects("job-1/update", "VersionMismatch", Some(("IN_PROGRESS", version)));
        assert_eq!(bench.deeds(), ["tell job-1 SUCCEEDED"], "version {version}");
        bench.updated("SUCCEEDED", version + 1);
        assert_eq!(bench.started.len(), 1, "once, and not again");
    }
}

/// What was never begun has the version with which it was offered, and is no new one for that.
#[test]
fn a_rejected_execution_that_is_offered_as_it_was_gets_its_verdict_again() {
    let mut bench = Bench::offered(settings(), &hello());
    bench.inspected(Some(Refused { step: 0, reason: "no handler".to_owned() }));
    bench.rejects("job-1/update", "ResourceNotFound", None);
    bench.happens(Event::LinkUp);
    bench.deeds();
    bench.accepts("$next/get", &json!({"execution": offer(JOB, 1, &hello())}));
    assert_eq!(bench.deeds(), ["tell job-1 REJECTED"]);
}

#[test]
fn an_older_execution_of_the_same_name_says_nothing_of_this_one() {
    let mut bench = Bench::running();
    bench.hears("notify", &json!({"timestamp": 1, "jobs": {}}));
    let mut older = in_progress(JOB, 9);
    older["queuedAt"] = json!(500);
    bench.deeds();
    bench.accepts("job-1/get", &json!({"execution": older}));
    bench.passes(seconds(2));
    assert_eq!(bench.deeds(), ["ask job-1"], "asked again, and not stopped");
}

/// C5, C6: documents and members that make the Device Client crash at every start.
#[test]
fn a_document_that_cannot_be_run_is_rejected_from_queued_by_name_of_the_member() {
    let deep = format!("{}{}", "[".repeat(4000), "]".repeat(4000));
    let action = |action: Value| json!({"version": "1.0", "steps": [{"action": action}]});
    let documents = [
        (json!({}), "operation"),
        (json!([]), "document"),
        (json!("text"), "document"),
        (json!({"operation": 7}), "operation"),
        (json!({"operation": "x", "args": [1]}), "args[0]"),
        (json!({"operation": "x", "allowStdErr": "many"}), "allowStdErr"),
        (json!({"version": "2.0", "steps": []}), "version"),
        (json!({"version": "1.0"}), "steps"),
        (json!({"version": "1.0", "steps": [{}]}), "steps[0].action"),
        (action(json!({"name": "n", "type": "runHandler"})), "steps[0].action.input"),
        (action(json!({"name": "n", "type": "runHandler", "input": {}})), "steps[0].action.input.handler"),
        (action(json!({"name": "n", "type": "runCommand", "input": {}})), "steps[0].action.input.command"),
    ];
    for (document, member) in documents {
        let bench = Bench::offered(settings(), &document);
        rejected_for(bench, member);
    }
    let mut bench = Bench::idle();
    let text = json!({"timestamp": 1, "execution": offer(JOB, 1, &json!("DEEP"))}).to_string();
    bench.hears_bytes("$aws/things/t1/jobs/notify-next", text.replace("\"DEEP\"", &deep).as_bytes());
    rejected_for(bench, "document");
}

fn rejected_for(mut bench: Bench, member: &str) {
    assert_eq!(bench.deeds(), ["save decided REJECTED", "tell job-1 REJECTED"], "{member}");
    let reason = bench.detail("reason");
    assert!(reason.starts_with(&format!("invalid job document: {member}: ")), "{member}: {reason}");
    bench.updated("REJECTED", 2);
    assert!(bench.started.is_empty());
}

#[test]
fn a_step_whose_file_cannot_be_run_rejects_the_job_before_anything_has_run() {
    let mut bench = Bench::offered(settings(), &steps(&[json!({}), json!({})]));
    bench.deeds();
    bench.inspected(Some(Refused { step: 1, reason: "no handler `handler-2` in /h".to_owned() }));
    assert_eq!(bench.deeds(), ["save decided REJECTED", "tell job-1 REJECTED"]);
    assert_eq!(bench.detail("reason"), "Step 2 of 2 (step-2): no handler `handler-2` in /h");
}

/// R14: the Device Client never looks at conditions.
#[test]
fn conditions_are_held_against_the_facts_of_the_device() {
    let mut facts = settings();
    facts.facts.insert("architecture".to_owned(), "arm64".to_owned());
    facts.facts.insert("site".to_owned(), "mill".to_owned());
    let with = |conditions: Value| {
        let mut document = steps(&[json!({})]);
        document["conditions"] = conditions;
        document
    };
    let arm = json!({"key": "architecture", "value": ["x86_64", "arm64"], "type": "stringEqual"});
    for met in [json!([]), json!([arm]), json!([arm, {"key": "site", "value": ["mill"]}])] {
        let mut bench = Bench::offered(facts.clone(), &with(met));
        assert_eq!(bench.deeds(), ["inspect job-1"]);
    }
    for (unmet, named) in [
        (json!([{"key": "architecture", "value": ["x86_64"]}]), "architecture"),
        (json!([arm, {"key": "site", "value": ["Mill"]}]), "site"),
        (json!([{"key": "colour", "value": ["red"]}]), "colour"),
    ] {
        let mut bench = Bench::offered(facts.clone(), &with(unmet));
        assert_eq!(bench.deeds(), ["save decided REJECTED", "tell job-1 REJECTED"]);
        let reason = bench.detail("reason");
        assert!(reason.starts_with("condition not met") && reason.contains(named), "{reason}");
    }
}

#[test]
fn an_inspection_that_nobody_waits_for_changes_nothing() {
    let mut bench = Bench::running();
    bench.inspected(None);
    bench.happens(Event::Inspected { execution: id_of("job-9"), refused: None });
    assert_eq!(bench.deeds(), [""; 0]);
}

#[test]
fn a_notification_without_a_document_is_followed_by_a_question() {
    let mut bare = offer(JOB, 1, &hello());
    bare.as_object_mut().expect("an object").remove("jobDocument");
    let asked = || {
        let mut bench = Bench::idle();
        bench.notify_next(&bare);
        assert_eq!(bench.deeds(), ["ask $next"]);
        bench
    };
    let mut bench = asked();
    bench.accepts("$next/get", &json!({"execution": offer(JOB, 1, &hello())}));
    assert_eq!(bench.deeds(), ["inspect job-1"]);
    let mut bench = asked();
    bench.accepts("$next/get", &json!({"execution": bare}));
    rejected_for(bench, "document");
}
