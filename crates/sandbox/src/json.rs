//! What the service says, as it said it: one line of JSON that is safe on a terminal. Member order, numbers and members
//! that this program does not know stay as they are.

use std::fmt::{self, Write};

use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

/// JSON on one line, without control characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Json(String);

/// Why a text is no JSON.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct NotJson(serde_json::Error);

impl Json {
    /// Reads a text of any depth; nothing at all counts as an empty object, as AWS answers where there is nothing to say.
    pub(crate) fn read(text: &[u8]) -> Result<Self, NotJson> {
        if text.is_empty() {
            return Ok(Self("{}".to_owned()));
        }
        let raw: &RawValue = serde_json::from_slice(text).map_err(NotJson)?;
        Ok(Self(on_one_line(raw.get())))
    }

    pub(crate) fn of(value: &serde_json::Value) -> Self {
        Self(on_one_line(&value.to_string()))
    }

    /// Takes it apart.
    pub(crate) fn parse<T: DeserializeOwned>(&self) -> Result<T, NotJson> {
        serde_json::from_str(&self.0).map_err(NotJson)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Takes the white space between tokens away, and escapes in strings what a terminal would obey.
fn on_one_line(json: &str) -> String {
    let mut line = String::with_capacity(json.len());
    let mut in_string = false;
    let mut after_backslash = false;
    for character in json.chars() {
        if !in_string {
            in_string = character == '"';
            if !character.is_ascii_whitespace() {
                line.push(character);
            }
            continue;
        }
        if obeyed(character) {
            write!(line, "\\u{:04x}", u32::from(character)).expect("a String takes everything");
        } else {
            line.push(character);
        }
        in_string = after_backslash || character != '"';
        after_backslash = character == '\\' && !after_backslash;
    }
    line
}

/// A text from elsewhere, such as an error message, fit for a terminal.
pub(crate) fn harmless(text: &str) -> String {
    text.chars().map(|character| if obeyed(character) { '\u{fffd}' } else { character }).collect()
}

/// Control characters, and those that turn the direction of writing.
fn obeyed(character: char) -> bool {
    character.is_control() || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_numbers_and_strings_stay_and_white_space_goes() {
        let text = "{ \"b\" : 1.50,\n\t\"a\": [ \"x  \\\" { y\", 12345678901234567890123 ] }";
        let json = Json::read(text.as_bytes()).unwrap();
        assert_eq!(json.as_str(), r#"{"b":1.50,"a":["x  \" { y",12345678901234567890123]}"#);
    }

    #[test]
    fn a_backslash_at_the_end_of_a_string_does_not_hide_its_end() {
        let json = Json::read(br#"["a\\", "b" ]"#).unwrap();
        assert_eq!(json.as_str(), r#"["a\\","b"]"#);
    }

    #[test]
    fn what_a_terminal_obeys_is_escaped_and_means_the_same() {
        let json = Json::read("[\"\u{9b}2J\u{7f}\u{202e}\"]".as_bytes()).unwrap();
        assert_eq!(json.as_str(), r#"["\u009b2J\u007f\u202e"]"#);
        assert_eq!(json.parse::<Vec<String>>().unwrap(), ["\u{9b}2J\u{7f}\u{202e}"]);
        assert_eq!(harmless("a\u{1b}[2J\nb"), "a\u{fffd}[2J\u{fffd}b");
    }

    #[test]
    fn depth_is_no_obstacle_and_what_is_no_json_is_told() {
        let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
        assert_eq!(Json::read(deep.as_bytes()).unwrap().as_str(), deep);
        for bad in ["{", "{} {}", "\u{feff}{}", "nul"] {
            assert!(Json::read(bad.as_bytes()).is_err(), "{bad}");
        }
        assert_eq!(Json::read(b"").unwrap().as_str(), "{}");
    }
}
