//! Replacing a whole file in one step: after a crash there is the old content or the new. For small state that
//! changes seldom; what changes often belongs into a journal.

use std::io;
use std::path::{Path, PathBuf};

use crate::disk::{Disk, DiskFile, RealDisk, parent, write_all_at};
use crate::journal::with_suffix;

/// Why a file was not replaced.
#[derive(Debug, thiserror::Error)]
pub enum ReplaceError {
    /// The new content cannot be written beside it. The file is as it was.
    #[error("cannot write {}", path.display())]
    Write {
        /// The temporary file.
        path: PathBuf,
        #[expect(missing_docs, reason = "the cause")]
        source: io::Error,
    },
    /// Whether the old content or the new will be there after a crash is not known.
    #[error("cannot put the new content of {} in its place", path.display())]
    Replace {
        /// The file.
        path: PathBuf,
        #[expect(missing_docs, reason = "the cause")]
        source: io::Error,
    },
}

/// Writes `bytes` to `path` with these permission bits, durably and in one step. The directory must be there.
/// Two callers at once for one path are the caller's mistake.
pub fn replace_file(path: impl AsRef<Path>, bytes: &[u8], mode: u32) -> Result<(), ReplaceError> {
    replace_file_on(&RealDisk, path.as_ref(), bytes, mode)
}

/// As [`replace_file`], on another disk.
pub fn replace_file_on<D: Disk>(disk: &D, path: &Path, bytes: &[u8], mode: u32) -> Result<(), ReplaceError> {
    let beside = with_suffix(path, ".new");
    if let Err(source) = write(disk, &beside, bytes, mode) {
        // It may not even have been created, and the failure to tell of is the first one.
        let _ = disk.remove(&beside);
        return Err(ReplaceError::Write { path: beside, source });
    }
    disk.rename(&beside, path)
        .and_then(|()| disk.sync_dir(parent(path)))
        .map_err(|source| ReplaceError::Replace { path: path.to_owned(), source })
}

fn write<D: Disk>(disk: &D, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut file = disk.create(path, mode)?;
    write_all_at(&mut file, 0, bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::testing::{Fault, FaultyDisk};

    #[test]
    fn a_replaced_file_has_the_new_content_and_the_mode_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.json");
        replace_file(&path, b"old", 0o644).unwrap();
        replace_file(&path, b"new", 0o600).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_crash_at_any_point_leaves_the_old_content_or_the_new() {
        let path = Path::new("/state/file");
        for lose in [false, true] {
            let mut saw = [false, false];
            for point in 0.. {
                let disk = FaultyDisk::new();
                replace_file_on(&disk, path, b"old content", 0o600).unwrap();
                disk.arm(Fault::CrashAfter(point));
                let replaced = replace_file_on(&disk, path, b"new content", 0o600).is_ok();
                if lose {
                    disk.restart_without_what_was_not_synced();
                } else {
                    disk.restart();
                }
                let found = disk.content(path).unwrap();
                assert!(found == b"old content" || found == b"new content", "crash at {point}: {found:?}");
                saw[usize::from(found == b"new content")] = true;
                if replaced {
                    assert_eq!(found, b"new content", "what was not synced is lost: {lose}");
                    break;
                }
            }
            assert_eq!(saw, [true, true]);
        }
    }
}
