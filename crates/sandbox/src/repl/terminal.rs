//! The terminal: a line editor with history and completion, and news that appear above the line being typed.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::{Arc, mpsc};

use rustyline::config::Config;
use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{Editor, ExternalPrinter};

use super::completion::Completion;
use crate::session::Session;

const PROMPT: &str = "> ";
const HISTORY: &str = "sandbox-history";
/// News that may wait to be shown. The thread of the connection must not wait for the terminal.
const WAITING_NEWS: usize = 1000;

/// The line editor.
pub(super) struct Terminal {
    editor: Editor<Completion, FileHistory>,
}

impl Terminal {
    /// Opens it; what is sent into the channel is shown at once, above the line.
    pub(super) fn open() -> io::Result<(Self, mpsc::SyncSender<String>)> {
        let config = Config::builder().auto_add_history(true).max_history_size(1000);
        let config = config.map_err(io::Error::other)?.build();
        let mut editor = Editor::with_config(config).map_err(io::Error::other)?;
        let mut printer = editor.create_external_printer().map_err(io::Error::other)?;
        let (sender, news) = mpsc::sync_channel::<String>(WAITING_NEWS);
        std::thread::Builder::new().name("news".to_owned()).spawn(move || {
            for text in news {
                if printer.print(text + "\n").is_err() {
                    // The terminal is gone; the senders notice that nobody receives.
                    return;
                }
            }
        })?;
        Ok((Self { editor }, sender))
    }

    /// Reads lines until `obey` says that it is enough, or Ctrl-D.
    pub(super) fn read(&mut self, session: &Session, mut obey: impl FnMut(&str) -> bool) -> io::Result<()> {
        self.editor.set_helper(Some(Completion::new(Arc::clone(&session.names))));
        let mut history = self.load_history(session);
        loop {
            match self.editor.readline(PROMPT) {
                Ok(line) => {
                    if let Some(path) = &history
                        && let Err(error) = self.editor.append_history(path)
                    {
                        session.screen.note(&format!("The history is not kept: {}: {error}", path.display()));
                        history = None;
                    }
                    if !obey(&line) {
                        return Ok(());
                    }
                }
                // Ctrl-C: away with the line.
                Err(ReadlineError::Interrupted) => {}
                Err(ReadlineError::Eof) => return Ok(()),
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    }

    /// Where the history is kept; None if it cannot be kept, which is told.
    fn load_history(&mut self, session: &Session) -> Option<PathBuf> {
        let path = history_file()?;
        let directory = path.parent()?;
        let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
        let loaded = made.map_err(ReadlineError::Io).and_then(|()| match self.editor.load_history(&path) {
            Err(ReadlineError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            loaded => loaded,
        });
        match loaded {
            Ok(()) => Some(path),
            Err(error) => {
                session.screen.note(&format!("The history is not kept: {}: {error}", path.display()));
                None
            }
        }
    }
}

fn history_file() -> Option<PathBuf> {
    let directories = directories::ProjectDirs::from("", "", "fleethand")?;
    Some(directories.state_dir()?.join(HISTORY))
}
