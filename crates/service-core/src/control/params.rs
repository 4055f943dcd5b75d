//! The members of a request to the HTTP planes, read from untrusted JSON.
//!
//! Numbers and booleans may come as text, because a query string has nothing else. A member that the operation does not
//! have here is refused by name: one that would change what devices see must not be passed over in silence.

use jobs_protocol::{InvalidName, JobId, ThingName};
use serde_json::{Map, Value};

use super::error::ControlError;
use crate::ids;
use crate::registry::GroupName;

/// A request's members, those that are `null` left out.
pub(crate) struct Params(Map<String, Value>);

impl Params {
    /// Takes the members of an operation that knows these names.
    pub(crate) fn read(params: Value, known: &[&str]) -> Result<Self, ControlError> {
        let members = match params {
            Value::Object(members) => members,
            Value::Null => Map::new(),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                return Err(ControlError::invalid("The request is not a JSON object."));
            }
        };
        let given = members.into_iter().filter(|(_, value)| !value.is_null());
        let members: Map<String, Value> = given.collect();
        let unknown = members.iter().find(|(name, value)| {
            let empty =
                value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty);
            !known.contains(&name.as_str()) && !empty
        });
        match unknown {
            None => Ok(Self(members)),
            Some((name, _)) => {
                let name: String = name.chars().take(64).collect();
                Err(ControlError::invalid(format!("The option {name} is not supported by this service.")))
            }
        }
    }

    pub(crate) fn members(&self) -> &Map<String, Value> {
        &self.0
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Adds a member that the request does not have itself.
    pub(crate) fn set_default(&mut self, name: &str, value: Value) {
        self.0.entry(name).or_insert(value);
    }

    /// Adds a member to a member that is an object, unless it has it itself.
    pub(crate) fn set_default_in(&mut self, name: &str, member: &str, value: Value) {
        let inside = self.0.entry(name).or_insert_with(|| Value::Object(Map::new()));
        if let Some(members) = inside.as_object_mut() {
            members.entry(member).or_insert(value);
        }
    }

    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, ControlError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| wrong(name, "a string"))
    }

    pub(crate) fn required_text(&self, name: &str) -> Result<&str, ControlError> {
        self.text(name)?.ok_or_else(|| missing(name))
    }

    /// A text of the pattern `[^\p{C}]+` and at most so many characters.
    pub(crate) fn prose(&self, name: &str, limit: usize) -> Result<Option<String>, ControlError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        if text.chars().count() > limit {
            return Err(wrong(name, &format!("at most {limit} characters")));
        }
        if text.chars().any(char::is_control) {
            return Err(wrong(name, "free of control characters"));
        }
        Ok(Some(text.to_owned()))
    }

    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, ControlError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(Value::String(text)) if text == "true" => Ok(Some(true)),
            Some(Value::String(text)) if text == "false" => Ok(Some(false)),
            Some(_) => Err(wrong(name, "true or false")),
        }
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, ControlError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let read = value.as_u64().or_else(|| value.as_str()?.parse().ok());
        read.map(Some).ok_or_else(|| wrong(name, "a whole number"))
    }

    pub(crate) fn object(&self, name: &str) -> Result<Option<&Map<String, Value>>, ControlError> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_object().map(Some).ok_or_else(|| wrong(name, "an object"))
    }

    pub(crate) fn thing(&self) -> Result<ThingName, ControlError> {
        ThingName::try_from(self.required_text("thingName")?).map_err(|fault| bad_name("thingName", &fault))
    }

    pub(crate) fn job(&self) -> Result<JobId, ControlError> {
        JobId::try_from(self.required_text("jobId")?).map_err(|fault| bad_name("jobId", &fault))
    }

    pub(crate) fn group(&self, name: &str) -> Result<Option<GroupName>, ControlError> {
        let text = self.text(name)?;
        text.map(|text| GroupName::try_from(text).map_err(|fault| bad_name(name, &fault))).transpose()
    }
}

/// A member that does not satisfy its constraint.
pub(crate) fn wrong(name: &str, wanted: &str) -> ControlError {
    ControlError::invalid(format!(
        "1 validation error detected: Value at '{name}' failed to satisfy constraint: Member must be {wanted}"
    ))
}

fn missing(name: &str) -> ControlError {
    ControlError::invalid(format!(
        "1 validation error detected: Value null at '{name}' failed to satisfy constraint: Member must not be null"
    ))
}

fn bad_name(name: &str, fault: &InvalidName) -> ControlError {
    ControlError::invalid(format!(
        "1 validation error detected: Value at '{name}' failed to satisfy constraint: {fault}"
    ))
}

/// One page of a list: the items after the token, at most `maxResults`, and the token of the next page.
///
/// Items come with keys in ascending order; the token holds the key of the last one shown, so that it is good although
/// items come and go between two pages. One that was not given out for this list is refused.
pub(crate) fn page(
    params: &Params,
    list: &str,
    items: impl Iterator<Item = (String, Value)>,
) -> Result<Value, ControlError> {
    page_by(&TOKENS, params, list, items)
}

/// How an operation calls the size of a page, where it begins, and where the next one does.
pub(crate) type Paging = [&'static str; 3];
pub(crate) const TOKENS: Paging = ["maxResults", "nextToken", "nextToken"];
/// The names that the older lists have.
pub(crate) const MARKERS: Paging = ["pageSize", "marker", "nextMarker"];

/// The same, for a list with other names.
pub(crate) fn page_by(
    [size, begin, next]: &Paging,
    params: &Params,
    list: &str,
    items: impl Iterator<Item = (String, Value)>,
) -> Result<Value, ControlError> {
    let limit = params.number(size)?.unwrap_or(250);
    if !(1..=250).contains(&limit) {
        return Err(wrong(size, "from 1 to 250"));
    }
    let after = match params.text(begin)? {
        None | Some("") => None,
        Some(token) => {
            let key = key_of(list, token);
            Some(key.ok_or_else(|| ControlError::invalid(format!("Invalid {begin}.")))?)
        }
    };
    let mut rest = items.skip_while(|(key, _)| after.as_ref().is_some_and(|after| key <= after));
    let mut shown = Vec::new();
    let mut end = None;
    for (key, item) in rest.by_ref().take(usize::try_from(limit).unwrap_or(250)) {
        shown.push(item);
        end = Some(key);
    }
    let mut body = Map::new();
    body.insert(list.to_owned(), shown.into());
    if let Some(key) = end.filter(|_| rest.next().is_some()) {
        body.insert((*next).to_owned(), token_of(list, &key).into());
    }
    Ok(body.into())
}

/// The token by which a list goes on after a key: the key in hexadecimal, behind a mark of the list and the key.
fn token_of(list: &str, key: &str) -> String {
    let mark = ids::hash(list.bytes().chain([b'/']).chain(key.bytes()));
    key.bytes().fold(format!("{mark:016x}"), |token, byte| token + &format!("{byte:02x}"))
}

/// The key in a token, if it is one of this list.
fn key_of(list: &str, token: &str) -> Option<String> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes = token.get(16..)?.as_bytes().chunks(2).map(byte).collect::<Option<_>>()?;
    let key = String::from_utf8(bytes).ok()?;
    (token_of(list, &key) == token).then_some(key)
}

/// A key by which what was created last comes first.
pub(crate) fn newest_first(serial: u64) -> String {
    format!("{:016x}", u64::MAX - serial)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_and_flags_may_come_as_text() {
        let params = Params::read(json!({"a": "5", "b": 5, "c": "true", "d": false}), &["a", "b", "c", "d"]);
        let params = params.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(params.number("a"), Ok(Some(5)));
        assert_eq!(params.number("b"), Ok(Some(5)));
        assert_eq!(params.flag("c"), Ok(Some(true)));
        assert_eq!(params.flag("d"), Ok(Some(false)));
        assert!(params.flag("a").is_err() && params.number("c").is_err());
    }

    #[test]
    fn an_option_that_is_not_here_is_named() {
        let Err(error) = Params::read(json!({"jobId": "j", "namespaceId": "x"}), &["jobId"]) else {
            panic!("taken in silence")
        };
        assert_eq!((error.name, error.status), ("InvalidRequestException", 400));
        assert!(error.message.contains("namespaceId"), "{error}");
        assert!(Params::read(json!({"namespaceId": null, "schedulingConfig": {}}), &[]).is_ok());
        assert!(Params::read(json!([1]), &[]).is_err());
    }

    #[test]
    fn pages_follow_each_other_without_gap_or_repetition() {
        let items = || (0..5).map(|n| (format!("{n}"), json!(n)));
        let mut token = Value::Null;
        let mut seen = Vec::new();
        loop {
            let params =
                Params::read(json!({"maxResults": "2", "nextToken": token}), &["maxResults", "nextToken"]);
            let body = page(&params.unwrap_or_else(|error| panic!("{error}")), "l", items()).unwrap();
            seen.extend(body["l"].as_array().unwrap().clone());
            token = body["nextToken"].clone();
            if token.is_null() {
                break;
            }
        }
        assert_eq!(json!(seen), json!([0, 1, 2, 3, 4]));
    }

    #[test]
    fn a_token_is_good_for_the_list_that_gave_it_and_for_no_other() {
        let asked = |list: &str, token: Value| {
            let items = (0..5).map(|n| (format!("é{n}"), json!(n)));
            let params =
                Params::read(json!({"maxResults": 2, "nextToken": token}), &["maxResults", "nextToken"])?;
            page(&params, list, items)
        };
        let first = asked("things", json!("")).unwrap();
        let token = first["nextToken"].as_str().unwrap();
        assert_eq!(asked("things", json!(token)).unwrap()["things"], json!([2, 3]));
        for (list, bad) in [
            ("jobs", token),
            ("things", "3"),
            ("things", "a token that nobody gave"),
            ("things", "ééééééééééééééééé"),
            ("things", &token[..token.len() - 2]),
            ("things", &format!("{token}0")),
            ("things", &token.to_uppercase()),
        ] {
            let refused = asked(list, json!(bad)).expect_err(bad);
            assert_eq!((refused.name, refused.status), ("InvalidRequestException", 400), "{list} {bad}");
        }
    }
}
