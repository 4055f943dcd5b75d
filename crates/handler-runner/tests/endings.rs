//! How handlers end: real shells, real processes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bench;

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bench::{Bench, SOON, finish, is_running, number_in, request, until};
use handler_runner::{Death, Ending, Halt};

#[test]
fn an_exit_code_is_told_as_it_is() {
    let bench = Bench::new();
    for code in [0, 1, 2, 126, 127, 128, 143, 194, 255] {
        assert_eq!(bench.run(&format!("exit {code}")).ending, Ending::Exited { code });
        bench.runner.release("run").unwrap();
    }
}

/// R1 of the reference: there it was a success.
#[test]
fn a_death_by_signal_is_no_exit() {
    let bench = Bench::new();
    for signal in [9, 11, 15, 13, 16, 34, 64] {
        assert_eq!(bench.run(&format!("kill -{signal} $$")).ending, Ending::Killed { signal });
        bench.runner.release("run").unwrap();
    }
}

/// What a handler leaves behind is reaped by the keeper, and may have died of any signal.
#[test]
fn the_death_of_a_process_that_was_left_behind_does_not_matter() {
    let bench = Bench::new();
    for signal in [9, 64] {
        // It is there until the keeper has reaped it.
        let script = format!(
            "pid=$(sh -c 'kill -{signal} $$' >/dev/null & echo $!); \
             while kill -0 $pid 2>/dev/null; do sleep 0.01; done; exit 3"
        );
        assert_eq!(bench.run(&script).ending, Ending::Exited { code: 3 });
        bench.runner.release("run").unwrap();
    }
}

#[test]
fn both_streams_are_captured_and_counted() {
    let bench = Bench::new();
    let outcome = bench.run("echo out; printf 'grüße €\\n%%50' >&2; printf last");
    assert_eq!(
        (outcome.stdout.tail.as_str(), outcome.stdout.bytes, outcome.stdout.lines),
        ("out\nlast", 8, 2)
    );
    assert_eq!((outcome.stderr.tail.as_str(), outcome.stderr.lines), ("grüße €\n%50", 2));
}

/// L3 of the reference: there it hung for ever.
#[test]
fn a_flood_on_standard_error_before_standard_output_closes_does_not_hang() {
    let bench = Bench::new();
    let outcome = bench.run(
        "head -c 2000000 /dev/zero | tr '\\0' e >&2; head -c 2000000 /dev/zero | tr '\\0' o; echo; echo end",
    );
    assert_eq!(outcome.ending, Ending::Exited { code: 0 });
    assert_eq!((outcome.stderr.bytes, outcome.stdout.bytes), (2_000_000, 2_000_005));
    assert_eq!(outcome.stdout.tail.len(), 1024);
    assert!(outcome.stdout.tail.ends_with("o\nend\n"));
}

/// L5 of the reference: there 10 jobs of 10 000 never began, because another thread held a lock when it forked.
#[test]
fn starts_beside_busy_threads_all_come_to_an_end() {
    let bench = Bench::new();
    let busy = AtomicBool::new(true);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            // Memory and standard output: the locks that a process has most often.
            scope.spawn(|| {
                while busy.load(Ordering::Relaxed) {
                    drop(std::hint::black_box(vec![0_u8; 4096]));
                    drop(std::io::stdout().lock());
                }
            });
        }
        for _ in 0..50 {
            assert_eq!(bench.run("exit 0").ending, Ending::Exited { code: 0 });
            bench.runner.release("run").unwrap();
        }
        busy.store(false, Ordering::Relaxed);
    });
}

/// R2 of the reference: there 1001 lines killed the handler.
#[test]
fn ten_thousand_lines_do_not_hurt() {
    let bench = Bench::new();
    let outcome = bench.run("i=0; while [ $i -lt 10000 ]; do echo line $i; i=$((i+1)); done; exit 4");
    assert_eq!((outcome.ending, outcome.stdout.lines), (Ending::Exited { code: 4 }, 10_000));
}

#[test]
fn what_closes_its_output_early_is_waited_for() {
    let bench = Bench::new();
    let marker = bench.path("marker");
    let outcome = bench.run(&format!("exec >&- 2>&-; sleep 0.2; echo done > {}; exit 5", marker.display()));
    assert_eq!(outcome.ending, Ending::Exited { code: 5 });
    assert!(marker.exists());
}

/// L4 of the reference: there the daemon's pipe delayed the end.
#[test]
fn a_daemon_left_behind_is_left_alone_and_counted_and_does_not_delay_the_end() {
    let bench = Bench::new();
    let pid_file = bench.path("pid");
    let outcome = bench.run(&format!(
        "setsid sh -c 'echo $$ > {}; exec sleep 1000' & \
        while [ ! -s {0} ]; do :; done; echo started",
        pid_file.display()
    ));
    assert_eq!(outcome.ending, Ending::Exited { code: 0 });
    assert_eq!(outcome.stdout.tail, "started\n");
    assert_eq!(outcome.left_behind, 1);
    let daemon = number_in(&pid_file);
    assert!(is_running(daemon), "only a stop kills the tree");
    kill(daemon, 9);
}

#[test]
fn a_stop_ends_a_handler_that_heeds_it() {
    let bench = Bench::new();
    let pid_file = bench.path("pid");
    let run = bench.start(&format!(
        "trap 'echo bye; exit 7' TERM; echo $$ > {}; while :; do sleep 0.01; done",
        pid_file.display()
    ));
    number_in(&pid_file);
    run.stop().unwrap();
    let outcome = finish(run);
    assert_eq!(
        outcome.ending,
        Ending::Stopped { halt: Halt { death: Some(Death::Exited { code: 7 }), forced: false } }
    );
    assert_eq!(outcome.stdout.tail, "bye\n");
}

#[test]
fn a_stop_reaches_the_whole_tree_also_what_has_left_the_group_and_what_ignores_it() {
    let bench = Bench::new();
    let (one, two) = (bench.path("one"), bench.path("two"));
    let script = format!(
        "trap '' TERM; setsid sh -c 'trap \"\" TERM; (sh -c \"echo \\$\\$ > {}; exec sleep 1000\" &) ; echo $$ > {}; sleep 1000' & \
         while :; do sleep 1; done",
        one.display(),
        two.display()
    );
    let run = bench.start_with(&script, |request| request.grace = Duration::from_millis(50));
    let pids = [number_in(&one), number_in(&two)];
    run.stop().unwrap();
    let outcome = finish(run);
    assert!(matches!(outcome.ending, Ending::Stopped { halt: Halt { forced: true, .. } }), "{outcome:?}");
    assert_eq!(outcome.left_behind, 0);
    assert!(!pids.into_iter().any(is_running), "{pids:?}");
}

#[test]
fn a_handler_that_has_stopped_itself_can_be_stopped() {
    let bench = Bench::new();
    let pid_file = bench.path("pid");
    let run = bench.start(&format!("echo $$ > {}; kill -STOP $$", pid_file.display()));
    let pid = number_in(&pid_file);
    until("a stopped process", || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit_once(") ").filter(|(_, rest)| rest.starts_with('T')).map(|_| ())
    });
    run.stop().unwrap();
    let ending = finish(run).ending;
    assert_eq!(
        ending,
        Ending::Stopped { halt: Halt { death: Some(Death::Killed { signal: 15 }), forced: false } }
    );
}

/// L7 of the reference: there nothing had a limit.
#[test]
fn the_time_limit_ends_it_and_says_so() {
    let bench = Bench::new();
    let heeds = bench.run_with("sleep 1000", |request| request.time_limit = Duration::from_millis(100));
    assert!(matches!(heeds.ending, Ending::TimedOut { halt: Halt { forced: false, .. } }), "{heeds:?}");
    assert!(heeds.ran_for >= Duration::from_millis(100) && heeds.ran_for < SOON);
    bench.runner.release("run").unwrap();
    // It has to come to ignoring the signal within the limit: on a machine that is slow it is given more.
    let ignores = [100, 1000, 10_000].map(Duration::from_millis).into_iter().find_map(|time_limit| {
        let script = "trap '' TERM; echo deaf; while :; do sleep 1; done";
        let outcome = bench.run_with(script, |request| {
            request.time_limit = time_limit;
            request.grace = Duration::from_millis(50);
        });
        bench.runner.release("run").unwrap();
        (outcome.stdout.tail == "deaf\n").then_some(outcome)
    });
    let ignores = ignores.expect("ten seconds are enough for two commands of a shell");
    assert!(matches!(ignores.ending, Ending::TimedOut { halt: Halt { forced: true, .. } }), "{ignores:?}");
}

#[test]
fn what_the_kernel_refuses_is_told_with_the_cause() {
    let bench = Bench::new();
    bench.handler("no-interpreter", "#!/no/such/shell\n");
    bench.handler("no-format", "just text\n");
    bench.handler("other-machine", "\u{7f}ELF rubbish");
    bench.handler("empty", "");
    bench.handler("carriage-return", "#!/bin/sh\r\necho hello\r\n");
    for (name, words) in [
        ("no-interpreter", "its interpreter \"/no/such/shell\" does not exist"),
        ("no-format", "neither a program for this machine nor a script"),
        ("other-machine", "no program for this machine"),
        ("empty", "it is empty"),
        ("carriage-return", "its lines end with a carriage return"),
    ] {
        let outcome = finish(bench.runner.start(&request(name)).unwrap());
        let Ending::CouldNotStart { path, reason } = outcome.ending else { panic!("{name}: {outcome:?}") };
        assert!(path.ends_with(name) && reason.contains(words), "{name}: {reason}");
        bench.runner.release("run").unwrap();
    }
}

fn kill(pid: i32, signal: i32) {
    let status = std::process::Command::new("kill").arg(format!("-{signal}")).arg(pid.to_string()).status();
    assert!(status.unwrap().success());
}
