//! A state directory that fails: full, read-only, on a disk that breaks, cut off or with wrong bits. What cannot be
//! remembered is not started; what cannot be read is set aside and told, and what it may have held counts as unknown:
//! it is never run again.

mod damage;
mod disk;
mod removed;

use std::fs;
use std::path::PathBuf;

use testkit::{Board, Daemon, Desk, Execution, eventually};

use crate::board::{flat, install, install_patient, lines, log};
use crate::start;

const THING: &str = "board";

/// The exit code for a state that cannot be read or written.
const STORAGE: i32 = 74;

/// A board whose daemon is not always there.
struct Scene {
    desk: Desk,
    board: Board,
}

impl Scene {
    fn set() -> Self {
        let desk = Desk::start(&[THING]);
        let board = Board::new(&desk, THING);
        install(&board, "quick", "echo \"$JOB_ID\" >>{board}/runs");
        install_patient(&board);
        Self { desk, board }
    }

    fn state(&self) -> PathBuf {
        self.board.path().join("state")
    }

    fn start(&self) -> Daemon {
        start(&self.board)
    }

    /// Starts a daemon and waits until it has nothing to do but to wait for jobs.
    fn start_idle(&self) -> Daemon {
        let daemon = self.start();
        daemon.wait_for_log("Connected");
        daemon
    }

    /// Starts a daemon on a state in which it cannot work.
    fn start_in_vain(&self) {
        let mut daemon = self.start();
        assert_eq!(daemon.wait().code(), Some(STORAGE), "{}", log(&self.board));
    }

    fn create(&self, job: &str, handler: &str) {
        self.desk.create_job(THING, job, &flat(handler, &[]));
    }

    fn ended(&self, job: &str) -> Execution {
        self.desk.wait_until_over(THING, job)
    }

    /// Creates a job that runs until it is let go, and waits until it does.
    fn create_patient(&self, job: &str) -> PathBuf {
        self.create(job, "patient");
        let pid = || lines(&self.board, "pid").pop();
        PathBuf::from("/proc").join(eventually("the number of a handler", || log(&self.board), pid))
    }

    /// Where the handler of the patient job is to be seen, or was.
    fn handler(&self) -> PathBuf {
        PathBuf::from("/proc").join(lines(&self.board, "pid").pop().expect("it has run"))
    }

    fn let_go(&self) {
        fs::write(self.board.path().join("go"), "").expect("the directory is ours");
    }

    /// The jobs that have run, as often as they have.
    fn runs(&self) -> Vec<String> {
        lines(&self.board, "runs")
    }

    /// Another job runs to its end.
    fn next_job_runs(&self) {
        self.create("next", "quick");
        let ended = self.ended("next");
        assert_eq!(ended.status, "SUCCEEDED", "{ended:?}\n{}", log(&self.board));
        assert_eq!(self.runs().iter().filter(|job| *job == "next").count(), 1);
    }
}
