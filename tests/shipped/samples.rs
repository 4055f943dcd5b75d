//! The sample documents are what their table says of them, and their handlers are there.

use std::collections::BTreeSet;

use jobs_protocol::document::{Action, HandlerPath, JobDocument};
use jobs_protocol::limits::JOB_DOCUMENT_BYTES;
use serde_json::Value;

#[test]
fn every_sample_document_has_its_row_and_every_row_its_document() {
    let rows: BTreeSet<_> = rows().iter().map(document).collect();
    let mut files = BTreeSet::new();
    for entry in std::fs::read_dir(crate::root().join("sample-job-docs")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.extension().is_some_and(|end| end == "json") && name != "expected.json" {
            files.insert(name.to_owned());
        }
    }
    assert_eq!(rows, files);
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
            assert_eq!(there, row["status"] != "REJECTED", "{name}: {handler}");
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

fn rows() -> Vec<Value> {
    serde_json::from_str(&crate::read("sample-job-docs/expected.json")).unwrap()
}

fn document(row: &Value) -> String {
    row["document"].as_str().expect("every row names its document").to_owned()
}
