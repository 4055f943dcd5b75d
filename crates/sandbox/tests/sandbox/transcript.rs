//! A session through pipes, taken apart: which answer and which events follow which command.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};

use serde_json::Value;
use testkit::PATIENCE;

use crate::ending;

/// Something that a session has said.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Said {
    /// `XResponse: {...}`: X and the JSON.
    Response(String, Value),
    /// `Received XEvent:` and on the next line the JSON.
    Event(String, Value),
    /// `Error: ...`.
    Error(String),
    /// Anything else.
    Note(String),
}

/// A session whose input and output are pipes.
pub(crate) struct Transcript {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Transcript {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines() {
                let Ok(line) = line else { return };
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { input: child.stdin.take(), child, lines }
    }

    /// Types a line.
    pub(crate) fn type_line(&mut self, line: &str) {
        self.type_bytes(format!("{line}\n").as_bytes());
    }

    /// Types anything.
    pub(crate) fn type_bytes(&mut self, bytes: &[u8]) {
        self.input.as_mut().unwrap().write_all(bytes).unwrap();
    }

    /// What is said next.
    pub(crate) fn next(&mut self) -> Said {
        let line = self.lines.recv_timeout(PATIENCE).expect("the session goes on");
        if let Some(error) = line.strip_prefix("Error: ") {
            return Said::Error(error.to_owned());
        }
        if let Some(event) = line.strip_prefix("Received ") {
            let json = self.lines.recv_timeout(PATIENCE).expect("an event has its JSON on a line of its own");
            return Said::Event(event.trim_end_matches(':').to_owned(), serde_json::from_str(&json).unwrap());
        }
        match line.split_once("Response: ") {
            Some((operation, json)) => {
                Said::Response(operation.to_owned(), serde_json::from_str(json).unwrap())
            }
            None => Said::Note(line),
        }
    }

    /// What is said until a command of the device has been answered that is asked after everything before: then no event
    /// of what came before can still be on its way, since the service keeps the order of one connection.
    pub(crate) fn settle(&mut self) -> Vec<Said> {
        self.type_line("get-pending-job-executions");
        let mut before = Vec::new();
        loop {
            let said = self.next();
            if matches!(&said, Said::Response(operation, _) if operation == "GetPendingJobExecutions") {
                return before;
            }
            before.push(said);
        }
    }

    /// Types a command and takes everything that follows from it, sorted: answers, then events.
    pub(crate) fn step(&mut self, line: &str) -> Vec<Said> {
        self.type_line(line);
        let mut said = self.settle();
        said.sort_by_key(|said| match said {
            Said::Response(operation, _) => (0, operation.clone()),
            Said::Event(event, _) => (1, event.clone()),
            Said::Error(text) => (2, text.clone()),
            Said::Note(text) => (3, text.clone()),
        });
        said
    }

    /// Ends the input.
    pub(crate) fn end(mut self) -> (ExitStatus, Vec<Said>) {
        self.input = None;
        let status = ending(&mut self.child);
        let mut rest = Vec::new();
        while let Ok(line) = self.lines.recv() {
            rest.push(Said::Note(line));
        }
        (status, rest)
    }
}

impl Drop for Transcript {
    fn drop(&mut self) {
        // Both fail only for a session that has been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The names of answers and events alone.
pub(crate) fn names(said: &[Said]) -> Vec<&str> {
    said.iter()
        .map(|said| match said {
            Said::Response(name, _) | Said::Event(name, _) | Said::Error(name) | Said::Note(name) => {
                name.as_str()
            }
        })
        .collect()
}

/// The JSON of the answer or event of this name.
pub(crate) fn json<'a>(said: &'a [Said], wanted: &str) -> &'a Value {
    said.iter()
        .find_map(|said| match said {
            Said::Response(name, json) | Said::Event(name, json) if name == wanted => Some(json),
            Said::Response(..) | Said::Event(..) | Said::Error(_) | Said::Note(_) => None,
        })
        .unwrap_or_else(|| panic!("{wanted} is not in {said:?}"))
}
