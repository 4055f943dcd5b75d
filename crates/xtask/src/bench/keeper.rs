//! The process that stands between the agent and a handler: what it adds to the start of a handler, and the memory
//! that it alone takes up while the handler runs.

use std::fs;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use handler_runner::{Place, Program, Request, Run, Runner, Settings};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::json;

use super::clock::Moment;
use super::{Bench, PATIENCE, latency};
use crate::error::TaskError;
use crate::scene::THING;

/// What a keeper costs at the start.
#[derive(Debug, Default)]
pub(super) struct Cost {
    /// Milliseconds to the first moment of a handler that is started directly.
    pub(super) plain: Vec<f64>,
    /// The same by way of a keeper, its files on a file system in memory.
    pub(super) kept: Vec<f64>,
}

/// Starts so many handlers each way.
pub(super) fn start(bench: &mut Bench<'_>, runs: usize) -> Result<Cost, TaskError> {
    let handlers = bench.scene.path().join("agent/jobs");
    let runner = runner(&handlers, &bench.fresh_state_in_memory(), bench.scene.daemon_path())?;
    let readings = bench.memory.path().join("keeper-readings");
    let file = readings.display().to_string();
    let mut cost = Cost::default();
    for _ in 0..runs {
        bench.interrupt.pause(Duration::from_millis(20))?;
        let asked = Moment::now();
        let status =
            Command::new(handlers.join("clock-reading")).arg(&readings).stdin(Stdio::null()).status();
        let status = status.map_err(TaskError::io("start the handler"))?;
        if !status.success() {
            return Err(TaskError::Program { program: "the handler".into(), status });
        }
        cost.plain.push(super::readings(&readings)?.0.ms_since(asked));

        let asked = Moment::now();
        let run = begin(&runner, vec![file.clone()])?;
        end(&runner, run)?;
        cost.kept.push(super::readings(&readings)?.0.ms_since(asked));
    }
    Ok(cost)
}

fn runner(handlers: &Path, state: &Path, daemon: &Path) -> Result<Runner, TaskError> {
    let mut settings = Settings::new(handlers.to_owned(), state.to_owned());
    daemon.clone_into(&mut settings.keeper_program);
    Runner::new(settings).map_err(|error| strange(&error))
}

fn begin(runner: &Runner, arguments: Vec<String>) -> Result<Run, TaskError> {
    let request = Request {
        label: "bench".to_owned(),
        program: Program::Handler { name: "clock-reading".to_owned(), place: Place::HandlerDirectory },
        arguments,
        environment: Vec::new(),
        run_as_user: None,
        time_limit: PATIENCE,
        grace: PATIENCE,
        head_characters: 0,
        tail_characters: 1024,
    };
    runner.start(&request).map_err(|error| strange(&error))
}

/// Waits for the end of a run and lets go of it.
fn end(runner: &Runner, run: Run) -> Result<(), TaskError> {
    let patience = Timespec { tv_sec: PATIENCE.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: 0 };
    poll(&mut [PollFd::from_borrowed_fd(run.as_fd(), PollFlags::IN)], Some(&patience))
        .map_err(|error| TaskError::io("wait for a keeper")(error.into()))?;
    run.finish().and_then(|_| runner.release("bench")).map(drop).map_err(TaskError::io("end a run"))
}

/// Kilobytes of memory that a keeper of the daemon shares with nobody while its handler runs, for so many jobs. The
/// daemon has to be there: it is the same program, so that what both use of it is there once.
pub(super) fn memory(bench: &mut Bench<'_>, jobs: usize) -> Result<Vec<f64>, TaskError> {
    let place = bench.memory.path().to_owned();
    let (told, go) = (place.join("keeper-told"), place.join("keeper-go"));
    let script = format!(
        "echo output; echo >{}; while [ ! -e {} ]; do sleep 0.05; done",
        told.display(),
        go.display()
    );
    let document = json!({ "operation": "sh", "args": ["-c", script] }).to_string();
    bench.relay.forget();
    let state = bench.fresh_state_in_memory();
    let mut daemon = bench.scene.start(&mut bench.scene.daemon(bench.relay.port, &state))?;
    let mut private = Vec::new();
    for _ in 0..jobs {
        let job = bench.fresh_job();
        bench.scene.control.create_job(&job, THING, &document)?;
        let keeper = bench.interrupt.until(PATIENCE, || {
            daemon.check()?;
            Ok(told.exists().then(|| keeper_of(daemon.id())).flatten())
        })?;
        let keeper = keeper.ok_or_else(|| bench.late("a keeper"))?;
        let rollup =
            fs::read_to_string(keeper.join("smaps_rollup")).map_err(TaskError::io("look at a keeper"))?;
        private.push(
            private_in(&rollup)
                .ok_or(TaskError::Strange { what: "the memory of a keeper", found: rollup })?,
        );
        fs::write(&go, "").map_err(TaskError::io("let a handler go"))?;
        bench.until("the end of a job", |seen| latency::update(seen, &job, "SUCCEEDED"))?;
        fs::remove_file(&told)
            .and_then(|()| fs::remove_file(&go))
            .map_err(TaskError::io("remove our own files"))?;
    }
    daemon.stop().map_err(TaskError::io("stop the daemon"))?;
    Ok(private)
}

/// The process among the children of this one that is a keeper.
pub(super) fn keeper_of(parent: u32) -> Option<PathBuf> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    children.split_whitespace().map(|child| Path::new("/proc").join(child)).find(|child| {
        fs::read_to_string(child.join("cmdline")).is_ok_and(|line| line.split('\0').nth(1) == Some("keeper"))
    })
}

/// Kilobytes of private pages (proc_pid_smaps(5)).
pub(super) fn private_in(rollup: &str) -> Option<f64> {
    let number = |name: &str| -> Option<f64> {
        rollup
            .lines()
            .find_map(|line| line.strip_prefix(name)?.trim().strip_suffix("kB")?.trim().parse().ok())
    };
    Some(number("Private_Clean:")? + number("Private_Dirty:")?)
}

fn strange(error: &dyn std::error::Error) -> TaskError {
    TaskError::Strange { what: "the start of a handler", found: crate::error::Chain(error).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_memory_is_what_is_shared_with_nobody_clean_or_not() {
        let rollup = "00400000-7fff r--p\nRss:  2000 kB\nShared_Clean:  1200 kB\nPrivate_Clean:   100 kB\nPrivate_Dirty:  200 kB\n";
        assert_eq!(private_in(rollup), Some(300.0));
        assert_eq!(private_in("Rss: 1 kB\n"), None);
    }
}
