//! What a handler says of its work while it runs: a few facts, and among them a line of text under the name `progress`.
//!
//! It is a handler's word, so nothing in it is believed: what is no fit key, and what has a name that the agent's own
//! report uses, is left out.

use std::collections::BTreeMap;
use std::fmt;

use jobs_protocol::StatusDetails;
use jobs_protocol::details::Text;
use serde::{Deserialize, Serialize};

/// The fact that is a line of text for people.
const TEXT: &str = "progress";
/// Names of the agent's own report begin so: no handler speaks in its name.
const OWN: [&str; 3] = ["reason", "stdout", "stderr"];
/// What is shown of a text where one line is for everything, in characters.
const SHOWN: usize = 80;

/// The latest that a handler has said, by name. Small: whoever collects it holds the limits.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Progress {
    /// Names and values.
    pub facts: BTreeMap<String, String>,
}

impl Progress {
    /// Whether nothing has been said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }

    /// What was said by steps one after the other: of the same name the last counts.
    pub(crate) fn of_all<'a>(steps: impl Iterator<Item = &'a Self>) -> Self {
        let facts = steps.flat_map(|step| step.facts.clone());
        Self { facts: facts.collect() }
    }

    /// Adds as much to details as they have room for, the text first.
    pub(crate) fn add_to(&self, details: StatusDetails) -> StatusDetails {
        let text = self.facts.get_key_value(TEXT);
        let others = self.facts.iter().filter(|(name, _)| *name != TEXT);
        text.into_iter()
            .chain(others)
            .filter(|(name, _)| !OWN.iter().any(|own| name.starts_with(own)))
            .fold(details, |details, (name, value)| details.with_foreign(name, value, Text::Readable))
    }

    /// The text in a few characters, if there is one.
    pub(crate) fn in_short(&self) -> Option<String> {
        let text: String = self.facts.get(TEXT)?.chars().take(SHOWN).collect();
        Some(text.escape_debug().to_string())
    }
}

/// In a line for the log.
impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (name, value)) in self.facts.iter().enumerate() {
            let comma = if number == 0 { "" } else { ", " };
            let value: String = value.chars().take(SHOWN).collect();
            write!(f, "{comma}{}=\"{}\"", name.escape_debug(), value.escape_debug())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(facts: &[(&str, &str)]) -> Progress {
        Progress { facts: facts.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect() }
    }

    #[test]
    fn a_handler_does_not_speak_in_the_agents_name() {
        let said =
            progress(&[("reason", "all is well"), ("stdout", "x"), ("stderr-head", "x"), ("fw", "1.2")]);
        let details = said.add_to(StatusDetails::default());
        assert_eq!(details.as_map().keys().collect::<Vec<_>>(), ["fw"]);
    }

    #[test]
    fn what_is_not_fit_for_the_service_is_made_fit_or_left_out() {
        let long = "x".repeat(2000);
        let said =
            progress(&[("", "x"), ("a b", "x"), ("empty", ""), ("bell", "\u{7}\u{1b}[31m"), ("long", &long)]);
        let details = said.add_to(StatusDetails::default());
        assert_eq!(jobs_protocol::details::check(details.as_map()), Ok(()));
        assert_eq!(details.as_map().keys().collect::<Vec<_>>(), ["bell", "long"]);
    }

    #[test]
    fn the_text_has_its_place_before_the_facts() {
        let names: Vec<String> = (0..20).map(|number| format!("a{number:02}")).collect();
        let mut facts: Vec<(&str, &str)> = names.iter().map(|name| (&**name, "x")).collect();
        facts.push(("progress", "half"));
        let details = progress(&facts).add_to(StatusDetails::default());
        assert_eq!(details.as_map().len(), 10);
        assert_eq!(details.as_map()["progress"], "half");
    }

    #[test]
    fn of_two_steps_the_later_word_counts() {
        let (first, second) = (progress(&[("a", "1"), ("b", "1")]), progress(&[("b", "2")]));
        assert_eq!(Progress::of_all([&first, &second].into_iter()), progress(&[("a", "1"), ("b", "2")]));
    }

    #[test]
    fn a_line_of_the_log_stays_one() {
        assert_eq!(progress(&[("a", "x\ny"), ("b", "\"")]).to_string(), r#"a="x\ny", b="\"""#);
    }
}
