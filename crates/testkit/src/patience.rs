//! Waiting for what must come. Nothing here depends on how fast a machine is: a wait ends with its condition, and
//! only a test that fails waits to the end.

use std::thread::sleep;
use std::time::{Duration, Instant};

/// Long enough for a machine that is busy with something else.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Looks until there is something, and panics with `what` if it does not come within [`PATIENCE`]. `state` tells, for
/// that case only, how things stand instead.
pub fn eventually<T>(what: &str, state: impl Fn() -> String, look: impl Fn() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            Instant::now() < deadline,
            "{what}: not within {} s; instead: {}",
            PATIENCE.as_secs(),
            state()
        );
        sleep(PAUSE);
    }
}
