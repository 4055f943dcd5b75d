//! `cargo xtask bench-fleet`: what a fleet costs the local service as it grows: memory for each device that is connected
//! over TLS, and time and memory for each job that is created. The same for MiniStack, another Jobs service, if its
//! program is named. A report and not a test; medians and ratios, because machines differ.

mod device;
mod measure;
mod mqtt;
mod subject;

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::cargo::{self, Programs};
use crate::error::TaskError;
use crate::interrupt::Interrupt;

use measure::{Extent, Report};
use subject::Subject;

/// What is asked of the task.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Devices that are connected at the same time.
    #[arg(long, default_value_t = 5000)]
    devices: usize,
    /// Jobs that are created, each for one of the devices in turn.
    #[arg(long, default_value_t = 100_000)]
    jobs: usize,
    /// Measure the `fleethand-local` of this directory instead of building it.
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
    /// The program `ministack` (PyPI), for the same figures of another service.
    #[arg(long, value_name = "FILE")]
    ministack: Option<PathBuf>,
}

/// The other service is given so long at most; what it has done by then is what is told.
const PATIENCE_WITH_OTHERS: Duration = Duration::from_secs(240);

/// Measures and prints.
pub(crate) fn run(arguments: &Arguments, interrupt: &Interrupt) -> Result<(), TaskError> {
    let programs = if let Some(directory) = &arguments.programs {
        Programs::of_directory(directory)?
    } else {
        println!("Building the release of fleethand and fleethand-local");
        cargo::build(true)?
    };
    allow_connections(arguments.devices)?;
    println!("{}", crate::machine::describe());
    let extent = Extent { devices: arguments.devices, jobs: arguments.jobs, budget: None };
    let ours = measure(&programs.service, None, &extent, interrupt)?;
    let Some(program) = &arguments.ministack else {
        println!("\nMiniStack is not measured: --ministack names no program.");
        return Ok(());
    };
    // A tenth of the devices and a fiftieth of the jobs: a service in Python is not what those numbers are for.
    let extent = Extent {
        devices: arguments.devices.div_ceil(10),
        jobs: arguments.jobs.div_ceil(50),
        budget: Some(PATIENCE_WITH_OTHERS),
    };
    let theirs = measure(&programs.service, Some(program), &extent, interrupt)?;
    println!("\n{}", ours.against(&theirs));
    Ok(())
}

fn measure(
    service: &Path,
    ministack: Option<&Path>,
    extent: &Extent,
    interrupt: &Interrupt,
) -> Result<Report, TaskError> {
    let mut subject = match ministack {
        None => Subject::local(service, interrupt)?,
        Some(program) => Subject::ministack(program, interrupt)?,
    };
    println!("\n{}: {} devices, {} jobs", subject.name, extent.devices, extent.jobs);
    let report = measure::run(&mut subject, extent, interrupt)?;
    println!("{report}");
    Ok(report)
}

/// Descriptors for so many connections, for this process and for the services that it starts.
fn allow_connections(devices: usize) -> Result<(), TaskError> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let wanted = u64::try_from(devices).unwrap_or(u64::MAX).saturating_add(500);
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    if limit.maximum.is_some_and(|maximum| maximum < wanted) {
        let found = format!("{:?} open files, and {wanted} are needed: raise `ulimit -n`", limit.maximum);
        return Err(TaskError::Strange { what: "the limit of descriptors", found });
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum })
        .map_err(|error| TaskError::io("raise the limit of descriptors")(error.into()))
}
