//! A reboot as a part of a step: asked for by the exit code, or done by a handler that is marked for it.

use std::collections::BTreeMap;
use std::time::Duration;

use agent_core::{AfterReboot, Ending, Event, Found, HandlerPolicy, OnInterruption, OnStop, RunId, Settings};
use serde_json::{Value, json};

use crate::bench::{Bench, HOUR, JOB, exited, hello, id_of, offer, outcome, seconds, settings, steps};

/// Settings in which the handler of the first step, or of a flat document, has these marks.
fn marked(after_reboot: Option<AfterReboot>, max_attempts: u32) -> Settings {
    let policy = HandlerPolicy { after_reboot, max_attempts, ..HandlerPolicy::default() };
    let handlers = ["hello", "handler-1"].map(|name| (name.to_owned(), policy.clone()));
    Settings { handlers: BTreeMap::from(handlers), ..settings() }
}

/// Two steps, of which the first has asked for a reboot.
fn asked(settings: Settings) -> Bench {
    let mut bench = Bench::running_with(settings, &steps(&[json!({}), json!({})]));
    bench.ends(exited(194));
    bench
}

/// The same, and the machine has been told to restart.
fn told(settings: Settings) -> Bench {
    let mut bench = asked(settings);
    bench.updated("IN_PROGRESS", 3);
    bench
}

/// The next life in that boot of the machine; the service has the execution in this version.
fn next_life(before: &Bench, boot: &str, settings: Settings, version: u64) -> Bench {
    let mut bench = Bench::in_boot(boot, settings, &before.journal);
    bench.happens(Event::LinkUp);
    let mut execution = offer(JOB, version, &hello());
    execution["status"] = json!("IN_PROGRESS");
    bench.accepts("job-1/get", &json!({ "execution": execution }));
    bench
}

fn runs(bench: &Bench) -> Vec<(u32, u32)> {
    bench.started.iter().map(|run| (run.run.step, run.run.attempt)).collect()
}

#[test]
fn a_reboot_is_saved_then_told_and_then_done() {
    let mut bench = asked(settings());
    assert_eq!(
        bench.deeds(),
        ["save rebooting job-1 0.1 (1)", "tell job-1 IN_PROGRESS", "release job-1 0.1"]
    );
    assert!(bench.detail("progress").contains("reboot"), "{}", bench.update());
    bench.updated("IN_PROGRESS", 3);
    assert_eq!(bench.deeds(), ["reboot"]);
}

#[test]
fn the_step_timer_leaves_time_for_the_reboot() {
    let bench = asked(Settings { step_timeout: seconds(60), ..settings() });
    assert_eq!(bench.update()["stepTimeoutInMinutes"], 1 + 15 + 60);
}

#[test]
fn after_another_boot_the_same_step_is_started_as_the_next_attempt() {
    let mut bench = next_life(&told(settings()), "second", settings(), 3);
    assert_eq!(bench.said(), ["ask $next", "ask list", "ask job-1", "tell job-1 IN_PROGRESS"]);
    assert!(bench.detail("progress").contains("has restarted"), "{}", bench.update());
    bench.updated("IN_PROGRESS", 4);
    assert_eq!(bench.deeds(), ["save starting job-1 0.2", "start job-1 0.2"]);
    let attempt = ("ATTEMPT".to_owned(), "2".to_owned());
    let before = ("BOOT_ID_BEFORE".to_owned(), "first".to_owned());
    for variable in [attempt, before] {
        assert!(bench.started[0].environment.contains(&variable), "{:?}", bench.started[0].environment);
    }
    bench.ends(exited(0));
    assert_eq!(bench.started[1].run.step, 1, "and then the next step");
    let names: Vec<_> = bench.started[1].environment.iter().map(|(name, _)| name.as_str()).collect();
    assert!(!names.contains(&"BOOT_ID_BEFORE"), "which has nothing to do with it: {names:?}");
}

#[test]
fn after_another_boot_the_next_step_is_started_if_the_handler_is_marked_so() {
    let marks = || marked(Some(AfterReboot::NextStep), 1);
    let mut bench = next_life(&told(marks()), "second", marks(), 3);
    bench.updated("IN_PROGRESS", 4);
    assert_eq!(runs(&bench), [(1, 1)]);
    bench.ends(exited(0));
    assert_eq!(bench.update()["status"], "SUCCEEDED");
    assert!(bench.detail("reason").contains("Step 1 of 2 (step-1) has had the machine restarted"));
}

/// Nobody may take it for an exit code 0.
#[test]
fn a_flat_job_that_is_done_with_the_reboot_says_so() {
    let marks = || marked(Some(AfterReboot::NextStep), 1);
    let mut before = Bench::running_with(marks(), &hello());
    before.ends(exited(194));
    before.updated("IN_PROGRESS", 3);
    let bench = next_life(&before, "second", marks(), 3);
    assert_eq!(bench.update()["status"], "SUCCEEDED");
    assert_eq!(bench.detail("reason"), "Job has had the machine restarted");
}

/// The clock may say what it likes, and so may the time since boot.
#[test]
fn without_another_boot_the_reboot_has_not_happened_and_is_asked_for_again_a_few_times() {
    let mut bench = told(settings());
    for again in [2, 3] {
        bench = next_life(&bench, "first", settings(), 3 + again);
        let deeds = bench.deeds();
        assert!(deeds.contains(&format!("save rebooting job-1 0.1 ({again})")), "{deeds:?}");
        bench.updated("IN_PROGRESS", 4 + again);
        assert_eq!(bench.deeds(), ["reboot"]);
    }
    let bench = next_life(&bench, "first", settings(), 7);
    assert_eq!(bench.update()["status"], "FAILED");
    assert!(
        bench.detail("reason").contains("asked 3 times to restart and is still up"),
        "{}",
        bench.update()
    );
    assert!(bench.started.is_empty());
}

#[test]
fn a_limit_on_attempts_ends_a_boot_loop() {
    let mut bench = told(settings());
    for attempt in [2, 3] {
        bench = next_life(&bench, &format!("boot {attempt}"), settings(), 3);
        bench.updated("IN_PROGRESS", 4);
        assert_eq!(runs(&bench), [(0, attempt)]);
        bench.deeds();
        bench.ends(exited(194));
        if attempt == 2 {
            bench.updated("IN_PROGRESS", 5);
            assert!(bench.deeds().contains(&"reboot".to_owned()));
        }
    }
    assert_eq!(bench.deeds(), ["save decided FAILED", "tell job-1 FAILED", "release job-1 0.3"]);
    assert_eq!(
        bench.detail("reason"),
        "Step 1 of 2 (step-1) asked for a reboot (exit status: 194), which was not done: \
         this was attempt 3 of at most 3 (max-attempts)"
    );
}

#[test]
fn when_the_service_does_not_answer_the_machine_is_restarted_all_the_same() {
    let mut bench = asked(settings());
    bench.passes(seconds(29));
    assert!(!bench.deeds().contains(&"reboot".to_owned()), "it is waited for a moment");
    bench.passes(seconds(1));
    assert_eq!(bench.deeds(), ["reboot"]);
}

#[test]
fn without_a_link_the_machine_is_restarted_after_a_moment() {
    let mut bench = Bench::running_with(settings(), &hello());
    bench.happens(Event::LinkDown);
    bench.ends(exited(194));
    bench.passes(seconds(30));
    assert_eq!(bench.deeds(), ["save rebooting job-1 0.1 (1)", "release job-1 0.1", "reboot"]);
}

#[test]
fn a_reboot_that_cannot_be_done_fails_the_step_with_its_reason() {
    let mut bench = told(settings());
    bench.deeds();
    bench.happens(Event::RebootFailed { reason: "systemctl: Access denied".to_owned() });
    assert_eq!(bench.deeds(), ["save decided FAILED", "tell job-1 FAILED", "release job-1 0.1"]);
    assert!(bench.detail("reason").contains("which was not done: systemctl: Access denied"));
}

#[test]
fn a_machine_that_stays_up_fails_the_step() {
    let mut bench = told(settings());
    bench.deeds();
    bench.passes(seconds(599));
    assert_eq!(bench.deeds(), [""; 0]);
    bench.passes(seconds(1));
    assert_eq!(bench.update()["status"], "FAILED");
    assert!(bench.detail("reason").contains("still up 10 minutes later"), "{}", bench.update());
}

#[test]
fn a_step_whose_failure_is_ignored_is_followed_by_the_next_also_if_its_reboot_failed() {
    let mut bench = Bench::running_with(settings(), &steps(&[json!({"ignoreStepFailure": true}), json!({})]));
    bench.ends(exited(194));
    bench.updated("IN_PROGRESS", 3);
    bench.happens(Event::RebootFailed { reason: "no".to_owned() });
    assert_eq!(runs(&bench), [(0, 1), (1, 1)]);
}

#[test]
fn a_job_that_is_cancelled_before_the_machine_is_told_to_restart_leaves_it_up() {
    let mut bench = asked(settings());
    bench.deeds();
    bench.rejects("job-1/update", "InvalidStateTransition", Some(("CANCELED", 3)));
    bench.passes(HOUR);
    let deeds = bench.deeds();
    assert!(deeds.contains(&"save closed".to_owned()) && !deeds.contains(&"reboot".to_owned()), "{deeds:?}");
}

#[test]
fn a_cancel_is_noticed_while_the_reboot_waits_for_the_service() {
    let mut bench = asked(settings());
    bench.notify_next(&Value::Null);
    bench.rejects("job-1/get", "TerminalStateReached", None);
    assert!(bench.deeds().contains(&"save closed".to_owned()));
}

#[test]
fn nothing_else_is_started_on_a_machine_that_goes_down() {
    let mut bench = told(settings());
    bench.notify_next(&offer("job-2", 1, &hello()));
    bench.rejects("job-1/get", "TerminalStateReached", None);
    bench.deeds();
    bench.passes(seconds(590));
    assert!(!bench.deeds().iter().any(|deed| deed.contains("job-2")), "it waits for the reboot");
    bench.passes(seconds(60));
    let deeds = bench.deeds();
    assert!(deeds.contains(&"save closed".to_owned()), "{deeds:?}");
    assert!(!deeds.contains(&"tell job-1 FAILED".to_owned()), "nothing that would be refused: {deeds:?}");
}

#[test]
fn with_the_exit_code_switched_off_it_is_one_like_any_other() {
    let mut bench = asked(Settings { reboot_exit_code: None, ..settings() });
    assert_eq!(bench.deeds()[0], "save decided FAILED");
    assert_eq!(bench.detail("reason"), "Step 1 of 2 (step-1) exited with status: 194");
}

#[test]
fn another_exit_code_can_be_the_one() {
    let mut bench = Bench::running_with(Settings { reboot_exit_code: Some(3), ..settings() }, &hello());
    bench.ends(exited(3));
    assert_eq!(bench.deeds()[0], "save rebooting job-1 0.1 (1)");
}

#[test]
fn a_step_that_has_failed_for_its_standard_error_needs_no_reboot_to_say_so() {
    let marks = marked(Some(AfterReboot::NextStep), 1);
    let mut bench = Bench::running_with(marks, &hello());
    bench.ends(outcome(Ending::Exited { code: 194 }, "oh\n"));
    assert_eq!(bench.deeds()[0], "save decided FAILED");
    assert!(bench.detail("reason").starts_with("Job exited with status: 194, but wrote 1 line"));
}

/// The handler calls `reboot` itself, and the machine takes it along.
#[test]
fn a_handler_that_is_marked_may_reboot_the_machine_by_itself() {
    for (after, expected) in [(AfterReboot::SameStep, (0, 2)), (AfterReboot::NextStep, (1, 1))] {
        let marks = || marked(Some(after), 2);
        let before = Bench::running_with(marks(), &steps(&[json!({}), json!({})]));
        let mut bench = next_life(&before, "second", marks(), 2);
        bench.adopted(Found::Ended(outcome(Ending::Interrupted, "")));
        bench.updated("IN_PROGRESS", 3);
        assert_eq!(runs(&bench), [expected], "{after:?}");
    }
}

#[test]
fn a_marked_handler_that_reboots_the_machine_again_and_again_is_stopped_by_the_limit() {
    let marks = || marked(Some(AfterReboot::SameStep), 2);
    let before = Bench::running_with(marks(), &hello());
    let mut bench = next_life(&before, "second", marks(), 2);
    bench.adopted(Found::Ended(outcome(Ending::Interrupted, "")));
    bench.updated("IN_PROGRESS", 3);
    let mut bench = next_life(&bench, "third", marks(), 3);
    let run = RunId { execution: id_of(JOB), step: 0, attempt: 2 };
    bench.happens(Event::Adopted { run, found: Found::Ended(outcome(Ending::Interrupted, "")) });
    assert_eq!(bench.update()["status"], "FAILED");
}

/// A crash of the agent is not a reboot.
#[test]
fn a_marked_handler_that_is_lost_without_a_reboot_is_judged_as_any_other() {
    for after in [AfterReboot::SameStep, AfterReboot::NextStep] {
        let before = Bench::running_with(marked(Some(after), 2), &hello());
        let mut bench = next_life(&before, "first", marked(Some(after), 2), 2);
        bench.adopted(Found::Ended(outcome(Ending::Lost, "")));
        assert_eq!(bench.update()["status"], "FAILED", "{after:?}");
    }
}

/// What the agent has to end for may be the reboot that the handler has just begun.
#[test]
fn a_marked_handler_is_not_stopped_with_the_agent() {
    let marks = Settings { on_stop: OnStop::Terminate, ..marked(Some(AfterReboot::SameStep), 2) };
    let mut bench = Bench::running_with(marks, &hello());
    bench.happens(Event::StopRequested);
    assert_eq!(bench.deeds(), ["exit"]);
}

#[test]
fn an_agent_that_is_told_to_end_before_the_reboot_asks_for_it_in_its_next_life() {
    let mut bench = asked(settings());
    bench.deeds();
    bench.happens(Event::StopRequested);
    assert_eq!(bench.deeds(), ["exit"]);
    let mut bench = next_life(&bench, "first", settings(), 3);
    bench.passes(Duration::from_secs(30));
    assert!(bench.deeds().contains(&"reboot".to_owned()));
}

/// The power may go between the handler's end and the save of it.
#[test]
fn an_exit_code_that_was_not_seen_before_the_boot_still_asks_for_a_reboot() {
    let before = Bench::running_with(settings(), &hello());
    let mut bench = next_life(&before, "second", settings(), 2);
    bench.adopted(Found::Ended(exited(194)));
    assert!(bench.deeds().contains(&"save rebooting job-1 0.1 (1)".to_owned()));
}

#[test]
fn the_policy_for_interruptions_alone_does_not_forbid_a_reboot_that_is_asked_for() {
    let policy = HandlerPolicy { on_interruption: OnInterruption::NeverRerun, ..HandlerPolicy::default() };
    let handlers = BTreeMap::from([("hello".to_owned(), policy)]);
    let mut bench = Bench::running_with(Settings { handlers, ..settings() }, &hello());
    bench.ends(exited(194));
    assert_eq!(bench.deeds()[0], "save rebooting job-1 0.1 (1)");
}
