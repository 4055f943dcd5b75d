//! From an offer of the service to the decision to work on it, or not.

use jobs_protocol::document::{Form, InvalidDocument, JobDocument};
use jobs_protocol::message::JobExecution;
use jobs_protocol::{ExecutionStatus, VersionNumber};
use tracing::{debug, info, warn};

use super::{Agent, Candidate, Effects, Execution, NEWS_WITHIN, Phase, Work};
use crate::journal::{Finished, Record};
use crate::pending::{Next, id_of};
use crate::report::{interrupted, rejected};
use crate::verdict::{step_at, subject};
use crate::{BootTime, Details, Effect, ExecutionId, Refused};

impl Agent {
    /// Nothing is in hand: the news about the next execution is here, or on its way, or is asked for.
    pub(super) fn look_for_next(&mut self, now: BootTime, out: &mut Effects) {
        if !self.strangers.is_empty() {
            return;
        }
        match self.pending.take_next() {
            Next::Offer(offer) => self.consider(*offer, false, now, out),
            Next::Nothing => self.ask_anyway(now),
            Next::Unknown => self.next.due_at(now.after(NEWS_WITHIN)),
        }
    }

    /// Takes up the front of the list, if it is known and nothing is in hand.
    pub(super) fn consider_next(&mut self, fresh: bool, now: BootTime, out: &mut Effects) {
        if self.leaving.is_some() || !self.strangers.is_empty() || !matches!(self.work, Work::Idle) {
            return;
        }
        match self.pending.take_next() {
            Next::Unknown | Next::Nothing => {}
            Next::Offer(offer) => self.consider(*offer, fresh, now, out),
        }
    }

    /// Other handlers run, or no longer. What waits at the service goes on waiting there; what has been accepted is
    /// started afterwards.
    pub(super) fn strangers_run(&mut self, running: Vec<String>, now: BootTime, out: &mut Effects) {
        self.strangers = running;
        if !self.strangers.is_empty() {
            return;
        }
        match self.work {
            Work::Idle => self.next.due_at(now),
            Work::Busy(_) => self.start_if_agreed(now, out),
            Work::Inspecting(_) => {}
        }
    }

    fn consider(&mut self, offer: JobExecution, fresh: bool, now: BootTime, out: &mut Effects) {
        // What was offered before a gap has been forgotten with the link.
        self.gap = false;
        let id = id_of(&offer);
        // A notification, or an offer that has waited here, may be older than the list that was heard last. And nothing
        // is refused for what a notification has left out.
        let is_outdated = self.pending.count() > 0 && !self.pending.lists(&id);
        if !fresh && (is_outdated || offer.job_document.is_none()) {
            debug!(job = %id, is_outdated, "Offered, and not in the list or without a document: asking the service");
            self.next.due_at(now);
            return;
        }
        if let Some(finished) = self.saved.finished(&id).cloned() {
            if !fresh {
                debug!(job = %id, "Offered again although it is finished: asking the service");
                self.next.due_at(now);
                return;
            }
            let created_anew =
                offer.status == ExecutionStatus::Queued && offer.version_number < finished.version;
            if !created_anew {
                self.report_again(finished, offer.version_number, now);
                return;
            }
        }
        match offer.status {
            ExecutionStatus::Queued => self.consider_queued(id, offer, now, out),
            ExecutionStatus::InProgress => self.consider_unknown_running(id, offer, now, out),
            ExecutionStatus::Succeeded
            | ExecutionStatus::Failed
            | ExecutionStatus::TimedOut
            | ExecutionStatus::Rejected
            | ExecutionStatus::Removed
            | ExecutionStatus::Canceled
            | ExecutionStatus::Unknown => {
                if self.ignored.has_line(now) {
                    warn!(job = %id, status = %offer.status, "Offered in a status that cannot be worked on: asking again later");
                }
                self.next.postpone(now, &mut self.dice);
            }
        }
    }

    fn consider_queued(&mut self, id: ExecutionId, offer: JobExecution, now: BootTime, out: &mut Effects) {
        let version = offer.version_number;
        let (text, document) = match read_document(offer) {
            Ok(read) => read,
            Err(invalid) => {
                let reason = self.about_a_document(&invalid);
                return self.decide(id, version, rejected(&reason), None, now, out);
            }
        };
        if let Err(reason) = self.conditions_hold(&document) {
            return self.decide(id, version, rejected(&reason), None, now, out);
        }
        let steps = document.steps.iter().chain(&document.final_step).cloned().collect();
        out.push(Effect::Inspect { execution: id.clone(), steps });
        self.work = Work::Inspecting(Box::new(Candidate { id, version, text, document }));
    }

    /// At work at the service, and unknown here: nobody can know what has run of it.
    fn consider_unknown_running(
        &mut self,
        id: ExecutionId,
        offer: JobExecution,
        now: BootTime,
        out: &mut Effects,
    ) {
        let version = offer.version_number;
        if let Ok((text, document)) = read_document(offer) {
            if document.steps.iter().chain(&document.final_step).all(|step| self.may_rerun(step, 1)) {
                warn!(job = %id, "In progress at the service and unknown here: run again, as its policy says");
                self.accept(Candidate { id, version, text, document }, 2, now, out);
                return;
            }
        }
        let reason = "interrupted: the execution was in progress, but this agent has no record of it; \
                      nobody knows whether or how far it ran; it was not run again";
        self.decide(id, version, interrupted(reason), None, now, out);
    }

    /// Why a document cannot be run, for whoever has sent it.
    fn about_a_document(&self, invalid: &InvalidDocument) -> String {
        match self.settings.details {
            Details::DeviceClient => {
                format!(
                    "Unable to execute job, invalid job document provided! {}: {}",
                    invalid.member, invalid.problem
                )
            }
            Details::Tail | Details::HeadAndTail => invalid.to_string(),
        }
    }

    fn conditions_hold(&self, document: &JobDocument) -> Result<(), String> {
        for condition in &document.conditions {
            match self.settings.facts.get(&condition.key) {
                Some(fact) if condition.values.contains(fact) => {}
                Some(fact) => {
                    return Err(format!(
                        "condition not met: {} is `{}` here, wanted one of {:?}",
                        condition.key, fact, condition.values
                    ));
                }
                None => {
                    return Err(format!(
                        "condition not met: `{}` is no known fact of this device",
                        condition.key
                    ));
                }
            }
        }
        Ok(())
    }

    pub(super) fn inspected(
        &mut self,
        execution: &ExecutionId,
        refused: Option<Refused>,
        now: BootTime,
        out: &mut Effects,
    ) {
        match std::mem::replace(&mut self.work, Work::Idle) {
            Work::Inspecting(candidate) if candidate.id == *execution => match refused {
                None => self.accept(*candidate, 1, now, out),
                Some(Refused { step, reason }) => {
                    let reason = match step_at(&candidate.document, step) {
                        Some(named) if candidate.document.form == Form::Steps => {
                            format!("{}: {reason}", subject(&candidate.document, step, named))
                        }
                        _ => reason,
                    };
                    self.decide(candidate.id, candidate.version, rejected(&reason), None, now, out);
                }
            },
            other @ (Work::Idle | Work::Inspecting(_) | Work::Busy(_)) => {
                debug!(job = %execution, "An inspection that nobody waits for");
                self.work = other;
            }
        }
    }

    /// Will work on it: that is saved, then the service is asked to agree.
    fn accept(&mut self, candidate: Candidate, attempt: u32, now: BootTime, out: &mut Effects) {
        let Candidate { id, version, text, document } = candidate;
        info!(job = %id, "Job accepted");
        self.save(Record::Accepted { execution: id.clone(), version, document: text }, out);
        self.work = Work::Busy(Box::new(Execution {
            id,
            version,
            document: Some(document),
            ended: Vec::new(),
            owed: None,
            timer_set_at: None,
            suspicion: false,
            phase: Phase::Announcing { step: 0, attempt },
        }));
        self.owe_progress(0, now);
    }

    /// Finished here, and still open at the service: its verdict is sent again, and nothing is run.
    pub(super) fn report_again(&mut self, finished: Finished, version: VersionNumber, now: BootTime) {
        let Finished { execution, verdict, .. } = finished;
        warn!(job = %execution, "Finished here, but still open at the service: reporting it again");
        let verdict =
            verdict.unwrap_or_else(|| interrupted("it was stopped here because the service had ended it"));
        self.owe_report(execution, version, verdict, None, now);
    }
}

/// The document of an offer, as text and read; or why it cannot be run.
fn read_document(offer: JobExecution) -> Result<(String, JobDocument), InvalidDocument> {
    let Some(raw) = offer.job_document else {
        return Err(InvalidDocument { member: "document".to_owned(), problem: "is missing".to_owned() });
    };
    let document = JobDocument::parse(raw.get())?;
    Ok((raw.get().to_owned(), document))
}
