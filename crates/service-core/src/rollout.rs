//! How fast a job is handed out: so many executions a minute, constant or growing.
//!
//! A batch is released at the start and one each minute after it (the interval is a choice: no capture shows it). The
//! rate after the k-th multiple of the threshold is the base rate times the factor to the k-th power (developer guide).

use serde::{Deserialize, Serialize};

use crate::EpochMillis;
use crate::maintenance::Window;

/// The rate that none exceeds, and that holds where only growth is configured.
const MOST: u64 = 1000;
/// Between two batches.
pub(crate) const INTERVAL_MINUTES: u64 = 1;

/// The pace of a job. Without any, all executions are queued at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pace {
    pub(crate) maximum: Option<u64>,
    pub(crate) growth: Option<Growth>,
}

/// A rate that grows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Growth {
    pub(crate) base: u64,
    pub(crate) factor: f64,
    pub(crate) criterion: Criterion,
}

/// What the growth depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Criterion {
    /// So many executions have been queued.
    Notified(u64),
    /// So many have succeeded.
    Succeeded(u64),
}

impl Pace {
    /// How many executions the next batch has; `None`: all.
    pub(crate) fn batch(&self, notified: u64, succeeded: u64) -> Option<u64> {
        let cap = self.maximum.unwrap_or(MOST);
        let Some(growth) = self.growth else { return self.maximum };
        let steps = match growth.criterion {
            Criterion::Notified(threshold) => notified / threshold.max(1),
            Criterion::Succeeded(threshold) => succeeded / threshold.max(1),
        };
        Some(growth.rate(steps, cap))
    }
}

impl Growth {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "rates are from 1 to 1000"
    )]
    fn rate(self, steps: u64, cap: u64) -> u64 {
        // The smallest factor passes the largest rate after 73 steps.
        let factor = self.factor.powi(i32::try_from(steps.min(100)).unwrap_or(100));
        let rate = (self.base as f64 * factor).min(cap as f64);
        (rate as u64).max(1)
    }
}

/// When a job is handed out, and what becomes of it at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Schedule {
    pub(crate) start: Option<EpochMillis>,
    pub(crate) end: Option<EpochMillis>,
    pub(crate) at_end: AtEnd,
    /// If there are any, it is handed out in these only.
    #[serde(default)]
    pub(crate) windows: Vec<Window>,
}

/// What happens to a job at the end of its schedule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum AtEnd {
    /// Nothing more is queued.
    #[default]
    StopRollout,
    /// What is queued is cancelled.
    Cancel,
    /// What is in progress is cancelled too.
    ForceCancel,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_doubles_with_every_threshold_as_in_the_guide() {
        let growth = Growth { base: 50, factor: 2.0, criterion: Criterion::Notified(1000) };
        let pace = Pace { maximum: None, growth: Some(growth) };
        let rates = [0, 999, 1000, 1999, 2000, 3000, 9000].map(|notified| pace.batch(notified, 0));
        assert_eq!(rates, [50, 50, 100, 100, 200, 400, 1000].map(Some));
        let capped = Pace { maximum: Some(120), growth: Some(growth) };
        assert_eq!(capped.batch(5000, 0), Some(120));
    }

    #[test]
    fn successes_may_drive_the_growth_and_a_batch_is_rounded_down() {
        let growth = Growth { base: 5, factor: 1.5, criterion: Criterion::Succeeded(10) };
        let pace = Pace { maximum: None, growth: Some(growth) };
        assert_eq!(
            [0, 9, 10, 20, u64::MAX].map(|ok| pace.batch(1_000_000, ok)),
            [5, 5, 7, 11, 1000].map(Some)
        );
    }

    #[test]
    fn without_configuration_there_is_no_pace() {
        assert_eq!(Pace::default().batch(0, 0), None);
        assert_eq!(Pace { maximum: Some(7), growth: None }.batch(100, 100), Some(7));
    }
}
