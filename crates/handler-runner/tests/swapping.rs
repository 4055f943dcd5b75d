//! Another user's process that puts one file in the place of another, a million times, while handlers are checked and
//! started: nothing of its making is ever run, and it can change nothing that is.
//!
//! What an unprivileged user can do on a machine, and does here: make files, links and directories in a sticky directory
//! and in directories of its own, exchange them in one system call, make hard links where the kernel lets it, and try
//! the same with what it does not own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bench;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use bench::{Bench, can_switch, finish, request};
use handler_runner::{Ending, Place, Program, Request, Runner, Settings};
use rustix::fs::{CWD, RenameFlags, renameat_with};

/// Exchanges at least; more, until there have been enough checks and starts beside them.
const EXCHANGES: usize = 1_000_000;
/// Checks and starts at least, while files are exchanged.
const ENOUGH: (u64, u32) = (10_000, 20);
/// After so many it tries its luck with what belongs to others.
const BETWEEN_TRIES: usize = 1000;
/// Nobody's number; it needs no name.
const STRANGER: u32 = 64_123;
/// Tells the swapping process where to swap.
const PLACE: &str = "SWAPPER_PLACE";
/// What it does not own, and would like to replace.
const COVETED: [&str; 6] =
    ["shared/hosted", "shared/hosted/h.sh", "shared/jobs", "shared/jobs/h.sh", "jobs", "good/h.sh"];
/// What it exchanges: in each pair one is its own file or directory, the other leads to something good.
const PAIRS: [(&str, &str); 5] = [
    ("shared/directory", "shared/link-to-good"),
    ("shared/h.sh", "shared/link-to-h.sh"),
    ("shared/link-to-jobs", "shared/own-jobs"),
    ("own/h.sh", "own/link-to-h.sh"),
    ("own/inner", "own/its-inner"),
];

#[test]
fn what_another_user_swaps_is_never_run() {
    if !can_switch("swapping files as another user") {
        return;
    }
    let bench = Bench::new();
    let place = bench.directory.path();
    set_up(place);
    let mut swapper = start_swapper(place);
    let wanted = requests(place);
    let runner = |directory: &str| {
        let settings = Settings { handler_directory: place.join(directory), ..bench.settings.clone() };
        Runner::new(settings).unwrap()
    };
    let runners: Vec<Runner> = ["jobs", "shared/jobs", "shared/link-to-jobs"].map(runner).into();
    let enough = place.join("enough");
    let (mut checked, mut started) = (0_u64, 0_u32);
    let ended = loop {
        for (which, what, good) in &wanted {
            let verdict = runners[*which].check(what);
            assert_eq!(verdict.is_ok(), *good, "{what:?}: {verdict:?}");
            checked += 1;
        }
        if checked % 500 < wanted.len() as u64 {
            started += start_all(&runners, &wanted);
        }
        if checked >= ENOUGH.0 && started >= ENOUGH.1 && !enough.exists() {
            fs::write(&enough, "").unwrap();
        }
        if let Some(status) = swapper.try_wait().unwrap() {
            break status;
        }
    };
    let mut said = String::new();
    std::io::Read::read_to_string(&mut swapper.stderr.take().unwrap(), &mut said).unwrap();
    assert!(ended.success(), "{ended}: {said}");
    assert!(checked >= ENOUGH.0 && started >= ENOUGH.1, "{checked} checks, {started} starts");
    assert!(!place.join("shared/evil-has-run").exists());
    for name in COVETED {
        assert_eq!(place.join(name).symlink_metadata().unwrap().uid(), 0, "{name} was replaced");
    }
}

/// Everything that is asked for: with which runner, and whether it may be run.
fn requests(place: &Path) -> Vec<(usize, Request, bool)> {
    let at = |place: Place| Request {
        program: Program::Handler { name: "h.sh".to_owned(), place },
        ..request("h.sh")
    };
    let named = |directory: &str| at(Place::Directory(place.join(directory)));
    let command = |path: &str| Request {
        program: Program::Command { program: place.join(path).to_str().unwrap().to_owned() },
        ..request("h.sh")
    };
    vec![
        (0, at(Place::HandlerDirectory), true),
        (1, at(Place::HandlerDirectory), true),
        (0, named("good"), true),
        (0, named("shared/hosted"), true),
        (0, command("shared/hosted/h.sh"), true),
        (2, at(Place::HandlerDirectory), false),
        (0, named("shared/directory"), false),
        (0, named("shared/link-to-good"), false),
        (0, named("shared"), false),
        (0, command("shared/h.sh"), false),
        (0, command("shared/link-to-h.sh"), false),
        (0, named("own"), false),
        (0, named("own/inner"), false),
        (0, command("own/inner/h.sh"), false),
        (0, command("shared/link-to-good/h.sh"), false),
    ]
}

/// Starts everything once: what runs is what is good, and whatever is not good does not run.
fn start_all(runners: &[Runner], wanted: &[(usize, Request, bool)]) -> u32 {
    let mut started = 0;
    for (which, what, good) in wanted {
        match runners[*which].start(what) {
            Ok(run) => {
                assert!(good, "{what:?} was started");
                let outcome = finish(run);
                assert_eq!(outcome.ending, Ending::Exited { code: 0 }, "{outcome:?}");
                assert_eq!(outcome.stdout.tail, "good\n");
                runners[*which].release(&what.label).unwrap();
                started += 1;
            }
            Err(error) => assert!(!good, "{what:?}: {error}"),
        }
    }
    started
}

/// Root's files, the stranger's directory, and the shared one.
fn set_up(place: &Path) {
    let directory = |name: &str, mode| {
        fs::create_dir_all(place.join(name)).unwrap();
        fs::set_permissions(place.join(name), Permissions::from_mode(mode)).unwrap();
    };
    let good = |name: &str, mode| {
        fs::write(place.join(name), "#!/bin/sh\necho good\n").unwrap();
        fs::set_permissions(place.join(name), Permissions::from_mode(mode)).unwrap();
    };
    directory("shared", 0o1777);
    for name in ["good", "shared/hosted", "own", "own/inner"] {
        directory(name, 0o755);
        good(&format!("{name}/h.sh"), 0o755);
    }
    directory("shared/jobs", 0o700);
    for name in ["jobs/h.sh", "shared/jobs/h.sh"] {
        good(name, 0o700);
    }
    fs::remove_file(place.join("own/h.sh")).unwrap();
    chown(place.join("own"), Some(STRANGER), Some(STRANGER)).unwrap();
}

/// This very program as another user, in [`the_process_that_swaps`]. It is copied, since that user may not get to where
/// it lies.
fn start_swapper(place: &Path) -> Child {
    let program = place.join("swapper");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    Command::new(program)
        .args(["--exact", "the_process_that_swaps", "--ignored", "--nocapture"])
        .env(PLACE, place)
        .current_dir("/")
        .uid(STRANGER)
        .gid(STRANGER)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
#[ignore = "started as another user by the test above"]
fn the_process_that_swaps() {
    let Some(place) = std::env::var_os(PLACE).map(PathBuf::from) else { return };
    assert_eq!(rustix::process::geteuid().as_raw(), STRANGER);
    rustix::process::umask(rustix::fs::Mode::empty());
    make_own(&place);
    let pairs: Vec<_> = PAIRS.iter().map(|(one, other)| (place.join(one), place.join(other))).collect();
    let enough = place.join("enough");
    // If the test has failed its directory is gone, and the next exchange fails.
    for round in 0.. {
        for (one, other) in &pairs {
            renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).unwrap();
        }
        if round % (BETWEEN_TRIES / PAIRS.len()) == 0 {
            try_others(&place);
            if round >= EXCHANGES / PAIRS.len() && enough.exists() {
                break;
            }
        }
    }
}

/// The bad and the good halves of the pairs.
fn make_own(place: &Path) {
    let evil = format!("#!/bin/sh\n: >{}/shared/evil-has-run\necho evil\n", place.display());
    let script = |name: &str, mode| {
        fs::write(place.join(name), &evil).unwrap();
        fs::set_permissions(place.join(name), Permissions::from_mode(mode)).unwrap();
    };
    for (name, mode) in [("shared/directory", 0o755), ("shared/own-jobs", 0o700), ("own/its-inner", 0o755)] {
        fs::create_dir(place.join(name)).unwrap();
        script(&format!("{name}/h.sh"), mode);
        fs::set_permissions(place.join(name), Permissions::from_mode(mode)).unwrap();
    }
    script("shared/h.sh", 0o777);
    script("own/h.sh", 0o755);
    let good = place.join("good/h.sh");
    symlink(&good, place.join("shared/link-to-h.sh")).unwrap();
    // A hard link to root's own file is the better lie, where the kernel lets one make it (`fs.protected_hardlinks`).
    fs::hard_link(&good, place.join("own/link-to-h.sh"))
        .or_else(|_| symlink(&good, place.join("own/link-to-h.sh")))
        .unwrap();
    symlink(place.join("good"), place.join("shared/link-to-good")).unwrap();
    symlink(place.join("jobs"), place.join("shared/link-to-jobs")).unwrap();
}

/// None of this may work.
fn try_others(place: &Path) {
    let mine = place.join("shared/h.sh");
    for name in COVETED.map(|name| place.join(name)) {
        renameat_with(CWD, &mine, CWD, &name, RenameFlags::EXCHANGE).unwrap_err();
        fs::rename(&mine, &name).unwrap_err();
        fs::rename(&name, place.join("shared/taken")).unwrap_err();
        fs::remove_file(&name).unwrap_err();
        fs::set_permissions(&name, Permissions::from_mode(0o777)).unwrap_err();
        fs::OpenOptions::new().write(true).open(&name).unwrap_err();
    }
}
