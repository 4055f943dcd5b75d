//! The jobs of the torment: what each kind does, and how it may end.

use std::collections::BTreeMap;

use serde_json::json;
use testkit::{Board, Desk, Execution};

use super::history::{History, NOTES};
use crate::board::{flat, install, step};
use crate::dice::Dice;

/// A job on a board.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) id: String,
    pub(super) kind: Kind,
}

/// What is in a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One step that succeeds, and whose output is reported.
    Good,
    /// One step that fails.
    Bad,
    /// Three steps that succeed.
    Steps,
    /// Three steps, the second of which fails.
    FailsBetween,
    /// A handler that is not there.
    Absent,
    /// Cancelled by force when its handler runs.
    Cancelled,
}

/// The exit code of steps that fail.
const FAILURE: &str = "9";

/// The longest that a step takes, in hundredths of a second.
const LONGEST_STEP: u64 = 15;

/// `work SECONDS CODE` and `patient`, which note their begin and their end.
pub(super) fn install_handlers(board: &Board) {
    let note = |word: &str| format!("echo \"{word} $JOB_ID $STEP_INDEX\" >>{{board}}/{NOTES}");
    install(
        board,
        "work",
        &format!(
            "{}\necho \"at work on $JOB_ID\" >&$HANDLER_PROGRESS_FD\nsleep \"$1\"\necho \"output of $JOB_ID\"\n{}\nexit \"$2\"",
            note("begin"),
            note("end")
        ),
    );
    let wait = "while [ -d {board} ]; do sleep 0.02; done";
    install(board, "patient", &format!("{}\n{wait}\n{}", note("begin"), note("end")));
}

impl Kind {
    pub(super) fn any(dice: &mut Dice) -> Self {
        match dice.between(0, 20) {
            0..7 => Self::Good,
            7..10 => Self::Bad,
            10..14 => Self::Steps,
            14..16 => Self::FailsBetween,
            16 => Self::Absent,
            _ => Self::Cancelled,
        }
    }

    /// The status, what the reason says, and the steps that run.
    fn right_end(self) -> (&'static str, &'static str, u32) {
        match self {
            Self::Good => ("SUCCEEDED", "exited with status: 0", 1),
            Self::Steps => ("SUCCEEDED", "exited with status: 0", 3),
            Self::Bad => ("FAILED", "exited with status: 9", 1),
            Self::FailsBetween => ("FAILED", "exited with status: 9", 2),
            Self::Absent => ("REJECTED", "absent", 0),
            Self::Cancelled => ("CANCELED", "", 1),
        }
    }
}

impl Job {
    pub(super) fn document(&self, dice: &mut Dice) -> String {
        let mut seconds = || format!("0.{:02}", dice.between(0, LONGEST_STEP));
        let codes: &[&str] = match self.kind {
            Kind::Good => return flat("work", &[&seconds(), "0"]),
            Kind::Bad => return flat("work", &[&seconds(), FAILURE]),
            Kind::Absent => return flat("absent", &[]),
            Kind::Cancelled => return flat("patient", &[]),
            Kind::Steps => &["0", "0", "0"],
            Kind::FailsBetween => &["0", FAILURE, "0"],
        };
        let steps: Vec<_> = codes.iter().map(|code| step("work", &[&seconds(), code])).collect();
        json!({ "version": "1.0", "steps": steps }).to_string()
    }

    pub(super) fn execution(&self, desk: &Desk, thing: &str) -> Execution {
        desk.execution(thing, &self.id)
    }

    /// Holds the end of the job against what its handlers have noted. A keeper that was killed may have taken the
    /// knowledge with it; that has to be said in the report, and never makes a success.
    pub(super) fn check(&self, ended: &Execution, orphaned: bool, history: &History) -> Result<(), String> {
        let (begun, over) = (history.begun(&self.id), history.over(&self.id));
        if let Some((step, times)) = begun.iter().find(|(_, times)| **times > 1) {
            return Err(format!("step {step} ran {times} times"));
        }
        let (status, reason, steps) = self.kind.right_end();
        let all: BTreeMap<u32, u32> = (0..steps).map(|step| (step, 1)).collect();
        if ended.status == status && ended.detail("reason").contains(reason) {
            if begun != all {
                return Err(format!("these steps began, and how often: {begun:?}"));
            }
            if self.kind != Kind::Cancelled && over != all {
                return Err(format!("these steps came to their end: {over:?}"));
            }
            if self.kind == Kind::Good && ended.detail("progress") != format!("at work on {}", self.id) {
                return Err("what it reported while it ran was lost".to_owned());
            }
            let output = format!("output of {}\n", self.id);
            if self.kind == Kind::Good && ended.detail("stdout") != output {
                return Err("its output was lost".to_owned());
            }
            return Ok(());
        }
        let told =
            ["interrupted", "could not be started"].iter().any(|word| ended.detail("reason").contains(word));
        if orphaned && ended.status == "FAILED" && told {
            return Ok(());
        }
        Err(format!("it should be {status} ({reason})"))
    }
}
