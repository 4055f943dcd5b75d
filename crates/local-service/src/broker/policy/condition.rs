//! Conditions of a policy's statements: what has to hold besides action and resource.
//!
//! The string operators and `Bool`, with `ForAllValues:`, `ForAnyValue:` and `IfExists`, over the keys that have a value here.
//! Another operator or key makes the policy invalid: it is not judged wrongly.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use super::several::Several;

/// All of a statement's conditions; every one has to hold.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(try_from = "BTreeMap<String, BTreeMap<String, Several<Scalar>>>")]
pub(super) struct Conditions(Vec<Condition>);

#[derive(Debug, Clone)]
struct Condition {
    over: Over,
    test: Test,
    if_exists: bool,
    key: Key,
    values: Vec<String>,
}

/// Which of a key's values have to pass the test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    /// Its only one.
    One,
    All,
    Any,
}

/// How a value is compared with those of the condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Test {
    comparison: Comparison,
    /// None of them may match, instead of one.
    negated: bool,
}

/// What it means for a value to match another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    EqualButForCase,
    /// With `*` and `?`.
    Like,
}

/// Something that is known about a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    ClientId,
    ThingName,
    IsAttached,
    CommonName,
    ConnectAttributes,
}

/// A value as policies write it.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Truth(bool),
    Number(serde_json::Number),
}

/// What is not judged here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum UnknownCondition {
    #[error("the condition operator `{0}` is not known here")]
    Operator(String),
    #[error("the condition key `{0}` is not known here")]
    Key(String),
}

impl Conditions {
    /// Whether all hold. `known` gives the values of a key, none if it has none here; `matches` says whether a value is
    /// what a condition's value stands for.
    pub(super) fn hold(
        &self,
        known: impl Fn(Key) -> Vec<String>,
        matches: impl Fn(&str, Comparison, &str) -> bool,
    ) -> bool {
        self.0.iter().all(|condition| {
            let Condition { over, test, if_exists, key, values } = condition;
            let given = known(*key);
            let passes = |given: &String| {
                values.iter().any(|wanted| matches(wanted, test.comparison, given)) != test.negated
            };
            match over {
                Over::All => given.iter().all(passes),
                Over::One if given.is_empty() => *if_exists || test.negated,
                Over::Any if given.is_empty() => *if_exists,
                Over::One | Over::Any => given.iter().any(passes),
            }
        })
    }
}

impl TryFrom<BTreeMap<String, BTreeMap<String, Several<Scalar>>>> for Conditions {
    type Error = UnknownCondition;

    fn try_from(
        written: BTreeMap<String, BTreeMap<String, Several<Scalar>>>,
    ) -> Result<Self, UnknownCondition> {
        let mut all = Vec::new();
        for (operator, keys) in written {
            let (over, rest) = match operator.split_once(':') {
                Some(("ForAllValues", rest)) => (Over::All, rest),
                Some(("ForAnyValue", rest)) => (Over::Any, rest),
                Some(_) => return Err(UnknownCondition::Operator(operator)),
                None => (Over::One, operator.as_str()),
            };
            let (name, if_exists) = match rest.strip_suffix("IfExists") {
                Some(name) => (name, true),
                None => (rest, false),
            };
            let test = test(name).ok_or_else(|| UnknownCondition::Operator(operator.clone()))?;
            for (name, values) in keys {
                let key = key(&name).ok_or(UnknownCondition::Key(name))?;
                let values = values.0.iter().map(ToString::to_string).collect();
                all.push(Condition { over, test, if_exists, key, values });
            }
        }
        Ok(Self(all))
    }
}

fn test(operator: &str) -> Option<Test> {
    let (comparison, negated) = match operator {
        "StringEquals" => (Comparison::Equal, false),
        "StringNotEquals" => (Comparison::Equal, true),
        "StringEqualsIgnoreCase" | "Bool" => (Comparison::EqualButForCase, false),
        "StringNotEqualsIgnoreCase" => (Comparison::EqualButForCase, true),
        "StringLike" => (Comparison::Like, false),
        "StringNotLike" => (Comparison::Like, true),
        _ => return None,
    };
    Some(Test { comparison, negated })
}

fn key(name: &str) -> Option<Key> {
    let keys = [
        ("iot:ClientId", Key::ClientId),
        ("iot:Connection.Thing.ThingName", Key::ThingName),
        ("iot:Connection.Thing.IsAttached", Key::IsAttached),
        ("iot:Certificate.Subject.CommonName", Key::CommonName),
        ("iot:ConnectAttributes", Key::ConnectAttributes),
    ];
    keys.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, key)| *key)
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Truth(truth) => truth.fmt(f),
            Self::Number(number) => number.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn hold(conditions: &Value, known: &[&str]) -> bool {
        let conditions: Conditions = serde_json::from_value(conditions.clone()).unwrap();
        conditions.hold(
            |_| known.iter().map(ToString::to_string).collect(),
            |wanted, comparison, given| match comparison {
                Comparison::Equal => wanted == given,
                Comparison::EqualButForCase => wanted.eq_ignore_ascii_case(given),
                Comparison::Like => wanted == "*",
            },
        )
    }

    #[test]
    fn one_value_is_compared_with_all_of_the_conditions() {
        let client = |operator: &str, values: Value| json!({operator: {"iot:ClientId": values}});
        for (conditions, known, holds) in [
            (client("StringEquals", json!("a")), vec!["a"], true),
            (client("StringEquals", json!(["b", "a"])), vec!["a"], true),
            (client("StringEquals", json!("A")), vec!["a"], false),
            (client("StringEquals", json!("a")), vec![], false),
            (client("StringEqualsIfExists", json!("a")), vec![], true),
            (client("StringNotEquals", json!(["a", "b"])), vec!["a"], false),
            (client("StringNotEquals", json!(["b", "c"])), vec!["a"], true),
            (client("StringNotEquals", json!("a")), vec![], true),
            (client("StringEqualsIgnoreCase", json!("A")), vec!["a"], true),
            (client("StringLike", json!("*")), vec!["a"], true),
            (client("Bool", json!(true)), vec!["true"], true),
            (client("Bool", json!(["false"])), vec!["true"], false),
        ] {
            assert_eq!(hold(&conditions, &known), holds, "{conditions} {known:?}");
        }
    }

    #[test]
    fn several_values_are_judged_together() {
        let attributes = |operator: &str| json!({operator: {"iot:ConnectAttributes": ["PersistentConnect"]}});
        for (operator, known, holds) in [
            ("ForAllValues:StringEquals", vec![], true),
            ("ForAllValues:StringEquals", vec!["PersistentConnect"], true),
            ("ForAllValues:StringEquals", vec!["PersistentConnect", "LastWill"], false),
            ("ForAnyValue:StringEquals", vec![], false),
            ("ForAnyValue:StringEquals", vec!["PersistentConnect", "LastWill"], true),
            ("ForAllValues:StringNotEquals", vec!["LastWill"], true),
        ] {
            assert_eq!(hold(&attributes(operator), &known), holds, "{operator} {known:?}");
        }
    }

    #[test]
    fn every_condition_has_to_hold() {
        let both = json!({"StringEquals": {"iot:ClientId": "a"}, "StringNotEquals": {"iot:ClientId": "a"}});
        assert!(!hold(&both, &["a"]));
        assert!(hold(&json!({}), &[]));
    }

    #[test]
    fn what_is_not_known_is_named() {
        for (conditions, named) in [
            (json!({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}), "IpAddress"),
            (json!({"ForSome:StringEquals": {"iot:ClientId": "a"}}), "ForSome:StringEquals"),
            (json!({"StringEquals": {"aws:SourceVpc": "a"}}), "aws:SourceVpc"),
        ] {
            let error = serde_json::from_value::<Conditions>(conditions).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
