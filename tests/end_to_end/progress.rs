//! What a handler reports while it runs, seen by the operator.

use serde_json::json;
use testkit::{Board, Desk, Execution, eventually};

use crate::{DAEMON, THING, desk, document, let_go, start};

/// A handler that reports what `script` says, waits until it is let go, and says that it is done.
fn install(board: &Board, name: &str, script: &str) {
    let path = board.path().display();
    let text = format!(
        "#!/bin/sh\nreport() {{ {DAEMON} report \"$@\"; }}\n{script}\n\
         while [ -d {path} ] && [ ! -e {path}/{name}.go ]; do sleep 0.05; done\nreport done\n"
    );
    board.handler(name, &text);
}

/// Waits until the execution has this detail while it runs.
fn wait_for_progress(desk: &Desk, text: &str) -> Execution {
    eventually(
        &format!("the progress `{text}`"),
        || format!("{:?}", desk.execution(THING, "j")),
        || {
            let execution = desk.execution(THING, "j");
            assert!(!execution.is_over(), "{execution:?}");
            (execution.detail("progress") == text).then_some(execution)
        },
    )
}

#[test]
fn progress_and_facts_reach_the_operator_while_the_handler_runs_and_with_its_end() {
    let desk = desk();
    let board = Board::new(&desk, THING);
    install(&board, "works", "report 'half\nway' fw=1.2 reason=mine");
    let daemon = start(&board);
    desk.create_job(THING, "j", &document("works", json!({})));
    let execution = wait_for_progress(&desk, "half way");
    assert_eq!(execution.detail("fw"), "1.2");
    assert_eq!(execution.detail("reason"), "", "a handler does not speak in the agent's name");
    let_go(&board, "works");
    let execution = desk.wait_until_over(THING, "j");
    assert_eq!(execution.status, "SUCCEEDED", "{execution:?}");
    let details: Vec<(&str, &str)> =
        execution.details.iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(details, [("fw", "1.2"), ("progress", "done"), ("reason", "Job exited with status: 0")]);
    daemon.wait_for_log(r#"INFO Progress job=j#1 step=1 progress=fw="1.2", progress="half way""#);
    daemon.wait_for_log("INFO Step ended");
    assert!(daemon.log().contains(r#"progress=\"done\""#), "{}", daemon.log());
}

#[test]
fn the_latest_progress_is_told_by_an_agent_that_was_not_there_when_it_was_made() {
    let desk = desk();
    let mut board = Board::new(&desk, THING);
    board.configure("jobs", "progress-seconds", json!(1));
    let path = board.path().display();
    install(
        &board,
        "works",
        &format!(
            "report one\nwhile [ -d {path} ] && [ ! -e {path}/on ]; do sleep 0.05; done\n\
             report two\n: >{path}/said"
        ),
    );
    let daemon = start(&board);
    desk.create_job(THING, "j", &document("works", json!({})));
    wait_for_progress(&desk, "one");
    daemon.kill();
    std::fs::write(board.path().join("on"), "").expect("the directory is ours");
    eventually("the second report", String::new, || board.path().join("said").exists().then_some(()));
    let _daemon = start(&board);
    wait_for_progress(&desk, "two");
    let_go(&board, "works");
    assert_eq!(desk.wait_until_over(THING, "j").detail("progress"), "done");
}

#[test]
fn a_flood_of_reports_and_rubbish_is_a_few_updates_and_the_last_word_counts() {
    let desk = desk();
    let board = Board::new(&desk, THING);
    let script = "i=0\nwhile [ $i -lt 5000 ]; do echo \"at $i\"; echo \"k$i=$i\"; i=$((i + 1)); done \
                  >&$HANDLER_PROGRESS_FD\nhead -c 300000 /dev/urandom >&$HANDLER_PROGRESS_FD\n\
                  printf '\\n\\033[31mred\\007\\nk0=x\\n' >&$HANDLER_PROGRESS_FD";
    install(&board, "floods", script);
    let begun = std::time::Instant::now();
    let daemon = start(&board);
    desk.create_job(THING, "j", &document("floods", json!({})));
    desk.wait_for(THING, "j", "IN_PROGRESS");
    let_go(&board, "floods");
    let execution = desk.wait_until_over(THING, "j");
    assert_eq!(execution.status, "SUCCEEDED", "{execution:?}");
    assert_eq!((execution.detail("progress"), execution.detail("k0")), ("done", "x"));
    assert!(execution.details.len() <= 10, "{execution:?}");
    let told = daemon.log().matches(" Progress is told ").count() as u64;
    assert!(told <= 1 + begun.elapsed().as_secs() / 30, "{told} updates: {}", daemon.log());
    daemon.wait_for_log("has reported more facts than are kept");
}
