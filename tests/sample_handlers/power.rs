//! Powering the device off, and rebooting it.

use testkit::eventually;

use crate::bench::{Bench, in_every_shell, stderr, stdout};

#[test]
fn the_device_is_powered_off_in_a_while_and_never_at_once() {
    in_every_shell(|| {
        let bench = Bench::with(&["shutdown", "poweroff"]);
        assert!(bench.run_as_step("shutdown.sh", "", &[]).status.success());
        assert!(bench.run("shutdown.sh", &["15"]).status.success());
        for minutes in ["0", "now", "-1", "+1", "08", "1 2", "99999"] {
            assert_eq!(bench.run("shutdown.sh", &[minutes]).status.code(), Some(1), "{minutes}");
        }
        assert_eq!(bench.calls(), ["shutdown <-h> <+1>", "shutdown <-h> <+15>"]);
    });
}

#[test]
fn without_shutdown_the_device_is_powered_off_after_a_sleep_in_the_background() {
    in_every_shell(|| {
        let bench = Bench::with(&["poweroff", "sleep"]);
        bench.tool("id", "echo 0");
        assert!(bench.run("shutdown.sh", &["2"]).status.success());
        let called = || bench.calls().into_iter().filter(|call| !call.starts_with("id ")).collect::<Vec<_>>();
        eventually(
            "poweroff is called",
            || format!("{:?}", bench.calls()),
            || (called().len() == 2).then_some(()),
        );
        assert_eq!(called(), ["sleep <120>", "poweroff"]);
        bench.tool("id", "echo 1000");
        assert_eq!(bench.run("shutdown.sh", &[]).status.code(), Some(1));
    });
}

const BOOT: &str = "11111111-1111-4111-8111-111111111111";

#[test]
fn the_first_attempt_asks_for_the_reboot_and_calls_nothing() {
    in_every_shell(|| {
        let bench = Bench::with(&["reboot", "shutdown", "systemctl", "sudo"]);
        let output = bench.run_with("reboot.sh", &[("ATTEMPT", "1"), ("USER_ARGUMENT", "1")], &[""]);
        assert_eq!(output.status.code(), Some(194), "{output:?}");
        assert!(output.stderr.is_empty() && stdout(&output).contains(BOOT), "{output:?}");
        assert!(bench.calls().is_empty(), "{:?}", bench.calls());
    });
}

#[test]
fn a_later_attempt_has_succeeded_only_if_another_boot_came_after_the_one_that_asked() {
    in_every_shell(|| {
        let rows = [("0", Some(0), ""), (BOOT, Some(1), "was not rebooted"), ("", Some(1), "Nobody knows")];
        for (before, code, words) in rows {
            let bench = Bench::with(&[]);
            let environment = [("ATTEMPT", "2"), ("BOOT_ID_BEFORE", before)];
            let output = bench.run_with("reboot.sh", &environment, &[]);
            assert_eq!(output.status.code(), code, "{before}: {output:?}");
            assert!(stderr(&output).contains(words), "{before}: {output:?}");
            assert_eq!(stdout(&output).contains(BOOT), code == Some(0), "{before}: {output:?}");
        }
        let output = Bench::with(&[]).run_with("reboot.sh", &[("ATTEMPT", "2")], &[]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
    });
}

#[test]
fn an_agent_that_counts_no_attempts_is_told_that_it_is_the_wrong_one() {
    in_every_shell(|| {
        for attempt in ["", "x", "1 "] {
            let output = Bench::with(&[]).run_with("reboot.sh", &[("ATTEMPT", attempt)], &[]);
            assert_eq!(output.status.code(), Some(1), "{output:?}");
            assert!(stderr(&output).contains("for fleethand"), "{output:?}");
        }
        assert_eq!(Bench::with(&[]).run("reboot.sh", &[]).status.code(), Some(1));
        let output = Bench::with(&[]).run_with("reboot.sh", &[("ATTEMPT", "1")], &["now"]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
    });
}

#[test]
fn a_kernel_that_does_not_tell_the_boot_is_no_ground_for_a_reboot() {
    in_every_shell(|| {
        let bench = Bench::with(&[]);
        bench.proc("sys/kernel/random/boot_id", "");
        for attempt in ["1", "2"] {
            let environment = [("ATTEMPT", attempt), ("BOOT_ID_BEFORE", "0")];
            let output = bench.run_with("reboot.sh", &environment, &[]);
            assert_eq!(output.status.code(), Some(1), "{output:?}");
        }
    });
}
