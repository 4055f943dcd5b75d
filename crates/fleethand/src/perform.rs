//! One deed for each effect of the core, in the order in which they come. Answers that are there at once are
//! queued as events; nothing here waits for anything longer than the disk.

use std::collections::VecDeque;

use agent_core::{Effect, Event};

use crate::handlers::Handlers;
use crate::journal_file::{JournalFile, SaveError};
use crate::link::Link;
use crate::reboot::Reboot;

/// With this variable set to n, a debug build aborts after the n-th effect of its life: so tests can break it
/// off between any two. Release builds do not look at it.
pub(crate) const CRASH_HOOK: &str = "FLEETHAND_CRASH_AFTER_EFFECT";

/// What effects act on.
#[derive(Debug)]
pub(crate) struct Hands {
    pub(crate) journal: JournalFile,
    pub(crate) link: Link,
    pub(crate) handlers: Handlers,
    pub(crate) reboot: Reboot,
    /// Answers that the core has not heard yet.
    answers: VecDeque<Event>,
    crash: CrashHook,
}

/// Whether the loop goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    Continue,
    /// The core has nothing left to wait for.
    Exit,
}

impl Hands {
    pub(crate) fn new(journal: JournalFile, link: Link, handlers: Handlers) -> Self {
        let mut handlers = handlers;
        let answers = handlers.first_event().into_iter().collect();
        let (reboot, crash) = (Reboot::default(), CrashHook::from_environment());
        Self { journal, link, handlers, reboot, answers, crash }
    }

    /// The oldest answer that the core has not heard.
    pub(crate) fn next_answer(&mut self) -> Option<Event> {
        self.answers.pop_front()
    }

    /// Performs effects one by one. After a failed save nothing more is done, now or later: the caller ends.
    pub(crate) fn perform_all(&mut self, effects: Vec<Effect>) -> Result<Flow, SaveError> {
        for effect in effects {
            let flow = self.perform(effect)?;
            self.crash.after_effect();
            if flow == Flow::Exit {
                return Ok(Flow::Exit);
            }
        }
        Ok(Flow::Continue)
    }

    fn perform(&mut self, effect: Effect) -> Result<Flow, SaveError> {
        match effect {
            Effect::Save(record) => self.journal.save(&record)?,
            Effect::Publish { topic, payload } => self.link.publish(&topic, payload),
            Effect::Inspect { execution, steps } => {
                let refused = self.handlers.inspect(&steps);
                self.answers.push_back(Event::Inspected { execution, refused });
            }
            Effect::Start(run) => {
                if let Some(outcome) = self.handlers.start(&run) {
                    self.answers.push_back(Event::StepEnded { run: run.run, outcome });
                }
            }
            Effect::Stop { run } => self.handlers.stop(&run),
            Effect::Adopt { run } => {
                let found = self.handlers.adopt(&run);
                self.answers.push_back(Event::Adopted { run, found });
            }
            Effect::Release { run } => self.handlers.release(&run),
            Effect::Reboot => {
                if let Some(reason) = self.reboot.begin() {
                    self.answers.push_back(Event::RebootFailed { reason });
                }
            }
            Effect::Exit => return Ok(Flow::Exit),
        }
        Ok(Flow::Continue)
    }
}

/// Counts effects where tests ask for it.
#[derive(Debug)]
struct CrashHook {
    left: Option<u64>,
}

impl CrashHook {
    fn from_environment() -> Self {
        let wanted = if cfg!(debug_assertions) { std::env::var(CRASH_HOOK).ok() } else { None };
        Self { left: wanted.and_then(|count| count.parse().ok()).filter(|count| *count > 0) }
    }

    fn after_effect(&mut self) {
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                std::process::abort();
            }
        }
    }
}
