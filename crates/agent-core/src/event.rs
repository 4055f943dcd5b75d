//! What can happen to the agent.

use serde::{Deserialize, Serialize};

use crate::{ExecutionId, Progress, RunId};

/// Something that happened. The shell brings them one at a time.
#[derive(Debug, Clone)]
pub enum Event {
    /// The link stands, and every subscription has been granted.
    LinkUp,
    /// The link is gone. What was on its way may or may not have arrived.
    LinkDown,
    /// A message came in.
    Message {
        /// Its topic.
        topic: String,
        /// Its payload, whatever it is.
        payload: Vec<u8>,
    },
    /// The answer to [`Effect::Inspect`](crate::Effect::Inspect).
    Inspected {
        /// The execution that was asked about.
        execution: ExecutionId,
        /// The first step that cannot be run here, if there is one.
        refused: Option<Refused>,
    },
    /// A handler's run is over. Comes exactly once for every [`Effect::Start`](crate::Effect::Start).
    StepEnded {
        /// Which run.
        run: RunId,
        /// How it ended.
        outcome: StepOutcome,
    },
    /// A running handler has said how far it is. Comes as often as it likes: the agent tells the service less often.
    Reported {
        /// Which run.
        run: RunId,
        /// All that it says by now.
        progress: Progress,
    },
    /// The answer to [`Effect::Adopt`](crate::Effect::Adopt).
    Adopted {
        /// Which run was looked for.
        run: RunId,
        /// What was found of it.
        found: Found,
    },
    /// Handlers run that no saved run explains; they have been told to end. None is left when the list is empty.
    Strangers {
        /// Their names, for the operator.
        running: Vec<String>,
    },
    /// [`Effect::Reboot`](crate::Effect::Reboot) could not be done.
    RebootFailed {
        /// Which program, and what it said: for the operator.
        reason: String,
    },
    /// The moment that [`Agent::deadline`](crate::Agent::deadline) named has come.
    DeadlineReached,
    /// The agent is asked to end.
    StopRequested,
}

/// A step that cannot be run here, found before anything has run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The step, counted from 0.
    pub step: u32,
    /// The file, what was found, what is wanted: for the operator.
    pub reason: String,
}

/// What is left of a run that an earlier life of the agent has started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It runs; its end will be told by [`Event::StepEnded`].
    Running,
    /// It is over, or it is gone: the outcome says which.
    Ended(StepOutcome),
    /// It was never started: nothing of it exists.
    NeverStarted,
}

/// How a handler's run ended, and what it wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepOutcome {
    /// How it ended.
    pub ending: Ending,
    /// Of standard output.
    pub stdout: Captured,
    /// Of standard error.
    pub stderr: Captured,
    /// Processes that it has left behind.
    pub left_behind: u32,
    /// The last that it has said of its work.
    #[serde(default, skip_serializing_if = "Progress::is_empty")]
    pub progress: Progress,
}

impl StepOutcome {
    /// An outcome of which only the ending is known.
    #[must_use]
    pub fn bare(ending: Ending) -> Self {
        Self {
            ending,
            stdout: Captured::default(),
            stderr: Captured::default(),
            left_behind: 0,
            progress: Progress::default(),
        }
    }
}

/// What was kept of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Captured {
    /// Its first 1024 characters as far as they are not in the tail, if they were to be kept.
    #[serde(default)]
    pub head: String,
    /// Its last 1024 characters.
    pub tail: String,
    /// How many bytes there were in all.
    pub bytes: u64,
    /// How many lines; an unterminated last one counts.
    pub lines: u64,
}

/// How a handler's process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// With an exit code.
    Exited {
        /// The code.
        code: i32,
    },
    /// By a signal that the agent did not send.
    Killed {
        /// The signal's number.
        signal: i32,
    },
    /// Stopped at its time limit.
    TimedOut {
        /// Whether it had to be killed because it did not heed SIGTERM.
        killed: bool,
    },
    /// Stopped by its keeper, which was told to, and this life of the agent does not know by whom: an earlier one, or
    /// somebody else on the machine.
    Stopped {
        /// Whether it had to be killed because it did not heed SIGTERM.
        killed: bool,
    },
    /// Stopped because the agent was told to end, and to take its handler along.
    StoppedWithAgent {
        /// Whether it had to be killed because it did not heed SIGTERM.
        killed: bool,
    },
    /// Never ran: the kernel, or a rule, refused.
    CouldNotStart {
        /// The file and the cause.
        reason: String,
    },
    /// Killed by the kernel for want of memory.
    OutOfMemory,
    /// Gone, and nobody knows how it ended; what was left of it has been stopped.
    Lost,
    /// Cut off by a restart of the machine.
    Interrupted,
    /// Nobody can know whether it ran.
    Unknown {
        /// Why not.
        reason: String,
    },
    /// With the exit code that asks for a reboot, and the machine was not rebooted.
    NotRebooted {
        /// The exit code.
        code: i32,
        /// Why not.
        reason: String,
    },
}
