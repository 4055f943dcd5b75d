//! What goes wrong at a desk: each a line that says what and how to mend it.

use crate::transcript::{Said, Transcript};
use crate::{Outcome, Place, THING, bare_sandbox};

#[test]
fn what_the_service_refuses_is_told_with_its_code() {
    let place = Place::new();
    place.run(&["create-job", "Job1", "{}"]).json();
    for (command, wanted) in [
        (&["create-job", "Job1", "[]"][..], "CreateJob was refused: ResourceAlreadyExistsException: "),
        (&["delete-job", "Job1"], "DeleteJob was refused: InvalidStateTransitionException: "),
        (&["delete-job", "nojob"], "DeleteJob was refused: ResourceNotFoundException: "),
        (&["cancel-job", "nojob"], "CancelJob was refused: ResourceNotFoundException: "),
        (&["list-jobs", "--status", "DONE"], "ListJobs was refused: InvalidRequestException: "),
        (&["describe-job-execution", "nojob"], "DescribeJobExecution was refused: ResourceNotFound: "),
        (&["update-job-execution", "nojob", "FAILED"], "UpdateJobExecution was refused: ResourceNotFound: "),
        (
            &["update-job-execution", "Job1", "CANCELED"],
            "UpdateJobExecution was refused: InvalidStateTransition: ",
        ),
    ] {
        let outcome = place.run(command);
        let error = outcome.error(1);
        assert!(error.starts_with(wanted) && error.len() > wanted.len(), "{command:?}: {error}");
    }
    place.run(&["update-job-execution", "Job1", "FAILED"]).json();
    let outcome = place.run(&["update-job-execution", "Job1", "SUCCEEDED"]);
    assert!(outcome.error(1).ends_with("(the execution is FAILED)"), "{}", outcome.err);
    let outcome = place.run(&["describe-job-execution", "Job1"]);
    assert!(outcome.error(1).contains("TerminalStateReached"), "{}", outcome.err);
}

#[test]
fn a_wrong_command_line_is_a_usage_error() {
    for (arguments, wanted) in [
        (&["create-jobs", "Job1", "{}"][..], "create-jobs"),
        (&["create-job", "Job1", "{"], "the document is not JSON"),
        (&["create-job", "Job/1", "{}"], "`Job/1` is not a job id"),
        (&["update-job-execution", "Job1", "DONE"], "no such status"),
        (&["--thing-name", "a b", "list-jobs"], "`a b` is not a thing name"),
    ] {
        let outcome = Outcome::of(bare_sandbox().args(arguments));
        assert_eq!((outcome.code, &*outcome.out), (2, ""), "{arguments:?}");
        assert!(outcome.err.contains(wanted), "{arguments:?}: {}", outcome.err);
    }
}

#[test]
fn what_is_not_known_of_service_and_device_is_named_with_its_flag() {
    let place = Place::new();
    let empty = tempfile::tempdir().unwrap();
    let fails = |command: &mut std::process::Command| Outcome::of(command).error(78).to_owned();
    assert!(fails(bare_sandbox().arg("get-pending-job-executions")).contains("--thing-name"));
    let nothing = fails(bare_sandbox().args(["--thing-name", THING, "get-pending-job-executions"]));
    assert!(nothing.contains("--endpoint") && nothing.contains("--config-file"), "{nothing}");
    assert!(
        fails(bare_sandbox().arg("--config-file").arg(empty.path()).arg("list-jobs"))
            .contains("fleethand.conf")
    );
    let key = place.board.path().join("device.key");
    assert!(fails(bare_sandbox().arg("--config-file").arg(key).arg("list-jobs")).contains("device.key"));
    let missing = fails(&mut place.sandbox(["--cert", "/nowhere/a.pem", "get-pending-job-executions"]));
    assert!(missing.contains("/nowhere/a.pem"), "{missing}");
    let name = fails(&mut place.sandbox(["--endpoint", "https://localhost", "get-pending-job-executions"]));
    assert!(name.contains("without scheme"), "{name}");
    for url in ["127.0.0.1:8080", "https://127.0.0.1:8080", "localhost", "http://"] {
        let error =
            fails(bare_sandbox().args(["--thing-name", THING, "--control-endpoint", url, "list-jobs"]));
        assert!(error.contains(&format!("`{url}`")) && error.contains("http://127.0.0.1:8080"), "{error}");
    }
}

#[test]
fn a_service_that_is_not_there_is_named_with_its_address() {
    let mut place = Place::new();
    let http = place.desk.http();
    place.desk.stop();
    let with_http = |arguments: &[&str]| {
        let mut command = bare_sandbox();
        command.arg("--config-file").arg(place.board.path()).env("AWS_ENDPOINT_URL_IOT", &http);
        Outcome::of(command.args(arguments))
    };
    let outcome = with_http(&["create-job", "Job1", "{}"]);
    assert!(outcome.error(1).contains(&http), "{}", outcome.err);
    let outcome = with_http(&["get-pending-job-executions"]);
    let address = format!("localhost:{}", place.desk.mqtt().port());
    assert!(outcome.error(1).contains(&address), "{}", outcome.err);
    assert!(outcome.err.contains("not connected"), "{}", outcome.err);
}

#[cfg(feature = "aws")]
#[test]
fn without_credentials_aws_is_not_called_but_the_local_service_is() {
    let place = Place::new();
    let without = |arguments: &[&str]| {
        let mut command = place.sandbox(arguments);
        Outcome::of(command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY"))
    };
    let outcome = without(&["list-jobs"]);
    assert!(outcome.error(1).contains("credential"), "{}", outcome.err);
    without(&["--control-endpoint", &place.desk.http(), "list-jobs"]).json();
}

#[test]
fn a_certificate_that_is_not_taken_and_a_service_that_is_not_trusted_are_told_apart() {
    let mut place = Place::new();
    let stranger = testkit::Desk::start(&[]);
    place.board.use_identity(&stranger.device(THING));
    let outcome = place.run(&["get-pending-job-executions"]);
    assert!(outcome.error(1).contains("refuses this device's certificate"), "{}", outcome.err);

    place.board.use_identity(&place.desk.device(THING));
    place.board.use_root(stranger.authority().certificate());
    let outcome = place.run(&["get-pending-job-executions"]);
    assert!(outcome.error(1).contains("not signed by a trusted root"), "{}", outcome.err);
}

#[test]
fn a_session_goes_on_after_every_mistake() {
    let place = Place::new();
    let mut session = Transcript::start(&mut place.sandbox([""; 0]));
    assert_eq!(session.next(), Said::Note("Connected.".into()));
    for (line, wanted) in [
        ("make-coffee", "unknown command `make-coffee`; `help` lists the commands"),
        ("create-job Job1", "<DOCUMENT>"),
        ("create-job Job1 {\"ToDo\":", "the document is not JSON"),
        ("update-job-execution Job1 DONE", "no such status"),
        ("update-job-execution Job1 FAILED", "ResourceNotFound"),
        ("delete-job Job1", "ResourceNotFoundException"),
    ] {
        let said = session.step(line);
        assert!(matches!(&said[..], [Said::Error(error)] if error.contains(wanted)), "{line}: {said:?}");
    }
    session.type_bytes(b"\xff\xfe\n");
    let said = session.settle();
    assert!(matches!(&said[..], [Said::Error(error)] if error.starts_with("unknown command")), "{said:?}");
    assert_eq!(session.step(""), []);
    session.type_line("help");
    assert_eq!(session.next(), Said::Note("Commands:".into()));
    session.settle();
    session.step("create-job Job1 '{}'");
    let (status, _) = session.end();
    assert_eq!(status.code(), Some(1));
    assert_eq!(
        place.desk.execution(THING, "Job1").status,
        "QUEUED",
        "quotes as in a shell are no part of the document"
    );
}

#[test]
fn a_session_without_a_configuration_says_once_what_it_needs_and_does_what_it_can() {
    let place = Place::new();
    let mut session = Transcript::start(bare_sandbox().arg("--control-endpoint").arg(place.desk.http()));
    let said = session.next();
    assert!(matches!(&said, Said::Error(error) if error.contains("--thing-name")), "{said:?}");
    session.type_line("list-jobs");
    let said = session.next();
    assert!(matches!(&said, Said::Response(operation, _) if operation == "ListJobs"), "{said:?}");
}

#[test]
fn a_session_outlives_the_service_and_finds_it_again() {
    let mut place = Place::new();
    let mut session = Transcript::start(&mut place.sandbox([""; 0]));
    assert_eq!(session.next(), Said::Note("Connected.".into()));
    session.settle();
    place.desk.stop();
    let said = session.next();
    assert!(matches!(&said, Said::Note(note) if note.starts_with("Not connected: ")), "{said:?}");
    session.type_line("get-pending-job-executions");
    loop {
        match session.next() {
            Said::Error(error) => break assert!(error.starts_with("not connected: "), "{error}"),
            Said::Note(note) => assert!(note.starts_with("Not connected: "), "{note}"),
            other @ (Said::Response(..) | Said::Event(..)) => panic!("{other:?}"),
        }
    }
    place.desk.restart();
    while session.next() != Said::Note("Connected.".into()) {}
    assert_eq!(session.settle(), []);
}
