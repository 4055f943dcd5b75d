//! The vectors of the Jobs protocol, run against the service's core in virtual time.
//!
//! `fixtures/vectors` holds the scenarios, `not-run.json` the ids of those that are not expected to pass yet, with the
//! reason each. The list cannot rot: an entry that passes, or that is no scenario, fails the test too. What is about the
//! broker alone is run elsewhere, against the broker.

#![expect(clippy::unwrap_used, reason = "a runner that cannot read its vectors has failed")]

mod filter;
mod matcher;
mod world;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;
use world::Fault;

/// Scenarios about connections, sessions and subscriptions: they need a broker.
const BROKER: &str = "11-broker.json";

struct Scenario {
    file: String,
    id: String,
    uncertain: bool,
    value: Value,
}

fn json_file(path: &Path) -> Value {
    let text = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn scenarios() -> Vec<Scenario> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/vectors");
    let files = std::fs::read_dir(&folder).expect("the vectors are in the repository");
    let mut names: Vec<String> = files
        .map(|file| file.unwrap().file_name().into_string().expect("vectors have plain names"))
        .collect();
    names.retain(|name| name != BROKER);
    names.sort();
    let mut all = Vec::new();
    for file in names {
        let Value::Array(list) = json_file(&folder.join(&file)) else { panic!("{file} is no list") };
        all.extend(list.into_iter().map(|value| Scenario {
            file: file.clone(),
            id: value["id"].as_str().expect("a scenario has an id").to_owned(),
            uncertain: value.get("uncertain").is_some(),
            value,
        }));
    }
    all
}

fn not_run() -> BTreeMap<String, String> {
    let list = json_file(&Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/not-run.json"));
    let entry = |entry: &Value| {
        let text = |member: &str| entry[member].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        text("id").zip(text("reason")).unwrap_or_else(|| panic!("{entry} has no id or no reason"))
    };
    let entries = list.as_array().expect("a list of ids with reasons").iter().map(entry);
    entries.collect()
}

#[test]
fn every_scenario_passes_unless_it_is_listed_as_not_run() {
    let mut listed = not_run();
    let mut faults = String::new();
    let (mut passed, mut skipped, mut decisions) = (0, Vec::new(), Vec::new());
    for Scenario { file, id, uncertain, value } in scenarios() {
        match (world::run(&value, Fault::None), listed.remove(&id)) {
            (Ok(()), None) => {
                passed += 1;
                decisions.extend(uncertain.then_some(id));
            }
            (Err(_), Some(reason)) => skipped.push(format!("{id}: {reason}")),
            (Ok(()), Some(_)) => writeln!(faults, "{file} {id} passes: take it off the list").unwrap(),
            (Err(failure), None) => {
                let kind = if uncertain { "a decision to review" } else { "a defect" };
                writeln!(faults, "{file} {id} fails, {kind}: {failure}").unwrap();
            }
        }
    }
    for id in listed.into_keys() {
        writeln!(faults, "{id} is listed as not run, and there is no such scenario").unwrap();
    }
    println!("{passed} passed, of these rest on a decision: {}", decisions.join(" "));
    println!("{} not run:\n  {}", skipped.len(), skipped.join("\n  "));
    assert!(faults.is_empty(), "\n{faults}");
}

/// The scenarios must be able to fail: a service that says too little or too much is found out by very many.
#[test]
fn a_service_that_loses_or_repeats_notifications_is_found_out() {
    let all = scenarios();
    for fault in [Fault::Mute, Fault::Echo] {
        let noticed = all.iter().filter(|scenario| world::run(&scenario.value, fault).is_err()).count();
        let sound = all.iter().filter(|scenario| world::run(&scenario.value, Fault::None).is_err()).count();
        assert!(
            noticed >= sound + 50,
            "{fault:?} is noticed by {noticed} scenarios only, {sound} without it"
        );
    }
}

#[test]
fn the_vectors_are_complete() {
    let all = scenarios();
    assert_eq!(all.len(), 192, "200 scenarios, 8 of them about the broker");
    let ids: std::collections::BTreeSet<&str> = all.iter().map(|scenario| scenario.id.as_str()).collect();
    assert_eq!(ids.len(), all.len(), "every id once");
}
