//! Finds, checks, starts, captures and stops one handler; knows nothing of jobs.
//!
//! A handler is always held by a **keeper**: a small process of its own ([`keeper_main`]), so that the agent may be
//! killed, restarted or upgraded while the handler runs. [`Runner`] is the agent's side. Nothing here is asynchronous:
//! [`Run::pidfd`] is what an event loop waits for.
//!
//! - [`check`], [`Runner::check`]: could it be run? Every refusal names the file, what was found and what is wanted.
//! - [`foreseen_refusal`]: would the kernel execute that file?
//! - [`Runner::start`]: writes the run down, then starts its keeper.
//! - [`Run::reported`], [`Run::watch_reports`]: how far the handler says it is; [`report`] is what it says that with.
//! - [`Run::stop`], [`Run::finish`]: TERM to the whole tree, KILL after the grace period; how it ended.
//! - [`Runner::adopt`]: finds a run of an earlier life, its ending, or that there is nothing.

mod capture;
mod ending;
mod format;
#[cfg(any(test, fuzzing))]
pub mod fuzzed;
mod keeper;
mod locate;
mod lost;
mod permission;
mod process;
mod refusal;
mod reports;
mod request;
mod runner;
mod shell_word;
mod slot;
mod spawn;
mod user;

pub use ending::{Captured, Death, Ending, Halt, Outcome};
pub use format::foreseen_refusal;
pub use keeper::keeper_main;
pub use process::{BOOT_ID_HOOK, boot_id};
pub use refusal::Refusal;
pub use reports::{ReportError, Reported, report};
pub use request::{Allowed, DEFAULT_SEARCH_PATH, MAX_TAIL_CHARACTERS, Place, Program, Request, Settings};
pub use runner::{Adopted, Checked, OpenError, Run, Runner, StartError, check, user_exists};
pub use shell_word::shell_word;
pub use slot::Removed;
