//! One command each, as a script uses it.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::{Outcome, Place, THING, bare_sandbox};

#[test]
fn every_command_leaves_one_line_of_json() {
    let place = Place::with_things(&[]);
    let created = place.run(&["create-job", "Job1", r#"{"ToDo":"Reboot"}"#]);
    assert_eq!(created.code, 0, "{}", created.err);
    assert_eq!(created.err, format!("There was no thing {THING}; it has been created.\n"));
    assert_eq!(serde_json::from_str::<serde_json::Value>(&created.out).unwrap()["jobId"], "Job1");

    let pending = place.run(&["get-pending-job-executions"]).json();
    assert_eq!(pending["queuedJobs"][0]["jobId"], "Job1");
    let described = place.run(&["describe-job-execution", "$next"]).json();
    assert_eq!(described["execution"]["jobDocument"], json!({"ToDo": "Reboot"}));
    let started = place.run(&["start-next-pending-job-execution"]).json();
    assert_eq!(started["execution"]["status"], "IN_PROGRESS");
    place.run(&["update-job-execution", "Job1", "SUCCEEDED"]).json();
    let nothing = place.run(&["start-next-pending-job-execution"]).json();
    assert_eq!(nothing.get("execution"), None);
    let listed = place.run(&["list-jobs", "--status", "COMPLETED"]).json();
    assert_eq!(listed["jobs"][0]["jobId"], "Job1");
    place.run(&["delete-job", "Job1"]).json();
    assert_eq!(place.run(&["list-jobs"]).json()["jobs"], json!([]));
}

#[test]
fn a_name_with_a_colon_finds_its_way_on_both_sides() {
    let place = Place::new();
    let as_other = |arguments: &[&str]| {
        let mut command = place.sandbox(["--thing", "a:b"]);
        Outcome::of(command.args(arguments))
    };
    assert_eq!(as_other(&["create-job", "Job1", "{}"]).code, 0);
    assert_eq!(as_other(&["start-next-pending-job-execution"]).json()["execution"]["jobId"], "Job1");
    assert_eq!(place.desk.execution("a:b", "Job1").status, "IN_PROGRESS");
}

#[test]
fn flags_alone_are_enough_and_win_over_a_configuration() {
    let place = Place::new();
    let file = |name: &str| place.board.path().join(name).into_os_string();
    let port = place.desk.mqtt().port().to_string();
    let mut command = bare_sandbox();
    command.args(["--endpoint", "localhost", "--port", &port, "--thing-name", THING]);
    for (flag, name) in [("--cert", "device.pem"), ("--key", "device.key"), ("--root-ca", "root-ca.pem")] {
        command.arg(flag).arg(file(name));
    }
    command.arg("get-pending-job-executions");
    assert_eq!(Outcome::of(&mut command).json()["queuedJobs"], json!([]));

    let mut command = place.sandbox(["--thing-name", "other", "get-pending-job-executions"]);
    let outcome = Outcome::of(&mut command);
    assert!(
        outcome.error(1).starts_with("GetPendingJobExecutions was refused: ResourceNotFound"),
        "{}",
        outcome.err
    );
}

#[test]
fn a_directory_of_init_is_all_that_it_takes() {
    let desk = Init::start(&["first", "second"], None);
    desk.run(&["create-job", "Job1", "{}"]).json();
    let queued = |outcome: Outcome| outcome.json()["queuedJobs"].as_array().unwrap().len();
    assert_eq!(queued(desk.run(&["get-pending-job-executions"])), 1, "the first thing is meant");
    assert_eq!(queued(desk.run(&["--thing-name", "second", "get-pending-job-executions"])), 0);
}

#[test]
fn the_policy_that_is_shipped_for_the_sandbox_is_enough_for_it_and_the_agents_is_not() {
    let policies = tempfile::tempdir().unwrap();
    let force = |shipped: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/policies").join(shipped);
        let policy = fs::read_to_string(path).unwrap().replace("THING", THING);
        fs::write(policies.path().join(format!("{THING}.json")), policy).unwrap();
    };
    force("sandbox-device.json");
    let desk = Init::start(&[THING], Some(policies.path()));
    desk.run(&["create-job", "Job1", "{}"]).json();
    desk.run(&["--events", "get-pending-job-executions"]).json();
    desk.run(&["describe-job-execution", "Job1"]).json();
    let ran = desk.run(&["run-pending", "--once", "--seconds", "0"]);
    assert_eq!(ran.code, 0, "{}", ran.err);

    let refused = desk.run(&["--client-id", THING, "get-pending-job-executions"]);
    assert!(refused.error(1).starts_with("not connected: "), "{}", refused.err);
    force("agent.json");
    let refused = desk.run(&["get-pending-job-executions"]);
    assert!(refused.error(1).starts_with("not connected: "), "{}", refused.err);
}

/// What `fleethand-local init` makes, and a service for it.
struct Init {
    desk: tempfile::TempDir,
    service: local_service::Running,
    /// Last, since the service ends in it.
    _runtime: tokio::runtime::Runtime,
}

impl Init {
    fn start(things: &[&str], policies: Option<&Path>) -> Self {
        let desk = tempfile::tempdir().unwrap();
        for thing in things {
            let options = local_service::pki::InitOptions {
                directory: desk.path().to_owned(),
                thing: Some(thing.parse().unwrap()),
                hosts: Vec::new(),
                port: 1,
            };
            local_service::pki::init(&options).unwrap();
        }
        let mut options = local_service::Options::of_directory(desk.path()).unwrap();
        options.policies = policies.map(Path::to_owned);
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let service = runtime.block_on(local_service::start(options)).unwrap();
        Self { desk, service, _runtime: runtime }
    }

    /// Runs one command. The ports are other than the usual ones, so that tests can run side by side.
    fn run(&self, arguments: &[&str]) -> Outcome {
        let mut command = bare_sandbox();
        command.arg("--config-file").arg(self.desk.path());
        command.args(["--port", &self.service.mqtt.port().to_string()]);
        command.args(["--control-endpoint", &format!("http://{}", self.service.http)]);
        Outcome::of(command.args(arguments))
    }
}
