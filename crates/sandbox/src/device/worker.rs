//! The thread behind a [`super::Device`]: the link, the requests without an answer, and the matching of the two by client
//! token.

use std::time::Duration;

use jobs_protocol::topic::{JobsTopic, RequestTopic};
use jobs_protocol::{ExecutionStatus, ThingName};
use mqtt_link::{Link, LinkEvent, Settings};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, sleep_until};

use super::news::{Event, News};
use super::{ANSWER, Answer, Ask, DeviceError, Refusal, operation};
use crate::chain::Chain;
use crate::json::{Json, harmless};

/// Runs until nobody can ask any more.
pub(super) async fn run(
    settings: Settings,
    thing: ThingName,
    mut asks: Receiver<Ask>,
    tell: impl FnMut(News),
) {
    let token_prefix = settings.client_id.clone();
    let mut link = Link::start(settings).expect("the settings were checked before the thread was started");
    let mut worker = Worker {
        thing,
        token_prefix,
        tell,
        state: State::Connecting,
        asked: 0,
        open: Vec::new(),
        settling: Vec::new(),
    };
    loop {
        let deadline = worker.open.iter().map(|open| open.deadline).min();
        tokio::select! {
            event = link.next_event() => worker.on_link(&link, event),
            ask = asks.recv() => match ask {
                Some(ask) => worker.on_ask(&link, ask),
                None => break,
            },
            () = at(deadline) => worker.on_deadline(Instant::now()),
        }
    }
    link.close().await;
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

struct Worker<T> {
    thing: ThingName,
    token_prefix: String,
    tell: T,
    state: State,
    asked: u64,
    open: Vec<Open>,
    settling: Vec<Answer<()>>,
}

enum State {
    Connecting,
    Up,
    Down { reason: String },
}

/// A request that has no answer yet.
struct Open {
    token: String,
    request: RequestTopic,
    payload: Vec<u8>,
    sent: bool,
    deadline: Instant,
    answer: Answer<Json>,
}

/// What is read of every reply.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reply {
    client_token: Option<String>,
}

/// A rejection; its code as it is written, since new ones are to be shown too.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rejected {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
    execution_state: Option<RejectedState>,
}

#[derive(Deserialize)]
struct RejectedState {
    status: ExecutionStatus,
}

impl<T: FnMut(News)> Worker<T> {
    fn on_ask(&mut self, link: &Link, ask: Ask) {
        match (ask, &self.state) {
            (Ask::Settle(answer), State::Connecting) => self.settling.push(answer),
            (Ask::Settle(answer), State::Up) => hand(&answer, Ok(())),
            (Ask::Settle(answer), State::Down { reason }) => hand(&answer, Err(not_connected(reason))),
            (Ask::Request { answer, .. }, State::Down { reason }) => {
                hand(&answer, Err(not_connected(reason)));
            }
            (Ask::Request { request, body, answer }, State::Connecting | State::Up) => {
                self.open(request, body, answer);
                self.send(link);
            }
        }
    }

    fn open(&mut self, request: RequestTopic, mut body: Map<String, Value>, answer: Answer<Json>) {
        self.asked += 1;
        let token = format!("{}-{}", self.token_prefix, self.asked);
        body.insert("clientToken".to_owned(), Value::String(token.clone()));
        let payload = Value::Object(body).to_string().into_bytes();
        let deadline = Instant::now() + ANSWER;
        self.open.push(Open { token, request, payload, sent: false, deadline, answer });
    }

    /// Publishes what has not been published, if there is a connection.
    fn send(&mut self, link: &Link) {
        if !matches!(self.state, State::Up) {
            return;
        }
        let thing = &self.thing;
        self.open.retain_mut(|open| {
            if open.sent {
                return true;
            }
            let topic = JobsTopic::Request(open.request.clone()).of(thing);
            let outcome = link.publish(&topic, open.payload.clone());
            open.sent = outcome.is_ok();
            if let Err(source) = outcome {
                hand(&open.answer, Err(DeviceError::NotSent { operation: operation(&open.request), source }));
            }
            open.sent
        });
    }

    fn on_link(&mut self, link: &Link, event: LinkEvent) {
        match event {
            LinkEvent::Up { .. } => {
                self.state = State::Up;
                (self.tell)(News::Connected);
                for answer in self.settling.drain(..) {
                    hand(&answer, Ok(()));
                }
                self.send(link);
            }
            LinkEvent::Down { reason, retry_in } => {
                self.on_down(&harmless(&Chain(&reason).to_string()), retry_in);
            }
            LinkEvent::Message { topic, payload } => self.on_message(&topic, &payload),
        }
    }

    fn on_down(&mut self, reason: &str, retry_in: Duration) {
        // An outage is told once, not once for each attempt.
        let told = matches!(&self.state, State::Down { reason: told } if told == reason);
        self.state = State::Down { reason: reason.to_owned() };
        if !told {
            (self.tell)(News::NotConnected { reason: reason.to_owned(), retry_in });
        }
        for answer in self.settling.drain(..) {
            hand(&answer, Err(not_connected(reason)));
        }
        for open in self.open.drain(..) {
            let error = if open.sent {
                DeviceError::Lost { operation: operation(&open.request), reason: reason.to_owned() }
            } else {
                not_connected(reason)
            };
            hand(&open.answer, Err(error));
        }
    }

    fn on_message(&mut self, topic: &str, payload: &[u8]) {
        match JobsTopic::parse(topic) {
            Ok((whose, JobsTopic::Accepted(request))) if whose == self.thing => {
                self.on_reply(&request, payload, Ok);
            }
            Ok((whose, JobsTopic::Rejected(request))) if whose == self.thing => {
                let operation = operation(&request);
                self.on_reply(&request, payload, |json| Err(refused(operation, &json)));
            }
            Ok(_) | Err(_) => {
                let Some(event) = Event::of(topic, &self.thing) else { return };
                let news = match Json::read(payload) {
                    Ok(json) => News::Event(event, json),
                    Err(why) => News::Strange { topic: harmless(topic), why: harmless(&why.to_string()) },
                };
                (self.tell)(news);
            }
        }
    }

    /// Hands an answer to whoever asked. A reply to somebody else is none of our business; one that cannot be read, or has no
    /// token because the request could not be read, goes to who asked first on that topic.
    fn on_reply(
        &mut self,
        request: &RequestTopic,
        payload: &[u8],
        outcome: impl FnOnce(Json) -> Result<Json, DeviceError>,
    ) {
        let json = Json::read(payload);
        let token = json.as_ref().ok().and_then(|json| json.parse::<Reply>().ok()?.client_token);
        let asked = |open: &Open| match &token {
            Some(token) => open.token == *token,
            None => open.sent && open.request == *request,
        };
        let Some(index) = self.open.iter().position(asked) else { return };
        let open = self.open.remove(index);
        let outcome = match json {
            Ok(json) => outcome(json),
            Err(why) => {
                Err(DeviceError::Strange { operation: operation(request), why: harmless(&why.to_string()) })
            }
        };
        hand(&open.answer, outcome);
    }

    fn on_deadline(&mut self, now: Instant) {
        self.open.retain(|open| {
            let waits = open.deadline > now;
            if !waits {
                hand(&open.answer, Err(DeviceError::NoAnswer { operation: operation(&open.request) }));
            }
            waits
        });
    }
}

fn refused(operation: &'static str, json: &Json) -> DeviceError {
    match json.parse::<Rejected>() {
        Ok(rejected) => DeviceError::Refused {
            operation,
            refusal: Refusal {
                code: harmless(&rejected.code),
                message: harmless(&rejected.message),
                status: rejected.execution_state.map(|state| state.status),
            },
        },
        Err(why) => DeviceError::Strange { operation, why: harmless(&why.to_string()) },
    }
}

fn not_connected(reason: &str) -> DeviceError {
    DeviceError::NotConnected { reason: reason.to_owned() }
}

/// The asker waits until there is an answer, and there is room for one; who is gone does not need it.
fn hand<T>(answer: &Answer<T>, outcome: Result<T, DeviceError>) {
    let _ = answer.try_send(outcome);
}

#[cfg(test)]
mod tests;
