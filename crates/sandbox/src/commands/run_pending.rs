//! `run-pending`: what an agent does, without doing anything. It shows what is pending, takes one execution after the other
//! to IN_PROGRESS, reports some progress and then the end.

use std::sync::mpsc::Receiver;
use std::time::Duration;

use clap::Args;
use jobs_protocol::ExecutionStatus;
use jobs_protocol::message::{ExecutionAccepted, JobExecution, StepTimeout};
use jobs_protocol::topic::RequestTopic;
use serde_json::{Map, json};

use super::{ask, body};

use crate::device::{self, DeviceError, News};
use crate::session::{CommandError, Session, understood};

/// Reports of progress on the way.
const STAGES: u32 = 3;
/// What the service's timer for a step gives beyond the time that the work takes.
const MARGIN: Duration = Duration::from_secs(60);

/// Pretends to run what is pending: reports progress and then SUCCEEDED.
#[derive(Debug, Args)]
pub(crate) struct RunPending {
    /// Ends when nothing is pending any more, instead of waiting for more. In a session it always does.
    #[arg(long)]
    once: bool,
    /// Reports FAILED at the end.
    #[arg(long)]
    fail: bool,
    /// How long the work on one job is said to take.
    #[arg(long, default_value_t = 3, value_name = "N")]
    seconds: u32,
}

impl RunPending {
    pub(super) fn run(self, session: &Session) -> Result<(), CommandError> {
        let once = self.once || session.screen.in_session();
        let news = session.hear();
        session.device()?.settle()?;
        ask(session, RequestTopic::GetPending, Map::new())?;
        while !session.screen.is_lost() {
            match self.start_next(session) {
                Ok(Some(execution)) => self.pretend(session, &execution)?,
                Ok(None) if once => {
                    session.screen.note("Nothing is pending.");
                    return Ok(());
                }
                Ok(None) => {
                    session.screen.note("Nothing is pending; waiting.");
                    wait(session, &news, |told| matches!(told, News::Event(..) | News::Connected));
                }
                Err(CommandError::Device(DeviceError::NotConnected { reason })) if !once => {
                    session.screen.note(&format!("Not connected: {reason}"));
                    wait(session, &news, |told| matches!(told, News::Connected));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn start_next(&self, session: &Session) -> Result<Option<JobExecution>, CommandError> {
        let request = RequestTopic::StartNext;
        let operation = device::operation(&request);
        let json = session.ask(request, body([("stepTimeoutInMinutes", json!(self.step_timeout()))]))?;
        let started: ExecutionAccepted = understood(operation, &json)?;
        if started.execution.is_some() {
            session.screen.response(operation, &json);
        }
        Ok(started.execution)
    }

    /// Works on one execution; whoever takes it away from us ends the work, not the command.
    fn pretend(&self, session: &Session, execution: &JobExecution) -> Result<(), CommandError> {
        let job = &execution.job_id;
        let mut version = execution.version_number;
        let mut update = |status: &str, progress: u32| {
            let members = body([
                ("status", json!(status)),
                ("statusDetails", json!({ "progress": format!("{progress}%") })),
                ("expectedVersion", json!(version)),
                ("executionNumber", json!(execution.execution_number)),
                ("stepTimeoutInMinutes", json!(self.step_timeout())),
            ]);
            version = version.next();
            session.ask(RequestTopic::Update(job.clone()), members)
        };
        for stage in 1..=STAGES {
            std::thread::sleep(Duration::from_secs(self.seconds.into()) / STAGES);
            let outcome = match stage {
                STAGES if self.fail => update("FAILED", 100 * (stage - 1) / STAGES),
                STAGES => update("SUCCEEDED", 100),
                _ => update("IN_PROGRESS", 100 * stage / STAGES),
            };
            match outcome {
                Ok(json) => session.screen.response("UpdateJobExecution", &json),
                Err(CommandError::Device(error)) if taken_away(&error) => {
                    session.screen.error(&format!("{job} is no longer ours: {error}"));
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn step_timeout(&self) -> StepTimeout {
        let work = Duration::from_secs(self.seconds.into()) + MARGIN;
        StepTimeout::covering(u64::try_from(work.as_millis()).unwrap_or(u64::MAX))
    }
}

/// Cancelled, timed out or deleted in the meantime.
fn taken_away(error: &DeviceError) -> bool {
    match error {
        DeviceError::Refused { refusal, .. } => {
            refusal.code == "ResourceNotFound" || refusal.status.is_some_and(ExecutionStatus::is_terminal)
        }
        DeviceError::NotConnected { .. }
        | DeviceError::Lost { .. }
        | DeviceError::NoAnswer { .. }
        | DeviceError::NotSent { .. }
        | DeviceError::Strange { .. }
        | DeviceError::Ended => false,
    }
}

fn wait(session: &Session, news: &Receiver<News>, enough: impl Fn(&News) -> bool) {
    while let Ok(told) = news.recv() {
        session.screen.overheard(&told);
        if enough(&told) {
            return;
        }
    }
}
