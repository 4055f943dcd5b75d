//! The agent's decisions.
//!
//! [`Agent::on_event`] takes what happened and the time, and returns what to do. No socket, file, process, clock or
//! randomness is in here: the shell around it performs [`Effect`]s and brings [`Event`]s, and a simulation does the
//! same in virtual time.

mod agent;
mod backoff;
mod boot_id;
mod effect;
mod event;
mod execution_id;
mod inquiry;
pub mod journal;
mod outbox;
mod pending;
mod progress;
mod report;
mod settings;
mod time;
mod verdict;

pub use agent::Agent;
pub use boot_id::BootId;
pub use effect::{Effect, StepRun};
pub use event::{Captured, Ending, Event, Found, Refused, StepOutcome};
pub use execution_id::{ExecutionId, RunId};
pub use progress::Progress;
pub use settings::{AfterReboot, Details, FinalStep, HandlerPolicy, OnInterruption, OnStop, Settings};
pub use time::BootTime;
