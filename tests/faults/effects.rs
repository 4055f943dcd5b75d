//! The daemon broken off after each of its effects in turn, as a power cut or a mistake of ours would: its next life
//! is broken off as well, and the one after that brings the job to its true end. No step has run twice, and the next
//! job runs. Only debug builds have the hook.

use std::cell::{Cell, RefCell};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use rustix::process::Signal;
use serde_json::{Value, json};
use testkit::{Board, Desk, Execution, eventually, figure};

use crate::DAEMON;
use crate::board::{flat, install, lines, log, step};

/// After so many effects of its life a debug build of the daemon aborts.
const HOOK: &str = "FLEETHAND_CRASH_AFTER_EFFECT";

/// More effects than any job here has.
const EFFECTS: u32 = 100;

/// A job and its only right end.
struct Case {
    document: String,
    status: &'static str,
    /// What the report says, in part.
    reason: &'static str,
    /// Facts that the report has.
    facts: &'static [(&'static str, &'static str)],
    /// What its steps write down when they run.
    runs: &'static [&'static str],
    /// Whether the operator cancels it once its handler runs.
    cancelled: bool,
    /// Effects that there are at least.
    least: u64,
}

const ENDS_WELL: Case = Case {
    document: String::new(),
    status: "SUCCEEDED",
    reason: "exited with status: 0",
    facts: &[],
    runs: &["first"],
    cancelled: false,
    least: 8,
};

#[test]
fn a_job_of_one_step_is_neither_lost_nor_run_twice() {
    let document = flat("note", &["first", "0"]);
    each_effect_is_the_last(&Case { document, ..ENDS_WELL });
}

#[test]
fn of_a_job_of_two_steps_each_runs_once() {
    let steps = [step("note", &["first", "0"]), step("note", &["second", "0"])];
    let document = in_steps(&steps, None);
    each_effect_is_the_last(&Case { document, runs: &["first", "second"], least: 12, ..ENDS_WELL });
}

#[test]
fn a_final_step_runs_once_and_last() {
    let document = in_steps(&[step("note", &["first", "0"])], Some(&step("note", &["last", "0"])));
    each_effect_is_the_last(&Case { document, runs: &["first", "last"], least: 12, ..ENDS_WELL });
}

#[test]
fn a_failing_step_ends_the_job_and_its_own_exit_code_is_reported() {
    let steps = [step("note", &["first", "7"]), step("note", &["never", "0"])];
    let document = in_steps(&steps, None);
    let case = Case { document, status: "FAILED", reason: "exited with status: 7", ..ENDS_WELL };
    each_effect_is_the_last(&case);
}

#[test]
fn a_job_that_cannot_run_is_rejected_and_nothing_of_it_runs() {
    let steps = [step("note", &["first", "0"]), step("absent", &[])];
    let document = in_steps(&steps, None);
    let case = Case { document, status: "REJECTED", reason: "absent", runs: &[], least: 4, ..ENDS_WELL };
    each_effect_is_the_last(&case);
}

#[test]
fn a_handler_beyond_its_limit_is_stopped_and_reported_as_that() {
    let document = flat("slow", &[]);
    let case = Case { document, status: "FAILED", reason: "timed out", ..ENDS_WELL };
    each_effect_is_the_last(&case);
}

#[test]
fn the_last_that_a_handler_reports_while_it_runs_is_in_the_report() {
    let document = flat("reporting", &[]);
    let facts = &[("progress", "part 3"), ("size", "30")];
    each_effect_is_the_last(&Case { document, facts, least: 10, ..ENDS_WELL });
}

#[test]
fn a_cancelled_job_is_stopped_and_stays_cancelled() {
    let document = flat("patient", &[]);
    let case = Case { document, status: "CANCELED", reason: "", cancelled: true, ..ENDS_WELL };
    each_effect_is_the_last(&case);
}

/// Breaks the daemon off after its first effect, on another board after its second, and so on until it comes through.
fn each_effect_is_the_last(case: &Case) {
    let desk = Desk::start(&[]);
    let mut broken_off = 0;
    for last in 1..EFFECTS {
        let thing = format!("board-{last}");
        desk.add_thing(&thing);
        let (id, next) = (format!("job-{last}"), format!("next-{last}"));
        let board = board(&desk, &thing);
        let job =
            Job { desk: &desk, board, thing, id, next, next_created: Cell::new(false), case, after: last };
        // So that the way back is interrupted too, in another place each time.
        let again = (last * 5) % 11 + 1;
        if !job.lives_through([Some(last), Some(again), None]) {
            break;
        }
        broken_off += 1;
    }
    assert!(broken_off >= case.least, "the daemon was broken off {broken_off} times only");
    assert!(broken_off < u64::from(EFFECTS) - 1, "it never came to its end");
    figure("crash points of the daemon", broken_off);
}

fn board(desk: &Desk, thing: &str) -> Board {
    let mut board = Board::new(desk, thing);
    // Enough to come to its first note, also on a machine that is slow.
    board.configure("jobs", "handlers", json!({ "slow": { "timeout-seconds": 3 } }));
    install(&board, "note", "echo \"$1\" >>{board}/runs\nexit \"$2\"");
    board.configure("jobs", "progress-seconds", json!(1));
    let report = "echo \"part $part\" >&$HANDLER_PROGRESS_FD\necho \"size=${part}0\" >&$HANDLER_PROGRESS_FD\nsleep 0.6";
    install(
        &board,
        "reporting",
        &format!("echo first >>{{board}}/runs\nfor part in 1 2 3; do\n{report}\ndone"),
    );
    install(&board, "slow", "echo first >>{board}/runs\nexec sleep 600");
    install(&board, "patient", "echo first >>{board}/runs\nwhile [ -d {board} ]; do sleep 0.02; done");
    board
}

fn in_steps(steps: &[Value], last: Option<&Value>) -> String {
    let mut document = json!({ "version": "1.0", "steps": [] });
    document["steps"] = steps.iter().map(|step| json!({ "action": step["action"] })).collect();
    if let Some(last) = last {
        document["finalStep"] = last.clone();
    }
    document.to_string()
}

struct Job<'a> {
    desk: &'a Desk,
    board: Board,
    thing: String,
    id: String,
    /// What is created when that is over.
    next: String,
    next_created: Cell<bool>,
    case: &'a Case,
    after: u32,
}

impl Job<'_> {
    /// Runs the job on daemons that end so; says whether the first one was broken off.
    fn lives_through(&self, lives: [Option<u32>; 3]) -> bool {
        self.desk.create_job(&self.thing, &self.id, &self.case.document);
        let mut broken_off = 0;
        for life in lives {
            let last = life.map(|last| last.to_string());
            let environment: Vec<_> = last.iter().map(|last| (HOOK, last.as_str())).collect();
            let daemon = RefCell::new(self.board.start_with(Path::new(DAEMON), &environment));
            let crashed = eventually(
                "a crash, or the end of the job and of another one",
                || self.tell(),
                || match daemon.borrow_mut().ended() {
                    Some(status) => Some(Some(status)),
                    None => self.is_over().then_some(None),
                },
            );
            if let Some(status) = crashed {
                let aborted = status.signal() == Some(Signal::ABORT.as_raw());
                assert!(aborted && life.is_some(), "{status}: {}", self.tell());
                broken_off += 1;
                continue;
            }
            self.check();
            break;
        }
        broken_off > 0
    }

    /// Whether the job is over, and a later one has been run. Plays the operator on the way there.
    fn is_over(&self) -> bool {
        if self.case.cancelled
            && !lines(&self.board, "runs").is_empty()
            && !self.execution(&self.id).is_over()
        {
            self.desk.cancel_by_force(&self.id);
        }
        if !self.execution(&self.id).is_over() {
            return false;
        }
        if !self.next_created.replace(true) {
            self.desk.create_job(&self.thing, &self.next, &flat("note", &["next", "0"]));
        }
        self.execution(&self.next).is_over()
    }

    fn execution(&self, job: &str) -> Execution {
        self.desk.execution(&self.thing, job)
    }

    fn check(&self) {
        let ended = self.execution(&self.id);
        assert_eq!(ended.status, self.case.status, "{}", self.tell());
        assert!(ended.detail("reason").contains(self.case.reason), "{}", self.tell());
        for (name, value) in self.case.facts {
            assert_eq!(ended.detail(name), *value, "{}", self.tell());
        }
        assert_eq!(self.execution(&self.next).status, "SUCCEEDED", "{}", self.tell());
        let expected: Vec<_> = self.case.runs.iter().copied().chain(["next"]).collect();
        assert_eq!(lines(&self.board, "runs"), expected, "{}", self.tell());
    }

    fn tell(&self) -> String {
        format!("after effect {}: {:?}\n{}", self.after, self.execution(&self.id), log(&self.board))
    }
}
