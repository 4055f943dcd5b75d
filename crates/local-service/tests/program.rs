//! The program `fleethand-local` from outside: its two commands, its one line, its end.

#![allow(clippy::unwrap_used, reason = "helpers of tests stop the test")]

use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

#[test]
fn init_then_serve_then_a_clean_end_on_either_signal() {
    let desk = tempfile::tempdir().unwrap();
    let made = run(&["init", desk.path().to_str().unwrap(), "--thing", "t1", "--host", "desk.example"]);
    assert!(made.status.success(), "{made:?}");
    assert!(String::from_utf8_lossy(&made.stdout).contains("fleethand.conf"));
    for signal in [Signal::TERM, Signal::INT] {
        let mut service = Service::start(desk.path());
        let addresses = service.line();
        for name in ["mqtt", "http"] {
            let address = addresses[name].as_str().unwrap().trim_start_matches("http://").to_owned();
            TcpStream::connect(&address).unwrap();
        }
        kill_process(Pid::from_child(&service.child), signal).unwrap();
        assert!(service.child.wait().unwrap().success());
        let mut rest = String::new();
        service.out.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "", "the addresses are all that is said on standard output");
    }
}

#[test]
fn serve_without_init_says_what_is_missing() {
    let desk = tempfile::tempdir().unwrap();
    let outcome = run(&["serve", desk.path().to_str().unwrap()]);
    assert_eq!(outcome.status.code(), Some(1));
    let said = String::from_utf8_lossy(&outcome.stderr).into_owned();
    assert!(said.contains("ca.pem") && said.contains("init"), "{said}");
}

#[test]
fn a_directory_that_is_not_there_is_told_at_the_start_and_not_to_each_client() {
    let desk = tempfile::tempdir().unwrap();
    let place = desk.path().to_str().unwrap();
    run(&["init", place]);
    for option in ["--policies", "--documents"] {
        let outcome =
            run(&["serve", place, option, "/nowhere", "--mqtt", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
        assert_eq!(outcome.status.code(), Some(1));
        let said = String::from_utf8_lossy(&outcome.stderr).into_owned();
        assert!(said.contains(option) && said.contains("/nowhere"), "{said}");
    }
}

#[test]
fn an_address_that_others_can_reach_is_warned_of() {
    let desk = tempfile::tempdir().unwrap();
    run(&["init", desk.path().to_str().unwrap()]);
    for (http, warned) in [("127.0.0.1:0", false), ("0.0.0.0:0", true)] {
        let mut service = Service::start_at(desk.path(), http);
        service.line();
        kill_process(Pid::from_child(&service.child), Signal::TERM).unwrap();
        let mut said = String::new();
        service.child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!(said.contains("WARN"), warned, "{said}");
    }
}

#[test]
fn a_name_that_no_thing_can_have_is_refused() {
    let desk = tempfile::tempdir().unwrap();
    let outcome = run(&["init", desk.path().to_str().unwrap(), "--thing", "../up"]);
    assert!(!outcome.status.success());
    assert_eq!(std::fs::read_dir(desk.path()).unwrap().count(), 0);
}

fn run(arguments: &[&str]) -> Output {
    program().args(arguments).output().unwrap()
}

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_fleethand-local"))
}

/// The running program; killed with the test if it is still there.
struct Service {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
}

impl Service {
    fn start(directory: &Path) -> Self {
        Self::start_at(directory, "127.0.0.1:0")
    }

    fn start_at(directory: &Path, http: &str) -> Self {
        let mut child = program()
            .arg("serve")
            .arg(directory)
            .args(["--mqtt", "127.0.0.1:0", "--http", http])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        Self { child, out }
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It has ended already if the test has passed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
