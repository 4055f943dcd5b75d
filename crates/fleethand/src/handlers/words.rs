//! The words of the core in those of `handler-runner`, and back.

use std::time::Duration;

use agent_core::{Captured, Ending, Found, Progress, StepOutcome, StepRun};
use handler_runner::{Outcome, Place, Program, Refusal, Request, StartError};
use jobs_protocol::document::{Action, HandlerPath, Step};
use jobs_protocol::limits::DETAILS_VALUE_UNITS;

use crate::chain::Chain;

/// A step as it is to be run.
pub(super) fn request(wanted: &StepRun) -> Request {
    Request {
        label: wanted.run.to_string(),
        environment: wanted.environment.clone(),
        time_limit: wanted.time_limit,
        grace: wanted.grace,
        head_characters: if wanted.keep_head { DETAILS_VALUE_UNITS } else { 0 },
        ..looked_at(&wanted.step)
    }
}

/// As much of a step as decides whether it could be run.
pub(super) fn looked_at(step: &Step) -> Request {
    let (program, arguments) = match &step.action {
        Action::RunHandler { handler, args, path } => {
            let place = match path {
                HandlerPath::Default => Place::HandlerDirectory,
                HandlerPath::Unspecified => Place::HandlerDirectoryThenPath,
                HandlerPath::Directory(directory) => Place::Directory(directory.into()),
            };
            (Program::Handler { name: handler.clone(), place }, args.clone())
        }
        Action::RunCommand { program, args } => (Program::Command { program: program.clone() }, args.clone()),
    };
    to_check(program, arguments, step.run_as_user.clone())
}

/// A request that is not meant to be started.
pub(super) fn to_check(program: Program, arguments: Vec<String>, run_as_user: Option<String>) -> Request {
    Request {
        label: "check".to_owned(),
        program,
        arguments,
        environment: Vec::new(),
        run_as_user,
        time_limit: Duration::ZERO,
        grace: Duration::ZERO,
        head_characters: 0,
        tail_characters: DETAILS_VALUE_UNITS,
    }
}

/// Why a step may not be run; where a rule of the operator's is in the way, with its key.
pub(super) fn refused(refusal: &Refusal) -> String {
    use Refusal::{CommandNotAllowed, DirectoryNotAllowed, SearchNotAllowed, UserNotAllowed};
    let key = if matches!(refusal, UserNotAllowed { .. }) {
        "allowed-users"
    } else if matches!(refusal, DirectoryNotAllowed { .. }) {
        "allowed-paths"
    } else if matches!(refusal, CommandNotAllowed { .. } | SearchNotAllowed { .. }) {
        "allow-commands"
    } else {
        return Chain(refusal).to_string();
    };
    format!("{refusal} (jobs.{key} in the agent's configuration)")
}

/// Whether what is not there now may be there when the step begins: an earlier step installs a package, or puts a file
/// somewhere. Handlers of the handler directory are the operator's, and users are no work of jobs: they are there or not.
pub(super) fn may_come_yet(step: &Step, refusal: &Refusal) -> bool {
    let absent = matches!(refusal, Refusal::NotFound { .. } | Refusal::NoDirectory { .. });
    absent
        && match &step.action {
            Action::RunCommand { .. } => true,
            Action::RunHandler { path, .. } => matches!(path, HandlerPath::Directory(_)),
        }
}

/// Why a run was not started.
pub(super) fn not_started(error: &StartError) -> String {
    match error {
        StartError::Refused(refusal) => refused(refusal),
        StartError::Held { .. }
        | StartError::Directory(_)
        | StartError::Files { .. }
        | StartError::Keeper { .. } => Chain(error).to_string(),
    }
}

/// What an earlier life's run has come to.
pub(super) fn told(outcome: Outcome) -> Found {
    match outcome.ending {
        handler_runner::Ending::NeverStarted { .. } => Found::NeverStarted,
        handler_runner::Ending::Exited { .. }
        | handler_runner::Ending::Killed { .. }
        | handler_runner::Ending::TimedOut { .. }
        | handler_runner::Ending::Stopped { .. }
        | handler_runner::Ending::CouldNotStart { .. }
        | handler_runner::Ending::OutOfMemory
        | handler_runner::Ending::Lost
        | handler_runner::Ending::Interrupted => Found::Ended(outcome_of(outcome)),
    }
}

pub(super) fn outcome_of(outcome: Outcome) -> StepOutcome {
    let captured = |stream: handler_runner::Captured| Captured {
        head: stream.head,
        tail: stream.tail,
        bytes: stream.bytes,
        lines: stream.lines,
    };
    let ending = match outcome.ending {
        handler_runner::Ending::Exited { code } => Ending::Exited { code },
        handler_runner::Ending::Killed { signal } => Ending::Killed { signal },
        handler_runner::Ending::TimedOut { halt } => Ending::TimedOut { killed: halt.forced },
        handler_runner::Ending::Stopped { halt } => Ending::Stopped { killed: halt.forced },
        handler_runner::Ending::CouldNotStart { path, reason } => {
            Ending::CouldNotStart { reason: format!("{}: {reason}", path.display()) }
        }
        handler_runner::Ending::NeverStarted { reason } => Ending::CouldNotStart { reason },
        handler_runner::Ending::OutOfMemory => Ending::OutOfMemory,
        handler_runner::Ending::Lost => Ending::Lost,
        handler_runner::Ending::Interrupted => Ending::Interrupted,
    };
    StepOutcome {
        ending,
        stdout: captured(outcome.stdout),
        stderr: captured(outcome.stderr),
        left_behind: outcome.left_behind,
        progress: Progress { facts: outcome.reported.facts },
    }
}

/// An outcome of which only the ending is known.
pub(super) fn bare(ending: Ending) -> StepOutcome {
    StepOutcome {
        ending,
        stdout: Captured::default(),
        stderr: Captured::default(),
        left_behind: 0,
        progress: Progress::default(),
    }
}

#[cfg(test)]
mod tests {
    use handler_runner::{Death, Halt, Reported};

    use super::*;

    fn step(action: Action) -> Step {
        Step {
            name: "a step".into(),
            action,
            run_as_user: Some("nobody".into()),
            allow_std_err: None,
            ignore_step_failure: false,
            timeout_seconds: None,
        }
    }

    fn handler(path: HandlerPath) -> Program {
        let args = vec!["a b".to_owned()];
        let request = looked_at(&step(Action::RunHandler { handler: "x.sh".into(), args, path }));
        assert_eq!(request.arguments, ["a b"]);
        assert_eq!(request.run_as_user.as_deref(), Some("nobody"));
        request.program
    }

    #[test]
    fn the_path_of_a_document_decides_where_a_handler_is_looked_for() {
        let at = |place| Program::Handler { name: "x.sh".into(), place };
        assert_eq!(handler(HandlerPath::Default), at(Place::HandlerDirectory));
        assert_eq!(handler(HandlerPath::Unspecified), at(Place::HandlerDirectoryThenPath));
        assert_eq!(handler(HandlerPath::Directory("/opt/h".into())), at(Place::Directory("/opt/h".into())));
    }

    #[test]
    fn a_command_is_a_program_with_its_arguments() {
        let action = Action::RunCommand { program: "mkdir".into(), args: vec!["-p".into(), "/x".into()] };
        let request = looked_at(&step(action));
        assert_eq!(request.program, Program::Command { program: "mkdir".into() });
        assert_eq!(request.arguments, ["-p", "/x"]);
    }

    #[test]
    fn no_ending_is_rounded_to_another() {
        let halt = |forced| Halt { death: Some(Death::Killed { signal: 15 }), forced };
        let table = [
            (handler_runner::Ending::Exited { code: 3 }, Ending::Exited { code: 3 }),
            (handler_runner::Ending::Killed { signal: 9 }, Ending::Killed { signal: 9 }),
            (handler_runner::Ending::TimedOut { halt: halt(true) }, Ending::TimedOut { killed: true }),
            (handler_runner::Ending::Stopped { halt: halt(false) }, Ending::Stopped { killed: false }),
            (
                handler_runner::Ending::CouldNotStart { path: "/h/x.sh".into(), reason: "no".into() },
                Ending::CouldNotStart { reason: "/h/x.sh: no".into() },
            ),
            (
                handler_runner::Ending::NeverStarted { reason: "no".into() },
                Ending::CouldNotStart { reason: "no".into() },
            ),
            (handler_runner::Ending::OutOfMemory, Ending::OutOfMemory),
            (handler_runner::Ending::Lost, Ending::Lost),
            (handler_runner::Ending::Interrupted, Ending::Interrupted),
        ];
        for (theirs, ours) in table {
            assert_eq!(outcome_of(outcome(theirs)).ending, ours);
        }
    }

    #[test]
    fn a_run_that_never_began_is_told_from_one_that_is_over() {
        let never = handler_runner::Ending::NeverStarted { reason: String::new() };
        assert_eq!(told(outcome(never)), Found::NeverStarted);
        let lost = told(outcome(handler_runner::Ending::Lost));
        assert!(matches!(lost, Found::Ended(StepOutcome { ending: Ending::Lost, left_behind: 2, .. })));
    }

    fn outcome(ending: handler_runner::Ending) -> Outcome {
        let stream =
            || handler_runner::Captured { head: "head".into(), tail: "tail".into(), bytes: 4, lines: 1 };
        Outcome {
            ending,
            stdout: stream(),
            stderr: stream(),
            ran_for: Duration::ZERO,
            left_behind: 2,
            reported: Reported::default(),
        }
    }
}
