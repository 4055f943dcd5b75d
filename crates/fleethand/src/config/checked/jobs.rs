//! The section `jobs`, as written and as believed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use agent_core::{AfterReboot, Details, FinalStep, HandlerPolicy, OnInterruption, OnStop};
use handler_runner::Allowed;

use super::Judge;
use crate::config::raw::{self, RawHandler, RawJobs};

/// What concerns jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Jobs {
    pub(crate) enabled: bool,
    /// Where the handlers of `"path": "default"` are.
    pub(crate) handler_directory: PathBuf,
    /// Time limit of a step that has none of its own.
    pub(crate) step_timeout: Duration,
    /// From TERM to KILL.
    pub(crate) grace: Duration,
    /// What becomes of a running handler when the daemon is told to end.
    pub(crate) on_stop: OnStop,
    /// When the final step of a document is run.
    pub(crate) final_step: FinalStep,
    /// Which users, directories and commands documents may name.
    pub(crate) allowed: Allowed,
    /// Whether the handler of a flat document gets the user as its first argument.
    pub(crate) user_argument_flat: bool,
    /// The same for the handlers of the steps form.
    pub(crate) user_argument_steps: bool,
    /// At most once in this time the service is told what a running handler reports.
    pub(crate) progress_interval: Duration,
    /// What is reported of a job whose document does not say.
    pub(crate) details: Details,
    /// The exit code by which a handler asks for a reboot; `None`: there is none.
    pub(crate) reboot_exit_code: Option<i32>,
    /// Lines on standard error that a flat document tolerates if it does not say; `None`: any number.
    pub(crate) allow_std_err_flat: Option<u64>,
    /// The same for a step of the steps form.
    pub(crate) allow_std_err_step: Option<u64>,
    /// For the conditions of documents.
    pub(crate) facts: BTreeMap<String, String>,
    /// Added to the environment of every handler.
    pub(crate) environment: BTreeMap<String, String>,
    /// By the handler's file name.
    pub(crate) handlers: BTreeMap<String, HandlerPolicy>,
}

/// Seven days: with the quarter of an hour on top this is the longest step timer the service takes.
const STEP_TIMEOUT_MOST: i64 = 10_080 * 60 - 15 * 60;

/// What a handler reads in these is the agent's word.
const SET_BY_THE_AGENT: [&str; 12] = [
    "JOB_ID",
    "THING_NAME",
    "EXECUTION_NUMBER",
    "STEP_NAME",
    "STEP_INDEX",
    "ATTEMPT",
    "BOOT_ID_BEFORE",
    "USER_ARGUMENT",
    "HANDLER_PATH",
    "HANDLER_SCRATCH",
    "HANDLER_PROGRESS_FD",
    "HANDLER_RUN",
];

impl Judge<'_> {
    pub(super) fn jobs(&mut self, raw: &RawJobs) -> Option<Jobs> {
        let step_timeout =
            self.number("jobs.step-timeout-seconds", raw.step_timeout_seconds, 1, STEP_TIMEOUT_MOST);
        let grace = self.number("jobs.grace-seconds", raw.grace_seconds, 0, 3600);
        let usual = raw::defaults().jobs.handler_directory.unwrap_or_default();
        let directory = raw.handler_directory.as_deref().filter(|directory| !directory.is_empty());
        let directory = self.path("jobs.handler-directory", directory.unwrap_or(&usual));
        let on_stop = self.choice(
            "jobs.on-stop",
            raw.on_stop.as_deref(),
            &[("keep", OnStop::Keep), ("terminate", OnStop::Terminate)],
        );
        let final_step = self.choice(
            "jobs.final-step",
            raw.final_step.as_deref(),
            &[("on-success", FinalStep::OnSuccess), ("always", FinalStep::Always)],
        );
        let progress = self.number("jobs.progress-seconds", raw.progress_seconds, 1, 86_400);
        let details = self.choice(
            "jobs.details",
            raw.details.as_deref(),
            &[
                ("tail", Details::Tail),
                ("head-and-tail", Details::HeadAndTail),
                ("device-client", Details::DeviceClient),
            ],
        );
        let reboot = self.number("jobs.reboot-exit-code", raw.reboot_exit_code, 0, 255);
        // An exit code 0 asks for nothing.
        let reboot = reboot.map(|code| i32::try_from(code).ok().filter(|code| *code != 0));
        let allowed = &raw.default_allow_std_err;
        let flat = self.lines("jobs.default-allow-std-err.flat", allowed.flat);
        let steps = self.lines("jobs.default-allow-std-err.steps", allowed.steps);
        let handlers: Vec<_> =
            raw.handlers.iter().map(|(name, handler)| self.handler(name, handler)).collect();
        let allowed = self.allowed(raw);
        for (name, value) in &raw.environment {
            if SET_BY_THE_AGENT.contains(&name.as_str()) {
                let key = format!("jobs.environment.{name}");
                self.complain(&key, "this variable is set by the agent itself", "give yours another name");
            }
            if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
                let key = format!("jobs.environment.{}", name.escape_debug());
                self.complain(&key, "no environment can hold this variable", "leave out `=` and NUL");
            }
        }
        Some(Jobs {
            on_stop: on_stop?,
            final_step: final_step?,
            progress_interval: Duration::from_secs(progress?),
            details: details?,
            reboot_exit_code: reboot?,
            allow_std_err_flat: flat?,
            allow_std_err_step: steps?,
            allowed: allowed?,
            user_argument_flat: raw.user_argument.flat.unwrap_or(false),
            user_argument_steps: raw.user_argument.steps.unwrap_or(true),
            facts: raw.facts.clone(),
            environment: raw.environment.clone(),
            handlers: handlers.into_iter().collect::<Option<_>>()?,
            enabled: raw.enabled.unwrap_or(true),
            handler_directory: directory?,
            step_timeout: Duration::from_secs(step_timeout?),
            grace: Duration::from_secs(grace?),
        })
    }

    /// What documents may name. Whether the users and the directories exist is no question of the configuration: they
    /// may come later.
    fn allowed(&mut self, raw: &RawJobs) -> Option<Allowed> {
        if raw.allowed_users.iter().flatten().any(String::is_empty) {
            self.complain("jobs.allowed-users", "holds an empty name", "give names or numbers of users");
        }
        let paths = raw.allowed_paths.as_ref();
        let directories: Option<Vec<Option<PathBuf>>> =
            paths.map(|paths| paths.iter().map(|path| self.path("jobs.allowed-paths", path)).collect());
        Some(Allowed {
            users: raw.allowed_users.clone(),
            directories: match directories {
                Some(directories) => Some(directories.into_iter().collect::<Option<_>>()?),
                None => None,
            },
            commands: raw.allow_commands.unwrap_or(true),
        })
    }

    /// A number of lines; the inner `None` is "any number", written as -1.
    #[expect(
        clippy::option_option,
        reason = "the outer one says, as everywhere here, whether it could be judged"
    )]
    fn lines(&mut self, key: &str, found: Option<i64>) -> Option<Option<u64>> {
        if found == Some(-1) {
            return Some(None);
        }
        self.number(key, found, -1, 1_000_000).map(Some)
    }

    /// What holds for one handler.
    fn handler(&mut self, name: &str, raw: &RawHandler) -> Option<(String, HandlerPolicy)> {
        let key = |member: &str| format!("jobs.handlers.{}{member}", name.escape_debug());
        if name.is_empty() || name.contains(['/', '\0']) || name == "." || name == ".." {
            self.complain(&key(""), "is no file name", "give the handler's name without its directory");
            return None;
        }
        let usual = HandlerPolicy::default();
        let on_interruption = match raw.on_interruption.as_deref() {
            None => Some(usual.on_interruption),
            found => self.choice(
                &key(".on-interruption"),
                found,
                &[("never-rerun", OnInterruption::NeverRerun), ("rerun", OnInterruption::Rerun)],
            ),
        };
        let max_attempts = match raw.max_attempts {
            None => Some(usual.max_attempts),
            found => {
                self.number(&key(".max-attempts"), found, 1, 1000).and_then(|most| u32::try_from(most).ok())
            }
        };
        let timeout = match raw.timeout_seconds {
            None => Some(usual.timeout),
            found => self
                .number(&key(".timeout-seconds"), found, 1, STEP_TIMEOUT_MOST)
                .map(|seconds| Some(Duration::from_secs(seconds))),
        };
        let after_reboot = match raw.after_reboot.as_deref() {
            None => Some(usual.after_reboot),
            found => {
                let words = [("same-step", AfterReboot::SameStep), ("next-step", AfterReboot::NextStep)];
                self.choice(&key(".after-reboot"), found, &words).map(Some)
            }
        };
        let policy = HandlerPolicy {
            on_interruption: on_interruption?,
            max_attempts: max_attempts?,
            timeout: timeout?,
            after_reboot: after_reboot?,
        };
        Some((name.to_owned(), policy))
    }
}
