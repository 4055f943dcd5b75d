//! The one clock that the bench, the relay and the handler read.

use rustix::time::{ClockId, clock_gettime};

/// A moment on CLOCK_MONOTONIC, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(pub(super) i64);

impl Moment {
    /// Now.
    pub(super) fn now() -> Self {
        let now = clock_gettime(ClockId::Monotonic);
        Self(now.tv_sec * 1_000_000_000 + now.tv_nsec)
    }

    /// Milliseconds from `earlier` to this one.
    #[expect(clippy::cast_precision_loss, reason = "spans of minutes fit a double to the nanosecond")]
    pub(super) fn ms_since(self, earlier: Self) -> f64 {
        (self.0 - earlier.0) as f64 / 1e6
    }
}
