//! What the agent wants done.

use std::time::Duration;

use jobs_protocol::document::Step;

use crate::journal::Record;
use crate::{ExecutionId, RunId};

/// A deed for the shell. Effects are performed one by one, in the order in which they come.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Append to the journal and sync. If that fails nothing after it may be performed, now or later.
    Save(Box<Record>),
    /// Hand a message to the link, at QoS 1. It may be lost: the core asks again.
    Publish {
        /// Where to.
        topic: String,
        /// A JSON object.
        payload: Vec<u8>,
    },
    /// Look whether every step could be run, without running anything. Answered by
    /// [`Event::Inspected`](crate::Event::Inspected).
    Inspect {
        /// Comes back in the answer.
        execution: ExecutionId,
        /// The steps in order, the final one last.
        steps: Vec<Step>,
    },
    /// Start a handler. Answered by [`Event::StepEnded`](crate::Event::StepEnded) when it is over, also if it could
    /// not be started.
    Start(Box<StepRun>),
    /// Stop a run: TERM to its whole tree, KILL after the grace period. Answered by
    /// [`Event::StepEnded`](crate::Event::StepEnded).
    Stop {
        /// Which run.
        run: RunId,
    },
    /// Look for a run of an earlier life. Answered by [`Event::Adopted`](crate::Event::Adopted).
    Adopt {
        /// Which run.
        run: RunId,
    },
    /// Drop what is kept of a run: its outcome has been saved.
    Release {
        /// Which run.
        run: RunId,
    },
    /// Restart the machine. If that cannot be done, [`Event::RebootFailed`](crate::Event::RebootFailed) says so;
    /// otherwise nothing is heard of it, and the next life of the agent sees another boot.
    Reboot,
    /// End the program: nothing is left to wait for.
    Exit,
}

/// A step to be run.
#[derive(Debug, Clone, PartialEq)]
pub struct StepRun {
    /// Which run it is.
    pub run: RunId,
    /// What to run, as whom.
    pub step: Step,
    /// Whether a handler gets the user as its first argument.
    pub user_argument: bool,
    /// Added to the environment that every handler gets.
    pub environment: Vec<(String, String)>,
    /// When to stop it.
    pub time_limit: Duration,
    /// Between TERM and KILL.
    pub grace: Duration,
    /// Whether the beginning of its output is kept as well.
    pub keep_head: bool,
}
