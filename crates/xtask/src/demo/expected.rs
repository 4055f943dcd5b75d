//! What has to come of each sample document: the rows of `sample-job-docs/expected.json`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::control::Execution;
use crate::error::TaskError;

/// One row. The README beside the file explains the members.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expected {
    pub(crate) document: String,
    status: String,
    details: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) cancelled: bool,
    /// Why the document cannot be run; the suites hold it against the parser.
    #[serde(default, rename = "invalid")]
    _invalid: Option<String>,
}

/// Reads the rows.
pub(crate) fn read(directory: &Path) -> Result<Vec<Expected>, TaskError> {
    let path = directory.join("expected.json");
    let text = fs::read_to_string(&path).map_err(TaskError::io(format!("read {}", path.display())))?;
    serde_json::from_str(&text).map_err(|error| TaskError::Strange {
        what: "sample-job-docs/expected.json",
        found: error.to_string(),
    })
}

impl Expected {
    /// What is wrong with an execution that is over; nothing, if it ended as it should.
    pub(crate) fn complaints(&self, execution: &Execution) -> Vec<String> {
        let mut complaints = Vec::new();
        if execution.status != self.status {
            complaints.push(format!("the status should be {}", self.status));
        }
        for (name, part) in &self.details {
            match execution.details.get(name) {
                None => complaints.push(format!("{name} should have been reported")),
                Some(value) if !value.contains(part) => {
                    complaints.push(format!("{name} should have {part:?} in it"));
                }
                Some(_) => {}
            }
        }
        // A report says what was asked for and no more. After a cancellation it is the service that speaks.
        for name in
            execution.details.keys().filter(|name| !self.cancelled && !self.details.contains_key(*name))
        {
            complaints.push(format!("{name} should not have been reported"));
        }
        complaints
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rows_of_the_project_can_be_read() {
        let rows = read(&crate::cargo::root().join("sample-job-docs")).unwrap();
        assert!(rows.iter().any(|row| row.document == "greeting.json" && row.status == "SUCCEEDED"));
    }

    #[test]
    fn an_execution_that_ended_as_it_should_gives_no_complaint() {
        let complaints = greeting().complaints(&ended("SUCCEEDED", &[("stdout", "Hello, you!\n")]));
        assert!(complaints.is_empty(), "{complaints:?}");
    }

    #[test]
    fn status_missing_details_other_details_and_unasked_details_are_all_complained_of() {
        let found = greeting().complaints(&ended("FAILED", &[("stderr", "oops")]));
        assert_eq!(found.len(), 3, "{found:?}");
        let found = greeting().complaints(&ended("SUCCEEDED", &[("stdout", "Goodbye")]));
        assert_eq!(found, ["stdout should have \"Hello\" in it"]);
    }

    fn greeting() -> Expected {
        Expected {
            document: "greeting.json".into(),
            status: "SUCCEEDED".into(),
            details: [("stdout".to_owned(), "Hello".to_owned())].into(),
            cancelled: false,
            _invalid: None,
        }
    }

    fn ended(status: &str, details: &[(&str, &str)]) -> Execution {
        let details = details.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Execution { status: status.into(), started: true, details }
    }
}
