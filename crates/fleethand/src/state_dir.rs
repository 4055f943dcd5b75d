//! The directory that outlives the process: where it is, that it is ours alone, and that no other instance
//! works in it. What lies in it belongs to those who put it there.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

use crate::exit::Exit;

/// The state of the system's own instance.
const SYSTEM: &str = "/var/lib/fleethand";

/// An agent that is killed while it starts a keeper leaves a process that is about to become one. That has the lock
/// until it is, which takes it moments.
const INHERITED_FOR: Duration = Duration::from_secs(5);

/// A state directory that this process holds until the value is dropped, or the process is gone.
#[derive(Debug)]
pub(crate) struct StateDir {
    path: PathBuf,
    /// Held open: the lock goes with it. Closed at exec, so no handler inherits it.
    _lock: File,
}

/// Why there is no state directory to work in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateDirError {
    /// Not root, no service manager, no home.
    #[error("this user has no directory for state: set STATE_DIRECTORY to one")]
    Nowhere,
    /// It cannot be made or used.
    #[error("cannot use the state directory {path}", path = path.display())]
    Unusable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Somebody else could change what we have written down there.
    #[error(
        "the state directory {path} can be changed by others (owner {owner}, mode {mode:03o}); run: chown {user} {path} && chmod 700 {path}",
        path = path.display()
    )]
    Open { path: PathBuf, owner: u32, mode: u32, user: u32 },
    /// The lock is held.
    #[error("another fleethand is already running in {path} (process {holder})", path = path.display())]
    Taken { path: PathBuf, holder: String },
}

impl StateDirError {
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Nowhere => Exit::Config,
            Self::Unusable { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                Exit::Permission
            }
            Self::Unusable { .. } => Exit::Storage,
            Self::Open { .. } => Exit::Permission,
            Self::Taken { .. } => Exit::Temporary,
        }
    }
}

impl StateDir {
    /// Takes the state directory of this process: `STATE_DIRECTORY`, else the system's for root, else the
    /// user's own.
    pub(crate) fn take() -> Result<Self, StateDirError> {
        let user = rustix::process::geteuid().as_raw();
        let of_user = || {
            directories::ProjectDirs::from("", "", "fleethand")
                .and_then(|project| project.state_dir().map(Path::to_owned))
        };
        let path = place(std::env::var_os("STATE_DIRECTORY").as_deref(), user, of_user)
            .ok_or(StateDirError::Nowhere)?;
        Self::take_at(path, user)
    }

    fn take_at(path: PathBuf, user: u32) -> Result<Self, StateDirError> {
        let unusable = |source| StateDirError::Unusable { path: path.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(unusable)?;
        let found = std::fs::metadata(&path).map_err(unusable)?;
        let mode = found.mode() & 0o7777;
        if (found.uid() != user && found.uid() != 0) || mode & 0o022 != 0 {
            return Err(StateDirError::Open { owner: found.uid(), mode, user, path });
        }
        let lock = path.join("lock");
        let opened =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&lock);
        let mut lock = opened.map_err(unusable)?;
        let deadline = Instant::now() + INHERITED_FOR;
        loop {
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(rustix::io::Errno::WOULDBLOCK) => {}
                Err(error) => return Err(unusable(error.into())),
            }
            let holder = holder(&mut lock).map_err(unusable)?;
            if Path::new("/proc").join(&holder).exists() || Instant::now() >= deadline {
                return Err(StateDirError::Taken { path, holder });
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        // For the message above, and to tell a holder from what it has left.
        lock.set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .map_err(unusable)?;
        Ok(Self { path, _lock: lock })
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Who says to hold the lock: digits, or nothing.
fn holder(lock: &mut File) -> io::Result<String> {
    lock.rewind()?;
    let text = io::read_to_string(lock)?;
    Ok(text.chars().take_while(char::is_ascii_digit).take(10).collect())
}

/// Which directory it is. systemd joins several with colons; ours is the first.
fn place(
    from_manager: Option<&OsStr>,
    user: u32,
    of_user: impl FnOnce() -> Option<PathBuf>,
) -> Option<PathBuf> {
    match from_manager.and_then(|list| std::env::split_paths(list).next()) {
        Some(path) if path.is_absolute() => Some(path),
        Some(_) | None if user == 0 => Some(PathBuf::from(SYSTEM)),
        Some(_) | None => of_user(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn me() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    #[test]
    fn the_service_manager_decides_then_the_user() {
        let home = || Some(PathBuf::from("/home/me/.local/state/fleethand"));
        assert_eq!(place(Some(OsStr::new("/s:/t")), 0, home), Some("/s".into()));
        assert_eq!(place(Some(OsStr::new("relative")), 0, home), Some(SYSTEM.into()));
        assert_eq!(place(None, 0, home), Some(SYSTEM.into()));
        assert_eq!(place(None, 1000, home), home());
        assert_eq!(place(None, 1000, || None), None);
    }

    #[test]
    fn a_second_instance_is_told_who_the_first_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/state");
        let first = StateDir::take_at(path.clone(), me()).unwrap();
        assert_eq!(std::fs::metadata(first.path()).unwrap().permissions().mode() & 0o777, 0o700);
        let error = StateDir::take_at(path.clone(), me()).unwrap_err();
        assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
        assert_eq!(error.exit(), Exit::Temporary);
        drop(first);
        StateDir::take_at(path, me()).unwrap();
    }

    #[test]
    fn what_a_killed_instance_has_left_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_owned();
        let first = StateDir::take_at(path.clone(), me()).unwrap();
        // The number of no process: the instance is gone, and something of it still has the lock.
        std::fs::write(path.join("lock"), "4194305\n").unwrap();
        let second = std::thread::spawn(move || StateDir::take_at(path, me()));
        std::thread::sleep(Duration::from_millis(50));
        assert!(!second.is_finished(), "it was refused, or let in too early");
        drop(first);
        second.join().unwrap().unwrap();
    }

    #[test]
    fn a_directory_that_others_can_write_is_refused_with_the_mend() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o770)).unwrap();
        let error = StateDir::take_at(directory.path().to_owned(), me()).unwrap_err();
        assert!(error.to_string().contains("chmod 700"), "{error}");
        assert_eq!(error.exit(), Exit::Permission);
    }
}
