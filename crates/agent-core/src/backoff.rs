//! Delays that grow, with full jitter, and the random numbers behind them: all from one seed.

use std::time::Duration;

use jobs_protocol::ClientToken;

/// The first delay is drawn from up to this.
const BASE: Duration = Duration::from_secs(1);
/// No delay is longer.
const CAP: Duration = Duration::from_secs(128);

/// A sequence of numbers from a seed (SplitMix64): good enough for jitter and tokens, and the same every time.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Anything from zero to the span, in milliseconds.
    pub(crate) fn up_to(&mut self, span: Duration) -> Duration {
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX - 1);
        Duration::from_millis(self.roll() % (millis + 1))
    }

    /// The delay before the attempt that follows so many failed ones.
    pub(crate) fn delay_after(&mut self, failures: u32) -> Duration {
        let ceiling = BASE.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(CAP);
        self.up_to(ceiling)
    }

    /// A token that nobody else has, in the form of a UUID.
    pub(crate) fn token(&mut self) -> ClientToken {
        let (a, b) = (self.roll(), self.roll());
        let (high, mid, low) = (a >> 32, (a >> 16) & 0xffff, a & 0x0fff);
        ClientToken::from(format!(
            "{high:08x}-{mid:04x}-4{low:03x}-{:04x}-{:012x}",
            (b >> 48) & 0x3fff | 0x8000,
            b & 0xffff_ffff_ffff
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_the_cap_and_are_spread() {
        let mut dice = Dice::new(1);
        for (failures, ceiling) in [(1, 1), (2, 2), (3, 4), (8, 128), (9, 128), (4_000_000_000, 128)] {
            let delays: Vec<_> = (0..500).map(|_| dice.delay_after(failures)).collect();
            let ceiling = Duration::from_secs(ceiling);
            assert!(delays.iter().all(|delay| *delay <= ceiling), "{failures}");
            assert!(delays.iter().any(|delay| *delay > ceiling / 2), "{failures}: the upper half is used");
            assert!(delays.iter().any(|delay| *delay < ceiling / 2), "{failures}: the lower half is used");
        }
    }

    #[test]
    fn tokens_differ_and_have_the_form_of_a_uuid() {
        let mut dice = Dice::new(7);
        let tokens: std::collections::HashSet<_> = (0..1000).map(|_| dice.token()).collect();
        assert_eq!(tokens.len(), 1000);
        for token in tokens {
            let groups: Vec<_> = token.as_str().split('-').map(str::len).collect();
            assert_eq!(groups, [8, 4, 4, 4, 12], "{token:?}");
        }
    }
}
