//! The daemon as a process of its own, with its log in a file.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::patience::{PATIENCE, eventually};

/// How much of the log a failing test shows, in lines.
const TAIL: usize = 60;

/// A running daemon. With the value it is killed, without a chance to say goodbye; a handler would run on, so the
/// handlers of tests end when the directory of their board is gone.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    /// Starts the program with the files of `board`: `fleethand.conf`, `state/`, and `log`, which is appended to.
    pub(crate) fn start(program: &Path, board: &Path, environment: &[(&str, &str)]) -> Self {
        let log = board.join("log");
        let file = OpenOptions::new().append(true).create(true).open(&log).expect("the directory is ours");
        let child = Command::new(program)
            .arg("--config-file")
            .arg(board.join("fleethand.conf"))
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", board)
            .env("STATE_DIRECTORY", board.join("state"))
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .expect("the daemon was built for this test");
        Self { child, log }
    }

    /// The log so far, that of earlier lives on the same board included.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(&self.log).map_or_else(|_| String::new(), |log| String::from_utf8_lossy(&log).into_owned())
    }

    /// Waits for a text in the log.
    pub fn wait_for_log(&self, text: &str) {
        let found = || self.log().contains(text).then_some(());
        eventually(&format!("`{text}` in the daemon's log"), || tail(&self.log()), found);
    }

    /// Sends a signal. It must not have been waited for before.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("the daemon has not been waited for");
    }

    /// Asks the daemon to end and waits until it has.
    #[must_use]
    pub fn terminate(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Waits until the daemon has ended.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status;
            }
            assert!(Instant::now() < deadline, "the daemon has not ended; its log: {}", tail(&self.log()));
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Kills the daemon as a power cut would, except that its handler lives.
    pub fn kill(mut self) {
        self.kill_and_wait();
    }

    /// The same for one that may have ended before; its log can still be read.
    pub fn kill_and_wait(&mut self) {
        self.child.kill().expect("it is our child");
        self.child.wait().expect("it is our child");
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        self.ended().is_none()
    }

    /// How it has ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it is our child")
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            report(&self.log());
        }
        // Both fail only for a daemon that has been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[expect(clippy::print_stderr, reason = "what a failing test has to say goes where the test harness looks")]
fn report(log: &str) {
    eprintln!("--- the daemon's log ---\n{}\n---", tail(log));
}

fn tail(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}
