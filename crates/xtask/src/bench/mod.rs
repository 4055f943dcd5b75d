//! `cargo xtask bench`: what the release build costs, on this machine, in one line a figure. A report and not a test:
//! nothing fails because a machine is slow. Service, broker and daemon are processes of one machine; a relay between
//! them takes the times, so that the service's own slowness is in none of the latencies.

mod clock;
mod disk;
mod drain;
mod figures;
mod flood;
mod idle;
mod keeper;
mod latency;
mod mqtt;
mod relay;
mod start;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::cargo::{self, Programs};
use crate::error::TaskError;
use crate::interrupt::Interrupt;
use crate::machine;
use crate::scene::Scene;

use clock::Moment;
use figures::{Figure, heading, line};
use relay::Relay;

/// How long anything that must happen may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// How much is measured.
struct Extent {
    starts: usize,
    jobs: usize,
    rounds: usize,
    drained: usize,
    idle: Duration,
}

/// What every measurement needs.
struct Bench<'a> {
    scene: Scene,
    relay: Relay,
    interrupt: &'a Interrupt,
    /// On a file system in memory, if there is one.
    memory: TempDir,
    /// On a disk.
    disk: TempDir,
    /// Numbers for jobs and state directories, so that none is used twice.
    next: usize,
}

/// Measures and prints.
pub(crate) fn run(quick: bool, programs: Option<&Path>, interrupt: &Interrupt) -> Result<(), TaskError> {
    let extent = if quick {
        Extent { starts: 5, jobs: 10, rounds: 1, drained: 200, idle: Duration::from_secs(10) }
    } else {
        Extent { starts: 20, jobs: 40, rounds: 5, drained: 200, idle: Duration::from_secs(60) }
    };
    let (programs, disk) = if let Some(directory) = programs {
        (Programs::of_directory(directory)?, directory_in(None)?)
    } else {
        println!("Building the release of fleethand and fleethand-local");
        let programs = cargo::build(true)?;
        let place = programs.daemon.parent().map(Path::to_owned);
        (programs, directory_in(place)?)
    };
    let scene = Scene::set(&programs, interrupt)?;
    for handler in ["clock_reading", "flood"] {
        install_handler(&scene, handler)?;
    }
    let relay = Relay::start(scene.path(), scene.mqtt_port)?;
    let memory = directory_in(memory_place())?;
    let mut bench = Bench { scene, relay, interrupt, memory, disk, next: 0 };

    println!("\n{}\n{}", machine::describe(), heading());
    let size = std::fs::metadata(&programs.daemon).map_err(TaskError::io("look at the daemon"))?.len();
    println!("{}", line(Figure::Size, &figures::megabytes(size)));

    let starts = start::measure(&mut bench, extent.starts)?;
    println!("{}", line(Figure::Ready, &figures::summary(&starts.ready)));
    println!("{}", line(Figure::FirstRequest, &figures::summary(&starts.first_request)));

    let state = bench.fresh_state_in_memory();
    let in_memory = latency::measure(&mut bench, &state, extent.jobs)?;
    println!("{}", line(Figure::NotifyToProgress, &figures::summary(&in_memory.progress)));
    println!("{}", line(Figure::NotifyToExec, &figures::summary(&in_memory.exec)));
    println!("{}", line(Figure::ExitToUpdate, &figures::summary(&in_memory.update)));
    let on_disk = if machine::is_in_memory(bench.disk.path()) {
        println!(
            "There is no disk where the programs or the temporary files are: what syncs cost is not seen"
        );
        latency::Latencies::default()
    } else {
        let state = bench.fresh_state_on_disk();
        latency::measure(&mut bench, &state, extent.jobs)?
    };
    println!("{}", line(Figure::DiskToExec, &figures::summary(&on_disk.exec)));
    println!("{}", line(Figure::DiskToUpdate, &figures::summary(&on_disk.update)));

    match disk::measure(&mut bench, extent.jobs)? {
        Some(cost) => {
            println!("{}", line(Figure::Bytes, &format!("{:.1} kB", cost.bytes / 1000.0)));
            println!("{}", line(Figure::Syncs, &format!("{:.1}", cost.syncs)));
        }
        None => println!("There is no strace: what a job asks of the disk is not seen"),
    }

    let keeper = keeper::start(&mut bench, extent.jobs)?;
    println!("{}", line(Figure::PlainStart, &figures::summary(&keeper.plain)));
    println!("{}", line(Figure::KeptStart, &figures::summary(&keeper.kept)));
    println!(
        "{}",
        line(Figure::KeeperMemory, &figures::kilobytes(&keeper::memory(&mut bench, extent.starts)?))
    );

    let drained = drain::measure(&mut bench, extent.rounds, extent.drained)?;
    println!("{}", line(Figure::Drain, &figures::summary(&drained)));

    let flood = flood::measure(&mut bench)?;
    println!("{}", line(Figure::FloodCat, &figures::summary(&flood.cat)));
    println!("{}", line(Figure::Flood, &figures::summary(&flood.keeper)));
    println!("{}", line(Figure::FloodRatio, &figures::ratio(&flood.cat, &flood.keeper)));
    println!("{}", line(Figure::FloodMemory, &figures::kilobytes(&flood.private_memory)));

    let idle = idle::measure(&mut bench, extent.idle)?;
    println!("{}", line(Figure::Resident, &figures::megabytes(idle.resident)));
    println!("{}", line(Figure::Threads, &idle.threads.to_string()));
    println!("{}", line(Figure::Wakeups, &format!("{} in {} s", idle.switches, extent.idle.as_secs())));
    println!(
        "{}",
        line(Figure::Processor, &format!("{:.1} ms in {} s", idle.processor_ms, extent.idle.as_secs()))
    );
    println!("\n{}", figures::NOTES);
    Ok(())
}

impl Bench<'_> {
    fn number(&mut self) -> usize {
        self.next += 1;
        self.next
    }

    fn fresh_state_in_memory(&mut self) -> PathBuf {
        let number = self.number();
        self.memory.path().join(number.to_string())
    }

    fn fresh_state_on_disk(&mut self) -> PathBuf {
        let number = self.number();
        self.disk.path().join(number.to_string())
    }

    /// A name for a job that no other job has.
    fn fresh_job(&mut self) -> String {
        format!("bench-{}", self.number())
    }

    /// Takes what the relay has seen, until `wanted` finds in it what it wants.
    fn until<T>(
        &self,
        what: &str,
        mut wanted: impl FnMut(&relay::Seen) -> Option<T>,
    ) -> Result<T, TaskError> {
        let found = self.interrupt.until(PATIENCE, || {
            while let Some(seen) = self.relay.next() {
                if let Some(found) = wanted(&seen) {
                    return Ok(Some(found));
                }
            }
            Ok(None)
        })?;
        found.ok_or_else(|| self.late(what))
    }

    fn late(&self, what: &str) -> TaskError {
        let log = std::fs::read_to_string(self.scene.path().join("daemon.log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        let log = lines[lines.len().saturating_sub(30)..].join("\n");
        TaskError::Late { what: what.to_owned(), after: PATIENCE, log }
    }
}

/// Compiles a handler that reads the clock and installs it beside the samples: `name.c` becomes `name`, with hyphens.
fn install_handler(scene: &Scene, name: &str) -> Result<(), TaskError> {
    let source = cargo::root().join(format!("crates/xtask/src/bench/{name}.c"));
    let program = handler(scene, &name.replace('_', "-"));
    let compile = |more: &[&str], quiet: bool| {
        let mut command = Command::new("cc");
        if quiet {
            command.stderr(Stdio::null());
        }
        let status = command.arg("-O2").args(more).arg("-o").arg(&program).arg(&source).status();
        status.map_err(TaskError::io("start the C compiler"))
    };
    // Not every machine has the C library for static linking; then the loader's time is in the figures.
    if !compile(&["-static"], true)?.success() {
        let status = compile(&[], false)?;
        if !status.success() {
            return Err(TaskError::Program { program: "cc".into(), status });
        }
    }
    fs::set_permissions(&program, Permissions::from_mode(0o700)).map_err(TaskError::io("install the handler"))
}

fn handler(scene: &Scene, name: &str) -> PathBuf {
    scene.path().join("agent/jobs").join(name)
}

/// The two readings of the clock that a handler has left in a file.
fn readings(path: &Path) -> Result<(Moment, Moment), TaskError> {
    let text = fs::read_to_string(path).map_err(TaskError::io("read what the handler wrote"))?;
    let mut numbers = text.split_whitespace().map(|number| number.parse().map(Moment));
    match (numbers.next(), numbers.next()) {
        (Some(Ok(begin)), Some(Ok(end))) => Ok((begin, end)),
        _ => Err(TaskError::Strange { what: "what the handler wrote", found: text }),
    }
}

/// Where files are kept in memory.
fn memory_place() -> Option<PathBuf> {
    Some(PathBuf::from("/dev/shm")).filter(|place| place.is_dir())
}

fn directory_in(place: Option<PathBuf>) -> Result<TempDir, TaskError> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("fleethand-bench-");
    match place {
        Some(place) => builder.tempdir_in(place),
        None => builder.tempdir(),
    }
    .map_err(TaskError::io("make a temporary directory"))
}
