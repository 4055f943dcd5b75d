//! One scenario's world: the service, a virtual clock, and clients with their subscriptions and inboxes.
//!
//! Of the broker only so much is here as the scenarios about Jobs need: a reply reaches the client that asked, a
//! publication every connected client with a filter that covers it, once.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use service_core::{ControlError, ControlOutcome, EpochMillis, Message, Service, Settings};

use crate::filter::covers;
use crate::matcher::{Context, assign, operator};

/// What is done to the service's publications on their way, to see that the scenarios notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Notifications are lost.
    Mute,
    /// Notifications come twice.
    Echo,
}

/// Why a scenario failed: at which step, and what was wrong.
pub(crate) type Failure = String;

struct Client {
    name: String,
    id: String,
    connected: bool,
    filters: Vec<String>,
    inbox: Vec<Message>,
}

pub(crate) struct World {
    service: Service,
    now: EpochMillis,
    context: Context,
    clients: Vec<Client>,
    fault: Fault,
}

/// When every scenario begins.
const START: u64 = 1_720_000_000_000;
/// What a step takes: the clock never stands still between two steps.
const STEP: u64 = 7;

/// Runs a scenario in a world of its own.
pub(crate) fn run(scenario: &Value, fault: Fault) -> Result<(), Failure> {
    let given = &scenario["given"];
    let mut world = World::new(fault);
    world.set_up(given)?;
    for (n, step) in scenario["steps"].as_array().into_iter().flatten().enumerate() {
        world.now.0 += STEP;
        world.step(step).map_err(|failure| format!("step {n} ({}): {failure}", step["do"]))?;
    }
    Ok(())
}

impl World {
    fn new(fault: Fault) -> Self {
        let settings = Settings::default();
        let context = Context {
            started: START / 1000,
            now: START / 1000,
            region: settings.region.clone(),
            account: settings.account.clone(),
            captured: BTreeMap::new(),
        };
        Self { service: Service::new(settings), now: EpochMillis(START), context, clients: Vec::new(), fault }
    }

    fn set_up(&mut self, given: &Value) -> Result<(), Failure> {
        let things = given.get("things").cloned().unwrap_or_else(|| json!(["t1"]));
        for thing in things.as_array().into_iter().flatten() {
            self.prepare("CreateThing", json!({"thingName": thing}))?;
        }
        for (group, members) in given.get("groups").and_then(Value::as_object).into_iter().flatten() {
            self.prepare("CreateThingGroup", json!({"thingGroupName": group}))?;
            for thing in members.as_array().into_iter().flatten() {
                self.prepare("AddThingToThingGroup", json!({"thingGroupName": group, "thingName": thing}))?;
            }
        }
        if given.get("autoClient") != Some(&Value::Bool(false)) {
            self.connect("dev", "t1");
            self.client("dev")?.filters.push("$aws/things/t1/jobs/#".to_owned());
        }
        Ok(())
    }

    fn prepare(&mut self, operation: &str, params: Value) -> Result<(), Failure> {
        let outcome = self.service.control(operation, params, self.now);
        outcome.result.map(|_| ()).map_err(|error| format!("{operation} for the start: {error}"))
    }

    fn step(&mut self, step: &Value) -> Result<(), Failure> {
        match text(step, "do")? {
            "control" | "http_data" => self.operation(step),
            "publish" => self.publish(step),
            "expect" => self.expect(step),
            "drain" => {
                self.clients.iter_mut().for_each(|client| client.inbox.clear());
                Ok(())
            }
            "advance" => {
                self.advance(step["seconds"].as_u64().ok_or("no seconds")?);
                Ok(())
            }
            // Nothing here happens later than it was caused.
            "eventually" => self.step(&step["step"]),
            "connect" => {
                self.connect(text(step, "client")?, text(step, "clientId")?);
                Ok(())
            }
            "subscribe" => {
                let filters = step["filters"].as_array().ok_or("no filters")?;
                let filters: Vec<String> =
                    filters.iter().filter_map(Value::as_str).map(str::to_owned).collect();
                self.client(text(step, "client")?)?.filters.extend(filters);
                Ok(())
            }
            other => Err(format!("`{other}` is a broker's step, not one of this runner")),
        }
    }

    fn connect(&mut self, name: &str, id: &str) {
        self.clients.iter_mut().filter(|client| client.id == id).for_each(|client| client.connected = false);
        let (name, id) = (name.to_owned(), id.to_owned());
        self.clients.push(Client { name, id, connected: true, filters: Vec::new(), inbox: Vec::new() });
    }

    fn client(&mut self, name: &str) -> Result<&mut Client, Failure> {
        let connected = self.clients.iter_mut().find(|client| client.name == name && client.connected);
        connected.ok_or_else(|| format!("no client {name}"))
    }

    fn operation(&mut self, step: &Value) -> Result<(), Failure> {
        let params = self.request(&step["params"])?;
        let (name, expected) = (text(step, "op")?, &step["expect"]);
        let ControlOutcome { result, publications } = match text(step, "do")? {
            "control" => self.service.control(name, params, self.now),
            _ => self.service.data_plane(name, params, self.now),
        };
        self.deliver(publications);
        self.context.now = self.now.0 / 1000;
        let (status, error, body) = match result {
            Ok(body) => (200, Value::Null, body),
            Err(ControlError { name, status, message, .. }) => {
                (status, json!(name), json!({"message": message}))
            }
        };
        let shown = || format!("{name} answered {status} {error} {body}");
        for (member, got) in [("status", &json!(status)), ("error", &error), ("body", &body)] {
            if let Some(matcher) = expected.get(member) {
                let matched = self.context.matches(matcher, got);
                matched.map_err(|mismatch| format!("{}: {member}: {mismatch}", shown()))?;
            }
        }
        Ok(())
    }

    fn publish(&mut self, step: &Value) -> Result<(), Failure> {
        let (client, topic) = (text(step, "client")?.to_owned(), text(step, "topic")?);
        let payload = match (step.get("payload"), step.get("raw"), step.get("rawHex")) {
            (Some(payload), None, None) => self.request(payload)?.to_string().into_bytes(),
            (None, Some(raw), None) => raw.as_str().ok_or("raw is no text")?.as_bytes().to_vec(),
            (None, None, Some(hex)) => bytes(hex.as_str().ok_or("rawHex is no text")?)?,
            _ => return Err("not exactly one of payload, raw, rawHex".to_owned()),
        };
        let outcome = self.service.device_message(topic, &payload, self.now);
        self.client(&client)?.inbox.extend(outcome.reply);
        self.deliver(outcome.publications);
        Ok(())
    }

    fn advance(&mut self, seconds: u64) {
        let end = EpochMillis(self.now.0 + 1000 * seconds);
        while let Some(deadline) = self.service.deadline().filter(|deadline| *deadline <= end) {
            self.now = deadline.max(self.now);
            let publications = self.service.on_deadline(self.now);
            self.deliver(publications);
        }
        self.now = end;
    }

    fn deliver(&mut self, publications: Vec<Message>) {
        let copies = match self.fault {
            Fault::None => 1,
            Fault::Mute => 0,
            Fault::Echo => 2,
        };
        for publication in publications {
            let covered = |client: &&mut Client| {
                client.connected && client.filters.iter().any(|filter| covers(filter, &publication.topic))
            };
            for client in self.clients.iter_mut().filter(covered) {
                client.inbox.extend((0..copies).map(|_| publication.clone()));
            }
        }
    }

    fn expect(&mut self, step: &Value) -> Result<(), Failure> {
        self.context.now = self.now.0 / 1000;
        let ignored: Vec<&str> =
            step["ignore"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let mut received = Vec::new();
        for client in &mut self.clients {
            for message in client.inbox.drain(..) {
                if !ignored.iter().any(|filter| covers(filter, &message.topic)) {
                    let payload: Value = serde_json::from_slice(&message.payload)
                        .map_err(|error| format!("{}: {error}", message.topic))?;
                    received.push(json!({"client": client.name, "topic": message.topic, "payload": payload}));
                }
            }
        }
        let wanted = step["messages"].as_array().ok_or("no messages")?;
        let (wanted, found): (Vec<&Value>, Vec<&Value>) =
            (wanted.iter().collect(), received.iter().collect());
        let fits =
            |context: &mut Context, wanted: &&Value, found: &&Value| context.matches(wanted, found).is_ok();
        if assign(&mut self.context, &wanted, &found, &fits) {
            return Ok(());
        }
        let lines = |messages: &[&Value]| {
            let lines: Vec<String> = messages.iter().map(|one| format!("\n      {one}")).collect();
            lines.concat()
        };
        Err(format!("\n    wanted:{}\n    received:{}", lines(&wanted), lines(&found)))
    }

    /// A request's value with its placeholders filled in.
    fn request(&self, value: &Value) -> Result<Value, Failure> {
        Ok(match value {
            Value::String(text) => self.context.fill_in(text).into(),
            Value::Array(elements) => {
                elements.iter().map(|element| self.request(element)).collect::<Result<Vec<_>, _>>()?.into()
            }
            Value::Object(members) => {
                if let Some((name, argument)) = operator(members) {
                    return self.operate(name, argument);
                }
                let filled = members.iter().map(|(name, value)| Ok((name.clone(), self.request(value)?)));
                filled.collect::<Result<Map<_, _>, Failure>>()?.into()
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        })
    }

    fn operate(&self, name: &str, argument: &Value) -> Result<Value, Failure> {
        let part =
            |n: usize| argument.get(n).and_then(Value::as_str).ok_or(format!("{name} with {argument}"));
        Ok(match name {
            "$jsonText" => argument.to_string().into(),
            "$repeat" => {
                let times =
                    argument.get(2).and_then(Value::as_u64).and_then(|times| usize::try_from(times).ok());
                let times = times.ok_or("$repeat without a number")?;
                format!("{}{}{}", part(0)?, part(1)?.repeat(times), part(3)?).into()
            }
            "$ref" => {
                let remembered = argument.as_str().and_then(|name| self.context.captured.get(name));
                remembered.cloned().ok_or(format!("nothing remembered as {argument}"))?
            }
            "$time" => {
                let seconds: u64 =
                    part(0)?.trim_start_matches('+').parse().map_err(|_| "no number of seconds")?;
                date(self.now.0 / 1000 + seconds, part(1)?).into()
            }
            _ => return Err(format!("unknown value {name}")),
        })
    }
}

fn text<'a>(step: &'a Value, member: &str) -> Result<&'a str, Failure> {
    step[member].as_str().ok_or_else(|| format!("no {member}"))
}

fn bytes(hex: &str) -> Result<Vec<u8>, Failure> {
    let pairs = hex.as_bytes().chunks(2).map(|pair| {
        let digits = std::str::from_utf8(pair).map_err(|error| error.to_string())?;
        u8::from_str_radix(digits, 16).map_err(|error| error.to_string())
    });
    pairs.collect()
}

/// A moment in UTC in the form of strftime, as far as the vectors use it.
fn date(seconds: u64, form: &str) -> String {
    let mut days = seconds / 86_400;
    let leap = |year: u64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let mut month = 1;
    for length in [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (hour, minute) = (seconds / 3600 % 24, seconds / 60 % 60);
    [("%Y", year), ("%m", month), ("%d", days + 1), ("%H", hour), ("%M", minute)]
        .iter()
        .fold(form.to_owned(), |text, (sign, number)| text.replace(sign, &format!("{number:02}")))
}

#[cfg(test)]
mod tests {
    #[test]
    fn dates_are_of_the_calendar() {
        for (seconds, wanted) in [
            (0, "1970-01-01T00:00"),
            (951_782_400, "2000-02-29T00:00"),
            (1_704_067_199, "2023-12-31T23:59"),
            (1_720_003_600, "2024-07-03T10:46"),
        ] {
            assert_eq!(super::date(seconds, "%Y-%m-%dT%H:%M"), wanted);
        }
    }
}
