//! The daemon as a process of its own, the Jobs service in the process of the test, real handlers, real TLS between
//! them. Whatever a test waits for has a deadline that only a failing test meets.

mod documents;
mod input;
mod jobs;
mod lifecycle;
mod progress;
mod restrictions;
mod samples;
mod trust;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use testkit::{Board, Daemon, Desk, eventually};

/// The daemon that was built for this suite.
const DAEMON: &str = env!("CARGO_BIN_EXE_fleethand");

/// The thing of every board here.
const THING: &str = "board-1";

fn desk() -> Desk {
    Desk::start(&[THING])
}

fn start(board: &Board) -> Daemon {
    board.start(Path::new(DAEMON))
}

/// A flat document for a handler of the board.
fn document(operation: &str, more: Value) -> String {
    let mut document = json!({ "operation": operation, "path": "default" });
    let Value::Object(members) = more else { panic!("the members stand in an object") };
    for (name, value) in members {
        document[name] = value;
    }
    document.to_string()
}

/// Installs a handler that notes its begin and its end in `notes`, and waits between them until [`let_go`] is called
/// or the board is gone.
fn install_patient_handler(board: &Board, name: &str) {
    let path = board.path().display();
    board.handler(
        name,
        &format!(
            "#!/bin/sh\necho {name} begins >>{path}/notes\n\
             while [ -d {path} ] && [ ! -e {path}/{name}.go ]; do sleep 0.05; done\n\
             echo {name} ends >>{path}/notes\necho done\n"
        ),
    );
}

fn let_go(board: &Board, name: &str) {
    std::fs::write(board.path().join(format!("{name}.go")), "").expect("the directory is ours");
}

/// What the patient handlers have noted so far.
fn notes(board: &Board) -> Vec<String> {
    read(&board.path().join("notes")).lines().map(str::to_owned).collect()
}

fn wait_for_note(board: &Board, note: &str) {
    let found = || notes(board).iter().any(|line| line == note).then_some(());
    eventually(&format!("the note `{note}`"), || format!("{:?}", notes(board)), found);
}

/// A file's content; nothing if it is not there yet.
fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Waits until a handler has written a process id to this file of the board.
fn process_in(board: &Board, file: &str) -> PathBuf {
    let path = board.path().join(file);
    let id = eventually(
        &format!("a process id in {file}"),
        || "none".to_owned(),
        || read(&path).strip_suffix('\n').map(str::to_owned),
    );
    Path::new("/proc").join(id)
}
