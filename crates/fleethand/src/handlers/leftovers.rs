//! What is kept of runs that nobody needs any more: let go piece by piece between other things, since a handler may have
//! left millions of files in its scratch directory.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::pending;

use handler_runner::{Removed, Runner};
use tokio::task::yield_now;

use crate::chain::Chain;

/// What is still not gone after so many pieces is left: somebody goes on filling it. A piece has a thousand names.
const MOST_PIECES: u32 = 20_000;

/// Runs of which something is left, the first of them being let go of.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    labels: VecDeque<String>,
    pieces: u32,
}

impl Leftovers {
    /// Lets go of a run: at once if little is left of it, as is usual.
    pub(super) fn release(&mut self, runner: &Runner, label: String) {
        if is_in_part(runner, &label) {
            tracing::debug!(run = %label, "Much is left of a run: it is removed piece by piece");
            self.labels.push_back(label);
        }
    }

    /// Goes on letting go, with a pause after every piece. Safe to cancel.
    pub(super) async fn work_off(&mut self, runner: &Runner) -> Infallible {
        while let Some(label) = self.labels.front() {
            yield_now().await;
            self.pieces += 1;
            let done = !is_in_part(runner, label);
            if !done && self.pieces == MOST_PIECES {
                tracing::warn!(run = %label, "What was kept of a run grows as it is removed, and is left");
            }
            if done || self.pieces == MOST_PIECES {
                self.labels.pop_front();
                self.pieces = 0;
            }
        }
        pending().await
    }
}

/// Removes a piece; whether there is more. What cannot be removed is told and left.
fn is_in_part(runner: &Runner, label: &str) -> bool {
    match runner.release(label) {
        Ok(removed) => removed == Removed::InPart,
        Err(error) => {
            tracing::warn!(run = %label, "What was kept of a run cannot be removed: {}", Chain(&error));
            false
        }
    }
}
