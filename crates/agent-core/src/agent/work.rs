//! From the service's agreement to the end of an execution.

use std::time::Duration;

use jobs_protocol::VersionNumber;
use jobs_protocol::document::{Action, Form, JobDocument, Step};
use jobs_protocol::message::StepTimeout;
use tracing::{debug, info, warn};

use super::reboot::Stage;
use super::{
    ASK_BEFORE_LIMIT, Agent, CHECK_AFTER, Effects, Execution, News, Phase, RENEW_EVERY, Running, StopCause,
    TIMER_IS_FRESH_FOR, TIMER_SLACK, Work,
};
use crate::journal::{Finished, Record, Verdict};
use crate::outbox::Owed;
use crate::report::{details_for, interrupted};
use crate::verdict::{self, passes, step_at, what_follows};
use crate::{
    AfterReboot, BootTime, Details, Effect, Ending, ExecutionId, OnInterruption, RunId, StepOutcome, StepRun,
};

impl Agent {
    /// The service has taken the update that was owed.
    pub(super) fn update_landed(&mut self, now: BootTime, out: &mut Effects) {
        let Work::Busy(execution) = &mut self.work else { return };
        match &execution.phase {
            // It may be another execution under the same name that has been agreed to: the answer is on its way.
            Phase::Announcing { .. } | Phase::Rebooting(_) if self.doubt.is_open() => {}
            // One at a time. It is gone on with when they have ended.
            Phase::Announcing { .. } if !self.strangers.is_empty() => {}
            Phase::Rebooting(_) => self.restart_machine(now, out),
            Phase::Announcing { step, attempt } => {
                let (step, attempt) = (*step, *attempt);
                self.start_step(step, attempt, now, out);
            }
            Phase::Running(_) => self.timer_is_set(now),
            Phase::Adopting { .. } => {}
            Phase::Reporting(verdict) => {
                let verdict = Some(verdict.clone());
                self.close(verdict, now, out);
            }
        }
    }

    /// The service has a new step timer. What was heard of the one before must not stop the handler.
    fn timer_is_set(&mut self, now: BootTime) {
        let Work::Busy(execution) = &mut self.work else { return };
        let Phase::Running(running) = &mut execution.phase else { return };
        if std::mem::take(&mut running.limit_outdated) {
            running.limit_at = None;
            self.doubt.due_at(now);
        } else if let Some(limit) = running.limit_at {
            // Nearly always the handler has ended long before.
            let ask_at = now.after(limit.since(now).saturating_sub(ASK_BEFORE_LIMIT));
            running.check_at = Some(running.check_at.map_or(ask_at, |at| at.min(ask_at)));
        }
    }

    fn start_step(&mut self, index: u32, attempt: u32, now: BootTime, out: &mut Effects) {
        let time_limit = self.limit_of(index);
        let Work::Busy(execution) = &mut self.work else { return };
        let Some(step) = execution.document.as_ref().and_then(|document| step_at(document, index)).cloned()
        else {
            return;
        };
        let run = RunId { execution: execution.id.clone(), step: index, attempt };
        // The service may have agreed long ago, when something else was in the way of the start.
        let is_fresh = execution.timer_set_at.is_some_and(|at| now.since(at) <= TIMER_IS_FRESH_FOR);
        let renew_at = if is_fresh || execution.owed.is_some() { now.after(RENEW_EVERY) } else { now };
        execution.phase = Phase::Running(Running {
            run: run.clone(),
            stop: None,
            limit_at: None,
            limit_outdated: false,
            check_at: Some(now.after(CHECK_AFTER)),
            renew_at,
            news: News::default(),
        });
        info!(job = %run.execution, step = index + 1, attempt, name = %step.name.escape_debug(), "Step starts");
        let environment = self.environment_of(&run, &step);
        let user_argument = self.gives_user_argument(&step.action);
        let keep_head = self.keeps_heads();
        self.save(Record::StepStarting { run: run.clone() }, out);
        let grace = self.settings.grace;
        out.push(Effect::Start(Box::new(StepRun {
            run,
            step,
            user_argument,
            environment,
            time_limit,
            grace,
            keep_head,
        })));
    }

    /// Handlers of the two forms have grown up with different habits; a command never gets what it was not given.
    fn gives_user_argument(&self, action: &Action) -> bool {
        let Work::Busy(execution) = &self.work else { return false };
        let form = execution.document.as_ref().map(|document| document.form);
        match (action, form) {
            (Action::RunHandler { .. }, Some(Form::Flat)) => self.settings.user_argument_flat,
            (Action::RunHandler { .. }, Some(Form::Steps)) => self.settings.user_argument_steps,
            (Action::RunHandler { .. }, None) | (Action::RunCommand { .. }, _) => false,
        }
    }

    /// Whether the report on the execution in hand will show how its output begins.
    fn keeps_heads(&self) -> bool {
        let document = match &self.work {
            Work::Busy(execution) => execution.document.as_ref(),
            Work::Idle | Work::Inspecting(_) => None,
        };
        document.is_some_and(|document| details_for(document, self.settings.details) == Details::HeadAndTail)
    }

    fn environment_of(&self, run: &RunId, step: &Step) -> Vec<(String, String)> {
        let mut environment = self.settings.environment.clone();
        let own = [
            ("JOB_ID", run.execution.job.to_string()),
            ("THING_NAME", self.settings.thing_name.to_string()),
            ("EXECUTION_NUMBER", run.execution.number.to_string()),
            ("STEP_NAME", step.name.clone()),
            ("STEP_INDEX", run.step.to_string()),
            ("ATTEMPT", run.attempt.to_string()),
        ];
        environment.extend(own.map(|(name, value)| (name.to_owned(), value)));
        // So that it need not take anybody's word for the restart.
        let reboot = self.saved.current().and_then(|current| current.reboot.as_ref());
        if let Some(reboot) = reboot.filter(|_| run.attempt > 1) {
            environment.push(("BOOT_ID_BEFORE".to_owned(), reboot.boot.to_string()));
        }
        environment
    }

    pub(super) fn step_ended(
        &mut self,
        run: &RunId,
        mut outcome: StepOutcome,
        now: BootTime,
        out: &mut Effects,
    ) {
        let Some(stop) = self.running(run).map(|running| running.stop) else {
            debug!(%run, "A run has ended that nobody waits for");
            out.push(Effect::Release { run: run.clone() });
            return;
        };
        let progress =
            Some(&outcome.progress).filter(|progress| !progress.is_empty()).map(ToString::to_string);
        info!(job = %run.execution, step = run.step + 1, ending = ?outcome.ending, progress, "Step ended");
        if stop == Some(StopCause::OverAtService) {
            self.close(None, now, out);
            out.push(Effect::Release { run: run.clone() });
            return;
        }
        match (stop, &outcome.ending) {
            (Some(StopCause::ServiceTimer), Ending::Stopped { killed }) => {
                outcome.ending = Ending::TimedOut { killed: *killed };
            }
            (Some(StopCause::AgentEnds), Ending::Stopped { killed }) => {
                outcome.ending = Ending::StoppedWithAgent { killed: *killed };
            }
            _ => {}
        }
        self.judge_run(run, outcome, stop == Some(StopCause::AgentEnds), now, out);
    }

    /// Decides what follows on a run, and does it.
    pub(super) fn judge_run(
        &mut self,
        run: &RunId,
        mut outcome: StepOutcome,
        agent_ends: bool,
        now: BootTime,
        out: &mut Effects,
    ) {
        let Work::Busy(execution) = &self.work else { return };
        let Some(document) = execution.document.clone() else { return };
        if let Some(after) = self.wants_reboot(&document, run, &mut outcome) {
            // What has failed for another reason needs no reboot to be reported.
            if after == AfterReboot::SameStep || passes(&document, run.step, &outcome, &self.settings) {
                self.reboot(run, outcome, 1, now, out);
                out.push(Effect::Release { run: run.clone() });
                if agent_ends {
                    out.push(Effect::Exit);
                }
                return;
            }
        }
        let Work::Busy(execution) = &mut self.work else { return };
        execution.ended.retain(|(step, _)| *step != run.step);
        execution.ended.push((run.step, outcome.clone()));
        let ended = execution.ended.clone();
        let (id, version) = (execution.id.clone(), execution.version);
        if self.is_repeated(&document, run, &outcome) {
            warn!(job = %id, step = run.step + 1, attempt = run.attempt + 1, "Interrupted: run again, as its policy says");
            self.save(Record::StepEnded { run: run.clone(), outcome }, out);
            self.announce_step(run.step, run.attempt + 1, now);
            out.push(Effect::Release { run: run.clone() });
            return;
        }
        let mut follows = what_follows(&document, &ended, &self.settings);
        if agent_ends && matches!(follows, verdict::Next::Run(_)) {
            let reason = "stopped because the agent was told to end; the remaining steps were not run";
            follows = verdict::Next::Verdict(interrupted(reason));
        }
        match follows {
            verdict::Next::Run(next) => {
                self.save(Record::StepEnded { run: run.clone(), outcome }, out);
                out.push(Effect::Release { run: run.clone() });
                if self.strangers.is_empty() {
                    self.owe_progress(next, now);
                    self.start_step(next, 1, now, out);
                } else {
                    self.announce_step(next, 1, now);
                }
            }
            verdict::Next::Verdict(verdict) => {
                self.decide(id, version, verdict, Some(document), now, out);
                out.push(Effect::Release { run: run.clone() });
            }
        }
    }

    /// Tells the service again that the execution is at work, and starts the step when it has agreed.
    pub(super) fn announce_step(&mut self, step: u32, attempt: u32, now: BootTime) {
        if let Work::Busy(execution) = &mut self.work {
            execution.phase = Phase::Announcing { step, attempt };
        }
        self.owe_progress(step, now);
    }

    /// The end of an execution is decided: that is saved, and then owed to the service.
    pub(super) fn decide(
        &mut self,
        id: ExecutionId,
        version: VersionNumber,
        verdict: Verdict,
        document: Option<JobDocument>,
        now: BootTime,
        out: &mut Effects,
    ) {
        info!(job = %id, status = %verdict.status, "Job decided");
        self.save(Record::Decided { execution: id.clone(), version, verdict: verdict.clone() }, out);
        self.owe_report(id, version, verdict, document, now);
    }

    pub(super) fn owe_report(
        &mut self,
        id: ExecutionId,
        version: VersionNumber,
        verdict: Verdict,
        document: Option<JobDocument>,
        now: BootTime,
    ) {
        // What is heard from now on about the front of the list may already be about the next execution.
        self.pending.forget_next();
        let owed = Owed::new(
            id.clone(),
            version,
            verdict.status,
            verdict.details.clone(),
            None,
            now,
            &mut self.dice,
        );
        self.doubt.drop_it();
        self.work = Work::Busy(Box::new(Execution {
            id,
            version,
            document,
            ended: Vec::new(),
            owed: Some(owed),
            timer_set_at: None,
            suspicion: false,
            phase: Phase::Reporting(verdict),
        }));
    }

    /// The service has said that the execution in hand is over: cancelled, timed out, removed or deleted.
    pub(super) fn over_at_service(&mut self, now: BootTime, out: &mut Effects) {
        let Work::Busy(execution) = &mut self.work else { return };
        execution.owed = None;
        self.gap = false;
        self.doubt.drop_it();
        match &mut execution.phase {
            Phase::Announcing { .. } => {
                let id = execution.id.clone();
                let started = self.saved.current().is_some_and(|current| !current.runs.is_empty());
                info!(job = %id, started, "Over at the service before the next step was started");
                if started {
                    self.close(None, now, out);
                } else {
                    self.save(Record::Dropped { execution: id }, out);
                    self.work = Work::Idle;
                    self.look_for_next(now, out);
                }
            }
            Phase::Adopting { over_at_service, .. } => *over_at_service = true,
            Phase::Rebooting(rebooting) => match rebooting.stage {
                Stage::Telling { .. } => {
                    info!(job = %execution.id, "Over at the service before the machine was told to restart");
                    self.close(None, now, out);
                }
                // It goes down in any case; until then nothing else is begun.
                Stage::Asked { .. } => rebooting.over = true,
            },
            Phase::Running(running) => {
                if running.stop != Some(StopCause::OverAtService) {
                    warn!(job = %execution.id, "Over at the service: stopping the handler");
                    if running.stop.is_none() {
                        out.push(Effect::Stop { run: running.run.clone() });
                    }
                    running.stop = Some(StopCause::OverAtService);
                }
            }
            Phase::Reporting(verdict) => {
                let verdict = Some(verdict.clone());
                info!(job = %execution.id, "Over at the service before its report was taken");
                self.close(verdict, now, out);
            }
        }
    }

    /// Over on both sides.
    pub(super) fn close(&mut self, verdict: Option<Verdict>, now: BootTime, out: &mut Effects) {
        let Work::Busy(execution) = std::mem::replace(&mut self.work, Work::Idle) else { return };
        info!(job = %execution.id, "Job closed");
        let finished = Finished { execution: execution.id, version: execution.version, verdict };
        self.save(Record::Closed(finished), out);
        self.doubt.drop_it();
        if self.leaving.take().is_some() {
            out.push(Effect::Exit);
        } else {
            self.look_for_next(now, out);
        }
    }

    pub(super) fn running(&self, run: &RunId) -> Option<&Running> {
        match &self.work {
            Work::Busy(execution) => match &execution.phase {
                Phase::Running(running) if running.run == *run => Some(running),
                Phase::Announcing { .. }
                | Phase::Adopting { .. }
                | Phase::Running(_)
                | Phase::Rebooting(_)
                | Phase::Reporting(_) => None,
            },
            Work::Idle | Work::Inspecting(_) => None,
        }
    }

    /// How long a step of the execution in hand may run: as long as the operator allows, or less if its document says.
    pub(super) fn limit_of(&self, step: u32) -> Duration {
        let Work::Busy(execution) = &self.work else { return self.settings.step_timeout };
        let Some(step) = execution.document.as_ref().and_then(|document| step_at(document, step)) else {
            return self.settings.step_timeout;
        };
        let allowed = self.settings.policy_of(step).timeout.unwrap_or(self.settings.step_timeout);
        step.timeout_seconds.map_or(allowed, |asked| allowed.min(Duration::from_secs(asked)))
    }

    /// Whether a run that has ended is followed by another attempt at its step.
    pub(super) fn is_repeated(&self, document: &JobDocument, run: &RunId, outcome: &StepOutcome) -> bool {
        let Some(step) = step_at(document, run.step) else { return false };
        let policy = self.settings.policy_of(step);
        match (&outcome.ending, policy.after_reboot) {
            (Ending::Interrupted, Some(AfterReboot::SameStep)) => run.attempt < policy.max_attempts,
            (Ending::Lost | Ending::Unknown { .. }, _) | (Ending::Interrupted, None) => {
                self.may_rerun(step, run.attempt)
            }
            (
                Ending::Interrupted
                | Ending::Exited { .. }
                | Ending::Killed { .. }
                | Ending::TimedOut { .. }
                | Ending::Stopped { .. }
                | Ending::StoppedWithAgent { .. }
                | Ending::CouldNotStart { .. }
                | Ending::OutOfMemory
                | Ending::NotRebooted { .. },
                _,
            ) => false,
        }
    }

    /// Whether a step may be started once more after so many attempts.
    pub(super) fn may_rerun(&self, step: &Step, attempts: u32) -> bool {
        let policy = self.settings.policy_of(step);
        policy.on_interruption == OnInterruption::Rerun && attempts < policy.max_attempts
    }
}

/// The step timer at the service for a step with that limit.
pub(super) fn timer_for(limit: Duration) -> StepTimeout {
    let span = limit.saturating_add(TIMER_SLACK);
    StepTimeout::covering(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

/// How long a handler may go on when the service will end the execution in so many seconds, so that the end is
/// reported from here: a tenth less, at most a minute less, and the grace period less, at most half of what is left.
pub(super) fn before_the_services_timer(seconds: i64, grace: Duration) -> Duration {
    let left = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    left.saturating_sub((left / 10).min(Duration::from_secs(60))).saturating_sub(grace.min(left / 2))
}
