//! A reboot as a part of a step: the handler asks for it by its exit code; that is saved, told to the service, and
//! then the machine is restarted. What follows after the boot is decided in `recovery`.
//!
//! That it has happened is proved by another boot, never by the clock. Until then nothing else is started, and the
//! wait has an end: a machine that does not restart fails the step.

use std::time::Duration;

use jobs_protocol::StatusDetails;
use jobs_protocol::details::Text;
use jobs_protocol::document::JobDocument;
use tracing::{info, warn};

use super::{Agent, Effects, Phase, Work};
use crate::journal::Record;
use crate::verdict::step_at;
use crate::{AfterReboot, BootTime, Effect, Ending, RunId, StepOutcome};

/// So long the service's answer is waited for before the machine is restarted without it.
const TELL_WITHIN: Duration = Duration::from_secs(30);
/// When the machine is still up after this it is taken that it will not restart: services that do not end are killed
/// after 90 seconds each, unless somebody has set more.
const REBOOT_WITHIN: Duration = Duration::from_secs(10 * 60);
/// How often one boot is asked to end, when the agent is restarted instead of the machine.
const MOST_ASKED: u32 = 3;
/// The step timer at the service has so much more while the machine restarts: for a check of its disks, for an update
/// that it installs on the way.
pub(super) const REBOOT_ALLOWANCE: Duration = Duration::from_secs(60 * 60);
/// Under this name the service is told what goes on.
const PROGRESS: &str = "progress";

/// The machine is to be rebooted, because a run has asked for it.
#[derive(Debug)]
pub(super) struct Rebooting {
    pub(super) run: RunId,
    pub(super) stage: Stage,
    /// The execution is over at the service: nothing is reported any more.
    pub(super) over: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Stage {
    /// The service is told first.
    Telling { until: BootTime },
    /// The machine has been told to restart.
    Asked { until: BootTime },
}

impl Rebooting {
    pub(super) fn deadline(&self) -> BootTime {
        let (Stage::Telling { until } | Stage::Asked { until }) = self.stage;
        until
    }
}

impl Agent {
    /// What a run that has ended wants of the machine. An outcome that asks for too much is changed into one that
    /// says so.
    pub(super) fn wants_reboot(
        &self,
        document: &JobDocument,
        run: &RunId,
        outcome: &mut StepOutcome,
    ) -> Option<AfterReboot> {
        let Ending::Exited { code } = outcome.ending else { return None };
        if !self.settings.is_call_for_reboot(&outcome.ending) {
            return None;
        }
        let policy = self.settings.policy_of(step_at(document, run.step)?);
        let after = self.after_reboot(document, run.step);
        if after == AfterReboot::SameStep && run.attempt >= policy.max_attempts {
            let reason =
                format!("this was attempt {} of at most {} (max-attempts)", run.attempt, policy.max_attempts);
            outcome.ending = Ending::NotRebooted { code, reason };
            return None;
        }
        Some(after)
    }

    /// How it goes on after a reboot that a step has asked for.
    pub(super) fn after_reboot(&self, document: &JobDocument, step: u32) -> AfterReboot {
        let policy = step_at(document, step).map(|step| self.settings.policy_of(step));
        policy.and_then(|policy| policy.after_reboot).unwrap_or(AfterReboot::SameStep)
    }

    /// That the machine is to be rebooted is saved, and owed to the service.
    pub(super) fn reboot(
        &mut self,
        run: &RunId,
        outcome: StepOutcome,
        asked: u32,
        now: BootTime,
        out: &mut Effects,
    ) {
        info!(job = %run.execution, step = run.step + 1, asked, "The handler asks for a reboot");
        self.save(Record::Rebooting { run: run.clone(), outcome, boot: self.boot.clone(), asked }, out);
        let Work::Busy(execution) = &mut self.work else { return };
        let stage = Stage::Telling { until: now.after(TELL_WITHIN) };
        execution.phase = Phase::Rebooting(Rebooting { run: run.clone(), stage, over: false });
        let text =
            format!("step {} has asked for a reboot of the machine; it is about to restart", run.step + 1);
        self.owe_progress_saying(run.step, &text, REBOOT_ALLOWANCE, now);
    }

    /// After the boot: the step that has asked for it is started once more, when the service has agreed.
    pub(super) fn announce_after_reboot(&mut self, step: u32, attempt: u32, now: BootTime) {
        if let Work::Busy(execution) = &mut self.work {
            execution.phase = Phase::Announcing { step, attempt };
        }
        let text = format!("the machine has restarted; step {} is started, attempt {attempt}", step + 1);
        self.owe_progress_saying(step, &text, Duration::ZERO, now);
    }

    /// The agent was restarted, and the machine was not: it is asked again, up to a limit.
    pub(super) fn reboot_again(&mut self, run: &RunId, asked: u32, now: BootTime, out: &mut Effects) {
        if asked >= MOST_ASKED {
            let reason = format!("the machine was asked {asked} times to restart and is still up");
            return self.not_rebooted(run, &reason, now, out);
        }
        if let Some(outcome) = self.saved_outcome(run) {
            self.reboot(run, outcome, asked + 1, now, out);
        }
    }

    /// The service knows, or has had its time: now the machine.
    pub(super) fn restart_machine(&mut self, now: BootTime, out: &mut Effects) {
        let Work::Busy(execution) = &mut self.work else { return };
        let Phase::Rebooting(rebooting) = &mut execution.phase else { return };
        if let Stage::Telling { .. } = rebooting.stage {
            info!(job = %execution.id, "The machine is told to restart");
            rebooting.stage = Stage::Asked { until: now.after(REBOOT_WITHIN) };
            out.push(Effect::Reboot);
        }
    }

    /// What follows from the time alone while a reboot is under way.
    pub(super) fn keep_reboot_time(&mut self, now: BootTime, out: &mut Effects) {
        let Work::Busy(execution) = &self.work else { return };
        let Phase::Rebooting(Rebooting { run, stage, .. }) = &execution.phase else { return };
        match *stage {
            Stage::Telling { until } if now >= until => {
                warn!(job = %execution.id, "The service has not answered: the machine is restarted without that");
                self.restart_machine(now, out);
            }
            Stage::Asked { until } if now >= until => {
                let run = run.clone();
                let reason =
                    format!("the machine is still up {} minutes later", REBOOT_WITHIN.as_secs() / 60);
                self.not_rebooted(&run, &reason, now, out);
            }
            Stage::Telling { .. } | Stage::Asked { .. } => {}
        }
    }

    pub(super) fn reboot_failed(&mut self, reason: &str, now: BootTime, out: &mut Effects) {
        let Work::Busy(execution) = &self.work else { return };
        if let Phase::Rebooting(Rebooting { run, stage: Stage::Asked { .. }, .. }) = &execution.phase {
            let run = run.clone();
            self.not_rebooted(&run, reason, now, out);
        }
    }

    /// The machine has not restarted: the step has failed.
    fn not_rebooted(&mut self, run: &RunId, reason: &str, now: BootTime, out: &mut Effects) {
        warn!(job = %run.execution, step = run.step + 1, %reason, "No reboot");
        let Work::Busy(execution) = &self.work else { return };
        if matches!(&execution.phase, Phase::Rebooting(Rebooting { over: true, .. })) {
            return self.close(None, now, out);
        }
        let Some(mut outcome) = self.saved_outcome(run) else { return };
        if let Ending::Exited { code } = outcome.ending {
            outcome.ending = Ending::NotRebooted { code, reason: reason.to_owned() };
        }
        self.judge_run(run, outcome, false, now, out);
    }

    fn saved_outcome(&self, run: &RunId) -> Option<StepOutcome> {
        let runs = &self.saved.current()?.runs;
        runs.iter().find(|(saved, _)| saved == run).and_then(|(_, outcome)| outcome.clone())
    }
}

/// Details of an execution that goes on, in a line.
pub(super) fn progress(text: &str) -> StatusDetails {
    StatusDetails::default().with(PROGRESS, text, Text::Readable)
}
