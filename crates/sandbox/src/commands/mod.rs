//! The commands, each in a file of its own.

mod cancel_job;
mod create_job;
mod delete_job;
mod describe_job_execution;
mod get_pending_job_executions;
mod list_jobs;
mod run_pending;
mod start_next_pending_job_execution;
mod update_job_execution;
mod watch;

pub(crate) use cancel_job::CancelJob;
pub(crate) use create_job::CreateJob;
pub(crate) use delete_job::DeleteJob;
pub(crate) use describe_job_execution::DescribeJobExecution;
pub(crate) use get_pending_job_executions::GetPendingJobExecutions;
pub(crate) use list_jobs::ListJobs;
pub(crate) use run_pending::RunPending;
pub(crate) use start_next_pending_job_execution::StartNextPendingJobExecution;
pub(crate) use update_job_execution::{STATUSES, UpdateJobExecution};
pub(crate) use watch::{Watching, watch};

use jobs_protocol::topic::RequestTopic;
use serde_json::{Map, Value};

use crate::cli::Command;
use crate::control::Call;
use crate::device;
use crate::session::{CommandError, Session};

/// Carries a command out and shows what comes of it.
pub(crate) fn run(command: Command, session: &Session) -> Result<(), CommandError> {
    match command {
        Command::CreateJob(command) => command.run(session),
        Command::DeleteJob(command) => command.run(session),
        Command::CancelJob(command) => command.run(session),
        Command::ListJobs(command) => command.run(session),
        Command::GetPendingJobExecutions(command) => command.run(session),
        Command::StartNextPendingJobExecution(command) => command.run(session),
        Command::DescribeJobExecution(command) => command.run(session),
        Command::UpdateJobExecution(command) => command.run(session),
        Command::RunPending(command) => command.run(session),
    }
}

/// Calls the control plane and shows the answer.
fn call(session: &Session, call: &Call<'_>) -> Result<(), CommandError> {
    let json = session.control(call)?;
    session.screen.response(call.operation(), &json);
    Ok(())
}

/// Asks as the device and shows the answer.
fn ask(session: &Session, request: RequestTopic, body: Map<String, Value>) -> Result<(), CommandError> {
    let operation = device::operation(&request);
    let json = session.ask(request, body)?;
    session.screen.response(operation, &json);
    Ok(())
}

/// The members of a request.
fn body<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
