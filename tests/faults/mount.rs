//! File systems of a test's own: a small one in memory, and one whose disk can be made to fail.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use testkit::{eventually, figure, skip};

/// What is counted here.
pub(crate) const FIGURE: &str = "faults of the state directory";

/// A file system that is gone with the value.
#[derive(Debug)]
pub(crate) struct Mount {
    place: PathBuf,
}

impl Mount {
    /// A file system in memory at `place`, of so many kilobytes. None where none can be had, which is said.
    pub(crate) fn in_memory(place: &Path, kilobytes: u32) -> Option<Self> {
        let size = format!("size={kilobytes}k,mode=700");
        Self::attach(&["-t", "tmpfs", "-o", &size, "tmpfs"], place)
    }

    /// A file system on a disk of some megabytes, which is a file. None where none can be had, which is said.
    pub(crate) fn on_disk(place: &Path, disk: &Path) -> Option<Self> {
        File::create(disk).and_then(|file| file.set_len(16 * 1024 * 1024)).expect("the directory is ours");
        if !runs(Command::new("mkfs.ext4").arg("-q").arg(disk)) {
            skip("a file system on a disk", "mkfs.ext4 cannot be run");
            return None;
        }
        let mount = Self::attach(&["-o", "loop", &disk.display().to_string()], place)?;
        fs::remove_dir(place.join("lost+found")).expect("a new file system has it");
        Some(mount)
    }

    fn attach(how: &[&str], place: &Path) -> Option<Self> {
        fs::create_dir_all(place).expect("the directory is ours");
        if !runs(Command::new("mount").args(how).arg(place)) {
            skip("a file system of its own", "nothing can be mounted here");
            return None;
        }
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        fs::set_permissions(place, mode).expect("the file system is ours");
        Some(Self { place: place.to_owned() })
    }

    /// Does to it what the kernel does when a disk fails: from now on it can only be read.
    pub(crate) fn fail(&self) {
        figure(FIGURE, 1);
        assert!(
            runs(Command::new("mount").args(["-o", "remount,abort"]).arg(&self.place)),
            "it cannot be aborted"
        );
    }

    /// Puts another disk's works around what is stored on the broken one.
    ///
    /// A process that is on its way out may still hold the broken one, and the kernel lets go of a disk in its own time.
    pub(crate) fn repair(&mut self, disk: &Path) {
        let at_last = |what: &str, mut command: Command| {
            let command = RefCell::new(command.arg(&self.place));
            eventually(what, String::new, || runs(&mut command.borrow_mut()).then_some(()));
        };
        at_last("nobody uses the broken disk", Command::new("umount"));
        let mut mount = Command::new("mount");
        mount.args(["-o", "loop", &disk.display().to_string()]);
        at_last("the disk is mounted again", mount);
    }

    /// Allows no more writes to a file system that nobody has open for writing, or allows them again.
    pub(crate) fn set_read_only(&self, read_only: bool) {
        if read_only {
            figure(FIGURE, 1);
        }
        let how = if read_only { "remount,ro" } else { "remount,rw" };
        assert!(runs(Command::new("mount").args(["-o", how]).arg(&self.place)), "cannot {how}");
    }

    /// Fills it to the last byte; [`Mount::free`] takes that back.
    pub(crate) fn fill(&self) {
        figure(FIGURE, 1);
        let mut file = File::create(self.filling()).expect("there is room for a name");
        for size in [4096, 1] {
            while file.write(&vec![0; size]).is_ok() {}
        }
    }

    pub(crate) fn free(&self) {
        fs::remove_file(self.filling()).expect("it has been filled");
    }

    fn filling(&self) -> PathBuf {
        self.place.join("filling")
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: a daemon or a handler of a failed test may still be in it.
        runs(Command::new("umount").arg("-l").arg(&self.place));
    }
}

fn runs(command: &mut Command) -> bool {
    command.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
