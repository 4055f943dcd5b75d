//! What must not hurt: the daemon killed after each of its effects and at any other moment, its keeper too, a link
//! that is cut, silent or slow, handlers that do what handlers should not, and a disk that fails.
//!
//! Daemon, keeper and handlers are real processes. How a job has ended is asked of the service, never of the agent's
//! log. Nothing here depends on how fast a machine is. `cargo xtask reliability` runs all of it with large numbers.

mod board;
#[path = "../simulation/dice.rs"]
mod dice;
#[cfg(debug_assertions)]
mod effects;
mod handlers;
mod kills;
mod link;
mod mount;
mod state;

use std::path::Path;

use testkit::{Board, Daemon};

/// The daemon that was built for this suite.
const DAEMON: &str = env!("CARGO_BIN_EXE_fleethand");

fn start(board: &Board) -> Daemon {
    board.start(Path::new(DAEMON))
}

/// A number that whoever runs the suite may set.
fn number(name: &str, otherwise: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
}
