//! From a line to a command. The words are those of the command line, except that a document needs no quotes.

use std::fmt::Write;

use clap::{CommandFactory, Parser, Subcommand};

use crate::cli::Command;
use crate::json::harmless;

/// What a line says.
#[derive(Debug, Subcommand)]
pub(super) enum Word {
    #[command(flatten)]
    Command(Command),
    /// Shows the executions of the thing as they change; again: no longer.
    Watch,
    /// Shows this list.
    Help,
    /// Ends the session; so does Ctrl-D.
    Quit,
}

#[derive(Debug, Parser)]
#[command(name = "", no_binary_name = true, disable_help_subcommand = true)]
struct Line {
    #[command(subcommand)]
    word: Word,
}

/// Reads a line; None if there is nothing on it. An error is for the person who typed it.
pub(super) fn read(line: &str) -> Result<Option<Word>, String> {
    let words = words(line);
    let Some(first) = words.first() else { return Ok(None) };
    Line::try_parse_from(&words).map(|line| Some(line.word)).map_err(|error| {
        if is_command(first) {
            in_one_line(&error)
        } else {
            format!("unknown command `{}`; `help` lists the commands", harmless(first))
        }
    })
}

/// Every command with its arguments and its purpose.
pub(super) fn help() -> String {
    let mut line = Line::command();
    // Only then it knows what its arguments are like.
    line.build();
    let mut text = String::from("Commands:");
    for command in line.get_subcommands() {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        write!(text, "\n  {}\n        {about}", usage(command)).expect("a String takes everything");
    }
    text
}

/// The command's name, what it must be given, and what it can be given.
fn usage(command: &clap::Command) -> String {
    let mut usage = command.get_name().to_owned();
    for argument in command.get_positionals().chain(command.get_opts()) {
        let argument = argument.to_string();
        let optional = argument.starts_with('-');
        write!(usage, "{}", if optional { format!(" [{argument}]") } else { format!(" {argument}") })
            .expect("a String takes everything");
    }
    for flag in command.get_arguments().filter(|argument| is_flag(argument)) {
        write!(usage, " [{flag}]").expect("a String takes everything");
    }
    usage
}

/// Whether it takes no value. Clap's own `--help` is no news to anybody here.
fn is_flag(argument: &clap::Arg) -> bool {
    matches!(argument.get_action(), clap::ArgAction::SetTrue)
}

/// The names of all commands.
pub(super) fn command_names() -> Vec<String> {
    Line::command().get_subcommands().map(|command| command.get_name().to_owned()).collect()
}

fn is_command(word: &str) -> bool {
    Line::command().get_subcommands().any(|command| command.get_name() == word)
}

/// What clap says first; its usage and its hints have no place in a session.
fn in_one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let first = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<_> = first.trim_start_matches("error:").split_whitespace().collect();
    words.join(" ")
}

/// A document is the rest of its line, in single quotes or not; nothing else has spaces in it.
fn words(line: &str) -> Vec<&str> {
    let line = line.trim();
    let Some(("create-job", rest)) = line.split_once(char::is_whitespace) else {
        return line.split_whitespace().collect();
    };
    let rest = rest.trim();
    let Some((job, document)) = rest.split_once(char::is_whitespace) else {
        return vec!["create-job", rest];
    };
    let document = document.trim();
    let bare = document.strip_prefix('\'').and_then(|text| text.strip_suffix('\''));
    vec!["create-job", job, bare.unwrap_or(document)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_the_rest_of_the_line_in_quotes_or_not() {
        let wanted = ["create-job", "Job2", r#"{"ToDo": "Delete  Root User"}"#];
        assert_eq!(words(r#" create-job  Job2 {"ToDo": "Delete  Root User"} "#), wanted);
        assert_eq!(words(r#"create-job Job2 '{"ToDo": "Delete  Root User"}'"#), wanted);
        assert_eq!(words("create-job"), ["create-job"]);
        assert_eq!(words("create-job Job2"), ["create-job", "Job2"]);
    }

    #[test]
    fn an_empty_line_is_nothing() {
        for line in ["", "   ", "\t"] {
            assert!(matches!(read(line), Ok(None)), "{line:?}");
        }
    }

    #[test]
    fn every_mistake_is_one_line_that_names_it() {
        for (line, named) in [
            ("nonsense", "unknown command `nonsense`; `help` lists the commands"),
            ("--force", "unknown command `--force`"),
            ("\u{1b}[2J", "unknown command `\u{fffd}[2J`"),
            ("create-job", "<JOB_ID>"),
            ("create-job Job1", "<DOCUMENT>"),
            ("create-job Job1 {\"a\":", "the document is not JSON: EOF"),
            ("create-job a/b {}", "`a/b` is not a job id"),
            ("delete-job", "<JOB_ID>"),
            ("delete-job Job1 --farce", "--farce"),
            ("update-job-execution Job1 DONE", "no such status; there are IN_PROGRESS, SUCCEEDED"),
            ("get-pending-job-executions now", "now"),
            ("describe-job-execution $nxt", "`$nxt` is not a job id"),
        ] {
            let message = read(line).unwrap_err();
            assert!(message.contains(named), "{line}: {message}");
            assert!(!message.contains('\n') && !message.starts_with("error"), "{line}: {message}");
        }
    }

    #[test]
    fn the_list_of_commands_has_the_names_and_arguments_of_the_samples() {
        let help = help();
        for line in [
            "create-job <JOB_ID> <DOCUMENT>",
            "delete-job <JOB_ID> [--force]",
            "list-jobs [--status <STATUS>] [--next-token <TOKEN>]",
            "describe-job-execution <JOB_ID>",
            "get-pending-job-executions",
            "start-next-pending-job-execution",
            "update-job-execution <JOB_ID> <STATUS>",
            "help",
            "quit",
        ] {
            assert!(help.contains(&format!("\n  {line}\n")), "{line}: {help}");
        }
    }
}
