//! The directory of all runs: the agent's alone, or not used.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::refusal::Refusal;

/// Why the directory of the runs cannot be used. It tells keepers what to execute as whom, so nobody else may write
/// or read there.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It is not there and cannot be made, or cannot be looked at.
    #[error("cannot make or examine the directory {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It is somebody else's.
    #[error("{} belongs to user {found}, wanted {agent} (chown -R {agent} {})", path.display(), path.display())]
    Owner {
        /// The directory.
        path: PathBuf,
        /// The number of its owner.
        found: u32,
        /// The number of the agent's user.
        agent: u32,
    },
    /// Others may use it, or its owner may not.
    #[error("{} has mode {found:04o}, wanted 0700 (chmod 700 {})", path.display(), path.display())]
    Mode {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        found: u32,
    },
    /// The agent's own user cannot be looked up.
    #[error(transparent)]
    Agent(Refusal),
}

/// The first place for a run. It stays for ever once it is there.
const FIRST: &str = "0";

/// A directory of the agent's alone: made so, or found so. Whether there was nothing in it.
pub(super) fn make_private(path: &Path, agent: u32) -> Result<bool, OpenError> {
    let failed = |source| OpenError::Directory { path: path.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if metadata.uid() != agent {
        return Err(OpenError::Owner { path: path.to_owned(), found: metadata.uid(), agent });
    }
    // A set-group-id bit may have come from the directory above, and says nothing.
    let found = metadata.mode() & 0o777;
    if found != 0o700 {
        return Err(OpenError::Mode { path: path.to_owned(), found });
    }
    let is_empty = std::fs::read_dir(path).map_err(failed)?.next().is_none();
    if is_empty {
        make_durable(path).map_err(failed)?;
    }
    Ok(is_empty)
}

/// Makes the first place in it, and sees to it that both are there after a power cut: that nothing is there is to mean
/// that somebody has removed it.
fn make_durable(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path.join(FIRST))?;
    File::open(path)?.sync_all()?;
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, create_dir, set_permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_directory_that_is_missing_is_made_for_the_agent_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state/run");
        let me = rustix::process::geteuid().as_raw();
        assert!(make_private(&path, me).unwrap(), "there was nothing in it");
        assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o700);
        assert!(!make_private(&path, me).unwrap());
        std::fs::remove_dir(path.join(FIRST)).unwrap();
        assert!(make_private(&path, me).unwrap(), "what was in it is gone");
    }

    #[test]
    fn a_directory_that_others_can_use_is_refused_with_the_mend() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run");
        create_dir(&path).unwrap();
        let me = rustix::process::geteuid().as_raw();
        for (mode, good) in
            [(0o700, true), (0o2700, true), (0o755, false), (0o701, false), (0o770, false), (0o500, false)]
        {
            set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(make_private(&path, me).is_ok(), good, "{mode:o}");
        }
        let error = make_private(&path, me).unwrap_err();
        let path = path.display();
        assert_eq!(error.to_string(), format!("{path} has mode 0500, wanted 0700 (chmod 700 {path})"));
    }

    #[test]
    fn a_directory_of_somebody_else_is_refused_with_the_mend_also_behind_a_link() {
        let directory = tempfile::tempdir().unwrap();
        let (path, link) = (directory.path().join("run"), directory.path().join("link"));
        create_dir(&path).unwrap();
        set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
        symlink(&path, &link).unwrap();
        let me = rustix::process::geteuid().as_raw();
        let error = make_private(&link, me + 1).unwrap_err();
        let (link, agent) = (link.display(), me + 1);
        assert_eq!(
            error.to_string(),
            format!("{link} belongs to user {me}, wanted {agent} (chown -R {agent} {link})")
        );
    }

    #[test]
    fn where_a_file_has_the_name_there_is_no_directory() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(matches!(make_private(file.path(), 0), Err(OpenError::Directory { .. })));
    }
}
