//! A handler that runs on when the journal that knew it is gone: it is stopped, and never runs beside another.

#![expect(clippy::unwrap_used, reason = "a test: what fails fails it")]

use std::fs::{read_to_string, remove_file};
use std::path::{Path, PathBuf};

use serde_json::json;
use testkit::{Board, Daemon, Desk, eventually};

const THING: &str = "board-1";

#[test]
fn a_handler_that_the_journal_does_not_know_is_stopped_before_another_one_starts() {
    let desk = Desk::start(&[THING]);
    let board = Board::new(&desk, THING);
    let path = board.path().display().to_string();
    board.handler("forgotten", &deaf(&path));
    board.handler(
        "next",
        &format!("#!/bin/sh\nif [ -d /proc/$(cat {path}/pid) ]; then echo two at a time; exit 1; fi\n"),
    );
    let daemon = start(&board);
    desk.create_job(THING, "j1", &document("forgotten"));
    let forgotten = process_in(&board);
    desk.create_job(THING, "j2", &document("next"));
    daemon.kill();
    remove_file(board.path().join("state/journal")).unwrap();

    let daemon = start(&board);
    let next = desk.wait_until_over(THING, "j2");
    assert_eq!(next.status, "SUCCEEDED", "{next:?}\n{}", daemon.log());
    assert!(!forgotten.exists());
    let lost = desk.wait_until_over(THING, "j1");
    assert_eq!(lost.status, "FAILED", "{lost:?}");
    let log = daemon.log();
    assert!(log.contains("that the journal does not know: it is stopped"), "{log}");
    assert!(runs_kept(&board).is_empty(), "{:?}", runs_kept(&board));
}

#[test]
fn as_long_as_it_cannot_be_stopped_no_other_handler_is_started() {
    let desk = Desk::start(&[THING]);
    let mut board = Board::new(&desk, THING);
    // Its own keeper gives it an hour; the next life does not wait so long.
    board.configure("jobs", "grace-seconds", json!(3600));
    let path = board.path().display().to_string();
    board.handler("deaf", &deaf(&path));
    board.handler("next", &format!("#!/bin/sh\necho ran >{path}/next\n"));
    let daemon = start(&board);
    desk.create_job(THING, "j1", &document("deaf"));
    let running = process_in(&board);
    daemon.kill();
    remove_file(board.path().join("state/journal")).unwrap();

    board.configure("jobs", "grace-seconds", json!(0));
    let daemon = start(&board);
    desk.create_job(THING, "j2", &document("next"));
    daemon.wait_for_log("no handler is started until it has ended");
    daemon.wait_for_log("Connected");
    assert_eq!(desk.execution(THING, "j2").status, "QUEUED");
    assert!(running.exists());

    // It has its own loop's condition: that file is what it waits for.
    std::fs::write(board.path().join("end"), "").unwrap();
    assert_eq!(desk.wait_until_over(THING, "j1").status, "FAILED", "{}", daemon.log());
    assert_eq!(desk.wait_until_over(THING, "j2").status, "SUCCEEDED", "{}", daemon.log());
    assert!(!running.exists());
}

/// The journal knows it, and its own files have lost its name: nobody can tell that it is the one.
#[test]
fn a_handler_that_has_lost_its_name_is_stopped_and_its_job_told_as_unknown() {
    for journal_is_lost in [false, true] {
        let desk = Desk::start(&[THING]);
        let board = Board::new(&desk, THING);
        let path = board.path().display().to_string();
        board.handler("nameless", &deaf(&path));
        board.handler("next", "#!/bin/sh\n");
        let daemon = start(&board);
        desk.create_job(THING, "j1", &document("nameless"));
        let running = process_in(&board);
        daemon.kill();
        let spec = runs_kept(&board).remove(0);
        std::fs::write(&spec, "rubbish").unwrap();
        if journal_is_lost {
            remove_file(board.path().join("state/journal")).unwrap();
        }

        let daemon = start(&board);
        let lost = desk.wait_until_over(THING, "j1");
        assert_eq!(lost.status, "FAILED", "{lost:?}\n{}", daemon.log());
        let words = if journal_is_lost {
            "nobody knows whether or how far it ran"
        } else {
            "nobody knows whether it ran"
        };
        assert!(lost.detail("reason").contains(words), "{lost:?}");
        assert!(!running.exists(), "{}", daemon.log());
        desk.create_job(THING, "j2", &document("next"));
        assert_eq!(desk.wait_until_over(THING, "j2").status, "SUCCEEDED", "{}", daemon.log());
        if !journal_is_lost {
            assert!(spec.with_extension("json.damaged").exists(), "somebody may want to look at it");
        }
    }
}

/// A handler that does not heed TERM, but ends when it finds a file `end`, or when the test's directory is gone.
fn deaf(path: &str) -> String {
    format!(
        "#!/bin/sh\ntrap '' TERM\necho $$ >{path}/pid\nwhile [ -d {path} ] && [ ! -e {path}/end ]; do sleep 0.05; done\n"
    )
}

fn document(handler: &str) -> String {
    json!({ "operation": handler, "path": "default" }).to_string()
}

fn start(board: &Board) -> Daemon {
    board.start(Path::new(env!("CARGO_BIN_EXE_fleethand")))
}

/// Where a process is to be seen whose number a handler writes down.
fn process_in(board: &Board) -> PathBuf {
    let file = board.path().join("pid");
    let whole = || read_to_string(&file).ok()?.strip_suffix('\n').map(str::to_owned);
    PathBuf::from("/proc").join(eventually("the number of a process", String::new, whole))
}

/// The runs of which something is still kept.
fn runs_kept(board: &Board) -> Vec<PathBuf> {
    let slots = std::fs::read_dir(board.path().join("state/run")).unwrap();
    slots.map(|slot| slot.unwrap().path().join("spec.json")).filter(|spec| spec.exists()).collect()
}
