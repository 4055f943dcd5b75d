//! The vectors of the Jobs protocol, run twice: against the service's core in virtual time, and against the real service
//! through its HTTP and MQTT fronts.
//!
//! `fixtures/vectors` holds the scenarios. Every one of them passes; there is no list of exceptions. Where the documents
//! are silent or contradict each other a scenario says so (`uncertain`), and what was decided has its line in
//! `docs/decisions`. What is about the broker alone is not for the core; it is run by MQTT 3.1.1 and by 5.

#![expect(clippy::unwrap_used, reason = "a runner that cannot read its vectors has failed")]

mod core;
mod filter;
mod fronts;
mod matcher;
mod world;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use core::{Core, Fault};
use fronts::Fronts;
use serde_json::Value;
use world::{Failure, run};

/// Scenarios about connections, sessions and subscriptions: they need a broker.
const BROKER: &str = "11-broker.json";
/// What was decided where the documents leave it open.
const DECISIONS: &str = "../docs/decisions/2026-11-29-uncertain-vectors.md";

struct Scenario {
    file: String,
    id: String,
    uncertain: bool,
    value: Value,
}

fn scenarios() -> Vec<Scenario> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/vectors");
    let files = std::fs::read_dir(&folder).expect("the vectors are in the repository");
    let mut names: Vec<String> = files
        .map(|file| file.unwrap().file_name().into_string().expect("vectors have plain names"))
        .collect();
    names.sort();
    let mut all = Vec::new();
    for file in names {
        let path = folder.join(&file);
        let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let list: Vec<Value> =
            serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        all.extend(list.into_iter().map(|value| Scenario {
            file: file.clone(),
            id: value["id"].as_str().expect("a scenario has an id").to_owned(),
            uncertain: value.get("uncertain").is_some(),
            value,
        }));
    }
    all
}

fn of_jobs() -> impl Iterator<Item = Scenario> {
    scenarios().into_iter().filter(|scenario| scenario.file != BROKER)
}

fn of_the_broker() -> impl Iterator<Item = Scenario> {
    scenarios().into_iter().filter(|scenario| scenario.file == BROKER)
}

/// Runs them all and tells of every one that fails.
#[track_caller]
fn all_pass(scenarios: impl Iterator<Item = Scenario>, run: impl Fn(&Scenario) -> Result<(), Failure>) {
    let mut faults = String::new();
    for scenario in scenarios {
        if let Err(failure) = run(&scenario) {
            let kind = if scenario.uncertain { "a decision to review" } else { "a defect" };
            writeln!(faults, "{} {} fails, {kind}: {failure}", scenario.file, scenario.id).unwrap();
        }
    }
    assert!(faults.is_empty(), "\n{faults}");
}

#[test]
fn every_scenario_about_jobs_passes_on_the_core() {
    all_pass(of_jobs(), |scenario| run(&scenario.value, Core::new(Fault::None)));
}

#[test]
fn every_scenario_about_jobs_passes_through_http_and_mqtt() {
    all_pass(of_jobs(), |scenario| run(&scenario.value, Fronts::v3()));
}

#[test]
fn every_scenario_about_the_broker_passes_by_mqtt_3_1_1() {
    all_pass(of_the_broker(), |scenario| run(&scenario.value, Fronts::v3()));
}

#[test]
fn every_scenario_about_the_broker_passes_by_mqtt_5() {
    all_pass(of_the_broker(), |scenario| run(&scenario.value, Fronts::v5()));
}

/// The scenarios must be able to fail: a service that says too little or too much is found out by very many.
#[test]
fn a_service_that_loses_or_repeats_notifications_is_found_out() {
    for fault in [Fault::Mute, Fault::Echo] {
        let noticed = of_jobs().filter(|scenario| run(&scenario.value, Core::new(fault)).is_err()).count();
        assert!(noticed >= 50, "{fault:?} is noticed by {noticed} scenarios only");
    }
}

/// And so must their run through the fronts.
#[test]
fn a_service_whose_clock_stands_still_is_found_out_through_the_fronts() {
    let mut timed = of_jobs().filter(|scenario| scenario.id == "rollout-constant");
    let mut scenario = timed.next().expect("it is one of the vectors").value;
    let steps = scenario["steps"].as_array_mut().expect("it has steps");
    steps.retain(|step| step["do"] != "advance");
    let failure = run(&scenario, Fronts::v3()).expect_err("the second execution has not been queued");
    assert!(failure.contains("numberOfQueuedThings"), "{failure}");
}

#[test]
fn the_vectors_are_complete() {
    let all = scenarios();
    assert_eq!(all.len(), 201, "the 200 of the protocol's texts, and that of maintenance windows");
    assert_eq!(of_the_broker().count(), 8);
    let ids: BTreeSet<&str> = all.iter().map(|scenario| scenario.id.as_str()).collect();
    assert_eq!(ids.len(), all.len(), "every id once");
}

#[test]
fn every_scenario_that_is_uncertain_has_its_decision() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(DECISIONS);
    let page = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let rows = page.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.splitn(2, "` | ");
        let (id, decision) = (cells.next()?, cells.next()?.trim_end_matches('|').trim());
        assert!(!decision.is_empty(), "{id} has an empty line");
        Some(id.to_owned())
    });
    let decided: Vec<String> = rows.collect();
    let known: BTreeSet<String> = decided.iter().cloned().collect();
    assert_eq!(decided.len(), known.len(), "every id once");
    let uncertain: BTreeSet<String> =
        scenarios().into_iter().filter(|scenario| scenario.uncertain).map(|scenario| scenario.id).collect();
    assert_eq!(known, uncertain);
}
