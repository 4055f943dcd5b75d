//! Runs of an earlier life: which there are, what has become of one, and letting go of it.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::{Run, Runner};
use crate::ending::Outcome;
use crate::lost::{end_without_keeper, mark_of};
use crate::process::{self, Stat};
use crate::slot::{self, Place, Process, Removed, Slot, Spec};

/// How long a keeper that has just been started may take to write down who it is.
const KEEPER_SAYS_WITHIN: Duration = Duration::from_secs(5);

/// What became of a run that an earlier life of the agent has started.
#[derive(Debug)]
pub enum Adopted {
    /// It is held by its keeper.
    Running(Run),
    /// It is over, or gone: the outcome says which.
    Ended(Outcome),
    /// There is no such run, or it never came to executing its handler; it never will now.
    NeverStarted,
}

impl Runner {
    /// Looks for a run of an earlier life. What is found not to run will never run afterwards.
    pub fn adopt(&self, label: &str) -> io::Result<Adopted> {
        let Some((slot, spec)) = self.slot_of(label)? else { return Ok(Adopted::NeverStarted) };
        let records = slot.open_records(false)?;
        let deadline = Instant::now() + KEEPER_SAYS_WITHIN;
        loop {
            if let Some(outcome) = slot::read_outcome(&records, spec.run)? {
                return Ok(Adopted::Ended(outcome));
            }
            if slot::try_lock(&records)? {
                // No keeper, and none can begin while the lock is ours.
                return Self::without_keeper(&slot, &spec, &records);
            }
            if let Some(keeper) = slot::read_record::<Process>(&records, Place::Keeper, spec.run)? {
                if let Some(pidfd) = open_pidfd(&keeper)? {
                    return Ok(Adopted::Running(Run::new(slot, spec.run, pidfd, Some(records), None)));
                }
            }
            if Instant::now() >= deadline {
                // Its record may be damaged.
                if let Some(run) = keeper_of(&slot)?.filter(|run| run.number() == spec.run) {
                    return Ok(Adopted::Running(run));
                }
                let what =
                    format!("{}: somebody holds the lock and does not say who", slot.directory().display());
                return Err(io::Error::new(io::ErrorKind::TimedOut, what));
            }
            // The keeper has just begun, or is just about to be gone: both take moments.
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The keeper is gone. The caller holds the lock.
    fn without_keeper(slot: &Slot, spec: &Spec, records: &File) -> io::Result<Adopted> {
        if let Some(outcome) = slot::read_outcome(records, spec.run)? {
            return Ok(Adopted::Ended(outcome));
        }
        let handler = slot::read_record::<Process>(records, Place::Started, spec.run)?;
        // To take damage for nothing could make it run twice.
        if handler.is_none() && !slot::is_damaged(records, Place::Started)? {
            slot.clear()?;
            return Ok(Adopted::NeverStarted);
        }
        Ok(Adopted::Ended(end_without_keeper(spec.run, handler.as_ref())?))
    }

    /// Frees what is kept of a run, or a part of it, within a bounded time: then it is to be called again. To be called
    /// once the run's outcome has been saved elsewhere.
    pub fn release(&self, label: &str) -> io::Result<Removed> {
        match self.slot_of(label)? {
            Some((slot, _)) => slot.clear(),
            None => Ok(Removed::Whole),
        }
    }

    /// The runs that have not been released. One whose file is damaged has lost its name and is left out.
    pub fn labels(&self) -> io::Result<Vec<String>> {
        let mut labels = Vec::new();
        for slot in self.slots()? {
            match slot.read_spec() {
                Ok(spec) => labels.extend(spec.map(|spec| spec.label)),
                Err(error) if slot::is_damage(&error) => {
                    tracing::warn!(slot = %slot.directory().display(), %error, "What was to be run cannot be read");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(labels)
    }

    /// Runs that are held by a keeper and have lost their names, because what was to be run is damaged.
    pub fn nameless(&self) -> io::Result<Vec<Run>> {
        let mut runs = Vec::new();
        for slot in self.slots()? {
            match slot.read_spec() {
                Ok(_) => {}
                Err(error) if slot::is_damage(&error) => runs.extend(keeper_of(&slot)?),
                Err(error) => return Err(error),
            }
        }
        Ok(runs)
    }

    /// Runs that are held by a keeper and of which nothing else is left: somebody has removed their files.
    pub fn without_files(&self) -> io::Result<Vec<Run>> {
        let mut runs = Vec::new();
        for stat in process::all()? {
            let Some((number, directory)) = keeper_arguments(&stat)? else { continue };
            let slot = Slot::at(directory);
            let is_ours = slot.directory().parent() == Some(&self.settings.run_directory);
            if is_ours && matches!(slot.read_spec(), Ok(None)) {
                runs.extend(held_by(&stat, slot, number)?);
            }
        }
        Ok(runs)
    }

    fn slot_of(&self, label: &str) -> io::Result<Option<(Slot, Spec)>> {
        let mut damaged = None;
        for slot in self.slots()? {
            match slot.read_spec() {
                Ok(Some(spec)) if spec.label == label => return Ok(Some((slot, spec))),
                Ok(_) => {}
                Err(error) if slot::is_damage(&error) => damaged = Some(error),
                Err(error) => return Err(error),
            }
        }
        // The damaged one may be the one that was asked for: to say that there is none could make it run twice.
        damaged.map_or(Ok(None), Err)
    }

    /// Whether a run of this name has not been released.
    pub(super) fn holds(&self, label: &str) -> io::Result<bool> {
        for slot in self.slots()? {
            match slot.read_spec() {
                Ok(Some(spec)) if spec.label == label => return Ok(true),
                Ok(_) => {}
                // It could be this one; but it must not keep every later run from starting.
                Err(error) if slot::is_damage(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    fn slots(&self) -> io::Result<Vec<Slot>> {
        let mut slots = Vec::new();
        for entry in std::fs::read_dir(&self.settings.run_directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                slots.push(Slot::at(entry.path()));
            }
        }
        Ok(slots)
    }
}

/// The keeper of a slot by the list of processes: its last arguments are the run's number and the directory. Anybody can
/// start a process that looks so; a keeper is one of the agent's own user.
fn keeper_of(slot: &Slot) -> io::Result<Option<Run>> {
    for stat in process::all()? {
        let Some((number, directory)) = keeper_arguments(&stat)? else { continue };
        if directory != slot.directory() {
            continue;
        }
        if let Some(run) = held_by(&stat, slot.clone(), number)? {
            return Ok(Some(run));
        }
    }
    Ok(None)
}

/// The number of the run and the directory of its slot, if a process of the agent's user has been given what a keeper is
/// given.
fn keeper_arguments(stat: &Stat) -> io::Result<Option<(u64, PathBuf)>> {
    let arguments = if stat.zombie { None } else { process::arguments(stat.pid)? };
    let Some([.., run, directory]) = arguments.as_deref() else { return Ok(None) };
    let Some(number) = number_in(run) else { return Ok(None) };
    let is_ours = process::user(stat.pid)? == Some(rustix::process::getuid().as_raw());
    Ok(is_ours.then(|| (number, PathBuf::from(OsStr::from_bytes(directory)))))
}

/// The run that this very process holds, if it still does.
fn held_by(keeper: &Stat, slot: Slot, number: u64) -> io::Result<Option<Run>> {
    let keeper = Process { pid: keeper.pid, start_time: keeper.start_time, boot_id: process::boot_id()? };
    let records = slot.open_records(false).ok();
    Ok(open_pidfd(&keeper)?.map(|pidfd| Run::new(slot, number, pidfd, records, None)))
}

fn number_in(run: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(run).ok().filter(|text| text.len() == mark_of(0).len())?;
    u64::from_str_radix(text, 16).ok()
}

/// A pidfd of this very process, if it is still there.
fn open_pidfd(wanted: &Process) -> io::Result<Option<OwnedFd>> {
    let Some(pid) = Pid::from_raw(wanted.pid) else { return Ok(None) };
    match pidfd_open(pid, PidfdFlags::empty()) {
        // Looked at after opening: what the descriptor names can no longer change.
        Ok(pidfd) => Ok(process::is_alive(wanted)?.then_some(pidfd)),
        Err(rustix::io::Errno::SRCH) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
