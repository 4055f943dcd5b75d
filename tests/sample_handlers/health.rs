//! The health check.

use crate::bench::{Bench, in_every_shell, stderr, stdout};

/// Brings a fault about.
type Spoil = fn(&Bench);

#[test]
fn a_healthy_device_gives_one_good_line_for_each_check() {
    in_every_shell(|| {
        let bench = Bench::healthy();
        let output = bench.run("health-check.sh", &[]);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(
            stdout(&output),
            "ok: the root file system is writable\nok: the root file system is 90 % full\n\
         ok: the load is 7.5 on 2 processors\nok: 94 % of the memory is in use\n\
         ok: the clock is set by the network\nok: no unit has failed\n"
        );
        assert!(bench.run("health-check.sh", &["90", "4", "94"]).status.success());
    });
}

#[test]
fn each_fault_of_a_device_is_told_and_fails_the_check() {
    in_every_shell(|| {
        let rows: [(&str, Spoil); 15] = [
            ("bad: the root file system is mounted read-only\n", |bench| {
                bench.proc("mounts", "rootfs / rootfs rw 0 0\n/dev/mmcblk0p2 / ext4 ro,noatime 0 0\n");
            }),
            ("does not tell how the root file system is mounted\n", |bench| bench.proc("mounts", "")),
            ("bad: the root file system is 96 % full, more than 95 %\n", |bench| bench.df("96%")),
            ("bad: df does not tell how full the root file system is\n", |bench| bench.df("-")),
            ("bad: the load is 8.1 on 2 processors, more than 4 on each\n", |bench| {
                bench.proc("loadavg", "0.1 8.1 9.9 1/100 4242\n");
            }),
            ("does not tell the load\n", |bench| bench.proc("loadavg", "")),
            ("bad: 99 % of the memory is in use, more than 95 %\n", |bench| {
                bench.proc("meminfo", "MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 10 kB\n");
            }),
            ("bad: 98 % of the memory is in use, more than 95 %\n", |bench| {
                bench.proc("meminfo", "MemTotal: 1000 kB\nMemFree: 4 kB\nBuffers: 5 kB\nCached: 11 kB\n");
            }),
            ("does not tell how much memory is in use\n", |bench| bench.proc("meminfo", "MemTotal: 0 kB\n")),
            ("bad: the clock is wrong: it says that it is the year 1970\n", |bench| {
                bench.tool("date", "echo 1970");
            }),
            ("bad: date does not tell the year\n", |bench| bench.tool("date", "exit 1")),
            ("bad: the clock is to be set by the network, and has not been\n", |bench| {
                bench.tool("timedatectl", "printf 'NTP=yes\\nNTPSynchronized=no\\n'");
            }),
            ("bad: failed units: cron.service ssh.service\n", |bench| {
                bench
                    .tool("systemctl", "echo 'cron.service loaded failed'; echo 'ssh.service loaded failed'");
            }),
            ("bad: systemctl does not tell which units have failed\n", |bench| {
                bench.tool("systemctl", "exit 1");
            }),
            ("bad: the load is 7.5 on 1 processors, more than 4 on each\n", |bench| {
                bench.proc("cpuinfo", "processor-less\n");
            }),
        ];
        for (line, spoil) in rows {
            let bench = Bench::healthy();
            spoil(&bench);
            let output = bench.run("health-check.sh", &[]);
            assert_eq!(output.status.code(), Some(1), "{line}: {output:?}");
            assert!(stderr(&output).ends_with(line), "{line}: {output:?}");
            assert_eq!(stdout(&output).lines().count(), 5, "{line}: {output:?}");
        }
    });
}

#[test]
fn limits_of_the_health_check_can_be_given_and_have_to_be_numbers() {
    in_every_shell(|| {
        let bench = Bench::healthy();
        assert_eq!(bench.run("health-check.sh", &["89"]).status.code(), Some(1));
        assert_eq!(bench.run("health-check.sh", &["95", "3"]).status.code(), Some(1));
        assert_eq!(bench.run("health-check.sh", &["95", "4", "93"]).status.code(), Some(1));
        for arguments in [&["all"][..], &["95", "-1"], &["95", "4", "x"], &["95", "4", "95", "1"]] {
            let output = bench.run("health-check.sh", arguments);
            assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
        }
    });
}

#[test]
fn a_clock_of_which_nobody_tells_whether_it_is_set_is_fine_if_the_year_can_be_right() {
    in_every_shell(|| {
        for answer in ["exit 1", "printf 'NTP=no\\nNTPSynchronized=no\\n'"] {
            let bench = Bench::healthy();
            bench.tool("timedatectl", answer);
            let output = bench.run("health-check.sh", &[]);
            assert!(output.status.success(), "{output:?}");
            assert!(stdout(&output).contains("ok: the clock says 2031; whether"), "{output:?}");
        }
    });
}
