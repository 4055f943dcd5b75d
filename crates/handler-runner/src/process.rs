//! Processes as `/proc` shows them: who is whose child, who is still the same, what marks a
//! process carries; and signals to them.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::PathBuf;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::slot::Process;

/// A line of `/proc/PID/stat`, as far as it is of use here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) pid: i32,
    pub(crate) parent: i32,
    pub(crate) session: i32,
    pub(crate) start_time: u64,
    /// Dead, and waits for its parent to look.
    pub(crate) zombie: bool,
    /// Stopped by a signal: it has no child until it is continued.
    pub(crate) stopped: bool,
}

/// In debug builds, where the name of the boot is read instead: so tests restart a machine that goes on. Release builds
/// do not look at it.
pub const BOOT_ID_HOOK: &str = "FLEETHAND_BOOT_ID_FILE";

/// This boot's name: another one after every restart of the machine, whatever the clock says.
pub fn boot_id() -> io::Result<String> {
    let hook = if cfg!(debug_assertions) { std::env::var_os(BOOT_ID_HOOK) } else { None };
    let file = hook.map_or_else(|| PathBuf::from("/proc/sys/kernel/random/boot_id"), PathBuf::from);
    Ok(fs::read_to_string(file)?.trim().to_owned())
}

/// Whether systemd has ended all units and kills what is left of the machine's processes. Other init systems do not
/// tell.
pub(crate) fn is_machine_going_down() -> bool {
    fs::read("/proc/1/comm").is_ok_and(|name| is_last_act_of_systemd(&name))
}

/// `systemd-shutdown` takes the place of process 1; the kernel keeps 15 bytes of a name.
fn is_last_act_of_systemd(name: &[u8]) -> bool {
    name.trim_ascii_end() == b"systemd-shutdow"
}

/// The calling process, named so that it cannot be mistaken later.
pub(crate) fn this_process() -> io::Result<Process> {
    let pid = rustix::process::getpid().as_raw_nonzero().get();
    let stat = stat(pid)?.ok_or_else(|| io::Error::other("this process is not in /proc"))?;
    Ok(Process { pid, start_time: stat.start_time, boot_id: boot_id()? })
}

/// Whether this very process still exists.
pub(crate) fn is_alive(process: &Process) -> io::Result<bool> {
    Ok(boot_id()? == process.boot_id
        && stat(process.pid)?.is_some_and(|stat| stat.start_time == process.start_time))
}

/// What is known of a process; none if there is no such process.
pub(crate) fn stat(pid: i32) -> io::Result<Option<Stat>> {
    match fs::read(format!("/proc/{pid}/stat")) {
        Ok(line) => Ok(parse(&line)),
        Err(error) if is_out_of_sight(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// All processes that can be seen.
pub(crate) fn all() -> io::Result<Vec<Stat>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        if let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) {
            found.extend(stat(pid)?);
        }
    }
    Ok(found)
}

/// The living descendants of a process, parents before children.
pub(crate) fn descendants(all: &[Stat], ancestor: i32) -> Vec<Stat> {
    let mut children: HashMap<i32, Vec<Stat>> = HashMap::new();
    for stat in all {
        children.entry(stat.parent).or_default().push(*stat);
    }
    let mut found: Vec<Stat> = Vec::new();
    let mut parents = vec![ancestor];
    while let Some(parent) = parents.pop() {
        // Taken out: nothing is its own ancestor, but a table read while it changes may say so.
        let of_parent = children.remove(&parent).unwrap_or_default();
        parents.extend(of_parent.iter().map(|stat| stat.pid));
        found.extend(of_parent);
    }
    found.retain(|stat| !stat.zombie && stat.pid != ancestor);
    found
}

/// Whether a process was given this variable, written as `NAME=value`, when its program was executed.
pub(crate) fn has_variable(pid: i32, variable: &str) -> io::Result<bool> {
    let mut environment = Vec::new();
    let read = File::open(format!("/proc/{pid}/environ"))
        .and_then(|file| file.take(MAX_ENVIRONMENT).read_to_end(&mut environment));
    match read {
        Ok(_) => Ok(environment.split(|byte| *byte == 0).any(|one| one == variable.as_bytes())),
        Err(error) if is_out_of_sight(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The arguments that a process was given when its program was executed, its name among them; none if it is gone.
pub(crate) fn arguments(pid: i32) -> io::Result<Option<Vec<Vec<u8>>>> {
    let mut line = Vec::new();
    let read = File::open(format!("/proc/{pid}/cmdline"))
        .and_then(|file| file.take(MAX_ENVIRONMENT).read_to_end(&mut line));
    match read {
        Ok(_) => {
            let line = line.strip_suffix(&[0]).unwrap_or(&line);
            Ok(Some(line.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect()))
        }
        Err(error) if is_out_of_sight(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The number of the user who has started a process, whatever user its program has become by set-user-id; none if it is
/// gone.
pub(crate) fn user(pid: i32) -> io::Result<Option<u32>> {
    match fs::read(format!("/proc/{pid}/status")) {
        Ok(status) => Ok(real_user(&status)),
        Err(error) if is_out_of_sight(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Real, effective, saved and file system's (`proc_pid_status(5)`). A name that stands before has its line ends escaped.
fn real_user(status: &[u8]) -> Option<u32> {
    let users = status.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"Uid:"))?;
    std::str::from_utf8(users).ok()?.split_ascii_whitespace().next()?.parse().ok()
}

/// The kernel gives a new program at most 6 MiB for arguments and environment together (`execve(2)`).
const MAX_ENVIRONMENT: u64 = 6 * 1024 * 1024;

/// Whether a process is gone, or of no handler: where /proc is mounted so that it hides the processes of others.
fn is_out_of_sight(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied)
        // It went while it was being read.
        || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}

/// Sends a signal to each of them.
pub(crate) fn tell(processes: &[Stat], signal: Signal) -> io::Result<()> {
    for process in processes {
        match send(process, signal) {
            // A set-user-id program may be out of reach; the others are not.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            other => other?,
        }
    }
    Ok(())
}

/// Sends a signal to this very process; one that is gone needs none. Its number may be another one's by now, where a
/// handler has only to start enough processes until that is so.
fn send(process: &Stat, signal: Signal) -> io::Result<()> {
    let Some(pid) = Pid::from_raw(process.pid) else { return Ok(()) };
    let told = match pidfd_open(pid, PidfdFlags::empty()) {
        // Looked at after opening: what the descriptor names can no longer change.
        Ok(pidfd) => match stat(process.pid)? {
            Some(found) if found.start_time == process.start_time => pidfd_send_signal(pidfd, signal),
            Some(_) | None => return Ok(()),
        },
        Err(error) => Err(error),
    };
    match told {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The name of a process stands in brackets and may hold anything, also brackets and blanks.
fn parse(line: &[u8]) -> Option<Stat> {
    let line = String::from_utf8_lossy(line);
    let (pid, rest) = line.split_once(" (")?;
    let (_name, rest) = rest.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let state = *fields.first()?;
    Some(Stat {
        pid: pid.parse().ok()?,
        zombie: matches!(state, "Z" | "X"),
        stopped: matches!(state, "T" | "t"),
        parent: fields.get(1)?.parse().ok()?,
        session: fields.get(3)?.parse().ok()?,
        start_time: fields.get(19)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_confuse() {
        let line = b"42 (a) S (b ) S 7 42 40 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 12345 1000 2 18446744073709551615\n";
        assert_eq!(
            parse(line),
            Some(Stat { pid: 42, parent: 7, session: 40, start_time: 12345, zombie: false, stopped: false })
        );
        assert_eq!(parse(b""), None);
        assert_eq!(parse(b"1 (x) S"), None);
    }

    #[test]
    fn a_process_that_is_stopped_is_told_from_one_that_sleeps() {
        let stopped = |state| parse(format!("42 (T) {state}{}", " 7".repeat(30)).as_bytes()).unwrap().stopped;
        assert!(stopped('T') && stopped('t'));
        assert!(!stopped('S') && !stopped('D') && !stopped('R'));
    }

    #[test]
    fn the_last_act_of_systemd_is_told_from_systemd() {
        assert!(is_last_act_of_systemd(b"systemd-shutdow\n"));
        assert!(!is_last_act_of_systemd(b"systemd\n") && !is_last_act_of_systemd(b"init\n"));
    }

    #[test]
    fn this_process_is_alive_and_another_start_time_is_another_process() {
        let me = this_process().unwrap();
        assert!(is_alive(&me).unwrap());
        assert!(!is_alive(&Process { start_time: me.start_time + 1, ..me.clone() }).unwrap());
        assert!(!is_alive(&Process { boot_id: "another".to_owned(), ..me }).unwrap());
    }

    #[test]
    fn the_user_who_has_started_a_process_is_the_first_of_four() {
        assert_eq!(
            real_user(b"Name:\tUid:\\n7\nUmask:\t0022\nUid:\t1000\t0\t0\t0\nGid:\t5\t5\t5\t5\n"),
            Some(1000)
        );
        assert_eq!(real_user(b"Name:\tx\n"), None);
        assert_eq!(
            user(std::process::id().try_into().unwrap()).unwrap(),
            Some(rustix::process::getuid().as_raw())
        );
    }

    #[test]
    fn a_variable_is_seen_whole_or_not_at_all() {
        let mut child = std::process::Command::new("sleep")
            .arg("1000")
            .env_clear()
            .env("MARK", "0123")
            .env("PATH", "/usr/bin:/bin")
            .spawn()
            .unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        for (variable, carried) in
            [("MARK=0123", true), ("MARK=012", false), ("MARK=01234", false), ("ARK=0123", false)]
        {
            assert_eq!(has_variable(pid, variable).unwrap(), carried, "{variable}");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!has_variable(pid, "MARK=0123").unwrap(), "of a process that is gone");
    }

    #[test]
    fn descendants_are_found_through_their_parents() {
        let stat =
            |pid, parent| Stat { pid, parent, session: 0, start_time: 0, zombie: pid == 13, stopped: false };
        let all = [stat(12, 11), stat(11, 10), stat(20, 1), stat(10, 1), stat(13, 10), stat(14, 13)];
        let found: Vec<i32> = descendants(&all, 10).iter().map(|stat| stat.pid).collect();
        assert_eq!(found.len(), 3);
        assert!([11, 12, 14].iter().all(|pid| found.contains(pid)), "{found:?}: a child of a zombie counts");
    }

    /// As many as a small board can have at all. One look for each of the others would keep a keeper from its work.
    #[test]
    fn the_descendants_of_a_fork_bomb_are_found_in_one_go() {
        let stat =
            |pid, parent| Stat { pid, parent, session: 0, start_time: 0, zombie: false, stopped: false };
        let all: Vec<Stat> =
            (2..32_768).rev().map(|pid| stat(pid, if pid % 3 == 0 { 1 } else { pid - 1 })).collect();
        let found = descendants(&all, 1);
        assert_eq!(found.len(), 32_766);
        let place: HashMap<i32, usize> = found.iter().enumerate().map(|(at, stat)| (stat.pid, at)).collect();
        assert!(found.iter().all(|stat| stat.parent == 1 || place[&stat.parent] < place[&stat.pid]));
        assert!(descendants(&[stat(1, 2), stat(2, 1)], 1).iter().map(|stat| stat.pid).eq([2]), "a circle");
    }

    #[test]
    fn a_number_that_has_been_given_out_again_is_not_told() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let of_child = stat(i32::try_from(child.id()).unwrap()).unwrap().unwrap();
        let earlier = Stat { start_time: of_child.start_time - 1, ..of_child };
        tell(&[earlier], Signal::KILL).unwrap();
        tell(&[of_child], Signal::TERM).unwrap();
        let status = child.wait().unwrap();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(15));
        tell(&[of_child], Signal::KILL).unwrap();
    }
}
