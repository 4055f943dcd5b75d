//! The service as a process of its own, frozen with SIGSTOP, killed, and started again.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use testkit::{Board, Desk, eventually, skip};

use super::THING;
use crate::board::{flat, install_patient, keepers, lines, log};
use crate::{DAEMON, start};

#[test]
fn a_service_that_is_frozen_for_the_whole_handler_is_told_when_it_moves_again() {
    let Some(service) = Service::start() else { return };
    let board = service.board();
    let _daemon = start(&board);
    service.create("j");
    eventually("the begin of the handler", || log(&board), || (lines(&board, "runs") == ["j"]).then_some(()));
    service.signal(Signal::STOP);
    std::fs::write(board.path().join("go"), "").expect("the directory is ours");
    eventually("the end of the handler", || log(&board), || keepers(&board).is_empty().then_some(()));
    service.signal(Signal::CONT);
    let ended = eventually("the end of the job", || log(&board), || service.ended("j"));
    assert_eq!(ended["status"], "SUCCEEDED", "{ended}");
    service.create("next");
    eventually("the end of the next job", || log(&board), || service.ended("next"));
    assert_eq!(lines(&board, "runs"), ["j", "next"]);
}

/// `fleethand-local`, with its files.
struct Service {
    process: Child,
    directory: tempfile::TempDir,
    mqtt_port: u16,
    http: String,
}

impl Service {
    /// None if the program has not been built, which is said.
    fn start() -> Option<Self> {
        let program: PathBuf = Path::new(DAEMON).with_file_name("fleethand-local");
        if !program.exists() {
            skip("a frozen service", "fleethand-local is not built (cargo test --workspace builds it)");
            return None;
        }
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let init = Command::new(&program)
            .args(["--log-level", "warn", "init", "--thing", THING])
            .arg(directory.path())
            .stdout(Stdio::null())
            .status();
        assert!(init.expect("it can be run").success());
        let mut process = Command::new(&program)
            .args(["--log-level", "warn", "serve", "--mqtt", "127.0.0.1:0", "--http", "127.0.0.1:0"])
            .arg(directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it can be run");
        let mut line = String::new();
        let stdout = process.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("it says where it is");
        let addresses: Value = serde_json::from_str(&line).expect("it says so in JSON");
        let address = |name: &str| addresses[name].as_str().expect("an address is a string").to_owned();
        let port = address("mqtt").rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        let http = address("http").trim_start_matches("http://").to_owned();
        Some(Self { process, directory, mqtt_port: port.expect("it has a port"), http })
    }

    /// A board with the certificates that the service has made.
    fn board(&self) -> Board {
        // Only for the files that a board has besides.
        let mut board = Board::new(&Desk::start(&[]), THING);
        let agent = self.directory.path().join("agent");
        for (key, file) in [("cert", "device.pem"), ("key", "device.key"), ("root-ca", "root-ca.pem")] {
            board.configure("", key, json!(agent.join(file)));
        }
        board.configure("", "port", json!(self.mqtt_port));
        install_patient(&board);
        board
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).expect("it is our child");
    }

    fn create(&self, job: &str) {
        let target = format!("arn:aws:iot:us-east-1:123456789012:thing/{THING}");
        let body = json!({ "targets": [target], "document": flat("patient", &[]) });
        self.call("PUT", &format!("/jobs/{job}"), &body.to_string());
    }

    /// The execution of a job, once it is over.
    fn ended(&self, job: &str) -> Option<Value> {
        let answer = self.call("GET", &format!("/things/{THING}/jobs/{job}"), "");
        let execution = &answer["execution"];
        let open = ["QUEUED", "IN_PROGRESS"].iter().any(|open| execution["status"] == *open);
        (!open).then(|| execution.clone())
    }

    fn call(&self, method: &str, path: &str, body: &str) -> Value {
        let mut stream = TcpStream::connect(&self.http).expect("the service listens");
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        )
        .expect("the service reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("the service answers");
        assert!(answer.starts_with("HTTP/1.1 200"), "{method} {path}: {answer}");
        let (_, content) = answer.split_once("\r\n\r\n").expect("an answer has a head and a body");
        serde_json::from_str(content).unwrap_or_else(|_| panic!("{method} {path}: {answer}"))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may stand still; both fail only for one that has been waited for.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
