//! What the operator forbids is rejected before anything has run, with the key of the configuration that forbids it; and
//! what a handler is given, in both forms.

use serde_json::{Value, json};
use testkit::{Board, Execution};

use crate::{THING, desk, start};

/// A document of the steps form.
fn steps(actions: &[Value]) -> String {
    let steps: Vec<Value> = actions.iter().map(|action| json!({ "action": action })).collect();
    json!({ "version": "1.0", "includeStdOut": true, "steps": steps }).to_string()
}

fn handler(name: &str, more: &Value) -> Value {
    let mut input = json!({ "handler": name, "path": "default" });
    let mut action = json!({ "name": name, "type": "runHandler" });
    for (member, value) in more.as_object().into_iter().flatten() {
        let place = if member == "runAsUser" { &mut action } else { &mut input };
        place[member] = value.clone();
    }
    action["input"] = input;
    action
}

fn command(words: &str) -> Value {
    json!({ "name": "command", "type": "runCommand", "input": { "command": words } })
}

/// What becomes of a document on a board with these keys under `jobs`. Its handlers `first` and `second` leave a file.
fn outcome(keys: &[(&str, Value)], document: &str) -> (Execution, bool) {
    let desk = desk();
    let mut board = Board::new(&desk, THING);
    for (key, value) in keys {
        board.configure("jobs", key, value.clone());
    }
    let mark = board.path().join("has-run");
    for name in ["first", "second"] {
        board.handler(name, &format!("#!/bin/sh\n: >{}\nprintf '<%s>' \"$@\"\n", mark.display()));
    }
    let _daemon = start(&board);
    desk.create_job(THING, "j", document);
    (desk.wait_until_over(THING, "j"), mark.exists())
}

fn is_rejected_with(keys: &[(&str, Value)], document: &str, parts: &[&str]) {
    let (execution, has_run) = outcome(keys, document);
    assert_eq!(execution.status, "REJECTED", "{document}: {execution:?}");
    assert!(!has_run, "{document}: something has run");
    for part in parts {
        assert!(execution.detail("reason").contains(part), "{part} is not in: {execution:?}");
    }
}

#[test]
fn a_user_that_is_not_allowed_is_rejected_before_the_first_step_has_run() {
    let document =
        steps(&[handler("first", &json!({})), handler("second", &json!({ "runAsUser": "daemon" }))]);
    let keys = [("allowed-users", json!(["bin"]))];
    is_rejected_with(&keys, &document, &["Step 2 of 2 (second)", "\"daemon\"", "jobs.allowed-users"]);
}

/// S1 and S12 of the reference: there they ran as root.
#[test]
fn a_user_that_does_not_exist_is_rejected_before_the_first_step_has_run() {
    for user in ["no-such-user", "-u", "--", "4294967295", "4294967296", "root:0", "root\n", "$(id -un)"] {
        let step = handler("second", &json!({ "runAsUser": user }));
        let document = steps(&[handler("first", &json!({})), step]);
        is_rejected_with(&[], &document, &["Step 2 of 2 (second)", "does not exist on this device"]);
    }
}

#[test]
fn a_directory_that_is_not_allowed_is_rejected() {
    let document = json!({ "operation": "true", "path": "/usr/bin" }).to_string();
    is_rejected_with(&[("allowed-paths", json!([]))], &document, &["/usr/bin", "jobs.allowed-paths"]);
    let (execution, _) = outcome(&[("allowed-paths", json!(["/usr/bin/"]))], &document);
    assert_eq!(execution.status, "SUCCEEDED", "{execution:?}");
    let document = steps(&[handler("first", &json!({ "path": "/var/../tmp" }))]);
    is_rejected_with(
        &[("allowed-paths", json!(["/var"]))],
        &document,
        &["/var/../tmp", "jobs.allowed-paths"],
    );
}

#[test]
fn where_commands_are_switched_off_only_handlers_are_run() {
    let keys = [("allow-commands", json!(false))];
    let document = steps(&[handler("first", &json!({})), command("true")]);
    is_rejected_with(&keys, &document, &["Step 2 of 2 (command)", "\"true\"", "jobs.allow-commands"]);
    let document = json!({ "operation": "true" }).to_string();
    is_rejected_with(&keys, &document, &["\"true\" was not found in ", "jobs.allow-commands"]);
    let (execution, has_run) = outcome(&keys, &json!({ "operation": "first" }).to_string());
    assert_eq!((&*execution.status, has_run), ("SUCCEEDED", true), "{execution:?}");
}

#[test]
fn the_first_argument_is_the_user_where_the_form_and_the_operator_say_so() {
    let flat =
        json!({ "operation": "first", "path": "default", "args": ["a"], "includeStdOut": true }).to_string();
    let form = steps(&[handler("first", &json!({ "args": ["a"] }))]);
    let turned = [("user-argument", json!({ "flat": true, "steps": false }))];
    for (keys, document, wanted) in [
        (&[][..], &flat, "<a>"),
        (&[][..], &form, "<><a>"),
        (&turned[..], &flat, "<><a>"),
        (&turned[..], &form, "<a>"),
    ] {
        let (execution, _) = outcome(keys, document);
        assert_eq!(execution.detail("stdout"), wanted, "{document} with {keys:?}: {execution:?}");
    }
}

#[test]
fn commands_are_found_by_the_path_that_the_operator_gives_to_handlers() {
    let desk = desk();
    let mut board = Board::new(&desk, THING);
    // Any directory will do that nobody else can write.
    board.handler("tool", "#!/bin/sh\necho \"tool $1\"\n");
    let directory = board.handler_path("tool").parent().expect("it lies in a directory").to_owned();
    board.configure("jobs", "environment", json!({ "PATH": directory }));
    let _daemon = start(&board);
    desk.create_job(THING, "j", &steps(&[command("tool,one"), command("true")]));
    let execution = desk.wait_until_over(THING, "j");
    assert_eq!(
        (execution.status.as_str(), execution.detail("stdout")),
        ("SUCCEEDED", "tool one\n"),
        "{execution:?}"
    );
}

/// What a handler finds in its environment, by a document of two steps.
#[test]
fn a_handler_finds_what_it_is_run_for_and_nothing_else() {
    let desk = desk();
    let mut board = Board::new(&desk, THING);
    board.configure("jobs", "environment", json!({ "SITE": "mill", "LANG": "de_DE.UTF-8" }));
    board.handler("first", "#!/bin/sh\n");
    let found = board.path().join("found");
    board.handler("second", &format!("#!/bin/sh\nenv >{0}.new\nmv {0}.new {0}\n", found.display()));
    let _daemon = start(&board);
    let second = handler("second", &json!({ "args": ["x"] }));
    desk.create_job(THING, "the-job", &steps(&[handler("first", &json!({})), second]));
    assert_eq!(desk.wait_until_over(THING, "the-job").status, "SUCCEEDED");
    let text = crate::read(&found);
    let own = ["PWD", "OLDPWD", "SHLVL", "_"];
    let mut variables: Vec<(&str, &str)> = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .filter(|(name, _)| !own.contains(name))
        .collect();
    variables.sort_unstable();
    let value =
        |name: &str| variables.iter().find(|(found, _)| *found == name).map_or("", |(_, value)| value);
    let names: Vec<&str> = variables.iter().map(|(name, _)| *name).collect();
    let wanted = [
        "ATTEMPT",
        "EXECUTION_NUMBER",
        "HANDLER_PATH",
        "HANDLER_PROGRESS_FD",
        "HANDLER_RUN",
        "HANDLER_SCRATCH",
        "HOME",
        "JOB_ID",
        "LANG",
        "LOGNAME",
        "PATH",
        "SITE",
        "STEP_INDEX",
        "STEP_NAME",
        "THING_NAME",
        "USER",
        "USER_ARGUMENT",
    ];
    assert_eq!(names, wanted);
    for (name, wanted) in [
        ("ATTEMPT", "1"),
        ("EXECUTION_NUMBER", "1"),
        ("JOB_ID", "the-job"),
        ("LANG", "de_DE.UTF-8"),
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ("SITE", "mill"),
        ("STEP_INDEX", "1"),
        ("STEP_NAME", "second"),
        ("THING_NAME", THING),
        ("USER_ARGUMENT", "1"),
    ] {
        assert_eq!(value(name), wanted, "{name}");
    }
}

#[test]
fn a_handler_that_was_switched_to_its_user_gets_an_empty_user_argument() {
    if !rustix::process::geteuid().is_root() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "skipped where root is to be had");
        eprintln!("SKIPPED: only root can switch to another user");
        return;
    }
    let desk = desk();
    let board = Board::new(&desk, THING);
    board.handler("who", "#!/bin/sh\nprintf '%s<%s>%s' \"$(id -un)\" \"$1\" \"$USER_ARGUMENT\"\n");
    let _daemon = start(&board);
    for (job, user, wanted) in [
        ("switched", "nobody", "nobody<>1"),
        ("own", "root", "root<root>1"),
        ("number", "65534", "nobody<>1"),
    ] {
        desk.create_job(THING, job, &steps(&[handler("who", &json!({ "runAsUser": user }))]));
        let execution = desk.wait_until_over(THING, job);
        assert_eq!(execution.detail("stdout"), wanted, "{execution:?}");
    }
}
