//! The words of a verdict: which status details go with it, from what the handlers wrote and why it ended so.
//!
//! A service takes 10 pairs of at most 1024 characters. Of a reason the beginning counts, of an output the end, and
//! where head and tail are asked for the two together show everything as long as it fits into both.

use jobs_protocol::details::{Text, first_units, last_units};
use jobs_protocol::document::{JobDocument, ReportDetails};
use jobs_protocol::limits::DETAILS_VALUE_UNITS;
use jobs_protocol::{ReportedStatus, StatusDetails};

use crate::journal::Verdict;
use crate::verdict::Ended;
use crate::{Captured, Details, Progress};

/// Which details a job's report has: its document decides, if it says, else the operator.
pub(crate) fn details_for(document: &JobDocument, set: Details) -> Details {
    match document.report_details {
        Some(ReportDetails::Tail) => Details::Tail,
        Some(ReportDetails::HeadAndTail) => Details::HeadAndTail,
        None => set,
    }
}

/// A refusal: nothing has run.
pub(crate) fn rejected(reason: &str) -> Verdict {
    bare(ReportedStatus::Rejected, reason)
}

/// An execution that this agent did not start, or of which it knows nothing more.
pub(crate) fn interrupted(reason: &str) -> Verdict {
    bare(ReportedStatus::Failed, reason)
}

fn bare(status: ReportedStatus, reason: &str) -> Verdict {
    Verdict { status, details: with_reason(reason) }
}

fn with_reason(reason: &str) -> StatusDetails {
    StatusDetails::default().with_start("reason", reason, Text::Readable)
}

/// What is reported of steps that have run.
pub(crate) fn report(
    status: ReportedStatus,
    reason: &str,
    document: &JobDocument,
    ended: &[Ended],
    details: Details,
) -> Verdict {
    let stdout = || ended.iter().map(|(_, outcome)| &outcome.stdout);
    let stderr = || ended.iter().map(|(_, outcome)| &outcome.stderr);
    // The Device Client sends standard output whatever the document says; a document that says no is heard.
    let with_stdout = document.include_std_out.unwrap_or(details == Details::DeviceClient);
    let mut report = with_reason(reason);
    match details {
        Details::Tail | Details::DeviceClient => {
            report = report.with("stderr", &tail(stderr()), Text::Readable);
            if with_stdout {
                report = report.with("stdout", &tail(stdout()), Text::Readable);
            }
        }
        Details::HeadAndTail => {
            let (head, tail) = head_and_tail(stderr());
            report = report
                .with("stderr-head", &head, Text::Readable)
                .with("stderr", &tail, Text::Readable)
                .with("stderr-bytes", &bytes(stderr()), Text::Readable)
                .with("stdout-bytes", &bytes(stdout()), Text::Readable);
            if with_stdout {
                let (head, tail) = head_and_tail(stdout());
                report =
                    report.with("stdout-head", &head, Text::Readable).with("stdout", &tail, Text::Readable);
            }
        }
    }
    if details != Details::DeviceClient {
        report = Progress::of_all(ended.iter().map(|(_, outcome)| &outcome.progress)).add_to(report);
    }
    Verdict { status, details: report }
}

fn bytes<'a>(streams: impl Iterator<Item = &'a Captured>) -> String {
    streams.map(|stream| stream.bytes).fold(0, u64::saturating_add).to_string()
}

/// The end of what all steps wrote, one after the other.
fn tail<'a>(streams: impl Iterator<Item = &'a Captured>) -> String {
    let all: String = streams.map(|stream| stream.tail.as_str()).collect();
    last_units(&all, DETAILS_VALUE_UNITS).to_owned()
}

/// The beginning and the end of what all steps wrote, one after the other. Nothing stands in both.
fn head_and_tail<'a>(streams: impl Iterator<Item = &'a Captured>) -> (String, String) {
    let (mut front, mut back, mut gap) = (String::new(), String::new(), false);
    for stream in streams {
        if !gap {
            front.push_str(&stream.head);
        }
        if !stream.head.is_empty() || stream.bytes > stream.tail.len() as u64 {
            gap = true;
            back.clear();
        }
        back.push_str(&stream.tail);
        if !gap {
            front.push_str(&stream.tail);
        }
    }
    let back = last_units(&back, DETAILS_VALUE_UNITS).to_owned();
    if !gap {
        front.truncate(front.len() - back.len());
    }
    (first_units(&front, DETAILS_VALUE_UNITS).to_owned(), back)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(head: &str, tail: &str, bytes: u64) -> Captured {
        Captured { head: head.to_owned(), tail: tail.to_owned(), bytes, lines: 0 }
    }

    fn whole(text: &str) -> Captured {
        stream("", text, text.len() as u64)
    }

    #[test]
    fn head_and_tail_show_all_there_is_and_nothing_twice() {
        let (a, b) = ("a".repeat(600), "b".repeat(600));
        for (streams, head, tail) in [
            (vec![], String::new(), String::new()),
            (vec![whole("x")], String::new(), "x".to_owned()),
            (vec![whole(&a), whole(&b)], "a".repeat(176), format!("{}{b}", "a".repeat(424))),
            (vec![stream("one", "last", 7)], "one".to_owned(), "last".to_owned()),
            (vec![whole("x"), stream("h", "t", 9), whole("y")], "xh".to_owned(), "ty".to_owned()),
            (
                vec![stream("h1", "t1", 9), whole("m"), stream("h2", "t2", 9)],
                "h1".to_owned(),
                "t2".to_owned(),
            ),
            (vec![stream("", "t", 9), whole("y")], String::new(), "ty".to_owned()),
        ] {
            assert_eq!(head_and_tail(streams.iter()), (head, tail), "{streams:?}");
        }
    }
}
