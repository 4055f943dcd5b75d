//! Handlers of another user, where the way there is not smooth. Only root can switch.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says what it skips"
)]

mod bench;

use std::process::Command;

use bench::{Bench, finish, request};
use handler_runner::{Adopted, Ending, Outcome, Runner};

#[test]
fn a_switch_that_could_be_undone_is_told_in_its_own_words() {
    if !root_has("setpriv") {
        return;
    }
    // So set, the kernel lets a process keep root's powers through a change of its user.
    let outcome = as_nobody("id -u", &["setpriv", "--securebits", "+no_setuid_fixup"]);
    let Ending::CouldNotStart { path, reason } = outcome.ending else { panic!("{outcome:?}") };
    assert!(path.ends_with("handler.sh"));
    assert_eq!(
        reason,
        "cannot switch to user \"nobody\": the switch could be undone, so the handler would not be bound by it"
    );
}

#[test]
fn a_switch_that_the_kernel_refuses_is_told_with_the_step() {
    if !root_has("setpriv") {
        return;
    }
    let outcome = as_nobody("id -u", &["setpriv", "--bounding-set", "-setgid"]);
    let Ending::CouldNotStart { reason, .. } = outcome.ending else { panic!("{outcome:?}") };
    assert!(reason.starts_with("cannot switch to user \"nobody\": its groups: EPERM"), "{reason}");
}

#[test]
fn the_user_brings_its_own_groups_and_no_others() {
    if !root_has("unshare") {
        return;
    }
    // The user database of the machine stays as it is: the keeper has another group file.
    let directory = tempfile::tempdir().unwrap();
    let groups = directory.path().join("group");
    std::fs::write(&groups, "root:x:0:\nnogroup:x:65534:\nradio:x:4242:nobody\nother:x:4243:daemon\n")
        .unwrap();
    let keeper = format!("mount --bind {} /etc/group && exec \"$@\"", groups.display());
    let outcome = as_nobody("id -u; id -g; id -G", &["unshare", "--mount", "sh", "-c", &keeper, "keeper"]);
    assert_eq!(outcome.stdout.tail, "65534\n65534\n65534 4242\n", "{outcome:?}");
}

#[test]
fn a_copy_in_memory_can_be_executed_where_that_has_to_be_said() {
    if !root_has("unshare") {
        return;
    }
    if !std::path::Path::new("/proc/sys/vm/memfd_noexec").exists() {
        // Not a failure anywhere: kernels before 6.3 do not ask for it to be said.
        println!("SKIPPED: this kernel lets every copy in memory be executed");
        return;
    }
    // A setting of the process namespace, so that nobody else has it.
    let keeper = r#"echo 1 > /proc/sys/vm/memfd_noexec && exec "$@""#;
    let outcome =
        as_nobody("id -u", &["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", keeper, "keeper"]);
    assert_eq!(outcome.ending, Ending::Exited { code: 0 }, "{outcome:?}");
    assert_eq!(outcome.stdout.tail, "65534\n");
}

/// By these names many a program opens what it writes to, and what is opened anew asks for permission anew.
#[test]
fn another_user_can_open_its_own_streams_by_name() {
    if !bench::can_switch("streams of another user") {
        return;
    }
    let bench = Bench::new();
    let script =
        "echo out > /dev/stdout && echo err > /dev/stderr && echo half > /proc/self/fd/$HANDLER_PROGRESS_FD";
    let outcome = bench.run_with(script, |request| request.run_as_user = Some("nobody".to_owned()));
    assert_eq!(outcome.ending, Ending::Exited { code: 0 }, "{outcome:?}");
    assert_eq!((&*outcome.stdout.tail, &*outcome.stderr.tail), ("out\n", "err\n"));
    assert_eq!(outcome.reported.facts["progress"], "half");
}

/// Runs a script as another user, its keeper started through the given command.
fn as_nobody(script: &str, through: &[&str]) -> Outcome {
    let bench = Bench::new();
    bench.handler("handler.sh", &format!("#!/bin/sh\n{script}\n"));
    let mut settings = bench.settings.clone();
    settings.keeper_program = "/usr/bin/env".into();
    let path = std::env::var("PATH").unwrap();
    settings.keeper_arguments = vec![format!("PATH={path}").into()];
    settings.keeper_arguments.extend(through.iter().map(Into::into));
    settings.keeper_arguments.push(bench.settings.keeper_program.clone().into());
    let mut request = request("handler.sh");
    request.run_as_user = Some("nobody".to_owned());
    let runner = Runner::new(settings).unwrap();
    let outcome = finish(runner.start(&request).unwrap());
    assert!(matches!(runner.adopt("run").unwrap(), Adopted::Ended(_)));
    outcome
}

fn root_has(program: &str) -> bool {
    if !bench::can_switch("a switch of the user") {
        return false;
    }
    let harmless = if program == "unshare" { vec!["--mount", "true"] } else { vec!["--version"] };
    let works = Command::new(program).args(harmless).status().is_ok_and(|status| status.success());
    if !works {
        bench::skip("a switch of the user", &format!("{program} is needed, and does not work here"));
    }
    works
}
