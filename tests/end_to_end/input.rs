//! Input that nobody should send: none of it stops the daemon, blocks it or is acted upon.

use serde_json::{Value, json};
use testkit::{Board, Desk, Wire};

use crate::{THING, desk, document, install_patient_handler, let_go, notes, start, wait_for_note};

#[test]
fn a_document_of_the_largest_size_is_run() {
    let (desk, board) = with_counter();
    let _daemon = start(&board);
    let overhead = document("count", json!({ "args": [""], "includeStdOut": true })).len();
    let longest = "x".repeat(32_768 - overhead);
    desk.create_job(THING, "j", &document("count", json!({ "args": [longest], "includeStdOut": true })));
    let execution = desk.wait_until_over(THING, "j");
    assert_eq!(execution.status, "SUCCEEDED", "{execution:?}");
    assert_eq!(execution.detail("stdout"), format!("{}\n", longest.len()));
}

#[test]
fn a_document_nested_beyond_reason_is_rejected_and_the_next_one_is_run() {
    let (desk, board) = with_counter();
    let wire = Wire::to(&desk);
    let board = by_wire(board, &wire);
    let mut daemon = start(&board);
    daemon.wait_for_log("Connected");
    let nested = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let notification = format!(
        r#"{{"timestamp":1,"execution":{{"jobId":"deep","status":"QUEUED","queuedAt":1,"lastUpdatedAt":1,"versionNumber":1,"executionNumber":1,"jobDocument":{{"operation":"count","x":{nested}}}}}}}"#
    );
    wire.say(&topic("notify-next"), notification.as_bytes());
    daemon.wait_for_log("deep");
    works(&desk, "j");
    assert!(daemon.is_alive());
}

#[test]
fn nothing_that_comes_over_the_wire_stops_the_daemon() {
    let (desk, board) = with_counter();
    let wire = Wire::to(&desk);
    let board = by_wire(board, &wire);
    let mut daemon = start(&board);
    works(&desk, "before");
    let topics = [
        topic("notify"),
        topic("notify-next"),
        topic("$next/get/accepted"),
        topic("get/accepted"),
        topic("get/rejected"),
        topic("before/update/accepted"),
        topic("before/update/rejected"),
        topic("another/update/rejected"),
        topic("no-such-thing"),
        "$aws/things/another/jobs/notify-next".to_owned(),
        "elsewhere".to_owned(),
    ];
    let execution = |member: &str, value: Value| {
        let mut execution = json!({ "jobId": "bad", "status": "QUEUED", "queuedAt": 1, "lastUpdatedAt": 1,
            "versionNumber": 1, "executionNumber": 1, "jobDocument": { "operation": "count", "path": "default" } });
        execution[member] = value;
        json!({ "timestamp": 1, "execution": execution }).to_string().into_bytes()
    };
    let payloads = [
        b"".to_vec(),
        b"no JSON".to_vec(),
        b"\xff\xfe".to_vec(),
        b"null".to_vec(),
        b"[]".to_vec(),
        b"{\"execution\":".to_vec(),
        b"{\"execution\":5}".to_vec(),
        b"{\"jobs\":[]}".to_vec(),
        b"{\"clientToken\":\"nobody asked\",\"code\":\"InvalidTopic\"}".to_vec(),
        execution("jobId", json!("../../etc/passwd")),
        execution("jobId", json!("x".repeat(65))),
        execution("jobId", json!(null)),
        execution("versionNumber", json!("one")),
        execution("executionNumber", json!(-1)),
        execution("executionNumber", json!(1e300)),
        execution("status", json!("EXPLODED")),
        "{\"a\":".repeat(20_000).into_bytes(),
    ];
    for topic in &topics {
        for payload in &payloads {
            wire.say(topic, payload);
        }
    }
    works(&desk, "after");
    assert!(daemon.is_alive());
    assert!(!daemon.log().contains("panicked at"), "{}", daemon.log());
    assert_eq!(daemon.terminate().code(), Some(0));
}

#[test]
fn what_is_ignored_is_logged_once_with_what_was_wrong() {
    let (desk, board) = with_counter();
    let wire = Wire::to(&desk);
    let board = by_wire(board, &wire);
    let daemon = start(&board);
    works(&desk, "before");
    let unasked = br#"{"clientToken":"nobody-asked","timestamp":1}"#;
    wire.say(&topic("notify-next"), b"{no JSON");
    wire.say(&topic("notify"), b"[]");
    wire.say("$aws/things/another/jobs/notify-next", b"{}");
    wire.say(&topic("before/update/accepted"), unasked);
    wire.say("elsewhere", b"{}");
    works(&desk, "after");
    let log = daemon.log();
    let complaints = [
        ["Message ignored", "notify-next", "key must be a string"],
        ["Message ignored", "\"notify\"", "not a JSON object"],
        ["another thing", "another", ""],
        ["Answer ignored", "before/update/accepted", "nobody-asked"],
        ["Message ignored", "elsewhere", ""],
    ];
    for words in complaints {
        let lines = log.lines().filter(|line| words.iter().all(|word| line.contains(word)));
        assert_eq!(lines.count(), 1, "{words:?} in:\n{log}");
    }
    assert_eq!(log.lines().filter(|line| line.contains("WARN")).count(), complaints.len(), "{log}");
}

#[test]
fn a_notification_for_a_job_that_runs_already_does_not_run_it_again() {
    let desk = desk();
    let wire = Wire::to(&desk);
    let board = by_wire(Board::new(&desk, THING), &wire);
    install_patient_handler(&board, "patient");
    let _daemon = start(&board);
    desk.create_job(THING, "j", &document("patient", json!({})));
    wait_for_note(&board, "patient begins");
    let again = json!({ "timestamp": 1, "execution": { "jobId": "j", "status": "IN_PROGRESS", "queuedAt": 1,
        "lastUpdatedAt": 1, "versionNumber": 2, "executionNumber": 1,
        "jobDocument": { "operation": "patient", "path": "default" } } });
    for _ in 0..3 {
        wire.say(&topic("notify-next"), again.to_string().as_bytes());
        wire.say(&topic("$next/get/accepted"), again.to_string().as_bytes());
    }
    let_go(&board, "patient");
    let execution = desk.wait_until_over(THING, "j");
    assert_eq!(execution.status, "SUCCEEDED", "{execution:?}");
    works_with(&desk, "next", &document("patient", json!({})));
    assert_eq!(notes(&board), ["patient begins", "patient ends", "patient begins", "patient ends"]);
}

#[test]
fn a_connection_that_is_cut_while_a_job_runs_costs_nothing_of_its_result() {
    let desk = desk();
    let wire = Wire::to(&desk);
    let board = by_wire(Board::new(&desk, THING), &wire);
    install_patient_handler(&board, "patient");
    let _daemon = start(&board);
    desk.create_job(THING, "j", &document("patient", json!({ "includeStdOut": true })));
    wait_for_note(&board, "patient begins");
    wire.cut();
    let_go(&board, "patient");
    let execution = desk.wait_until_over(THING, "j");
    assert_eq!((&*execution.status, execution.detail("stdout")), ("SUCCEEDED", "done\n"), "{execution:?}");
    assert_eq!(notes(&board), ["patient begins", "patient ends"]);
}

/// A board with a handler that tells how long its argument is.
fn with_counter() -> (Desk, Board) {
    let desk = desk();
    let board = Board::new(&desk, THING);
    board.handler("count", "#!/bin/sh\necho ${#1}\n");
    (desk, board)
}

fn by_wire(mut board: Board, wire: &Wire) -> Board {
    board.configure("", "port", json!(wire.port()));
    board
}

fn topic(rest: &str) -> String {
    format!("$aws/things/{THING}/jobs/{rest}")
}

/// A job that nothing is wrong with is run.
fn works(desk: &Desk, job: &str) {
    works_with(desk, job, &document("count", json!({ "args": ["x"] })));
}

fn works_with(desk: &Desk, job: &str, document: &str) {
    desk.create_job(THING, job, document);
    let execution = desk.wait_until_over(THING, job);
    assert_eq!(execution.status, "SUCCEEDED", "{job}: {execution:?}");
}
