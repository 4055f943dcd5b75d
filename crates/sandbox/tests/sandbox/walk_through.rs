//! The walk-throughs of the AWS samples: which events follow which command, and which do not.

use serde_json::{Value, json};

use crate::transcript::{Said, Transcript, json, names};
use crate::{Place, THING};

const CHANGED: &str = "JobExecutionsChangedEvent";
const NEXT: &str = "NextJobExecutionChangedEvent";

#[test]
fn two_jobs_are_created_run_and_deleted_and_each_event_follows_its_command() {
    let place = Place::with_things(&[]);
    let mut session = Transcript::start(&mut place.sandbox([""; 0]));
    assert_eq!(session.next(), Said::Note("Connected.".into()));
    assert_eq!(session.next(), Said::Note(format!("There was no thing {THING}; it has been created.")));

    assert_eq!(pending(&mut session), [vec![""; 0], vec![]]);

    let said = session.step(r#"create-job Job1 {"ToDo":"Reboot"}"#);
    assert_eq!(names(&said), ["CreateJob", CHANGED, NEXT]);
    let created = json(&said, "CreateJob");
    assert_eq!(created["jobId"], "Job1");
    assert_eq!(created["jobArn"], "arn:aws:iot:us-east-1:123456789012:job/Job1");
    assert_eq!(ids(&json(&said, CHANGED)["jobs"]["QUEUED"]), ["Job1"]);
    let next = &json(&said, NEXT)["execution"];
    assert_eq!((&next["jobId"], &next["status"]), (&json!("Job1"), &json!("QUEUED")));
    assert_eq!(next["jobDocument"], json!({"ToDo": "Reboot"}));

    let said = session.step(r#"create-job Job2 {"ToDo":"Delete Root User"}"#);
    assert_eq!(names(&said), ["CreateJob", CHANGED], "the next one is still the first");
    assert_eq!(ids(&json(&said, CHANGED)["jobs"]["QUEUED"]), ["Job1", "Job2"]);

    let said = session.step("start-next-pending-job-execution");
    assert_eq!(names(&said), ["StartNextPendingJobExecution"], "a start is no news for anybody");
    let started = &json(&said, "StartNextPendingJobExecution")["execution"];
    assert_eq!((&started["jobId"], &started["status"]), (&json!("Job1"), &json!("IN_PROGRESS")));
    assert_eq!(started["versionNumber"], 2);
    assert_eq!(started["jobDocument"], json!({"ToDo": "Reboot"}));
    assert_eq!(pending(&mut session), [vec!["Job1"], vec!["Job2"]]);

    let said = session.step("describe-job-execution Job1");
    assert_eq!(names(&said), ["DescribeJobExecution"]);
    assert_eq!(json(&said, "DescribeJobExecution")["execution"]["status"], "IN_PROGRESS");
    let said = session.step("update-job-execution Job1 IN_PROGRESS");
    assert_eq!(names(&said), ["UpdateJobExecution"], "nor is progress");

    let said = session.step("update-job-execution Job1 SUCCEEDED");
    assert_eq!(names(&said), ["UpdateJobExecution", CHANGED, NEXT]);
    assert_eq!(ids(&json(&said, CHANGED)["jobs"]["QUEUED"]), ["Job2"]);
    assert_eq!(json(&said, CHANGED)["jobs"].get("IN_PROGRESS"), None);
    assert_eq!(json(&said, NEXT)["execution"]["jobId"], "Job2");
    assert_eq!(json(&said, NEXT)["execution"]["jobDocument"], json!({"ToDo": "Delete Root User"}));

    let said = session.step("start-next-pending-job-execution");
    assert_eq!(names(&said), ["StartNextPendingJobExecution"]);
    let said = session.step("update-job-execution Job2 FAILED");
    assert_eq!(names(&said), ["UpdateJobExecution", CHANGED, NEXT]);
    assert_eq!(json(&said, CHANGED)["jobs"], json!({}));
    assert_eq!(json(&said, NEXT).get("execution"), None, "nothing is next");

    for job in ["Job1", "Job2"] {
        let said = session.step(&format!("delete-job {job}"));
        assert_eq!(names(&said), ["DeleteJob"], "of what is over, nobody is told the end again");
    }
    let said = session.step("list-jobs");
    assert_eq!(json(&said, "ListJobs")["jobs"], json!([]));
    session.type_line("quit");
    let (status, rest) = session.end();
    assert!(status.success(), "{status} {rest:?}");
}

#[test]
fn three_jobs_out_of_order_as_the_developer_guide_walks_through_them() {
    let place = Place::new();
    let mut session = Transcript::start(&mut place.sandbox([""; 0]));
    assert_eq!(session.next(), Said::Note("Connected.".into()));
    let open = |said: &[Said]| {
        let jobs = &json(said, CHANGED)["jobs"];
        let part = |name: &str| jobs.get(name).map_or_else(Vec::new, ids);
        [part("IN_PROGRESS"), part("QUEUED")]
    };

    let said = session.step("create-job job1 {}");
    assert_eq!(names(&said), ["CreateJob", CHANGED, NEXT]);
    let said = session.step("create-job job2 {}");
    assert_eq!(names(&said), ["CreateJob", CHANGED]);
    let said = session.step("update-job-execution job1 IN_PROGRESS");
    assert_eq!(names(&said), ["UpdateJobExecution"], "the first one is still the first");
    let said = session.step("create-job job3 {}");
    assert_eq!(names(&said), ["CreateJob", CHANGED]);
    assert_eq!(open(&said), [vec!["job1"], vec!["job2", "job3"]]);
    let said = session.step("update-job-execution job1 SUCCEEDED");
    assert_eq!(names(&said), ["UpdateJobExecution", CHANGED, NEXT]);
    assert_eq!(json(&said, NEXT)["execution"]["jobId"], "job2");

    let said = session.step("update-job-execution job3 IN_PROGRESS");
    assert_eq!(names(&said), ["UpdateJobExecution", NEXT], "it has gone past job2");
    let next = &json(&said, NEXT)["execution"];
    assert_eq!((&next["jobId"], &next["status"]), (&json!("job3"), &json!("IN_PROGRESS")));
    let said = session.step("update-job-execution job2 REJECTED");
    assert_eq!(names(&said), ["UpdateJobExecution", CHANGED]);
    assert_eq!(open(&said), [vec!["job3"], vec![]]);
    let said = session.step("delete-job job3 --force");
    assert_eq!(names(&said), ["DeleteJob", CHANGED, NEXT]);
    assert_eq!(open(&said), [vec![""; 0], vec![]]);
    assert_eq!(json(&said, NEXT).get("execution"), None);
}

#[test]
fn cancelling_tells_the_device_and_deleting_by_force_takes_what_is_open() {
    let place = Place::new();
    let mut session = Transcript::start(&mut place.sandbox([""; 0]));
    assert_eq!(session.next(), Said::Note("Connected.".into()));
    for job in ["Job1", "Job2"] {
        session.step(&format!("create-job {job} {{}}"));
    }
    session.step("start-next-pending-job-execution");

    let said = session.step("cancel-job Job1");
    assert_eq!(names(&said), ["CancelJob"], "what is IN_PROGRESS goes on");
    let said = session.step("cancel-job Job2");
    assert_eq!(names(&said), ["CancelJob", CHANGED], "it was not the next one");
    assert_eq!(ids(&json(&said, CHANGED)["jobs"]["IN_PROGRESS"]), ["Job1"]);

    session.step("create-job Job3 {}");
    let said = session.step("cancel-job Job3 --force");
    assert_eq!(names(&said), ["CancelJob", CHANGED]);
    session.step("create-job Job4 {}");
    let said = session.step("delete-job Job4");
    assert!(
        matches!(&said[..], [Said::Error(error)] if error.contains("InvalidStateTransitionException")),
        "{said:?}"
    );
    let said = session.step("delete-job Job4 --force");
    assert_eq!(names(&said), ["DeleteJob", CHANGED]);
    let said = session.step("delete-job Job1 --force");
    assert_eq!(names(&said), ["DeleteJob", CHANGED, NEXT]);
    let said = session.step("update-job-execution Job1 SUCCEEDED");
    assert!(matches!(&said[..], [Said::Error(error)] if error.contains("ResourceNotFound")), "{said:?}");
    let (status, _) = session.end();
    assert_eq!(status.code(), Some(1), "a script is told that something was refused");
}

#[test]
fn with_events_jobs_and_executions_are_told_of_as_well() {
    let place = Place::new();
    let mut session = Transcript::start(&mut place.sandbox(["--events"]));
    assert_eq!(session.next(), Said::Note("Connected.".into()));
    let said = session.step("create-job Job1 {}");
    assert_eq!(names(&said), ["CreateJob", CHANGED, NEXT], "a new job is no event");
    let said = session.step("update-job-execution Job1 SUCCEEDED");
    assert_eq!(names(&said), ["UpdateJobExecution", "JobEvent", "JobExecutionEvent", CHANGED, NEXT]);
    assert_eq!(json(&said, "JobExecutionEvent")["operation"], "succeeded");
    assert_eq!(json(&said, "JobEvent")["operation"], "completed");
    let said = session.step("delete-job Job1");
    assert!(names(&said).contains(&"JobEvent"), "{said:?}");
}

/// The ids of the list's two parts.
fn pending(session: &mut Transcript) -> [Vec<String>; 2] {
    session.type_line("get-pending-job-executions");
    let said = [session.next()];
    let list = json(&said, "GetPendingJobExecutions");
    ["inProgressJobs", "queuedJobs"].map(|part| ids(&list[part]))
}

fn ids(list: &Value) -> Vec<String> {
    let id = |entry: &Value| entry["jobId"].as_str().unwrap().to_owned();
    list.as_array().unwrap_or_else(|| panic!("not a list: {list}")).iter().map(id).collect()
}
