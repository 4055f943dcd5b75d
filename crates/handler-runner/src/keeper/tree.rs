//! The processes of a handler, found and told to end. As subreaper the keeper is the ancestor of everything that the
//! handler has started, whatever session or group that is in.

use std::collections::HashSet;
use std::io;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::process::{self, Stat};

/// The tree is looked at so often while new processes are found in it, or one has not come to a halt. More would be a
/// race against something that does nothing but fork; SIGKILL gets that in the end.
const MOST_PASSES: usize = 50;
/// Between two looks, for what is told to stop in the middle of a system call. What waits in the kernel for another
/// process that has been stopped (`vfork(2)`) stays there; it costs all passes.
const PAUSE: Duration = Duration::from_millis(2);

/// All that lives of the handler, parents before children.
pub(super) fn living() -> io::Result<Vec<Stat>> {
    Ok(process::descendants(&process::all()?, rustix::process::getpid().as_raw_nonzero().get()))
}

/// SIGTERM to every process of the tree, once.
///
/// They are held still until all are known: otherwise a process could have a child between the look and the signal,
/// which nobody would tell. That a process has been told to stop is not enough: a `fork(2)` that has begun is carried
/// to its end before. What a handler starts afterwards to clean up with is left to do its work.
pub(super) fn terminate() -> io::Result<()> {
    let mut known: Vec<Stat> = Vec::new();
    let mut told: HashSet<(i32, u64)> = HashSet::new();
    for _ in 0..MOST_PASSES {
        let mut found = living()?;
        let at_a_halt = found.iter().all(|one| one.stopped);
        // A number that is given out again has another start time.
        found.retain(|one| told.insert((one.pid, one.start_time)));
        if found.is_empty() && at_a_halt {
            break;
        }
        process::tell(&found, Signal::STOP)?;
        known.append(&mut found);
        thread::sleep(PAUSE);
    }
    process::tell(&known, Signal::TERM)?;
    // Children first, so that no parent sees one of them stopped. What had been stopped before can now heed too.
    known.reverse();
    process::tell(&known, Signal::CONT)
}

/// SIGKILL to every process of the tree that there is now.
pub(super) fn kill() -> io::Result<()> {
    process::tell(&living()?, Signal::KILL)
}
