//! What is reported of a job: the verdicts of the flat document.

use serde_json::json;
use testkit::{Board, Execution};

use crate::{THING, desk, document, start};

#[test]
fn standard_output_is_reported_if_the_document_asks_for_it() {
    let greeting = "#!/bin/sh\necho \"Hello, $1!\"\n";
    let more = json!({ "args": ["world"], "includeStdOut": true });
    let execution = run("greeting", greeting, more);
    assert_eq!(execution.status, "SUCCEEDED");
    assert_eq!(execution.detail("stdout"), "Hello, world!\n");
    assert_eq!(execution.detail("reason"), "Job exited with status: 0");
    assert!(!execution.details.contains_key("stderr"), "{execution:?}");
}

#[test]
fn standard_output_stays_on_the_device_if_the_document_does_not_ask() {
    let execution = run("greeting", "#!/bin/sh\necho secret\n", json!({}));
    assert_eq!(execution.status, "SUCCEEDED");
    assert!(!format!("{execution:?}").contains("secret"), "{execution:?}");
}

#[test]
fn a_handler_that_fails_is_reported_with_its_exit_code_and_its_message() {
    let script = "#!/bin/sh\necho 'no modem' >&2\nexit 7\n";
    let execution = run("fails", script, json!({ "includeStdOut": true }));
    assert_eq!(execution.status, "FAILED");
    assert_eq!(execution.detail("reason"), "Job exited with status: 7");
    assert_eq!(execution.detail("stderr"), "no modem\n");
}

#[test]
fn a_handler_that_is_killed_by_a_signal_has_failed() {
    let execution = run("killed", "#!/bin/sh\nkill -KILL $$\n", json!({}));
    assert_eq!(execution.status, "FAILED");
    assert_eq!(execution.detail("reason"), "Job killed by signal: 9 (SIGKILL)");
}

#[test]
fn lines_on_standard_error_are_a_failure_beyond_the_number_that_is_allowed() {
    let script = "#!/bin/sh\necho one >&2\nprintf two >&2\n";
    for (allowed, status) in [(json!({}), "FAILED"), (json!(1), "FAILED"), (json!(2), "SUCCEEDED")] {
        let more = if allowed.is_object() { json!({}) } else { json!({ "allowStdErr": allowed }) };
        let execution = run("chatty", script, more);
        assert_eq!(execution.status, status, "{allowed}: {execution:?}");
        assert_eq!(execution.detail("stderr"), "one\ntwo");
        assert_eq!(execution.detail("reason").contains("2 lines"), status == "FAILED", "{execution:?}");
    }
}

#[test]
fn a_flood_on_both_streams_is_read_to_its_end_and_its_last_part_is_reported() {
    let script = "#!/bin/sh\ni=0\nwhile [ $i -lt 5000 ]; do\n\
                  echo \"out $i ........................................\"\n\
                  echo \"err $i ........................................\" >&2\ni=$((i + 1))\ndone\n";
    let execution = run("flood", script, json!({ "includeStdOut": true, "allowStdErr": 5000 }));
    assert_eq!(execution.status, "SUCCEEDED", "{execution:?}");
    for (name, last) in [("stdout", "out 4999"), ("stderr", "err 4999")] {
        let text = execution.detail(name);
        assert!(text.contains(last) && text.len() == 1024, "{name}: {text}");
    }
}

#[test]
fn what_a_handler_writes_is_made_fit_for_the_service() {
    let script = "#!/bin/sh\nprintf 'gr\\303\\274n \\377 \\033[31m\\t\\001'\n";
    let execution = run("colours", script, json!({ "includeStdOut": true }));
    assert_eq!(execution.status, "SUCCEEDED", "{execution:?}");
    let text = execution.detail("stdout");
    assert!(text.starts_with("grün \u{fffd} ") && text.contains('\t'), "{text:?}");
    assert!(!text.contains(['\u{1b}', '\u{1}']), "{text:?}");
}

#[test]
fn a_missing_handler_is_rejected_with_its_name_and_where_it_was_looked_for() {
    let desk = desk();
    let board = Board::new(&desk, THING);
    let _daemon = start(&board);
    desk.create_job(THING, "j", &document("not-there.sh", json!({})));
    let execution = desk.wait_until_over(THING, "j");
    assert_eq!(execution.status, "REJECTED");
    let reason = execution.detail("reason");
    assert!(reason.contains("not-there.sh"), "{reason}");
    assert!(reason.contains(&board.path().join("handlers").display().to_string()), "{reason}");
}

#[test]
fn a_handler_that_others_may_execute_is_rejected_with_what_was_found_and_what_is_wanted() {
    let desk = desk();
    let board = Board::new(&desk, THING);
    board.handler_with_mode("open.sh", "#!/bin/sh\n", 0o755);
    let _daemon = start(&board);
    desk.create_job(THING, "j", &document("open.sh", json!({})));
    let execution = desk.wait_until_over(THING, "j");
    assert_eq!(execution.status, "REJECTED");
    let reason = execution.detail("reason");
    let path = board.handler_path("open.sh").display().to_string();
    for part in [&*path, "0755", "0700"] {
        assert!(reason.contains(part), "{part} is not in: {reason}");
    }
}

#[test]
fn a_document_that_cannot_be_run_is_rejected_with_the_member_at_fault() {
    let desk = desk();
    let board = Board::new(&desk, THING);
    let _daemon = start(&board);
    let documents = [
        (r#"{"operation":5}"#, "operation"),
        (r#"{"operation":""}"#, "operation"),
        (r#"{"message":"hello"}"#, "operation"),
        (r#"{"operation":"a","args":"b"}"#, "args"),
        (r#"{"operation":"a","args":["b",1]}"#, "args[1]"),
        (r#"{"operation":"a","allowStdErr":-1}"#, "allowStdErr"),
        (r#"{"operation":"a","includeStdOut":"perhaps"}"#, "includeStdOut"),
        (r#"{"operation":"a","path":["b"]}"#, "path"),
        (r#"{"version":"2.0","steps":[]}"#, "version"),
        (r#"{"version":"1.0","steps":[]}"#, "steps"),
    ];
    for (number, (document, member)) in documents.into_iter().enumerate() {
        let job = format!("j{number}");
        desk.create_job(THING, &job, document);
        let execution = desk.wait_until_over(THING, &job);
        assert_eq!(execution.status, "REJECTED", "{document}");
        let reason = execution.detail("reason");
        assert!(reason.contains(&format!(" {member}: ")), "{document}: {reason}");
    }
}

/// Runs one handler on a board of its own.
fn run(name: &str, script: &str, more: serde_json::Value) -> Execution {
    let desk = desk();
    let board = Board::new(&desk, THING);
    board.handler(name, script);
    let _daemon = start(&board);
    desk.create_job(THING, "j", &document(name, more));
    desk.wait_until_over(THING, "j")
}
