//! Handlers of an earlier life that nobody waits for, because the journal that knew them is lost or damaged. They
//! are stopped, and as long as one of them runs no other handler is started: one at a time is a promise.
//!
//! What becomes of their jobs is the core's business: the service says that they are in progress, the journal does
//! not know them. So is what their running on means for others.

use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

use handler_runner::{Adopted, Run, Runner};
use tokio::time::{Instant, timeout_at};

use crate::chain::Chain;
use crate::readiness::Readiness;

/// Those that have been told to end.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    /// They have not ended as far as we know.
    running: Vec<Orphan>,
    /// Names of those that are over, to be let go.
    over: Vec<String>,
}

#[derive(Debug)]
struct Orphan {
    /// None if it was lost.
    label: Option<String>,
    run: Run,
    /// None if it cannot be watched for the moment.
    pidfd: Option<Readiness>,
}

/// How long to wait before trying again to watch one that could not be watched (no descriptors left).
const WATCH_AGAIN_AFTER: Duration = Duration::from_secs(1);

impl Orphans {
    /// Begins to stop these runs, as far as they are not over.
    pub(super) fn stop_all(
        runner: &Runner,
        labels: impl Iterator<Item = String>,
        without_files: Vec<Run>,
    ) -> Self {
        let mut running: Vec<_> = without_files.into_iter().map(|run| (None, run)).collect();
        let mut over = Vec::new();
        for label in labels {
            match runner.adopt(&label) {
                Ok(Adopted::Running(run)) => running.push((Some(label), run)),
                Ok(Adopted::Ended(outcome)) => {
                    tracing::info!(run = %label, ending = ?outcome.ending, "A run of an earlier life is over and no longer needed");
                    over.push(label);
                }
                Ok(Adopted::NeverStarted) => over.push(label),
                Err(error) => {
                    tracing::error!(run = %label, "What is left of a run cannot be read: {}", Chain(&error));
                }
            }
        }
        // Also the expected one, if it is among them: what cannot be known by its name cannot be taken over.
        match runner.nameless() {
            Ok(nameless) => running.extend(nameless.into_iter().map(|run| (None, run))),
            Err(error) => {
                tracing::error!("Handlers of earlier lives cannot be looked for: {}", Chain(&error));
            }
        }
        let running = running.into_iter().map(|(label, run)| Orphan { label, run, pidfd: None });
        let running: Vec<_> = running.collect();
        for orphan in &running {
            tracing::warn!(run = %orphan.name(), "A handler of an earlier life runs that the journal does not know: it is stopped");
            if let Err(error) = orphan.run.stop() {
                tracing::error!(run = %orphan.name(), "The handler cannot be stopped: {}", Chain(&error));
            }
        }
        Self { running, over }
    }

    /// The names of those that are over; each is told once.
    pub(super) fn over(&mut self) -> Vec<String> {
        std::mem::take(&mut self.over)
    }

    /// Waits for their ends, but not for ever. The names of those that still run.
    pub(super) async fn settle(&mut self, patience: Duration) -> Vec<String> {
        let deadline = Instant::now() + patience;
        while !self.running.is_empty() {
            if timeout_at(deadline, self.next_end()).await.is_err() {
                break;
            }
        }
        for orphan in &self.running {
            tracing::error!(run = %orphan.name(), "It has been told to end and still runs: no handler is started until it has ended");
        }
        self.names()
    }

    /// The names of those that still run, as soon as one of them has ended. Safe to cancel.
    pub(super) async fn next_end(&mut self) -> Vec<String> {
        loop {
            for orphan in self.running.iter_mut().filter(|orphan| orphan.pidfd.is_none()) {
                match orphan.run.pidfd().and_then(Readiness::watch) {
                    Ok(pidfd) => orphan.pidfd = Some(pidfd),
                    Err(error) => {
                        tracing::warn!(run = %orphan.name(), %error, "Its end cannot be waited for for the moment");
                    }
                }
            }
            let all_watched = self.running.iter().all(|orphan| orphan.pidfd.is_some());
            let ended = poll_fn(|context| self.poll_ended(context));
            let ended = if all_watched {
                Some(ended.await)
            } else {
                timeout_at(Instant::now() + WATCH_AGAIN_AFTER, ended).await.ok()
            };
            if let Some(index) = ended {
                self.over.extend(self.running.swap_remove(index).take_leave());
                return self.names();
            }
        }
    }

    /// The index of one that is over.
    fn poll_ended(&self, context: &mut Context<'_>) -> Poll<usize> {
        let is_over = |orphan: &Orphan| {
            orphan.pidfd.as_ref().is_some_and(|pidfd| pidfd.poll_readable(context).is_ready())
        };
        self.running.iter().position(is_over).map_or(Poll::Pending, Poll::Ready)
    }

    fn names(&self) -> Vec<String> {
        self.running.iter().map(|orphan| orphan.name().to_owned()).collect()
    }
}

impl Orphan {
    fn name(&self) -> &str {
        self.label.as_deref().unwrap_or("a run whose name is lost")
    }

    /// Says how it ended, and gives back its name.
    fn take_leave(self) -> Option<String> {
        let name = self.name().to_owned();
        match self.run.finish() {
            Ok(outcome) => tracing::warn!(run = %name, ending = ?outcome.ending, "It has ended"),
            Err(error) => {
                tracing::error!(run = %name, "How it ended cannot be read: {}", Chain(&error));
            }
        }
        self.label
    }
}
