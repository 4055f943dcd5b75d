//! Faults on request: what a bad network or a bad day of the service does to a device, at the desk.
//!
//! Rules say which messages or calls are concerned and what becomes of them; the first rule that acts decides. Pure:
//! chance comes from a seed, delays are kept by the engine. Rules are read from a file at the start, and can be replaced
//! by HTTP while the service runs.

mod plan;

pub(crate) use plan::error_status;
pub use plan::{Action, FaultPlan, FaultRule, InvalidPlan};

use serde_json::{Value, json};

use crate::broker::topic::{self, Destination};

/// What happens and may be disturbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject<'a> {
    /// A request of a device, a reply or a notification: by its whole topic.
    Topic(&'a str),
    /// An operation called by HTTP, and the thing that it names.
    Call { operation: &'a str, thing: Option<&'a str> },
}

/// The rules, and how often each has been met.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    plan: FaultPlan,
    tallies: Vec<Tally>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    matched: u64,
    acted: u64,
}

impl Faults {
    /// Rules that were found valid.
    pub(crate) fn new(plan: FaultPlan) -> Result<Self, InvalidPlan> {
        plan.check()?;
        let tallies = vec![Tally::default(); plan.rules.len()];
        Ok(Self { plan, tallies })
    }

    /// What is to become of this one; `None`: what always does.
    pub(crate) fn on(&mut self, subject: Subject<'_>) -> Option<Action> {
        for (index, (rule, tally)) in self.plan.rules.iter().zip(&mut self.tallies).enumerate() {
            if !concerns(rule, subject) {
                continue;
            }
            tally.matched += 1;
            let in_turn = tally.matched > rule.skip && rule.count.is_none_or(|count| tally.acted < count);
            if in_turn && chance(self.plan.seed, index as u64, tally.matched) < rule.probability {
                tally.acted += 1;
                tracing::info!(rule = index, action = ?rule.action, ?subject, "A fault on request");
                return Some(rule.action.clone());
            }
        }
        None
    }

    /// The rules with what they have done so far.
    pub(crate) fn report(&self) -> Value {
        let rules = self.plan.rules.iter().zip(&self.tallies).map(|(rule, tally)| {
            let mut shown = json!(rule);
            shown["matched"] = json!(tally.matched);
            shown["acted"] = json!(tally.acted);
            shown
        });
        json!({ "seed": self.plan.seed, "rules": rules.collect::<Vec<_>>() })
    }
}

fn concerns(rule: &FaultRule, subject: Subject<'_>) -> bool {
    match subject {
        Subject::Topic(topic) => {
            let Some(filter) = &rule.topic else { return false };
            // Only a request can be rejected: what cannot act is not counted, and does not keep other rules from acting.
            let rejects = matches!(rule.action, Action::Reject(_) | Action::Throttle);
            if rejects && topic::destination(topic) != Destination::Jobs {
                return false;
            }
            if filter.starts_with("$aws/") {
                let about = topic.split('/').nth(2);
                return topic::matches(filter, topic)
                    && rule.thing.as_ref().is_none_or(|thing| about == Some(thing.as_str()));
            }
            let thing = rule.thing.as_ref().map_or("+", |thing| thing.as_str());
            topic::matches(&format!("$aws/things/{thing}/jobs/{filter}"), topic)
        }
        Subject::Call { operation, thing } => {
            rule.operation.as_ref().is_some_and(|wanted| wanted == operation || wanted == "*")
                && rule.thing.as_ref().is_none_or(|wanted| thing == Some(wanted.as_str()))
        }
    }
}

/// A number from 0 to below 1, the same for the same seed, rule and turn (SplitMix64's finaliser).
#[expect(clippy::cast_precision_loss, reason = "53 bits are what a fraction holds")]
fn chance(seed: u64, rule: u64, turn: u64) -> f64 {
    let mut x = seed
        ^ rule.wrapping_mul(0x9e37_79b9_7f4a_7c15)
        ^ turn.wrapping_mul(0xd1b5_4a32_d192_ed03).rotate_left(17);
    for factor in [0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb] {
        x = (x ^ (x >> 30)).wrapping_mul(factor);
    }
    ((x ^ (x >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(plan: Value) -> Faults {
        Faults::new(serde_json::from_value(plan).unwrap()).unwrap()
    }

    #[test]
    fn a_rule_is_for_the_topics_of_its_filter_and_its_thing() {
        let mut faults =
            faults(json!({"rules": [{"thing": "t1", "topic": "+/update/accepted", "action": "lose"}]}));
        let mut on = |topic: &str| faults.on(Subject::Topic(topic));
        assert_eq!(on("$aws/things/t1/jobs/j/update/accepted"), Some(Action::Lose));
        assert_eq!(on("$aws/things/t2/jobs/j/update/accepted"), None);
        assert_eq!(on("$aws/things/t1/jobs/j/update"), None);
        assert_eq!(faults.on(Subject::Call { operation: "CreateJob", thing: None }), None);
    }

    #[test]
    fn a_filter_from_the_root_is_a_whole_topic_and_next_is_not() {
        let mut whole = faults(json!({"rules": [{"topic": "$aws/events/job/#", "action": "lose"}]}));
        assert_eq!(whole.on(Subject::Topic("$aws/events/job/j/completed")), Some(Action::Lose));
        let mut next = faults(json!({"rules": [{"topic": "$next/get", "action": "lose"}]}));
        assert_eq!(next.on(Subject::Topic("$aws/things/t/jobs/$next/get")), Some(Action::Lose));
    }

    #[test]
    fn a_whole_topic_is_held_to_the_thing_as_well() {
        let rule = json!({"topic": "$aws/things/+/jobs/#", "thing": "t2", "action": "lose"});
        let mut faults = faults(json!({ "rules": [rule] }));
        assert_eq!(faults.on(Subject::Topic("$aws/things/t1/jobs/get")), None);
        assert_eq!(faults.on(Subject::Topic("$aws/things/t2/jobs/get")), Some(Action::Lose));
    }

    #[test]
    fn what_cannot_be_rejected_uses_up_no_rejection() {
        let rules = json!({"rules": [
            {"topic": "#", "action": "throttle", "count": 1},
            {"topic": "notify", "action": "lose"},
        ]});
        let mut faults = faults(rules);
        assert_eq!(faults.on(Subject::Topic("$aws/things/t/jobs/notify")), Some(Action::Lose));
        assert_eq!(faults.on(Subject::Topic("$aws/things/t/jobs/get/accepted")), None);
        assert_eq!(faults.on(Subject::Topic("$aws/things/t/jobs/get")), Some(Action::Throttle));
        assert_eq!(faults.on(Subject::Topic("$aws/things/t/jobs/get")), None);
        assert_eq!(faults.report()["rules"][0]["matched"], 2);
    }

    #[test]
    fn a_rule_acts_after_so_many_and_so_often() {
        let mut faults = faults(json!({"rules": [{"topic": "get", "action": "cut", "skip": 1, "count": 2}]}));
        let acted: Vec<bool> =
            (0..5).map(|_| faults.on(Subject::Topic("$aws/things/t/jobs/get")).is_some()).collect();
        assert_eq!(acted, [false, true, true, false, false]);
        assert_eq!(faults.report()["rules"][0]["matched"], 5);
        assert_eq!(faults.report()["rules"][0]["acted"], 2);
    }

    #[test]
    fn the_first_rule_that_acts_decides() {
        let rules = json!({"rules": [
            {"topic": "#", "action": {"delay": 5}, "count": 1},
            {"topic": "notify", "action": {"repeat": 2}},
        ]});
        let mut faults = faults(rules);
        let notify = Subject::Topic("$aws/things/t/jobs/notify");
        assert_eq!(faults.on(notify), Some(Action::Delay(5)));
        assert_eq!(faults.on(notify), Some(Action::Repeat(2)));
    }

    #[test]
    fn chance_follows_the_seed_and_nothing_else() {
        let run = |seed: u64| {
            let rules = [json!({"topic": "#", "action": "lose", "probability": 0.3})];
            let mut faults = faults(json!({"seed": seed, "rules": rules}));
            (0..1000)
                .map(|_| faults.on(Subject::Topic("$aws/things/t/jobs/get")).is_some())
                .collect::<Vec<_>>()
        };
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
        let lost = run(3).into_iter().filter(|lost| *lost).count();
        assert!((240..360).contains(&lost), "{lost} of 1000 at 0.3");
    }

    #[test]
    fn calls_are_disturbed_by_operation_and_thing() {
        let mut faults = faults(json!({"rules": [
            {"operation": "UpdateJobExecution", "thing": "t1", "action": "throttle"},
        ]}));
        let mut on = |operation, thing| faults.on(Subject::Call { operation, thing });
        assert_eq!(on("UpdateJobExecution", Some("t1")), Some(Action::Throttle));
        assert_eq!(on("UpdateJobExecution", Some("t2")), None);
        assert_eq!(on("CreateJob", None), None);
    }
}
