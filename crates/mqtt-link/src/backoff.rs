//! How long to wait before the next attempt: exponential with full jitter, so that a fleet that lost its
//! service does not come back in one wave. Pure: time and seed are arguments.

use std::time::Duration;

/// The shape of the waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackoffSettings {
    /// The first wait is between nothing and this.
    pub base: Duration,
    /// No wait is longer than this.
    pub cap: Duration,
    /// A connection that was up at least this long was good: the waits begin again at the base. A shorter one
    /// counts as a failed attempt, or a service that accepts and drops would be asked without pause.
    pub good_after: Duration,
}

impl Default for BackoffSettings {
    fn default() -> Self {
        Self {
            base: Duration::from_secs(1),
            cap: Duration::from_secs(128),
            good_after: Duration::from_secs(60),
        }
    }
}

/// The waits of one link.
#[derive(Debug, Clone)]
pub struct Backoff {
    settings: BackoffSettings,
    failures: u32,
    random: u64,
}

impl Backoff {
    /// The same seed gives the same waits.
    #[must_use]
    pub fn new(settings: BackoffSettings, seed: u64) -> Self {
        Self { settings, failures: 0, random: seed }
    }

    /// The wait after an attempt that has ended; `up_for` tells how long it was up, if it ever was.
    pub fn next_delay(&mut self, up_for: Option<Duration>) -> Duration {
        if up_for.is_some_and(|time| time >= self.settings.good_after) {
            self.failures = 0;
        }
        let doubled = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        let window = self.settings.base.saturating_mul(doubled).min(self.settings.cap);
        self.failures = self.failures.saturating_add(1);
        window.mul_f64(self.fraction())
    }

    /// A number from 0 up to 1, by the `SplitMix64` generator.
    fn fraction(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let high = u32::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap_or(0);
        f64::from(high) / (f64::from(u32::MAX) + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(attempt: u32) -> Duration {
        Duration::from_secs(1 << attempt.min(7))
    }

    #[test]
    fn no_wait_is_longer_than_its_doubling_window_or_the_cap() {
        for seed in 0..500 {
            let mut backoff = Backoff::new(BackoffSettings::default(), seed);
            for attempt in 0..100 {
                assert!(backoff.next_delay(None) <= window(attempt));
            }
        }
    }

    #[test]
    fn the_waits_fill_their_window() {
        let mut waits: Vec<Duration> = (0..1000)
            .map(|seed| {
                let mut backoff = Backoff::new(BackoffSettings::default(), seed);
                (0..8).map(|_| backoff.next_delay(None)).last().unwrap()
            })
            .collect();
        waits.sort();
        assert!(waits[100] < Duration::from_secs(26) && waits[900] > Duration::from_secs(102));
        assert!((58..70).contains(&waits[500].as_secs()), "the median is in the middle: {:?}", waits[500]);
    }

    #[test]
    fn a_connection_that_was_good_is_followed_by_a_prompt_attempt() {
        for seed in 0..200 {
            let mut backoff = Backoff::new(BackoffSettings::default(), seed);
            for _ in 0..10 {
                backoff.next_delay(None);
            }
            assert!(backoff.next_delay(Some(Duration::from_secs(60))) <= Duration::from_secs(1));
            assert!(backoff.next_delay(None) <= Duration::from_secs(2), "and then they grow again");
        }
    }

    #[test]
    fn a_connection_that_was_dropped_at_once_counts_as_a_failure() {
        let longest = (0..200).map(|seed| {
            let mut backoff = Backoff::new(BackoffSettings::default(), seed);
            (0..10).map(|_| backoff.next_delay(Some(Duration::from_secs(59)))).last().unwrap()
        });
        assert!(longest.max().unwrap() > Duration::from_secs(100));
    }

    #[test]
    fn the_same_seed_gives_the_same_waits_and_another_one_others() {
        let waits = |seed| {
            let mut backoff = Backoff::new(BackoffSettings::default(), seed);
            (0..5).map(|_| backoff.next_delay(None)).collect::<Vec<_>>()
        };
        assert_eq!(waits(7), waits(7));
        assert_ne!(waits(7), waits(8));
    }
}
