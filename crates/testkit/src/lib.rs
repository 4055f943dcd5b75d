//! Helpers that the suites share: a Jobs service in the test's own process, the files of one board, the daemon as a
//! process, a wire between the two on which a test can say what the service would not, and stand-ins for tools of the
//! system. All of it blocks, so that a test is a plain function that reads from top to bottom. What a test checks stands
//! in the test.

#![expect(
    clippy::missing_panics_doc,
    reason = "a helper panics where the world is not as the test needs it: that is how a test fails"
)]

mod board;
mod daemon;
mod desk;
mod figures;
mod patience;
mod proxy;
mod stand_ins;
mod wire;

pub use board::Board;
pub use daemon::Daemon;
pub use desk::{Desk, Execution};
pub use figures::{figure, skip};
pub use patience::{PATIENCE, eventually};
pub use proxy::Proxy;
pub use stand_ins::StandIns;
pub use wire::Wire;
