//! Removing the directory that a handler had for itself, without harm to what it may have mounted there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Removes a handler's directory with all that is in it, unless something is mounted there.
pub(super) fn remove(scratch: &Path) -> io::Result<()> {
    // The table of mounts knows no symbolic links; the state directory of a service may be one.
    let scratch = scratch.canonicalize()?;
    if let Some(mount) = mount_below(&scratch, &fs::read_to_string("/proc/self/mountinfo")?) {
        let what = format!("{}: still mounted, so it is not removed", mount.display());
        return Err(io::Error::new(io::ErrorKind::ResourceBusy, what));
    }
    fs::remove_dir_all(scratch)
}

/// What a handler has mounted at or below its directory: to remove that would remove what is mounted there.
///
/// Mount points are the fifth field of a line (`proc_pid_mountinfo(5)`); blanks in them are written as `\040`.
fn mount_below(directory: &Path, mountinfo: &str) -> Option<PathBuf> {
    let points = mountinfo.lines().filter_map(|line| line.split(' ').nth(4));
    points.map(|point| PathBuf::from(point.replace("\\040", " "))).find(|point| point.starts_with(directory))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mounted_in_a_scratch_directory_is_seen() {
        let table = "1 0 0:1 / / rw - ext4 /dev/a rw\n2 1 0:2 / /run/0/scratch-1/a\\040b rw - tmpfs t rw\n";
        let found = |directory: &str| mount_below(Path::new(directory), table);
        assert_eq!(found("/run/0/scratch-1"), Some(PathBuf::from("/run/0/scratch-1/a b")));
        assert_eq!(found("/run/0/scratch-10"), None);
        assert_eq!(found("/run/0/scratch"), None);
    }
}
