//! The interactive session: lines from a terminal or a pipe, one command each. An error is a line, and the session goes
//! on.

mod completion;
mod line;
mod terminal;

use std::io::{self, BufRead, IsTerminal};
use std::process::ExitCode;
use std::sync::Arc;

use jobs_protocol::topic::RequestTopic;
use serde_json::Map;

use crate::chain::Chain;
use crate::cli::Flags;
use crate::commands;
use crate::commands::Watching;
use crate::control::Call;
use crate::exit::WRONG_CONFIGURATION;
use crate::screen::Screen;
use crate::session::{CommandError, Session};
use line::Word;
use terminal::Terminal;

/// A session of one user.
struct Repl {
    session: Arc<Session>,
    /// The watch that runs beside it, if there is one.
    watching: Option<Watching>,
}

pub(crate) fn run(flags: &Flags) -> ExitCode {
    let person = io::stdin().is_terminal() && io::stdout().is_terminal();
    let opened = if person { Terminal::open().map(Some) } else { Ok(None) };
    let (mut terminal, screen) = match opened {
        Ok(Some((terminal, news))) => (Some(terminal), Screen::session(Some(news))),
        Ok(None) => (None, Screen::session(None)),
        Err(error) => {
            Screen::one_shot().error(&format!("the terminal cannot be used: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let screen = Arc::new(screen);
    let session = match Session::new(flags, Arc::clone(&screen)) {
        Ok(session) => Arc::new(session),
        Err(error) => {
            screen.error(&Chain(&error).to_string());
            return ExitCode::from(WRONG_CONFIGURATION);
        }
    };
    let mut repl = Repl { session: Arc::clone(&session), watching: None };
    repl.open();
    if person {
        repl.learn_names();
    }
    let read = match &mut terminal {
        Some(terminal) => terminal.read(&session, |line| repl.obey(line)),
        None => from_pipe(|line| repl.obey(line)),
    };
    if let Err(error) = read {
        screen.error(&format!("the input cannot be read: {error}"));
    }
    // What a person has mistyped has been told; a script wants to know at its end.
    let failed = if person { screen.is_lost() } else { screen.has_failed() };
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn from_pipe(mut obey: impl FnMut(&str) -> bool) -> io::Result<()> {
    for line in io::stdin().lock().split(b'\n') {
        // What is not UTF-8 becomes a sign that no name has and that a document keeps visible.
        if !obey(&String::from_utf8_lossy(&line?)) {
            break;
        }
    }
    Ok(())
}

impl Repl {
    /// Connects, and makes sure that there is a thing. What does not work is told; the other half may be of use.
    fn open(&self) {
        let connected = self.session.device().and_then(|device| Ok(device.settle()?));
        let mut errors: Vec<_> = [connected.err(), self.session.thing_arn().err()]
            .into_iter()
            .flatten()
            // That the first attempt to connect has failed has been told as news.
            .filter(|error| !matches!(error, CommandError::Device(_)))
            .map(|error| Chain(&error).to_string())
            .collect();
        errors.dedup();
        for error in errors {
            self.session.screen.error(&error);
        }
    }

    /// Learns the ids of the jobs that are there, for completion.
    fn learn_names(&self) {
        // What does not work here says so as soon as it is asked for by a command.
        drop(self.session.control(&Call::ListJobs { status: None, next_token: None }));
        drop(self.session.ask(RequestTopic::GetPending, Map::new()));
    }

    /// Carries a line out; false ends the session.
    fn obey(&mut self, line: &str) -> bool {
        let screen = &self.session.screen;
        match line::read(line) {
            Ok(None) => {}
            Ok(Some(Word::Quit)) => return false,
            Ok(Some(Word::Help)) => screen.note(&line::help()),
            Ok(Some(Word::Watch)) => self.toggle_watch(),
            Ok(Some(Word::Command(command))) => {
                if let Err(error) = commands::run(command, &self.session) {
                    self.tell(&error);
                }
            }
            Err(message) => screen.error(&message),
        }
        !self.session.screen.is_lost()
    }

    fn toggle_watch(&mut self) {
        if self.watching.take().is_some() {
            self.session.screen.note("No longer watching.");
            return;
        }
        match Watching::start(&self.session) {
            Ok(watching) => {
                self.watching = Some(watching);
                self.session.screen.note("Watching; `watch` again ends it.");
            }
            Err(error) => self.tell(&error),
        }
    }

    fn tell(&self, error: &CommandError) {
        self.session.screen.error(&Chain(error).to_string());
    }
}
