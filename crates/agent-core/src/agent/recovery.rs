//! After a restart: what the journal holds, and what is left of it in the world, say how to go on.

use jobs_protocol::document::JobDocument;
use tracing::{info, warn};

use super::{Agent, Effects, Execution, News, Phase, Running, StopCause, Work};
use crate::journal::{Current, Reboot};
use crate::report::interrupted;
use crate::verdict::{Ended, Next, what_follows};
use crate::{AfterReboot, BootTime, Effect, Ending, Found, RunId, StepOutcome};

/// Why nobody can know what has run.
const DAMAGED: &str = "the agent's records of it were damaged or removed";

impl Agent {
    /// Takes up the execution that the journal holds, if there is one.
    pub(super) fn recover(&mut self, now: BootTime, out: &mut Effects) {
        let Some(current) = self.saved.current().cloned() else { return };
        info!(job = %current.execution, runs = current.runs.len(), "Taking up the job of an earlier life");
        let Current { execution, version, document, runs, reboot, verdict, uncertain } = current;
        if let Some(verdict) = verdict {
            return self.owe_report(execution, version, verdict, None, now);
        }
        let Some(document) = document.as_deref().and_then(|text| JobDocument::parse(text).ok()) else {
            let reason =
                "interrupted: the agent was restarted and can no longer read the document it had accepted";
            return self.decide(execution, version, interrupted(reason), None, now, out);
        };
        let last = runs.last().cloned();
        if uncertain && last.as_ref().is_none_or(|(_, outcome)| outcome.is_some()) {
            let reason = format!(
                "interrupted: {DAMAGED}; nobody knows whether or how far it ran; it was not run again"
            );
            return self.decide(execution, version, interrupted(&reason), Some(document), now, out);
        }
        let phase = match &last {
            Some((run, None)) => Phase::Adopting { run: run.clone(), over_at_service: false },
            Some((_, Some(_))) | None => Phase::Announcing { step: 0, attempt: 1 },
        };
        self.work = Work::Busy(Box::new(Execution {
            id: execution,
            version,
            document: Some(document),
            ended: latest_outcomes(runs),
            owed: None,
            timer_set_at: None,
            suspicion: false,
            phase,
        }));
        match last {
            None => self.announce_step(0, 1, now),
            Some((run, None)) => out.push(Effect::Adopt { run }),
            Some((run, Some(outcome))) => self.take_up_after(&run, &outcome, reboot, now, out),
        }
    }

    /// The last run is over, and what follows on it was not begun.
    fn take_up_after(
        &mut self,
        run: &RunId,
        outcome: &StepOutcome,
        reboot: Option<Reboot>,
        now: BootTime,
        out: &mut Effects,
    ) {
        let Work::Busy(execution) = &self.work else { return };
        let Some(document) = execution.document.clone() else { return };
        let (id, version, ended) = (execution.id.clone(), execution.version, execution.ended.clone());
        match reboot {
            Some(Reboot { boot, asked }) if boot == self.boot => {
                return self.reboot_again(run, asked, now, out);
            }
            Some(_) => {
                info!(job = %id, step = run.step + 1, "The machine has restarted, as its handler has asked for");
                if self.after_reboot(&document, run.step) == AfterReboot::SameStep {
                    return self.announce_after_reboot(run.step, run.attempt + 1, now);
                }
            }
            None => {}
        }
        if self.is_repeated(&document, run, outcome) {
            return self.announce_step(run.step, run.attempt + 1, now);
        }
        match what_follows(&document, &ended, &self.settings) {
            Next::Run(step) => self.announce_step(step, 1, now),
            Next::Verdict(verdict) => self.decide(id, version, verdict, Some(document), now, out),
        }
    }

    /// What was found of the run that the journal says was started.
    pub(super) fn adopted(&mut self, run: &RunId, found: Found, now: BootTime, out: &mut Effects) {
        let Work::Busy(execution) = &mut self.work else { return };
        let over = match &execution.phase {
            Phase::Adopting { run: wanted, over_at_service } if wanted == run => *over_at_service,
            Phase::Adopting { .. }
            | Phase::Announcing { .. }
            | Phase::Running(_)
            | Phase::Rebooting(_)
            | Phase::Reporting(_) => return,
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
                    limit_outdated: false,
                    check_at: Some(now),
                    renew_at: now,
                    news: News::default(),
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
            Found::NeverStarted if self.saved.current().is_some_and(|current| current.uncertain) => {
                let outcome = StepOutcome::bare(Ending::Unknown { reason: DAMAGED.to_owned() });
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
fn latest_outcomes(runs: Vec<(RunId, Option<StepOutcome>)>) -> Vec<Ended> {
    let mut ended: Vec<Ended> = Vec::new();
    for (run, outcome) in runs {
        let Some(outcome) = outcome else { continue };
        ended.retain(|(step, _)| *step != run.step);
        ended.push((run.step, outcome));
    }
    ended
}
