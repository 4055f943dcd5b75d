//! Identifiers, parsed once at the border; there is no other constructor.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::limits::{JOB_ID_BYTES, THING_NAME_BYTES};

/// A text that is not the identifier it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a {kind}: wanted 1 to {limit} of {alphabet}", text.escape_debug())]
pub struct InvalidName {
    kind: &'static str,
    alphabet: &'static str,
    limit: usize,
    /// What was given, cut to a length that is fit for a log.
    text: String,
}

fn checked(
    text: String,
    kind: &'static str,
    limit: usize,
    alphabet: &'static str,
    extra: &[u8],
) -> Result<String, InvalidName> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || extra.contains(&byte);
    if (1..=limit).contains(&text.len()) && text.bytes().all(allowed) {
        Ok(text)
    } else {
        Err(InvalidName { kind, alphabet, limit, text: text.chars().take(limit).collect() })
    }
}

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $limit:expr, $alphabet:literal, $extra:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text of it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(text: String) -> Result<Self, InvalidName> {
                checked(text, $kind, $limit, $alphabet, $extra).map(Self)
            }
        }

        impl TryFrom<&str> for $name {
            type Error = InvalidName;
            fn try_from(text: &str) -> Result<Self, InvalidName> {
                Self::try_from(text.to_owned())
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::try_from(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

identifier! {
    /// A thing's name: 1 to 128 of `[a-zA-Z0-9:_-]`, case-sensitive.
    ThingName, "thing name", THING_NAME_BYTES, "[a-zA-Z0-9:_-]", b":_-"
}
identifier! {
    /// A job's identifier: 1 to 64 of `[a-zA-Z0-9_-]`, chosen by whoever creates the job.
    JobId, "job id", JOB_ID_BYTES, "[a-zA-Z0-9_-]", b"_-"
}

/// What a requester sends along and gets back unchanged, to know its answer by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientToken(String);

impl ClientToken {
    /// The text of it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for ClientToken {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for ClientToken {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
        #[serde(transparent)]
        pub struct $name(u64);

        impl $name {
            /// The number itself.
            #[must_use]
            pub const fn new(number: u64) -> Self {
                Self(number)
            }

            /// The number itself.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The one after it.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
                input.deserialize_any(Digits).map(Self)
            }
        }
    };
}

number! {
    /// Tells apart the executions of one job on one thing; the first is 1. Opaque: compare, do not calculate.
    ExecutionNumber
}
number! {
    /// The version of an execution: 1 when it is queued, one more with every accepted change.
    VersionNumber
}

/// Numbers come as JSON integers, and from some senders as strings of digits (developer guide; embedded C library).
struct Digits;

impl serde::de::Visitor<'_> for Digits {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number, not negative")
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<u64, E> {
        Ok(number)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<u64, E> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(number) if digits => Ok(number),
            _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
        }
    }
}

/// Whole seconds since the epoch: every time of the device API \[capture 08-26\].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Default)]
#[serde(transparent)]
pub struct EpochSeconds(pub i64);

impl<'de> Deserialize<'de> for EpochSeconds {
    /// A fraction is cut off: a time that is spelled in a new way must not cost the message it stands in.
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Seconds;
        impl serde::de::Visitor<'_> for Seconds {
            type Value = i64;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("seconds since the epoch")
            }
            fn visit_i64<E>(self, number: i64) -> Result<i64, E> {
                Ok(number)
            }
            fn visit_u64<E>(self, number: u64) -> Result<i64, E> {
                Ok(i64::try_from(number).unwrap_or(i64::MAX))
            }
            #[expect(
                clippy::cast_possible_truncation,
                reason = "cutting the fraction off is the purpose; the cast saturates"
            )]
            fn visit_f64<E>(self, number: f64) -> Result<i64, E> {
                Ok(number as i64)
            }
        }
        input.deserialize_any(Seconds).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_held_to_alphabet_and_length() {
        for good in ["a", "Thing-1:x_y", &"t".repeat(128)] {
            assert!(ThingName::try_from(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "a/b", "+", "#", "é", &"t".repeat(129)] {
            assert!(ThingName::try_from(bad).is_err(), "{bad}");
        }
        assert!(JobId::try_from("a:b").is_err(), "a colon is for things only");
        assert!(JobId::try_from("$next").is_err(), "the reserved word is no job id");
        assert!(JobId::try_from("x".repeat(65)).is_err());
    }

    #[test]
    fn a_bad_name_is_shown_escaped_and_short() {
        let error = JobId::try_from(format!("\u{1b}[2J{}", "x".repeat(5000))).unwrap_err().to_string();
        assert!(!error.contains('\u{1b}') && error.len() < 200, "{error}");
    }

    #[test]
    fn numbers_are_heard_as_integers_and_as_digits() {
        assert_eq!(serde_json::from_str::<VersionNumber>("4").unwrap(), VersionNumber::new(4));
        assert_eq!(serde_json::from_str::<VersionNumber>("\"4\"").unwrap(), VersionNumber::new(4));
        for bad in ["-1", "1.5", "\"\"", "\"+4\"", "\"4x\"", "true", "null", "\"99999999999999999999\""] {
            assert!(serde_json::from_str::<VersionNumber>(bad).is_err(), "{bad}");
        }
    }
}
