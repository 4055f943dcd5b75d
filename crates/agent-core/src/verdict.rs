//! What a step's ending means for the execution, and in which words it is reported.
//!
//! SUCCEEDED is said only if every step that had to pass exited 0 within its limits and with no more lines on
//! standard error than are allowed.

use jobs_protocol::ReportedStatus;
use jobs_protocol::document::{Form, JobDocument, Step};

use crate::journal::Verdict;
use crate::report::{details_for, report};
use crate::{AfterReboot, Details, Ending, FinalStep, Settings, StepOutcome};

/// A step that has ended: its index, and how.
pub(crate) type Ended = (u32, StepOutcome);

/// What follows on what has ended so far.
#[derive(Debug, PartialEq)]
pub(crate) enum Next {
    /// This step.
    Run(u32),
    /// The end.
    Verdict(Verdict),
}

/// The step by its index: the final step comes after the others.
pub(crate) fn step_at(document: &JobDocument, index: u32) -> Option<&Step> {
    let index = index as usize;
    document
        .steps
        .get(index)
        .or_else(|| document.final_step.as_ref().filter(|_| index == document.steps.len()))
}

/// Decides what follows. `ended` holds the last outcome of each step that was run, in order.
pub(crate) fn what_follows(document: &JobDocument, ended: &[Ended], settings: &Settings) -> Next {
    let final_index = u32::try_from(document.steps.len()).unwrap_or(u32::MAX);
    let details = details_for(document, settings.details);
    // The first one ends the job; a final step that is run all the same may fail as well.
    let failures: Vec<String> = ended
        .iter()
        .filter_map(|(index, outcome)| {
            let step = step_at(document, *index)?;
            judge(document, *index, step, outcome, settings).err().filter(|_| !step.ignore_step_failure)
        })
        .collect();
    let last = ended.last().map(|(index, _)| *index);
    let final_is_due = document.final_step.is_some() && last != Some(final_index);
    if !failures.is_empty() {
        return if final_is_due && settings.final_step == FinalStep::Always {
            Next::Run(final_index)
        } else {
            let reason = failures.join("; ");
            Next::Verdict(report(ReportedStatus::Failed, &reason, document, ended, details))
        };
    }
    let next = last.map_or(0, |index| index + 1);
    if step_at(document, next).is_some() {
        return Next::Run(next);
    }
    let reason = success(document, ended, settings);
    Next::Verdict(report(ReportedStatus::Succeeded, &reason, document, ended, details))
}

/// Whether a step that has ended so has passed.
pub(crate) fn passes(document: &JobDocument, index: u32, outcome: &StepOutcome, settings: &Settings) -> bool {
    step_at(document, index).is_some_and(|step| judge(document, index, step, outcome, settings).is_ok())
}

/// Whether the step's work was a reboot of the machine, and that is done.
fn has_rebooted(step: &Step, ending: &Ending, settings: &Settings) -> bool {
    let has_ended_so = *ending == Ending::Interrupted || settings.is_call_for_reboot(ending);
    has_ended_so && settings.policy_of(step).after_reboot == Some(AfterReboot::NextStep)
}

/// Whether a step has passed; if not, why, in words for the operator.
fn judge(
    document: &JobDocument,
    index: u32,
    step: &Step,
    outcome: &StepOutcome,
    settings: &Settings,
) -> Result<(), String> {
    let sentence = |what: &str| sentence(document, index, step, settings, what);
    let rebooted = has_rebooted(step, &outcome.ending, settings);
    if outcome.ending != (Ending::Exited { code: 0 }) && !rebooted {
        return Err(sentence(&words(&outcome.ending)));
    }
    let default = match document.form {
        Form::Flat => settings.default_allow_std_err_flat,
        Form::Steps => settings.default_allow_std_err_step,
    };
    match step.allow_std_err.or(default) {
        Some(allowed) if outcome.stderr.lines > allowed => Err(sentence(&format!(
            "{}, but wrote {} to standard error where {allowed} are allowed (allowStdErr)",
            words(&outcome.ending),
            plural(outcome.stderr.lines, "line")
        ))),
        _ => Ok(()),
    }
}

fn success(document: &JobDocument, ended: &[Ended], settings: &Settings) -> String {
    let mut reason = "Job exited with status: 0".to_owned();
    for (index, outcome) in ended {
        let Some(step) = step_at(document, *index) else { continue };
        if has_rebooted(step, &outcome.ending, settings) {
            let who = subject(document, *index, step);
            reason = match document.form {
                Form::Flat => format!("{who} has had the machine restarted"),
                Form::Steps => format!("{reason}; {who} has had the machine restarted"),
            };
        }
        if let Err(ignored) = judge(document, *index, step, outcome, settings) {
            reason.push_str("; ignored: ");
            reason.push_str(&ignored);
        }
        if outcome.left_behind > 0 {
            let left = plural(u64::from(outcome.left_behind), "process");
            reason = format!("{reason}; {left} left running by {}", subject(document, *index, step));
        }
    }
    reason
}

/// Who ended, and how. With the details of the Device Client the sentence begins as that client's does.
fn sentence(document: &JobDocument, index: u32, step: &Step, settings: &Settings, what: &str) -> String {
    let who = subject(document, index, step);
    match (document.form, details_for(document, settings.details)) {
        (Form::Steps, Details::DeviceClient) => format!("Job {what}; this was {who}"),
        _ => format!("{who} {what}"),
    }
}

/// The job in the flat form, a step by number and name otherwise.
pub(crate) fn subject(document: &JobDocument, index: u32, step: &Step) -> String {
    match document.form {
        Form::Flat => "Job".to_owned(),
        Form::Steps if index as usize == document.steps.len() => {
            format!("Final step ({})", short(&step.name))
        }
        Form::Steps => format!("Step {} of {} ({})", index + 1, document.steps.len(), short(&step.name)),
    }
}

/// Names in a document may be of any length.
fn short(name: &str) -> String {
    name.chars().take(80).collect()
}

fn plural(count: u64, noun: &str) -> String {
    match (count, noun) {
        (1, _) => format!("1 {noun}"),
        (_, "process") => format!("{count} processes"),
        _ => format!("{count} {noun}s"),
    }
}

fn words(ending: &Ending) -> String {
    let how = |killed: bool| if killed { "SIGKILL, as it did not heed SIGTERM" } else { "SIGTERM" };
    match ending {
        Ending::Exited { code } => format!("exited with status: {code}"),
        Ending::Killed { signal } => format!("killed by signal: {signal}{}", signal_name(*signal)),
        Ending::TimedOut { killed } => format!("timed out and was stopped ({})", how(*killed)),
        Ending::Stopped { killed } => {
            format!("was stopped: its keeper was told to, nobody knows by whom ({})", how(*killed))
        }
        Ending::StoppedWithAgent { killed } => {
            format!("was stopped because the agent was told to end ({})", how(*killed))
        }
        Ending::CouldNotStart { reason } => format!("could not be started: {reason}"),
        Ending::OutOfMemory => "killed by the kernel: out of memory".to_owned(),
        Ending::Lost => {
            "interrupted: its process is gone, and nobody knows how far it came; it was not run again"
                .to_owned()
        }
        Ending::Interrupted => {
            "interrupted by a restart of the machine, and nobody knows how far it came; it was not run again"
                .to_owned()
        }
        Ending::Unknown { reason } => {
            format!("interrupted: nobody knows whether it ran ({reason}); it was not run again")
        }
        Ending::NotRebooted { code, reason } => {
            format!("asked for a reboot (exit status: {code}), which was not done: {reason}")
        }
    }
}

/// The name of a signal as signal(7) spells it, in brackets.
fn signal_name(signal: i32) -> &'static str {
    match signal {
        1 => " (SIGHUP)",
        2 => " (SIGINT)",
        3 => " (SIGQUIT)",
        4 => " (SIGILL)",
        5 => " (SIGTRAP)",
        6 => " (SIGABRT)",
        7 => " (SIGBUS)",
        8 => " (SIGFPE)",
        9 => " (SIGKILL)",
        10 => " (SIGUSR1)",
        11 => " (SIGSEGV)",
        12 => " (SIGUSR2)",
        13 => " (SIGPIPE)",
        14 => " (SIGALRM)",
        15 => " (SIGTERM)",
        24 => " (SIGXCPU)",
        25 => " (SIGXFSZ)",
        31 => " (SIGSYS)",
        _ => "",
    }
}
