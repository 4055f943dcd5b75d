//! The directory that a handler has for itself, when the handler means ill: what goes with the run is that directory
//! and nothing else.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bench;

use std::fs;
use std::path::PathBuf;

use bench::{Bench, can_switch};
use handler_runner::{Ending, Outcome, Removed};
use rustix::process::Resource;

/// In a directory of everybody who owns a name may give it to something else.
#[test]
fn a_link_that_a_handler_leaves_in_the_place_of_its_scratch_directory_is_not_followed() {
    for user in [None, Some("nobody")] {
        if user.is_some() && !can_switch("a scratch directory of another user") {
            continue;
        }
        let bench = Bench::new();
        let precious = bench.path("precious");
        fs::create_dir(&precious).unwrap();
        fs::write(precious.join("file"), "kept").unwrap();
        let script = format!(
            "echo \"$HANDLER_SCRATCH\"; rmdir \"$HANDLER_SCRATCH\" && ln -s {} \"$HANDLER_SCRATCH\"",
            precious.display()
        );
        let outcome = bench.run_with(&script, |request| request.run_as_user = user.map(str::to_owned));
        let scratch = scratch_of(&outcome);
        assert!(fs::symlink_metadata(&scratch).unwrap().is_symlink());
        bench.runner.release("run").unwrap();
        assert_eq!(fs::read_to_string(precious.join("file")).unwrap(), "kept", "as {user:?}");
        assert!(fs::symlink_metadata(&scratch).is_err(), "the link itself goes");
    }
}

#[test]
fn links_out_of_the_scratch_directory_are_removed_and_not_followed() {
    let bench = Bench::new();
    let precious = bench.path("precious");
    fs::create_dir(&precious).unwrap();
    fs::write(precious.join("file"), "kept").unwrap();
    let script = format!(
        "echo \"$HANDLER_SCRATCH\"; cd \"$HANDLER_SCRATCH\" && mkdir -p a/b && ln -s {0} . && ln -s {0} a/b/c && ln {0}/file a/b/hard",
        precious.display()
    );
    let scratch = scratch_of(&bench.run(&script));
    bench.runner.release("run").unwrap();
    assert_eq!(fs::read_to_string(precious.join("file")).unwrap(), "kept");
    assert!(!scratch.exists());
}

fn scratch_of(outcome: &Outcome) -> PathBuf {
    assert_eq!(outcome.ending, Ending::Exited { code: 0 }, "{outcome:?}");
    PathBuf::from(outcome.stdout.tail.trim_end())
}

/// Deeper than there are descriptors: one for each level, or a call on the stack, would be too much.
#[test]
fn directories_nested_however_deep_are_removed_piece_by_piece() {
    const LEVELS: usize = 1500;
    let bench = Bench::new();
    let mut limit = rustix::process::getrlimit(Resource::Nofile);
    limit.current = Some(256);
    rustix::process::setrlimit(Resource::Nofile, limit).unwrap();
    let scratch = scratch_of(&bench.run("echo \"$HANDLER_SCRATCH\""));
    let mut at = open_directory(rustix::fs::CWD, scratch.to_str().unwrap());
    for _ in 0..LEVELS {
        rustix::fs::mkdirat(&at, "d", rustix::fs::Mode::RWXU).unwrap();
        at = open_directory(&at, "d");
    }
    let mut pieces = 1;
    while bench.runner.release("run").unwrap() == Removed::InPart {
        pieces += 1;
    }
    assert!(pieces > 1, "each call has an end");
    assert!(!scratch.exists());
}

/// To root modes say nothing; to everybody else they do.
#[test]
fn what_is_made_unwritable_and_unreadable_is_removed_by_its_owner() {
    let bench = Bench::new();
    let script = "cd \"$HANDLER_SCRATCH\" && mkdir -p a/b/c/d e && touch a/b/c/d/f a/b/f && chmod 0 a/b/c/d a/b/c a/b a e && pwd && chmod 500 .";
    let scratch = scratch_of(&bench.run(script));
    bench.runner.release("run").unwrap();
    assert!(!scratch.exists());
}

/// A daemon that a handler has left, for one.
#[test]
fn somebody_who_goes_on_filling_it_cannot_keep_anybody_waiting() {
    let bench = Bench::new();
    let scratch = scratch_of(&bench.run("echo \"$HANDLER_SCRATCH\""));
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0_u64.. {
                if done.load(std::sync::atomic::Ordering::Relaxed) {
                    break;
                }
                // Once it is gone nothing can be made in it.
                let _ = fs::write(scratch.join(number.to_string()), "");
            }
        });
        for _ in 0..50 {
            if bench.runner.release("run").unwrap() == Removed::Whole {
                break;
            }
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    while bench.runner.release("run").unwrap() == Removed::InPart {}
    assert!(!scratch.exists());
}

fn open_directory(at: impl std::os::fd::AsFd, name: &str) -> std::os::fd::OwnedFd {
    use rustix::fs::{Mode, OFlags};
    rustix::fs::openat(at, name, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap()
}
