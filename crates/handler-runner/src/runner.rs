//! The agent's side: checks, starts a keeper, stops it, finds it again, reads what it wrote.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::ending::{Ending, Outcome};
use crate::locate::{Located, locate};
use crate::process;
use crate::refusal::Refusal;
use crate::request::{Request, Settings, check_texts};
use crate::slot::{self, FORMAT, Place, Process, Slot, Spec};
use crate::user::{self, Identity};

/// The largest handler that is copied into memory to be run as another user, in bytes.
const LARGEST_COPY: u64 = 16 * 1024 * 1024;
/// How long a keeper that has just been started may take to write down who it is.
const KEEPER_SAYS_WITHIN: Duration = Duration::from_secs(5);

/// Starts handlers, and finds them again. Knows nothing but its settings; everything else is in the run directory.
#[derive(Debug)]
pub struct Runner {
    settings: Settings,
    agent: Identity,
}

/// What a check has found: the request could be run now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The file that would be executed, absolute.
    pub path: PathBuf,
    /// Whether it would run as another user than the agent's.
    pub switches_user: bool,
}

/// Why a run was not started. Nothing of it has run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A rule.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The run's files could not be written: what cannot be remembered is not started.
    #[error("cannot write down the run in {}", path.display())]
    Files {
        /// The directory of the slot.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// No process for the keeper.
    #[error("cannot start the keeper {}", path.display())]
    Keeper {
        /// The program.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

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

/// A run that is held by a keeper.
#[derive(Debug)]
pub struct Run {
    slot: Slot,
    number: u64,
    pidfd: OwnedFd,
    /// Only if this very process has started the keeper.
    child: Option<Child>,
}

impl Runner {
    /// A runner for the calling process's user. Makes the run directory if it is missing.
    pub fn new(settings: Settings) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(&settings.run_directory)?;
        let agent = user::agent().map_err(io::Error::other)?;
        Ok(Self { settings, agent })
    }

    /// Says whether the request could be run, without doing anything.
    pub fn check(&self, request: &Request) -> Result<Checked, Refusal> {
        let (located, switch_to) = self.look(request)?;
        Ok(Checked { path: located.path, switches_user: switch_to.is_some() })
    }

    fn look(&self, request: &Request) -> Result<(Located, Option<Identity>), Refusal> {
        check_texts(request, &self.settings)?;
        let switch_to = match &request.run_as_user {
            Some(wanted) => user::other_than(&self.agent, wanted)?,
            None => None,
        };
        let located = locate(&request.program, &self.settings, self.agent.uid)?;
        if switch_to.is_some() && located.owner_only && located.bytes > LARGEST_COPY {
            return Err(Refusal::TooLarge { path: located.path, bytes: located.bytes, limit: LARGEST_COPY });
        }
        Ok((located, switch_to))
    }

    /// Checks again, writes the run down and starts its keeper.
    pub fn start(&self, request: &Request) -> Result<Run, StartError> {
        let (located, switch_to) = self.look(request)?;
        let slot = self.free_slot().map_err(|source| self.files(source))?;
        let spec = self
            .write_down(request, located, switch_to, &slot)
            .map_err(|source| StartError::Files { path: slot.directory().to_owned(), source })?;
        let keeper = |source| StartError::Keeper { path: self.settings.keeper_program.clone(), source };
        let mut child = self.start_keeper(&slot).map_err(keeper)?;
        let pidfd = Pid::from_child(&child);
        match pidfd_open(pidfd, PidfdFlags::empty()) {
            Ok(pidfd) => Ok(Run { slot, number: spec.run, pidfd, child: Some(child) }),
            Err(error) => {
                // Without a pidfd (Linux before 5.3) the end could not be waited for.
                let killed = child.kill().and_then(|()| child.wait());
                Err(keeper(killed.err().unwrap_or_else(|| error.into())))
            }
        }
    }

    fn files(&self, source: io::Error) -> StartError {
        StartError::Files { path: self.settings.run_directory.clone(), source }
    }

    fn write_down(
        &self,
        request: &Request,
        located: Located,
        switch_to: Option<Identity>,
        slot: &Slot,
    ) -> io::Result<Spec> {
        slot.prepare()?;
        let run = fresh_number()?;
        // Another user does not get through the agent's own directories.
        let scratch = match &switch_to {
            None => slot.directory().join(format!("scratch-{run:016x}")),
            Some(_) => PathBuf::from(format!("/var/tmp/handler-scratch-{run:016x}")),
        };
        let copied = switch_to.is_some() && located.owner_only;
        let spec = Spec {
            format: FORMAT,
            run,
            label: request.label.clone(),
            environment: self.environment(request, switch_to.as_ref(), &scratch, &located),
            path: located.path,
            arguments: request.arguments.clone(),
            scratch,
            switch_to,
            copied,
            time_limit: request.time_limit,
            grace: request.grace,
            tail_characters: request.tail_characters,
        };
        slot.write_spec(&spec)?;
        // Only now, so that whatever is made is known to whoever clears the slot. The name cannot be guessed, and a
        // directory that somebody else has made is not taken.
        DirBuilder::new().mode(0o700).create(&spec.scratch)?;
        if let Some(identity) = &spec.switch_to {
            std::os::unix::fs::chown(&spec.scratch, Some(identity.uid), Some(identity.gid))?;
        }
        Ok(spec)
    }

    /// Built from nothing; later ones win.
    fn environment(
        &self,
        request: &Request,
        switch_to: Option<&Identity>,
        scratch: &std::path::Path,
        located: &Located,
    ) -> Vec<(String, String)> {
        let user = switch_to.unwrap_or(&self.agent);
        let path: Vec<String> =
            self.settings.search_path.iter().map(|path| path.display().to_string()).collect();
        let own = [
            ("PATH", path.join(":")),
            ("HOME", user.home.clone()),
            ("USER", user.name.clone()),
            ("LOGNAME", user.name.clone()),
            ("LANG", "C.UTF-8".to_owned()),
            ("HANDLER_PATH", located.path.display().to_string()),
            ("HANDLER_SCRATCH", scratch.display().to_string()),
        ];
        let own = own.map(|(name, value)| (name.to_owned(), value));
        own.into_iter().chain(self.settings.environment.clone()).chain(request.environment.clone()).collect()
    }

    fn start_keeper(&self, slot: &Slot) -> io::Result<Child> {
        use std::os::unix::process::CommandExt;
        Command::new(&self.settings.keeper_program)
            .args(&self.settings.keeper_arguments)
            .arg(slot.directory())
            .env_clear()
            .current_dir("/")
            // What is typed at the agent's terminal is not meant for its handlers.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
    }

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
                    return Ok(Adopted::Running(Run { slot, number: spec.run, pidfd, child: None }));
                }
            }
            if Instant::now() >= deadline {
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
        let Some(handler) = slot::read_record::<Process>(records, Place::Started, spec.run)? else {
            slot.clear()?;
            return Ok(Adopted::NeverStarted);
        };
        Ok(Adopted::Ended(Outcome::bare(what_is_left(&handler)?)))
    }

    /// Frees what is kept of a run. To be called once its outcome has been saved elsewhere.
    pub fn release(&self, label: &str) -> io::Result<()> {
        match self.slot_of(label)? {
            Some((slot, _)) => slot.clear(),
            None => Ok(()),
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

    fn slots(&self) -> io::Result<Vec<Slot>> {
        let mut slots = Vec::new();
        for entry in fs::read_dir(&self.settings.run_directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                slots.push(Slot::at(entry.path()));
            }
        }
        Ok(slots)
    }

    /// The first slot that holds no run. What a crash has left in it is cleared.
    fn free_slot(&self) -> io::Result<Slot> {
        for number in 0..=u32::MAX {
            let slot = Slot::at(self.settings.run_directory.join(number.to_string()));
            match slot.read_spec() {
                Ok(None) => {
                    slot.clear()?;
                    return Ok(slot);
                }
                Ok(Some(_)) => {}
                // Taken, by whom nobody knows; it must not keep every later run from starting.
                Err(error) if slot::is_damage(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::StorageFull.into())
    }
}

impl Run {
    /// Has the handler stopped: TERM to its whole tree, KILL after the grace period. Returns at once; the end comes
    /// as always.
    pub fn stop(&self) -> io::Result<()> {
        match pidfd_send_signal(&self.pidfd, Signal::TERM) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// A copy of the keeper's pidfd, to wait with: it becomes readable when the run is over.
    pub fn pidfd(&self) -> io::Result<OwnedFd> {
        self.pidfd.try_clone()
    }

    /// Reads how the run ended. To be called when the pidfd is readable; before that it waits.
    pub fn finish(mut self) -> io::Result<Outcome> {
        if let Some(child) = &mut self.child {
            child.wait()?;
        }
        let records = self.slot.open_records(false)?;
        if let Some(outcome) = slot::read_outcome(&records, self.number)? {
            return Ok(outcome);
        }
        let ending = match slot::read_record::<Process>(&records, Place::Started, self.number)? {
            Some(handler) => what_is_left(&handler)?,
            None => Ending::NeverStarted { reason: "its keeper ended before it could start it".to_owned() },
        };
        Ok(Outcome::bare(ending))
    }
}

impl AsFd for Run {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

/// The keeper is gone without an ending: stops what is left of the handler, and says what that means.
fn what_is_left(handler: &Process) -> io::Result<Ending> {
    if process::boot_id()? != handler.boot_id {
        return Ok(Ending::Interrupted);
    }
    // Its session bears its number. If a process of that number is there and is another one, the number has been
    // given out again, and so nothing is left of the session.
    let leader = process::stat(handler.pid)?;
    if leader.is_none_or(|leader| leader.start_time == handler.start_time) {
        for _ in 0..100 {
            let left = process::of_session(&process::all()?, handler.pid);
            if left.is_empty() {
                break;
            }
            for process in left {
                process::send(process.pid, Signal::KILL)?;
            }
        }
    }
    Ok(Ending::Lost)
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

/// A number that no earlier run in the slot had.
fn fresh_number() -> io::Result<u64> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(u64::from_le_bytes(bytes))
}
