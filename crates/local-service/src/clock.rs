//! Time as the service sees it: milliseconds since the epoch, read in one place.
//!
//! The clock is that of the machine, or for tests one that stands still until it is told to go on.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A point in time (since 1970-01-01 UTC) or a span, in milliseconds.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub(crate) struct Millis(pub(crate) u64);

impl Millis {
    /// The time of day. A clock before 1970 reads as 1970.
    pub(crate) fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self::of(since)
    }

    /// A span.
    pub(crate) fn of(span: Duration) -> Self {
        Self(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
    }

    /// This point, and a span later; stops at the end of time.
    pub(crate) const fn plus(self, span: Self) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// How long from `self` to `later`; zero if that is past.
    pub(crate) const fn until(self, later: Self) -> Duration {
        Duration::from_millis(later.0.saturating_sub(self.0))
    }
}

/// What the service goes by.
#[derive(Debug)]
pub(crate) struct Clock {
    /// Where a virtual clock stands.
    held: Option<Millis>,
}

impl Clock {
    /// The machine's.
    pub(crate) const fn real() -> Self {
        Self { held: None }
    }

    /// One that stands still, first at the time of day or at `least`, whichever is later.
    pub(crate) fn held(least: Millis) -> Self {
        Self { held: Some(Millis::now().max(least)) }
    }

    pub(crate) const fn is_held(&self) -> bool {
        self.held.is_some()
    }

    pub(crate) fn now(&self) -> Millis {
        self.held.unwrap_or_else(Millis::now)
    }

    /// How long to sleep until then; `None` if no sleep brings it nearer.
    pub(crate) fn sleep_until(&self, then: Millis) -> Option<Duration> {
        if self.is_held() { None } else { Some(self.now().until(then)) }
    }

    /// Moves a virtual clock forward, never back; does nothing to the machine's.
    pub(crate) fn go_to(&mut self, then: Millis) {
        if let Some(held) = &mut self.held {
            *held = then.max(*held);
        }
    }
}
