//! The agent's side: checks a request, writes its run down, starts a keeper for it. What happens to a run afterwards
//! stands in `run`, finding it again after a restart in `adopt`.

mod adopt;
mod directory;
mod run;

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::locate::{Located, locate};
use crate::lost::{RUN_MARK, mark_of};
use crate::process::BOOT_ID_HOOK;
use crate::refusal::Refusal;
use crate::request::{Request, Settings, check_texts};
use crate::slot::{self, FORMAT, Slot, Spec};
use crate::user::{self, Identity};
pub use adopt::Adopted;
pub use directory::OpenError;
use directory::make_private;
pub use run::Run;

/// The largest handler that is copied into memory to be run as another user, in bytes.
const LARGEST_COPY: u64 = 16 * 1024 * 1024;
/// Starts handlers, and finds them again. Knows nothing but its settings; everything else is in the run directory.
#[derive(Debug)]
pub struct Runner {
    settings: Settings,
    agent: Identity,
    /// The run directory was not there, or there was nothing in it.
    found_empty: bool,
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
    /// A run of this name is there already. To start it twice could do its work twice.
    #[error("run {label:?} has been started before and has not been released")]
    Held {
        /// The name.
        label: String,
    },
    /// There is no directory for the files of runs, and none could be made.
    #[error("there is no place to write the run down")]
    Directory(#[source] OpenError),
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

impl Runner {
    /// A runner for the calling process's user. Makes the run directory if it is missing, with a place for a run in
    /// it, and refuses one that is not the agent's alone.
    pub fn new(settings: Settings) -> Result<Self, OpenError> {
        let agent = user::agent().map_err(OpenError::Agent)?;
        let found_empty = make_private(&settings.run_directory, agent.uid)?;
        Ok(Self { settings, agent, found_empty })
    }

    /// Whether there was nothing in the run directory, not even an empty place for a run. Those stay for ever: if
    /// something has been started before, it was not this agent who has removed what was known of it.
    #[must_use]
    pub fn found_empty(&self) -> bool {
        self.found_empty
    }

    /// Says whether the request could be run, without doing anything.
    pub fn check(&self, request: &Request) -> Result<Checked, Refusal> {
        look(&self.settings, &self.agent, request).map(Checked::from)
    }

    /// Checks again, writes the run down and starts its keeper.
    pub fn start(&self, request: &Request) -> Result<Run, StartError> {
        let (located, switch_to) = look(&self.settings, &self.agent, request)?;
        // A handler may have removed it.
        make_private(&self.settings.run_directory, self.agent.uid).map_err(StartError::Directory)?;
        if self.holds(&request.label).map_err(|source| self.files(source))? {
            return Err(StartError::Held { label: request.label.clone() });
        }
        let slot = self.free_slot().map_err(|source| self.files(source))?;
        let started = self.start_in(&slot, request, located, switch_to);
        if started.is_err() {
            // Nothing runs, so the name is free again.
            if let Err(error) = slot.clear() {
                tracing::warn!(slot = %slot.directory().display(), %error, "What a failed start has left stays");
            }
        }
        started
    }

    fn start_in(
        &self,
        slot: &Slot,
        request: &Request,
        located: Located,
        switch_to: Option<Identity>,
    ) -> Result<Run, StartError> {
        let spec = self
            .write_down(request, located, switch_to, slot)
            .map_err(|source| StartError::Files { path: slot.directory().to_owned(), source })?;
        let records = slot
            .open_records(false)
            .map_err(|source| StartError::Files { path: slot.directory().to_owned(), source })?;
        let keeper = |source| StartError::Keeper { path: self.settings.keeper_program.clone(), source };
        let mut child = self.start_keeper(slot, spec.run).map_err(keeper)?;
        match pidfd_open(Pid::from_child(&child), PidfdFlags::empty()) {
            Ok(pidfd) => Ok(Run::new(slot.clone(), spec.run, pidfd, Some(records), Some(child))),
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
            environment: self.environment(request, switch_to.as_ref(), &scratch, &located, run),
            path: located.path,
            arguments: request.arguments.clone(),
            scratch,
            switch_to,
            copied,
            time_limit: request.time_limit,
            grace: request.grace,
            head_characters: request.head_characters,
            tail_characters: request.tail_characters,
        };
        slot.write_spec(&spec)?;
        // Only now, so that whatever is made is known to whoever clears the slot. The name cannot be guessed, and a
        // directory that somebody else has made is not taken.
        DirBuilder::new().mode(0o700).create(&spec.scratch)?;
        if let Some(identity) = &spec.switch_to {
            std::os::unix::fs::lchown(&spec.scratch, Some(identity.uid), Some(identity.gid))?;
        }
        Ok(spec)
    }

    /// Built from nothing; later ones win, and the mark by which its processes are found wins over all.
    fn environment(
        &self,
        request: &Request,
        switch_to: Option<&Identity>,
        scratch: &Path,
        located: &Located,
        run: u64,
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
        let mark = (RUN_MARK.to_owned(), mark_of(run));
        let wanted = self.settings.environment.iter().chain(&request.environment).cloned();
        own.into_iter().chain(wanted).chain([mark]).collect()
    }

    fn start_keeper(&self, slot: &Slot, run: u64) -> io::Result<Child> {
        use std::os::unix::process::CommandExt;
        let hook = if cfg!(debug_assertions) { std::env::var_os(BOOT_ID_HOOK) } else { None };
        Command::new(&self.settings.keeper_program)
            .args(&self.settings.keeper_arguments)
            .arg(mark_of(run))
            .arg(slot.directory())
            .env_clear()
            .envs(hook.map(|file| (BOOT_ID_HOOK, file)))
            .current_dir("/")
            // What is typed at the agent's terminal is not meant for its handlers.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
    }

    /// The first slot that holds no run. What a crash has left in it is cleared.
    fn free_slot(&self) -> io::Result<Slot> {
        for number in 0..=u32::MAX {
            let slot = Slot::at(self.settings.run_directory.join(number.to_string()));
            match slot.read_spec() {
                // A keeper there could not get the lock, and would end without a word.
                Ok(None) if slot.is_held()? => {}
                Ok(None) => {
                    slot.clear()?;
                    return Ok(slot);
                }
                Ok(Some(_)) => {}
                // Taken, by whom nobody knows. Whoever starts a run waits for none of an earlier life any more.
                Err(error) if slot::is_damage(&error) => {
                    if !slot.is_held()? {
                        tracing::warn!(slot = %slot.directory().display(), %error, "What was to be run cannot be read: set aside");
                        slot.set_aside()?;
                        return Ok(slot);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::StorageFull.into())
    }
}

/// Says whether a request could be run by the calling process's user, without doing anything. Of the settings only the
/// places of programs and the environment count.
pub fn check(settings: &Settings, request: &Request) -> Result<Checked, Refusal> {
    look(settings, &user::agent()?, request).map(Checked::from)
}

/// Whether there is a user of this name or number on this machine.
pub fn user_exists(user: &str) -> Result<bool, Refusal> {
    user::exists(user)
}

fn look(
    settings: &Settings,
    agent: &Identity,
    request: &Request,
) -> Result<(Located, Option<Identity>), Refusal> {
    check_texts(request, settings)?;
    let switch_to = match &request.run_as_user {
        Some(wanted) => user::other_than(agent, wanted, settings.allowed.users.as_deref())?,
        None => None,
    };
    let located = locate(&request.program, settings, agent.uid)?;
    if switch_to.is_some() && located.owner_only && located.bytes > LARGEST_COPY {
        return Err(Refusal::TooLarge { path: located.path, bytes: located.bytes, limit: LARGEST_COPY });
    }
    Ok((located, switch_to))
}

impl From<(Located, Option<Identity>)> for Checked {
    fn from((located, switch_to): (Located, Option<Identity>)) -> Self {
        Self { path: located.path, switches_user: switch_to.is_some() }
    }
}

/// A number that no earlier run in the slot had.
fn fresh_number() -> io::Result<u64> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(u64::from_le_bytes(bytes))
}
