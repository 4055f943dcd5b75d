//! SUCCEEDED only if it is true, and the truth in words otherwise.

use std::collections::BTreeMap;
use std::time::Duration;

use agent_core::{Ending, FinalStep, HandlerPolicy, OnInterruption, Settings};
use serde_json::{Value, json};

use crate::bench::{Bench, HOUR, exited, hello, offer, outcome, seconds, settings, steps};

/// Runs the document; each step ends as given. What was reported.
fn verdict(settings: Settings, document: &Value, endings: Vec<agent_core::StepOutcome>) -> Bench {
    let mut bench = Bench::running_with(settings, document);
    let count = endings.len();
    for (index, outcome) in endings.into_iter().enumerate() {
        assert_eq!(bench.started.len(), index + 1, "a step more is run");
        bench.ends(outcome);
    }
    assert_eq!(bench.started.len(), count, "and not one too many");
    bench
}

/// R3: the Device Client takes a failure for a success if `allowStdErr` is set.
/// The rule: SUCCEEDED is exit code 0 and at most so many lines.
#[test]
fn allow_std_err_is_a_limit_and_no_pardon() {
    let two = "one\ntwo\n";
    for (allowed, code, stderr, status) in [
        (None, 0, "", "SUCCEEDED"),
        (None, 0, "one", "FAILED"),
        (Some(1), 0, "one", "SUCCEEDED"),
        (Some(1), 0, two, "FAILED"),
        (Some(2), 0, two, "SUCCEEDED"),
        (Some(2), 1, "", "FAILED"),
        (Some(2), 1, two, "FAILED"),
    ] {
        let mut document = hello();
        if let Some(allowed) = allowed {
            document["allowStdErr"] = json!(allowed);
        }
        let bench = verdict(settings(), &document, vec![outcome(Ending::Exited { code }, stderr)]);
        assert_eq!(bench.update()["status"], status, "{allowed:?} {code} {stderr:?}");
    }
}

#[test]
fn without_allow_std_err_the_two_forms_differ_and_both_can_be_set() {
    let noisy = || vec![outcome(Ending::Exited { code: 0 }, "a\nb\nc\n")];
    let stepwise = steps(&[json!({})]);
    assert_eq!(verdict(settings(), &hello(), noisy()).update()["status"], "FAILED");
    assert_eq!(verdict(settings(), &stepwise, noisy()).update()["status"], "SUCCEEDED");
    let mut other = settings();
    other.default_allow_std_err_flat = None;
    other.default_allow_std_err_step = Some(2);
    assert_eq!(verdict(other.clone(), &hello(), noisy()).update()["status"], "SUCCEEDED");
    assert_eq!(verdict(other, &stepwise, noisy()).update()["status"], "FAILED");
}

/// R1: a death by signal counts as success there; R4: and every failure has the wrong words.
#[test]
fn every_ending_has_its_own_words_and_only_exit_0_succeeds() {
    let not_started = || "cannot start /h/hello: permission denied".to_owned();
    for (ending, status, words) in [
        (Ending::Exited { code: 0 }, "SUCCEEDED", "exited with status: 0"),
        (Ending::Exited { code: 1 }, "FAILED", "exited with status: 1"),
        (Ending::Exited { code: 255 }, "FAILED", "exited with status: 255"),
        (Ending::Killed { signal: 9 }, "FAILED", "killed by signal: 9 (SIGKILL)"),
        (Ending::Killed { signal: 11 }, "FAILED", "killed by signal: 11 (SIGSEGV)"),
        (Ending::Killed { signal: 40 }, "FAILED", "killed by signal: 40"),
        (Ending::TimedOut { killed: false }, "FAILED", "timed out"),
        (Ending::TimedOut { killed: true }, "FAILED", "SIGKILL"),
        (
            Ending::Stopped { killed: false },
            "FAILED",
            "its keeper was told to, nobody knows by whom (SIGTERM)",
        ),
        (Ending::OutOfMemory, "FAILED", "out of memory"),
        (Ending::Lost, "FAILED", "interrupted"),
        (Ending::Interrupted, "FAILED", "restart of the machine"),
        (Ending::CouldNotStart { reason: not_started() }, "FAILED", "permission denied"),
    ] {
        let bench = verdict(settings(), &hello(), vec![outcome(ending.clone(), "")]);
        assert_eq!(bench.update()["status"], status, "{ending:?}");
        let reason = bench.detail("reason");
        assert!(reason.contains(words), "{ending:?}: {reason}");
    }
}

/// R5: there, standard output always leaves the device.
#[test]
fn standard_output_is_reported_only_if_asked_for() {
    for (asked, wanted) in [(json!(false), ""), (json!(null), ""), (json!(true), "what it printed\n")] {
        for code in [0, 1] {
            let mut document = hello();
            document["includeStdOut"] = asked.clone();
            let bench = verdict(settings(), &document, vec![exited(code)]);
            assert_eq!(bench.detail("stdout"), wanted, "{asked}");
        }
    }
}

#[test]
fn standard_error_is_reported_with_either_verdict() {
    let mut document = hello();
    document["allowStdErr"] = json!(5);
    for code in [0, 3] {
        let bench = verdict(settings(), &document, vec![outcome(Ending::Exited { code }, "careful\n")]);
        assert_eq!(bench.detail("stderr"), "careful\n");
    }
}

#[test]
fn whatever_a_handler_writes_the_details_are_fit_for_the_service() {
    let wild: String = (1..3000_u32).filter_map(char::from_u32).cycle().take(4000).collect();
    let document = steps(&[json!({"name": wild}), json!({})]);
    let bench = verdict(settings(), &document, vec![outcome(Ending::Exited { code: 2 }, &wild)]);
    let details = bench.update()["statusDetails"].as_object().expect("there are details");
    assert!(details.len() <= 10);
    for (key, value) in details {
        let value = value.as_str().expect("a string");
        assert!((1..=1024).contains(&value.encode_utf16().count()), "{key}");
        assert!(!value.chars().any(|c| c.is_control() && !"\n\r\t".contains(c)), "{key}");
    }
    assert!(bench.detail("reason").contains("exited with status: 2"), "the words after a long name are kept");
}

#[test]
fn steps_run_in_order_and_the_first_failure_ends_the_job() {
    let three = steps(&[json!({}), json!({}), json!({})]);
    let bench = verdict(settings(), &three, vec![exited(0), exited(0), exited(0)]);
    assert_eq!(bench.update()["status"], "SUCCEEDED");
    let names: Vec<_> = bench.started.iter().map(|run| run.step.name.clone()).collect();
    assert_eq!(names, ["step-1", "step-2", "step-3"]);
    let bench = verdict(settings(), &three, vec![exited(0), exited(4)]);
    assert_eq!(bench.update()["status"], "FAILED");
    assert_eq!(bench.detail("reason"), "Step 2 of 3 (step-2) exited with status: 4");
}

#[test]
fn an_ignored_failure_goes_on_and_is_told() {
    let document = steps(&[json!({"ignoreStepFailure": true}), json!({})]);
    let bench = verdict(settings(), &document, vec![exited(7), exited(0)]);
    assert_eq!(bench.update()["status"], "SUCCEEDED");
    let reason = bench.detail("reason");
    assert!(reason.contains("ignored: Step 1 of 2 (step-1) exited with status: 7"), "{reason}");
    let bench = verdict(settings(), &document, vec![exited(7), exited(1)]);
    assert_eq!(bench.update()["status"], "FAILED");
}

#[test]
fn the_final_step_runs_after_success_and_after_failure_if_that_is_set() {
    let mut document = steps(&[json!({}), json!({})]);
    document["finalStep"] =
        json!({"action": {"name": "last", "type": "runCommand", "input": {"command": "sync"}}});
    let bench = verdict(settings(), &document, vec![exited(0), exited(0), exited(0)]);
    assert_eq!(bench.update()["status"], "SUCCEEDED");
    assert_eq!(bench.started[2].step.name, "last");
    let bench = verdict(settings(), &document, vec![exited(0), exited(0), exited(1)]);
    assert_eq!(bench.update()["status"], "FAILED");
    assert_eq!(bench.detail("reason"), "Final step (last) exited with status: 1");
    let bench = verdict(settings(), &document, vec![exited(1)]);
    assert_eq!(bench.update()["status"], "FAILED");
    let mut always = settings();
    always.final_step = FinalStep::Always;
    let bench = verdict(always.clone(), &document, vec![exited(1), exited(0)]);
    assert_eq!(bench.started[1].step.name, "last");
    assert_eq!(bench.update()["status"], "FAILED", "a final step mends nothing");
    assert_eq!(bench.detail("reason"), "Step 1 of 2 (step-1) exited with status: 1");
    let bench = verdict(always, &document, vec![exited(1), exited(2)]);
    assert_eq!(
        bench.detail("reason"),
        "Step 1 of 2 (step-1) exited with status: 1; Final step (last) exited with status: 2"
    );
}

#[test]
fn what_is_left_running_is_told() {
    let mut left = exited(0);
    left.left_behind = 2;
    let bench = verdict(settings(), &hello(), vec![left]);
    assert_eq!(bench.update()["status"], "SUCCEEDED");
    assert_eq!(bench.detail("reason"), "Job exited with status: 0; 2 processes left running by Job");
}

#[test]
fn a_handler_knows_what_it_is_run_for_and_how_long_it_may_run() {
    let mut own = settings();
    own.environment = vec![("SITE".to_owned(), "mill".to_owned())];
    let policy = HandlerPolicy { timeout: Some(seconds(30)), ..HandlerPolicy::default() };
    own.handlers = BTreeMap::from([("hello".to_owned(), policy)]);
    let bench = Bench::running_with(own, &hello());
    let run = &bench.started[0];
    for (name, value) in [("SITE", "mill"), ("JOB_ID", "job-1"), ("THING_NAME", "t1"), ("ATTEMPT", "1")] {
        assert!(run.environment.contains(&(name.to_owned(), value.to_owned())), "{name}");
    }
    assert_eq!((run.time_limit, run.grace), (seconds(30), seconds(10)));
    assert_eq!(bench.update()["stepTimeoutInMinutes"], 16, "30 seconds and a quarter of an hour");
}

#[test]
fn a_document_can_ask_for_less_time_and_not_for_more() {
    let limit = |asked: u64| {
        let flat = json!({"operation": "hello", "timeoutSeconds": asked});
        let own = Settings { step_timeout: seconds(600), ..settings() };
        let bench = Bench::running_with(own.clone(), &flat);
        let in_steps = Bench::running_with(own, &steps(&[json!({"timeoutSeconds": asked})]));
        assert_eq!(bench.started[0].time_limit, in_steps.started[0].time_limit);
        let minutes = bench.started[0].time_limit.as_secs().div_ceil(60) + 15;
        assert_eq!(bench.update()["stepTimeoutInMinutes"], minutes, "so does the timer of the service");
        bench.started[0].time_limit
    };
    assert_eq!((limit(20), limit(600), limit(86_400)), (seconds(20), seconds(600), seconds(600)));
    assert_eq!(limit(u64::MAX), seconds(600));
}

#[test]
fn the_user_is_an_argument_of_handlers_in_the_form_for_which_the_operator_wants_it() {
    let given = |settings: Settings, document: &Value| {
        Bench::running_with(settings, document).started[0].user_argument
    };
    let (flat, handler) = (hello(), steps(&[json!({})]));
    assert_eq!((given(settings(), &flat), given(settings(), &handler)), (false, true), "the defaults");
    let mut turned = settings();
    (turned.user_argument_flat, turned.user_argument_steps) = (true, false);
    assert_eq!((given(turned.clone(), &flat), given(turned.clone(), &handler)), (true, false));
    turned.user_argument_steps = true;
    let command = json!({"version": "1.0", "steps": [
        {"action": {"name": "a", "type": "runCommand", "input": {"command": "true"}}},
    ]});
    assert!(!given(turned, &command), "a command is no handler");
}

/// What the service says of the execution in hand: the time that its timers leave.
fn with_time_left(seconds: i64, version: u64) -> Value {
    let mut known = offer("job-1", version, &hello());
    known["status"] = json!("IN_PROGRESS");
    known["approximateSecondsBeforeTimedOut"] = json!(seconds);
    json!({ "execution": known })
}

fn told_of_the_timer(seconds_left: i64) -> (Bench, Duration) {
    let mut bench = Bench::running();
    bench.passes(seconds(20));
    assert_eq!(bench.deeds(), ["ask job-1"]);
    bench.accepts("job-1/get", &with_time_left(seconds_left, 2));
    let begin = bench.now;
    if bench.deeds().is_empty() {
        bench.now = bench.agent.deadline().expect("it minds the timer");
        bench.happens(agent_core::Event::DeadlineReached);
        assert_eq!(bench.deeds(), ["stop job-1 0.1"]);
    }
    let waited = bench.now.since(begin);
    (bench, waited)
}

#[test]
fn a_handler_is_stopped_before_the_services_own_timer_runs_out() {
    for (left, waited) in
        [(100, seconds(80)), (7200, seconds(7130)), (10, seconds(4)), (0, seconds(0)), (-5, seconds(0))]
    {
        let (mut bench, found) = told_of_the_timer(left);
        assert_eq!(found, waited, "{left} seconds left");
        bench.ends(outcome(Ending::Stopped { killed: false }, ""));
        assert_eq!(bench.update()["status"], "FAILED");
        assert!(bench.detail("reason").contains("timed out"), "{}", bench.detail("reason"));
    }
}

/// The service may be asked before it has heard that the next step has begun: a link that was away, an update that was
/// lost. What it says then is about the timer of the step before, which may have been a short one.
#[test]
fn the_timer_of_the_step_before_does_not_stop_the_one_that_runs() {
    let second_step_is_known = |left: i64| {
        let mut bench = Bench::running_with(settings(), &steps(&[json!({}), json!({})]));
        bench.ends(exited(0));
        bench.happens(agent_core::Event::LinkDown);
        bench.happens(agent_core::Event::LinkUp);
        bench.accepts("$next/get", &with_time_left(left, 2));
        bench.accepts("job-1/get", &with_time_left(left, 2));
        bench
    };
    let mut bench = second_step_is_known(900);
    bench.deeds();
    bench.updated("IN_PROGRESS", 3);
    assert_eq!(bench.deeds(), ["ask job-1"], "what its timers are now");
    bench.accepts("job-1/get", &with_time_left(87_300, 3));
    bench.passes(3 * HOUR);
    assert!(!bench.deeds().contains(&"stop job-1 1.1".to_owned()));
    let mut bench = second_step_is_known(900);
    bench.passes(HOUR);
    assert!(bench.deeds().contains(&"stop job-1 1.1".to_owned()), "as long as no other one is set it counts");
}

/// Found by the simulation: the service had agreed, and refused for a quarter of an hour to say whether it still did.
#[test]
fn a_step_that_starts_long_after_the_service_has_agreed_sets_the_step_timer_anew() {
    let mut bench = Bench::announcing(settings(), &hello());
    bench.hears("notify", &json!({"timestamp": 1, "jobs": {}}));
    bench.updated("IN_PROGRESS", 2);
    bench.deeds();
    bench.passes(HOUR);
    bench.deeds();
    while !bench.said().contains(&"ask job-1".to_owned()) {
        bench.passes(seconds(1));
    }
    bench.accepts("job-1/get", &with_time_left(83_000, 2));
    assert_eq!(bench.deeds(), ["save starting job-1 0.1", "start job-1 0.1", "tell job-1 IN_PROGRESS"]);
    assert_eq!(bench.update()["stepTimeoutInMinutes"], 24 * 60 + 15);
}

#[test]
fn a_timer_that_has_been_set_anew_is_asked_for_before_what_was_heard_of_the_old_one_counts() {
    let mut slow = settings();
    slow.progress_interval = seconds(30);
    let mut bench = Bench::running_with(slow, &hello());
    bench.passes(seconds(20));
    bench.accepts("job-1/get", &with_time_left(1000, 2));
    bench.deeds();
    let mut progress = agent_core::Progress::default();
    progress.facts.insert("progress".to_owned(), "half".to_owned());
    let run = bench.started[0].run.clone();
    bench.happens(agent_core::Event::Reported { run, progress });
    bench.updated("IN_PROGRESS", 3);
    assert_eq!(bench.said(), ["tell job-1 IN_PROGRESS"], "there is time");
    bench.passes(seconds(635));
    assert_eq!(bench.deeds(), ["ask job-1"]);
    bench.accepts("job-1/get", &with_time_left(90_000, 3));
    bench.passes(HOUR);
    assert_eq!(bench.deeds(), [""; 0]);
}

#[test]
fn a_handler_that_ended_well_just_before_it_was_stopped_has_succeeded() {
    let (mut bench, _) = told_of_the_timer(100);
    bench.ends(exited(0));
    assert_eq!(bench.update()["status"], "SUCCEEDED");
}

#[test]
fn a_lost_handler_is_run_again_only_by_its_policy_and_so_often() {
    let mut again = settings();
    let policy =
        HandlerPolicy { on_interruption: OnInterruption::Rerun, max_attempts: 2, ..HandlerPolicy::default() };
    again.handlers = BTreeMap::from([("hello".to_owned(), policy)]);
    let mut bench = Bench::running_with(again, &hello());
    bench.ends(outcome(Ending::Lost, ""));
    assert_eq!(
        bench.deeds(),
        ["save ended job-1 0.1", "tell job-1 IN_PROGRESS", "release job-1 0.1"],
        "the service has to agree once more"
    );
    bench.updated("IN_PROGRESS", 3);
    assert_eq!(bench.deeds(), ["save starting job-1 0.2", "start job-1 0.2"]);
    bench.ends(outcome(Ending::Interrupted, ""));
    assert_eq!(bench.deeds(), ["save decided FAILED", "tell job-1 FAILED", "release job-1 0.2"]);
}
