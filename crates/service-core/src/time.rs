//! The service's time: milliseconds since the epoch, given from outside with every call.
//!
//! Inside, everything is kept in milliseconds, so that timers are exact and never early; what leaves the service is
//! whole seconds on every plane \[capture 08-26\], and milliseconds in three members of events.

use std::fmt;

use jobs_protocol::EpochSeconds;
use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EpochMillis(pub u64);

impl EpochMillis {
    /// As every message carries it: the whole seconds.
    #[must_use]
    pub fn seconds(self) -> EpochSeconds {
        EpochSeconds(i64::try_from(self.0 / 1000).unwrap_or(i64::MAX))
    }

    /// So many minutes later.
    #[must_use]
    pub const fn plus_minutes(self, minutes: u64) -> Self {
        Self(self.0.saturating_add(minutes.saturating_mul(60_000)))
    }

    /// Whole seconds from then until this moment; 0 if it has passed.
    #[must_use]
    pub const fn seconds_after(self, then: Self) -> u64 {
        self.0.saturating_sub(then.0) / 1000
    }
}

impl fmt::Display for EpochMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}
