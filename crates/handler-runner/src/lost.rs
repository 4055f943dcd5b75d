//! What is left of a handler whose keeper is gone without telling its ending.
//!
//! Without a keeper nobody reads its output and nobody stops it in time, so it is ended. Its processes have no common
//! ancestor any more: they are known by its session, and those that have left that by the run's number in their
//! environment.

use std::io;

use rustix::process::{Signal, getpid};

use crate::ending::{Ending, Outcome};
use crate::process::{self, Stat};
use crate::slot::Process;

/// A handler's environment holds the number of its run under this name.
pub(crate) const RUN_MARK: &str = "HANDLER_RUN";

/// So often what is left is looked for and killed: what dies needs a moment, and may have had a child before.
const MOST_PASSES: usize = 100;

/// The value of [`RUN_MARK`].
pub(crate) fn mark_of(run: u64) -> String {
    format!("{run:016x}")
}

/// Kills what is left of the handler, and says how its run ended. Who the handler was is not known if that record is
/// damaged.
pub(crate) fn end_without_keeper(run: u64, handler: Option<&Process>) -> io::Result<Outcome> {
    if let Some(handler) = handler {
        if process::boot_id()? != handler.boot_id {
            return Ok(Outcome::bare(Ending::Interrupted));
        }
    }
    let mut left = 0;
    for _ in 0..MOST_PASSES {
        let found = what_is_left(run, handler)?;
        left = found.len();
        if found.is_empty() {
            break;
        }
        process::tell(&found, Signal::KILL)?;
    }
    Ok(Outcome { left_behind: u32::try_from(left).unwrap_or(u32::MAX), ..Outcome::bare(Ending::Lost) })
}

fn what_is_left(run: u64, handler: Option<&Process>) -> io::Result<Vec<Stat>> {
    let mark = format!("{RUN_MARK}={}", mark_of(run));
    let mut all = process::all()?;
    // An agent that a handler has started anew carries its mark.
    all.retain(|stat| stat.pid != getpid().as_raw_nonzero().get());
    // The session bears the number of its leader. If a process of that number is there and is another one, the number
    // has been given out again, and so nothing is left of the session.
    let session = handler.filter(|handler| {
        let leader = all.iter().find(|stat| stat.pid == handler.pid);
        leader.is_none_or(|leader| leader.start_time == handler.start_time)
    });
    let session = session.map(|handler| handler.pid);
    let mut found = Vec::new();
    for stat in all.into_iter().filter(|stat| !stat.zombie) {
        if session == Some(stat.session) || process::has_variable(stat.pid, &mark)? {
            found.push(stat);
        }
    }
    Ok(found)
}
