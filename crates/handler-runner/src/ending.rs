//! How a handler ended, and what it left: the answers of this crate, told apart.
//!
//! Whether an ending is a success is the caller's decision; nothing here rounds one kind down to another.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::reports::Reported;

/// All that is known about a run that is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// How it ended.
    pub ending: Ending,
    /// The end of its standard output.
    pub stdout: Captured,
    /// The end of its standard error.
    pub stderr: Captured,
    /// From the start to the end of the handler on the boot clock; zero where it never ran or nobody can know.
    pub ran_for: Duration,
    /// Processes of the handler that were still there when the run was over: daemons left behind after a normal end,
    /// or processes that even SIGKILL did not end.
    pub left_behind: u32,
    /// What it has reported of its work.
    #[serde(default)]
    pub reported: Reported,
}

impl Outcome {
    /// An outcome of which only the ending is known.
    pub(crate) fn bare(ending: Ending) -> Self {
        Self {
            ending,
            stdout: Captured::default(),
            stderr: Captured::default(),
            ran_for: Duration::ZERO,
            left_behind: 0,
            reported: Reported::default(),
        }
    }
}

/// What was kept of one stream, and how much there was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Captured {
    /// The first characters, as far as they were to be kept and do not stand in the tail.
    #[serde(default)]
    pub head: String,
    /// The last characters, cut on a character boundary; bytes that are not UTF-8 are replaced by U+FFFD.
    pub tail: String,
    /// How many bytes the handler wrote.
    pub bytes: u64,
    /// How many lines it wrote; a last line without a line feed counts.
    pub lines: u64,
}

/// How a handler ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Ending {
    /// It ended by itself.
    Exited {
        /// The exit code, 0 to 255.
        code: i32,
    },
    /// A signal that this crate did not send ended it.
    Killed {
        /// The signal's number.
        signal: i32,
    },
    /// It was stopped because its time was up.
    TimedOut {
        /// How it took that.
        halt: Halt,
    },
    /// It was stopped because that was asked for.
    Stopped {
        /// How it took that.
        halt: Halt,
    },
    /// The kernel refused to execute the file, or a step before that failed. Nothing of the handler ran.
    CouldNotStart {
        /// The file.
        path: PathBuf,
        /// Why, in words for the operator.
        reason: String,
    },
    /// The kernel killed it because memory was short, as far as the kernel tells: only control groups of version 2
    /// do, elsewhere it is [`Ending::Killed`] by signal 9.
    OutOfMemory,
    /// Keeper and handler are both gone and nothing tells how the handler ended: it may have done all or nothing.
    Lost,
    /// As [`Ending::Lost`], and the machine was started anew in between.
    Interrupted,
    /// The keeper was gone before it let the handler go. Nothing of the handler ran.
    NeverStarted {
        /// What is known about it.
        reason: String,
    },
}

/// How a handler took being stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Halt {
    /// How its own process ended; absent if it could not even be killed, or if it was stopped before it had begun.
    pub death: Option<Death>,
    /// Whether SIGKILL was needed because it, or a process of its tree, was there after the grace period.
    pub forced: bool,
}

/// How one process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub enum Death {
    /// By itself.
    Exited {
        /// The exit code, 0 to 255.
        code: i32,
    },
    /// By a signal.
    Killed {
        /// The signal's number.
        signal: i32,
    },
}
