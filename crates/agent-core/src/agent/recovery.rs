//! After a restart: what the journal holds, and what is left of it in the world, say how to go on.

use jobs_protocol::document::JobDocument;
use tracing::{info, warn};

use super::{Agent, Effects, Execution, Phase, Running, StopCause, Work};
use crate::journal::{Current, Verdict};
use crate::report::interrupted;
use crate::verdict::{Ended, Next, what_follows};
use crate::{BootTime, Effect, Found, RunId};

impl Agent {
    /// Takes up the execution that the journal holds, if there is one.
    pub(super) fn recover(&mut self, now: BootTime, out: &mut Effects) {
        let Some(current) = self.saved.current().cloned() else { return };
        info!(job = %current.execution, runs = current.runs.len(), "Taking up the job of an earlier life");
        let Current { execution, version, document, runs, verdict } = current;
        if let Some(verdict) = verdict {
            return self.owe_report(execution, version, verdict, None, now);
        }
        let Some(document) = document.as_deref().and_then(|text| JobDocument::parse(text).ok()) else {
            let reason =
                "interrupted: the agent was restarted and can no longer read the document it had accepted";
            return self.decide(execution, version, interrupted(reason), None, now, out);
        };
        let last = runs.last().cloned();
        let ended: Vec<Ended> = latest_outcomes(runs);
        let phase = match &last {
            None => Phase::Announcing { step: 0, attempt: 1 },
            Some((run, None)) => {
                out.push(Effect::Adopt { run: run.clone() });
                Phase::Adopting { run: run.clone(), over_at_service: false }
            }
            Some((run, Some(outcome))) if self.is_repeated(&document, run, outcome) => {
                Phase::Announcing { step: run.step, attempt: run.attempt + 1 }
            }
            Some((_, Some(_))) => match what_follows(&document, &ended, &self.settings) {
                Next::Run(step) => Phase::Announcing { step, attempt: 1 },
                Next::Verdict(verdict) => Phase::Reporting(verdict),
            },
        };
        self.resume(
            Execution {
                id: execution,
                version,
                document: Some(document),
                ended,
                owed: None,
                suspicion: false,
                phase,
            },
            now,
            out,
        );
    }

    fn resume(&mut self, execution: Execution, now: BootTime, out: &mut Effects) {
        let decided: Option<Verdict> = match &execution.phase {
            Phase::Reporting(verdict) => Some(verdict.clone()),
            Phase::Announcing { .. } | Phase::Adopting { .. } | Phase::Running(_) => None,
        };
        if let Some(verdict) = decided {
            return self.decide(execution.id, execution.version, verdict, execution.document, now, out);
        }
        let announce = match execution.phase {
            Phase::Announcing { step, .. } => Some(step),
            Phase::Adopting { .. } | Phase::Running(_) | Phase::Reporting(_) => None,
        };
        self.work = Work::Busy(Box::new(execution));
        if let Some(step) = announce {
            self.owe_progress(step, now);
        }
    }

    /// What was found of the run that the journal says was started.
    pub(super) fn adopted(&mut self, run: &RunId, found: Found, now: BootTime, out: &mut Effects) {
        let Work::Busy(execution) = &mut self.work else { return };
        let over = match &execution.phase {
            Phase::Adopting { run: wanted, over_at_service } if wanted == run => *over_at_service,
            Phase::Adopting { .. } | Phase::Announcing { .. } | Phase::Running(_) | Phase::Reporting(_) => {
                return;
            }
        };
        match found {
            Found::Running => {
                info!(job = %run.execution, step = run.step + 1, "Its handler runs: taken over");
                let stop = over.then_some(StopCause::OverAtService);
                if over {
                    out.push(Effect::Stop { run: run.clone() });
                }
                execution.phase = Phase::Running(Running {
                    run: run.clone(),
                    stop,
                    limit_at: None,
                    check_at: Some(now),
                    renew_at: now,
                });
            }
            Found::Ended(_) | Found::NeverStarted if over => {
                self.close(None, now, out);
                out.push(Effect::Release { run: run.clone() });
            }
            Found::Ended(outcome) => {
                warn!(job = %run.execution, step = run.step + 1, ending = ?outcome.ending, "Its handler is no longer there");
                self.judge_run(run, outcome, false, now, out);
            }
            Found::NeverStarted => {
                info!(job = %run.execution, step = run.step + 1, "Its handler was never started");
                self.announce_step(run.step, run.attempt, now);
            }
        }
    }
}

/// Of each step that has ended, the last outcome, in the order of the steps' runs. A run that will be repeated is
/// not among them.
fn latest_outcomes(runs: Vec<(RunId, Option<crate::StepOutcome>)>) -> Vec<Ended> {
    let mut ended: Vec<Ended> = Vec::new();
    for (run, outcome) in runs {
        let Some(outcome) = outcome else { continue };
        ended.retain(|(step, _)| *step != run.step);
        ended.push((run.step, outcome));
    }
    ended
}
