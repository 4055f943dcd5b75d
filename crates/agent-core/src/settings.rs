//! What the operator has set, as far as decisions depend on it.

use std::collections::BTreeMap;
use std::time::Duration;

use jobs_protocol::ThingName;
use jobs_protocol::document::{Action, Step};

use crate::Ending;

/// The exit code by which a handler asks for a reboot, unless the operator has set another one: that of the agent of
/// AWS Systems Manager.
const REBOOT_EXIT_CODE: i32 = 194;
/// How often a handler is started at most for one execution, unless the operator has set another limit.
const MOST_ATTEMPTS: u32 = 3;

/// Settings of the agent's decisions.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The thing whose jobs are run.
    pub thing_name: ThingName,
    /// Facts of this device, for the conditions of documents.
    pub facts: BTreeMap<String, String>,
    /// Added to every handler's environment.
    pub environment: Vec<(String, String)>,
    /// Lines on standard error that a flat document tolerates if it does not say; none: any number.
    pub default_allow_std_err_flat: Option<u64>,
    /// The same for a step of the steps form.
    pub default_allow_std_err_step: Option<u64>,
    /// Whether the handler of a flat document gets the user as its first argument.
    pub user_argument_flat: bool,
    /// The same for the handlers of the steps form.
    pub user_argument_steps: bool,
    /// How long a step may run if its handler has no limit of its own.
    pub step_timeout: Duration,
    /// Between TERM and KILL.
    pub grace: Duration,
    /// By handler file name.
    pub handlers: BTreeMap<String, HandlerPolicy>,
    /// What becomes of a running handler when the agent is told to end.
    pub on_stop: OnStop,
    /// When the final step of a document is run.
    pub final_step: FinalStep,
    /// What is reported of a job whose document does not say.
    pub details: Details,
    /// At most once in this time the service is told what a running handler says.
    pub progress_interval: Duration,
    /// The exit code by which a handler asks for a reboot of the machine; none: it is an exit code like others.
    pub reboot_exit_code: Option<i32>,
}

/// What holds for one handler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandlerPolicy {
    /// Whether it may be run again when nobody knows whether it ran to its end.
    pub on_interruption: OnInterruption,
    /// How often it is started at most, all attempts counted.
    pub max_attempts: u32,
    /// How long it may run; none: the common limit.
    pub timeout: Option<Duration>,
    /// How it goes on after a reboot that the handler has brought about. None: it may ask for one by its exit code,
    /// which is followed by the same step; a restart in the middle of it is an interruption like any other.
    pub after_reboot: Option<AfterReboot>,
}

/// What follows on a handler that has the machine rebooted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterReboot {
    /// It is started again, up to the limit of attempts.
    SameStep,
    /// It has done its work.
    NextStep,
}

/// What follows when a handler was interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnInterruption {
    /// The execution fails; the handler is not started again.
    #[default]
    NeverRerun,
    /// It is started again, up to the limit of attempts.
    Rerun,
}

/// What becomes of a running handler when the agent is told to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnStop {
    /// It runs on; the next life of the agent takes it over.
    #[default]
    Keep,
    /// It is stopped, and that is reported.
    Terminate,
}

/// When the final step is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FinalStep {
    /// After steps that have all passed.
    #[default]
    OnSuccess,
    /// After a failure as well.
    Always,
}

/// Which status details a report has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Details {
    /// `reason`, `stderr` and, if the document asks for it, `stdout`: of both the end.
    #[default]
    Tail,
    /// Beginning and end of both, over several keys, and how many bytes there were.
    HeadAndTail,
    /// The three keys of the Device Client, in its way: the reason begins with its words, and standard output is
    /// sent unless the document says no.
    DeviceClient,
}

impl Settings {
    /// The defaults, for one thing.
    #[must_use]
    pub fn new(thing_name: ThingName) -> Self {
        Self {
            thing_name,
            facts: BTreeMap::new(),
            environment: Vec::new(),
            default_allow_std_err_flat: Some(0),
            default_allow_std_err_step: None,
            user_argument_flat: false,
            user_argument_steps: true,
            step_timeout: Duration::from_secs(24 * 60 * 60),
            grace: Duration::from_secs(10),
            handlers: BTreeMap::new(),
            on_stop: OnStop::default(),
            final_step: FinalStep::default(),
            details: Details::default(),
            progress_interval: Duration::from_secs(30),
            reboot_exit_code: Some(REBOOT_EXIT_CODE),
        }
    }

    /// What holds for the handler of a step.
    #[must_use]
    pub fn policy_of(&self, step: &Step) -> HandlerPolicy {
        match &step.action {
            Action::RunHandler { handler, .. } => self.handlers.get(handler).cloned().unwrap_or_default(),
            Action::RunCommand { .. } => HandlerPolicy::default(),
        }
    }

    /// Whether a run has ended with the exit code that asks for a reboot.
    pub(crate) fn is_call_for_reboot(&self, ending: &Ending) -> bool {
        matches!(ending, Ending::Exited { code } if Some(*code) == self.reboot_exit_code)
    }
}

impl Default for HandlerPolicy {
    fn default() -> Self {
        Self {
            on_interruption: OnInterruption::default(),
            max_attempts: MOST_ATTEMPTS,
            timeout: None,
            after_reboot: None,
        }
    }
}
