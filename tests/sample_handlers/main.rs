//! The sample handlers, each as a process of its own. Of the tools that a handler could use it finds only those that
//! the test has put into its search path: stand-ins, which note how they were called and do what the test says.
//! That the agent runs handlers as it should is for the tests of the agent to show.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by a panic, and says on standard error with which shell"
)]

mod bench;
mod download;
mod health;
mod packages;
mod power;
mod services;

use std::path::{Path, PathBuf};
use std::process::Command;

use bench::{Bench, in_every_shell, stderr};

fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().expect("the package stands below the workspace").to_owned()
}

/// Every handler that touches the machine, with arguments that it takes, and the tools that it then calls.
const HANDLERS: [(&str, &[&str], &[&str]); 11] = [
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
    ("reboot.sh", &[], &[]),
];

#[test]
fn the_user_argument_may_be_empty_or_the_user_that_the_handler_runs_as() {
    in_every_shell(|| {
        let name = Command::new("id").arg("-un").output().unwrap().stdout;
        let number = Command::new("id").arg("-u").output().unwrap().stdout;
        for user in ["", str::from_utf8(&name).unwrap().trim(), str::from_utf8(&number).unwrap().trim()] {
            let bench = Bench::with(&["systemctl"]);
            let output = bench.run_as_step("start-services.sh", user, &["cron"]);
            assert!(output.status.success(), "{user}: {output:?}");
            assert_eq!(bench.calls(), ["systemctl <--no-ask-password> <start> <--> <cron>"], "{user}");
        }
    });
}

#[test]
fn a_user_argument_that_names_somebody_else_is_refused_and_nothing_is_called() {
    in_every_shell(|| {
        for (handler, arguments, tools) in HANDLERS {
            for user in ["somebody-else", "-u", "4294967294", " "] {
                let bench = Bench::with(tools);
                let output = bench.run_as_step(handler, user, arguments);
                assert_eq!(output.status.code(), Some(1), "{handler} {user:?}: {output:?}");
                assert!(stderr(&output).starts_with("Refused: "), "{handler}: {output:?}");
                assert!(bench.calls().is_empty(), "{handler} {user:?}: {:?}", bench.calls());
            }
        }
    });
}

#[test]
fn a_handler_without_the_tools_that_it_needs_fails_and_says_so() {
    in_every_shell(|| {
        for (handler, arguments, _) in HANDLERS {
            let bench = Bench::with(&[]);
            let output = bench.run(handler, arguments);
            assert!(!output.status.success(), "{handler}: {output:?}");
            assert!(!output.stderr.is_empty(), "{handler}");
        }
    });
}

#[test]
fn a_handler_fails_if_its_tool_fails() {
    in_every_shell(|| {
        for (handler, arguments, tools) in HANDLERS {
            for failing in tools.iter().filter(|tool| !(handler.starts_with("verify") && **tool == "apt-get"))
            {
                let bench = Bench::healthy();
                tools.iter().filter(|tool| **tool != "df").for_each(|tool| bench.tool(tool, ""));
                bench.tool(failing, "exit 7");
                let output = bench.run(handler, arguments);
                assert!(!output.status.success(), "{handler}, {failing}: {output:?}");
                assert!(!bench.calls().is_empty(), "{handler} has not called {failing}");
            }
        }
    });
}

#[test]
fn a_name_that_could_be_an_option_a_pattern_or_a_path_never_reaches_a_tool() {
    in_every_shell(|| {
        for (handler, _, tools) in HANDLERS.into_iter().filter(|(_, words, _)| words.len() == 1) {
            for word in ["-x", "tree --force-yes", "tr*", "tree;git", "$(reboot)", "a]b", "", " "] {
                let bench = Bench::with(tools);
                let output = bench.run(handler, &[word]);
                assert_eq!(output.status.code(), Some(1), "{handler} {word:?}: {output:?}");
                assert!(bench.calls().is_empty(), "{handler} {word:?}: {:?}", bench.calls());
            }
            assert_eq!(Bench::with(tools).run(handler, &[]).status.code(), Some(1), "{handler}");
        }
    });
}
