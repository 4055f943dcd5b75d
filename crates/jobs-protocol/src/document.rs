//! The job document: both forms in circulation, as one model.
//!
//! A non-empty string `version` makes it the steps form ("1.0" is the only one there is); otherwise a string
//! `operation` makes it the flat form, which becomes one step. Whatever cannot be run is told by the member that is
//! at fault. A member that is `null` counts as absent: the service drops such members on the way. Members that are not
//! known are ignored, and so is an item of `steps` that holds nothing but comments. Whether a named handler exists and
//! may be run is not asked here.

mod command;
mod reader;

use crate::limits::JOB_DOCUMENT_BYTES;

/// What a job document asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobDocument {
    /// The form it was written in: some defaults differ.
    pub form: Form,
    /// Whether standard output shall be reported, if the document says.
    pub include_std_out: Option<bool>,
    /// How much of the output shall be reported, if the document says (`reportDetails`, a member of our own).
    pub report_details: Option<ReportDetails>,
    /// All must hold, or the job is refused.
    pub conditions: Vec<Condition>,
    /// At least one, in order.
    pub steps: Vec<Step>,
    /// Run after the steps.
    pub final_step: Option<Step>,
}

/// The two forms of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `operation`, `args`, `path` at the top.
    Flat,
    /// `"version": "1.0"` with `steps`.
    Steps,
}

/// How much of what a job writes goes into its status details.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportDetails {
    /// The end of each stream.
    Tail,
    /// Beginning and end of each stream, and how many bytes there were.
    HeadAndTail,
}

/// A condition on facts of the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// The fact.
    pub key: String,
    /// It holds if the fact equals any of them (`stringEqual`).
    pub values: Vec<String>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// A label for people; in the flat form the operation.
    pub name: String,
    /// What to run.
    pub action: Action,
    /// The local user to run it as; none: the agent's own.
    pub run_as_user: Option<String>,
    /// How many lines on standard error are tolerated, if the document says.
    pub allow_std_err: Option<u64>,
    /// Whether the job goes on although this step failed.
    pub ignore_step_failure: bool,
    /// How many seconds it may take at most, if the document says (`timeoutSeconds`, a member of our own). The
    /// device's own limit holds all the same.
    pub timeout_seconds: Option<u64>,
}

/// What a step runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A handler by its file name.
    RunHandler {
        /// Its file name.
        handler: String,
        /// Its arguments.
        args: Vec<String>,
        /// Where to look for it.
        path: HandlerPath,
    },
    /// A program from the search path, without a shell.
    RunCommand {
        /// The program: free of white space.
        program: String,
        /// Its arguments.
        args: Vec<String>,
    },
}

/// Where a handler is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandlerPath {
    /// `"default"`: the agent's handler directory.
    Default,
    /// Absent or empty: the handler directory first, then the search path.
    Unspecified,
    /// That directory.
    Directory(String),
}

/// Why a document cannot be run: the member, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid job document: {member}: {problem}")]
pub struct InvalidDocument {
    /// The member at fault as a path, such as `steps[0].action.input.handler`; `document` for the whole.
    pub member: String,
    /// What is wrong, and what is wanted.
    pub problem: String,
}

impl JobDocument {
    /// Reads a document from its JSON text.
    pub fn parse(text: &str) -> Result<Self, InvalidDocument> {
        let whole = |problem: String| InvalidDocument { member: "document".to_owned(), problem };
        if text.len() > 4 * JOB_DOCUMENT_BYTES {
            return Err(whole(format!("{} bytes, far more than the service allows", text.len())));
        }
        let value: serde_json::Value =
            serde_json::from_str(text).map_err(|error| whole(format!("cannot be read: {error}")))?;
        match value.as_object() {
            Some(members) => reader::document(members),
            None => Err(whole(format!("is {}, wanted an object", reader::kind(&value)))),
        }
    }
}

#[cfg(test)]
mod tests;
