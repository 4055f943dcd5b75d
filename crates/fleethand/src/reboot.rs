//! Restarting the machine: systemd is told to, or the `reboot` of another init system. When and why is decided
//! elsewhere; that it has happened shows in the next boot.

use std::future::poll_fn;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::readiness::Readiness;

/// With this variable a debug build runs that program instead: so tests restart a machine that goes on. Release
/// builds do not look at it.
pub(crate) const PROGRAM_HOOK: &str = "FLEETHAND_REBOOT_PROGRAM";

/// There is this directory exactly if systemd is the init system (`sd_booted(3)`).
const SYSTEMD: &str = "/run/systemd/system";
const SYSTEMCTL: [&str; 2] = ["/usr/bin/systemctl", "/bin/systemctl"];
const REBOOT: [&str; 2] = ["/usr/sbin/reboot", "/sbin/reboot"];

/// What is told of the words of a program that fails, in bytes.
const LONGEST_WORDS: u64 = 300;

/// The program that was told to restart the machine, until it has ended.
#[derive(Debug, Default)]
pub(crate) struct Reboot {
    under_way: Option<Order>,
}

#[derive(Debug)]
struct Order {
    program: PathBuf,
    child: Child,
    pidfd: Readiness,
}

impl Reboot {
    /// Tells the machine to restart, and does not wait for it. What is wrong with that, if it is known at once.
    pub(crate) fn begin(&mut self) -> Option<String> {
        let (program, arguments) = program(Path::new(SYSTEMD).is_dir(), Path::exists);
        match order(&program, arguments) {
            Ok((child, pidfd)) => {
                self.under_way = Some(Order { program, child, pidfd });
                None
            }
            Err(error) => Some(format!("{} cannot be run: {error}", program.display())),
        }
    }

    /// Waits for the program to fail, and says why. One that ends well says nothing: the machine goes down. Safe to
    /// cancel.
    pub(crate) async fn failed(&mut self) -> String {
        loop {
            match &self.under_way {
                Some(order) => poll_fn(|context| order.pidfd.poll_readable(context)).await,
                None => std::future::pending().await,
            }
            let Some(mut order) = self.under_way.take() else { continue };
            match order.child.wait() {
                Ok(status) if status.success() => {}
                Ok(status) => {
                    return format!("{} {status}{}", order.program.display(), words(&mut order.child));
                }
                Err(error) => return format!("{}: {error}", order.program.display()),
            }
        }
    }
}

fn order(program: &Path, arguments: &[&str]) -> io::Result<(Child, Readiness)> {
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    match pidfd_open(Pid::from_child(&child), PidfdFlags::empty())
        .map_err(io::Error::from)
        .and_then(Readiness::watch)
    {
        Ok(pidfd) => Ok((child, pidfd)),
        Err(error) => {
            child.kill().and_then(|()| child.wait())?;
            Err(error)
        }
    }
}

/// The first words of a program that has ended.
fn words(child: &mut Child) -> String {
    let mut text = Vec::new();
    let Some(stderr) = child.stderr.take() else { return String::new() };
    // What it has left behind may hold the pipe open for ever.
    if rustix::io::ioctl_fionbio(&stderr, true).is_err() {
        return String::new();
    }
    // An error only means that nothing more is to be had.
    let _ = stderr.take(LONGEST_WORDS).read_to_end(&mut text);
    let text = String::from_utf8_lossy(&text);
    let text = text.trim();
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

/// Which program restarts this machine.
fn program(systemd: bool, exists: impl Fn(&Path) -> bool) -> (PathBuf, &'static [&'static str]) {
    let hook = if cfg!(debug_assertions) { std::env::var_os(PROGRAM_HOOK) } else { None };
    if let Some(program) = hook {
        return (PathBuf::from(program), &[]);
    }
    let (places, arguments): (_, &[&str]) = if systemd { (SYSTEMCTL, &["reboot"]) } else { (REBOOT, &[]) };
    let [usual, _] = places;
    let found = places.into_iter().find(|place| exists(Path::new(place)));
    (PathBuf::from(found.unwrap_or(usual)), arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_is_told_where_it_is_the_init_system_and_else_the_reboot_of_the_other_one() {
        let all = |_: &Path| true;
        assert_eq!(program(true, all), ("/usr/bin/systemctl".into(), &["reboot"][..]));
        assert_eq!(program(false, all), ("/usr/sbin/reboot".into(), &[][..]));
        let old = |path: &Path| path.starts_with("/bin") || path.starts_with("/sbin");
        assert_eq!(program(true, old).0, Path::new("/bin/systemctl"));
        assert_eq!(program(false, old).0, Path::new("/sbin/reboot"));
        assert_eq!(program(true, |_| false).0, Path::new("/usr/bin/systemctl"), "the error names it");
    }

    fn told(script: &str) -> Reboot {
        let (child, pidfd) = order(Path::new("/bin/sh"), &["-c", script]).unwrap();
        Reboot { under_way: Some(Order { program: "/bin/sh".into(), child, pidfd }) }
    }

    #[tokio::test]
    async fn a_program_that_fails_is_told_with_its_words() {
        let mut reboot = told("echo Access denied >&2; exit 1");
        assert_eq!(reboot.failed().await, "/bin/sh exit status: 1: Access denied");
    }

    /// Also if something holds its pipe open.
    #[tokio::test]
    async fn a_program_that_fails_silently_is_told_by_its_status() {
        let mut reboot = told("sleep 1000 & echo $! >/dev/null; exit 4");
        assert_eq!(reboot.failed().await, "/bin/sh exit status: 4");
    }

    #[tokio::test]
    async fn a_program_that_ends_well_says_nothing() {
        let mut reboot = told("exit 0");
        let failed = tokio::time::timeout(std::time::Duration::from_millis(300), reboot.failed()).await;
        assert!(failed.is_err() && reboot.under_way.is_none());
    }
}
