//! The vectors' matchers: what a received value must be like.
//!
//! Objects are exact but for members whose name ends in `?` and for `"$extra": true`; an object with one `$` member is
//! an operator. A matcher that is not known is an error of the runner, never a match.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// What matching may look at, and what it remembers.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// Seconds of the service's clock at the start of the scenario.
    pub(crate) started: u64,
    /// And now.
    pub(crate) now: u64,
    pub(crate) region: String,
    pub(crate) account: String,
    pub(crate) captured: BTreeMap<String, Value>,
}

/// Why a value does not match: where, and what was wanted.
pub(crate) type Mismatch = String;

impl Context {
    /// A text with the service's names filled in.
    pub(crate) fn fill_in(&self, text: &str) -> String {
        let own = format!("arn:aws:iot:{}:{}:", self.region, self.account);
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let Some((name, after)) = after.split_once("}}") else { break };
            filled.push_str(before);
            match name.split_once(':') {
                Some(("arn", resource)) => filled.extend([own.as_str(), resource]),
                _ if name == "region" => filled.push_str(&self.region),
                _ if name == "account" => filled.push_str(&self.account),
                _ => panic!("unknown name {{{{{name}}}}} in a vector"),
            }
            rest = after;
        }
        filled + rest
    }

    /// Whether a value matches; captures are kept only if it does.
    pub(crate) fn matches(&mut self, matcher: &Value, got: &Value) -> Result<(), Mismatch> {
        let before = self.captured.clone();
        let result = self.compare(matcher, got);
        if result.is_err() {
            self.captured = before;
        }
        result
    }

    fn compare(&mut self, matcher: &Value, got: &Value) -> Result<(), Mismatch> {
        let differ = || Err(format!("wanted {matcher}, got {got}"));
        match matcher {
            Value::String(text) if got.as_str() == Some(&self.fill_in(text)) => Ok(()),
            Value::Number(_) if matcher.as_f64() == got.as_f64() => Ok(()),
            Value::Null | Value::Bool(_) if matcher == got => Ok(()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => differ(),
            Value::Array(wanted) => match got.as_array() {
                Some(found) if found.len() == wanted.len() => {
                    let mut pairs = wanted.iter().zip(found).enumerate();
                    pairs.try_for_each(|(n, (wanted, found))| inside(&n, self.matches(wanted, found)))
                }
                _ => differ(),
            },
            Value::Object(members) => match operator(members) {
                Some((name, argument)) => self.operate(name, argument, got),
                None => self.object(members, got),
            },
        }
    }

    fn object(&mut self, wanted: &Map<String, Value>, got: &Value) -> Result<(), Mismatch> {
        let Some(found) = got.as_object() else { return Err(format!("wanted an object, got {got}")) };
        let mut open = wanted.get("$extra") == Some(&Value::Bool(true));
        for (name, matcher) in wanted.iter().filter(|(name, _)| *name != "$extra") {
            let (name, optional) = name.strip_suffix('?').map_or((name.as_str(), false), |name| (name, true));
            match found.get(name) {
                Some(value) => inside(&name, self.matches(matcher, value))?,
                None if optional => {}
                None => return Err(format!("`{name}` is missing in {got}")),
            }
        }
        let listed: Vec<&str> = wanted.keys().map(|name| name.strip_suffix('?').unwrap_or(name)).collect();
        open |= found.keys().all(|name| listed.contains(&name.as_str()));
        if open { Ok(()) } else { Err(format!("more members than wanted in {got}")) }
    }

    fn operate(&mut self, name: &str, argument: &Value, got: &Value) -> Result<(), Mismatch> {
        let whole = got.as_u64();
        let matched = match name {
            "$any" => true,
            "$int" => got.is_i64() || got.is_u64(),
            "$string" => got.is_string(),
            "$uuid" => got.as_str().is_some_and(is_uuid),
            "$epochS" => whole.is_some_and(|seconds| (self.started..=self.now).contains(&seconds)),
            "$epochMs" => whole.is_some_and(|millis| (self.started..=self.now).contains(&(millis / 1000))),
            "$epochFrac" => got.as_f64().is_some_and(|seconds| {
                let bounds = u32::try_from(self.started).ok().zip(u32::try_from(self.now + 1).ok());
                bounds.is_some_and(|(from, to)| (f64::from(from)..f64::from(to)).contains(&seconds))
            }),
            "$between" => {
                let bound = |n: usize| argument.get(n).and_then(Value::as_f64);
                let (Some(from), Some(to)) = (bound(0), bound(1)) else {
                    panic!("$between without two numbers")
                };
                got.as_f64().is_some_and(|number| (from..=to).contains(&number))
            }
            "$ge" => got.as_f64().zip(argument.as_f64()).is_some_and(|(number, least)| number >= least),
            // The only expression in use; regular expressions are not worth a library here.
            "$regex" if argument == "^https?://.+" => got.as_str().is_some_and(|text| {
                let rest = text.strip_prefix("http://").or(text.strip_prefix("https://"));
                rest.is_some_and(|rest| !rest.is_empty())
            }),
            "$oneOf" => list(argument).iter().any(|matcher| self.matches(matcher, got).is_ok()),
            "$unordered" => {
                let wanted: Vec<&Value> = list(argument).iter().collect();
                let found: Vec<&Value> =
                    got.as_array().map(|found| found.iter().collect()).unwrap_or_default();
                got.is_array()
                    && assign(self, &wanted, &found, &|context, wanted, found| {
                        context.matches(wanted, found).is_ok()
                    })
            }
            "$jsonString" => {
                let parsed = got.as_str().and_then(|text| serde_json::from_str(text).ok());
                parsed.is_some_and(|value: Value| self.matches(argument, &value).is_ok())
            }
            "$capture" => {
                self.captured
                    .insert(argument.as_str().expect("a name to remember by").to_owned(), got.clone());
                true
            }
            "$ref" => {
                let name = argument.as_str().expect("a name that was remembered");
                self.captured.get(name) == Some(got)
            }
            _ => panic!("unknown matcher {name} with {argument} in a vector"),
        };
        if matched { Ok(()) } else { Err(format!("wanted {name} {argument}, got {got}")) }
    }
}

/// Whether every matcher can be given a value of its own, with none left over.
pub(crate) fn assign<M, V>(
    context: &mut Context,
    wanted: &[M],
    found: &[V],
    fits: &dyn Fn(&mut Context, &M, &V) -> bool,
) -> bool
where
    M: Copy,
    V: Copy,
{
    let Some((first, others)) = wanted.split_first() else { return found.is_empty() };
    if wanted.len() != found.len() {
        return false;
    }
    for place in 0..found.len() {
        let before = context.captured.clone();
        if fits(context, first, &found[place]) {
            let mut rest = found.to_vec();
            rest.remove(place);
            if assign(context, others, &rest, fits) {
                return true;
            }
        }
        context.captured = before;
    }
    false
}

/// The operator that an object with one `$` member is.
pub(crate) fn operator(members: &Map<String, Value>) -> Option<(&str, &Value)> {
    let (name, argument) = members.iter().next().filter(|_| members.len() == 1)?;
    (name.starts_with('$') && name != "$extra").then_some((name.as_str(), argument))
}

fn list(argument: &Value) -> &[Value] {
    argument.as_array().map(Vec::as_slice).expect("a list of matchers")
}

fn inside(place: &dyn std::fmt::Display, result: Result<(), Mismatch>) -> Result<(), Mismatch> {
    result.map_err(|mismatch| format!("{place}: {mismatch}"))
}

fn is_uuid(text: &str) -> bool {
    let groups: Vec<usize> = text.split('-').map(str::len).collect();
    groups == [8, 4, 4, 4, 12]
        && text.bytes().all(|b| b == b'-' || b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn context() -> Context {
        Context {
            started: 1_720_000_000,
            now: 1_720_000_010,
            region: "r".to_owned(),
            account: "a".to_owned(),
            captured: BTreeMap::from([("n".to_owned(), json!(4))]),
        }
    }

    #[track_caller]
    fn check(matcher: &Value, good: &[Value], bad: &[Value]) {
        for value in good {
            assert_eq!(context().matches(matcher, value), Ok(()), "{matcher} has to take {value}");
        }
        for value in bad {
            assert!(context().matches(matcher, value).is_err(), "{matcher} must not take {value}");
        }
    }

    #[test]
    fn literals_are_equal_in_kind_and_value() {
        check(&json!(1), &[json!(1), json!(1.0)], &[json!("1"), json!(true), json!(2), json!(null)]);
        check(&json!("x"), &[json!("x")], &[json!("y"), json!(1)]);
        check(
            &json!("{{arn:thing/t1}} {{region}} {{account}} ${x}"),
            &[json!("arn:aws:iot:r:a:thing/t1 r a ${x}")],
            &[],
        );
        check(&json!(null), &[json!(null)], &[json!(false), json!({})]);
        check(&json!(true), &[json!(true)], &[json!(false), json!(1)]);
        check(&json!([1, 2]), &[json!([1, 2])], &[json!([2, 1]), json!([1]), json!([1, 2, 3]), json!({})]);
        check(&json!([]), &[json!([])], &[json!([1]), json!({}), json!(null)]);
    }

    #[test]
    fn objects_are_exact_but_for_what_is_said() {
        check(&json!({}), &[json!({})], &[json!({"a": 1}), json!([]), json!(null)]);
        check(&json!({"a": 1}), &[json!({"a": 1})], &[json!({}), json!({"a": 2}), json!({"a": 1, "b": 1})]);
        check(
            &json!({"a?": 1}),
            &[json!({}), json!({"a": 1})],
            &[json!({"a": 2}), json!({"b": 1}), json!({"a?": 1})],
        );
        check(
            &json!({"$extra": true, "a": 1}),
            &[json!({"a": 1, "b": 2})],
            &[json!({"b": 2}), json!({"a": 2, "b": 2})],
        );
        check(&json!({"$extra": true}), &[json!({}), json!({"a": 1})], &[json!(1)]);
    }

    #[test]
    fn operators_take_what_they_name_and_nothing_else() {
        check(&json!({"$any": true}), &[json!(null), json!([1])], &[]);
        check(&json!({"$int": true}), &[json!(-1), json!(0)], &[json!(1.5), json!("1")]);
        check(&json!({"$string": true}), &[json!("")], &[json!(1), json!(null)]);
        let uuid = "0f4bb1c2-6d0d-4b02-a5e4-0d9d2b1c6a11";
        check(
            &json!({"$uuid": true}),
            &[json!(uuid)],
            &[json!(uuid.to_uppercase()), json!("0f4b"), json!(1)],
        );
        check(
            &json!({"$epochS": true}),
            &[json!(1_720_000_000), json!(1_720_000_010)],
            &[
                json!(1_719_999_999),
                json!(1_720_000_011),
                json!(1_720_000_000_000_u64),
                json!(1_720_000_000.5),
                json!("1720000000"),
            ],
        );
        check(&json!({"$epochMs": true}), &[json!(1_720_000_000_123_u64)], &[json!(1_720_000_000)]);
        check(
            &json!({"$epochFrac": true}),
            &[json!(1_720_000_000.5), json!(1_720_000_010)],
            &[json!(1_720_000_012), json!("x")],
        );
        check(
            &json!({"$between": [2, 3]}),
            &[json!(2), json!(2.5), json!(3)],
            &[json!(1.9), json!(3.1), json!("2")],
        );
        check(&json!({"$ge": 2}), &[json!(2), json!(9)], &[json!(1), json!("2")]);
        check(
            &json!({"$regex": "^https?://.+"}),
            &[json!("https://x"), json!("http://x")],
            &[json!("https://"), json!("ftp://x")],
        );
        check(&json!({"$oneOf": [1, "a"]}), &[json!(1), json!("a")], &[json!(2), json!(["a"])]);
        check(
            &json!({"$unordered": [{"$int": true}, 1]}),
            &[json!([1, 2]), json!([2, 1]), json!([1, 1])],
            &[json!([2, 2]), json!([1]), json!([1, 2, 3]), json!({})],
        );
        check(
            &json!({"$jsonString": {"a": 1}}),
            &[json!("{\"a\":1}")],
            &[json!({"a": 1}), json!("{\"a\":2}"), json!("{")],
        );
        check(&json!({"$ref": "n"}), &[json!(4)], &[json!(5)]);
        check(&json!({"$ref": "unknown"}), &[], &[json!(4), json!(null)]);
    }

    #[test]
    fn what_was_captured_is_forgotten_when_the_whole_does_not_match() {
        let mut context = context();
        let matcher = json!([{"$capture": "x"}, 1]);
        assert!(context.matches(&matcher, &json!([7, 2])).is_err());
        assert_eq!(context.captured.get("x"), None);
        assert!(context.matches(&matcher, &json!([7, 1])).is_ok());
        assert_eq!(context.captured.get("x"), Some(&json!(7)));
    }

    #[test]
    #[should_panic(expected = "unknown matcher")]
    fn a_matcher_that_is_not_known_is_an_error() {
        assert!(context().matches(&json!({"$nope": 1}), &json!(1)).is_err());
    }
}
