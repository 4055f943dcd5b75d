//! The sample documents are what their table says of them, and their handlers are there.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;

use jobs_protocol::document::{Action, Form, HandlerPath, JobDocument};
use jobs_protocol::limits::JOB_DOCUMENT_BYTES;
use serde_json::Value;

#[test]
fn every_sample_document_has_its_row_and_every_row_its_document() {
    let rows: BTreeSet<_> = rows().iter().map(document).collect();
    let mut files = documents_in("sample-job-docs");
    files.remove("expected.json");
    assert_eq!(rows, files);
}

#[test]
fn the_documents_that_are_not_for_the_demo_have_steps_and_handlers_that_are_there() {
    for directory in ["sample-job-docs/by-hand", "sample-job-docs/managed"] {
        let names = documents_in(directory);
        assert!(names.len() >= 8, "only {names:?} in {directory}");
        for name in names {
            let document = JobDocument::parse(&crate::read(&format!("{directory}/{name}")));
            let document = document.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(document.form, Form::Steps, "{name}");
            for step in &document.steps {
                let Action::RunHandler { handler, .. } = &step.action else { continue };
                let there = crate::root().join("sample-job-handlers").join(handler).is_file();
                assert!(there, "{name}: there is no handler {handler}");
            }
        }
    }
}

#[test]
fn every_sample_handler_is_in_a_sample_document_and_can_be_executed() {
    let mut used = BTreeSet::new();
    for directory in ["sample-job-docs", "sample-job-docs/by-hand", "sample-job-docs/managed"] {
        for name in documents_in(directory) {
            let Ok(document) = JobDocument::parse(&crate::read(&format!("{directory}/{name}"))) else {
                continue;
            };
            for step in document.steps.iter().chain(&document.final_step) {
                if let Action::RunHandler { handler, .. } = &step.action {
                    used.insert(handler.clone());
                }
            }
        }
    }
    for entry in std::fs::read_dir(crate::root().join("sample-job-handlers")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name == "README.md" {
            continue;
        }
        assert!(used.contains(&name), "no sample document uses {name}");
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "{name} cannot be executed");
        assert!(crate::read(&format!("sample-job-handlers/{name}")).starts_with("#!/bin/sh\n"), "{name}");
    }
}

#[test]
fn a_sample_document_can_be_read_unless_its_row_names_the_member_at_fault() {
    for row in rows() {
        let name = document(&row);
        let text = crate::read(&format!("sample-job-docs/{name}"));
        assert!(text.len() <= JOB_DOCUMENT_BYTES, "{name} is too long for the service");
        match (JobDocument::parse(&text), row["invalid"].as_str()) {
            (Ok(_), None) => {}
            (Err(error), Some(member)) => {
                assert_eq!(error.member, member, "{name}");
                assert_eq!(row["status"], "REJECTED", "{name}");
            }
            (Ok(_), Some(member)) => panic!("{name} can be read, although {member} is said to be wrong"),
            (Err(error), None) => panic!("{name}: {error}"),
        }
    }
}

#[test]
fn the_handlers_of_sample_documents_are_there_unless_they_are_meant_to_be_missing() {
    for row in rows() {
        let name = document(&row);
        let Ok(read) = JobDocument::parse(&crate::read(&format!("sample-job-docs/{name}"))) else { continue };
        for step in read.steps.iter().chain(&read.final_step) {
            let Action::RunHandler { handler, path: HandlerPath::Default, .. } = &step.action else {
                continue;
            };
            let there = crate::root().join("sample-job-handlers").join(handler).is_file();
            let missed =
                row["details"]["reason"].as_str().is_some_and(|reason| reason.contains("was not found"));
            assert_eq!(there, !missed, "{name}: {handler}");
        }
    }
}

#[test]
fn a_row_promises_standard_output_only_if_the_document_asks_for_it() {
    for row in rows() {
        let name = document(&row);
        let Ok(read) = JobDocument::parse(&crate::read(&format!("sample-job-docs/{name}"))) else { continue };
        let promised = row["details"].get("stdout").is_some();
        assert!(!promised || read.include_std_out == Some(true), "{name}");
    }
}

/// The names of the documents in a directory.
fn documents_in(directory: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(crate::root().join(directory)).unwrap();
    entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect()
}

fn rows() -> Vec<Value> {
    serde_json::from_str(&crate::read("sample-job-docs/expected.json")).unwrap()
}

fn document(row: &Value) -> String {
    row["document"].as_str().expect("every row names its document").to_owned()
}
