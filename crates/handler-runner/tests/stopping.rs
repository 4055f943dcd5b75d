//! Stopping a handler, also at moments that do not suit it.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bench;

use std::fs;

use bench::{Bench, finish, is_running, number_in, request};
use handler_runner::{Death, Ending, Halt, Runner};

#[test]
fn a_stop_in_the_first_moments_is_a_stop_and_nothing_has_run() {
    let bench = Bench::new();
    let marker = bench.path("marker");
    bench.handler("handler.sh", &format!("#!/bin/sh\ntouch {}\n", marker.display()));
    let mut settings = bench.settings.clone();
    // A keeper that has not come to holding back its signals yet, for as long as it takes.
    settings.keeper_program = "/bin/sh".into();
    settings.keeper_arguments = vec!["-c".into(), "exec sleep 1000".into()];
    let run = Runner::new(settings).unwrap().start(&request("handler.sh")).unwrap();
    run.stop().unwrap();
    let outcome = finish(run);
    assert_eq!(outcome.ending, Ending::Stopped { halt: Halt { death: None, forced: false } });
    assert!(!marker.exists());
}

#[test]
fn a_stop_at_once_is_a_stop_whatever_the_keeper_is_about() {
    let bench = Bench::new();
    for _ in 0..20 {
        let run = bench.start("exec sleep 1000");
        run.stop().unwrap();
        let outcome = finish(run);
        assert!(
            matches!(outcome.ending, Ending::Stopped { halt: Halt { forced: false, .. } }),
            "{outcome:?}"
        );
        bench.runner.release("run").unwrap();
    }
}

/// A handler of the agent's own user can do that to its keeper, which then does not see that the time is up.
#[test]
fn a_keeper_that_somebody_has_stopped_is_set_going_to_stop_its_handler() {
    let bench = Bench::new();
    let pid_file = bench.path("pid");
    let run = bench.start(&format!("kill -STOP $PPID; echo $$ > {}; exec sleep 1000", pid_file.display()));
    let handler = number_in(&pid_file);
    run.stop().unwrap();
    let outcome = finish(run);
    assert!(matches!(outcome.ending, Ending::Stopped { .. }), "{outcome:?}");
    assert!(!is_running(handler));
}

/// Without that it would be over only after the grace period, by SIGKILL.
#[test]
fn children_that_are_born_while_the_tree_is_told_to_end_are_told_too() {
    let bench = Bench::new();
    let pid_file = bench.path("pid");
    let run = bench.start(&format!(
        "echo $$ > {}; i=0; while [ $i -lt 400 ]; do sleep 1000 & i=$((i+1)); done; wait",
        pid_file.display()
    ));
    number_in(&pid_file);
    run.stop().unwrap();
    let outcome = finish(run);
    assert_eq!(
        outcome.ending,
        Ending::Stopped { halt: Halt { death: Some(Death::Killed { signal: 15 }), forced: false } }
    );
}

#[test]
fn what_a_handler_starts_to_clean_up_with_is_not_told_to_end() {
    let bench = Bench::new();
    let (pid_file, cleaned) = (bench.path("pid"), bench.path("cleaned"));
    // Many short programs in turn, so that one of them is always being born.
    let script = format!(
        "trap 'i=0; while [ $i -lt 50 ]; do /bin/sleep 0.001 || exit 8; i=$((i+1)); done; echo > {}; exit 7' TERM; \
         echo $$ > {}; while :; do sleep 0.01; done",
        cleaned.display(),
        pid_file.display()
    );
    let run = bench.start(&script);
    number_in(&pid_file);
    run.stop().unwrap();
    let exited = Halt { death: Some(Death::Exited { code: 7 }), forced: false };
    assert_eq!(finish(run).ending, Ending::Stopped { halt: exited });
    assert!(fs::exists(cleaned).unwrap());
}
