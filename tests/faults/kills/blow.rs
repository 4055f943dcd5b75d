//! What is done to a board, and to its link.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::Proxy;

use crate::dice::Dice;

/// What is done to a board.
#[derive(Debug, Clone, Copy)]
pub(super) enum Blow {
    /// The daemon is killed and started again.
    Daemon,
    /// The same, and the new one is killed too before it has got far.
    DaemonTwice,
    /// The daemon is asked to end and started again, as in an upgrade.
    Restart,
    /// The keeper of the running handler is killed.
    Keeper,
    /// Keeper and daemon, in this order.
    Both,
    /// Something happens to the link.
    Link(Outage),
}

impl Blow {
    /// One that needs no link.
    pub(super) fn any(dice: &mut Dice) -> Self {
        match dice.between(0, 100) {
            0..50 => Self::Daemon,
            50..60 => Self::DaemonTwice,
            60..75 => Self::Restart,
            75..88 => Self::Keeper,
            _ => Self::Both,
        }
    }
}

/// What happens to a link. What lasts does so until it is healed, or until the end.
#[derive(Debug, Clone, Copy)]
pub(super) enum Outage {
    /// The connection is closed.
    Cut,
    /// It carries nothing any more, and nobody is told.
    Abandoned,
    /// Everything stands still.
    Frozen,
    /// New connections are closed at once, and the one that there is now.
    Refused,
    /// Everything comes so many milliseconds later.
    Slow(u64),
    /// Connections break off after so many bytes from the service.
    Breaks(usize),
    /// All is well again.
    Healed,
}

impl Outage {
    pub(super) fn any(dice: &mut Dice) -> Self {
        match dice.between(0, 10) {
            0..2 => Self::Cut,
            2 => Self::Abandoned,
            3 => Self::Frozen,
            4 => Self::Refused,
            5 => Self::Slow(dice.between(1, 300)),
            6 => Self::Breaks(usize::try_from(dice.between(100, 5000)).expect("it is small")),
            _ => Self::Healed,
        }
    }

    pub(super) fn befall(self, proxy: &Proxy) {
        match self {
            Self::Cut => proxy.cut(),
            Self::Abandoned => proxy.abandon(),
            Self::Frozen => proxy.freeze(true),
            Self::Refused => {
                proxy.refuse(true);
                proxy.cut();
            }
            Self::Slow(millis) => proxy.delay(Duration::from_millis(millis)),
            Self::Breaks(bytes) => {
                proxy.break_after(Some(bytes));
                proxy.cut();
            }
            Self::Healed => {
                proxy.refuse(false);
                proxy.freeze(false);
                proxy.delay(Duration::ZERO);
                proxy.break_after(None);
                // One that is to break off would do so at any later time.
                proxy.cut();
            }
        }
    }
}

/// What the service does to single messages, of every kind and now and then.
pub(super) fn disturbances(seed: u64) -> Value {
    let rule = |topic: &str, action: Value, probability: f64| json!({ "topic": topic, "action": action, "probability": probability });
    json!({ "seed": seed, "rules": [
        rule("#", json!("lose"), 0.02),
        rule("#", json!({ "repeat": 1 }), 0.08),
        rule("#", json!({ "delay": 150 }), 0.1),
        rule("+/update", json!("throttle"), 0.05),
        rule("+/update", json!({ "reject": "InternalError" }), 0.03),
        rule("+/get", json!("throttle"), 0.05),
        rule("+/update/accepted", json!("cut"), 0.02),
    ] })
}
