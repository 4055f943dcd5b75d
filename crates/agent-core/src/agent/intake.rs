//! What comes in from the service: read, checked against what was asked, and turned into news.

use jobs_protocol::message::{
    ErrorCode, ExecutionAccepted, JobExecution, Rejection, ServiceMessage, UpdateAccepted,
};
use jobs_protocol::topic::{JobSelector, JobsTopic, RequestTopic};
use jobs_protocol::{ExecutionStatus, JobId};
use tracing::{debug, info, warn};

use super::{Agent, Effects, NEWS_WITHIN, Phase, Work};
use crate::BootTime;
use crate::outbox::Reaction;
use crate::pending::{Next, id_of};

impl Agent {
    /// A message of any content. Nothing in it may do more than be logged once if it is not what it should
    /// be, and not even that if there are many.
    pub(super) fn heard(&mut self, topic: &str, payload: &[u8], now: BootTime, out: &mut Effects) {
        let (thing, kind) = match JobsTopic::parse(topic) {
            Ok(parsed) => parsed,
            Err(error) => {
                if self.ignored.has_line(now) {
                    let topic: String = topic.chars().take(256).collect();
                    warn!(topic = %topic.escape_debug(), %error, "Message ignored");
                }
                return;
            }
        };
        if thing != self.settings.thing_name {
            if self.ignored.has_line(now) {
                warn!(%thing, "Message ignored: it is for another thing");
            }
            return;
        }
        let topic = kind.to_string();
        let message = match ServiceMessage::parse(kind, payload) {
            Ok(message) => message,
            Err(error) => {
                if self.ignored.has_line(now) {
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    // Without a cause the field is left out.
                    warn!(topic, bytes = payload.len(), %error, cause, "Message ignored");
                }
                return;
            }
        };
        self.understood(message, now, out);
    }

    fn understood(&mut self, message: ServiceMessage, now: BootTime, out: &mut Effects) {
        match message {
            ServiceMessage::Notify(notify) => {
                self.pending.heard_notify(notify);
                self.list_heard(now);
            }
            ServiceMessage::NotifyNext(notify) => {
                self.ask_anyway(now);
                self.pending.heard_next(notify.execution);
                self.front_heard(false, now, out);
            }
            ServiceMessage::Pending(reply) => {
                if self.list.settles(reply.client_token.as_ref()) {
                    self.list.satisfied();
                    self.pending.heard_get(reply);
                    self.list_heard(now);
                } else {
                    self.unasked("get/accepted", reply.client_token.as_ref(), now);
                }
            }
            ServiceMessage::Described(JobSelector::Next, reply) => {
                if self.next.settles(reply.client_token.as_ref()) {
                    if reply.execution.as_ref().is_none_or(|execution| can_be_worked_on(execution.status)) {
                        self.next.satisfied();
                    }
                    self.ask_anyway(now);
                    self.pending.heard_next(reply.execution);
                    self.front_heard(true, now, out);
                } else {
                    self.unasked("$next/get/accepted", reply.client_token.as_ref(), now);
                }
            }
            ServiceMessage::Described(JobSelector::Job(job), reply) => self.described(&job, reply, now, out),
            ServiceMessage::Updated(job, reply) => self.updated(&job, &reply, now, out),
            ServiceMessage::Rejected(request, rejection) => self.refused(&request, &rejection, now, out),
            ServiceMessage::StartedNext(reply) => {
                self.unasked("start-next/accepted", reply.client_token.as_ref(), now);
            }
        }
    }

    /// The pending list has been heard. Absence from it proves nothing, but is worth a question.
    fn list_heard(&mut self, now: BootTime) {
        match &self.work {
            Work::Idle if self.pending.count() > 0 => self.next.due_at(now.after(NEWS_WITHIN)),
            Work::Busy(execution) if !self.pending.lists(&execution.id) => {
                // What goes out now would be taken for the other one's: the service is asked first.
                self.gap |= self.pending.lists_newer_namesake(&execution.id);
                self.doubt_current(now);
            }
            Work::Idle | Work::Inspecting(_) | Work::Busy(_) => {}
        }
    }

    /// The front of the list has been heard: in answer to a question, or by a notification of unknown age.
    fn front_heard(&mut self, fresh: bool, now: BootTime, out: &mut Effects) {
        match &self.work {
            Work::Idle => self.consider_next(fresh, now, out),
            Work::Inspecting(_) => {}
            Work::Busy(execution) => {
                let current = execution.id.clone();
                match self.pending.take_next() {
                    Next::Offer(offer) if id_of(&offer) == current => self.current_heard(&offer, now, out),
                    // Kept: when the execution in hand is over, this is the next one.
                    Next::Offer(offer) => {
                        let heard = id_of(&offer);
                        self.gap |= heard.same_name(&current) && heard.queued_at > current.queued_at;
                        self.pending.heard_next(Some(*offer));
                        self.doubt_current(now);
                    }
                    Next::Nothing | Next::Unknown => {
                        self.pending.heard_next(None);
                        self.doubt_current(now);
                    }
                }
            }
        }
    }

    /// Asks the service about the execution in hand, unless its end is on the way there anyway.
    fn doubt_current(&mut self, now: BootTime) {
        let Work::Busy(execution) = &self.work else { return };
        match execution.phase {
            Phase::Announcing { .. } | Phase::Adopting { .. } | Phase::Running(_) | Phase::Rebooting(_) => {
                self.doubt.due_at(now);
            }
            Phase::Reporting(_) => {}
        }
    }

    /// News of the execution in hand, from the service itself.
    fn current_heard(&mut self, heard: &JobExecution, now: BootTime, out: &mut Effects) {
        if heard.status.is_terminal() {
            self.over_at_service(now, out);
            return;
        }
        let Work::Busy(execution) = &mut self.work else { return };
        if execution.owed.is_none() {
            execution.version = execution.version.max(heard.version_number);
        }
    }

    /// The service has said when its timers end the execution in hand. Only an answer that is younger than the last
    /// update counts: an older one is about the step timer before, which may be that of a much shorter step.
    fn timers_heard(&mut self, heard: &JobExecution, now: BootTime) {
        let Work::Busy(execution) = &mut self.work else { return };
        if let (Phase::Running(running), Some(seconds)) =
            (&mut execution.phase, heard.approximate_seconds_before_timed_out)
        {
            running.limit_at =
                Some(now.after(super::work::before_the_services_timer(seconds, self.settings.grace)));
            running.limit_outdated = execution.owed.is_some();
        }
    }

    fn described(&mut self, job: &JobId, reply: ExecutionAccepted, now: BootTime, out: &mut Effects) {
        if !self.doubt.settles(reply.client_token.as_ref()) {
            self.unasked(&format!("{job}/get/accepted"), reply.client_token.as_ref(), now);
            return;
        }
        let Work::Busy(current) = &mut self.work else { return };
        match reply.execution {
            // Queued within the same second: the version, which only ever grows, tells the two apart.
            Some(heard) if id_of(&heard) == current.id && heard.version_number < current.version => {
                if self.is_confirmed(now) {
                    info!("The service has given the number of the job in hand to a new execution");
                    self.over_at_service(now, out);
                }
            }
            Some(heard) if id_of(&heard) == current.id => {
                self.gap = false;
                current.suspicion = false;
                self.doubt.satisfied();
                // The service has been asked, so its version counts, also for an update whose answer was lost.
                if let (Some(owed), false) = (&mut current.owed, heard.status.is_terminal()) {
                    owed.version = heard.version_number;
                }
                self.current_heard(&heard, now, out);
                self.timers_heard(&heard, now);
                self.start_if_agreed(now, out);
            }
            Some(heard) if id_of(&heard).same_name(&current.id) && heard.queued_at > current.id.queued_at => {
                info!(job = %current.id, "The service has given its number to a new execution");
                self.over_at_service(now, out);
            }
            Some(_) | None => {
                debug!(job = %current.id, "The service has not answered for this execution: asking again");
                self.doubt.postpone(now, &mut self.dice);
            }
        }
    }

    /// The service had agreed before the doubt about the execution was settled.
    pub(super) fn start_if_agreed(&mut self, now: BootTime, out: &mut Effects) {
        let Work::Busy(execution) = &self.work else { return };
        let waits = matches!(execution.phase, Phase::Announcing { .. } | Phase::Rebooting(_));
        if waits && execution.owed.is_none() {
            self.update_landed(now, out);
        }
    }

    fn updated(&mut self, job: &JobId, reply: &UpdateAccepted, now: BootTime, out: &mut Effects) {
        let token = reply.client_token.as_ref();
        let Work::Busy(execution) = &mut self.work else {
            return self.unasked(&format!("{job}/update/accepted"), token, now);
        };
        let owed =
            execution.owed.as_ref().filter(|owed| owed.is_answered_by(token) && execution.id.job == *job);
        let Some(owed) = owed else { return self.unasked(&format!("{job}/update/accepted"), token, now) };
        execution.version =
            reply.execution_state.as_ref().map_or_else(|| owed.version.next(), |state| state.version_number);
        let reports_the_end = matches!(execution.phase, Phase::Reporting(_));
        execution.owed = None;
        execution.timer_set_at = Some(now);
        self.doubt.outdated(now);
        match &reply.execution_state {
            // Taken, and over since: what is in the answer is what has become of it.
            Some(state) if state.status.is_terminal() && !reports_the_end => self.over_at_service(now, out),
            Some(_) | None => self.update_landed(now, out),
        }
    }

    fn refused(&mut self, request: &RequestTopic, rejection: &Rejection, now: BootTime, out: &mut Effects) {
        let token = rejection.client_token.as_ref();
        match request {
            RequestTopic::Describe(JobSelector::Next) if self.next.is_mine(token) => {
                log_refusal(request, rejection);
                self.next.postpone(now, &mut self.dice);
            }
            RequestTopic::GetPending if self.list.is_mine(token) => {
                log_refusal(request, rejection);
                self.list.postpone(now, &mut self.dice);
            }
            RequestTopic::Describe(JobSelector::Job(_)) if self.doubt.is_mine(token) => {
                match rejection.code {
                    ErrorCode::ResourceNotFound if !self.is_confirmed(now) => {}
                    ErrorCode::ResourceNotFound | ErrorCode::TerminalStateReached => {
                        self.doubt.drop_it();
                        self.over_at_service(now, out);
                    }
                    ErrorCode::InvalidTopic
                    | ErrorCode::InvalidJson
                    | ErrorCode::InvalidRequest
                    | ErrorCode::InvalidStateTransition
                    | ErrorCode::VersionMismatch
                    | ErrorCode::InternalError
                    | ErrorCode::RequestThrottled
                    | ErrorCode::Unknown => {
                        log_refusal(request, rejection);
                        self.doubt.postpone(now, &mut self.dice);
                    }
                }
            }
            RequestTopic::Update(job) => self.update_refused(job, rejection, now, out),
            RequestTopic::GetPending | RequestTopic::StartNext | RequestTopic::Describe(_) => {
                self.unasked(&format!("{request}/rejected"), token, now);
            }
        }
    }

    fn runs_a_handler(&self) -> bool {
        matches!(&self.work, Work::Busy(execution) if matches!(execution.phase, Phase::Running(_)))
    }

    /// Whether an answer has come for the second time that says that the execution in hand is gone. One alone may be
    /// from a part of the service that lags behind: then it is asked again soon, and no good handler is stopped.
    fn is_confirmed(&mut self, now: BootTime) -> bool {
        let Work::Busy(execution) = &mut self.work else { return false };
        let confirmed = std::mem::replace(&mut execution.suspicion, true);
        if !confirmed {
            self.doubt.restart_at(now.after(NEWS_WITHIN));
        }
        confirmed
    }

    /// A version that is taken over before anything was started is of an earlier attempt, or of another execution that
    /// bears the name: the start waits until the service has said which.
    fn doubt_foreign_version(&mut self, code: ErrorCode, now: BootTime) {
        let disputed = matches!(code, ErrorCode::VersionMismatch | ErrorCode::InvalidStateTransition);
        let Work::Busy(execution) = &self.work else { return };
        if disputed && matches!(execution.phase, Phase::Announcing { .. }) {
            self.doubt.due_at(now);
        }
    }

    /// An execution that was taken for a new one under an old name has turned out to be the old one: its version has
    /// not begun anew.
    fn recognise_finished(&mut self, now: BootTime) {
        let Work::Busy(execution) = &self.work else { return };
        let (Phase::Announcing { .. }, Some(owed)) = (&execution.phase, &execution.owed) else { return };
        let version = owed.version;
        if let Some(finished) =
            self.saved.finished(&execution.id).filter(|finished| version >= finished.version)
        {
            self.report_again(finished.clone(), version, now);
        }
    }

    fn update_refused(&mut self, job: &JobId, rejection: &Rejection, now: BootTime, out: &mut Effects) {
        let token = rejection.client_token.as_ref();
        let dice = &mut self.dice;
        let owed = match &mut self.work {
            Work::Busy(execution) if execution.id.job == *job => execution.owed.as_mut(),
            Work::Busy(_) | Work::Idle | Work::Inspecting(_) => None,
        };
        let Some(owed) = owed.filter(|owed| owed.is_answered_by(token)) else {
            return self.unasked(&format!("{job}/update/rejected"), token, now);
        };
        log_refusal(&RequestTopic::Update(job.clone()), rejection);
        match owed.rejected(rejection, now, dice) {
            Reaction::Again => {
                self.doubt_foreign_version(rejection.code, now);
                self.recognise_finished(now);
            }
            Reaction::Doubt => self.doubt.restart_at(now),
            // No good handler is stopped on one word alone; where none runs, the ledger mends a mistake.
            Reaction::Gone if self.runs_a_handler() && !self.is_confirmed(now) => {}
            Reaction::Over | Reaction::Gone => self.over_at_service(now, out),
            Reaction::Done => {
                if let Work::Busy(execution) = &mut self.work {
                    execution.owed = None;
                    if let Some(state) = &rejection.execution_state {
                        execution.version = state.version_number;
                    }
                }
                self.update_landed(now, out);
            }
        }
    }
}

/// Whether the front of the list is in a status that it should be in.
fn can_be_worked_on(status: ExecutionStatus) -> bool {
    matches!(status, ExecutionStatus::Queued | ExecutionStatus::InProgress)
}

fn log_refusal(request: &RequestTopic, rejection: &Rejection) {
    let message: String = rejection.message.chars().take(200).collect();
    warn!(%request, code = ?rejection.code, message = %message.escape_debug(), "The service refused a request");
}
