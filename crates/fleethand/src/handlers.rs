//! Handlers, in the words of the core: a step becomes a run of `handler-runner`, and its ending comes back as an
//! event. What a step may run and what an ending means is decided elsewhere.

mod faults;
mod held;
mod leftovers;
mod orphans;
mod words;

use std::ffi::OsString;
use std::future::poll_fn;
use std::path::Path;
use std::process::ExitCode;
use std::task::{Context, Poll};
use std::time::Duration;

use agent_core::journal::State;
use agent_core::{Ending, Event, Found, Refused, RunId, StepOutcome, StepRun};
use handler_runner::{Adopted, OpenError, Run, Runner, Settings};
use jobs_protocol::document::{Action, Step};

use crate::chain::Chain;
use crate::config::Jobs;
pub(crate) use faults::faults;
use held::{Happened, Held};
use leftovers::Leftovers;
use orphans::Orphans;
use words::{bare, looked_at, may_come_yet, not_started, outcome_of, refused, request, told};

/// The first argument of the process that holds a handler.
const KEEPER: &str = "keeper";

/// Its name in the state directory.
const RUN_DIRECTORY: &str = "run";

/// Says to a handler that its first argument is the user.
const USER_ARGUMENT: &str = "USER_ARGUMENT";

/// How long to wait before trying again to watch a run that could not be watched (no descriptors left).
const WATCH_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// How long at most the grace period of a handler that nobody waits for is waited out at the start: the service
/// manager wants to hear that the daemon is ready.
const LONGEST_GRACE_AT_START: Duration = Duration::from_secs(30);

/// For what comes after the grace period: the kill, and the record of the ending.
const AFTER_GRACE: Duration = Duration::from_secs(5);

/// Becomes the keeper, if that is what this process was started as: before anything else, since it must be
/// small and quick and needs nothing of the daemon.
pub(crate) fn keeper(mut arguments: impl Iterator<Item = OsString>) -> Option<ExitCode> {
    if arguments.nth(1)? != KEEPER {
        return None;
    }
    Some(handler_runner::keeper_main(arguments))
}

/// All handlers that run.
#[derive(Debug)]
pub(crate) struct Handlers {
    runner: Runner,
    runs: Vec<Held>,
    /// Names of runs of earlier lives, until it is known what is to become of them.
    left: Vec<String>,
    orphans: Orphans,
    leftovers: Leftovers,
    /// The names of those that still ran when all had had their time.
    strangers: Vec<String>,
}

impl Handlers {
    /// Handlers with their files in a state directory. Runs of an earlier life may be among them.
    pub(crate) fn open(jobs: &Jobs, state: &Path) -> Result<Self, OpenError> {
        let directory = state.join(RUN_DIRECTORY);
        let mut settings = Settings::new(jobs.handler_directory.clone(), directory.clone());
        settings.allowed = jobs.allowed.clone();
        // Who sets PATH for the handlers expects that commands are found there as well.
        if let Some(path) = jobs.environment.get("PATH") {
            let usual = std::mem::take(&mut settings.search_path);
            settings.search_path = std::env::split_paths(path).chain(usual).collect();
        }
        let runner = Runner::new(settings)?;
        let left = runner.labels().map_err(|source| OpenError::Directory { path: directory, source })?;
        Ok(Self {
            runner,
            runs: Vec::new(),
            left,
            orphans: Orphans::default(),
            leftovers: Leftovers::default(),
            strangers: Vec::new(),
        })
    }

    /// The runs of earlier lives of which something is left.
    pub(crate) fn left(&self) -> &[String] {
        &self.left
    }

    /// Whether the files of the run that the journal waits for have been removed by somebody: nobody can know then
    /// whether it was started, and what has become of it.
    pub(crate) fn files_are_gone(&self, saved: &State) -> bool {
        self.is_missed(saved) && (self.runner.found_empty() || !self.without_files(saved).is_empty())
    }

    fn is_missed(&self, saved: &State) -> bool {
        expected(saved).is_some_and(|run| !self.left.contains(&run.to_string()))
    }

    /// Runs of which only the keeper is left. All processes have to be looked at for that, so it is done only where
    /// something is missing.
    fn without_files(&self, saved: &State) -> Vec<Run> {
        if !self.runner.found_empty() && !self.is_missed(saved) {
            return Vec::new();
        }
        self.runner.without_files().unwrap_or_else(|error| {
            tracing::error!("Handlers of earlier lives cannot be looked for: {}", Chain(&error));
            Vec::new()
        })
    }

    /// Leaves the run of an earlier life that the journal waits for alone until it is adopted; all others are
    /// stopped, and waited for within reason.
    pub(crate) async fn end_orphans(&mut self, saved: &State, grace: Duration) {
        let expected = expected(saved).map(ToString::to_string);
        let without_files = self.without_files(saved);
        let left = std::mem::take(&mut self.left);
        let orphans = left.into_iter().filter(|label| Some(label) != expected.as_ref());
        self.orphans = Orphans::stop_all(&self.runner, orphans, without_files);
        let patience = grace.min(LONGEST_GRACE_AT_START) + AFTER_GRACE;
        self.strangers = self.orphans.settle(patience).await;
        self.let_go_of_orphans();
    }

    fn let_go_of_orphans(&mut self) {
        for label in self.orphans.over() {
            self.leftovers.release(&self.runner, label);
        }
    }

    /// What is to be told before anything else, if there is something.
    pub(crate) fn first_event(&mut self) -> Option<Event> {
        let running = std::mem::take(&mut self.strangers);
        (!running.is_empty()).then_some(Event::Strangers { running })
    }

    /// The first step that could not be run here. Starts nothing.
    pub(crate) fn inspect(&self, steps: &[Step]) -> Option<Refused> {
        (0..).zip(steps).find_map(|(number, step)| {
            let refusal = self.runner.check(&looked_at(step)).err()?;
            let in_time = number > 0 || step.ignore_step_failure;
            let refused = || Refused { step: number, reason: refused(&refusal) };
            (!(in_time && may_come_yet(step, &refusal))).then(refused)
        })
    }

    /// Starts a step; its outcome at once if it could not be started.
    pub(crate) fn start(&mut self, wanted: &StepRun) -> Option<StepOutcome> {
        match self.try_start(wanted) {
            Ok(run) => {
                tracing::debug!(run = %wanted.run, "Handler started");
                self.hold(wanted.run.clone(), run);
                None
            }
            Err(error) => {
                let reason = not_started(&error);
                tracing::debug!(run = %wanted.run, "Handler not started: {reason}");
                Some(bare(Ending::CouldNotStart { reason }))
            }
        }
    }

    fn try_start(&mut self, wanted: &StepRun) -> Result<Run, handler_runner::StartError> {
        let mut request = request(wanted);
        if wanted.user_argument && matches!(wanted.step.action, Action::RunHandler { .. }) {
            let switched = self.runner.check(&request).is_ok_and(|checked| checked.switches_user);
            let user = wanted.step.run_as_user.clone().filter(|_| !switched);
            request.arguments.insert(0, user.unwrap_or_default());
            request.environment.push((USER_ARGUMENT.to_owned(), "1".to_owned()));
        }
        self.runner.start(&request)
    }

    /// Begins to stop a run; that it has stopped comes as an event.
    pub(crate) fn stop(&mut self, id: &RunId) {
        let Some(held) = self.runs.iter_mut().find(|held| held.id == *id) else {
            // Its end is on its way to the core already.
            tracing::debug!(run = %id, "A run that is over need not be stopped");
            return;
        };
        tracing::debug!(run = %id, "Stopping the handler");
        if let Err(error) = held.run.stop() {
            tracing::error!(run = %id, "The handler cannot be stopped: {}", Chain(&error));
        }
    }

    /// Looks for a run of an earlier life.
    pub(crate) fn adopt(&mut self, id: &RunId) -> Found {
        let found = match self.runner.adopt(&id.to_string()) {
            Ok(Adopted::Running(run)) => {
                self.hold(id.clone(), run);
                Found::Running
            }
            Ok(Adopted::Ended(outcome)) => told(outcome),
            Ok(Adopted::NeverStarted) => Found::NeverStarted,
            Err(error) => {
                // Nobody can know whether it ran; to say that it did not could make it run twice.
                let reason = format!("what is left of it cannot be read: {}", Chain(&error));
                tracing::error!(run = %id, "{reason}");
                Found::Ended(bare(Ending::Unknown { reason }))
            }
        };
        tracing::debug!(run = %id, ?found, "Looked for a run of an earlier life");
        found
    }

    /// Lets go of what is kept of a run.
    pub(crate) fn release(&mut self, id: &RunId) {
        self.leftovers.release(&self.runner, id.to_string());
    }

    /// The next end of a run, or what its handler reports. Safe to cancel.
    pub(crate) async fn next_event(&mut self) -> Event {
        let Self { runner, runs, orphans, leftovers, .. } = self;
        tokio::select! {
            running = orphans.next_end() => {
                self.let_go_of_orphans();
                Event::Strangers { running }
            }
            event = next_of(runs) => event,
            never = leftovers.work_off(runner) => match never {},
        }
    }

    fn hold(&mut self, id: RunId, run: Run) {
        self.runs.push(Held::new(id, run));
    }
}

/// The next end of one of these runs, taken out of them, or what its handler reports. Safe to cancel.
async fn next_of(runs: &mut Vec<Held>) -> Event {
    loop {
        runs.iter_mut().for_each(Held::watch);
        for held in runs.iter_mut() {
            if let Some(progress) = held.news() {
                return Event::Reported { run: held.id.clone(), progress };
            }
        }
        let all_watched = runs.iter().all(Held::is_watched);
        let happened = poll_fn(|context| poll_all(runs, context));
        let happened = if all_watched {
            Some(happened.await)
        } else {
            tokio::time::timeout(WATCH_AGAIN_AFTER, happened).await.ok()
        };
        match happened {
            Some((index, Happened::Ended)) => return end(runs.swap_remove(index)),
            Some((index, Happened::Reported(read))) => runs[index].take_note(read),
            None => {}
        }
    }
}

/// The index of a run to which something has happened, and what.
fn poll_all(runs: &[Held], context: &mut Context<'_>) -> Poll<(usize, Happened)> {
    for (index, held) in runs.iter().enumerate() {
        if let Poll::Ready(happened) = held.poll(context) {
            return Poll::Ready((index, happened));
        }
    }
    Poll::Pending
}

fn end(Held { id, run, .. }: Held) -> Event {
    let outcome = match run.finish() {
        Ok(outcome) => outcome,
        Err(error) => {
            tracing::error!(run = %id, "How a handler ended cannot be read: {}", Chain(&error));
            return Event::StepEnded { run: id, outcome: bare(Ending::Lost) };
        }
    };
    if outcome.reported.left_out > 0 {
        let left_out = outcome.reported.left_out;
        tracing::warn!(run = %id, left_out, "The handler has reported more facts than are kept");
    }
    tracing::debug!(run = %id, ending = ?outcome.ending, ran_for = ?outcome.ran_for, "Handler ended");
    tracing::debug!(run = %id, stdout = %outcome.stdout.tail, stderr = %outcome.stderr.tail, "Its last words");
    Event::StepEnded { run: id, outcome: outcome_of(outcome) }
}

/// The run that the core will look for: one that was started and of which no end was saved.
fn expected(saved: &State) -> Option<&RunId> {
    let current = saved.current().filter(|current| current.verdict.is_none())?;
    current.runs.last().filter(|(_, outcome)| outcome.is_none()).map(|(run, _)| run)
}
