//! What a script would do, in Rust: `cargo xtask demo` shows a job run from end to end, `cargo xtask bench` measures
//! it, `cargo xtask bench-fleet` measures the service under a fleet, `cargo xtask interop` lets clients of others and a service of others have a go. All build the two programs and
//! start them as an operator would, in a temporary directory; nothing of the machine is touched, and nothing is left
//! behind. `cargo xtask dist` builds the daemon for boards, `cargo xtask
//! systemd` runs it under a real systemd.

#![expect(clippy::print_stdout, reason = "what these tasks have to tell is their output")]

mod bench;
mod cargo;
mod control;
mod demo;
mod dist;
mod error;
mod fleet;
mod interop;
mod interrupt;
mod machine;
mod package;
mod process;
mod reliability;
mod scene;
mod systemd;
mod tutorial;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use error::{Chain, TaskError};
use interrupt::Interrupt;

/// Tasks of the project.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Runs the sample documents on a daemon and a service of this machine, and checks what comes out.
    Demo {
        /// Build and run what would be shipped, which takes longer to build.
        #[arg(long)]
        release: bool,
        /// Leave service and daemon running at the end, until Ctrl-C.
        #[arg(long)]
        keep: bool,
    },
    /// Runs every command of docs/tutorial.md as a new user would, and checks what comes out.
    ///
    /// Needs bash, curl and python3 with venv; the AWS CLI is installed by a command of the tutorial.
    Tutorial,
    /// Measures the release build: size, memory, latencies, wake-ups.
    Bench {
        /// Fewer runs, and 10 idle seconds instead of 60.
        #[arg(long)]
        quick: bool,
        /// Measure the `fleethand` and `fleethand-local` of this directory instead of building them: those of a
        /// package, or of another target.
        #[arg(long, value_name = "DIR")]
        programs: Option<PathBuf>,
    },
    /// Proves the promises of crash and fault with large numbers, and prints what was gone through.
    ///
    /// Some faults need root and file systems of their own; elsewhere they are left out, which is said.
    Reliability {
        #[command(flatten)]
        extent: reliability::Extent,
    },
    /// Measures the local service as a fleet grows: memory for each device, time for each job.
    BenchFleet(fleet::Arguments),
    /// Runs AWS's own clients against `fleethand-local`, and `fleethand` against another Jobs service.
    ///
    /// Needs python3 with venv, node with npm, and the MQTT clients of mosquitto; the rest is installed below the
    /// target directory.
    Interop {
        /// Only this part.
        #[arg(value_enum)]
        only: Option<interop::Part>,
        /// For the test runner.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Installs the daemon as the README says on a machine with systemd (a Debian in a container), and runs, restarts,
    /// upgrades, hangs and reboots it there.
    ///
    /// Needs root, debootstrap and systemd-nspawn, and the network when it is run for the first time.
    Systemd {
        /// The release of Debian; the programs are built for this machine, whose C library must not be newer.
        #[arg(long, default_value = "bookworm")]
        suite: String,
    },
    /// Builds the daemon as one static file for each target, into target/dist. docs/building.md says what that needs.
    Dist {
        /// Targets as rustc names them; without any, those of the usual boards.
        #[arg(default_values = dist::TARGETS)]
        targets: Vec<String>,
    },
    /// The same as Debian packages, for apt and dpkg. Needs dpkg-deb as well.
    Deb {
        /// Targets as rustc names them; without any, those of the usual boards.
        #[arg(default_values = dist::TARGETS)]
        targets: Vec<String>,
    },
}

fn main() -> ExitCode {
    // The agent runs no handler below a directory that others can write, and whoever runs a task may have a umask that
    // lets them.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let outcome = Interrupt::catch().map_err(TaskError::io("catch Ctrl-C")).and_then(|interrupt| {
        match Cli::parse().task {
            Task::Demo { release, keep } => demo::run(release, keep, &interrupt),
            Task::Tutorial => tutorial::run(&interrupt),
            Task::Bench { quick, programs } => bench::run(quick, programs.as_deref(), &interrupt),
            Task::Reliability { extent } => reliability::run(&extent, &interrupt),
            Task::BenchFleet(arguments) => fleet::run(&arguments, &interrupt),
            Task::Interop { only, arguments } => interop::run(only, &arguments, &interrupt),
            Task::Systemd { suite } => systemd::run(&suite, &interrupt),
            Task::Dist { targets } => dist::run(&targets),
            Task::Deb { targets } => package::run(&targets),
        }
    });
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    // If standard error is gone, the exit code still tells.
    let _ = writeln!(std::io::stderr(), "error: {}", Chain(&error));
    error.exit_code()
}
