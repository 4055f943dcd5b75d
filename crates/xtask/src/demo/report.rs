//! What the demo prints, as text.

use std::fmt::Write;
use std::path::Path;

use crate::control::{Execution, thing_arn};

/// Above the rows of [`row`].
pub(crate) const HEADING: &str = "Document                 Status      As it should be\n\
                                  ------------------------ ----------- ---------------";

/// What has happened to an execution between two looks at it, a line for each step. What came and went between them
/// is not left out: the service tells whether the device had begun.
pub(crate) fn moves(before: &Execution, after: &Execution) -> Vec<String> {
    let mut lines = Vec::new();
    if before.status == after.status {
        return lines;
    }
    if after.is_over() && after.started && before.status != "IN_PROGRESS" {
        lines.push("IN_PROGRESS".to_owned());
    }
    let reason = after.details.get("reason");
    lines.push(match reason {
        Some(reason) => format!("{:<12} {}", after.status, shown(reason)),
        None => after.status.clone(),
    });
    lines
}

/// One document: how it ended, its details, and what is wrong with them.
pub(crate) fn row(document: &str, execution: &Execution, complaints: &[String]) -> String {
    let verdict = if complaints.is_empty() { "yes" } else { "NO" };
    let mut text = format!("{document:<24} {:<11} {verdict}\n", execution.status);
    for (name, value) in &execution.details {
        line(&mut text, &format!("    {name}: {}", shown(value)));
    }
    for complaint in complaints {
        line(&mut text, &format!("    WRONG: {complaint}"));
    }
    text
}

/// How to go on by hand.
pub(crate) fn by_hand(base: &str, thing: &str, directory: &Path) -> String {
    let arn = thing_arn(thing);
    let directory = directory.display();
    format!(
        "Service and daemon keep running. In another terminal, from the top of the checkout:\n\n  \
         export AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local AWS_DEFAULT_REGION=us-east-1\n  \
         aws iot create-job --endpoint-url {base} --job-id by-hand-1 \\\n    \
         --targets {arn} --document file://sample-job-docs/greeting.json\n  \
         aws iot describe-job-execution --endpoint-url {base} --job-id by-hand-1 --thing-name {thing}\n\n\
         Handlers: {directory}/agent/jobs (mode 700)\n\
         Logs:     {directory}/daemon.log and service.log\n\n\
         Ctrl-C ends both and removes the directory."
    )
}

/// A value on one line, whatever is in it.
fn shown(value: &str) -> String {
    value.trim_end().escape_debug().to_string().replace("\\\"", "\"").replace("\\'", "'")
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("writing to a string does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_that_nobody_saw_is_shown_all_the_same() {
        let after = execution("SUCCEEDED", true, Some("Job exited with status: 0"));
        let lines = moves(&execution("QUEUED", false, None), &after);
        assert_eq!(lines, ["IN_PROGRESS", "SUCCEEDED    Job exited with status: 0"]);
        assert_eq!(moves(&execution("IN_PROGRESS", true, None), &after).len(), 1);
        assert!(moves(&after, &after).is_empty());
    }

    #[test]
    fn a_rejection_was_never_in_progress() {
        let after = execution("REJECTED", false, Some("no"));
        assert_eq!(moves(&execution("QUEUED", false, None), &after), ["REJECTED     no"]);
    }

    #[test]
    fn a_row_shows_details_on_one_line_each_and_what_is_wrong() {
        let text = row("a.json", &execution("FAILED", true, Some("one\ntwo \"x\"\n")), &["bad".into()]);
        assert!(text.contains("NO\n    reason: one\\ntwo \"x\"\n    WRONG: bad\n"), "{text}");
    }

    fn execution(status: &str, started: bool, reason: Option<&str>) -> Execution {
        let details = reason.map(|reason| ("reason".to_owned(), reason.to_owned())).into_iter().collect();
        Execution { status: status.into(), started, details }
    }
}
