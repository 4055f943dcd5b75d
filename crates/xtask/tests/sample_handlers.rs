//! The sample handlers, each as a process of its own. Of the tools that a handler could use it finds only those that
//! the test has put into its search path: stand-ins, which note how they were called and do what the test says.
//! That the agent runs handlers as it should is for the tests of the agent to show.
#![expect(clippy::unwrap_used, reason = "the helpers are part of the tests")]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// Every handler of this file with arguments that it takes, and the tools that it then calls.
const HANDLERS: [(&str, &[&str], &[&str]); 10] = [
    ("install-packages.sh", &["tree git"], &["apt-get"]),
    ("remove-packages.sh", &["tree git"], &["apt-get"]),
    ("verify-packages-installed.sh", &["tree git"], &["apt-get", "dpkg-query"]),
    ("verify-packages-removed.sh", &["tree git"], &["apt-get", "dpkg-query"]),
    ("start-services.sh", &["cron ssh"], &["systemctl"]),
    ("stop-services.sh", &["cron ssh"], &["systemctl"]),
    ("restart-services.sh", &["cron ssh"], &["systemctl"]),
    ("download-file.sh", &["https://h.example/a", "/tmp"], &["curl"]),
    ("health-check.sh", &[], &["df", "systemctl"]),
    ("shutdown.sh", &[], &["shutdown"]),
];

const APT: &str = "apt-get <-q> <-y> <-o> <DPkg::Lock::Timeout=300>";
const FORCE: &str = "<-o> <Dpkg::Options::=--force-confdef> <-o> <Dpkg::Options::=--force-confold>";

// --- what holds for all of them

#[test]
fn the_user_argument_may_be_empty_or_the_user_that_the_handler_runs_as() {
    let name = Command::new("id").arg("-un").output().unwrap().stdout;
    let number = Command::new("id").arg("-u").output().unwrap().stdout;
    for user in ["", str::from_utf8(&name).unwrap().trim(), str::from_utf8(&number).unwrap().trim()] {
        let bench = Bench::with(&["systemctl"]);
        let output = bench.run_as_step("start-services.sh", user, &["cron"]);
        assert!(output.status.success(), "{user}: {output:?}");
        assert_eq!(bench.calls(), ["systemctl <--no-ask-password> <start> <cron>"], "{user}");
    }
}

#[test]
fn a_user_argument_that_names_somebody_else_is_refused_and_nothing_is_called() {
    for (handler, arguments, tools) in HANDLERS {
        for user in ["somebody-else", "-u", "4294967294", " "] {
            let bench = Bench::with(tools);
            let output = bench.run_as_step(handler, user, arguments);
            assert_eq!(output.status.code(), Some(1), "{handler} {user:?}: {output:?}");
            assert!(stderr(&output).starts_with("Refused: "), "{handler}: {output:?}");
            assert!(bench.calls().is_empty(), "{handler} {user:?}: {:?}", bench.calls());
        }
    }
}

#[test]
fn a_handler_without_the_tools_that_it_needs_fails_and_says_so() {
    for (handler, arguments, _) in HANDLERS {
        let bench = Bench::with(&[]);
        let output = bench.run(handler, arguments);
        assert!(!output.status.success(), "{handler}: {output:?}");
        assert!(!output.stderr.is_empty(), "{handler}");
    }
}

#[test]
fn a_handler_fails_if_its_tool_fails() {
    for (handler, arguments, tools) in HANDLERS {
        for failing in tools.iter().filter(|tool| !(handler.starts_with("verify") && **tool == "apt-get")) {
            let bench = Bench::healthy();
            tools.iter().filter(|tool| **tool != "df").for_each(|tool| bench.tool(tool, ""));
            bench.tool(failing, "exit 7");
            let output = bench.run(handler, arguments);
            assert!(!output.status.success(), "{handler}, {failing}: {output:?}");
            assert!(!bench.calls().is_empty(), "{handler} has not called {failing}");
        }
    }
}

#[test]
fn a_name_that_could_be_an_option_a_pattern_or_a_path_never_reaches_a_tool() {
    for (handler, _, tools) in HANDLERS.into_iter().filter(|(_, words, _)| words.len() == 1) {
        for word in ["-x", "tree --force-yes", "tr*", "tree;git", "$(reboot)", "a]b", "", " "] {
            let bench = Bench::with(tools);
            let output = bench.run(handler, &[word]);
            assert_eq!(output.status.code(), Some(1), "{handler} {word:?}: {output:?}");
            assert!(bench.calls().is_empty(), "{handler} {word:?}: {:?}", bench.calls());
        }
        assert_eq!(Bench::with(tools).run(handler, &[]).status.code(), Some(1), "{handler}");
    }
}

// --- packages

#[test]
fn packages_are_installed_and_removed_with_each_package_manager() {
    let rows = [
        (
            "install-packages.sh",
            "apt-get",
            vec!["apt-get <-q> <update>".to_owned(), format!("{APT} {FORCE} <install> <tree> <git>")],
        ),
        ("install-packages.sh", "dnf", vec!["dnf <-y> <install> <tree> <git>".into()]),
        (
            "install-packages.sh",
            "yum",
            vec!["yum <-y> <--setopt=skip_missing_names_on_install=False> <install> <tree> <git>".into()],
        ),
        ("install-packages.sh", "apk", vec!["apk <add> <--update-cache> <tree> <git>".into()]),
        ("install-packages.sh", "opkg", vec!["opkg <update>".into(), "opkg <install> <tree> <git>".into()]),
        ("remove-packages.sh", "apt-get", vec![format!("{APT} <--purge> <remove> <tree> <git>")]),
        ("remove-packages.sh", "dnf", vec!["dnf <-y> <remove> <tree> <git>".into()]),
        ("remove-packages.sh", "yum", vec!["yum <-y> <remove> <tree> <git>".into()]),
        ("remove-packages.sh", "apk", vec!["apk <del> <tree> <git>".into()]),
        ("remove-packages.sh", "opkg", vec!["opkg <remove> <tree> <git>".into()]),
    ];
    for (handler, manager, calls) in rows {
        for arguments in [&["tree git"][..], &["tree", "git"]] {
            let bench = Bench::with(&[manager]);
            let output = bench.run(handler, arguments);
            assert!(output.status.success(), "{handler} {manager}: {output:?}");
            assert_eq!(bench.calls(), calls, "{handler} {manager} {arguments:?}");
            bench.tool(manager, "exit 7");
            assert_eq!(bench.run(handler, arguments).status.code(), Some(7), "{handler} {manager}");
        }
    }
}

#[test]
fn nothing_is_installed_if_the_lists_cannot_be_updated() {
    for manager in ["apt-get", "opkg"] {
        let bench = Bench::with(&[]);
        bench.tool(manager, "case \"$*\" in *update) exit 100 ;; esac");
        assert_eq!(bench.run("install-packages.sh", &["tree"]).status.code(), Some(100));
        assert_eq!(bench.calls().len(), 1, "{:?}", bench.calls());
    }
}

#[test]
fn no_name_turns_an_installation_into_a_removal_or_the_other_way_round() {
    let bench = Bench::with(&["apt-get"]);
    assert_eq!(bench.run("install-packages.sh", &["tree-"]).status.code(), Some(1));
    bench.tool("dpkg-query", "exit 1");
    assert_eq!(bench.run("remove-packages.sh", &["tree+"]).status.code(), Some(1));
    assert_eq!(bench.calls(), ["dpkg-query <-W> <tree+>"]);
    bench.tool("dpkg-query", "");
    assert!(bench.run("remove-packages.sh", &["g++"]).status.success());
}

/// A package manager, its database, and what that says of a package that is installed, not there, or unclear.
const DATABASES: [(&str, &str, &str, &str, &str); 5] = [
    ("apt-get", "dpkg-query", "echo 'hold ok installed'", "echo 'deinstall ok config-files'", "exit 2"),
    (
        "dnf",
        "rpm",
        "echo tree-2.1",
        "echo \"package $2 is not installed\"; exit 1",
        "echo 'error: no db'; exit 1",
    ),
    (
        "yum",
        "rpm",
        "echo tree-2.1",
        "echo \"package $2 is not installed\"; exit 1",
        "echo 'error: no db'; exit 1",
    ),
    ("apk", "apk", "echo \"$3\"", "exit 1", "echo 'ERROR: no db' >&2; exit 1"),
    (
        "opkg",
        "opkg",
        "printf 'Package: tree\\nStatus: install user installed\\n'",
        "printf 'Package: tree\\nStatus: unknown ok not-installed\\n'",
        "exit 255",
    ),
];

#[test]
fn what_is_installed_is_told_from_what_is_not_and_from_what_nobody_knows() {
    for (manager, database, there, gone, unclear) in DATABASES {
        for (answer, installed, removed) in [(there, 0, 1), (gone, 1, 0), (unclear, 1, 1)] {
            let bench = Bench::with(&[manager]);
            bench.tool(database, answer);
            for (handler, code) in
                [("verify-packages-installed.sh", installed), ("verify-packages-removed.sh", removed)]
            {
                let output = bench.run(handler, &["tree git"]);
                assert_eq!(output.status.code(), Some(code), "{handler} {database} {answer}: {output:?}");
            }
        }
    }
}

#[test]
fn a_package_that_is_not_known_is_removed_and_one_that_is_half_there_is_neither() {
    let bench = Bench::with(&["apt-get", "opkg"]);
    bench.tool("dpkg-query", "exit 1");
    assert!(bench.run("verify-packages-removed.sh", &["tree"]).status.success());
    bench.tool("dpkg-query", "echo 'install ok half-configured'");
    for handler in ["verify-packages-removed.sh", "verify-packages-installed.sh"] {
        let output = bench.run(handler, &["tree"]);
        assert_eq!(stderr(&output), "tree is broken: install ok half-configured\n", "{output:?}");
        assert_eq!(output.status.code(), Some(1));
    }
    let bench = Bench::with(&["opkg"]);
    assert!(bench.run("verify-packages-removed.sh", &["tree"]).status.success());
    assert!(!bench.run("verify-packages-installed.sh", &["tree"]).status.success());
}

#[test]
fn every_package_that_is_in_the_wrong_state_is_named() {
    let bench = Bench::with(&["apt-get"]);
    bench.tool("dpkg-query", "case \"$3\" in git) echo 'install ok installed' ;; *) exit 1 ;; esac");
    let output = bench.run("verify-packages-installed.sh", &["tree", "git", "lftp"]);
    assert_eq!(stderr(&output), "tree is not installed\nlftp is not installed\n");
    assert_eq!(stdout(&output), "git is installed\n");
}

// --- services

#[test]
fn services_are_handled_with_systemctl_or_service_or_their_scripts() {
    for verb in ["start", "stop", "restart"] {
        let handler = format!("{verb}-services.sh");
        for arguments in [&["cron ssh@2"][..], &["cron", "ssh@2"]] {
            let bench = Bench::with(&["systemctl", "service"]);
            assert!(bench.run(&handler, arguments).status.success());
            assert_eq!(bench.calls(), [format!("systemctl <--no-ask-password> <{verb}> <cron> <ssh@2>")]);

            let bench = Bench::with(&["service"]);
            assert!(bench.run(&handler, arguments).status.success());
            assert_eq!(
                bench.calls(),
                [format!("service <cron> <{verb}>"), format!("service <ssh@2> <{verb}>")]
            );

            let bench = Bench::with(&[]);
            bench.script("init.d/cron", "");
            bench.script("init.d/ssh@2", "");
            assert!(bench.run(&handler, arguments).status.success());
            assert_eq!(bench.calls(), [format!("cron <{verb}>"), format!("ssh@2 <{verb}>")]);
        }
    }
}

#[test]
fn a_service_that_fails_or_is_not_there_ends_the_handler() {
    let bench = Bench::with(&[]);
    bench.tool("service", "[ \"$1\" != cron ] || exit 5");
    assert_eq!(bench.run("restart-services.sh", &["cron ssh"]).status.code(), Some(5));
    assert_eq!(bench.calls(), ["service <cron> <restart>"]);
    let bench = Bench::with(&[]);
    bench.script("init.d/cron", "exit 4");
    assert_eq!(bench.run("stop-services.sh", &["cron"]).status.code(), Some(4));
    assert_eq!(bench.run("stop-services.sh", &["ssh"]).status.code(), Some(1));
}

// --- downloads

/// A URL of which nothing secret may be seen, and what may be.
const URL: &str = "https://user:SECRET@h.example:8443/dir/file.bin?X-Signature=SECRET&a=b@c#SECRET";
const SHOWN: &str = "https://h.example:8443/dir/file.bin";
/// Writes "hello" to where curl or wget is to write, and repeats the URL as those may do.
const FETCH: &str = "while [ \"$#\" -gt 1 ]; do case \"$1\" in --output | -O) to=$2 ;; esac; shift; done
printf hello >\"$to\"; echo \"getting $1\"; echo \"getting $1\" >&2";
/// Of "hello".
const SUM: &str = "2CF24DBA5FB0A30E26E83B2AC5B9E29E1B161E5C1FA7425E73043362938B9824";

#[test]
fn a_file_is_downloaded_to_a_file_or_into_a_directory() {
    for tool in ["curl", "wget"] {
        for (target, found, sum) in [
            ("", "file.bin", SUM),
            ("new", "new", ""),
            ("old", "old", SUM),
            ("new", "new", &SUM.to_lowercase()),
        ] {
            let bench = Bench::with(&[]);
            bench.tool(tool, FETCH);
            fs::write(bench.files().join("old"), "what was there").unwrap();
            let target = bench.files().join(target);
            let output = bench.run_as_step("download-file.sh", "", &[URL, target.to_str().unwrap(), sum]);
            assert!(output.status.success(), "{tool}: {output:?}");
            assert_eq!(fs::read_to_string(bench.files().join(found)).unwrap(), "hello");
            assert!(bench.calls()[0].ends_with(&format!("<{URL}>")), "{:?}", bench.calls());
            let target = bench.files().join(found);
            assert_eq!(stdout(&output), format!("Downloaded {SHOWN} to {}\n", target.display()));
            assert_eq!(bench.names(), if found == "old" { vec!["old"] } else { vec![found, "old"] });
        }
    }
}

#[test]
fn a_download_that_breaks_leaves_what_was_there_and_nothing_else() {
    for (tool, code) in [("curl", 18), ("curl", 22), ("curl", 77), ("wget", 1), ("wget", 4), ("wget", 8)] {
        let bench = Bench::with(&[]);
        bench.tool(tool, &format!("{FETCH}; exit {code}"));
        assert_spoilt(&bench, "", &format!("{tool} {code}"));
    }
}

#[test]
fn a_file_with_another_checksum_is_thrown_away() {
    for tool in ["curl", "wget"] {
        let bench = Bench::with(&[]);
        bench.tool(tool, FETCH);
        assert_spoilt(&bench, &SUM.replace('2', "3"), tool);
    }
}

#[test]
fn a_download_that_is_stopped_leaves_nothing() {
    let bench = Bench::with(&[]);
    bench.tool("curl", &format!("{FETCH}; kill -TERM \"$PPID\""));
    assert_spoilt(&bench, "", "TERM");
}

#[test]
fn a_download_that_cannot_be_right_is_not_begun() {
    let rows: [&[&str]; 12] = [
        &[],
        &[URL],
        &[URL, "FILES", SUM, "more"],
        &[URL, ""],
        &[URL, "FILES", "abc"],
        &[URL, "FILES/missing/new"],
        &[URL, "FILES/missing/"],
        &["https://h.example/?SECRET", "FILES"],
        &["file:///etc/SECRET", "FILES"],
        &["--post-file=SECRET", "FILES"],
        &["https://user:SEC/RET@h.example/SECRET", "FILES"],
        &["https://user:SECRET?@h.example/SECRET", "FILES"],
    ];
    for row in rows {
        let bench = Bench::with(&["curl"]);
        let files = bench.files().display().to_string();
        let arguments: Vec<_> = row.iter().map(|word| word.replace("FILES", &files)).collect();
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let output = bench.run("download-file.sh", &arguments);
        assert_eq!(output.status.code(), Some(1), "{row:?}: {output:?}");
        assert!(!stderr(&output).is_empty() && !stderr(&output).contains("SECRET"), "{row:?}: {output:?}");
        assert!(bench.calls().is_empty() && bench.names().is_empty(), "{row:?}");
    }
}

/// The download fails, tells no secret, and leaves the directory as it was, for a new target and for an old one.
fn assert_spoilt(bench: &Bench, sum: &str, what: &str) {
    fs::write(bench.files().join("old"), "what was there").unwrap();
    for target in ["new", "old", ""] {
        let output = bench.run("download-file.sh", &[URL, bench.files().join(target).to_str().unwrap(), sum]);
        assert!(!output.status.success(), "{what}: {output:?}");
        assert!(!stderr(&output).contains("SECRET") && !stdout(&output).contains("SECRET"), "{output:?}");
        assert!(what == "TERM" || stderr(&output).contains(SHOWN), "{what}: {output:?}");
        assert_eq!(bench.names(), ["old"], "{what}");
        assert_eq!(fs::read_to_string(bench.files().join("old")).unwrap(), "what was there");
    }
}

// --- the device

/// Brings a fault about.
type Spoil = fn(&Bench);

#[test]
fn a_healthy_device_gives_one_good_line_for_each_check() {
    let bench = Bench::healthy();
    let output = bench.run("health-check.sh", &[]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        stdout(&output),
        "ok: the root file system is writable\nok: the root file system is 90 % full\n\
         ok: the load is 7.5 on 2 processors\nok: no unit has failed\n"
    );
    assert!(bench.run("health-check.sh", &["90", "4"]).status.success());
}

#[test]
fn each_fault_of_a_device_is_told_and_fails_the_check() {
    let rows: [(&str, Spoil); 9] = [
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
        ("bad: failed units: cron.service ssh.service\n", |bench| {
            bench.tool("systemctl", "echo 'cron.service loaded failed'; echo 'ssh.service loaded failed'");
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
        assert_eq!(stdout(&output).lines().count(), 3, "{line}: {output:?}");
    }
}

#[test]
fn limits_of_the_health_check_can_be_given_and_have_to_be_numbers() {
    let bench = Bench::healthy();
    assert_eq!(bench.run("health-check.sh", &["89"]).status.code(), Some(1));
    assert_eq!(bench.run("health-check.sh", &["95", "3"]).status.code(), Some(1));
    for arguments in [&["all"][..], &["95", "-1"], &["95", "4", "1"]] {
        let output = bench.run("health-check.sh", arguments);
        assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
    }
}

#[test]
fn the_device_is_powered_off_in_a_while_and_never_at_once() {
    let bench = Bench::with(&["shutdown", "poweroff"]);
    assert!(bench.run_as_step("shutdown.sh", "", &[]).status.success());
    assert!(bench.run("shutdown.sh", &["15"]).status.success());
    for minutes in ["0", "now", "-1", "+1", "08", "1 2", "99999"] {
        assert_eq!(bench.run("shutdown.sh", &[minutes]).status.code(), Some(1), "{minutes}");
    }
    assert_eq!(bench.calls(), ["shutdown <-h> <+1>", "shutdown <-h> <+15>"]);
}

#[test]
fn without_shutdown_the_device_is_powered_off_after_a_sleep_in_the_background() {
    let bench = Bench::with(&["poweroff", "sleep"]);
    bench.tool("id", "echo 0");
    assert!(bench.run("shutdown.sh", &["2"]).status.success());
    let begin = Instant::now();
    let called = || bench.calls().into_iter().filter(|call| !call.starts_with("id ")).collect::<Vec<_>>();
    while called().len() < 2 {
        assert!(begin.elapsed() < Duration::from_secs(60), "{:?}", bench.calls());
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(called(), ["sleep <120>", "poweroff"]);
    bench.tool("id", "echo 1000");
    assert_eq!(bench.run("shutdown.sh", &[]).status.code(), Some(1));
}

// --- documents

#[test]
fn the_documents_that_are_for_trying_by_hand_fit_their_handlers() {
    let directory = root().join("sample-job-docs/by-hand");
    let mut seen = 0;
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension() != Some(OsStr::new("json")) {
            continue;
        }
        let document: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(document["version"], "1.0", "{}", path.display());
        let bench = Bench::healthy();
        bench.tool("curl", FETCH);
        bench.tool("apt-get", "");
        bench.tool("shutdown", "");
        bench.tool("dpkg-query", "[ \"$3\" != telnet ] || exit 1; echo 'install ok installed'");
        for step in document["steps"].as_array().unwrap() {
            let action = &step["action"];
            assert_eq!(action["type"], "runHandler");
            let arguments = action["input"]["args"].as_array().into_iter().flatten();
            let files = bench.files().display().to_string();
            let arguments: Vec<_> =
                arguments.map(|word| word.as_str().unwrap().replace("/var/tmp", &files)).collect();
            let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
            let output = bench.run_as_step(
                action["input"]["handler"].as_str().unwrap(),
                action["runAsUser"].as_str().unwrap_or_default(),
                &arguments,
            );
            assert!(output.status.success(), "{}: {output:?}", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 8, "only {seen} steps");
}

// --- the bench

/// A search path, a log of the calls, and a directory for files.
struct Bench {
    root: TempDir,
}

impl Bench {
    /// Stand-ins that end well and do nothing, beside the real tools that do no harm.
    fn with(tools: &[&str]) -> Self {
        let bench = Self { root: tempfile::tempdir().unwrap() };
        for directory in ["bin", "files", "proc"] {
            fs::create_dir(bench.root.path().join(directory)).unwrap();
        }
        for tool in ["awk", "chmod", "grep", "id", "mktemp", "mv", "rm", "sha256sum", "sync", "tr"] {
            let real = ["/usr/bin", "/bin"].map(|directory| Path::new(directory).join(tool));
            let real = real.iter().find(|path| path.exists()).expect("every Linux has these tools");
            symlink(real, bench.root.path().join("bin").join(tool)).unwrap();
        }
        for tool in tools {
            bench.tool(tool, "");
        }
        bench
    }

    fn healthy() -> Self {
        let bench = Self::with(&["systemctl"]);
        bench.proc(
            "mounts",
            "rootfs / rootfs ro 0 0\n/dev/mmcblk0p2 / ext4 rw,noatime 0 0\nx /x ext4 ro 0 0\n",
        );
        bench.proc("loadavg", "99.0 7.5 0.1 1/100 4242\n");
        bench.proc("cpuinfo", "processor\t: 0\nmodel\t: x\nprocessor\t: 1\n");
        bench.df("90%");
        bench
    }

    fn tool(&self, name: &str, body: &str) {
        self.script(&format!("bin/{name}"), body);
    }

    /// Puts a script in place that notes its call and goes on with `body`. Another process writes it: as long as any
    /// process has it open for writing it cannot be executed, and ours has children that inherit for a moment.
    fn script(&self, path: &str, body: &str) {
        let log = self.root.path().join("calls");
        let note = "{ printf '%s' \"${0##*/}\"; [ \"$#\" -eq 0 ] || printf ' <%s>' \"$@\"; echo; }";
        let text = self.root.path().join("text");
        fs::write(&text, format!("#!/bin/sh\n{note} >>'{}'\n{body}\n", log.display())).unwrap();
        let place = self.root.path().join(path);
        // Never through a link to the real tool.
        if place.is_symlink() {
            fs::remove_file(&place).unwrap();
        }
        let installed =
            Command::new("install").args(["-D", "-m", "755"]).args([text, place]).status().unwrap();
        assert!(installed.success());
    }

    fn df(&self, used: &str) {
        self.tool("df", &format!("echo 'Filesystem 1024-blocks Used'; echo '/dev/root 100 90 10 {used} /'"));
    }

    fn proc(&self, name: &str, text: &str) {
        fs::write(self.root.path().join("proc").join(name), text).unwrap();
    }

    fn files(&self) -> PathBuf {
        self.root.path().join("files")
    }

    /// What is in the directory for files, hidden files included.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.files())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// The calls of the stand-ins, in their order.
    fn calls(&self) -> Vec<String> {
        let log = fs::read_to_string(self.root.path().join("calls")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    fn run(&self, handler: &str, arguments: &[&str]) -> Output {
        self.command(handler).args(arguments).output().unwrap()
    }

    fn run_as_step(&self, handler: &str, user: &str, arguments: &[&str]) -> Output {
        self.command(handler).env("USER_ARGUMENT", "1").arg(user).args(arguments).output().unwrap()
    }

    fn command(&self, handler: &str) -> Command {
        let mut command = Command::new(root().join("sample-job-handlers").join(handler));
        command.env_clear().current_dir("/").stdin(Stdio::null());
        command.env("PATH", self.root.path().join("bin"));
        command.env("INIT_DIRECTORY", self.root.path().join("init.d"));
        command.env("PROC_DIRECTORY", self.root.path().join("proc"));
        command
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}
