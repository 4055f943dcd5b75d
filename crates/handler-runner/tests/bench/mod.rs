//! A runner with its directories, and handlers written for one test.

#![allow(dead_code, clippy::unwrap_used, reason = "each suite uses its part; a test fails by panicking")]

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use handler_runner::{Outcome, Place, Program, Request, Run, Runner, Settings};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::Mode;

/// Far more than any test needs on a machine that is busy with other things.
pub(crate) const SOON: Duration = Duration::from_secs(60);

pub(crate) struct Bench {
    pub(crate) directory: tempfile::TempDir,
    pub(crate) settings: Settings,
    pub(crate) runner: Runner,
}

impl Bench {
    pub(crate) fn new() -> Self {
        // Nothing is run from where others can write, and whoever runs the tests may have a umask that lets them.
        rustix::process::umask(Mode::from_raw_mode(0o022));
        let directory = tempfile::tempdir().unwrap();
        // Handlers that run as another user must be able to reach what tests put here.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o711)).unwrap();
        let handlers = directory.path().join("jobs");
        fs::create_dir(&handlers).unwrap();
        fs::set_permissions(&handlers, fs::Permissions::from_mode(0o700)).unwrap();
        let mut settings = Settings::new(handlers, directory.path().join("run"));
        settings.keeper_program = PathBuf::from(env!("CARGO_BIN_EXE_handler-keeper"));
        settings.keeper_arguments = vec![];
        let runner = Runner::new(settings.clone()).unwrap();
        Self { directory, settings, runner }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Puts a handler into the handler directory, with mode 700.
    pub(crate) fn handler(&self, name: &str, text: &str) -> PathBuf {
        let path = self.settings.handler_directory.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        path
    }

    /// Runs a shell script as a handler, to its end.
    pub(crate) fn run(&self, script: &str) -> Outcome {
        self.run_with(script, |_| {})
    }

    pub(crate) fn run_with(&self, script: &str, change: impl FnOnce(&mut Request)) -> Outcome {
        finish(self.start_with(script, change))
    }

    pub(crate) fn start(&self, script: &str) -> Run {
        self.start_with(script, |_| {})
    }

    pub(crate) fn start_with(&self, script: &str, change: impl FnOnce(&mut Request)) -> Run {
        self.handler("handler.sh", &format!("#!/bin/sh\n{script}\n"));
        let mut request = request("handler.sh");
        change(&mut request);
        self.runner.start(&request).unwrap()
    }
}

pub(crate) fn request(name: &str) -> Request {
    Request {
        label: "run".to_owned(),
        program: Program::Handler { name: name.to_owned(), place: Place::HandlerDirectory },
        arguments: vec![],
        environment: vec![],
        run_as_user: None,
        time_limit: SOON * 10,
        grace: SOON,
        head_characters: 0,
        tail_characters: 1024,
    }
}

/// Waits for the pidfd as an agent does, then reads the outcome.
pub(crate) fn finish(run: Run) -> Outcome {
    let limit = Timespec { tv_sec: 60, tv_nsec: 0 };
    let ready = poll(&mut [PollFd::from_borrowed_fd(run.as_fd(), PollFlags::IN)], Some(&limit)).unwrap();
    assert_eq!(ready, 1, "the run is not over in time");
    run.finish().unwrap()
}

/// Looks again and again until it is so.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + SOON;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not in time");
        std::thread::yield_now();
    }
}

/// The number that a handler writes into a file, once it is there whole.
pub(crate) fn number_in(path: &Path) -> i32 {
    until("a number in a file", || fs::read_to_string(path).ok()?.strip_suffix('\n')?.parse().ok())
}

/// Whether a process is there and not just a dead one that nobody has looked at.
pub(crate) fn is_running(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with(['Z', 'X'])))
}

/// Writes another boot id over the one in the record `started`, with a checksum that fits: the machine cannot be
/// restarted for a test.
pub(crate) fn rename_boot(records: &Path, spec: &Path) {
    use std::os::unix::fs::FileExt;
    const STARTED: u64 = 1024;
    let spec: serde_json::Value = serde_json::from_slice(&fs::read(spec).unwrap()).unwrap();
    let run = spec["run"].as_u64().unwrap();
    let file = fs::OpenOptions::new().read(true).write(true).open(records).unwrap();
    let mut header = [0; 16];
    file.read_exact_at(&mut header, STARTED).unwrap();
    let length = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
    let mut content = vec![0; length];
    file.read_exact_at(&mut content, STARTED + 16).unwrap();
    let mut started: serde_json::Value = serde_json::from_slice(&content).unwrap();
    let boot_id = started["boot_id"].as_str().unwrap();
    started["boot_id"] = boot_id.chars().map(|c| if c == '-' { c } else { '0' }).collect::<String>().into();
    let content = serde_json::to_vec(&started).unwrap();
    let mut crc = crc32fast::Hasher::new();
    crc.update(&run.to_le_bytes());
    crc.update(&content);
    let mut bytes = u32::try_from(content.len()).unwrap().to_le_bytes().to_vec();
    bytes.extend(crc.finalize().to_le_bytes());
    bytes.extend(run.to_le_bytes());
    bytes.extend(content);
    file.write_all_at(&bytes, STARTED).unwrap();
}

/// Says that a test cannot be made here. Where everything is there for it, that is a failure.
#[allow(clippy::print_stderr, reason = "what is skipped is said where the test harness looks")]
pub(crate) fn skip(test: &str, why: &str) {
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "{test}: skipped, since {why}");
    eprintln!("SKIPPED: {test}: {why}");
}

/// Whether this process may become another user; if not, that is said.
pub(crate) fn can_switch(test: &str) -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        skip(test, "only root can switch to another user");
    }
    root
}
