//! The matching of answers, and what becomes of requests that get none; without a connection.

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
    let events = ["job/j1/completed", "jobExecution/j1/failed"].map(|topic| format!("$aws/events/{topic}"));
    for topic in [&format!("{PREFIX}notify"), &format!("{PREFIX}notify-next"), &other, &events[0], &events[1]]
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
