//! The session at a terminal: a pseudo-terminal, and a screen that shows what a person would see.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use testkit::eventually;

use crate::{Place, THING, ending};

const ROWS: NonZeroU16 = NonZeroU16::new(40).unwrap();
const COLUMNS: NonZeroU16 = NonZeroU16::new(240).unwrap();

const CTRL_A: &str = "\x01";
const CTRL_C: &str = "\x03";
const CTRL_D: &str = "\x04";
const TAB: &str = "\t";
const UP: &str = "\x1b[A";
const ENTER: &str = "\r";

#[test]
fn what_the_service_tells_appears_above_the_line_that_is_being_typed() {
    let place = Place::new();
    let mut terminal = Terminal::start(&mut place.sandbox([""; 0]));
    terminal.shows_prompt_with("");
    terminal.keys("update-job-exec");
    terminal.shows_prompt_with("update-job-exec");
    // The cursor stands in the middle of the line when the news comes.
    terminal.keys(CTRL_A);
    place.desk.create_job(THING, "Job1", r#"{"ToDo":"Reboot"}"#);
    terminal.shows("Received NextJobExecutionChangedEvent:");
    terminal.shows("Received JobExecutionsChangedEvent:");
    terminal.shows_prompt_with("update-job-exec");
    for (place, line) in terminal.lines().iter().enumerate() {
        let broken = line.contains("update-job-exec") && line.contains("Received");
        assert!(!broken, "line {place}: {line}");
    }
    // What is typed goes on where it was: at the beginning of the line.
    terminal.keys("# ");
    terminal.shows_prompt_with("# update-job-exec");
    terminal.keys(CTRL_C);
    terminal.shows_prompt_with("");
    terminal.keys(&format!("update-job-execution Job1 SUCCEEDED{ENTER}"));
    terminal.shows("UpdateJobExecutionResponse: {");
    assert_eq!(place.desk.execution(THING, "Job1").status, "SUCCEEDED");
    terminal.ends_at(CTRL_D);
}

#[test]
fn tab_completes_commands_job_ids_and_statuses() {
    let place = Place::new();
    place.desk.create_job(THING, "a-long-name-for-a-job", "{}");
    let mut terminal = Terminal::start(&mut place.sandbox([""; 0]));
    terminal.shows_prompt_with("");
    terminal.keys(&format!("upd{TAB}"));
    terminal.shows_prompt_with("update-job-execution");
    terminal.keys(&format!("a-{TAB}"));
    terminal.shows_prompt_with("update-job-execution a-long-name-for-a-job");
    terminal.keys(&format!("REJ{TAB}{ENTER}"));
    terminal.shows("UpdateJobExecutionResponse: {");
    assert_eq!(place.desk.execution(THING, "a-long-name-for-a-job").status, "REJECTED");
    terminal.ends_at(&format!("quit{ENTER}"));
}

#[test]
fn history_reaches_back_into_earlier_sessions() {
    let place = Place::new();
    let mut terminal = Terminal::start(&mut place.sandbox([""; 0]));
    terminal.shows_prompt_with("");
    terminal.keys(&format!("list-jobs --status COMPLETED{ENTER}"));
    terminal.shows("ListJobsResponse: {");
    terminal.shows_prompt_with("");
    terminal.keys(&format!("nonsense{ENTER}"));
    terminal.shows("Error: unknown command `nonsense`");
    // A mistake that was told to a person is no failure of the session.
    terminal.ends_at(CTRL_D);

    let mut terminal = Terminal::start(&mut place.sandbox([""; 0]));
    terminal.shows_prompt_with("");
    terminal.keys(UP);
    terminal.shows_prompt_with("nonsense");
    terminal.keys(UP);
    terminal.shows_prompt_with("list-jobs --status COMPLETED");
    terminal.keys(ENTER);
    terminal.shows("ListJobsResponse: {");
    terminal.ends_at(CTRL_D);
}

/// A program at a terminal of its own.
struct Terminal {
    child: Child,
    keyboard: File,
    screen: Arc<Mutex<vt100::Parser>>,
}

impl Terminal {
    fn start(command: &mut Command) -> Self {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&controller).unwrap();
        unlockpt(&controller).unwrap();
        let size = Winsize { ws_row: ROWS.get(), ws_col: COLUMNS.get(), ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&controller, size).unwrap();
        let name = ptsname(&controller, Vec::new()).unwrap();
        let line = || OpenOptions::new().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let child = command.env("TERM", "xterm").stdin(line()).stdout(line()).stderr(line()).spawn().unwrap();
        let keyboard = File::from(controller);
        let screen = Arc::new(Mutex::new(vt100::Parser::new(ROWS, COLUMNS, 0)));
        let (mut output, shown) = (keyboard.try_clone().unwrap(), Arc::clone(&screen));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // An error is how a terminal says that nobody is there any more.
            while let Ok(length @ 1..) = output.read(&mut buffer) {
                shown.lock().unwrap().process(&buffer[..length]);
            }
        });
        Self { child, keyboard, screen }
    }

    fn keys(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    fn lines(&self) -> Vec<String> {
        let screen = self.screen.lock().unwrap();
        screen.screen().rows(0, COLUMNS.get()).map(|line| line.trim_end().to_owned()).collect()
    }

    /// Waits until a text stands on the screen.
    fn shows(&self, text: &str) {
        let found = || self.lines().iter().any(|line| line.contains(text)).then_some(());
        eventually(&format!("`{text}` on the screen"), || self.lines().join("\n"), found);
    }

    /// Waits until the last line is the prompt with this typed at it.
    fn shows_prompt_with(&self, typed: &str) {
        let wanted = format!("> {typed}");
        let found = || {
            let lines = self.lines();
            let last = lines.iter().rfind(|line| !line.is_empty())?;
            (last == wanted.trim_end()).then_some(())
        };
        eventually(&format!("the prompt with `{typed}`"), || self.lines().join("\n"), found);
    }

    /// Types this at an empty prompt, and waits until the program has ended well. Between two prompts a terminal has a mind of
    /// its own about control characters.
    fn ends_at(mut self, keys: &str) {
        self.shows_prompt_with("");
        self.keys(keys);
        assert!(ending(&mut self.child).success());
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Both fail only for a program that has been waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
