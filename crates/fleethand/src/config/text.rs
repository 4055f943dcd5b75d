//! From the text of a configuration to its keys: JSON first, then the types. A value of a wrong type is taken out and
//! told, and the reading goes on, so that all of them are told at once. Judging values is left to
//! [`super::checked`].
//!
//! What is not worth a refusal is read as the AWS IoT Device Client reads it: a byte order mark is skipped, a member
//! that is `null` is absent, and of a member that is there twice the first counts.

use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use serde_path_to_error::Segment;

use super::raw::RawConfig;

/// A parsed text, and what is to be said about it. What is said names keys by their path.
#[derive(Debug, Default)]
pub(crate) struct Tracked {
    pub(crate) value: RawConfig,
    /// Keys that nobody asked for.
    pub(crate) unknown: Vec<String>,
    /// Keys that are there twice. The first one counts.
    pub(crate) doubled: Vec<String>,
    /// Keys with a value of a wrong type. They count as absent.
    pub(crate) mistyped: Vec<Mistyped>,
}

/// A value of a wrong type. It is not quoted as far as it is text: it may stand in the wrong place, and be secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistyped {
    pub(crate) key: String,
    /// What it is: `a string`.
    pub(crate) found: String,
    /// What it should be.
    pub(crate) wanted: Wanted,
}

/// What a key holds, in words for a person who writes JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Text,
    Switch,
    Number,
    List,
    Section,
}

impl Wanted {
    /// From what `serde` says that it has expected.
    fn of(error: &serde_json::Error) -> Self {
        let text = error.to_string();
        match text.rsplit_once("expected ").map(|(_, wanted)| wanted) {
            Some("a string") => Self::Text,
            Some("a boolean") => Self::Switch,
            Some("a sequence") => Self::List,
            Some(wanted) if wanted.starts_with(['i', 'u']) => Self::Number,
            Some(_) | None => Self::Section,
        }
    }

    /// `wanted …`
    pub(crate) fn in_words(self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Switch => "true or false",
            Self::Number => "a whole number",
            Self::List => "an array of strings",
            Self::Section => "an object",
        }
    }

    /// How it is written in a file.
    pub(crate) fn mend(self) -> &'static str {
        match self {
            Self::Text => "write a string, in double quotes",
            Self::Switch => "write true or false, without quotes",
            Self::Number => "write a whole number, without quotes",
            Self::List => "write it in brackets, with quotes: [\"one\", \"two\"]",
            Self::Section => "write its keys in braces: {\"key\": …}",
        }
    }
}

/// Why a text is no configuration at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TextError {
    /// Nothing but blanks.
    #[error("it is empty, wanted an object with keys")]
    Empty,
    /// Not JSON.
    #[error("not valid JSON at line {line}, column {column}: {what}")]
    Syntax { line: usize, column: usize, what: String },
    /// JSON, and no object.
    #[error("it is {found}, wanted an object with keys")]
    NoObject { found: String },
}

impl From<serde_json::Error> for TextError {
    fn from(error: serde_json::Error) -> Self {
        let text = error.to_string();
        // The library puts the position behind its words.
        let what = text.rsplit_once(" at line ").map_or(&*text, |(what, _)| what).to_owned();
        Self::Syntax { line: error.line(), column: error.column(), what }
    }
}

/// Reads the text of a configuration. Members whose name begins with `_` are comments.
pub(crate) fn parse(text: &str) -> Result<Tracked, TextError> {
    let text = text.trim_start_matches('\u{feff}');
    if text.trim().is_empty() {
        return Err(TextError::Empty);
    }
    let mut doubled = Vec::new();
    let mut json = serde_json::Deserializer::from_str(text);
    let tree = Node { path: String::new(), doubled: &mut doubled }.deserialize(&mut json)?;
    json.end()?;
    if !tree.is_object() {
        return Err(TextError::NoObject { found: found(&tree) });
    }
    Ok(Tracked { doubled, ..typed(tree) })
}

/// Takes a tree for a configuration.
pub(super) fn typed(mut tree: Value) -> Tracked {
    let mut mistyped = lists_for_sections(&mut tree);
    loop {
        let mut unknown = Vec::new();
        let mut note = |path: serde_ignored::Path<'_>| unknown.extend(unasked(&path));
        let read = serde_path_to_error::deserialize(serde_ignored::Deserializer::new(&tree, &mut note));
        let error = match read {
            Ok(value) => return Tracked { value, unknown, doubled: Vec::new(), mistyped },
            Err(error) => error,
        };
        let members = error.path().iter().map_while(|segment| match segment {
            Segment::Map { key } => Some(key.clone()),
            Segment::Seq { .. } | Segment::Enum { .. } | Segment::Unknown => None,
        });
        let key: Vec<String> = members.collect();
        // A list is told as a whole, by the first of its items that is wrong.
        let Some(taken) = take(&mut tree, &key) else {
            return Tracked { mistyped, ..Tracked::default() };
        };
        mistyped.push(Mistyped {
            key: error.path().to_string(),
            found: found(item(&taken, error.path())),
            wanted: Wanted::of(error.inner()),
        });
    }
}

/// Takes out the lists that stand where a section should: by its own rules `serde` would take their items for the
/// section's keys in the order of the source.
fn lists_for_sections(tree: &mut Value) -> Vec<Mistyped> {
    let policies = tree.pointer("/jobs/handlers").and_then(Value::as_object);
    let policies = policies.into_iter().flat_map(Map::keys).map(|name| vec!["jobs", "handlers", name]);
    let sections = SECTIONS.iter().map(|section| section.split('.').collect()).chain(policies);
    let keys: Vec<Vec<String>> = sections
        .filter(|keys: &Vec<&str>| {
            let value = keys.iter().try_fold(&*tree, |section, name| section.get(name));
            value.is_some_and(Value::is_array)
        })
        .map(|keys| keys.into_iter().map(str::to_owned).collect())
        .collect();
    keys.into_iter()
        .filter_map(|keys| {
            let taken = take(tree, &keys)?;
            Some(Mistyped { key: keys.join("."), found: found(&taken), wanted: Wanted::Section })
        })
        .collect()
}

/// The sections whose keys are known; those of features that are not here may be anything.
pub(super) const SECTIONS: [&str; 5] =
    ["logging", "jobs", "runtime-config", "jobs.default-allow-std-err", "jobs.user-argument"];

/// Removes a member from the tree.
fn take(tree: &mut Value, key: &[String]) -> Option<Value> {
    let (last, sections) = key.split_last()?;
    let section = sections.iter().try_fold(tree, |section, name| section.get_mut(name))?;
    section.as_object_mut()?.remove(last)
}

/// The item of a list that a path leads to, or the value itself.
fn item<'v>(value: &'v Value, path: &serde_path_to_error::Path) -> &'v Value {
    match path.iter().next_back() {
        Some(Segment::Seq { index }) => value.get(index).unwrap_or(value),
        Some(Segment::Map { .. } | Segment::Enum { .. } | Segment::Unknown) | None => value,
    }
}

fn found(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(switch) => switch.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(_) => "a string".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

/// The key of an ignored member, or `None` for a comment.
fn unasked(path: &serde_ignored::Path<'_>) -> Option<String> {
    fn keys(path: &serde_ignored::Path<'_>, out: &mut Vec<String>) {
        match path {
            serde_ignored::Path::Root => {}
            serde_ignored::Path::Seq { parent, index } => {
                keys(parent, out);
                out.push(index.to_string());
            }
            serde_ignored::Path::Map { parent, key } => {
                keys(parent, out);
                out.push(key.clone());
            }
            serde_ignored::Path::Some { parent }
            | serde_ignored::Path::NewtypeStruct { parent }
            | serde_ignored::Path::NewtypeVariant { parent } => keys(parent, out),
        }
    }
    let mut names = Vec::new();
    keys(path, &mut names);
    let comment = names.last().is_some_and(|name| name.starts_with('_'));
    let taken_apart_elsewhere = names.first().is_some_and(|name| name == "runtime-config");
    (!comment && !taken_apart_elsewhere).then(|| names.join("."))
}

/// A value of the text, as it becomes a part of the tree.
struct Node<'a> {
    path: String,
    doubled: &'a mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, input: D) -> Result<Value, D::Error> {
        input.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, switch: bool) -> Result<Value, E> {
        Ok(switch.into())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        let Self { path, doubled } = self;
        while let Some(item) =
            items.next_element_seed(Node { path: format!("{path}[{}]", list.len()), doubled })?
        {
            list.push(item);
        }
        Ok(list.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        let mut names = std::collections::BTreeSet::new();
        let Self { path, doubled } = self;
        while let Some(name) = members.next_key::<String>()? {
            let key = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
            let value = members.next_value_seed(Node { path: key.clone(), doubled })?;
            if !names.insert(name.clone()) {
                if !name.starts_with('_') {
                    doubled.push(key);
                }
            } else if !value.is_null() {
                map.insert(name, value);
            }
        }
        Ok(map.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistyped(text: &str) -> Vec<(String, String, Wanted)> {
        let tracked = parse(text).unwrap();
        tracked.mistyped.into_iter().map(|each| (each.key, each.found, each.wanted)).collect()
    }

    #[test]
    fn unknown_keys_are_named_with_their_path_and_comments_are_not() {
        let tracked =
            parse(r#"{"_comment": "x", "endpont": "x", "jobs": {"handler-dir": "/", "_why": 1}, "logging": {"levle": 1}}"#)
                .unwrap();
        assert_eq!(tracked.unknown, ["endpont", "jobs.handler-dir", "logging.levle"]);
    }

    #[test]
    fn every_key_of_the_device_client_is_known() {
        let tracked = parse(include_str!("../../tests/device-client.json")).unwrap();
        assert_eq!(tracked.unknown, [""; 0]);
    }

    #[test]
    fn what_is_not_json_is_told_once_with_line_and_column() {
        let told = |text: &str| parse(text).unwrap_err().to_string();
        assert_eq!(
            told("{\n  \"endpoint\": \"a\",\n  \"cert\" \"b\"\n}"),
            "not valid JSON at line 3, column 10: expected `:`"
        );
        assert_eq!(told("{} {}"), "not valid JSON at line 1, column 4: trailing characters");
        assert_eq!(told(" \n"), "it is empty, wanted an object with keys");
        assert_eq!(told("[]"), "it is an array, wanted an object with keys");
    }

    #[test]
    fn all_values_of_a_wrong_type_are_told_and_the_others_are_read() {
        let text = r#"{"endpoint": 5, "cert": "/c", "port": "x", "logging": "DEBUG",
            "jobs": {"enabled": "true", "grace-seconds": 1.5, "allowed-users": ["a", 1], "allowed-paths": "/x",
                     "handlers": {"a.sh": {"max-attempts": true}}, "facts": {"secret": ["hush"]}, "on-stop": "keep"}}"#;
        let of = |key: &str, found: &str, wanted| (key.to_owned(), found.to_owned(), wanted);
        let mut told = mistyped(text);
        told.sort_by(|one, other| one.0.cmp(&other.0));
        assert_eq!(
            told,
            [
                of("endpoint", "5", Wanted::Text),
                of("jobs.allowed-paths", "a string", Wanted::List),
                of("jobs.allowed-users[1]", "1", Wanted::Text),
                of("jobs.enabled", "a string", Wanted::Switch),
                of("jobs.facts.secret", "an array", Wanted::Text),
                of("jobs.grace-seconds", "1.5", Wanted::Number),
                of("jobs.handlers.a.sh.max-attempts", "true", Wanted::Number),
                of("logging", "a string", Wanted::Section),
                of("port", "a string", Wanted::Number),
            ]
        );
        let value = parse(text).unwrap().value;
        assert_eq!(value.cert.as_deref(), Some("/c"));
        assert_eq!(value.jobs.on_stop.as_deref(), Some("keep"));
    }

    #[test]
    fn a_list_is_no_section() {
        let told = mistyped(
            r#"{"logging": ["DEBUG"], "jobs": {"user-argument": [true], "handlers": {"a.b": ["rerun"], "c": {}}}}"#,
        );
        let of = |key: &str| (key.to_owned(), "an array".to_owned(), Wanted::Section);
        assert_eq!(told, [of("logging"), of("jobs.user-argument"), of("jobs.handlers.a.b")]);
    }

    #[test]
    fn what_the_device_client_reads_all_the_same_is_read() {
        let tracked =
            parse("\u{feff}{\"endpoint\": \"a\", \"root-ca\": null, \"jobs\": null, \"endpoint\": \"b\"}")
                .unwrap();
        assert_eq!(tracked.value.endpoint.as_deref(), Some("a"));
        assert_eq!(tracked.doubled, ["endpoint"]);
        assert_eq!(tracked.mistyped, []);
    }

    #[test]
    fn a_text_that_is_nested_without_end_is_refused() {
        assert!(matches!(parse(&"{\"a\":".repeat(100_000)), Err(TextError::Syntax { .. })));
    }
}
