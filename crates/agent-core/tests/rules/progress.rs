//! What a running handler says reaches the service: not too often, and the latest always.

use std::time::Duration;

use agent_core::{Details, Event, Found, Progress};
use serde_json::json;

use crate::bench::{Bench, HOUR, exited, hello, outcome, seconds, settings, steps};

fn progress(facts: &[(&str, &str)]) -> Progress {
    Progress { facts: facts.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect() }
}

impl Bench {
    fn reports(&mut self, facts: &[(&str, &str)]) {
        let run = self.started.last().expect("something has been started").run.clone();
        self.happens(Event::Reported { run, progress: progress(facts) });
    }
}

const TELL: &str = "tell job-1 IN_PROGRESS";

#[test]
fn the_first_word_is_told_at_once_and_sets_the_step_timer_anew() {
    let mut bench = Bench::running();
    bench.reports(&[("progress", "half"), ("fw", "1.2")]);
    assert_eq!(bench.deeds(), [TELL]);
    let update = bench.update();
    assert_eq!(update["statusDetails"], json!({"progress": "half", "fw": "1.2"}));
    assert_eq!(update["stepTimeoutInMinutes"], 24 * 60 + 15);
    assert_eq!(update["expectedVersion"], 2);
    assert!(bench.agent.status().ends_with("running step 1: half"), "{}", bench.agent.status());
}

#[test]
fn a_flood_is_told_once_in_thirty_seconds_and_the_last_word_always() {
    let mut bench = Bench::running();
    let (mut told, mut version) = (0, 2);
    for number in 0..1000 {
        bench.reports(&[("progress", &number.to_string())]);
        for _ in bench.said().iter().filter(|said| *said == TELL) {
            told += 1;
            version += 1;
            bench.updated("IN_PROGRESS", version);
        }
        bench.passes(Duration::from_millis(100));
    }
    assert!((4..=5).contains(&told), "{told} updates in 100 seconds");
    bench.passes(seconds(30));
    assert!(bench.said().contains(&TELL.to_owned()));
    assert_eq!(bench.detail("progress"), "999");
    bench.updated("IN_PROGRESS", version + 1);
    bench.passes(HOUR);
    assert!(!bench.said().contains(&TELL.to_owned()), "what has been told is not told again");
}

#[test]
fn the_same_word_again_is_no_news() {
    let mut bench = Bench::running();
    bench.reports(&[("progress", "half")]);
    assert_eq!(bench.deeds(), [TELL]);
    bench.updated("IN_PROGRESS", 3);
    bench.reports(&[("progress", "half")]);
    bench.passes(HOUR);
    assert!(!bench.said().contains(&TELL.to_owned()));
}

#[test]
fn an_update_waits_for_the_answer_to_the_one_before() {
    let mut own = settings();
    own.progress_interval = seconds(1);
    let mut bench = Bench::running_with(own, &hello());
    bench.reports(&[("progress", "1")]);
    let first = bench.update()["clientToken"].clone();
    bench.reports(&[("progress", "2")]);
    bench.passes(seconds(3));
    assert_eq!(bench.update()["clientToken"], first, "one at a time");
    bench.deeds();
    bench.updated("IN_PROGRESS", 3);
    assert_eq!((bench.deeds(), bench.detail("progress")), (vec![TELL.to_owned()], "2"));
    assert_eq!(bench.update()["expectedVersion"], 3);
}

#[test]
fn while_the_link_is_away_only_the_latest_word_is_kept() {
    let mut bench = Bench::running();
    bench.happens(Event::LinkDown);
    for number in 0..100 {
        bench.reports(&[("progress", &number.to_string())]);
    }
    bench.passes(HOUR);
    assert_eq!(bench.said(), [""; 0]);
    bench.happens(Event::LinkUp);
    let mut known = crate::bench::offer("job-1", 2, &hello());
    known["status"] = json!("IN_PROGRESS");
    bench.accepts("job-1/get", &json!({"execution": known}));
    assert_eq!(bench.detail("progress"), "99");
}

#[test]
fn the_end_is_told_at_once_with_what_was_said() {
    let mut bench = Bench::running();
    bench.reports(&[("progress", "half"), ("fw", "1.1")]);
    bench.updated("IN_PROGRESS", 3);
    bench.deeds();
    let mut ended = exited(0);
    ended.progress = progress(&[("progress", "all"), ("fw", "1.2"), ("reason", "mine")]);
    bench.ends(ended);
    assert_eq!(bench.deeds(), ["save decided SUCCEEDED", "tell job-1 SUCCEEDED", "release job-1 0.1"]);
    let details = &bench.update()["statusDetails"];
    assert_eq!(*details, json!({"reason": "Job exited with status: 0", "progress": "all", "fw": "1.2"}));
}

#[test]
fn the_last_report_has_as_much_of_it_as_ten_pairs_hold() {
    let mut own = settings();
    own.details = Details::HeadAndTail;
    let mut bench = Bench::running_with(own, &json!({"operation": "hello", "includeStdOut": true}));
    let mut ended = outcome(agent_core::Ending::Exited { code: 3 }, "wrong\n");
    let names: Vec<String> = (0..9).map(|number| format!("fact-{number}")).collect();
    let mut facts: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "x")).collect();
    facts.push(("progress", "half"));
    ended.progress = progress(&facts);
    bench.ends(ended);
    let details = bench.update()["statusDetails"].as_object().expect("details are an object").clone();
    assert_eq!(details.len(), 10, "{details:?}");
    for name in ["reason", "stderr", "stdout", "stdout-bytes", "stderr-bytes", "progress", "fact-0"] {
        assert!(details.contains_key(name), "{name}: {details:?}");
    }
}

#[test]
fn the_keys_of_the_device_client_stay_alone() {
    let mut own = settings();
    own.details = Details::DeviceClient;
    let mut bench = Bench::running_with(own, &hello());
    let mut ended = exited(0);
    ended.progress = progress(&[("progress", "all"), ("fw", "1.2")]);
    bench.ends(ended);
    let details = bench.update()["statusDetails"].as_object().expect("details are an object");
    assert!(!details.contains_key("progress") && !details.contains_key("fw"), "{details:?}");
}

#[test]
fn a_word_of_another_run_is_not_taken_for_one_of_this() {
    let mut bench = Bench::running_with(settings(), &steps(&[json!({}), json!({})]));
    let first = bench.started[0].run.clone();
    bench.ends(exited(0));
    bench.updated("IN_PROGRESS", 3);
    bench.deeds();
    bench.happens(Event::Reported { run: first, progress: progress(&[("progress", "old")]) });
    bench.passes(seconds(15));
    assert!(!bench.said().contains(&TELL.to_owned()));
}

#[test]
fn the_words_of_all_steps_are_in_the_last_report() {
    let mut bench = Bench::running_with(settings(), &steps(&[json!({}), json!({})]));
    let mut ended = exited(0);
    ended.progress = progress(&[("progress", "downloaded"), ("size", "7")]);
    bench.ends(ended);
    bench.updated("IN_PROGRESS", 3);
    let mut ended = exited(0);
    ended.progress = progress(&[("progress", "installed")]);
    bench.ends(ended);
    assert_eq!((bench.detail("progress"), bench.detail("size")), ("installed", "7"));
}

#[test]
fn a_run_that_was_taken_over_is_told_of_too() {
    let journal = Bench::running().journal;
    let mut bench = Bench::with(settings(), &journal);
    bench.happens(Event::LinkUp);
    bench.adopted(Found::Running);
    let run = agent_core::RunId { execution: crate::bench::id_of("job-1"), step: 0, attempt: 1 };
    bench.happens(Event::Reported { run, progress: progress(&[("progress", "still there")]) });
    let mut known = crate::bench::offer("job-1", 2, &hello());
    known["status"] = json!("IN_PROGRESS");
    bench.accepts("job-1/get", &json!({"execution": known}));
    bench.updated("IN_PROGRESS", 3);
    assert_eq!(bench.detail("progress"), "still there");
}

#[test]
fn a_handler_that_is_being_stopped_for_the_service_says_nothing_more() {
    let mut bench = Bench::running();
    bench.notify_next(&crate::bench::offer("job-2", 1, &hello()));
    bench.rejects("job-1/get", "TerminalStateReached", None);
    assert!(bench.deeds().contains(&"stop job-1 0.1".to_owned()));
    bench.reports(&[("progress", "half")]);
    bench.passes(HOUR);
    assert_eq!(bench.said(), [""; 0]);
}
