//! What the Tab key offers: commands, then job ids, then statuses.

use std::sync::Arc;

use rustyline::completion::Completer;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};

use super::line::command_names;
use crate::commands::STATUSES;
use crate::names::Names;

/// Helps with a line; knows the job ids that have been seen.
pub(super) struct Completion {
    commands: Vec<String>,
    names: Arc<Names>,
}

impl Completion {
    pub(super) fn new(names: Arc<Names>) -> Self {
        Self { commands: command_names(), names }
    }

    /// Where the word under the cursor begins, and what it can become.
    fn candidates(&self, line: &str) -> (usize, Vec<String>) {
        let start = line.rfind(char::is_whitespace).map_or(0, |space| space + 1);
        let (before, word) = line.split_at(start);
        let before: Vec<_> = before.split_whitespace().collect();
        let mut found: Vec<String> = match before[..] {
            [] => self.commands.iter().filter(|name| name.starts_with(word)).cloned().collect(),
            ["delete-job" | "cancel-job" | "describe-job-execution" | "update-job-execution"] => {
                self.names.beginning_with(word)
            }
            ["update-job-execution", _] => STATUSES
                .iter()
                .map(|status| status.as_str())
                .filter(|status| status.starts_with(word))
                .map(str::to_owned)
                .collect(),
            _ => Vec::new(),
        };
        // As shells do: when there is nothing to choose, the next word can be typed at once.
        if let [only] = &mut found[..] {
            only.push(' ');
        }
        (start, found)
    }
}

impl Completer for Completion {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _context: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.candidates(&line[..position]))
    }
}

impl Hinter for Completion {
    type Hint = String;
}

impl Highlighter for Completion {}
impl Validator for Completion {}
impl Helper for Completion {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Json;

    #[test]
    fn commands_then_job_ids_then_statuses_are_offered() {
        let names = Arc::new(Names::default());
        names.learn(&Json::read(br#"[{"jobId":"Job1"},{"jobId":"Job2"},{"jobId":"x"}]"#).unwrap());
        let completion = Completion::new(names);
        let offered = |line| completion.candidates(line);
        assert_eq!(offered("sta"), (0, vec!["start-next-pending-job-execution ".to_owned()]));
        assert_eq!(offered("  q"), (2, vec!["quit ".to_owned()]));
        assert_eq!(offered("delete-job J"), (11, vec!["Job1".to_owned(), "Job2".to_owned()]));
        assert_eq!(offered("describe-job-execution x"), (23, vec!["x ".to_owned()]));
        assert_eq!(offered("update-job-execution Job1 F"), (26, vec!["FAILED ".to_owned()]));
        for nothing in ["create-job J", "update-job-execution Job1 FAILED ", "get-pending-job-executions "] {
            assert!(offered(nothing).1.is_empty(), "{nothing}");
        }
    }
}
