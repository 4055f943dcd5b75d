//! A board as these tests see it: what its handlers have written down, and the processes that belong to it.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use testkit::Board;

/// A flat document for a handler of the board.
pub(crate) fn flat(handler: &str, args: &[&str]) -> String {
    json!({ "operation": handler, "path": "default", "args": args, "includeStdOut": true }).to_string()
}

/// A step for a document with steps.
pub(crate) fn step(handler: &str, args: &[&str]) -> Value {
    let input = json!({ "handler": handler, "args": args, "path": "default" });
    json!({ "action": { "name": handler, "type": "runHandler", "input": input } })
}

/// Installs a handler; `{board}` in the script is the board's directory. Documents with steps put the user before the
/// arguments, flat ones do not: the script sees them without.
pub(crate) fn install(board: &Board, name: &str, script: &str) {
    let script = script.replace("{board}", &board.path().display().to_string());
    board.handler(name, &format!("#!/bin/sh\n[ -z \"$USER_ARGUMENT\" ] || shift\n{script}\n"));
}

/// Installs `patient`, which notes its job in `runs` and its process in `pid`, and runs until there is a file `go`.
pub(crate) fn install_patient(board: &Board) {
    let wait = "while [ -d {board} ] && [ ! -e {board}/go ]; do sleep 0.02; done";
    let notes = "echo \"$JOB_ID\" >>{board}/runs\necho $$ >{board}/pid";
    install(board, "patient", &format!("{notes}\n{wait}\necho done"));
}

/// What handlers have written into a file of the board, by whole lines.
pub(crate) fn lines(board: &Board, file: &str) -> Vec<String> {
    let text = read(&board.path().join(file));
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(str::to_owned).collect()
}

/// A file's content; nothing if it is not there yet.
pub(crate) fn read(path: &Path) -> String {
    fs::read(path).map_or_else(|_| String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// The log of all daemons of the board.
pub(crate) fn log(board: &Board) -> String {
    read(&board.path().join("log"))
}

/// A keeper of the board that runs: its process, and the name of its run.
pub(crate) struct Keeper {
    pid: Pid,
    parent: i32,
    pub(crate) run: String,
}

impl Keeper {
    /// Kills it without a word. It may have ended by itself.
    pub(crate) fn kill(&self) {
        // ESRCH is the only way in which this can fail: the process is ours.
        let _ = kill_process(self.pid, Signal::KILL);
    }
}

/// The keepers of this board's runs: their command line ends with the directory of the run. That of a process that is
/// about to become the handler does, too, until it is one.
pub(crate) fn keepers(board: &Board) -> Vec<Keeper> {
    let runs = board.path().join("state/run");
    let keeper = |pid: Pid| {
        let process = Path::new("/proc").join(pid.to_string());
        let line = read(&process.join("cmdline"));
        let arguments: Vec<_> = line.split_terminator('\0').collect();
        let slot = Path::new(arguments.last()?);
        if !arguments.contains(&"keeper") || slot.parent() != Some(&runs) {
            return None;
        }
        let spec: Value = serde_json::from_str(&read(&slot.join("spec.json"))).unwrap_or_default();
        let run = spec["label"].as_str().unwrap_or_default().to_owned();
        Some(Keeper { pid, parent: parent_in(&read(&process.join("stat")))?, run })
    };
    let all: Vec<Keeper> = processes().filter_map(keeper).collect();
    let is_keeper = |pid: i32| all.iter().any(|keeper| keeper.pid.as_raw_nonzero().get() == pid);
    let children: Vec<bool> = all.iter().map(|one| is_keeper(one.parent)).collect();
    all.into_iter().zip(children).filter(|(_, child)| !child).map(|(keeper, _)| keeper).collect()
}

/// The numbers of all processes.
fn processes() -> impl Iterator<Item = Pid> {
    let entries = fs::read_dir("/proc").expect("there is a /proc");
    entries.filter_map(|entry| Pid::from_raw(entry.ok()?.file_name().to_str()?.parse().ok()?))
}

/// Whether a process is there, and not only its remains that nobody has looked at.
pub(crate) fn lives(process: &Path) -> bool {
    let stat = read(&process.join("stat"));
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

/// The parent's number in a line of proc_pid_stat(5): the second field after the name, which stands in brackets.
fn parent_in(stat: &str) -> Option<i32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}
