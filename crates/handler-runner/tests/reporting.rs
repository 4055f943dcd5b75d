//! What a handler reports while it runs: read live, after the agent's restart, and with the ending.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bench;

use std::collections::BTreeMap;
use std::fs;

use bench::{Bench, SOON, can_switch, finish, until};
use handler_runner::{Adopted, Ending, Run, Runner};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Waits for the next report as an agent does, and reads it.
fn next(run: &Run, watch: &rustix::fd::OwnedFd) -> BTreeMap<String, String> {
    let limit = Timespec { tv_sec: i64::try_from(SOON.as_secs()).unwrap(), tv_nsec: 0 };
    let ready = poll(&mut [PollFd::new(watch, PollFlags::IN)], Some(&limit)).unwrap();
    assert_eq!(ready, 1, "no report in time");
    rustix::io::read(watch, &mut [0; 4096]).unwrap();
    run.reported().unwrap().map(|reported| reported.facts).unwrap_or_default()
}

fn facts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Waits until there is a file of that name on the bench.
fn wait_for(bench: &Bench, name: &str) -> String {
    format!("while [ ! -e {}/{name} ]; do sleep 0.02; done", bench.directory.path().display())
}

#[test]
fn reports_are_seen_while_the_handler_runs_and_the_last_ones_with_its_end() {
    let bench = Bench::new();
    let script = format!(
        "{}\necho 'half way' >&$HANDLER_PROGRESS_FD\n{}\n\
         printf 'fw=1.2\\nall' >&$HANDLER_PROGRESS_FD\nexit 3",
        wait_for(&bench, "go"),
        wait_for(&bench, "end")
    );
    let run = bench.start(&script);
    assert_eq!(run.reported().unwrap(), None);
    let watch = run.watch_reports().unwrap();
    fs::write(bench.path("go"), "").unwrap();
    assert_eq!(next(&run, &watch), facts(&[("progress", "half way")]));
    fs::write(bench.path("end"), "").unwrap();
    let outcome = finish(run);
    assert_eq!(outcome.ending, Ending::Exited { code: 3 });
    assert_eq!(outcome.reported.facts, facts(&[("progress", "all"), ("fw", "1.2")]));
    assert_eq!((outcome.stdout.bytes, outcome.stderr.bytes), (0, 0), "it is no output");
}

#[test]
fn an_agent_that_was_restarted_finds_the_latest_report_and_hears_the_next() {
    let bench = Bench::new();
    let script = format!(
        "echo one >&$HANDLER_PROGRESS_FD\n{}\necho two >&$HANDLER_PROGRESS_FD\n{}",
        wait_for(&bench, "go"),
        wait_for(&bench, "end")
    );
    let run = bench.start(&script);
    until("the first report", || run.reported().unwrap());
    drop(run);
    let agent = Runner::new(bench.settings.clone()).unwrap();
    let Adopted::Running(run) = agent.adopt("run").unwrap() else { panic!("it runs") };
    let watch = run.watch_reports().unwrap();
    assert_eq!(run.reported().unwrap().unwrap().facts, facts(&[("progress", "one")]));
    fs::write(bench.path("go"), "").unwrap();
    assert_eq!(next(&run, &watch), facts(&[("progress", "two")]));
    fs::write(bench.path("end"), "").unwrap();
    assert_eq!(finish(run).reported.facts, facts(&[("progress", "two")]));
}

#[test]
fn the_next_run_in_the_same_slot_begins_with_nothing() {
    let bench = Bench::new();
    let outcome = bench.run("echo one >&$HANDLER_PROGRESS_FD");
    assert_eq!(outcome.reported.facts, facts(&[("progress", "one")]));
    bench.runner.release("run").unwrap();
    let run = bench.start(&wait_for(&bench, "end"));
    assert_eq!(run.reported().unwrap(), None);
    fs::write(bench.path("end"), "").unwrap();
    assert!(finish(run).reported.facts.is_empty());
}

#[test]
fn a_handler_of_another_user_can_report_too_by_number_and_by_name() {
    if !can_switch("reports of another user") {
        return;
    }
    let bench = Bench::new();
    let script =
        "echo user=$(id -u) >&$HANDLER_PROGRESS_FD; echo by-name >/proc/self/fd/$HANDLER_PROGRESS_FD";
    let outcome = bench.run_with(script, |request| request.run_as_user = Some("nobody".to_owned()));
    assert_eq!(outcome.ending, Ending::Exited { code: 0 }, "{outcome:?}");
    assert_eq!(outcome.reported.facts, facts(&[("user", "65534"), ("progress", "by-name")]));
}

#[test]
fn the_number_has_one_digit_since_some_shells_know_no_others() {
    let bench = Bench::new();
    for user in [None, Some("nobody").filter(|_| rustix::process::geteuid().is_root())] {
        let outcome = bench.run_with("echo $HANDLER_PROGRESS_FD", |request| {
            request.run_as_user = user.map(str::to_owned);
        });
        assert_eq!(outcome.stdout.tail.trim().len(), 1, "{outcome:?}");
        bench.runner.release("run").unwrap();
    }
}

#[test]
fn a_flood_of_reports_is_swallowed_and_the_last_one_counts() {
    let bench = Bench::new();
    let script = "i=0; while [ $i -lt 20000 ]; do echo \"at $i\"; echo \"fact-$i=$i\"; i=$((i + 1)); done \
                  >&$HANDLER_PROGRESS_FD; head -c 20000000 /dev/zero >&$HANDLER_PROGRESS_FD; \
                  printf '\\nlast\\n' >&$HANDLER_PROGRESS_FD";
    let outcome = bench.run(script);
    assert_eq!(outcome.ending, Ending::Exited { code: 0 }, "{outcome:?}");
    let reported = outcome.reported;
    assert_eq!(reported.facts["progress"], "last");
    assert_eq!((reported.facts.len(), reported.left_out), (7, 20_000 - 6));
    let slot = bench.settings.run_directory.join("0/reported");
    assert!(fs::metadata(slot).unwrap().len() < 4096);
}

#[test]
fn a_daemon_that_keeps_the_pipe_does_not_hold_up_the_end() {
    let bench = Bench::new();
    let script = format!("({}) >/dev/null 2>&1 &\necho done >&$HANDLER_PROGRESS_FD", wait_for(&bench, "end"));
    let outcome = bench.run(&script);
    assert_eq!(outcome.reported.facts, facts(&[("progress", "done")]));
    assert_ne!(outcome.left_behind, 0, "the daemon is there");
    fs::write(bench.path("end"), "").unwrap();
}

#[test]
fn a_handler_that_closes_the_pipe_runs_on() {
    let bench = Bench::new();
    let outcome = bench.run("eval \"exec $HANDLER_PROGRESS_FD>&-\"; echo out; exit 4");
    assert_eq!((outcome.ending, &*outcome.stdout.tail), (Ending::Exited { code: 4 }, "out\n"));
}

#[test]
fn what_was_reported_before_a_stop_is_not_lost() {
    let bench = Bench::new();
    let run = bench.start("echo half >&$HANDLER_PROGRESS_FD; sleep 600");
    until("the report", || run.reported().unwrap());
    run.stop().unwrap();
    let outcome = finish(run);
    assert!(matches!(outcome.ending, Ending::Stopped { .. }), "{outcome:?}");
    assert_eq!(outcome.reported.facts, facts(&[("progress", "half")]));
}
