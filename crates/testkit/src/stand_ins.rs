//! Tools of the system that are none: small scripts in a search path of their own, which note how they were called and
//! do what the test says. Beside them stand the real tools that do no harm.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Real tools that only read, or write only where they are told to.
const HARMLESS: [&str; 18] = [
    "awk",
    "cat",
    "chmod",
    "chown",
    "date",
    "env",
    "grep",
    "id",
    "ls",
    "mktemp",
    "mv",
    "rm",
    "sha256sum",
    "sleep",
    "sync",
    "tr",
    "true",
    "wc",
];

/// A search path with stand-ins, and the log of their calls. Both are gone with the value.
#[derive(Debug)]
pub struct StandIns {
    root: TempDir,
}

impl StandIns {
    /// A search path with nothing but real tools that do no harm.
    #[must_use]
    pub fn new() -> Self {
        let stand_ins = Self { root: TempDir::new().expect("a temporary directory can be made") };
        fs::create_dir(stand_ins.bin()).expect("the directory is ours");
        for tool in HARMLESS {
            stand_ins.real_tool(tool, tool);
        }
        stand_ins
    }

    /// The tools and the files of a device that is well: what a health check looks at. Its `/proc` is `proc`.
    pub fn healthy_device(&self) {
        self.tool("systemctl", "");
        self.tool("date", "echo 2031");
        self.tool("timedatectl", "printf 'NTP=yes\\nNTPSynchronized=yes\\n'");
        self.tool("df", "echo 'Filesystem 1024-blocks Used'; echo '/dev/root 100 90 10 90% /'");
        self.file(
            "proc/mounts",
            "rootfs / rootfs ro 0 0\n/dev/mmcblk0p2 / ext4 rw,noatime 0 0\nx /x ext4 ro 0 0\n",
        );
        self.file("proc/loadavg", "99.0 7.5 0.1 1/100 4242\n");
        self.file("proc/cpuinfo", "processor\t: 0\nmodel\t: x\nprocessor\t: 1\n");
        self.file("proc/meminfo", "MemTotal: 1000 kB\nMemFree: 10 kB\nMemAvailable: 60 kB\nBuffers: 5 kB\n");
    }

    /// What has to be the search path.
    #[must_use]
    pub fn bin(&self) -> PathBuf {
        self.path().join("bin")
    }

    /// The directory around it, for whatever else the test needs.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.root.path()
    }

    /// A tool that notes its call, with each argument in angle brackets, and goes on with `body`.
    pub fn tool(&self, name: &str, body: &str) {
        self.script(&format!("bin/{name}"), body);
    }

    /// The real tool `of` under any name.
    pub fn real_tool(&self, name: &str, of: &str) {
        let mut places =
            ["/usr/bin", "/bin", "/usr/sbin", "/sbin"].iter().map(|place| Path::new(place).join(of));
        let real = places.find(|path| path.exists()).unwrap_or_else(|| panic!("{of} is not on this machine"));
        symlink(real, self.bin().join(name)).expect("nothing of this name is there yet");
    }

    /// A script at any place below [`StandIns::path`] that does what a stand-in does.
    ///
    /// Another process writes it: as long as any process has it open for writing it cannot be executed, and ours has
    /// children that inherit for a moment.
    pub fn script(&self, path: &str, body: &str) {
        let log = self.path().join("calls");
        // Nothing but the shell itself, so that a stand-in may be called what it likes.
        let note = "{ printf '%s' \"${0##*/}\"; [ \"$#\" -eq 0 ] || printf ' <%s>' \"$@\"; echo; }";
        let text = self.path().join("text");
        fs::write(&text, format!("#!/bin/sh\n{note} >>'{}'\n{body}\n", log.display()))
            .expect("the file is ours");
        let place = self.path().join(path);
        // Never through a link to the real tool.
        if place.is_symlink() {
            fs::remove_file(&place).expect("the link is ours");
        }
        let installed = Command::new("install").args(["-D", "-m", "755"]).args([text, place]).status();
        assert!(installed.expect("install is on every Linux").success());
    }

    /// A file below [`StandIns::path`].
    pub fn file(&self, path: &str, text: &str) {
        let place = self.path().join(path);
        fs::create_dir_all(place.parent().expect("it is below the directory"))
            .expect("the directory is ours");
        fs::write(&place, text).expect("the file is ours");
        fs::set_permissions(&place, Permissions::from_mode(0o644)).expect("the file is ours");
    }

    /// The calls so far, in their order.
    #[must_use]
    pub fn calls(&self) -> Vec<String> {
        let log = fs::read_to_string(self.path().join("calls")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    /// Forgets the calls so far.
    pub fn forget_calls(&self) {
        // Nothing has been called if it is not there.
        let _ = fs::remove_file(self.path().join("calls"));
    }
}

impl Default for StandIns {
    fn default() -> Self {
        Self::new()
    }
}
