//! What is shown, where and in which form. A one-shot command leaves JSON on standard output and everything else on
//! standard error; a session is read by a person, and shows all in one place in the order in which it happens.

use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;

use crate::device::{Event, News};
use crate::json::Json;

/// Where everything that is said goes.
#[derive(Debug)]
pub(crate) struct Screen {
    form: Form,
    /// Standard output is gone: nothing that follows would be seen.
    lost: AtomicBool,
    /// Something was refused or could not be done.
    failed: AtomicBool,
    /// News that came faster than the terminal took them.
    unseen: AtomicU64,
}

#[derive(Debug)]
enum Form {
    /// JSON lines on standard output, words on standard error.
    OneShot,
    /// Everything on standard output, labelled. News go by way of the line editor, if there is one.
    Session { news: Option<mpsc::SyncSender<String>> },
}

impl Screen {
    /// For one command.
    pub(crate) fn one_shot() -> Self {
        Self::new(Form::OneShot)
    }

    /// For a session; with `news`, whoever receives there puts the news on the terminal.
    pub(crate) fn session(news: Option<mpsc::SyncSender<String>>) -> Self {
        Self::new(Form::Session { news })
    }

    fn new(form: Form) -> Self {
        Self { form, lost: AtomicBool::new(false), failed: AtomicBool::new(false), unseen: AtomicU64::new(0) }
    }

    /// The answer to a command.
    pub(crate) fn response(&self, operation: &str, json: &Json) {
        match self.form {
            Form::OneShot => self.out(json.as_str()),
            Form::Session { .. } => self.out(&format!("{operation}Response: {json}")),
        }
    }

    /// Something for a person to know.
    pub(crate) fn note(&self, text: &str) {
        match self.form {
            Form::OneShot => self.diagnostic(text),
            Form::Session { .. } => self.out(text),
        }
    }

    /// Something has not worked.
    pub(crate) fn error(&self, text: &str) {
        self.failed.store(true, Ordering::Relaxed);
        match self.form {
            Form::OneShot => self.diagnostic(&format!("error: {text}")),
            Form::Session { .. } => self.out(&format!("Error: {text}")),
        }
    }

    /// What the connection tells. For one command it is its own business.
    pub(crate) fn news(&self, news: &News) {
        if self.in_session() {
            self.by_the_way(&words(news));
        }
    }

    /// News that one command waits for; a session has shown them already.
    pub(crate) fn overheard(&self, news: &News) {
        match (&self.form, news) {
            (Form::OneShot, News::Event(event @ (Event::Job | Event::JobExecution), json)) => {
                self.change(json, &words(&News::Event(*event, json.clone())));
            }
            (Form::OneShot, News::NotConnected { .. } | News::Strange { .. }) => {
                self.diagnostic(&words(news));
            }
            (Form::Session { .. }, _) | (Form::OneShot, News::Connected | News::Event(..)) => {}
        }
    }

    /// A change that is watched for: words for a person, JSON for a program.
    pub(crate) fn change(&self, json: &Json, text: &str) {
        match self.form {
            Form::OneShot if io::stdout().is_terminal() => self.out(text),
            Form::OneShot => self.out(json.as_str()),
            Form::Session { .. } => self.by_the_way(text),
        }
    }

    /// Something that nobody has asked for just now: it must not break the line that is being typed.
    pub(crate) fn by_the_way(&self, text: &str) {
        match &self.form {
            Form::OneShot => self.diagnostic(text),
            Form::Session { news: None } => self.out(text),
            Form::Session { news: Some(news) } => self.hand_over(news, text),
        }
    }

    /// Whoever tells news must not wait for the terminal: what it cannot take is counted, and told when it can.
    fn hand_over(&self, news: &mpsc::SyncSender<String>, text: &str) {
        let unseen = self.unseen.load(Ordering::Relaxed);
        let text = if unseen == 0 {
            text.to_owned()
        } else {
            format!("({unseen} news in between came too fast to be shown)\n{text}")
        };
        match news.try_send(text) {
            Ok(()) => self.unseen.store(0, Ordering::Relaxed),
            Err(mpsc::TrySendError::Full(_)) => self.unseen.store(unseen + 1, Ordering::Relaxed),
            Err(mpsc::TrySendError::Disconnected(_)) => self.lost.store(true, Ordering::Relaxed),
        }
    }

    /// Whether there is a session, and not one command.
    pub(crate) fn in_session(&self) -> bool {
        matches!(self.form, Form::Session { .. })
    }

    /// Whether something has gone wrong so far.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed) || self.is_lost()
    }

    /// Whether nobody can read any more.
    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    fn out(&self, text: &str) {
        let mut out = io::stdout().lock();
        if writeln!(out, "{text}").and_then(|()| out.flush()).is_err() {
            self.lost.store(true, Ordering::Relaxed);
        }
    }

    fn diagnostic(&self, text: &str) {
        if writeln!(io::stderr().lock(), "{text}").is_err() {
            self.lost.store(true, Ordering::Relaxed);
        }
    }
}

fn words(news: &News) -> String {
    match news {
        News::Connected => "Connected.".to_owned(),
        News::NotConnected { reason, retry_in } => {
            format!("Not connected: {reason}. The next attempt is in {:.1} s.", retry_in.as_secs_f32())
        }
        News::Event(event, json) => format!("Received {}:\n  {json}", event.name()),
        News::Strange { topic, why } => format!("A message on {topic} cannot be understood: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_that_the_terminal_cannot_take_are_counted_and_nobody_waits() {
        let (sender, shown) = mpsc::sync_channel(1);
        let screen = Screen::session(Some(sender));
        for text in ["one", "two", "three"] {
            screen.by_the_way(text);
        }
        assert_eq!(shown.try_recv().unwrap(), "one");
        screen.by_the_way("four");
        assert_eq!(shown.try_recv().unwrap(), "(2 news in between came too fast to be shown)\nfour");
        screen.by_the_way("five");
        assert_eq!(shown.try_recv().unwrap(), "five");
        assert!(!screen.is_lost());
        drop(shown);
        screen.by_the_way("six");
        assert!(screen.is_lost());
    }
}
