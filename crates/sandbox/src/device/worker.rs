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
            LinkEvent::Up => {
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
mod tests {
    use std::sync::mpsc;

    use jobs_protocol::JobId;
    use serde_json::json;

    use super::*;

    const PREFIX: &str = "$aws/things/t1/jobs/";

    #[tokio::test]
    async fn an_answer_goes_to_who_asked_for_it() {
        let mut bench = Bench::new();
        let [first, second] = [bench.asks(RequestTopic::GetPending), bench.asks(RequestTopic::GetPending)];
        bench.hears("get/accepted", &json!({"clientToken": "c-2", "n": 2}));
        bench.hears("get/accepted", &json!({"clientToken": "somebody-1"}));
        bench.hears("get/accepted", &json!({"clientToken": "c-1", "n": 1}));
        assert_eq!(first.try_recv().unwrap().unwrap().as_str(), r#"{"clientToken":"c-1","n":1}"#);
        assert_eq!(second.try_recv().unwrap().unwrap().as_str(), r#"{"clientToken":"c-2","n":2}"#);
        assert!(bench.worker.open.is_empty());
    }

    #[tokio::test]
    async fn a_rejection_is_told_with_its_code_and_the_executions_state() {
        let mut bench = Bench::new();
        let answer = bench.asks(update("j1"));
        bench.hears(
            "j1/update/rejected",
            &json!({"clientToken": "c-1", "code": "NewCode", "message": "No\u{1b}.", "executionState": {"status": "CANCELED", "versionNumber": 3}}),
        );
        let error = answer.try_recv().unwrap().unwrap_err().to_string();
        assert_eq!(error, "UpdateJobExecution was refused: NewCode: No\u{fffd}. (the execution is CANCELED)");
    }

    #[tokio::test]
    async fn an_answer_without_a_token_goes_to_the_first_on_its_topic_and_one_that_is_no_json_is_told() {
        let mut bench = Bench::new();
        let [other, first, second] = ["j2", "j1", "j1"].map(|job| bench.asks(update(job)));
        bench.hears("j1/update/rejected", &json!({"code": "InvalidJson", "message": "m"}));
        assert!(matches!(first.try_recv().unwrap(), Err(DeviceError::Refused { .. })));
        bench.worker.on_message(&format!("{PREFIX}j1/update/accepted"), b"{");
        assert!(matches!(second.try_recv().unwrap(), Err(DeviceError::Strange { .. })));
        assert!(other.try_recv().is_err(), "it still waits");
    }

    #[tokio::test]
    async fn a_loss_tells_what_may_have_been_done_from_what_was_not() {
        let mut bench = Bench::new();
        let sent = bench.asks(update("j1"));
        let waiting = bench.asks(update("j2"));
        bench.worker.open[1].sent = false;
        bench.worker.on_down("gone", Duration::ZERO);
        assert!(matches!(sent.try_recv().unwrap(), Err(DeviceError::Lost { .. })));
        assert!(matches!(waiting.try_recv().unwrap(), Err(DeviceError::NotConnected { .. })));
        bench.worker.on_down("gone", Duration::ZERO);
        bench.worker.on_down("gone for another reason", Duration::ZERO);
        assert_eq!(bench.told(), ["not connected: gone", "not connected: gone for another reason"]);
    }

    #[tokio::test]
    async fn what_is_not_answered_ends_at_its_deadline_and_no_earlier() {
        let mut bench = Bench::new();
        let answer = bench.asks(RequestTopic::StartNext);
        let deadline = bench.worker.open[0].deadline;
        bench.worker.on_deadline(deadline.checked_sub(Duration::from_millis(1)).unwrap());
        assert!(answer.try_recv().is_err());
        bench.worker.on_deadline(deadline);
        assert!(matches!(answer.try_recv().unwrap(), Err(DeviceError::NoAnswer { .. })));
    }

    #[tokio::test]
    async fn news_are_told_by_their_topics_and_those_of_other_things_are_not() {
        let mut bench = Bench::new();
        let other = "$aws/things/t2/jobs/notify".to_owned();
        let events =
            ["job/j1/completed", "jobExecution/j1/failed"].map(|topic| format!("$aws/events/{topic}"));
        for topic in
            [&format!("{PREFIX}notify"), &format!("{PREFIX}notify-next"), &other, &events[0], &events[1]]
        {
            bench.worker.on_message(topic, b"{}");
        }
        bench.worker.on_message(&format!("{PREFIX}notify"), b"\xff");
        assert_eq!(
            bench.told(),
            [
                "JobExecutionsChangedEvent",
                "NextJobExecutionChangedEvent",
                "JobEvent",
                "JobExecutionEvent",
                "strange"
            ]
        );
    }

    /// A worker that is connected, without a connection.
    struct Bench {
        worker: Worker<Box<dyn FnMut(News)>>,
        told: mpsc::Receiver<News>,
    }

    impl Bench {
        fn new() -> Self {
            let (sender, told) = mpsc::channel();
            let worker = Worker {
                thing: "t1".parse().unwrap(),
                token_prefix: "c".to_owned(),
                tell: Box::new(move |news| sender.send(news).unwrap()) as Box<dyn FnMut(News)>,
                state: State::Up,
                asked: 0,
                open: Vec::new(),
                settling: Vec::new(),
            };
            Self { worker, told }
        }

        /// Asks, as if the request had been published.
        fn asks(&mut self, request: RequestTopic) -> mpsc::Receiver<Result<Json, DeviceError>> {
            let (answer, answered) = mpsc::sync_channel(1);
            self.worker.open(request, Map::new(), answer);
            self.worker.open.last_mut().unwrap().sent = true;
            answered
        }

        fn hears(&mut self, topic: &str, payload: &Value) {
            self.worker.on_message(&format!("{PREFIX}{topic}"), payload.to_string().as_bytes());
        }

        fn told(&self) -> Vec<String> {
            let word = |news| match news {
                News::Connected => "connected".to_owned(),
                News::NotConnected { reason, .. } => format!("not connected: {reason}"),
                News::Event(event, _) => event.name().to_owned(),
                News::Strange { .. } => "strange".to_owned(),
            };
            self.told.try_iter().map(word).collect()
        }
    }

    fn update(job: &str) -> RequestTopic {
        RequestTopic::Update(JobId::try_from(job).unwrap())
    }
}
