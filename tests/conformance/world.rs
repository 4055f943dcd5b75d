//! One scenario, step by step, against a service in whatever shape: what is sent, and whether what comes back is as it
//! should be.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::filter::covers;
use crate::matcher::{Context, assign, operator};

/// Why a scenario failed: at which step, and what was wrong.
pub(crate) type Failure = String;

/// An answer over HTTP.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The error's name; `null` if there is none.
    pub(crate) error: Value,
    pub(crate) body: Value,
}

/// What a client has received.
pub(crate) struct Received {
    pub(crate) client: String,
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
}

/// How a client connects.
pub(crate) struct Connect<'a> {
    pub(crate) name: &'a str,
    pub(crate) id: &'a str,
    pub(crate) clean: bool,
    pub(crate) keep_alive: u16,
    /// It sends no ping, so that it may be silent for too long.
    pub(crate) silent: bool,
}

/// A service that scenarios can be run against. It is empty at first.
pub(crate) trait Subject {
    /// Milliseconds since the epoch, by its clock.
    fn now(&self) -> u64;
    /// Called before each step.
    fn next_step(&mut self) {}
    /// An operation of the control plane, or with `data` of the data plane.
    fn call(&mut self, data: bool, operation: &str, params: Value) -> Result<Answer, Failure>;
    /// Tells whether there was a session.
    fn connect(&mut self, connect: &Connect<'_>) -> Result<bool, Failure>;
    /// One SUBSCRIBE; tells whether everything was granted.
    fn subscribe(&mut self, client: &str, filters: Vec<String>, qos: u8) -> Result<bool, Failure>;
    fn publish(&mut self, client: &str, topic: &str, payload: &[u8], qos: u8) -> Result<(), Failure>;
    fn advance(&mut self, seconds: u64) -> Result<(), Failure>;
    /// All that has come since the last call; nothing more is on its way.
    fn received(&mut self) -> Result<Vec<Received>, Failure>;
    fn disconnect(&mut self, client: &str) -> Result<(), Failure>;
    /// The service has closed the connection, to MQTT 5 with this reason.
    fn expect_disconnect(&mut self, client: &str, reason: Option<u64>) -> Result<(), Failure>;
    fn expect_connected(&mut self, client: &str) -> Result<(), Failure>;
}

pub(crate) struct World<S> {
    subject: S,
    context: Context,
}

/// Runs a scenario.
pub(crate) fn run(scenario: &Value, subject: impl Subject) -> Result<(), Failure> {
    let mut world = World::new(subject);
    world.set_up(&scenario["given"])?;
    for (n, step) in scenario["steps"].as_array().into_iter().flatten().enumerate() {
        world.subject.next_step();
        world.step(step).map_err(|failure| format!("step {n} ({}): {failure}", step["do"]))?;
    }
    Ok(())
}

impl<S: Subject> World<S> {
    fn new(subject: S) -> Self {
        let seconds = subject.now() / 1000;
        let context = Context {
            started: seconds,
            now: seconds,
            region: "us-east-1".to_owned(),
            account: "123456789012".to_owned(),
            captured: BTreeMap::new(),
        };
        Self { subject, context }
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
            let connect = Connect { name: "dev", id: "t1", clean: true, keep_alive: 60, silent: false };
            self.subject.connect(&connect)?;
            self.subject.subscribe("dev", vec!["$aws/things/t1/jobs/#".to_owned()], 1)?;
        }
        Ok(())
    }

    fn prepare(&mut self, operation: &str, params: Value) -> Result<(), Failure> {
        let Answer { status, body, .. } = self.subject.call(false, operation, params)?;
        if status == 200 { Ok(()) } else { Err(format!("{operation} for the start: {status} {body}")) }
    }

    fn step(&mut self, step: &Value) -> Result<(), Failure> {
        match text(step, "do")? {
            "control" | "http_data" => self.operation(step),
            "publish" => self.publish(step),
            "expect" => self.expect(step),
            "drain" => self.subject.received().map(drop),
            "advance" => self.subject.advance(step["seconds"].as_u64().ok_or("no seconds")?),
            // Nothing here happens later than it was caused.
            "eventually" => self.step(&step["step"]),
            "connect" => self.connect(step),
            "subscribe" => self.subscribe(step),
            "disconnect" => self.subject.disconnect(text(step, "client")?),
            "expect_disconnect" => {
                self.subject.expect_disconnect(text(step, "client")?, step["reasonCode5"].as_u64())
            }
            "expect_connected" => self.subject.expect_connected(text(step, "client")?),
            other => Err(format!("there is no step `{other}`")),
        }
    }

    fn connect(&mut self, step: &Value) -> Result<(), Failure> {
        let keep_alive = step.get("keepAlive").map_or(Some(60), Value::as_u64);
        let present = self.subject.connect(&Connect {
            name: text(step, "client")?,
            id: text(step, "clientId")?,
            clean: step.get("cleanSession") != Some(&Value::Bool(false)),
            keep_alive: keep_alive.and_then(|seconds| u16::try_from(seconds).ok()).ok_or("no keep-alive")?,
            silent: step.get("noPing") == Some(&Value::Bool(true)),
        })?;
        match step["expect"].get("sessionPresent") {
            Some(wanted) if *wanted != json!(present) => {
                Err(format!("session present: wanted {wanted}, got {present}"))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn subscribe(&mut self, step: &Value) -> Result<(), Failure> {
        let filters = step["filters"].as_array().ok_or("no filters")?;
        let filters = filters.iter().filter_map(Value::as_str).map(str::to_owned).collect();
        let qos = step["qos"].as_u64().map_or(Some(1), |qos| u8::try_from(qos).ok()).ok_or("no QoS")?;
        let granted = self.subject.subscribe(text(step, "client")?, filters, qos)?;
        let refused = step["expect"].get("refused") == Some(&Value::Bool(true));
        if granted == refused { Err(format!("granted: {granted}")) } else { Ok(()) }
    }

    fn operation(&mut self, step: &Value) -> Result<(), Failure> {
        let params = self.request(&step["params"])?;
        let (name, expected) = (text(step, "op")?, &step["expect"]);
        let data = text(step, "do")? == "http_data";
        let Answer { status, error, body } = self.subject.call(data, name, params)?;
        self.context.now = self.subject.now() / 1000;
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
        let (client, topic) = (text(step, "client")?, text(step, "topic")?);
        let payload = match (step.get("payload"), step.get("raw"), step.get("rawHex")) {
            (Some(payload), None, None) => self.request(payload)?.to_string().into_bytes(),
            (None, Some(raw), None) => raw.as_str().ok_or("raw is no text")?.as_bytes().to_vec(),
            (None, None, Some(hex)) => bytes(hex.as_str().ok_or("rawHex is no text")?)?,
            _ => return Err("not exactly one of payload, raw, rawHex".to_owned()),
        };
        let qos = step.get("qos").map_or(Some(1), Value::as_u64).and_then(|qos| u8::try_from(qos).ok());
        self.subject.publish(client, topic, &payload, qos.ok_or("no QoS")?)
    }

    fn expect(&mut self, step: &Value) -> Result<(), Failure> {
        let messages = self.subject.received()?;
        self.context.now = self.subject.now() / 1000;
        let ignored: Vec<&str> =
            step["ignore"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let mut received = Vec::new();
        for Received { client, topic, payload } in messages {
            if !ignored.iter().any(|filter| covers(filter, &topic)) {
                let payload: Value =
                    serde_json::from_slice(&payload).map_err(|error| format!("{topic}: {error}"))?;
                received.push(json!({"client": client, "topic": topic, "payload": payload}));
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
                date(self.subject.now() / 1000 + seconds, part(1)?).into()
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
