//! Which status details a report has, as the operator or the document wants them.

use agent_core::{Captured, Details, Ending, Progress, Settings, StepOutcome};
use serde_json::{Value, json};

use crate::bench::{Bench, exited, hello, outcome, settings, steps};

#[test]
fn head_and_tail_go_over_several_keys_with_byte_counts() {
    let mut document = hello();
    document["includeStdOut"] = json!(true);
    let bench = reported(with(Details::HeadAndTail), &document, flood());
    let details = details(&bench);
    let keys = ["reason", "stderr", "stderr-bytes", "stderr-head", "stdout", "stdout-bytes", "stdout-head"];
    assert_eq!(details.keys().collect::<Vec<_>>(), keys);
    for (key, value) in [
        ("stdout-head", "out begins"),
        ("stdout", "out ends"),
        ("stdout-bytes", "5000000000"),
        ("stderr-head", "err begins"),
        ("stderr", "err ends"),
        ("stderr-bytes", "70000"),
    ] {
        assert_eq!(details[key], value, "{key}");
    }
    assert!(bench.started[0].keep_head);
}

#[test]
fn without_include_std_out_its_size_is_told_and_nothing_of_its_content() {
    let bench = reported(with(Details::HeadAndTail), &hello(), flood());
    let details = details(&bench);
    assert_eq!(details["stdout-bytes"], "5000000000");
    assert!(!Value::Object(details).to_string().contains("out begins"));
    assert_eq!(bench.detail("stdout"), "");
}

#[test]
fn a_document_decides_before_the_operator() {
    let asking = |what: &str| {
        let mut document = hello();
        document["reportDetails"] = json!(what);
        document
    };
    let bench = reported(settings(), &asking("head-and-tail"), flood());
    assert_eq!(bench.detail("stderr-head"), "err begins");
    let bench = reported(with(Details::HeadAndTail), &asking("tail"), flood());
    assert_eq!(bench.detail("stderr-head"), "");
    assert!(!bench.started[0].keep_head);
    assert!(!Bench::running().started[0].keep_head, "nobody asked");
}

/// R4 and R5 of the Device Client with its three keys: the same words with the right numbers, and standard output as
/// fleets are used to, but not against the document's will.
#[test]
fn the_details_of_the_device_client_are_its_three_keys_and_begin_with_its_words() {
    let own = || with(Details::DeviceClient);
    let bench = reported(own(), &hello(), flood());
    let keys: Vec<_> = details(&bench).keys().cloned().collect();
    assert_eq!(keys, ["reason", "stderr", "stdout"]);
    assert_eq!(bench.detail("reason"), "Job exited with status: 3");
    assert_eq!(bench.detail("stdout"), "out ends");
    for (asked, sent) in [(json!("false"), false), (json!(false), false), (json!("true"), true)] {
        let mut document = hello();
        document["includeStdOut"] = asked;
        assert_eq!(details(&reported(own(), &document, flood())).contains_key("stdout"), sent);
    }
    let killed = outcome(Ending::Killed { signal: 9 }, "");
    let bench = reported(own(), &steps(&[json!({})]), killed);
    assert_eq!(bench.detail("reason"), "Job killed by signal: 9 (SIGKILL); this was Step 1 of 1 (step-1)");
    let bench = reported(own(), &steps(&[json!({})]), exited(0));
    assert_eq!(bench.detail("reason"), "Job exited with status: 0");
    let bench = Bench::offered(own(), &json!({"version": "1.0", "steps": [{}]}));
    let reason = bench.detail("reason");
    let wanted = "Unable to execute job, invalid job document provided! steps[0].action: is missing";
    assert_eq!(reason, wanted);
}

#[test]
fn no_choice_of_details_breaks_a_limit_of_the_service() {
    let wild: String = (1..3000_u32).filter_map(char::from_u32).chain("😀".repeat(2000).chars()).collect();
    let captured = || Captured { head: wild.clone(), tail: wild.clone(), bytes: u64::MAX, lines: u64::MAX };
    let ended = || StepOutcome {
        ending: Ending::CouldNotStart { reason: wild.clone() },
        stdout: captured(),
        stderr: captured(),
        left_behind: u32::MAX,
        progress: Progress::default(),
    };
    for choice in [Details::Tail, Details::HeadAndTail, Details::DeviceClient] {
        let mut document = steps(&[json!({"name": wild})]);
        document["includeStdOut"] = json!(true);
        let bench = reported(with(choice), &document, ended());
        let details = details(&bench);
        assert!(details.len() <= 10);
        for (key, value) in &details {
            let value = value.as_str().expect("a string");
            assert!((1..=1024).contains(&value.encode_utf16().count()), "{choice:?} {key}");
            assert!(!value.chars().any(|c| c.is_control() && !"\n\r\t".contains(c)), "{choice:?} {key}");
        }
    }
}

fn with(details: Details) -> Settings {
    Settings { details, ..settings() }
}

fn flood() -> StepOutcome {
    let stream = |head: &str, tail: &str, bytes| Captured {
        head: head.to_owned(),
        tail: tail.to_owned(),
        bytes,
        lines: 9,
    };
    StepOutcome {
        ending: Ending::Exited { code: 3 },
        stdout: stream("out begins", "out ends", 5_000_000_000),
        stderr: stream("err begins", "err ends", 70_000),
        left_behind: 0,
        progress: Progress::default(),
    }
}

fn reported(settings: Settings, document: &Value, ended: StepOutcome) -> Bench {
    let mut bench = Bench::running_with(settings, document);
    bench.ends(ended);
    bench
}

fn details(bench: &Bench) -> serde_json::Map<String, Value> {
    bench.update()["statusDetails"].as_object().expect("there are details").clone()
}
