//! The daemon broken off after each of its effects in turn, as a power cut or a mistake of ours would: its next
//! life brings the job to its true end, and the handler has run once. Only debug builds have the hook.

#![cfg(debug_assertions)]
#![expect(clippy::unwrap_used, reason = "a test: what fails fails it")]

use std::cell::RefCell;
use std::fs::{OpenOptions, read_to_string};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use testkit::{Board, Desk, eventually};

const THING: &str = "board-1";

/// More effects than a job of one step has.
const EFFECTS: u32 = 100;

#[test]
fn whatever_effect_was_the_last_the_next_life_ends_the_job_and_no_handler_runs_twice() {
    let mut broken_off = 0;
    for last in 1..EFFECTS {
        let desk = Desk::start(&[THING]);
        let board = Board::new(&desk, THING);
        let runs = board.path().join("runs");
        board.handler("once", &format!("#!/bin/sh\necho ran >>{}\n", runs.display()));
        let document = json!({ "operation": "once", "path": "default" }).to_string();
        desk.create_job(THING, "j", &document);

        let crashed = until_crash_or_end(&board, last);
        let next_life = crashed.then(|| start(&board, None));
        let execution = desk.wait_until_over(THING, "j");
        assert_eq!(execution.status, "SUCCEEDED", "after effect {last}: {execution:?}\n{}", log(&board));
        assert_eq!(read_to_string(&runs).unwrap(), "ran\n", "after effect {last}\n{}", log(&board));
        if next_life.is_none() {
            break;
        }
        broken_off += 1;
    }
    // Asking, accepting, announcing, starting, deciding, reporting and closing are more than this already.
    assert!(broken_off > 8, "the daemon was broken off {broken_off} times only");
    assert!(broken_off < EFFECTS - 1, "it never came to its end");
}

/// Runs a daemon with the hook. True if that broke it off, false if it came through the whole job and its end.
fn until_crash_or_end(board: &Board, last: u32) -> bool {
    let daemon = RefCell::new(start(board, Some(last)));
    let gone = || daemon.borrow_mut().0.try_wait().unwrap().is_some();
    let closed = || log(board).contains("Job closed");
    eventually("a crash or the end of the job", || log(board), || (gone() || closed()).then_some(()));
    let status = end(&mut daemon.borrow_mut());
    match status.signal() {
        Some(signal) => assert_eq!(signal, Signal::ABORT.as_raw(), "effect {last}\n{}", log(board)),
        None => assert_eq!(status.code(), Some(0), "effect {last}\n{}", log(board)),
    }
    status.signal().is_some()
}

/// Starts a daemon on the files of a board, to abort after so many effects.
fn start(board: &Board, last: Option<u32>) -> Life {
    let log = OpenOptions::new().append(true).create(true).open(board.path().join("log")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleethand"));
    command.arg("--config-file").arg(board.path().join("fleethand.conf")).env_clear();
    command.env("HOME", board.path()).env("STATE_DIRECTORY", board.path().join("state"));
    if let Some(last) = last {
        command.env("FLEETHAND_CRASH_AFTER_EFFECT", last.to_string());
    }
    Life(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap())
}

/// Asks a daemon to end, if it has not yet, and says how it did.
fn end(life: &mut Life) -> ExitStatus {
    if life.0.try_wait().unwrap().is_none() {
        kill_process(Pid::from_child(&life.0), Signal::TERM).unwrap();
    }
    life.0.wait().unwrap()
}

/// A daemon that does not outlive its test.
struct Life(Child);

impl Drop for Life {
    fn drop(&mut self) {
        // Both fail only for one that has ended and was waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn log(board: &Board) -> String {
    read_to_string(board.path().join("log")).unwrap_or_default()
}
