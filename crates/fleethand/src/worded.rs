//! What an operator reads in `journalctl -u fleethand` is the message of an event alone. So that it says which job has
//! ended, its fields are shown in it, as in every other log, before the journal's layer gets it; each stays a field of
//! its own as well, for `journalctl JOB=…`.

use std::fmt::{self, Write};

use tracing::field::{Field, Value, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::telemetry::one_line;

/// The most fields that an event can have in `tracing`, the message included.
const MOST_FIELDS: usize = 32;

/// Puts the fields of every event into its message, on one line, for the layer within.
pub(crate) struct Worded<L>(L);

impl<L> Worded<L> {
    pub(crate) fn new(within: L) -> Self {
        Self(within)
    }
}

impl<S: Subscriber, L: Layer<S>> Layer<S> for Worded<L> {
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let known = event.metadata().fields();
        let Some(message) = known.field("message") else { return self.0.on_event(event, context) };
        let mut words = Words::default();
        event.record(&mut words);
        let text = words.text();
        let text = text.as_str();
        let mut values: [(&Field, Option<&dyn Value>); MOST_FIELDS] = [(&message, None); MOST_FIELDS];
        values[0].1 = Some(&text);
        let texts: Vec<(&Field, &str)> =
            words.fields.iter().map(|(field, value)| (field, value.as_str())).collect();
        for (place, (field, value)) in values[1..].iter_mut().zip(&texts) {
            *place = (*field, Some(value));
        }
        let values = known.value_set(&values);
        self.0.on_event(&Event::new(event.metadata(), &values), context);
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.0.on_new_span(attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.0.on_record(id, values, context);
    }
}

/// What an event says.
#[derive(Default)]
struct Words {
    message: String,
    /// As they are.
    fields: Vec<(Field, String)>,
    /// The same for the eye.
    shown: String,
}

impl Words {
    /// One line.
    fn text(&self) -> String {
        let line = one_line(format!("{}{}", self.message, self.shown).as_bytes());
        line.trim_end_matches('\n').to_owned()
    }

    fn add(&mut self, field: &Field, value: String, shown: &dyn fmt::Display) {
        if field.name() == "message" {
            self.message = value;
            return;
        }
        self.fields.push((field.clone(), value));
        write!(self.shown, " {}={shown}", field.name()).expect("writing to a string does not fail");
    }
}

impl Visit for Words {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, value.to_owned(), &format_args!("{value:?}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, format!("{value:?}"), &format_args!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// In the place of the journal's layer.
    #[derive(Clone, Default)]
    struct Within(Arc<Mutex<Vec<String>>>);

    impl<S: Subscriber> Layer<S> for Within {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let mut words = Words::default();
            event.record(&mut words);
            let mut heard = self.0.lock().unwrap();
            heard.push(format!("{} {}", event.metadata().level(), words.message));
            heard.extend(words.fields.iter().map(|(field, value)| format!("{}: {value}", field.name())));
        }
    }

    fn heard(log: impl FnOnce()) -> Vec<String> {
        let within = Within::default();
        let subscriber = tracing_subscriber::registry().with(Worded::new(within.clone()));
        tracing::subscriber::with_default(subscriber, log);
        within.0.lock().unwrap().clone()
    }

    #[test]
    fn a_message_shows_its_fields_and_each_stays_a_field() {
        let said = heard(|| tracing::warn!(job = %"j#1", step = 2, name = "a b", "Step ended"));
        let message = "WARN Step ended job=j#1 step=2 name=\"a b\"";
        assert_eq!(said, [message, "job: j#1", "step: 2", "name: a b"]);
    }

    #[test]
    fn what_the_cloud_sends_forges_no_line() {
        let said = heard(|| tracing::info!(reason = %"x\nPRIORITY=0\u{1b}[2J", "Refused"));
        assert_eq!(said[0], "INFO Refused reason=x\\nPRIORITY=0\\u{1b}[2J");
    }

    #[test]
    fn an_event_without_a_message_or_without_fields_is_left_as_it_is() {
        assert_eq!(heard(|| tracing::info!(job = %"j")), ["INFO ", "job: j"]);
        assert_eq!(heard(|| tracing::info!("Connected")), ["INFO Connected"]);
    }
}
