//! Handlers of an earlier life that nobody waits for, because the journal that knew them is lost or damaged. They
//! are stopped, and as long as one of them runs no other handler is started: one at a time is a promise.
//!
//! What becomes of their jobs is the core's business: the service says that they are in progress, the journal does
//! not know them.

use std::future::poll_fn;
use std::os::fd::AsFd;
use std::time::Duration;

use handler_runner::{Adopted, Run, Runner};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::time::{Instant, timeout_at};

use crate::chain::Chain;
use crate::readiness::Readiness;

/// Those that have been told to end and have not ended as far as we know.
#[derive(Debug, Default)]
pub(super) struct Orphans(Vec<Orphan>);

#[derive(Debug)]
struct Orphan {
    label: String,
    run: Run,
}

impl Orphans {
    /// Begins to stop these runs, and lets go of those that are over.
    pub(super) fn stop_all(runner: &Runner, labels: impl Iterator<Item = String>) -> Self {
        let mut running = Vec::new();
        for label in labels {
            match runner.adopt(&label) {
                Ok(Adopted::Running(run)) => {
                    tracing::warn!(run = %label, "A handler of an earlier life runs that the journal does not know: it is stopped");
                    if let Err(error) = run.stop() {
                        tracing::error!(run = %label, "The handler cannot be stopped: {}", Chain(&error));
                    }
                    running.push(Orphan { label, run });
                }
                Ok(Adopted::Ended(outcome)) => {
                    tracing::info!(run = %label, ending = ?outcome.ending, "A run of an earlier life is over and no longer needed");
                    release(runner, &label);
                }
                Ok(Adopted::NeverStarted) => release(runner, &label),
                Err(error) => {
                    tracing::error!(run = %label, "What is left of a run cannot be read: {}", Chain(&error));
                }
            }
        }
        match runner.nameless() {
            Ok(nameless) => running.extend(nameless.into_iter().map(|run| {
                let label = run.directory().display().to_string();
                tracing::warn!(run = %label, "A handler of an earlier life runs of which the files are damaged: it is stopped");
                if let Err(error) = run.stop() {
                    tracing::error!(run = %label, "The handler cannot be stopped: {}", Chain(&error));
                }
                Orphan { label, run }
            })),
            Err(error) => tracing::error!("Handlers of earlier lives cannot be looked for: {}", Chain(&error)),
        }
        Self(running)
    }

    /// Waits for their ends, but not for ever.
    pub(super) async fn settle(&mut self, runner: &Runner, patience: Duration) {
        let deadline = Instant::now() + patience;
        for orphan in &self.0 {
            let ended = match orphan.run.pidfd().and_then(Readiness::watch) {
                Ok(pidfd) => timeout_at(deadline, poll_fn(|context| pidfd.poll_readable(context))).await,
                Err(error) => {
                    tracing::warn!(run = %orphan.label, %error, "Its end cannot be waited for");
                    continue;
                }
            };
            if ended.is_err() {
                tracing::error!(run = %orphan.label, "It has been told to end and still runs: no handler is started until it has ended");
            }
        }
        self.take_leave(runner);
    }

    /// One that still runs. Does not wait.
    pub(super) fn still_running(&mut self, runner: &Runner) -> Option<&str> {
        self.take_leave(runner);
        self.0.first().map(|orphan| orphan.label.as_str())
    }

    /// Lets go of those that have ended.
    fn take_leave(&mut self, runner: &Runner) {
        let (over, running) =
            std::mem::take(&mut self.0).into_iter().partition(|orphan| is_over(&orphan.run));
        self.0 = running;
        for Orphan { label, run } in over {
            match run.finish() {
                Ok(outcome) => tracing::warn!(run = %label, ending = ?outcome.ending, "It has ended"),
                Err(error) => {
                    tracing::error!(run = %label, "How it ended cannot be read: {}", Chain(&error));
                }
            }
            release(runner, &label);
        }
    }
}

fn release(runner: &Runner, label: &str) {
    if let Err(error) = runner.release(label) {
        tracing::warn!(run = %label, "What was kept of a run cannot be removed: {}", Chain(&error));
    }
}

/// An error leaves it unknown, and what is not known to be over may run.
fn is_over(run: &Run) -> bool {
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::from_borrowed_fd(run.as_fd(), PollFlags::IN)], Some(&at_once))
        .is_ok_and(|ready| ready > 0)
}
