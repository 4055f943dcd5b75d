//! Order, cancellation, and what becomes of a job when daemon or service go away and come back.

use serde_json::json;
use testkit::{Board, eventually};

use crate::{
    THING, desk, document, install_patient_handler, let_go, notes, process_in, start, wait_for_note,
};

#[test]
fn a_second_job_waits_for_the_first() {
    let desk = desk();
    let board = Board::new(&desk, THING);
    install_patient_handler(&board, "first");
    install_patient_handler(&board, "second");
    let _daemon = start(&board);
    desk.create_job(THING, "j1", &document("first", json!({})));
    desk.create_job(THING, "j2", &document("second", json!({})));
    wait_for_note(&board, "first begins");
    assert_eq!(desk.execution(THING, "j1").status, "IN_PROGRESS");
    assert_eq!(desk.execution(THING, "j2").status, "QUEUED");
    let_go(&board, "second");
    let_go(&board, "first");
    assert_eq!(desk.wait_until_over(THING, "j2").status, "SUCCEEDED");
    assert_eq!(desk.execution(THING, "j1").status, "SUCCEEDED");
    assert_eq!(notes(&board), ["first begins", "first ends", "second begins", "second ends"]);
}

#[test]
fn a_job_that_is_cancelled_by_force_takes_its_whole_tree_with_it() {
    let desk = desk();
    let board = Board::new(&desk, THING);
    let path = board.path().display();
    // The child ignores TERM and has left the handler's session as well as its group.
    board.handler(
        "tree",
        &format!(
            "#!/bin/sh\nsetsid sh -c 'trap \"\" TERM; echo $$ >{path}/child; while [ -d {path} ]; do sleep 0.05; done' &\n\
             echo $$ >{path}/parent\nwait\n"
        ),
    );
    board.handler("next", "#!/bin/sh\n");
    let daemon = start(&board);
    desk.create_job(THING, "j1", &document("tree", json!({})));
    desk.create_job(THING, "j2", &document("next", json!({})));
    let processes = [process_in(&board, "parent"), process_in(&board, "child")];
    assert!(processes.iter().all(|process| process.exists()), "the tree does not stand");
    desk.cancel_by_force("j1");
    for process in &processes {
        eventually(
            &format!("the end of {}", process.display()),
            || daemon.log(),
            || (!process.exists()).then_some(()),
        );
    }
    assert_eq!(desk.execution(THING, "j1").status, "CANCELED");
    assert_eq!(desk.wait_until_over(THING, "j2").status, "SUCCEEDED");
}

#[test]
fn a_handler_outlives_its_daemon_and_its_true_ending_arrives() {
    let desk = desk();
    let board = Board::new(&desk, THING);
    install_patient_handler(&board, "patient");
    let daemon = start(&board);
    desk.create_job(THING, "j", &document("patient", json!({ "includeStdOut": true })));
    wait_for_note(&board, "patient begins");
    daemon.kill();
    let _daemon = start(&board);
    let_go(&board, "patient");
    let execution = desk.wait_until_over(THING, "j");
    assert_eq!((&*execution.status, execution.detail("stdout")), ("SUCCEEDED", "done\n"), "{execution:?}");
    assert_eq!(notes(&board), ["patient begins", "patient ends"], "it ran more or less than once");
}

#[test]
fn an_ending_that_no_daemon_saw_is_reported_by_the_next_one() {
    let desk = desk();
    let board = Board::new(&desk, THING);
    let path = board.path().display();
    board.handler(
        "fails",
        &format!(
            "#!/bin/sh\necho x >>{path}/notes\nwhile [ ! -e {path}/go ]; do sleep 0.05; done\n\
             echo late >&2\necho $$ >{path}/last\nexit 9\n"
        ),
    );
    let daemon = start(&board);
    desk.create_job(THING, "j", &document("fails", json!({})));
    wait_for_note(&board, "x");
    daemon.kill();
    std::fs::write(board.path().join("go"), "").expect("the directory is ours");
    let process = process_in(&board, "last");
    eventually("the end of the handler", || "it runs".to_owned(), || (!process.exists()).then_some(()));
    let _daemon = start(&board);
    let execution = desk.wait_until_over(THING, "j");
    assert_eq!(execution.status, "FAILED");
    assert_eq!(execution.detail("reason"), "Job exited with status: 9");
    assert_eq!(execution.detail("stderr"), "late\n");
    assert_eq!(notes(&board), ["x"]);
}

#[test]
fn a_daemon_that_is_asked_to_end_does_so_with_code_0_and_leaves_its_handler_alone() {
    let desk = desk();
    let board = Board::new(&desk, THING);
    install_patient_handler(&board, "patient");
    let daemon = start(&board);
    desk.create_job(THING, "j", &document("patient", json!({})));
    wait_for_note(&board, "patient begins");
    // Its handler would run for ever.
    assert_eq!(daemon.terminate().code(), Some(0));
    assert_eq!(desk.execution(THING, "j").status, "IN_PROGRESS");
    let _daemon = start(&board);
    let_go(&board, "patient");
    assert_eq!(desk.wait_until_over(THING, "j").status, "SUCCEEDED");
    assert_eq!(notes(&board), ["patient begins", "patient ends"]);
}

#[test]
fn a_daemon_that_is_to_take_its_handler_along_says_so() {
    let desk = desk();
    let mut board = Board::new(&desk, THING);
    board.configure("jobs", "on-stop", json!("terminate"));
    install_patient_handler(&board, "patient");
    let daemon = start(&board);
    desk.create_job(THING, "j", &document("patient", json!({})));
    wait_for_note(&board, "patient begins");
    let status = daemon.terminate();
    assert_eq!(status.code(), Some(0));
    let _daemon = start(&board);
    let execution = desk.wait_until_over(THING, "j");
    assert_eq!(execution.status, "FAILED");
    assert!(execution.detail("reason").contains("the agent was told to end"), "{execution:?}");
    assert_eq!(notes(&board), ["patient begins"]);
}

#[test]
fn a_service_that_comes_back_is_found_again() {
    let mut desk = desk();
    let board = Board::new(&desk, THING);
    board.handler("greeting", "#!/bin/sh\n");
    let _daemon = start(&board);
    desk.create_job(THING, "j1", &document("greeting", json!({})));
    assert_eq!(desk.wait_until_over(THING, "j1").status, "SUCCEEDED");
    desk.restart();
    desk.create_job(THING, "j2", &document("greeting", json!({})));
    assert_eq!(desk.wait_until_over(THING, "j2").status, "SUCCEEDED");
}

#[test]
fn a_daemon_starts_before_its_service_and_finds_it_later() {
    let mut desk = desk();
    let board = Board::new(&desk, THING);
    board.handler("greeting", "#!/bin/sh\n");
    desk.stop();
    let daemon = start(&board);
    daemon.wait_for_log("refuses the connection");
    desk.restart();
    desk.create_job(THING, "j", &document("greeting", json!({})));
    assert_eq!(desk.wait_until_over(THING, "j").status, "SUCCEEDED");
}
