//! The four requests of a device, as the service decides them; how they travel is in `mqtt` and `http`.
//!
//! The checks run in a fixed order and the first that fails answers: the form of the request, a status that no device
//! may set, the execution, the expected version, the state (published captures). A refused request changes nothing.

pub(crate) mod http;
pub(crate) mod mqtt;
mod request;

use jobs_protocol::message::{ErrorCode, JobExecution, JobExecutionState, JobExecutionSummary};
use jobs_protocol::topic::JobSelector;
use jobs_protocol::{ExecutionNumber, ExecutionStatus, JobId, ThingName};
use serde_json::value::RawValue;

use crate::execution::{Execution, Report, StepTimer};
use crate::job::Job;
use crate::notification::pending_lists;
use crate::queue::Place;
use crate::state::Turn;
pub(crate) use request::details;
use request::{Describe, StartNext, Update};

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: ErrorCode,
    pub(crate) message: String,
    /// With VersionMismatch, and with InvalidStateTransition of an execution that is over.
    pub(crate) state: Option<JobExecutionState>,
}

impl Refusal {
    fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), state: None }
    }
}

/// What an update's sender is told.
#[derive(Debug)]
struct Updated {
    state: Option<JobExecutionState>,
    document: Option<Box<RawValue>>,
}

impl Turn<'_> {
    fn known(&self, thing: &ThingName) -> Result<(), Refusal> {
        if self.state.registry.has_thing(thing) {
            Ok(())
        } else {
            Err(Refusal::new(ErrorCode::ResourceNotFound, format!("Thing {thing} cannot be found.")))
        }
    }

    /// GetPendingJobExecutions: in progress, and queued.
    fn get_pending(&self, thing: &ThingName) -> Result<[Vec<JobExecutionSummary>; 2], Refusal> {
        self.known(thing)?;
        Ok(pending_lists(self.state, thing))
    }

    /// StartNextPendingJobExecution. An execution that is in progress already is returned as it is: neither details nor
    /// timer of the request touch it.
    fn start_next(&mut self, thing: &ThingName, request: StartNext) -> Result<Option<JobExecution>, Refusal> {
        self.known(thing)?;
        let Some(place) = self.front(thing) else { return Ok(None) };
        let limit = self.state.jobs.get(&place.job).and_then(|job| job.timeout);
        let now = self.now;
        self.change(&place.job, thing, place.number, |execution| {
            if execution.status == ExecutionStatus::Queued {
                let status = jobs_protocol::ReportedStatus::InProgress;
                let report = Report { status, details: request.details, step_timer: request.step_timer };
                execution.report(report, limit, now);
            }
        });
        Ok(self.shown(thing, &place, true))
    }

    /// DescribeJobExecution.
    fn describe(
        &self,
        thing: &ThingName,
        selector: &JobSelector,
        request: &Describe,
    ) -> Result<Option<JobExecution>, Refusal> {
        let place = match selector {
            JobSelector::Next => {
                self.known(thing)?;
                let Some(place) = self.front(thing) else { return Ok(None) };
                place
            }
            JobSelector::Job(id) => {
                let (_, number, execution) = self.find(thing, id, request.number)?;
                if execution.status.is_terminal() {
                    let message =
                        "Job Execution has reached terminal state. It is neither IN_PROGRESS nor QUEUED";
                    return Err(Refusal::new(ErrorCode::TerminalStateReached, message));
                }
                execution.place(id, number)
            }
        };
        Ok(self.shown(thing, &place, request.with_document))
    }

    /// UpdateJobExecution.
    fn update(&mut self, thing: &ThingName, id: &JobId, request: Update) -> Result<Updated, Refusal> {
        let (job, number, execution) = self.find(thing, id, request.number)?;
        let other_version = request.expected_version.filter(|expected| *expected != execution.version.get());
        if let Some(expected) = other_version {
            let message = format!("Expected version {expected} but found version {}", execution.version);
            let state = Some(execution.state());
            return Err(Refusal { code: ErrorCode::VersionMismatch, message, state });
        }
        if execution.status.is_terminal() {
            let message =
                format!("Job {id} for {thing} has already finished with status {}", execution.status);
            let state = Some(execution.state());
            return Err(Refusal { code: ErrorCode::InvalidStateTransition, message, state });
        }
        let (limit, now) = (job.timeout, self.now);
        let document = request.with_document.then(|| job.document.for_device(self.settings, now));
        let report =
            Report { status: request.status, details: request.details, step_timer: request.step_timer };
        self.change(id, thing, number, |execution| execution.report(report, limit, now));
        let changed = self.state.jobs.get(id).and_then(|job| job.execution(thing, number));
        Ok(Updated { state: changed.filter(|_| request.with_state).map(Execution::state), document })
    }

    /// The newest execution of a job on a thing; another number is not found \[published captures\].
    fn find(
        &self,
        thing: &ThingName,
        id: &JobId,
        wanted: Option<u64>,
    ) -> Result<(&Job, ExecutionNumber, &Execution), Refusal> {
        let job = self.state.jobs.get(id).filter(|_| self.state.registry.has_thing(thing));
        let found = job.and_then(|job| job.newest(thing).map(|(number, execution)| (job, number, execution)));
        found.filter(|(_, number, _)| wanted.is_none_or(|wanted| wanted == number.get())).ok_or_else(|| {
            Refusal::new(ErrorCode::ResourceNotFound, format!("Job {id} not found for {thing}"))
        })
    }

    fn front(&self, thing: &ThingName) -> Option<Place> {
        self.state.queues.get(thing)?.front().cloned()
    }

    fn shown(&self, thing: &ThingName, place: &Place, with_document: bool) -> Option<JobExecution> {
        let job = self.state.jobs.get(&place.job)?;
        let document = with_document.then(|| job.document.for_device(self.settings, self.now));
        Some(job.execution(thing, place.number)?.describe(place, document, self.now))
    }
}
