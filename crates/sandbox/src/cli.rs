//! The command line. The subcommands are the commands of the interactive session as well.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use jobs_protocol::ThingName;

use crate::commands::{
    CancelJob, CreateJob, DeleteJob, DescribeJobExecution, GetPendingJobExecutions, ListJobs, RunPending,
    StartNextPendingJobExecution, UpdateJobExecution,
};

/// Try things out with AWS IoT Jobs: commands of both sides of a job.
///
/// Without a command it reads commands from the terminal, or line by line from standard input.
#[derive(Debug, Parser)]
#[command(name = "fleethand-sandbox", version)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) flags: Flags,
    #[command(subcommand)]
    pub(crate) command: Option<OneShot>,
}

/// Where the service is, and who we are there. What is given here wins over the configuration file.
#[derive(Debug, Default, Clone, Args)]
#[command(next_help_heading = "Service and device")]
pub(crate) struct Flags {
    /// An agent's configuration file, or a directory that `fleethand-local init` has made.
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) config_file: Option<PathBuf>,
    /// MQTT endpoint: a host name.
    #[arg(long, global = true, value_name = "HOST")]
    pub(crate) endpoint: Option<String>,
    /// MQTT port [default: the configuration's, else 8883].
    #[arg(long, global = true)]
    pub(crate) port: Option<u16>,
    /// The device's certificate, PEM.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) cert: Option<PathBuf>,
    /// Its private key, PEM.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// The authority that the service's certificate must come from, PEM [default: the system's].
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) root_ca: Option<PathBuf>,
    /// The thing to act for.
    #[arg(long, alias = "thing", global = true, value_name = "NAME")]
    pub(crate) thing_name: Option<ThingName>,
    /// MQTT client id [default: the thing name and `-sandbox-` and eight random digits].
    #[arg(long, global = true, value_name = "ID")]
    pub(crate) client_id: Option<String>,
    /// URL of the local service's HTTP API [default: http://127.0.0.1:8080 if the MQTT endpoint is this machine].
    ///
    /// It is called without signatures. The variable AWS_ENDPOINT_URL_IOT names a service as well; if this program is
    /// built for AWS, that one is called as AWS is.
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) control_endpoint: Option<String>,
    /// AWS region [default: that in the name of the MQTT endpoint, else as the AWS CLI finds it].
    #[cfg(feature = "aws")]
    #[arg(long, global = true)]
    pub(crate) region: Option<String>,
    /// Show job and job execution events too. Switches them on at the service (for the whole account).
    #[arg(long, global = true)]
    pub(crate) events: bool,
}

/// What can be done without a session.
#[derive(Debug, Subcommand)]
pub(crate) enum OneShot {
    #[command(flatten)]
    Command(Command),
    /// Shows the executions of the thing as they change, until interrupted.
    Watch,
}

/// A command.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    CreateJob(CreateJob),
    DeleteJob(DeleteJob),
    CancelJob(CancelJob),
    ListJobs(ListJobs),
    GetPendingJobExecutions(GetPendingJobExecutions),
    StartNextPendingJobExecution(StartNextPendingJobExecution),
    DescribeJobExecution(DescribeJobExecution),
    UpdateJobExecution(UpdateJobExecution),
    RunPending(RunPending),
}
