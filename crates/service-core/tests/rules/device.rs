//! Requests of devices.

use serde_json::json;
use service_core::Settings;

use crate::bench::Bench;

#[test]
fn the_first_check_that_fails_answers() {
    let mut bench = Bench::new();
    bench.job("j", json!({}));
    // Each row has the fault of its own check and of every later one.
    for (payload, code) in [
        (r#"{"status":"CANCELED","executionNumber":9"#, "InvalidJson"),
        (r#"{"status":"CANCELED","statusDetails":{"k":5},"executionNumber":9}"#, "InvalidRequest"),
        (r#"{"status":"CANCELED","stepTimeoutInMinutes":0,"executionNumber":9}"#, "InvalidRequest"),
        (r#"{"executionNumber":9,"expectedVersion":9}"#, "InvalidRequest"),
        (r#"{"status":"DONE","executionNumber":9,"expectedVersion":9}"#, "InvalidRequest"),
        (r#"{"status":"CANCELED","executionNumber":9,"expectedVersion":9}"#, "InvalidStateTransition"),
        (r#"{"status":"FAILED","executionNumber":9,"expectedVersion":9}"#, "ResourceNotFound"),
        (r#"{"status":"FAILED","executionNumber":1,"expectedVersion":9}"#, "VersionMismatch"),
    ] {
        assert_eq!(bench.refused("j/update", payload), code, "{payload}");
    }
    bench.publish("j/update", r#"{"status":"FAILED"}"#);
    for (payload, code) in [
        (r#"{"status":"QUEUED","expectedVersion":9}"#, "InvalidStateTransition"),
        (r#"{"status":"FAILED","expectedVersion":9}"#, "VersionMismatch"),
        (r#"{"status":"FAILED","expectedVersion":2}"#, "InvalidStateTransition"),
    ] {
        assert_eq!(bench.refused("j/update", payload), code, "{payload}");
    }
    assert_eq!(bench.refused("unknown/update", r#"{"status":"REMOVED"}"#), "InvalidStateTransition");
    assert_eq!(bench.execution("j")["versionNumber"], 2, "nothing of this has changed it");
}

#[test]
fn replies_have_the_services_bytes() {
    let mut bench = Bench::new();
    bench.job("j", json!({"timeoutConfig": {"inProgressTimeoutInMinutes": 20}}));
    for (topic, payload, end, body) in [
        (
            "get",
            "",
            "accepted",
            r#"{"timestamp":1720000000,"inProgressJobs":[],"queuedJobs":[{"jobId":"j","queuedAt":1720000000,"lastUpdatedAt":1720000000,"executionNumber":1,"versionNumber":1}]}"#,
        ),
        (
            "$next/get",
            r#"{"clientToken":"a","includeJobDocument":false}"#,
            "accepted",
            r#"{"clientToken":"a","timestamp":1720000000,"execution":{"jobId":"j","status":"QUEUED","queuedAt":1720000000,"lastUpdatedAt":1720000000,"versionNumber":1,"executionNumber":1}}"#,
        ),
        (
            "start-next",
            r#"{"statusDetails":{"b":"2","a":"1"}}"#,
            "accepted",
            r#"{"timestamp":1720000000,"execution":{"jobId":"j","status":"IN_PROGRESS","statusDetails":{"a":"1","b":"2"},"queuedAt":1720000000,"startedAt":1720000000,"lastUpdatedAt":1720000000,"versionNumber":2,"executionNumber":1,"approximateSecondsBeforeTimedOut":1200,"jobDocument":{"do":"it"}}}"#,
        ),
        (
            "j/update",
            r#"{"status":"IN_PROGRESS","expectedVersion":"2","clientToken":"b"}"#,
            "accepted",
            r#"{"clientToken":"b","timestamp":1720000000}"#,
        ),
        (
            "j/update",
            r#"{"status":"IN_PROGRESS","statusDetails":{},"includeJobExecutionState":true,"includeJobDocument":true}"#,
            "accepted",
            r#"{"timestamp":1720000000,"executionState":{"status":"IN_PROGRESS","statusDetails":{},"versionNumber":4},"jobDocument":{"do":"it"}}"#,
        ),
        (
            "j/update",
            r#"{"status":"FAILED","expectedVersion":2,"clientToken":"c"}"#,
            "rejected",
            r#"{"clientToken":"c","timestamp":1720000000,"executionState":{"status":"IN_PROGRESS","statusDetails":{},"versionNumber":4},"code":"VersionMismatch","message":"Expected version 2 but found version 4"}"#,
        ),
        (
            "j/update",
            r#"{"status":"CANCELED"}"#,
            "rejected",
            r#"{"timestamp":1720000000,"code":"InvalidStateTransition","message":"The status of job execution cannot be changed to be CANCELED"}"#,
        ),
        (
            "x/update",
            r#"{"status":"FAILED"}"#,
            "rejected",
            r#"{"timestamp":1720000000,"code":"ResourceNotFound","message":"Job x not found for t1"}"#,
        ),
        ("j/update", r#"{"status":"FAILED"}"#, "accepted", r#"{"timestamp":1720000000}"#),
        (
            "j/update",
            r#"{"status":"FAILED"}"#,
            "rejected",
            r#"{"timestamp":1720000000,"executionState":{"status":"FAILED","statusDetails":{},"versionNumber":5},"code":"InvalidStateTransition","message":"Job j for t1 has already finished with status FAILED"}"#,
        ),
        (
            "j/get",
            "{}",
            "rejected",
            r#"{"timestamp":1720000000,"code":"TerminalStateReached","message":"Job Execution has reached terminal state. It is neither IN_PROGRESS nor QUEUED"}"#,
        ),
        ("$next/get", "{}", "accepted", r#"{"timestamp":1720000000}"#),
        (
            "get",
            "[]",
            "rejected",
            r#"{"timestamp":1720000000,"code":"InvalidJson","message":"The contents of the request could not be interpreted as valid UTF-8-encoded JSON"}"#,
        ),
    ] {
        assert_eq!(bench.reply(topic, payload), (end.to_owned(), body.to_owned()), "{topic} {payload}");
    }
}

#[test]
fn start_next_of_what_is_in_progress_changes_nothing() {
    let mut bench = Bench::new();
    bench.job("j", json!({}));
    bench.publish("start-next", r#"{"stepTimeoutInMinutes":5}"#);
    let (before, deadline) = (bench.execution("j"), bench.service.deadline());
    let again = bench.publish("start-next", r#"{"stepTimeoutInMinutes":9,"statusDetails":{"a":"b"}}"#);
    assert!(again.reply.unwrap().topic.ends_with("/accepted"));
    assert_eq!(again.publications, []);
    assert_eq!((bench.execution("j"), bench.service.deadline()), (before, deadline));
}

#[test]
fn members_of_another_type_are_refused_and_unknown_ones_passed_over() {
    let mut bench = Bench::new();
    bench.job("j", json!({}));
    for member in [
        r#""expectedVersion":1.5"#,
        r#""expectedVersion":"""#,
        r#""expectedVersion":"1x""#,
        r#""expectedVersion":-1"#,
        r#""expectedVersion":[1]"#,
        r#""executionNumber":true"#,
        r#""includeJobDocument":"yes""#,
        r#""includeJobExecutionState":1"#,
        r#""stepTimeoutInMinutes":"5""#,
        r#""stepTimeoutInMinutes":-2"#,
        r#""stepTimeoutInMinutes":10081"#,
        r#""statusDetails":null"#,
        r#""statusDetails":["a"]"#,
        r#""statusDetails":{"a":null}"#,
        r#""statusDetails":{"a":false}"#,
        r#""clientToken":5"#,
    ] {
        let payload = format!(r#"{{"status":"IN_PROGRESS",{member}}}"#);
        assert_eq!(bench.refused("j/update", &payload), "InvalidRequest", "{payload}");
    }
    let (end, _) = bench.reply("j/update", r#"{"status":"IN_PROGRESS","news":[{}],"expectedVersion":null}"#);
    assert_eq!(end, "accepted");
}

#[test]
fn line_ends_in_details_are_taken_unless_the_pattern_is_enforced() {
    let payload = |value: &str| format!(r#"{{"status":"IN_PROGRESS","statusDetails":{{"k":"{value}"}}}}"#);
    for (value, readable, strict) in [
        ("plain", true, true),
        ("a\\nb\\r\\tc", true, false),
        ("a\\u001bb", false, false),
        ("a\\u202eb", true, false),
    ] {
        for (strict_details, taken) in [(false, readable), (true, strict)] {
            let mut bench = Bench::with(Settings { strict_details, ..Settings::default() });
            bench.job("j", json!({}));
            let (end, _) = bench.reply("j/update", &payload(value));
            assert_eq!(end == "accepted", taken, "{value} with strict {strict_details}");
        }
    }
}

#[test]
fn a_topic_that_is_no_request_is_refused_or_has_no_answer() {
    let mut bench = Bench::new();
    bench.job("j", json!({}));
    for (topic, code) in [
        ("foo", Some("InvalidTopic")),
        ("j/delete", Some("InvalidTopic")),
        ("a/b/c/d", None),
        ("$next/update", Some("ResourceNotFound")),
        ("a b/get", Some("InvalidRequest")),
        ("$other/update", Some("InvalidRequest")),
        ("a b/delete", Some("InvalidTopic")),
        ("notify", None),
        ("notify-next", None),
        ("get/accepted", None),
        ("j/update/rejected", None),
        ("j/foo/accepted", None),
        ("+/foo", None),
    ] {
        match code {
            Some(code) => assert_eq!(bench.refused(topic, "{}"), code, "{topic}"),
            None => assert_eq!(bench.publish(topic, "{}").reply, None, "{topic}"),
        }
    }
    for elsewhere in ["", "a", "$aws/things/t1/shadow/update", "$aws/things//jobs/get", "$aws/things/t1/jobs"]
    {
        assert_eq!(bench.raw(elsewhere, b"{}").reply, None, "{elsewhere}");
    }
}

#[test]
fn a_thing_that_is_not_registered_is_not_found() {
    let mut bench = Bench::new();
    bench.job("j", json!({}));
    bench.control("DeleteThing", json!({"thingName": "t1"})).unwrap();
    for topic in ["get", "start-next", "$next/get", "j/get"] {
        assert_eq!(bench.refused(topic, "{}"), "ResourceNotFound", "{topic}");
    }
    assert_eq!(bench.refused("j/update", r#"{"status":"FAILED"}"#), "ResourceNotFound");
    assert_eq!(bench.execution("j")["status"], "QUEUED", "what it had stays known to the control plane");
}

#[test]
fn no_payload_brings_the_service_down() {
    let mut bench = Bench::new();
    bench.job("j", json!({}));
    let deep = [format!("{}{}", "[".repeat(60_000), "]".repeat(60_000)), "{\"a\":".repeat(20_000)];
    let long = [
        format!(r#"{{"clientToken":"{}"}}"#, "x".repeat(120_000)),
        format!(r#"{{"status":"IN_PROGRESS","statusDetails":{{"{}":"v"}}}}"#, "k".repeat(100_000)),
        format!(r#"{{"status":"{}"}}"#, "S".repeat(100_000)),
    ];
    let odd = ["\u{0}", "{\"a\":1e999}", "{\"clientToken\":\"\\ud800\"}", "\"", "{}{}", "nul", "\u{feff}{}"];
    let odd = odd.into_iter().map(str::to_owned);
    for payload in deep.into_iter().chain(long).chain(odd) {
        for topic in ["get", "start-next", "$next/get", "j/get", "j/update", "j/foo"] {
            let reply = bench.publish(topic, &payload).reply.unwrap();
            assert!(reply.payload.len() < payload.len() + 500, "an answer does not multiply what was sent");
        }
    }
    for bytes in [&[0xff_u8, 0xfe][..], b"{\"a\":\"\xff\"}", &[0; 1000]] {
        let reply = bench.raw("$aws/things/t1/jobs/get", bytes).reply.unwrap();
        assert!(reply.topic.ends_with("/rejected"));
    }
}
