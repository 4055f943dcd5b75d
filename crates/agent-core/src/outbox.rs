//! The update that is owed to the service: repeated until it is answered, and what an answer means.

use jobs_protocol::message::{ErrorCode, Rejection, StepTimeout, UpdateRequest};
use jobs_protocol::{ClientToken, ExecutionStatus, ReportedStatus, StatusDetails, VersionNumber};

use crate::backoff::Dice;
use crate::inquiry::Inquiry;
use crate::{BootTime, ExecutionId};

/// An update that the service has not answered yet. One at a time for an execution.
#[derive(Debug)]
pub(crate) struct Owed {
    pub(crate) execution: ExecutionId,
    pub(crate) version: VersionNumber,
    status: ReportedStatus,
    details: StatusDetails,
    step_timeout: Option<StepTimeout>,
    /// One token for every attempt: a late answer to the first is an answer.
    token: ClientToken,
    wording: Wording,
    inquiry: Inquiry,
    /// Versions that were taken over in a row without success: an endless dispute must slow down.
    mismatches: u32,
}

/// How the details are worded; the service may have refused them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wording {
    AsWritten,
    Strict,
    None,
}

/// What a rejection means for the update.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reaction {
    /// It will be sent again.
    Again,
    /// An earlier attempt has arrived: it is done.
    Done,
    /// The execution is over at the service, without us.
    Over,
    /// The service does not know the execution, or a part of it does not.
    Gone,
    /// The service must be asked what it believes.
    Doubt,
}

impl Owed {
    pub(crate) fn new(
        execution: ExecutionId,
        version: VersionNumber,
        status: ReportedStatus,
        details: StatusDetails,
        step_timeout: Option<StepTimeout>,
        now: BootTime,
        dice: &mut Dice,
    ) -> Self {
        let mut inquiry = Inquiry::default();
        inquiry.due_at(now);
        let token = dice.token();
        Self {
            execution,
            version,
            status,
            details,
            step_timeout,
            token,
            wording: Wording::AsWritten,
            inquiry,
            mismatches: 0,
        }
    }

    /// Whether an answer with this token is for this update.
    pub(crate) fn is_answered_by(&self, token: Option<&ClientToken>) -> bool {
        token == Some(&self.token)
    }

    pub(crate) fn link_lost(&mut self, now: BootTime) {
        self.inquiry.link_lost(now);
    }

    /// The link is back: waits no longer.
    pub(crate) fn hurry(&mut self, now: BootTime) {
        self.inquiry.restart_at(now);
    }

    pub(crate) fn deadline(&self) -> Option<BootTime> {
        self.inquiry.deadline()
    }

    /// The request, if it is time to send it.
    pub(crate) fn poll(&mut self, now: BootTime, dice: &mut Dice) -> Option<UpdateRequest> {
        let token = self.inquiry.poll(now, dice, Some(self.token.clone()))?;
        Some(UpdateRequest {
            status: self.status,
            status_details: match self.wording {
                Wording::AsWritten if self.details.is_empty() => None,
                Wording::AsWritten => Some(self.details.clone()),
                Wording::Strict => Some(self.details.stricter()),
                Wording::None => None,
            },
            expected_version: Some(self.version),
            execution_number: Some(self.execution.number),
            include_job_execution_state: true,
            include_job_document: false,
            step_timeout_in_minutes: self.step_timeout,
            client_token: Some(token),
        })
    }

    /// Takes in that the update was refused.
    pub(crate) fn rejected(&mut self, rejection: &Rejection, now: BootTime, dice: &mut Dice) -> Reaction {
        let state = rejection.execution_state.as_ref();
        match rejection.code {
            ErrorCode::ResourceNotFound => {
                self.inquiry.postpone(now, dice);
                Reaction::Gone
            }
            ErrorCode::TerminalStateReached => Reaction::Over,
            ErrorCode::VersionMismatch | ErrorCode::InvalidStateTransition => match state {
                Some(state) if state.status.is_terminal() => {
                    if state.status == ExecutionStatus::from(self.status) {
                        Reaction::Done
                    } else {
                        Reaction::Over
                    }
                }
                Some(state) if state.version_number > self.version => {
                    self.version = state.version_number;
                    self.mismatches = self.mismatches.saturating_add(1);
                    if self.mismatches > 1 {
                        self.inquiry.postpone(now, dice);
                    } else {
                        self.inquiry.restart_at(now);
                    }
                    Reaction::Again
                }
                // Versions only grow: a lower one is that of another execution under the same name.
                _ => {
                    self.inquiry.postpone(now, dice);
                    Reaction::Doubt
                }
            },
            ErrorCode::InvalidRequest if self.wording != Wording::None && !self.details.is_empty() => {
                self.wording =
                    if self.wording == Wording::AsWritten { Wording::Strict } else { Wording::None };
                self.inquiry.restart_at(now);
                Reaction::Again
            }
            // What cannot be mended from here is sent again, ever more slowly: somebody may mend it over there.
            ErrorCode::InvalidRequest
            | ErrorCode::InvalidJson
            | ErrorCode::InvalidTopic
            | ErrorCode::InternalError
            | ErrorCode::RequestThrottled
            | ErrorCode::Unknown => {
                self.inquiry.postpone(now, dice);
                Reaction::Again
            }
        }
    }
}
