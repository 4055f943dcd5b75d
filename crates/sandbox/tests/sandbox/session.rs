//! `run-pending` and `watch`, and sessions beside others.

use std::io::Write;
use std::process::Stdio;

use serde_json::Value;

use crate::transcript::{Said, Transcript, names};
use crate::{Place, THING, ending};

#[test]
fn run_pending_takes_one_job_after_the_other_and_reports_progress() {
    let place = Place::new();
    for job in ["Job1", "Job2"] {
        place.desk.create_job(THING, job, r#"{"ToDo":"Reboot"}"#);
    }
    let outcome = place.run(&["run-pending", "--once", "--seconds", "0"]);
    assert_eq!((outcome.code, &*outcome.err), (0, "Nothing is pending.\n"));
    let lines: Vec<Value> = outcome.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 1 + 2 * (1 + 3), "the list, and for each job a start and three reports");
    assert_eq!(lines[0]["queuedJobs"].as_array().unwrap().len(), 2);
    assert_eq!(lines[1]["execution"]["jobId"], "Job1");
    for job in ["Job1", "Job2"] {
        let execution = place.desk.execution(THING, job);
        assert_eq!((&*execution.status, execution.detail("progress")), ("SUCCEEDED", "100%"));
    }
}

#[test]
fn run_pending_can_fail_and_waits_for_more() {
    let place = Place::new();
    let mut command = place.sandbox(["run-pending", "--fail", "--seconds", "0"]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let _child = Ends(child);
    for job in ["Job1", "Job2"] {
        place.desk.create_job(THING, job, "{}");
        assert_eq!(place.desk.wait_for(THING, job, "FAILED").detail("progress"), "66%");
    }
}

#[test]
fn work_that_is_cancelled_ends_and_the_next_begins() {
    let place = Place::new();
    place.desk.create_job(THING, "Job1", "{}");
    let mut session = Transcript::start(&mut place.sandbox([""; 0]));
    assert_eq!(session.next(), Said::Note("Connected.".into()));
    session.type_line("run-pending --seconds 3");
    while !matches!(session.next(), Said::Response(operation, _) if operation == "StartNextPendingJobExecution")
    {
    }
    place.desk.create_job(THING, "Job2", "{}");
    place.desk.cancel_by_force("Job1");
    let said = session.settle();
    assert!(
        said.iter()
            .any(|said| matches!(said, Said::Error(error) if error.starts_with("Job1 is no longer ours"))),
        "{said:?}"
    );
    assert_eq!(place.desk.execution(THING, "Job1").status, "CANCELED");
    assert_eq!(place.desk.execution(THING, "Job2").status, "SUCCEEDED");
}

#[test]
fn watch_shows_what_happens_to_executions_whoever_does_it() {
    let place = Place::new();
    let mut watch = Transcript::start(&mut place.sandbox(["watch"]));
    let mut next = move || match watch.next() {
        Said::Note(line) => {
            let line: Value = serde_json::from_str(&line).unwrap();
            assert_eq!(line["jobId"], "Job1");
            line
        }
        other @ (Said::Response(..) | Said::Event(..) | Said::Error(_)) => panic!("{other:?}"),
    };
    place.desk.create_job(THING, "Job1", "{}");
    assert_eq!(next()["status"], "QUEUED");
    place.run(&["start-next-pending-job-execution"]).json();
    assert_eq!(next()["status"], "IN_PROGRESS", "of which the service tells nobody");
    place.run(&["run-pending", "--once", "--seconds", "0"]);
    loop {
        let line = next();
        match line["status"].as_str().unwrap() {
            "IN_PROGRESS" => assert_ne!(line["statusDetails"]["progress"], "100%"),
            status => {
                assert_eq!((status, &line["statusDetails"]["progress"]), ("SUCCEEDED", &"100%".into()));
                break;
            }
        }
    }
}

#[test]
fn a_session_can_watch_beside_everything_else() {
    let place = Place::new();
    let mut session = Transcript::start(&mut place.sandbox([""; 0]));
    assert_eq!(session.next(), Said::Note("Connected.".into()));
    session.type_line("watch");
    assert_eq!(session.next(), Said::Note("Watching; `watch` again ends it.".into()));
    session.type_line("create-job Job1 {}");
    let mut said = vec![];
    while !said.contains(&Said::Note("Job1 (execution 1): QUEUED".into())) {
        said.push(session.next());
    }
    session.type_line("update-job-execution Job1 REJECTED");
    while !said.contains(&Said::Note("Job1 (execution 1): REJECTED".into())) {
        said.push(session.next());
    }
    let said = session.step("watch");
    assert_eq!(names(&said), ["No longer watching."]);
    session.type_line("quit");
    let (status, rest) = session.end();
    assert!(status.success() && rest.is_empty(), "{status} {rest:?}");
}

#[test]
fn a_session_does_not_push_out_who_uses_the_things_name_as_client_id() {
    let place = Place::new();
    let connected = Said::Note("Connected.".into());
    let mut agent = Transcript::start(&mut place.sandbox(["--client-id", THING]));
    assert_eq!(agent.next(), connected);
    let mut session = Transcript::start(&mut place.sandbox([""; 0]));
    assert_eq!(session.next(), connected);
    assert_eq!(session.settle(), []);
    assert_eq!(agent.settle(), [], "it has heard of no loss");
    let mut same = Transcript::start(&mut place.sandbox(["--client-id", THING]));
    assert_eq!(same.next(), connected);
    let said = agent.next();
    assert!(matches!(&said, Said::Note(note) if note.starts_with("Not connected: ")), "{said:?}");
}

#[test]
fn a_session_that_nobody_reads_ends() {
    let place = Place::new();
    let mut command = place.sandbox([""; 0]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut input = child.stdin.take().unwrap();
    // An error says that it has ended already.
    let _ = writeln!(input, "help");
    assert_eq!(ending(&mut child).code(), Some(1), "its input is still open");
}

/// A process that ends with the test.
struct Ends(std::process::Child);

impl Drop for Ends {
    fn drop(&mut self) {
        // Both fail only for one that has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
