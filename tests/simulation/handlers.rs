//! Handlers and their keepers as the agent sees them: they run without it, and their endings wait for it.

use std::collections::BTreeMap;

use agent_core::{Captured, Ending, Found, Progress, RunId, StepOutcome};

/// Everything that was ever started.
#[derive(Debug, Default)]
pub(crate) struct Handlers {
    runs: BTreeMap<RunId, Run>,
}

#[derive(Debug)]
struct Run {
    /// How often it was started.
    starts: u32,
    /// In which boot of the machine it was started last, and in which one it has ended.
    started_in: u64,
    ended_in: u64,
    /// None while it runs.
    outcome: Option<StepOutcome>,
    /// What the agent keeps of it is dropped.
    released: bool,
    stopping: bool,
    /// The latest that it has reported.
    progress: Progress,
}

impl Handlers {
    pub(crate) fn start(&mut self, run: &RunId, boot: u64) {
        let starts = self.runs.get(run).map_or(0, |known| known.starts) + 1;
        let begun = Run {
            starts,
            started_in: boot,
            ended_in: 0,
            outcome: None,
            released: false,
            stopping: false,
            progress: Progress::default(),
        };
        self.runs.insert(run.clone(), begun);
    }

    pub(crate) fn running(&self) -> Vec<RunId> {
        self.runs.iter().filter(|(_, run)| run.outcome.is_none()).map(|(id, _)| id.clone()).collect()
    }

    /// Whether this is the first call for a run that runs.
    pub(crate) fn begins_to_stop(&mut self, run: &RunId) -> bool {
        match self.runs.get_mut(run) {
            Some(run) if run.outcome.is_none() && !run.stopping => {
                run.stopping = true;
                true
            }
            _ => false,
        }
    }

    /// A handler says how far it is, if it still runs.
    pub(crate) fn report(&mut self, run: &RunId, text: String) -> Option<Progress> {
        let run = self.runs.get_mut(run).filter(|run| run.outcome.is_none())?;
        run.progress.facts.insert("progress".to_owned(), text);
        Some(run.progress.clone())
    }

    /// What a run that goes on has reported by now.
    pub(crate) fn reported(&self, run: &RunId) -> Option<Progress> {
        let run = self.runs.get(run).filter(|run| run.outcome.is_none() && !run.progress.is_empty())?;
        Some(run.progress.clone())
    }

    /// Ends a run, unless it has ended before. What it has reported is a part of its outcome.
    pub(crate) fn end(&mut self, run: &RunId, outcome: &mut StepOutcome, boot: u64) -> bool {
        match self.runs.get_mut(run) {
            Some(run) if run.outcome.is_none() => {
                outcome.progress = run.progress.clone();
                (run.outcome, run.ended_in) = (Some(outcome.clone()), boot);
                true
            }
            _ => false,
        }
    }

    pub(crate) fn find(&self, run: &RunId) -> Found {
        match self.runs.get(run) {
            Some(run) if !run.released => match &run.outcome {
                Some(outcome) => Found::Ended(outcome.clone()),
                None => Found::Running,
            },
            _ => Found::NeverStarted,
        }
    }

    pub(crate) fn release(&mut self, run: &RunId) {
        if let Some(run) = self.runs.get_mut(run) {
            run.released = true;
        }
    }

    /// Runs that must not have been: one that was started twice, or a further attempt at a step that had not had the
    /// machine restarted, or in the same boot, or beyond the limit.
    pub(crate) fn unwanted(&self, most_attempts: u32) -> Vec<String> {
        let is_wanted = |id: &RunId, run: &Run| {
            let before = RunId { attempt: id.attempt.saturating_sub(1), ..id.clone() };
            let follows = match self.runs.get(&before) {
                None => id.attempt == 1,
                Some(before) => {
                    let job = id.execution.job.as_str();
                    let may =
                        before.outcome.as_ref().is_some_and(|outcome| has_rebooted(job, &outcome.ending));
                    may && before.ended_in < run.started_in
                }
            };
            run.starts == 1 && follows && id.attempt <= most_attempts
        };
        let unwanted = self.runs.iter().filter(|(id, run)| !is_wanted(id, run));
        unwanted.map(|(id, run)| format!("{id}, {} starts", run.starts)).collect()
    }

    /// The most attempts that any step has taken.
    pub(crate) fn attempts(&self) -> u32 {
        self.runs.keys().map(|id| id.attempt).max().unwrap_or(0)
    }

    /// The last endings of an execution's steps, and the boots that they were in.
    pub(crate) fn outcomes_of(&self, job: &str, queued_at: i64) -> BTreeMap<u32, (&StepOutcome, u64)> {
        let is_meant = |id: &RunId| id.execution.job.as_str() == job && id.execution.queued_at.0 == queued_at;
        let meant = self.runs.iter().filter(|(id, _)| is_meant(id));
        meant.filter_map(|(id, run)| Some((id.step, (run.outcome.as_ref()?, run.ended_in)))).collect()
    }
}

/// Whether the handler of such a job has had the machine restarted if it has ended so.
pub(crate) fn has_rebooted(job: &str, ending: &Ending) -> bool {
    matches!(
        (job.split('-').next(), ending),
        (Some("reboot" | "plug" | "again"), Ending::Exited { code: 194 })
            | (Some("plug" | "again"), Ending::Interrupted)
    )
}

pub(crate) fn outcome(ending: Ending, stderr_lines: u64) -> StepOutcome {
    let stderr = Captured {
        tail: "e\n".repeat(stderr_lines as usize),
        bytes: 2 * stderr_lines,
        lines: stderr_lines,
        ..Captured::default()
    };
    StepOutcome { ending, stdout: Captured::default(), stderr, left_behind: 0, progress: Progress::default() }
}
