//! Status details: the short texts that travel with a status.
//!
//! The service takes at most 10 pairs of strings; keys 1 to 128 of `[a-zA-Z0-9:_-]`, values 1 to 1024 characters.
//! The published pattern forbids control characters; a documented value ends in a line feed nevertheless, so line
//! feed, carriage return and tab stay in the text by default ([`Text::Readable`]) and go when the service has refused
//! them ([`Text::Strict`]).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::limits::{DETAILS_KEY_BYTES, DETAILS_PAIRS, DETAILS_VALUE_UNITS};

/// Details as they are heard: whatever strings the service sends.
pub type DetailsMap = BTreeMap<String, String>;

/// How much of a text's layout is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Text {
    /// Line feed, carriage return and tab stay; other control characters become visible signs.
    #[default]
    Readable,
    /// Nothing that the published pattern `[^\p{C}]+` could exclude: a line feed becomes a sign too.
    Strict,
}

/// Details that the service accepts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "DetailsMap", into = "DetailsMap")]
pub struct StatusDetails(DetailsMap);

/// Why a map is not fit to be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDetails {
    /// More than 10 pairs.
    #[error("{0} pairs, at most {DETAILS_PAIRS} are allowed")]
    TooMany(usize),
    /// A key with other characters, empty, or too long.
    #[error("key `{}`: wanted 1 to {DETAILS_KEY_BYTES} of [a-zA-Z0-9:_-]", .0.escape_debug())]
    Key(String),
    /// An empty value.
    #[error("the value of `{0}` is empty")]
    Empty(String),
    /// A value that is too long.
    #[error("the value of `{key}` has {units} characters, at most {DETAILS_VALUE_UNITS} are allowed")]
    TooLong {
        /// Its key.
        key: String,
        /// Its length in UTF-16 units.
        units: usize,
    },
    /// A value with a control character that is not line feed, carriage return or tab.
    #[error("the value of `{0}` contains a control character")]
    Control(String),
}

impl StatusDetails {
    /// Adds a pair, made fit: control characters become visible, and of a long value the last 1024 characters stay.
    /// An empty value adds nothing, because the service refuses it.
    ///
    /// # Panics
    /// Never for a valid key with room left; keys are the program's own, so a wrong one is a mistake in the program.
    #[must_use]
    pub fn with(self, key: &'static str, value: &str, text: Text) -> Self {
        self.put(key, last_units(&harmless(value, text), DETAILS_VALUE_UNITS))
    }

    /// As [`StatusDetails::with`], but of a long value the first 1024 characters stay.
    #[must_use]
    pub fn with_start(self, key: &'static str, value: &str, text: Text) -> Self {
        self.put(key, first_units(&harmless(value, text), DETAILS_VALUE_UNITS))
    }

    /// Adds a pair whose key is not the program's own, its value as in [`StatusDetails::with_start`]. Nothing is added if
    /// the key is taken or not fit, if the value is empty, or if there is no room.
    #[must_use]
    pub fn with_foreign(mut self, key: &str, value: &str, text: Text) -> Self {
        if !self.0.contains_key(key) {
            let value = first_units(&harmless(value, text), DETAILS_VALUE_UNITS).to_owned();
            self.0.insert(key.to_owned(), value);
            if check(&self.0).is_err() {
                self.0.remove(key);
            }
        }
        self
    }

    fn put(mut self, key: &'static str, value: &str) -> Self {
        if !value.is_empty() {
            self.0.insert(key.to_owned(), value.to_owned());
        }
        debug_assert!(check(&self.0).is_ok(), "the program's own keys are valid and few");
        self
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The pairs.
    #[must_use]
    pub fn as_map(&self) -> &DetailsMap {
        &self.0
    }

    /// The same pairs in stricter text, for a service that has refused them.
    #[must_use]
    pub fn stricter(&self) -> Self {
        let strict =
            |value: &String| last_units(&harmless(value, Text::Strict), DETAILS_VALUE_UNITS).to_owned();
        Self(self.0.iter().map(|(key, value)| (key.clone(), strict(value))).collect())
    }
}

impl TryFrom<DetailsMap> for StatusDetails {
    type Error = InvalidDetails;
    fn try_from(map: DetailsMap) -> Result<Self, InvalidDetails> {
        check(&map).map(|()| Self(map))
    }
}

impl From<StatusDetails> for DetailsMap {
    fn from(details: StatusDetails) -> Self {
        details.0
    }
}

/// Checks a map against the service's limits, line ends allowed.
pub fn check(map: &DetailsMap) -> Result<(), InvalidDetails> {
    if map.len() > DETAILS_PAIRS {
        return Err(InvalidDetails::TooMany(map.len()));
    }
    for (key, value) in map {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b":_-".contains(&byte);
        if !(1..=DETAILS_KEY_BYTES).contains(&key.len()) || !key.bytes().all(allowed) {
            return Err(InvalidDetails::Key(key.chars().take(DETAILS_KEY_BYTES).collect()));
        }
        if value.is_empty() {
            return Err(InvalidDetails::Empty(key.clone()));
        }
        let units = value.encode_utf16().count();
        if units > DETAILS_VALUE_UNITS {
            return Err(InvalidDetails::TooLong { key: key.clone(), units });
        }
        if value.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            return Err(InvalidDetails::Control(key.clone()));
        }
    }
    Ok(())
}

/// The text with everything made visible that would steer a terminal, hide or reorder what is read.
#[must_use]
pub fn harmless(text: &str, keep: Text) -> String {
    text.chars().map(|c| sign_for(c, keep)).collect()
}

fn sign_for(c: char, keep: Text) -> char {
    match c {
        '\n' | '\r' | '\t' if keep == Text::Readable => c,
        // The Unicode block "Control Pictures" mirrors the C0 codes one by one.
        '\u{0}'..='\u{1f}' => char::from_u32(0x2400 + u32::from(c)).unwrap_or(char::REPLACEMENT_CHARACTER),
        '\u{7f}' => '\u{2421}',
        _ if is_unseen(c) => char::REPLACEMENT_CHARACTER,
        _ => c,
    }
}

/// C1 controls, format characters, private use and noncharacters: the categories behind `\p{C}` that are assigned.
fn is_unseen(c: char) -> bool {
    let code = u32::from(c);
    matches!(c,
        '\u{80}'..='\u{9f}' | '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}'
        | '\u{8e2}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{e000}'..='\u{f8ff}' | '\u{fdd0}'..='\u{fdef}' | '\u{feff}' | '\u{fff0}'..='\u{fffb}'
        | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{10ffff}')
        || code & 0xfffe == 0xfffe
}

/// The end of a text: at most so many UTF-16 units, cut on a character boundary.
#[must_use]
pub fn last_units(text: &str, units: usize) -> &str {
    let mut left = units;
    let mut start = text.len();
    for (at, c) in text.char_indices().rev() {
        match left.checked_sub(c.len_utf16()) {
            Some(rest) => (left, start) = (rest, at),
            None => break,
        }
    }
    &text[start..]
}

/// The beginning of a text: at most so many UTF-16 units, cut on a character boundary.
#[must_use]
pub fn first_units(text: &str, units: usize) -> &str {
    let mut left = units;
    for (at, c) in text.char_indices() {
        match left.checked_sub(c.len_utf16()) {
            Some(rest) => left = rest,
            None => return &text[..at],
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> DetailsMap {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_services_limits_are_held() {
        assert!(check(&map(&[("reason", "x\ny\tz\r")])).is_ok());
        assert!(check(&map(&[("a:b_c-D9", &"x".repeat(1024))])).is_ok());
        assert!(check(&map(&[("k", &"x".repeat(1025))])).is_err());
        assert!(check(&map(&[("k", &"😀".repeat(513))])).is_err(), "counted in UTF-16 units");
        assert!(check(&map(&[("k", &"😀".repeat(512))])).is_ok());
        assert!(check(&map(&[("k", "")])).is_err());
        assert!(check(&map(&[("", "v")])).is_err());
        assert!(check(&map(&[("a b", "v")])).is_err());
        assert!(check(&map(&[("k", "\u{1b}[31m")])).is_err());
        let eleven: DetailsMap = (0..11).map(|n| (format!("k{n}"), "v".to_owned())).collect();
        assert_eq!(check(&eleven), Err(InvalidDetails::TooMany(11)));
    }

    #[test]
    fn control_characters_become_visible_and_line_ends_stay() {
        assert_eq!(harmless("a\u{1b}[31m\n\tb\u{0}\u{7f}", Text::Readable), "a␛[31m\n\tb␀␡");
        assert_eq!(harmless("a\nb\tc", Text::Strict), "a␊b␉c");
        assert_eq!(
            harmless("x\u{202e}y\u{feff}\u{85}\u{e000}", Text::Readable),
            "x\u{fffd}y\u{fffd}\u{fffd}\u{fffd}"
        );
        assert_eq!(harmless("grüße € 漢字 😀 100%", Text::Strict), "grüße € 漢字 😀 100%");
    }

    #[test]
    fn whatever_is_added_the_result_is_valid() {
        let wild: String = (0..0x3000).filter_map(char::from_u32).chain("😀".repeat(600).chars()).collect();
        for text in [Text::Readable, Text::Strict] {
            let details = StatusDetails::default().with("stderr", &wild, text).with("reason", "", text);
            assert_eq!(check(details.as_map()), Ok(()));
            assert_eq!(details.as_map().len(), 1, "an empty value is left out");
        }
    }

    #[test]
    fn a_foreign_pair_is_added_only_where_it_fits() {
        let own = StatusDetails::default().with("reason", "mine", Text::Readable);
        let with = |key: &str, value: &str| own.clone().with_foreign(key, value, Text::Readable);
        assert_eq!(with("fw", "1\u{7}").as_map()["fw"], "1␇");
        for (key, value) in [("reason", "theirs"), ("", "x"), ("a b", "x"), ("k", "")] {
            assert_eq!(with(key, value), own, "{key:?}={value:?}");
        }
        let full = (0..20).fold(own, |all, n| all.with_foreign(&format!("k{n}"), "x", Text::Readable));
        assert_eq!(check(full.as_map()), Ok(()));
        assert_eq!(full.as_map().len(), DETAILS_PAIRS);
    }

    #[test]
    fn the_tail_is_cut_between_characters() {
        assert_eq!(last_units("añb", 2), "ñb");
        assert_eq!(last_units("a😀b", 2), "b", "half of a pair is no character");
        assert_eq!(last_units("abc", 9), "abc");
        assert_eq!(last_units("abc", 0), "");
    }

    #[test]
    fn the_head_is_cut_between_characters() {
        assert_eq!(first_units("añb", 2), "añ");
        assert_eq!(first_units("b😀a", 2), "b", "half of a pair is no character");
        assert_eq!(first_units("abc", 9), "abc");
        assert_eq!(first_units("abc", 0), "");
        let long = format!("first {}", "x".repeat(2000));
        let details = StatusDetails::default().with_start("reason", &long, Text::Readable);
        assert!(details.as_map()["reason"].starts_with("first") && check(details.as_map()).is_ok());
    }
}
