//! The agent dies and comes back; the keeper dies; both are gone.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bench;

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;

use bench::{Bench, finish, is_running, number_in, until};
use handler_runner::{Adopted, Ending, Runner, StartError};

#[test]
fn a_run_is_found_again_and_its_true_ending_arrives() {
    let bench = Bench::new();
    let (gate, pid_file) = (bench.path("gate"), bench.path("pid"));
    let script = format!(
        "echo $$ > {}; while [ ! -e {} ]; do sleep 0.01; done; echo done; exit 6",
        pid_file.display(),
        gate.display()
    );
    let run = bench.start(&script);
    number_in(&pid_file);
    drop(run);
    let next_life = Runner::new(bench.settings.clone()).unwrap();
    let Adopted::Running(run) = next_life.adopt("run").unwrap() else { panic!("it runs") };
    fs::write(gate, "").unwrap();
    let outcome = finish(run);
    assert_eq!((outcome.ending, outcome.stdout.tail.as_str()), (Ending::Exited { code: 6 }, "done\n"));
    let Adopted::Ended(again) = next_life.adopt("run").unwrap() else { panic!("it is over") };
    assert_eq!(again.ending, Ending::Exited { code: 6 }, "until it is released it can be read again");
    next_life.release("run").unwrap();
    assert!(matches!(next_life.adopt("run").unwrap(), Adopted::NeverStarted));
    assert!(next_life.labels().unwrap().is_empty());
}

#[test]
fn a_run_that_was_taken_over_can_be_stopped() {
    let bench = Bench::new();
    let pid_file = bench.path("pid");
    drop(bench.start(&format!("echo $$ > {}; exec sleep 1000", pid_file.display())));
    let handler = number_in(&pid_file);
    let Adopted::Running(run) = bench.runner.adopt("run").unwrap() else { panic!("it runs") };
    run.stop().unwrap();
    assert!(matches!(finish(run).ending, Ending::Stopped { .. }));
    assert!(!is_running(handler));
}

#[test]
fn without_its_keeper_a_handler_is_ended_and_the_run_is_lost() {
    for adopted in [false, true] {
        let bench = Bench::new();
        let pid_file = bench.path("pid");
        let run = bench
            .start(&format!("trap '' TERM; echo $$ > {}; while :; do sleep 1; done", pid_file.display()));
        let handler = number_in(&pid_file);
        let keeper = parent_of(handler);
        let killed = std::process::Command::new("kill").arg("-9").arg(keeper.to_string()).status().unwrap();
        assert!(killed.success());
        let ending = if adopted {
            until("the keeper's end", || (!is_running(keeper)).then_some(()));
            drop(run);
            let Adopted::Ended(outcome) = bench.runner.adopt("run").unwrap() else { panic!("it is gone") };
            outcome.ending
        } else {
            finish(run).ending
        };
        assert_eq!(ending, Ending::Lost);
        until("the handler's end", || (!is_running(handler)).then_some(()));
    }
}

#[test]
fn what_a_killed_keeper_was_about_to_start_is_waited_for() {
    let mut bench = Bench::new();
    let gone = bench.path("gone");
    // In the place of the keeper: one that ends at once, and whose child has the lock for a moment longer.
    let script = format!("exec 9<>\"$1/records\"; flock 9; (sleep 0.3; echo >{}) &", gone.display());
    bench.settings.keeper_program = "/bin/sh".into();
    bench.settings.keeper_arguments = vec!["-c".into(), script.into()];
    bench.runner = Runner::new(bench.settings.clone()).unwrap();
    let outcome = finish(bench.start("true"));
    assert!(gone.exists(), "{outcome:?}: it was judged while it could still become the handler");
    assert!(matches!(outcome.ending, Ending::NeverStarted { .. }), "{outcome:?}");
}

#[test]
fn a_keeper_that_comes_late_does_not_take_up_the_next_run() {
    let mut bench = Bench::new();
    let counter = bench.path("counter");
    let keeper = bench.settings.keeper_program.clone();
    // The keeper of this life never comes, so that the slot holds a run that could be taken.
    bench.settings.keeper_program = "/bin/true".into();
    bench.runner = Runner::new(bench.settings.clone()).unwrap();
    drop(bench.start(&format!("echo x >>{}", counter.display())));
    let late = std::process::Command::new(keeper)
        .arg("0123456789abcdef")
        .arg(bench.settings.run_directory.join("0"))
        .status()
        .unwrap();
    assert!(!late.success());
    assert!(!counter.exists());
}

#[test]
fn a_slot_whose_last_process_is_not_gone_yet_is_not_used() {
    let bench = Bench::new();
    finish(bench.start("true"));
    bench.runner.release("run").unwrap();
    let records = bench.settings.run_directory.join("0/records");
    let late = fs::File::open(&records).unwrap();
    rustix::fs::flock(&late, rustix::fs::FlockOperation::LockExclusive).unwrap();
    assert_eq!(finish(bench.start("true")).ending, Ending::Exited { code: 0 });
    assert!(bench.settings.run_directory.join("1/spec.json").exists());
}

#[test]
fn without_its_keeper_also_what_has_left_its_session_is_ended() {
    let bench = Bench::new();
    let (inner, outer) = (bench.path("inner"), bench.path("outer"));
    let run = bench.start(&format!(
        "setsid sh -c 'trap \"\" TERM HUP; echo $$ > {}; while :; do sleep 1; done' & echo $$ > {}; wait",
        inner.display(),
        outer.display()
    ));
    let (handler, daemon) = (number_in(&outer), number_in(&inner));
    let another = bench.path("another");
    let other = bench.start_with(&format!("echo $$ > {}; exec sleep 1000", another.display()), |request| {
        request.label = "other".to_owned();
    });
    let bystander = number_in(&another);
    let keeper = parent_of(handler);
    std::process::Command::new("kill").arg("-9").arg(keeper.to_string()).status().unwrap();
    let outcome = finish(run);
    assert_eq!(outcome.ending, Ending::Lost);
    for pid in [handler, daemon] {
        until("the end of what is left", || (!is_running(pid)).then_some(()));
    }
    assert!(is_running(bystander), "what another run has started is not touched");
    other.stop().unwrap();
    finish(other);
}

#[test]
fn a_run_that_has_not_been_released_is_not_started_a_second_time() {
    let bench = Bench::new();
    let counter = bench.path("counter");
    let gate = bench.path("gate");
    let run = bench.start(&format!(
        "echo x >> {}; while [ ! -e {} ]; do sleep 0.01; done",
        counter.display(),
        gate.display()
    ));
    let again = || bench.runner.start(&bench::request("handler.sh")).unwrap_err();
    assert!(matches!(again(), StartError::Held { label } if label == "run"), "while it runs");
    fs::write(gate, "").unwrap();
    finish(run);
    assert!(matches!(again(), StartError::Held { .. }), "and after its end, whoever asks");
    assert_eq!(fs::read_to_string(counter).unwrap(), "x\n");
    bench.runner.release("run").unwrap();
    finish(bench.runner.start(&bench::request("handler.sh")).unwrap());
}

#[test]
fn a_start_that_failed_leaves_nothing_behind() {
    let bench = Bench::new();
    bench.handler("handler.sh", "#!/bin/sh\n");
    let mut settings = bench.settings.clone();
    settings.keeper_program = bench.path("no-such-keeper");
    let error = Runner::new(settings).unwrap().start(&bench::request("handler.sh")).unwrap_err();
    assert!(matches!(error, StartError::Keeper { .. }), "{error}");
    assert!(bench.runner.labels().unwrap().is_empty());
    let slot = bench.settings.run_directory.join("0");
    let mut left: Vec<_> = fs::read_dir(slot).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["records", "reported"]);
}

#[test]
fn what_was_written_down_and_never_started_is_known_as_that_and_can_never_start() {
    let bench = Bench::new();
    let marker = bench.path("marker");
    let mut settings = bench.settings.clone();
    // A keeper that never does anything, as if the power had gone before it.
    settings.keeper_program = "/bin/true".into();
    let powerless = Runner::new(settings).unwrap();
    bench.handler("handler.sh", &format!("#!/bin/sh\ntouch {}\n", marker.display()));
    let run = powerless.start(&bench::request("handler.sh")).unwrap();
    assert!(matches!(finish(run).ending, Ending::NeverStarted { .. }));
    assert!(matches!(bench.runner.adopt("run").unwrap(), Adopted::NeverStarted));
    // The keeper comes late: the run has been declared void.
    let slot = bench.settings.run_directory.join("0");
    let late = std::process::Command::new(&bench.settings.keeper_program).arg(slot).status().unwrap();
    assert!(!late.success());
    assert!(!marker.exists());
}

#[test]
fn a_second_keeper_of_a_run_does_nothing() {
    let bench = Bench::new();
    let counter = bench.path("counter");
    let gate = bench.path("gate");
    let run = bench.start(&format!(
        "echo x >> {}; while [ ! -e {} ]; do sleep 0.01; done",
        counter.display(),
        gate.display()
    ));
    until("a start", || fs::exists(&counter).unwrap().then_some(()));
    let again = || {
        let slot = bench.settings.run_directory.join("0");
        std::process::Command::new(&bench.settings.keeper_program).arg(slot).status().unwrap()
    };
    assert!(!again().success(), "while the first one runs");
    fs::write(gate, "").unwrap();
    finish(run);
    assert!(!again().success(), "after the end");
    assert_eq!(fs::read_to_string(counter).unwrap(), "x\n");
}

#[test]
fn an_ending_of_an_earlier_boot_is_an_interruption() {
    let bench = Bench::new();
    let pid_file = bench.path("pid");
    let run = bench.start(&format!("echo $$ > {}; exec sleep 1000", pid_file.display()));
    let handler = number_in(&pid_file);
    let keeper = parent_of(handler);
    for pid in [keeper, handler] {
        std::process::Command::new("kill").arg("-9").arg(pid.to_string()).status().unwrap();
    }
    until("their end", || (!is_running(keeper)).then_some(()));
    drop(run);
    // The same records under another boot id, as they would be found after a power cut.
    bench::rename_boot(
        &bench.settings.run_directory.join("0/records"),
        &bench.settings.run_directory.join("0/spec.json"),
    );
    let Adopted::Ended(outcome) = bench.runner.adopt("run").unwrap() else { panic!("it is gone") };
    assert_eq!(outcome.ending, Ending::Interrupted);
}

#[test]
fn two_runs_have_a_slot_each_and_a_released_slot_is_used_again() {
    let bench = Bench::new();
    let first = bench.start("exit 1");
    let second = bench.start_with("exit 1", |request| request.label = "other".to_owned());
    finish(first);
    finish(second);
    assert_eq!(bench.runner.labels().unwrap().len(), 2);
    bench.runner.release("run").unwrap();
    finish(bench.start_with("exit 1", |request| request.label = "third".to_owned()));
    let slots = fs::read_dir(&bench.settings.run_directory).unwrap().count();
    assert_eq!(slots, 2);
}

#[test]
fn a_damaged_run_is_not_said_to_have_never_started_and_does_not_keep_others_from_starting() {
    let bench = Bench::new();
    finish(bench.start("exit 1"));
    let spec = bench.settings.run_directory.join("0/spec.json");
    for damage in ["", "{", "rubbish", r#"{"format":1}"#] {
        fs::write(&spec, damage).unwrap();
        assert!(bench.runner.adopt("run").is_err(), "{damage:?}");
        assert!(bench.runner.labels().unwrap().is_empty());
        let outcome = finish(bench.start_with("exit 3", |request| request.label = "other".to_owned()));
        assert_eq!(outcome.ending, Ending::Exited { code: 3 });
        assert!(matches!(bench.runner.adopt("other").unwrap(), Adopted::Ended(_)));
        bench.runner.release("other").unwrap();
    }
}

/// Whoever is taken for one is waited for before anything else is started.
#[test]
fn a_process_of_another_user_is_not_taken_for_a_keeper_whatever_it_is_called() {
    if !bench::can_switch("a process of another user") {
        return;
    }
    let bench = Bench::new();
    finish(bench.start("exit 1"));
    fs::write(bench.settings.run_directory.join("0/spec.json"), "rubbish").unwrap();
    for (user, taken) in [(0, 1), (65534, 0)] {
        let mut impostor = std::process::Command::new("/bin/sh")
            .args(["-c", "echo; read -r _", "keeper", "0123456789abcdef"])
            .arg(bench.settings.run_directory.join("0"))
            .uid(user)
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        impostor.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let nameless = bench.runner.nameless().unwrap();
        drop(impostor.stdin.take());
        impostor.wait().unwrap();
        assert_eq!(nameless.len(), taken, "of user {user}");
    }
}

#[test]
fn a_run_whose_files_somebody_has_removed_tells_its_true_ending_and_the_next_one_can_be_started() {
    let bench = Bench::new();
    let directory = bench.settings.run_directory.clone();
    for what in ["/*", ""] {
        let outcome = bench.run(&format!("rm -rf {}{what}; exit 5", directory.display()));
        assert_eq!(outcome.ending, Ending::Exited { code: 5 }, "rm {what}");
        assert_eq!(bench.run("exit 6").ending, Ending::Exited { code: 6 }, "rm {what}");
        bench.runner.release("run").unwrap();
    }
    assert_eq!(fs::metadata(&directory).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn a_run_of_which_only_the_keeper_is_left_is_found_and_stopped() {
    for what in ["/*", "/0/*", ""] {
        let bench = Bench::new();
        let pid_file = bench.path("pid");
        let remove = format!("rm -rf {}{what}", bench.settings.run_directory.display());
        let run = bench.start(&format!("{remove}; echo $$ > {}; exec sleep 1000", pid_file.display()));
        let handler = number_in(&pid_file);
        drop(run);
        let runner = Runner::new(bench.settings.clone()).unwrap();
        assert_eq!(runner.found_empty(), what != "/0/*", "rm {what}");
        let [found] = &runner.without_files().unwrap()[..] else { panic!("rm {what}: one is there") };
        found.stop().unwrap();
        until("its end", || (!is_running(handler)).then_some(()));
        until("the end of its keeper", || runner.without_files().unwrap().is_empty().then_some(()));
    }
}

#[test]
fn a_run_that_has_its_files_is_not_found_without() {
    let bench = Bench::new();
    let pid_file = bench.path("pid");
    let run = bench.start(&format!("echo $$ > {}; exec sleep 1000", pid_file.display()));
    number_in(&pid_file);
    assert!(bench.runner.without_files().unwrap().is_empty());
    run.stop().unwrap();
    finish(run);
}

#[test]
fn a_keeper_outlives_the_signals_that_are_meant_for_others() {
    let bench = Bench::new();
    let (gate, pid_file) = (bench.path("gate"), bench.path("pid"));
    let run = bench.start(&format!(
        "echo $$ > {}; while [ ! -e {} ]; do sleep 0.01; done; exit 6",
        pid_file.display(),
        gate.display()
    ));
    let keeper = parent_of(number_in(&pid_file));
    for signal in ["HUP", "QUIT", "USR1", "USR2", "PIPE", "ALRM"] {
        let sent = std::process::Command::new("kill").args(["-s", signal, &keeper.to_string()]).status();
        assert!(sent.unwrap().success());
    }
    fs::write(gate, "").unwrap();
    assert_eq!(finish(run).ending, Ending::Exited { code: 6 });
}

fn parent_of(pid: i32) -> i32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.split(' ').nth(1).unwrap().parse().unwrap()
}
