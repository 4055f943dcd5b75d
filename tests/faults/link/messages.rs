//! Single messages that are lost, late, doubled, refused, or take the connection with them.

use serde_json::{Value, json};
use testkit::{Board, Desk, eventually, figure};

use crate::board::{flat, install_patient, lines, log};
use crate::start;

/// What is done to which message, below `$aws/things/THING/jobs/`.
const FAULTS: &[(&str, &str)] = &[
    // The answers to the updates: to IN_PROGRESS, to the report, and to both.
    ("+/update/accepted", r#"{"action":"lose","count":1}"#),
    ("+/update/accepted", r#"{"action":"lose","count":1,"skip":1}"#),
    ("+/update/accepted", r#"{"action":"lose","count":2}"#),
    ("+/update/accepted", r#"{"action":{"repeat":3}}"#),
    ("+/update/accepted", r#"{"action":{"delay":700}}"#),
    ("+/update/accepted", r#"{"action":"cut","count":1}"#),
    ("+/update/accepted", r#"{"action":"cut","count":1,"skip":1}"#),
    // The updates themselves.
    ("+/update", r#"{"action":"lose","count":1}"#),
    ("+/update", r#"{"action":"lose","count":1,"skip":1}"#),
    ("+/update", r#"{"action":{"repeat":2}}"#),
    ("+/update", r#"{"action":"cut","count":1}"#),
    ("+/update", r#"{"action":"cut","count":1,"skip":1}"#),
    ("+/update", r#"{"action":"throttle","count":2}"#),
    ("+/update", r#"{"action":"throttle","count":2,"skip":1}"#),
    ("+/update", r#"{"action":{"reject":"InternalError"},"count":1}"#),
    ("+/update", r#"{"action":{"reject":"InternalError"},"count":1,"skip":1}"#),
    // What tells of the job.
    ("notify-next", r#"{"action":"lose"}"#),
    ("notify-next", r#"{"action":{"repeat":2}}"#),
    ("notify-next", r#"{"action":{"delay":900}}"#),
    ("notify", r#"{"action":"lose"}"#),
    ("$next/get", r#"{"action":"throttle","count":2}"#),
    ("$next/get/accepted", r#"{"action":"lose","count":1}"#),
    ("$next/get/accepted", r#"{"action":{"delay":900}}"#),
    ("get/accepted", r#"{"action":"lose","count":1}"#),
    // Everything.
    ("#", r#"{"action":{"repeat":1}}"#),
    ("#", r#"{"action":{"delay":300}}"#),
    ("#", r#"{"action":{"delay":400},"probability":0.5}"#),
];

/// Boards at work at the same time: what they do most of the time is wait for answers that do not come.
const AT_A_TIME: usize = 9;

#[test]
fn whatever_message_is_lost_late_doubled_or_refused_each_job_runs_once_and_ends_right() {
    let things: Vec<_> = (0..FAULTS.len()).map(|number| format!("board-{number}")).collect();
    let desk = Desk::start(&things.iter().map(String::as_str).collect::<Vec<_>>());
    let rule = |(thing, (topic, rule)): (&String, &(&str, &str))| {
        let mut rule: Value = serde_json::from_str(rule).expect("it is JSON");
        (rule["thing"], rule["topic"]) = (json!(thing), json!(topic));
        rule
    };
    let rules: Vec<_> = things.iter().zip(FAULTS).map(rule).collect();
    desk.set_faults(json!({ "seed": 1, "rules": rules }));
    let all: Vec<_> = things.iter().zip(FAULTS).collect();
    for some in all.chunks(AT_A_TIME) {
        std::thread::scope(|scope| {
            for (thing, fault) in some {
                let desk = &desk;
                scope.spawn(move || two_jobs_run(desk, thing, fault));
            }
        });
    }
    let report = desk.faults();
    for rule in report["rules"].as_array().expect("the rules are an array") {
        assert!(rule["acted"].as_u64() > Some(0), "a fault that was none: {rule}");
    }
    figure("faults of single messages", FAULTS.len() as u64);
}

/// One job that is there at the start and one that is told of later.
fn two_jobs_run(desk: &Desk, thing: &str, fault: &(&str, &str)) {
    let board = Board::new(desk, thing);
    install_patient(&board);
    std::fs::write(board.path().join("go"), "").expect("the directory is ours");
    let jobs = [format!("{thing}-first"), format!("{thing}-second")];
    desk.create_job(thing, &jobs[0], &flat("patient", &[]));
    let _daemon = start(&board);
    for (number, job) in jobs.iter().enumerate() {
        if number > 0 {
            desk.create_job(thing, job, &flat("patient", &[]));
        }
        let over = || Some(desk.execution(thing, job)).filter(testkit::Execution::is_over);
        let ended = eventually(&format!("{fault:?}: the end of {job}"), || log(&board), over);
        assert_eq!(
            (&*ended.status, ended.detail("stdout")),
            ("SUCCEEDED", "done\n"),
            "{fault:?}: {ended:?}\n{}",
            log(&board)
        );
    }
    assert_eq!(lines(&board, "runs"), jobs, "{fault:?}\n{}", log(&board));
}
