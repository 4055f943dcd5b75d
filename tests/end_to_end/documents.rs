//! Documents as the Device Client's users have them: managed templates, conditions, commands, and what of them is
//! reported.

use serde_json::{Value, json};
use testkit::{Board, Desk, Execution};

use crate::{THING, desk, document, start};

/// Says how it was called.
const STAND_IN: &str = "#!/bin/sh\nprintf '%s:' \"${0##*/}\"; printf '<%s>' \"$@\"; echo\n";

/// The managed templates, what an operator gives to each, and what its handler is called with: first the user.
fn templates() -> [(&'static str, Value, &'static str); 8] {
    [
        (
            "AWS-Download-File",
            json!({ "downloadUrl": "https://example.com/a b?x=1&y=%20", "filePath": "/tmp/x" }),
            "download-file.sh:<><https://example.com/a b?x=1&y=%20></tmp/x>\n",
        ),
        ("AWS-Install-Application", json!({ "packages": "tree git" }), "install-packages.sh:<><tree git>\n"),
        ("AWS-Reboot", json!({}), "reboot.sh:<>\n"),
        ("AWS-Remove-Application", json!({ "packages": "tree" }), "remove-packages.sh:<><tree>\n"),
        ("AWS-Restart-Application", json!({ "services": "cron ssh" }), "restart-services.sh:<><cron ssh>\n"),
        ("AWS-Run-Command", json!({ "command": "printf,%s|, a\\, b ,c" }), "a, b|c|"),
        ("AWS-Start-Application", json!({ "services": "cron" }), "start-services.sh:<><cron>\n"),
        ("AWS-Stop-Application", json!({ "services": "cron" }), "stop-services.sh:<><cron>\n"),
    ]
}

#[test]
fn each_managed_template_is_run_with_the_document_that_it_sends() {
    let (desk, board) = with_stand_ins();
    let _daemon = start(&board);
    for (template, parameters, wanted) in templates() {
        create_from_template(&desk, template, template, &parameters);
        let execution = desk.wait_until_over(THING, template);
        assert_eq!(execution.status, "SUCCEEDED", "{template}: {execution:?}");
        assert_eq!(execution.detail("stdout"), wanted, "{template}");
    }
}

#[test]
fn the_optional_parameters_of_a_template_are_heard() {
    let (desk, board) = with_stand_ins();
    let elsewhere = board.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).expect("the directory is ours");
    std::fs::copy(board.handler_path("stop-services.sh"), elsewhere.join("stop-services.sh"))
        .expect("both are ours");
    std::fs::remove_file(board.handler_path("stop-services.sh")).expect("it is ours");
    let _daemon = start(&board);
    let own = rustix::process::geteuid().as_raw().to_string();
    let parameters = json!({ "services": "cron", "runAsUser": own, "pathToHandler": elsewhere });
    create_from_template(&desk, "j", "AWS-Stop-Application", &parameters);
    let execution = desk.wait_until_over(THING, "j");
    assert_eq!(execution.status, "SUCCEEDED", "{execution:?}");
    let wanted = format!("stop-services.sh:<{own}><cron>\n");
    assert_eq!(execution.detail("stdout"), wanted, "nobody was switched to, so the user is told");
}

/// C5 and C6 of the Device Client: there each of these ends the process, and again at every start.
#[test]
fn what_crashes_the_device_client_is_rejected_and_the_next_job_is_run() {
    let (desk, board) = with_stand_ins();
    let mut daemon = start(&board);
    let step = |action: Value| json!({ "version": "1.0", "steps": [{ "action": action }] });
    let documents = [
        (step(json!({ "name": "n", "type": "runHandler" })), "steps[0].action.input: is missing"),
        (step(json!({ "name": "n", "type": "runCommand" })), "steps[0].action.input: is missing"),
        (
            step(json!({ "name": "n", "type": "runCommand", "input": null })),
            "steps[0].action.input: is missing",
        ),
        (json!({ "version": "1.0", "steps": [{}] }), "steps[0].action: is missing"),
    ];
    for (number, (document, wanted)) in documents.iter().enumerate() {
        let job = format!("j{number}");
        desk.create_job(THING, &job, &document.to_string());
        let execution = desk.wait_until_over(THING, &job);
        assert_eq!(execution.status, "REJECTED", "{document}");
        assert!(execution.detail("reason").contains(wanted), "{execution:?}");
    }
    desk.create_job(THING, "good", &document("reboot.sh", json!({})));
    assert_eq!(desk.wait_until_over(THING, "good").status, "SUCCEEDED");
    assert!(daemon.is_alive());
}

/// C7 of the Device Client: there a word of 25 KB overflows the stack.
#[test]
fn a_command_of_the_largest_size_is_run() {
    let command = |word: &str| command_document(&format!("printf,%s|%s,{word},end"), &json!({}));
    let word = "x".repeat(32_768 - command("").len());
    let execution = run(|_| (), &command(&word));
    assert_eq!(execution.status, "SUCCEEDED", "{execution:?}");
    assert!(execution.detail("stdout").ends_with("xxx|end"), "{execution:?}");
}

#[test]
fn steps_are_run_in_order_and_an_ignored_failure_and_the_final_step_are_told() {
    let step = |name: &str, script: &str, more: Value| {
        let mut action = json!({ "name": name, "type": "runCommand",
            "input": { "command": format!("sh,-c,{}", script.replace(',', "\\,")) } });
        for (member, value) in more.as_object().into_iter().flatten() {
            action[member] = value.clone();
        }
        json!({ "action": action })
    };
    let document = |second: &str| {
        json!({ "version": "1.0", "includeStdOut": "true",
            "steps": [
                { "_comment": "the first one may fail" },
                step("prepare", "echo one; exit 3", json!({ "ignoreStepFailure": "true" })),
                step("work", second, json!({ "allowStdErr": 1 })),
            ],
            "finalStep": step("clean up", "echo three", json!({})) })
        .to_string()
    };
    let execution = run(|_| (), &document("echo two; echo careful >&2"));
    assert_eq!(execution.status, "SUCCEEDED", "{execution:?}");
    assert_eq!(execution.detail("stdout"), "one\ntwo\nthree\n");
    assert_eq!(execution.detail("stderr"), "careful\n");
    let reason = "Job exited with status: 0; ignored: Step 1 of 2 (prepare) exited with status: 3";
    assert_eq!(execution.detail("reason"), reason);
    let execution = run(|_| (), &document("echo a >&2; echo b >&2"));
    assert_eq!(execution.status, "FAILED", "{execution:?}");
    assert_eq!(execution.detail("stdout"), "one\n", "the final step is for success");
    let reason = "Step 2 of 2 (work) exited with status: 0, but wrote 2 lines to standard error where 1 are allowed (allowStdErr)";
    assert_eq!(execution.detail("reason"), reason);
    let execution = run(|_| (), &document("kill -SEGV $$"));
    assert_eq!(execution.detail("reason"), "Step 2 of 2 (work) killed by signal: 11 (SIGSEGV)");
}

/// A package that is installed and then used is what several steps are for.
#[test]
fn a_program_that_an_earlier_step_puts_there_is_found_when_its_step_begins() {
    let step = |kind: &str, input: Value, ignored: bool| {
        let action = json!({ "name": kind, "type": kind, "input": input, "ignoreStepFailure": ignored });
        json!({ "action": action })
    };
    let make = step("runHandler", json!({ "handler": "make.sh", "path": "default" }), false);
    let result = |steps: &dyn Fn(&str) -> Vec<Value>| {
        let desk = desk();
        let board = Board::new(&desk, THING);
        let place = board.path().join("made");
        let place = place.to_str().expect("a path of ours is text");
        let script = format!(
            "#!/bin/sh\nmkdir {place} && cd {place}\nprintf '#!/bin/sh\\necho tool\\n' >tool\nchmod 755 tool\n"
        );
        board.handler("make.sh", &script);
        let _daemon = start(&board);
        let document = json!({ "version": "1.0", "includeStdOut": true, "steps": steps(place) });
        desk.create_job(THING, "j", &document.to_string());
        let execution = desk.wait_until_over(THING, "j");
        (
            execution.status.clone(),
            execution.detail("reason").to_owned(),
            execution.detail("stdout").to_owned(),
        )
    };
    let tool = |place: &str| json!({ "command": format!("{place}/tool") });
    let handler = |place: &str| json!({ "handler": "tool", "path": place });
    let (status, reason, stdout) = result(&|place| {
        vec![make.clone(), step("runCommand", tool(place), false), step("runHandler", handler(place), false)]
    });
    assert_eq!((status.as_str(), stdout.as_str()), ("SUCCEEDED", "tool\ntool\n"), "{reason}");

    // Not there in time: the job ends at that step.
    let absent = |place: &str| json!({ "command": format!("{place}/other") });
    let (status, reason, _) = result(&|place| vec![make.clone(), step("runCommand", absent(place), false)]);
    assert_eq!(status, "FAILED");
    assert!(reason.starts_with("Step 2 of 2 (runCommand)") && reason.contains("was not found"), "{reason}");

    // Nothing can put the first one's there, unless it need not be there at all.
    let (status, reason, _) = result(&|place| vec![step("runCommand", tool(place), false), make.clone()]);
    assert_eq!(status, "REJECTED", "{reason}");
    let (status, reason, _) = result(&|place| vec![step("runCommand", tool(place), true), make.clone()]);
    assert_eq!(status, "SUCCEEDED", "{reason}");
    assert!(reason.contains("ignored: Step 1 of 2 (runCommand)"), "{reason}");

    // Handlers of the handler directory are there or not.
    let later = json!({ "handler": "later.sh", "path": "default" });
    let (status, reason, _) = result(&|_| vec![make.clone(), step("runHandler", later.clone(), true)]);
    assert_eq!(status, "REJECTED", "{reason}");
}

/// R14 of the Device Client: there nobody looks at them.
#[test]
fn conditions_are_held_against_built_in_facts_and_those_of_the_operator() {
    let machine = rustix::system::uname();
    let text = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
    let document = |conditions: Value| command_document("true", &json!({ "conditions": conditions }));
    let desk = desk();
    let mut board = Board::new(&desk, THING);
    board.configure("jobs", "facts", json!({ "site": "mill", "hostname": "as the operator calls it" }));
    let _daemon = start(&board);
    let good = json!([
        { "key": "operatingSystem", "value": ["windows", "linux"] },
        { "key": "architecture", "value": [text(machine.machine())], "type": "stringEqual" },
        { "key": "thingName", "value": [THING] },
        { "key": "hostname", "value": ["as the operator calls it"] },
        { "key": "site", "value": ["harbour", "mill"] },
    ]);
    desk.create_job(THING, "good", &document(good));
    let execution = desk.wait_until_over(THING, "good");
    assert_eq!(execution.status, "SUCCEEDED", "{execution:?}");
    for (job, condition, wanted) in [
        (
            "other",
            json!({ "key": "operatingSystem", "value": ["windows"] }),
            "condition not met: operatingSystem is `linux` here, wanted one of [\"windows\"]",
        ),
        (
            "none",
            json!({ "key": "colour", "value": ["red"] }),
            "condition not met: `colour` is no known fact",
        ),
        (
            "operator",
            json!({ "key": "site", "value": ["m*"], "type": "stringLike" }),
            "conditions[0].type: `stringLike` is not known",
        ),
    ] {
        desk.create_job(THING, job, &document(json!([condition])));
        let execution = desk.wait_until_over(THING, job);
        assert_eq!(execution.status, "REJECTED", "{execution:?}");
        assert!(execution.detail("reason").contains(wanted), "{execution:?}");
    }
}

/// R4 and R5 of the Device Client, for fleets that read its three keys.
#[test]
fn with_the_details_of_the_device_client_there_are_its_three_keys_and_true_words() {
    let like_theirs = |board: &mut Board| board.configure("jobs", "details", json!("device-client"));
    let script = "sh,-c,echo out; echo err >&2; exit 3";
    let execution = run(like_theirs, &command_document(script, &json!({ "includeStdOut": "false" })));
    assert!(!execution.details.contains_key("stdout"), "the document has said no: {execution:?}");
    let mut document: Value =
        serde_json::from_str(&command_document(script, &json!({}))).expect("it is JSON");
    document.as_object_mut().expect("an object").remove("includeStdOut");
    let execution = run(like_theirs, &document.to_string());
    assert_eq!(execution.status, "FAILED");
    let details: Vec<_> = execution.details.iter().map(|(key, text)| (key.as_str(), text.as_str())).collect();
    let reason = "Job exited with status: 3; this was Step 1 of 1 (n)";
    assert_eq!(details, [("reason", reason), ("stderr", "err\n"), ("stdout", "out\n")]);
    let execution = run(like_theirs, r#"{"version":"1.0"}"#);
    let reason = "Unable to execute job, invalid job document provided! steps: is missing";
    assert_eq!((execution.status.as_str(), execution.detail("reason")), ("REJECTED", reason));
}

#[test]
fn head_and_tail_show_how_an_output_begins_and_ends_and_how_long_it_was() {
    let script = "sh,-c,echo begin; head -c 1000000 /dev/zero | tr '\\0' x; echo end; echo short >&2";
    let asking = command_document(script, &json!({ "reportDetails": "head-and-tail" }));
    let execution = run(|_| (), &asking);
    assert_eq!(execution.status, "SUCCEEDED", "{execution:?}");
    let keys: Vec<_> = execution.details.keys().map(String::as_str).collect();
    let all = ["reason", "stderr", "stderr-bytes", "stdout", "stdout-bytes", "stdout-head"];
    assert_eq!(keys, all, "what is short has no head");
    assert!(execution.detail("stdout-head").starts_with("begin\nxxx"), "{execution:?}");
    assert!(execution.detail("stdout").ends_with("xxxend\n"), "{execution:?}");
    for key in ["stdout-head", "stdout"] {
        assert_eq!(execution.detail(key).len(), 1024, "{key}");
    }
    assert_eq!((execution.detail("stdout-bytes"), execution.detail("stderr-bytes")), ("1000010", "6"));
}

/// R6 of the Device Client: there a result whose words are refused is gone.
#[test]
fn a_service_that_refuses_the_words_gets_them_more_strictly_and_the_result_is_not_lost() {
    let desk = Desk::start_strict(&[THING]);
    let board = Board::new(&desk, THING);
    let daemon = start(&board);
    let script = "sh,-c,printf 'one\\n\\ttwo\\n'; exit 4";
    desk.create_job(THING, "j", &command_document(script, &json!({})));
    let execution = desk.wait_until_over(THING, "j");
    assert_eq!(execution.status, "FAILED", "{execution:?}");
    assert_eq!(execution.detail("stdout"), "one␊␉two␊");
    assert_eq!(execution.detail("reason"), "Step 1 of 1 (n) exited with status: 4");
    assert!(!daemon.log().contains("panicked"), "{}", daemon.log());
}

#[test]
fn a_service_that_refuses_even_strict_words_gets_the_result_without_any() {
    let desk = desk();
    let board = Board::new(&desk, THING);
    let _daemon = start(&board);
    // The first update is IN_PROGRESS; the next two are the report, as it was written and more strictly.
    desk.set_faults(json!({ "rules": [
        { "topic": "+/update", "skip": 1, "count": 2, "action": { "reject": "InvalidRequest" } }] }));
    desk.create_job(THING, "j", &command_document("echo,hello", &json!({})));
    let execution = desk.wait_until_over(THING, "j");
    assert_eq!((&*execution.status, execution.details.len()), ("SUCCEEDED", 0), "{execution:?}");
}

/// A board whose handlers say how they were called, and whose reports hold that without being asked.
fn with_stand_ins() -> (Desk, Board) {
    let desk = desk();
    let mut board = Board::new(&desk, THING);
    board.configure("jobs", "details", json!("device-client"));
    for name in [
        "download-file.sh",
        "install-packages.sh",
        "reboot.sh",
        "remove-packages.sh",
        "restart-services.sh",
        "start-services.sh",
        "stop-services.sh",
    ] {
        board.handler(name, STAND_IN);
    }
    (desk, board)
}

fn create_from_template(desk: &Desk, job: &str, template: &str, parameters: &Value) {
    let mut members = json!({
        "jobId": job,
        "targets": [format!("arn:aws:iot:us-east-1:123456789012:thing/{THING}")],
        "jobTemplateArn": format!("arn:aws:iot:us-east-1::jobtemplate/{template}:1.0"),
    });
    if parameters.as_object().is_some_and(|parameters| !parameters.is_empty()) {
        members["documentParameters"] = parameters.clone();
    }
    desk.call("CreateJob", members).expect("the service creates the job");
}

/// A document with one command, which reports its standard output.
fn command_document(command: &str, more: &Value) -> String {
    let action = json!({ "name": "n", "type": "runCommand", "input": { "command": command } });
    let mut document = json!({ "version": "1.0", "includeStdOut": true, "steps": [{ "action": action }] });
    for (member, value) in more.as_object().into_iter().flatten() {
        document[member] = value.clone();
    }
    document.to_string()
}

/// Runs one document on a board of its own.
fn run(prepare: impl FnOnce(&mut Board), document: &str) -> Execution {
    let desk = desk();
    let mut board = Board::new(&desk, THING);
    prepare(&mut board);
    let _daemon = start(&board);
    desk.create_job(THING, "j", document);
    desk.wait_until_over(THING, "j")
}
