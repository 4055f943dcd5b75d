//! A started program: its log in a file, its end in any case.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, set_child_subreaper};

use crate::error::TaskError;

/// How long a program may take to end when it is asked to: longer than the grace period of a handler that it has to stop,
/// also on a machine that is busy with something else.
const GOODBYE: Duration = Duration::from_secs(60);

/// How much of a log is shown, in lines.
const TAIL: usize = 30;

/// A program that runs. It is stopped with the value.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a program; its standard error goes to the file. It gets a process group of its own, so that Ctrl-C
    /// reaches it by way of us, in good order.
    pub(crate) fn start(name: &'static str, command: &mut Command, log: &Path) -> Result<Self, TaskError> {
        let opened = fs::OpenOptions::new().append(true).create(true).open(log);
        let file = opened.map_err(TaskError::io(format!("open {}", log.display())))?;
        let child = command
            .stdin(Stdio::null())
            .stderr(file)
            .process_group(0)
            .spawn()
            .map_err(TaskError::io(format!("start {name}")))?;
        Ok(Self { name, child, log: log.to_owned() })
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its standard output, if that was piped and has not been taken.
    pub(crate) fn take_stdout(&mut self) -> Option<std::process::ChildStdout> {
        self.child.stdout.take()
    }

    /// Fails if it has ended.
    pub(crate) fn check(&mut self) -> Result<(), TaskError> {
        match self.child.try_wait().map_err(TaskError::io(format!("look after {}", self.name)))? {
            None => Ok(()),
            Some(status) => Err(TaskError::Ended { program: self.name, status, log: self.log_tail() }),
        }
    }

    /// The end of its log.
    pub(crate) fn log_tail(&self) -> String {
        tail(
            &fs::read(&self.log)
                .map_or_else(|error| error.to_string(), |log| String::from_utf8_lossy(&log).into()),
        )
    }

    /// Asks it to end, and sees to it that it does.
    pub(crate) fn stop(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let end = Instant::now() + GOODBYE;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        self.child.kill()?;
        self.child.wait()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It is our child, so this can only fail if it has been waited for already.
        let _ = self.stop();
    }
}

/// Makes us the parent of what loses its own: see [`end_orphans`].
pub(crate) fn adopt_orphans() -> Result<(), TaskError> {
    set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(|error| TaskError::io("become a subreaper")(error.into()))
}

/// Ends what the daemon has left behind, which is nothing unless it was killed: its handlers run on by design.
/// Only to be called when no [`Process`] is alive.
pub(crate) fn end_orphans() -> Result<(), TaskError> {
    let failed = || TaskError::io("end what was left behind");
    let end = Instant::now() + GOODBYE;
    for signal in [Signal::TERM, Signal::KILL] {
        loop {
            let orphans = children(std::process::id()).map_err(failed())?;
            if orphans.is_empty() {
                return Ok(());
            }
            for orphan in orphans {
                // It may have ended meanwhile, and has then been reaped or is about to be.
                let _ = kill_process(orphan, signal);
                let _ = rustix::process::waitpid(Some(orphan), rustix::process::WaitOptions::NOHANG);
            }
            if Instant::now() >= end {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}

/// The processes whose parent is `parent`, by /proc.
pub(crate) fn children(parent: u32) -> io::Result<Vec<Pid>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(id) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        // A process that has ended meanwhile is nobody's child any more.
        let Ok(stat) = fs::read_to_string(format!("/proc/{id}/stat")) else { continue };
        if parent_in(&stat) == Some(parent) {
            found.extend(Pid::from_raw(id));
        }
    }
    Ok(found)
}

/// The parent's id in a line of proc_pid_stat(5): the second field after the name, which stands in brackets and may
/// hold anything.
fn parent_in(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

fn tail(log: &str) -> String {
    let lines: Vec<_> = log.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_is_found_behind_any_name() {
        assert_eq!(parent_in("17 (sh) S 42 17 17 0 -1"), Some(42));
        assert_eq!(parent_in("17 (a) S 1) (b) R 42 17 17"), Some(42));
        assert_eq!(parent_in(""), None);
    }

    #[test]
    fn the_tail_of_a_log_is_its_last_lines() {
        let log: Vec<_> = (0..100).map(|n| n.to_string()).collect();
        assert_eq!(tail(&log.join("\n")).lines().next(), Some("70"));
        assert_eq!(tail("one\n"), "one");
    }

    #[test]
    fn a_process_ends_with_its_value() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let mut command = Command::new("sleep");
        let process = Process::start("sleep", command.arg("600"), &log).unwrap();
        let id = process.id();
        drop(process);
        assert!(!Path::new(&format!("/proc/{id}")).exists());
    }
}
