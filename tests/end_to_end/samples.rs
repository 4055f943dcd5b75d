//! The sample documents that would change the machine, with their handlers, from the service to the report: the tools
//! of the system are stand-ins. Those that change nothing are run by `cargo xtask demo`.

#![expect(clippy::unwrap_used, reason = "the helpers are part of the tests")]

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use testkit::{Board, Daemon, Desk, Execution, StandIns};

use crate::{THING, start};

/// What apt-get is called with before the names.
const APT: &str = "apt-get <-q> <-y> <-o> <DPkg::Lock::Timeout=300>";
/// And when it installs.
const FORCE: &str = "<-o> <Dpkg::Options::=--force-confdef> <-o> <Dpkg::Options::=--force-confold>";

/// A document, how often a tool is called with what, and a part of what is reported as standard output.
type Row = (&'static str, Vec<String>, &'static str);

#[test]
fn every_document_that_is_for_trying_by_hand_succeeds_on_a_healthy_device() {
    let rows: [Row; 8] = [
        ("download-file.json", vec![], "Downloaded https://www.example.com/hello.txt to "),
        ("health-check.json", vec![], "ok: no unit has failed\n"),
        ("install-packages.json", installed("<tree> <dos2unix>"), "tree is installed\n"),
        ("remove-packages.json", removed("<telnet>"), "telnet is not installed\n"),
        ("restart-services.json", vec![service("restart")], ""),
        ("shutdown.json", vec!["shutdown <-h> <+2>".into()], "The device powers off in 2 min\n"),
        ("start-services.json", vec![service("start")], ""),
        ("stop-services.json", vec![service("stop")], ""),
    ];
    // Those two have tests of their own, one of them beside other reboots.
    let elsewhere = ["reboot.json", "run-as-user.json"];
    let known = rows.iter().map(|(name, ..)| *name).chain(elsewhere).map(str::to_owned);
    assert_eq!(names("by-hand"), known.collect::<BTreeSet<_>>());

    let stage = Stage::new();
    for (name, calls, stdout) in rows {
        let execution = stage.run_document(&format!("by-hand/{name}"));
        assert_eq!(execution.status, "SUCCEEDED", "{name}: {execution:?}");
        assert!(execution.detail("stdout").contains(stdout), "{name}: {execution:?}");
        stage.assert_calls(name, &calls);
    }
    assert_eq!(fs::read_to_string(stage.tools.path().join("hello.txt")).unwrap(), "hello");
}

#[test]
fn every_managed_template_makes_the_sample_document_and_its_handler_does_what_it_asks_for() {
    let rows: [(&str, Value, Vec<String>); 7] = [
        (
            "AWS-Download-File",
            json!({ "downloadUrl": "https://www.example.com/index.html", "filePath": "/var/tmp" }),
            vec![],
        ),
        ("AWS-Install-Application", json!({ "packages": "tree git" }), installed("<tree> <git>")),
        ("AWS-Remove-Application", json!({ "packages": "tree git" }), removed("<tree> <git>")),
        ("AWS-Restart-Application", json!({ "services": "cron ssh" }), vec![service("restart")]),
        ("AWS-Run-Command", json!({ "command": "echo,Hello World!" }), vec![]),
        ("AWS-Start-Application", json!({ "services": "cron ssh" }), vec![service("start")]),
        ("AWS-Stop-Application", json!({ "services": "cron ssh" }), vec![service("stop")]),
    ];
    let known = rows.iter().map(|(name, ..)| *name).chain(["AWS-Reboot"]).map(|name| format!("{name}.json"));
    assert_eq!(names("managed"), known.collect::<BTreeSet<_>>());

    let stage = Stage::new();
    for (name, parameters, calls) in rows {
        assert_eq!(stage.document_of_template(name, &parameters), sample(&format!("managed/{name}.json")));
        let execution = stage.run_document(&format!("managed/{name}.json"));
        assert_eq!(execution.status, "SUCCEEDED", "{name}: {execution:?}");
        stage.assert_calls(name, &calls);
    }
    assert_eq!(fs::read_to_string(stage.tools.path().join("index.html")).unwrap(), "hello");
    assert_eq!(stage.document_of_template("AWS-Reboot", &json!({})), sample("managed/AWS-Reboot.json"));
}

#[test]
fn a_tool_that_fails_makes_the_job_fail_with_its_code_and_nothing_after_it_is_run() {
    let stage = Stage::new();
    stage.tools.tool("apt-get", "case \"$*\" in *install*) echo 'E: no such package' >&2; exit 100 ;; esac");
    let execution = stage.run_document("by-hand/install-packages.json");
    assert_eq!(execution.status, "FAILED");
    assert!(execution.detail("reason").contains("(Install) exited with status: 100"), "{execution:?}");
    assert_eq!(execution.detail("stderr"), "E: no such package\n");
    assert!(!stage.tools.calls().iter().any(|call| call.starts_with("dpkg-query")), "{execution:?}");
}

#[test]
fn run_as_user_is_a_real_switch_for_root_and_a_refusal_for_anybody_else() {
    let stage = Stage::new();
    let execution = stage.run_document("by-hand/run-as-user.json");
    if rustix::process::geteuid().is_root() {
        assert_eq!(execution.status, "SUCCEEDED", "{execution:?}");
        assert_eq!(execution.detail("stdout"), "nobody\nHello, nobody!\n");
    } else {
        assert_eq!(execution.status, "REJECTED", "{execution:?}");
        assert!(execution.detail("reason").contains("nobody"), "{execution:?}");
    }
}

/// A device with the sample handlers, of which the handlers see nothing but stand-ins.
struct Stage {
    desk: Desk,
    tools: StandIns,
    _daemon: Daemon,
    _board: Board,
}

impl Stage {
    fn new() -> Self {
        let tools = StandIns::new();
        tools.healthy_device();
        tools.tool("apt-get", "");
        tools.tool("shutdown", "");
        // What is to be gone is gone, and everything else is there.
        tools.tool("dpkg-query", "[ \"$3\" != telnet ] || exit 1; echo 'install ok installed'");
        tools.tool("curl", "while [ \"$1\" != --output ]; do shift; done; printf hello >\"$2\"");
        let desk = Desk::start(&[THING, "elsewhere"]);
        let mut board = Board::new(&desk, THING);
        let environment = json!({ "PATH": tools.bin(), "PROC_DIRECTORY": tools.path().join("proc") });
        board.configure("jobs", "environment", environment);
        install_handlers(&board);
        let daemon = start(&board);
        Self { desk, tools, _daemon: daemon, _board: board }
    }

    /// Runs a sample document, with a directory of the test in the place of one of the machine.
    fn run_document(&self, path: &str) -> Execution {
        self.tools.forget_calls();
        let job = path.replace(['/', '.'], "-");
        let files = self.tools.path().display().to_string();
        self.desk.create_job(THING, &job, &sample(path).to_string().replace("/var/tmp", &files));
        self.desk.wait_until_over(THING, &job)
    }

    /// The calls of the tools that change something.
    fn assert_calls(&self, what: &str, expected: &[String]) {
        let harmless = ["df", "date", "timedatectl", "dpkg-query", "curl", "systemctl <--failed>"];
        let mut calls = self.tools.calls();
        calls.retain(|call| !harmless.iter().any(|tool| call.starts_with(tool)));
        assert_eq!(calls, expected, "{what}");
    }

    /// The document that the service makes of a managed template.
    fn document_of_template(&self, name: &str, parameters: &Value) -> Value {
        let job = format!("of-{name}");
        let members = json!({
            "jobId": job,
            // Nobody runs it: it is for another thing.
            "targets": ["arn:aws:iot:us-east-1:123456789012:thing/elsewhere"],
            "jobTemplateArn": format!("arn:aws:iot:us-east-1::jobtemplate/{name}:1.0"),
            "documentParameters": parameters,
        });
        self.desk.call("CreateJob", members).expect("the service knows the template");
        let answer = self.desk.call("GetJobDocument", json!({ "jobId": job })).expect("the job is there");
        serde_json::from_str(answer["document"].as_str().expect("a document is a text")).unwrap()
    }
}

fn installed(names: &str) -> Vec<String> {
    vec!["apt-get <-q> <update>".to_owned(), format!("{APT} {FORCE} <install> {names}")]
}

fn removed(names: &str) -> Vec<String> {
    vec![format!("{APT} <--purge> <remove> {names}")]
}

fn service(verb: &str) -> String {
    format!("systemctl <--no-ask-password> <{verb}> <--> <cron> <ssh>")
}

fn install_handlers(board: &Board) {
    for entry in fs::read_dir(root().join("sample-job-handlers")).unwrap() {
        let handler = entry.unwrap().path();
        if handler.extension().is_some_and(|end| end == "sh") {
            let place = board.handler_path(handler.file_name().unwrap().to_str().unwrap());
            fs::copy(&handler, &place).unwrap();
            fs::set_permissions(&place, Permissions::from_mode(0o700)).unwrap();
        }
    }
}

/// The names of the sample documents of a kind.
fn names(directory: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(root().join("sample-job-docs").join(directory)).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn sample(path: &str) -> Value {
    let text = fs::read_to_string(root().join("sample-job-docs").join(path)).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("the crate stands two levels down")
        .to_owned()
}
