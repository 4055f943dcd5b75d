//! The one clock: boot time. It goes on while the board sleeps and nobody can set it; wall-clock time is used
//! for nothing but the stamps of log lines. What follows from the time is decided elsewhere.

use std::time::Duration;

use agent_core::BootTime;
use rustix::time::{ClockId, clock_gettime};

/// The longest that a wait lasts before the clock is looked at again. A timer of the runtime stands still
/// while the board is suspended, boot time does not: after a resume a deadline is noticed at the latest after
/// this, in real time awake. Long enough not to count as a tick.
pub(crate) const LONGEST_NAP: Duration = Duration::from_secs(15 * 60);

/// Now.
pub(crate) fn now() -> BootTime {
    let time = clock_gettime(ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let milliseconds = u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000_000;
    BootTime::from_millis(seconds.saturating_mul(1000).saturating_add(milliseconds))
}

/// How long to sleep before a deadline can have come. Milliseconds were cut off the clock, so one is added:
/// a wait that ends a fraction too early would only be taken again.
pub(crate) fn nap(deadline: Option<BootTime>, now: BootTime) -> Option<Duration> {
    deadline.map(|deadline| {
        let left = deadline.since(now);
        if left.is_zero() { left } else { (left + Duration::from_millis(1)).min(LONGEST_NAP) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nap_ends_after_the_deadline_and_is_never_very_long() {
        let at = BootTime::from_millis;
        assert_eq!(nap(None, at(5)), None);
        assert_eq!(nap(Some(at(4)), at(5)), Some(Duration::ZERO));
        assert_eq!(nap(Some(at(15)), at(5)), Some(Duration::from_millis(11)));
        assert_eq!(nap(Some(at(u64::MAX)), at(5)), Some(LONGEST_NAP));
    }

    #[test]
    fn the_clock_does_not_go_back() {
        let first = now();
        assert!(now() >= first);
        assert!(first.as_millis() > 0);
    }
}
