//! Handlers and their keepers as the agent sees them: they run without it, and their endings wait for it.

use std::collections::BTreeMap;

use agent_core::{Captured, Ending, Found, RunId, StepOutcome};

/// Everything that was ever started.
#[derive(Debug, Default)]
pub(crate) struct Handlers {
    runs: BTreeMap<RunId, Run>,
}

#[derive(Debug)]
struct Run {
    /// How often it was started.
    starts: u32,
    /// None while it runs.
    outcome: Option<StepOutcome>,
    /// What the agent keeps of it is dropped.
    released: bool,
    stopping: bool,
}

impl Handlers {
    pub(crate) fn start(&mut self, run: &RunId) {
        let entry = self.runs.entry(run.clone());
        let known = entry.or_insert(Run { starts: 0, outcome: None, released: false, stopping: false });
        *known = Run { starts: known.starts + 1, outcome: None, released: false, stopping: false };
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

    /// Ends a run, unless it has ended before.
    pub(crate) fn end(&mut self, run: &RunId, outcome: StepOutcome) -> bool {
        match self.runs.get_mut(run) {
            Some(run) if run.outcome.is_none() => {
                run.outcome = Some(outcome);
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

    /// How often any attempt of a step was started.
    pub(crate) fn starts_of_each_step(&self) -> BTreeMap<(String, u32), u32> {
        let mut starts = BTreeMap::new();
        for (id, run) in &self.runs {
            *starts
                .entry((format!("{}@{}", id.execution, id.execution.queued_at.0), id.step))
                .or_default() += run.starts;
        }
        starts
    }

    /// The endings of an execution's steps.
    pub(crate) fn outcomes_of(&self, job: &str, queued_at: i64) -> BTreeMap<u32, &StepOutcome> {
        let is_meant = |id: &RunId| id.execution.job.as_str() == job && id.execution.queued_at.0 == queued_at;
        let meant = self.runs.iter().filter(|(id, _)| is_meant(id));
        meant.filter_map(|(id, run)| Some((id.step, run.outcome.as_ref()?))).collect()
    }
}

pub(crate) fn outcome(ending: Ending, stderr_lines: u64) -> StepOutcome {
    let stderr = Captured {
        tail: "e\n".repeat(stderr_lines as usize),
        bytes: 2 * stderr_lines,
        lines: stderr_lines,
        ..Captured::default()
    };
    StepOutcome { ending, stdout: Captured::default(), stderr, left_behind: 0 }
}
