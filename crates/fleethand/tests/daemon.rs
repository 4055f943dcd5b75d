//! The daemon alone, without a service to connect to: start, signals, service manager, state directory, log.

#![expect(clippy::unwrap_used, reason = "a test: what fails fails it")]

mod bench;

use std::fs;
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bench::{Bench, GOOD};
use rustix::process::{Pid, Signal, kill_process};

/// Far longer than anything here takes on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn ready_is_said_without_a_network_and_a_stop_ends_with_0() {
    let bench = Bench::new();
    bench.config(GOOD);
    let manager = Manager::new();
    let mut daemon = Daemon::start(manager.watch(bench.command(&["--config-file", bench.file()])));
    manager.hears("READY=1");
    daemon.signal(Signal::TERM);
    manager.hears("STOPPING=1");
    assert_eq!(daemon.exit_code(), 0);
}

#[test]
fn the_manager_is_told_what_the_agent_is_about() {
    let bench = Bench::new();
    bench.config(GOOD);
    let manager = Manager::new();
    let _daemon = Daemon::start(manager.watch(bench.command(&["--config-file", bench.file()])));
    manager.hears("STATUS=not connected; idle");
}

#[test]
fn the_watchdog_is_fed_for_as_long_as_the_loop_turns() {
    let bench = Bench::new();
    bench.config(GOOD);
    let manager = Manager::new();
    let mut command = manager.watch(bench.command(&["--config-file", bench.file()]));
    let _daemon = Daemon::start(command.env("WATCHDOG_USEC", "100000"));
    for _ in 0..3 {
        manager.hears("WATCHDOG=1");
    }
}

#[test]
fn a_second_instance_is_refused_with_the_number_of_the_first() {
    let bench = Bench::new();
    bench.config(GOOD);
    let manager = Manager::new();
    let daemon = Daemon::start(manager.watch(bench.command(&["--config-file", bench.file()])));
    manager.hears("READY=1");
    let said = bench.run(&["--config-file", bench.file()]);
    assert_eq!(said.code, 75, "{}", said.text);
    let expected = format!("already running in {} (process {})", bench.path("state"), daemon.0.id());
    assert!(said.text.contains(&expected), "{}", said.text);
}

#[test]
fn a_state_directory_that_others_can_change_is_refused() {
    let bench = Bench::new();
    bench.config(GOOD);
    fs::create_dir(bench.path("state")).unwrap();
    bench.chmod("state", 0o777);
    let said = bench.run(&["--config-file", bench.file()]);
    assert_eq!(said.code, 77, "{}", said.text);
    assert!(said.text.contains("chmod 700"), "{}", said.text);
}

#[test]
fn the_log_file_is_opened_again_when_asked() {
    let bench = Bench::new();
    bench.config(GOOD);
    let (log, moved) = (bench.path("log"), bench.path("log.1"));
    let manager = Manager::new();
    let arguments = ["--config-file", bench.file(), "--log-type", "file", "--log-file", &log];
    let daemon = Daemon::start(manager.watch(bench.command(&arguments)));
    manager.hears("READY=1");
    fs::rename(&log, &moved).unwrap();
    daemon.signal(Signal::HUP);
    wait_until("the log is there again", || fs::metadata(&log).is_ok_and(|log| log.len() > 0));
    assert!(fs::read_to_string(&moved).unwrap().contains("Fleethand starts"));
}

#[test]
fn a_log_file_that_cannot_be_opened_does_not_keep_the_agent_from_working() {
    let bench = Bench::new();
    bench.config(GOOD);
    let manager = Manager::new();
    let arguments = ["--config-file", bench.file(), "--log-type", "file", "--log-file", "/nowhere/log"];
    let _daemon = Daemon::start(manager.watch(bench.command(&arguments)));
    manager.hears("READY=1");
}

#[test]
fn with_jobs_switched_off_nothing_is_connected_to() {
    let bench = Bench::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    bench.config(GOOD);
    let port = listener.local_addr().unwrap().port().to_string();
    let manager = Manager::new();
    let arguments = ["--config-file", bench.file(), "--port", &port, "--enable-jobs", "false"];
    let mut daemon = Daemon::start(manager.watch(bench.command(&arguments)));
    manager.hears("READY=1");
    daemon.signal(Signal::INT);
    assert_eq!(daemon.exit_code(), 0);
    assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

/// A daemon that is killed when the test is over.
struct Daemon(Child);

impl Daemon {
    fn start(command: impl std::borrow::BorrowMut<Command>) -> Self {
        let mut command = command;
        Self(command.borrow_mut().stderr(Stdio::null()).spawn().unwrap())
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    fn exit_code(&mut self) -> i32 {
        let mut code = None;
        wait_until("the daemon has ended", || {
            code = self.0.try_wait().unwrap().map(|status| status.code().unwrap_or(-1));
            code.is_some()
        });
        code.unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already, as it should.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Stands in for the service manager.
struct Manager {
    socket: UnixDatagram,
    path: PathBuf,
    _directory: tempfile::TempDir,
}

impl Manager {
    fn new() -> Self {
        // A socket's path is short (unix(7)); where temporary files go it may not be.
        let directory = tempfile::tempdir_in("/tmp").unwrap();
        let path = directory.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, path, _directory: directory }
    }

    fn watch(&self, mut command: Command) -> Command {
        command.env("NOTIFY_SOCKET", &self.path);
        command
    }

    /// Waits for this word; others pass.
    fn hears(&self, word: &str) {
        let mut heard = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let length = match self.socket.recv(&mut buffer) {
                Ok(length) => length,
                Err(error) => panic!("{word} was not said ({error}), but {heard:?}"),
            };
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.lines().any(|line| line == word) {
                return;
            }
            heard.push(text);
        }
    }
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
