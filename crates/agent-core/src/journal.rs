//! What the agent saves: the record of its one execution, and the ledger of those that it has finished.
//!
//! A [`Record`] is appended before the deed that it belongs to; [`State`] is what the records amount to. This module
//! holds the content; files are the shell's.

use std::collections::VecDeque;

use jobs_protocol::{ReportedStatus, StatusDetails, VersionNumber};
use serde::{Deserialize, Serialize};

use crate::{BootId, ExecutionId, RunId, StepOutcome};

/// How many finished executions are remembered. The service offers an execution again only while it is its next
/// one, so the newest few would do.
pub const LEDGER_ENTRIES: usize = 128;

/// One entry of the journal. New variants may be added; the meaning of one that was written never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// An execution will be worked on; the service is about to be told. Nothing of it has run.
    Accepted {
        /// Which.
        execution: ExecutionId,
        /// Its version as the service gave it.
        version: VersionNumber,
        /// The document, as it came.
        document: String,
    },
    /// A step is about to be started.
    StepStarting {
        /// Which run of it.
        run: RunId,
    },
    /// A step is over, and another one follows.
    StepEnded {
        /// Which run of it.
        run: RunId,
        /// How it ended.
        outcome: StepOutcome,
    },
    /// A step is over and has asked for a reboot, and the machine is about to be told to restart.
    Rebooting {
        /// Which run of it.
        run: RunId,
        /// How it ended.
        outcome: StepOutcome,
        /// The boot that is to end: once there is another one, the reboot has happened.
        boot: BootId,
        /// How often it has been asked for in this boot.
        asked: u32,
    },
    /// The service is about to be told how the execution ended.
    Decided {
        /// Which.
        execution: ExecutionId,
        /// The version that the report expects.
        version: VersionNumber,
        /// The end of it.
        verdict: Verdict,
    },
    /// What followed here cannot be read. Of an execution that is still in hand nobody knows what else has happened.
    Damaged,
    /// The execution is over on both sides.
    Closed(Finished),
    /// The execution is over at the service, and nothing of it has run here.
    Dropped {
        /// Which.
        execution: ExecutionId,
    },
}

/// The status that is reported at the end, and its words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// SUCCEEDED, FAILED or REJECTED.
    pub status: ReportedStatus,
    /// What goes with it.
    pub details: StatusDetails,
}

/// An execution that is over, in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// Which.
    pub execution: ExecutionId,
    /// The last version known of it.
    pub version: VersionNumber,
    /// What happened here; none if it was stopped because the service had ended it.
    pub verdict: Option<Verdict>,
}

/// The execution in hand, as far as it is saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Current {
    /// Which.
    pub execution: ExecutionId,
    /// Its version when it was saved last.
    pub version: VersionNumber,
    /// Its document; none if it was refused unread.
    pub document: Option<String>,
    /// Every run that was started, with its outcome if that was saved.
    pub runs: Vec<(RunId, Option<StepOutcome>)>,
    /// The reboot that the last of them has asked for, if nothing has come after that.
    pub reboot: Option<Reboot>,
    /// Its end, if it is decided.
    pub verdict: Option<Verdict>,
    /// Records of it may be missing: what is not here may still have happened.
    pub uncertain: bool,
}

/// A reboot that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reboot {
    /// The boot that was to end.
    pub boot: BootId,
    /// How often it has been asked for.
    pub asked: u32,
}

/// What all records together amount to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    current: Option<Current>,
    ledger: VecDeque<Finished>,
}

impl State {
    /// What a journal amounts to.
    #[must_use]
    pub fn from_records(records: impl IntoIterator<Item = Record>) -> Self {
        let mut state = Self::default();
        for record in records {
            state.apply(&record);
        }
        state
    }

    /// The execution in hand.
    #[must_use]
    pub fn current(&self) -> Option<&Current> {
        self.current.as_ref()
    }

    /// The ledger's entry for an execution.
    #[must_use]
    pub fn finished(&self, execution: &ExecutionId) -> Option<&Finished> {
        self.ledger.iter().rev().find(|finished| finished.execution == *execution)
    }

    /// The record that is missing here if something is left of a run of this name: one of the execution in hand that
    /// was started, as nothing is before that is saved, and of which these records know nothing. The disk has lost
    /// what it had promised to keep; without the record the step would run twice.
    #[must_use]
    pub fn lost_start(&self, name: &str) -> Option<Record> {
        let current = self.current.as_ref().filter(|current| current.verdict.is_none())?;
        let run = RunId::of(&current.execution, name)?;
        let known = current.runs.iter().any(|(known, _)| *known == run);
        (!known).then_some(Record::StepStarting { run })
    }

    /// Adds a record. One that does not fit what came before it changes nothing that it does not name.
    pub fn apply(&mut self, record: &Record) {
        match record {
            Record::Accepted { execution, version, document } => {
                self.current = Some(Current {
                    execution: execution.clone(),
                    version: *version,
                    document: Some(document.clone()),
                    runs: Vec::new(),
                    reboot: None,
                    verdict: None,
                    uncertain: false,
                });
            }
            Record::StepStarting { run } => {
                if let Some(current) = self.current_of(&run.execution) {
                    // The same run a second time: the first time it was saved and then never started.
                    current.runs.retain(|(started, _)| started != run);
                    current.runs.push((run.clone(), None));
                    current.reboot = None;
                }
            }
            Record::StepEnded { run, outcome } => self.step_ended(run, outcome, None),
            Record::Rebooting { run, outcome, boot, asked } => {
                self.step_ended(run, outcome, Some(Reboot { boot: boot.clone(), asked: *asked }));
            }
            Record::Decided { execution, version, verdict } => {
                let document = self.current.take().filter(|current| current.execution == *execution);
                self.current = Some(Current {
                    execution: execution.clone(),
                    version: *version,
                    document: document.as_ref().and_then(|current| current.document.clone()),
                    runs: document.map(|current| current.runs).unwrap_or_default(),
                    reboot: None,
                    verdict: Some(verdict.clone()),
                    uncertain: false,
                });
            }
            Record::Damaged => {
                if let Some(current) = &mut self.current {
                    current.uncertain = true;
                }
            }
            Record::Closed(finished) => {
                self.forget_current(&finished.execution);
                self.ledger.retain(|older| older.execution != finished.execution);
                self.ledger.push_back(finished.clone());
                if self.ledger.len() > LEDGER_ENTRIES {
                    self.ledger.pop_front();
                }
            }
            Record::Dropped { execution } => self.forget_current(execution),
        }
    }

    fn step_ended(&mut self, run: &RunId, outcome: &StepOutcome, reboot: Option<Reboot>) {
        let Some(current) = self.current_of(&run.execution) else { return };
        if let Some((_, saved)) = current.runs.iter_mut().find(|(started, _)| started == run) {
            *saved = Some(outcome.clone());
            current.reboot = reboot;
        }
    }

    fn current_of(&mut self, execution: &ExecutionId) -> Option<&mut Current> {
        self.current.as_mut().filter(|current| current.execution == *execution)
    }

    fn forget_current(&mut self, execution: &ExecutionId) {
        if self.current_of(execution).is_some() {
            self.current = None;
        }
    }

    /// The fewest records that amount to the same: what a journal is rewritten with when it has grown.
    #[must_use]
    pub fn to_records(&self) -> Vec<Record> {
        let mut records: Vec<Record> = self.ledger.iter().cloned().map(Record::Closed).collect();
        let Some(current) = &self.current else { return records };
        if let Some(document) = &current.document {
            records.push(Record::Accepted {
                execution: current.execution.clone(),
                version: current.version,
                document: document.clone(),
            });
        }
        for (run, outcome) in &current.runs {
            records.push(Record::StepStarting { run: run.clone() });
            if let Some(outcome) = outcome {
                records.push(Record::StepEnded { run: run.clone(), outcome: outcome.clone() });
            }
        }
        if let (Some(Reboot { boot, asked }), Some((run, Some(outcome)))) =
            (&current.reboot, current.runs.last())
        {
            let (run, outcome, boot) = (run.clone(), outcome.clone(), boot.clone());
            records.push(Record::Rebooting { run, outcome, boot, asked: *asked });
        }
        if let Some(verdict) = &current.verdict {
            records.push(Record::Decided {
                execution: current.execution.clone(),
                version: current.version,
                verdict: verdict.clone(),
            });
        }
        // Last: an end that is decided makes what was uncertain before it certain.
        if current.uncertain {
            records.push(Record::Damaged);
        }
        records
    }
}

#[cfg(test)]
mod tests {
    use jobs_protocol::{EpochSeconds, ExecutionNumber, JobId};

    use super::*;
    use crate::{Captured, Ending};

    fn execution(job: &str) -> ExecutionId {
        ExecutionId {
            job: JobId::try_from(job).unwrap(),
            number: ExecutionNumber::new(1),
            queued_at: EpochSeconds(100),
        }
    }

    fn finished(job: &str) -> Record {
        Record::Closed(Finished { execution: execution(job), version: VersionNumber::new(3), verdict: None })
    }

    #[test]
    fn what_is_left_of_a_run_that_the_records_do_not_know_tells_of_a_lost_start() {
        let records = story();
        let state = State::from_records(records[..4].iter().cloned());
        let lost = Record::StepStarting { run: RunId { execution: execution("b"), step: 1, attempt: 1 } };
        assert_eq!(state.lost_start("b.1.100.1.1"), Some(lost));
        for name in
            ["b.1.100.0.1", "b.2.100.1.1", "b.1.101.1.1", "c.1.100.1.1", "b.1.100.1", "b.1.100.01.1", ""]
        {
            assert_eq!(state.lost_start(name), None, "{name}");
        }
        let decided = State::from_records(records[..records.len() - 1].iter().cloned());
        assert_eq!(decided.lost_start("b.1.100.2.1"), None, "its end is decided");
    }

    fn story() -> Vec<Record> {
        let run = |step| RunId { execution: execution("b"), step, attempt: 1 };
        let outcome = StepOutcome {
            ending: Ending::Exited { code: 0 },
            stdout: Captured::default(),
            stderr: Captured::default(),
            left_behind: 0,
            progress: crate::Progress::default(),
        };
        let verdict = Verdict { status: ReportedStatus::Succeeded, details: StatusDetails::default() };
        let version = VersionNumber::new(2);
        vec![
            finished("a"),
            Record::Accepted { execution: execution("b"), version, document: "{}".to_owned() },
            Record::StepStarting { run: run(0) },
            Record::StepEnded { run: run(0), outcome: outcome.clone() },
            Record::StepStarting { run: run(1) },
            Record::Rebooting {
                run: run(1),
                outcome: StepOutcome { ending: Ending::Exited { code: 194 }, ..outcome },
                boot: "one".to_owned().into(),
                asked: 1,
            },
            Record::StepStarting { run: RunId { attempt: 2, ..run(1) } },
            Record::Decided { execution: execution("b"), version, verdict },
            Record::Closed(Finished { execution: execution("b"), version, verdict: None }),
        ]
    }

    #[test]
    fn a_rewritten_journal_amounts_to_the_same_at_every_point() {
        let story = story();
        for length in 0..=story.len() {
            let state = State::from_records(story[..length].iter().cloned());
            assert_eq!(State::from_records(state.to_records()), state, "after {length} records");
        }
    }

    /// Found by the simulation: the second entry outlived the ending of the first, and the step was run again.
    #[test]
    fn a_run_that_is_saved_twice_before_it_starts_is_one_run() {
        let mut story = story();
        story.insert(3, story[2].clone());
        let state = State::from_records(story[..5].iter().cloned());
        assert!(matches!(state.current().unwrap().runs[..], [(_, Some(_))]), "{state:?}");
    }

    #[test]
    fn the_ledger_is_bounded_and_keeps_the_newest() {
        let jobs = (0..LEDGER_ENTRIES + 10).map(|n| finished(&format!("job-{n}")));
        let state = State::from_records(jobs);
        assert_eq!(state.to_records().len(), LEDGER_ENTRIES);
        assert!(state.finished(&execution("job-9")).is_none());
        assert!(state.finished(&execution("job-10")).is_some());
    }

    #[test]
    fn records_survive_their_json() {
        for record in story() {
            let text = serde_json::to_string(&record).unwrap();
            assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record, "{text}");
        }
    }
}
