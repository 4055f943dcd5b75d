use super::*;

fn parse(text: &str) -> Result<JobDocument, InvalidDocument> {
    JobDocument::parse(text)
}

fn complaint(text: &str) -> String {
    parse(text).expect_err(text).to_string()
}

#[test]
fn a_flat_document_becomes_one_step() {
    let document =
        parse(r#"{"_comment":1,"operation":"install.sh","args":["lftp",""],"path":"default","allowStdErr":2,"includeStdOut":true}"#)
            .unwrap();
    assert_eq!(document.form, Form::Flat);
    assert_eq!(document.include_std_out, Some(true));
    assert_eq!(
        document.steps,
        [Step {
            name: "install.sh".to_owned(),
            action: Action::RunHandler {
                handler: "install.sh".to_owned(),
                args: vec!["lftp".to_owned(), String::new()],
                path: HandlerPath::Default,
            },
            run_as_user: None,
            allow_std_err: Some(2),
            ignore_step_failure: false,
            timeout_seconds: None,
        }]
    );
}

#[test]
fn an_absent_path_and_an_empty_one_are_the_same() {
    for text in [r#"{"operation":"x"}"#, r#"{"operation":"x","path":""}"#, r#"{"operation":"x","path":null}"#]
    {
        let Action::RunHandler { path, .. } = &parse(text).unwrap().steps[0].action else { panic!("{text}") };
        assert_eq!(*path, HandlerPath::Unspecified, "{text}");
    }
}

#[test]
fn both_spellings_of_a_flag_are_heard() {
    for (spelling, meant) in [
        ("true", Some(true)),
        ("\"true\"", Some(true)),
        ("false", Some(false)),
        ("\"false\"", Some(false)),
        ("\"\"", None),
        ("null", None),
    ] {
        let document = parse(&format!(r#"{{"operation":"x","includeStdOut":{spelling}}}"#)).unwrap();
        assert_eq!(document.include_std_out, meant, "{spelling}");
    }
}

#[test]
fn the_steps_form_is_read_whole() {
    let document = parse(
        r#"{"version":"1.0","includeStdOut":"true","conditions":[{"key":"operatingSystem","value":["linux"]}],
            "steps":[{"action":{"name":"Install","type":"runHandler","runAsUser":"root","allowStdErr":0,
                        "input":{"handler":"install.sh","args":["wget"],"path":"/opt/h"}}},
                     {"action":{"name":"Greet","type":"runCommand","runAsUser":"","ignoreStepFailure":"true",
                        "input":{"command":"echo,Hello\\, world"}}}],
            "finalStep":{"action":{"name":"Done","type":"runCommand","input":{"command":"true"}}}}"#,
    )
    .unwrap();
    assert_eq!(
        document.conditions,
        [Condition { key: "operatingSystem".to_owned(), values: vec!["linux".to_owned()] }]
    );
    assert_eq!(document.steps[0].run_as_user.as_deref(), Some("root"));
    assert_eq!(document.steps[0].allow_std_err, Some(0));
    assert_eq!(document.steps[1].run_as_user, None, "an empty user is no user");
    assert!(document.steps[1].ignore_step_failure);
    assert_eq!(
        document.steps[1].action,
        Action::RunCommand { program: "echo".to_owned(), args: vec!["Hello, world".to_owned()] }
    );
    assert_eq!(document.final_step.unwrap().name, "Done");
}

#[test]
fn a_command_is_split_as_the_device_client_does() {
    let text = serde_json::json!({"version":"1.0","steps":[{"action":{"name":"n","type":"runCommand",
        "input":{"command":r"printf,<%s>, ,,  x  ,a\,b,c\\,d"}}}]});
    let document = parse(&text.to_string()).unwrap();
    let Action::RunCommand { program, args } = &document.steps[0].action else { panic!("not a command") };
    assert_eq!(program, "printf");
    assert_eq!(args, &["<%s>", "", "x", "a,b", r"c\,d"]);
}

#[test]
fn tokens_are_trimmed_of_white_space_and_empty_ones_disappear() {
    for (command, wanted) in [
        ("true", &["true"][..]),
        (",,true,,", &["true"]),
        (" \t\n\u{b}\u{c}\rtrue \t\n\u{b}\u{c}\r, \t", &["true", ""]),
        ("true,\u{a0}x", &["true", "\u{a0}x"]),
        (r"true,\,", &["true", ","]),
        (r"true,\", &["true", r"\"]),
        (r"true,\\", &["true", r"\\"]),
        (r"true,a b\, c ", &["true", "a b, c"]),
        ("true,\"a,b\"", &["true", "\"a", "b\""]),
    ] {
        assert_eq!(command::split(command), wanted, "{command:?}");
    }
}

#[test]
fn a_steps_item_that_is_a_comment_is_skipped_and_one_without_action_is_told() {
    let command = |name: &str| {
        format!(r#"{{"action":{{"name":"{name}","type":"runCommand","input":{{"command":"true"}}}}}}"#)
    };
    let text = format!(
        r#"{{"version":"1.0","steps":[{{"_comment":"first"}},{},{}],"finalStep":{{"_comment":"none"}}}}"#,
        command("a"),
        command("b")
    );
    let document = parse(&text).unwrap();
    let names: Vec<_> = document.steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(document.final_step, None);
    for item in ["{}", r#"{"acton":{}}"#, r#"{"_comment":"x","name":"y"}"#] {
        let text = format!(r#"{{"version":"1.0","steps":[{},{item}]}}"#, command("a"));
        assert!(complaint(&text).contains("steps[1].action: is missing"), "{}", complaint(&text));
    }
}

#[test]
fn an_optional_parameter_that_was_not_given_is_absent_and_any_other_placeholder_is_told() {
    let with = |handler: &str, args: &str, path: &str, user: &str| {
        format!(
            r#"{{"version":"1.0","steps":[{{"action":{{"name":"n","type":"runHandler","runAsUser":"{user}",
                "input":{{"handler":"{handler}","args":["{args}"],"path":"{path}"}}}}}}]}}"#
        )
    };
    for nothing in ["", "${aws:iot:parameter:x}"] {
        let document = parse(&with("h", "a", nothing, nothing)).unwrap();
        let Action::RunHandler { path, .. } = &document.steps[0].action else { panic!("not a handler") };
        assert_eq!((path, &document.steps[0].run_as_user), (&HandlerPath::Unspecified, &None));
    }
    for (text, member) in [
        (with("${aws:iot:parameter:h}", "a", "", ""), "input.handler: "),
        (with("h", "x${aws:iot:s3-presigned-url:https://b/k}", "", ""), "input.args[0]: "),
        (with("h", "a", "/opt/${aws:iot:parameter:p}", ""), "input.path: "),
        (with("h", "a", "${aws:iot:parameter:p}/x", ""), "input.path: "),
        (with("h", "a", "", "u${aws:iot:parameter:u}"), "action.runAsUser: "),
    ] {
        let found = complaint(&text);
        assert!(found.contains(member) && found.contains("has not filled in `${aws:iot:"), "{found}");
    }
}

#[test]
fn a_document_can_ask_for_head_and_tail() {
    for (spelling, meant) in [
        ("\"head-and-tail\"", Some(ReportDetails::HeadAndTail)),
        ("\"tail\"", Some(ReportDetails::Tail)),
        ("\"\"", None),
        ("null", None),
    ] {
        let flat = parse(&format!(r#"{{"operation":"x","reportDetails":{spelling}}}"#)).unwrap();
        assert_eq!(flat.report_details, meant, "{spelling}");
    }
    assert!(complaint(r#"{"operation":"x","reportDetails":"all"}"#).contains("reportDetails: `all`"));
}

#[test]
fn a_condition_has_any_number_of_values() {
    let document = parse(
        r#"{"version":"1.0","conditions":[{"key":"a","value":["1","2"],"type":"stringEqual"},{"key":"b","value":["3"]}],
            "steps":[{"action":{"name":"n","type":"runCommand","input":{"command":"true"}}}]}"#,
    )
    .unwrap();
    let found: Vec<_> = document.conditions.iter().map(|one| (one.key.as_str(), one.values.len())).collect();
    assert_eq!(found, [("a", 2), ("b", 1)]);
}

#[test]
fn a_token_as_long_as_a_document_is_split() {
    for (long, tokens) in [("x".repeat(32_000), 1), ("x,".repeat(16_000), 16_000), (r"\\,".repeat(10_000), 1)]
    {
        let text = format!(
            r#"{{"version":"1.0","steps":[{{"action":{{"name":"n","type":"runCommand","input":{{"command":"echo,{long}"}}}}}}]}}"#
        );
        let document = parse(&text).unwrap();
        let Action::RunCommand { args, .. } = &document.steps[0].action else { panic!("not a command") };
        assert_eq!(args.len(), tokens);
    }
}

#[test]
fn a_complaint_tells_what_was_found_and_what_is_wanted() {
    for (text, told) in [
        (r#"{"version":"","steps":[]}"#, "version: is empty, wanted \"1.0\""),
        (
            r#"{"operation":"x","allowStdErr":-1}"#,
            "allowStdErr: is -1, wanted a whole number of lines, 0 or more",
        ),
        (
            r#"{"operation":"x","allowStdErr":1.5}"#,
            "allowStdErr: is 1.5, wanted a whole number of lines, 0 or more",
        ),
        (
            r#"{"operation":"x","allowStdErr":"2"}"#,
            "allowStdErr: is a string, wanted a whole number of lines",
        ),
    ] {
        assert!(complaint(text).contains(told), "{text}: {}", complaint(text));
    }
    // As with every optional parameter of a template that was not given.
    let document = parse(r#"{"operation":"x","allowStdErr":""}"#).expect("empty is absent");
    assert_eq!(document.steps[0].allow_std_err, None);
}

#[test]
fn a_complaint_names_the_member() {
    for (text, member) in [
        ("[]", "document"),
        ("null", "document"),
        ("{", "document"),
        ("{}", "operation"),
        (r#"{"foo":"bar"}"#, "operation"),
        (r#"{"operation":5}"#, "operation"),
        (r#"{"operation":""}"#, "operation"),
        (r#"{"operation":"a\u0000b"}"#, "operation"),
        (r#"{"operation":"x","args":"a b"}"#, "args"),
        (r#"{"operation":"x","args":["a",5]}"#, "args[1]"),
        (r#"{"operation":"x","args":["a\u0000"]}"#, "args[0]"),
        (r#"{"operation":"x","path":7}"#, "path"),
        (r#"{"operation":"x","allowStdErr":-1}"#, "allowStdErr"),
        (r#"{"operation":"x","allowStdErr":"2"}"#, "allowStdErr"),
        (r#"{"operation":"x","includeStdOut":"yes"}"#, "includeStdOut"),
        (r#"{"version":"9.9","steps":[]}"#, "version"),
        (r#"{"version":1.0,"steps":[]}"#, "version"),
        (r#"{"version":"1.0"}"#, "steps"),
        (r#"{"version":"1.0","steps":[]}"#, "steps"),
        (r#"{"version":"1.0","steps":[{}]}"#, "steps[0].action"),
        (
            r#"{"version":"1.0","steps":[{"action":{"name":"n","type":"runHandler"}}]}"#,
            "steps[0].action.input",
        ),
        (
            r#"{"version":"1.0","steps":[{"action":{"type":"runHandler","input":{}}}]}"#,
            "steps[0].action.name",
        ),
        (
            r#"{"version":"1.0","steps":[{"action":{"name":"n","type":"runHandler","input":{}}}]}"#,
            "steps[0].action.input.handler",
        ),
        (
            r#"{"version":"1.0","steps":[{"action":{"name":"n","type":"shell","input":{}}}]}"#,
            "steps[0].action.type",
        ),
        (
            r#"{"version":"1.0","steps":[{"action":{"name":"n","type":"runCommand","input":{"command":"a b,c"}}}]}"#,
            "steps[0].action.input.command",
        ),
        (
            r#"{"version":"1.0","steps":[{"action":{"name":"n","type":"runCommand","input":{"command":",,"}}}]}"#,
            "steps[0].action.input.command",
        ),
        (r#"{"version":"1.0","steps":[7]}"#, "steps[0]"),
        (
            r#"{"version":"1.0","conditions":[{"key":"k","value":"v"}],"steps":[{"action":{"name":"n","type":"runCommand","input":{"command":"x"}}}]}"#,
            "conditions[0].value",
        ),
        (
            r#"{"version":"1.0","conditions":[{"key":"k","value":["v"],"type":"regex"}],"steps":[{"action":{"name":"n","type":"runCommand","input":{"command":"x"}}}]}"#,
            "conditions[0].type",
        ),
        (
            r#"{"version":"1.0","finalStep":{"action":{"name":"n"}},"steps":[{"action":{"name":"n","type":"runCommand","input":{"command":"x"}}}]}"#,
            "finalStep.action.type",
        ),
    ] {
        assert!(
            complaint(text).starts_with(&format!("invalid job document: {member}: ")),
            "{text}: {}",
            complaint(text)
        );
    }
}

#[test]
fn a_time_limit_is_a_number_of_seconds_or_its_digits() {
    let limit = |text: &str| {
        let document = format!(r#"{{"operation":"x","timeoutSeconds":{text}}}"#);
        JobDocument::parse(&document).map(|document| document.steps[0].timeout_seconds)
    };
    for (text, seconds) in [
        ("30", Some(30)),
        ("30.0", Some(30)),
        (r#""30""#, Some(30)),
        ("null", None),
        (r#""""#, None),
        (r#""${aws:iot:parameter:timeout}""#, None),
    ] {
        assert_eq!(limit(text), Ok(seconds), "{text}");
    }
    for text in ["0", "-1", "1.5", r#""soon""#, "true", "[1]"] {
        let complaint = limit(text).unwrap_err();
        assert_eq!(complaint.member, "timeoutSeconds", "{text}");
    }
    let action = r#"{"name":"n","type":"runCommand","input":{"command":"x"},"timeoutSeconds":7}"#;
    let steps = format!(r#"{{"version":"1.0","steps":[{{"action":{action}}}]}}"#);
    assert_eq!(JobDocument::parse(&steps).unwrap().steps[0].timeout_seconds, Some(7));
}

#[test]
fn deep_nesting_is_a_complaint_and_no_crash() {
    let deep = format!(r#"{{"operation":"x","args":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    assert!(complaint(&deep).contains("recursion limit"), "{}", complaint(&deep));
}

#[test]
fn a_complaint_shows_foreign_text_escaped_and_short() {
    let text = complaint(&format!(r#"{{"version":"\u001b[2J{}"}}"#, "x".repeat(9000)));
    assert!(!text.contains('\u{1b}') && text.len() < 300, "{text}");
}
