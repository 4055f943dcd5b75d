//! Removing the directory that a handler had for itself, and nothing else: by the time it goes, the handler may have put
//! a link in its place, mounted something in it, nested directories deeper than there are descriptors or room on the
//! stack, or left processes that go on filling it.
//!
//! So no name is looked up but beneath the directory that it was made in, nothing is followed, nothing is crossed, and
//! the work is done piece by piece, in constant memory.

use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

/// So many names are looked at before the caller has its turn again: some hundredths of a second.
const AT_ONCE: usize = 1000;

/// How far it has come to remove what is kept of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// Nothing is left.
    Whole,
    /// There is more.
    InPart,
}

/// Removes a handler's directory with all that is in it, unless something is mounted there; or a part of it.
pub(super) fn remove(scratch: &Path) -> io::Result<Removed> {
    let (Some(parent), Some(name)) = (scratch.parent(), scratch.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    // Where it was made is the agent's or root's own, and may be reached by a link: the state directory of a service,
    // for one. The table of mounts knows no links.
    let parent = parent.canonicalize()?;
    let scratch = parent.join(name);
    if let Some(mount) = mount_below(&scratch, &fs::read_to_string("/proc/self/mountinfo")?) {
        let what = format!("{}: still mounted, so it is not removed", mount.display());
        return Err(io::Error::new(io::ErrorKind::ResourceBusy, what));
    }
    let parent =
        rustix::fs::openat(CWD, &parent, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let name = std::ffi::CString::new(name.as_encoded_bytes())?;
    let directory = match open_directory(&parent, &name) {
        Ok(directory) => directory,
        // Something else has its name.
        Err(Errno::NOTDIR | Errno::LOOP) => {
            rustix::fs::unlinkat(&parent, &name, AtFlags::empty())?;
            return Ok(Removed::Whole);
        }
        Err(error) => return Err(error.into()),
    };
    let mut left = AT_ONCE;
    if !empty(&directory, &mut left)? {
        return Ok(Removed::InPart);
    }
    match rustix::fs::unlinkat(&parent, &name, AtFlags::REMOVEDIR) {
        Ok(()) => Ok(Removed::Whole),
        // Somebody is quick: the next look sees what is there now.
        Err(Errno::NOTEMPTY | Errno::NOTDIR) => Ok(Removed::InPart),
        Err(error) => Err(error.into()),
    }
}

/// Empties a directory, looking at no more than `left` names. Says whether there is none left.
///
/// What a directory in it holds is moved up into the directory itself, so that there is never more than one step down.
fn empty(top: &OwnedFd, left: &mut usize) -> io::Result<bool> {
    loop {
        let mut found = false;
        for entry in Dir::read_from(top)? {
            let entry = entry?;
            let name = entry.file_name();
            if is_dots(name) {
                continue;
            }
            found = true;
            if !take_one(left) {
                return Ok(false);
            }
            if !remove_file_or_empty(top, name)? {
                let inner = open_directory(top, name)?;
                for entry in Dir::read_from(&inner)? {
                    let entry = entry?;
                    let name = entry.file_name();
                    if is_dots(name) {
                        continue;
                    }
                    if !take_one(left) {
                        return Ok(false);
                    }
                    if !remove_file_or_empty(&inner, name)? {
                        move_up(&inner, name, top)?;
                    }
                }
                // Not empty if somebody is quick: the next look sees it.
                remove_file_or_empty(top, name)?;
            }
        }
        if !found {
            return Ok(true);
        }
    }
}

fn is_dots(name: &CStr) -> bool {
    [c".", c".."].contains(&name)
}

fn take_one(left: &mut usize) -> bool {
    match left.checked_sub(1) {
        Some(less) => {
            *left = less;
            true
        }
        None => false,
    }
}

/// Removes a name, unless it is of a directory that is not empty.
fn remove_file_or_empty(directory: &OwnedFd, name: &CStr) -> Result<bool, Errno> {
    match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(true),
        Err(Errno::ISDIR) => {}
        Err(error) => return Err(error),
    }
    match rustix::fs::unlinkat(directory, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Gives a directory a new name further up, which nobody can have guessed.
fn move_up(from: &OwnedFd, name: &CStr, to: &OwnedFd) -> io::Result<()> {
    let mut bytes = [0; 8];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    let fresh = format!("{:016x}", u64::from_le_bytes(bytes));
    match rustix::fs::renameat(from, name, to, &*fresh) {
        // It changes with the move: its parent is written down in it.
        Err(Errno::ACCESS) => {
            drop(open_directory(from, name)?);
            Ok(rustix::fs::renameat(from, name, to, &*fresh)?)
        }
        Err(Errno::NOENT) => Ok(()),
        other => Ok(other?),
    }
}

/// Opens a directory to be emptied: without following anything or going over to what is mounted there, whatever its
/// mode says to its owner.
fn open_directory(at: &OwnedFd, name: &CStr) -> Result<OwnedFd, Errno> {
    let directory = open_beneath(at, name)?;
    // By its number, so that it is this very directory. Where that is refused, the next line says why.
    let _ = rustix::fs::chmod(format!("/proc/self/fd/{}", directory.as_raw_fd()), Mode::RWXU);
    rustix::fs::openat(&directory, c".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Kernels before 5.6, and filters of system calls, have no `openat2`; there a mount that has just been made is crossed.
fn open_beneath(at: &OwnedFd, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    match rustix::fs::openat2(at, name, flags, Mode::empty(), resolve) {
        Err(Errno::NOSYS | Errno::PERM) => rustix::fs::openat(at, name, flags, Mode::empty()),
        answer => answer,
    }
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
