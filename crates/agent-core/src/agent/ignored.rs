//! What is said of messages that nothing is done for. Whoever can send one can send a million of them, and the disk of a board
//! would be full of lines about them: after the first ones they are only counted.

use std::time::Duration;

use jobs_protocol::ClientToken;
use tracing::warn;

use super::Agent;
use crate::BootTime;

/// So many lines in each [`WINDOW`].
const LINES: u32 = 100;
const WINDOW: Duration = Duration::from_secs(60 * 60);

/// How much has been said.
#[derive(Debug, Default)]
pub(super) struct Ignored {
    window: Option<BootTime>,
    lines: u32,
    untold: u64,
}

impl Ignored {
    /// Whether the next one has a line of its own.
    pub(super) fn has_line(&mut self, now: BootTime) -> bool {
        let begins = self.window.is_none_or(|began| now.since(began) >= WINDOW);
        if begins {
            if self.untold > 0 {
                warn!(messages = self.untold, "Messages ignored without a line each");
            }
            *self = Self { window: Some(now), ..Self::default() };
        }
        if self.lines == LINES {
            self.untold = self.untold.saturating_add(1);
            return false;
        }
        self.lines += 1;
        if self.lines == LINES {
            warn!("Many messages are ignored: those of the next hour are only counted");
        }
        true
    }
}

impl Agent {
    /// An answer to no question of ours.
    pub(super) fn unasked(&mut self, topic: &str, token: Option<&ClientToken>, now: BootTime) {
        if self.ignored.has_line(now) {
            let token = token.map_or("none", ClientToken::as_str).chars().take(64).collect::<String>();
            warn!(topic, token = %token.escape_debug(), "Answer ignored: nobody waits for it");
        }
    }
}
