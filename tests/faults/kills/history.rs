//! What the handlers of a board have noted about themselves: the one witness of what has really run.

use std::collections::BTreeMap;

use testkit::Board;

use crate::board::lines;

/// The file with a line for each begin and each end of a step: `begin JOB STEP`.
pub(super) const NOTES: &str = "notes";

/// The notes in their order.
pub(super) struct History(Vec<Note>);

struct Note {
    begin: bool,
    job: String,
    step: u32,
}

impl History {
    pub(super) fn read(board: &Board) -> Result<Self, String> {
        let parse = |line: &String| {
            let words: Vec<_> = line.split(' ').collect();
            let [word @ ("begin" | "end"), job, step] = words[..] else { return None };
            Some(Note { begin: word == "begin", job: job.to_owned(), step: step.parse().ok()? })
        };
        let notes = lines(board, NOTES);
        notes
            .iter()
            .map(|line| parse(line).ok_or(format!("not a note: {line}")))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// How often each step of a job has begun.
    pub(super) fn begun(&self, job: &str) -> BTreeMap<u32, u32> {
        self.count(job, true)
    }

    /// How often each step of a job has come to its end.
    pub(super) fn over(&self, job: &str) -> BTreeMap<u32, u32> {
        self.count(job, false)
    }

    fn count(&self, job: &str, begin: bool) -> BTreeMap<u32, u32> {
        let mut counts = BTreeMap::new();
        for note in self.0.iter().filter(|note| note.job == job && note.begin == begin) {
            *counts.entry(note.step).or_insert(0) += 1;
        }
        counts
    }

    /// No step begins while another one is at work, unless that one was cut off before its end.
    pub(super) fn one_at_a_time(&self, cut_off: impl Fn(&str) -> bool) -> Result<(), String> {
        let mut at_work: Option<&Note> = None;
        for note in &self.0 {
            let name = |note: &Note| format!("step {} of {}", note.step, note.job);
            match at_work {
                Some(other) if note.begin && !cut_off(&other.job) => {
                    return Err(format!("{} began beside {}", name(note), name(other)));
                }
                Some(other) if !note.begin && (&other.job, other.step) != (&note.job, note.step) => {
                    return Err(format!("{} went on beside {}", name(note), name(other)));
                }
                None if !note.begin => return Err(format!("{} ended without having begun", name(note))),
                Some(_) | None => {}
            }
            at_work = note.begin.then_some(note);
        }
        Ok(())
    }
}
