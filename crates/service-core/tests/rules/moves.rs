//! Random moves of devices and operators: what the service says always fits what it has said before.
//!
//! The notification rules are judged from outside: by what `get` and `$next/get` answer before and after each move.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};
use service_core::Message;

use crate::bench::Bench;

#[derive(Debug, Clone)]
enum Move {
    Create { job: u8, minutes: u8, retries: u8, windows: bool },
    StartNext { step: u8 },
    Update { job: u8, status: u8, step: u8 },
    CancelJob { job: u8, force: bool },
    CancelExecution { job: u8, force: bool },
    DeleteJob { job: u8, force: bool },
    DeleteExecution { job: u8, number: u8, force: bool },
    Wait { seconds: u8 },
    Restart,
}

fn any_move() -> impl Strategy<Value = Move> {
    let job = 0..5_u8;
    prop_oneof![
        3 => (job.clone(), 0..3_u8, 0..3_u8, prop::bool::weighted(0.3))
            .prop_map(|(job, minutes, retries, windows)| Move::Create { job, minutes, retries, windows }),
        2 => (0..3_u8).prop_map(|step| Move::StartNext { step }),
        5 => (job.clone(), 0..4_u8, 0..3_u8).prop_map(|(job, status, step)| Move::Update { job, status, step }),
        1 => (job.clone(), any::<bool>()).prop_map(|(job, force)| Move::CancelJob { job, force }),
        1 => (job.clone(), any::<bool>()).prop_map(|(job, force)| Move::CancelExecution { job, force }),
        1 => (job.clone(), any::<bool>()).prop_map(|(job, force)| Move::DeleteJob { job, force }),
        1 => (job, 1..3_u8, any::<bool>())
            .prop_map(|(job, number, force)| Move::DeleteExecution { job, number, force }),
        2 => (1..100_u8).prop_map(|seconds| Move::Wait { seconds }),
        1 => Just(Move::Restart),
    ]
}

/// What a device that asks is told: the lists, and what is next.
#[derive(Debug, Clone, PartialEq)]
struct View {
    in_progress: Value,
    queued: Value,
    next: Value,
}

/// Which execution an entry is about.
fn identity(entry: &Value) -> (Value, Value) {
    (entry["jobId"].clone(), entry["executionNumber"].clone())
}

impl View {
    fn of(bench: &mut Bench) -> Self {
        let mut ask = |topic| -> Value { serde_json::from_str(&bench.reply(topic, "{}").1).unwrap() };
        let (lists, next) = (ask("get"), ask("$next/get"));
        let (in_progress, queued) = (lists["inProgressJobs"].clone(), lists["queuedJobs"].clone());
        Self { in_progress, queued, next: next["execution"].clone() }
    }

    fn pending(&self) -> Vec<(Value, Value)> {
        let both = [&self.in_progress, &self.queued];
        let mut all: Vec<_> = both.iter().flat_map(|list| list.as_array().unwrap()).map(identity).collect();
        all.sort_by_key(|(job, number)| format!("{job} {number}"));
        all
    }
}

fn step_of(minutes: u8) -> Value {
    if minutes == 0 { json!({}) } else { json!({"stepTimeoutInMinutes": minutes}) }
}

fn apply(bench: &mut Bench, what: &Move) -> Vec<Message> {
    let id = |job: u8| format!("job{job}");
    match *what {
        Move::Create { job, minutes, retries, windows } => {
            let retry = json!({"criteriaList": [{"failureType": "ALL", "numberOfRetries": retries}]});
            let mut params = json!({
                "jobId": id(job),
                "targets": ["arn:aws:iot:us-east-1:123456789012:thing/t1"],
                "document": "{}",
                "jobExecutionsRetryConfig": retry,
            });
            if minutes > 0 {
                params["timeoutConfig"] = json!({"inProgressTimeoutInMinutes": minutes});
            }
            if windows {
                // Every other minute.
                let window = json!({"startTime": "cron(0/2 * ? * * *)", "durationInMinutes": 1});
                params["schedulingConfig"] = json!({"maintenanceWindows": [window]});
                params["targetSelection"] = json!("CONTINUOUS");
            }
            bench.try_control("CreateJob", params).1
        }
        Move::StartNext { step } => bench.publish("start-next", &step_of(step).to_string()).publications,
        Move::Update { job, status, step } => {
            let mut payload = step_of(step);
            payload["status"] =
                json!(["IN_PROGRESS", "SUCCEEDED", "FAILED", "REJECTED"][usize::from(status)]);
            bench.publish(&format!("{}/update", id(job)), &payload.to_string()).publications
        }
        Move::CancelJob { job, force } => {
            bench.try_control("CancelJob", json!({"jobId": id(job), "force": force})).1
        }
        Move::CancelExecution { job, force } => {
            let which = json!({"jobId": id(job), "thingName": "t1", "force": force});
            bench.try_control("CancelJobExecution", which).1
        }
        Move::DeleteJob { job, force } => {
            bench.try_control("DeleteJob", json!({"jobId": id(job), "force": force})).1
        }
        Move::DeleteExecution { job, number, force } => {
            let which =
                json!({"jobId": id(job), "thingName": "t1", "executionNumber": number, "force": force});
            bench.try_control("DeleteJobExecution", which).1
        }
        Move::Wait { seconds } => bench.passes(1000 * u64::from(seconds)),
        Move::Restart => {
            crate::saved::again(bench);
            Vec::new()
        }
    }
}

fn bodies(published: &[Message], last: &str) -> Vec<Value> {
    let chosen = published.iter().filter(|message| message.topic.ends_with(last));
    chosen.map(|message| serde_json::from_slice(&message.payload).unwrap()).collect()
}

fn check_notifications(before: &View, after: &View, published: &[Message], waited: bool) {
    let notify = bodies(published, "/notify");
    let next = bodies(published, "/notify-next");
    let set_changed = before.pending() != after.pending();
    let front_changed = identity(&before.next) != identity(&after.next);
    if waited {
        // Several executions may have ended, one after another.
        assert!(!set_changed || !notify.is_empty());
        assert!(!front_changed || !next.is_empty());
    } else {
        assert_eq!(notify.len(), usize::from(set_changed), "notify if and only if the set has changed");
        assert_eq!(next.len(), usize::from(front_changed), "notify-next if and only if another is in front");
    }
    if let Some(last) = notify.last() {
        let list = |status: &str| last["jobs"].get(status).cloned().unwrap_or_else(|| json!([]));
        assert_eq!((list("IN_PROGRESS"), list("QUEUED")), (after.in_progress.clone(), after.queued.clone()));
    }
    if let Some(last) = next.last() {
        assert_eq!(last["execution"], after.next);
    }
}

fn check_counters(bench: &mut Bench) {
    let jobs = bench.control("ListJobs", json!({})).unwrap();
    for job in jobs["jobs"].as_array().unwrap() {
        let id = &job["jobId"];
        let list = bench.control("ListJobExecutionsForJob", json!({"jobId": id})).unwrap();
        let statuses: Vec<&str> = list["executionSummaries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["jobExecutionSummary"]["status"].as_str().unwrap())
            .collect();
        let told = bench.control("DescribeJob", json!({"jobId": id})).unwrap()["job"].clone();
        for (status, counter) in [
            ("QUEUED", "numberOfQueuedThings"),
            ("IN_PROGRESS", "numberOfInProgressThings"),
            ("SUCCEEDED", "numberOfSucceededThings"),
            ("FAILED", "numberOfFailedThings"),
            ("REJECTED", "numberOfRejectedThings"),
            ("TIMED_OUT", "numberOfTimedOutThings"),
            ("CANCELED", "numberOfCanceledThings"),
            ("REMOVED", "numberOfRemovedThings"),
        ] {
            let counted = statuses.iter().filter(|found| **found == status).count();
            assert_eq!(told["jobProcessDetails"][counter], counted, "{id} {status}");
        }
        let open = statuses.iter().any(|status| ["QUEUED", "IN_PROGRESS"].contains(status));
        let waits = open || told["targetSelection"] == "CONTINUOUS";
        assert!(waits || told["status"] != "IN_PROGRESS", "{id} has nothing left to wait for");
        assert!(!open || told["status"] != "COMPLETED", "{id} is not complete");
    }
}

fn check_deadline(bench: &mut Bench, view: &View) {
    let mut earliest = None;
    for entry in view.in_progress.as_array().unwrap() {
        let id = entry["jobId"].as_str().unwrap();
        let left = bench.execution(id)["approximateSecondsBeforeTimedOut"].as_u64();
        earliest = earliest.into_iter().chain(left).min();
    }
    let jobs = bench.control("ListJobs", json!({"targetSelection": "CONTINUOUS"})).unwrap()["jobs"].clone();
    let windows = |job: &Value| ["IN_PROGRESS", "SCHEDULED"].contains(&job["status"].as_str().unwrap());
    let changes = jobs.as_array().unwrap().iter().any(windows);
    // Windows open and close at full minutes.
    let minute = changes.then(|| (60_000 - bench.now.0 % 60_000) / 1000);
    let earliest = earliest.into_iter().chain(minute).min();
    let deadline = bench.service.deadline().map(|deadline| (deadline.0 - bench.now.0) / 1000);
    assert_eq!(deadline, earliest, "the alarm is set for the first that ends, and for nothing else");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn what_is_published_fits_what_is_answered(moves in vec(any_move(), 1..60)) {
        let mut bench = Bench::new();
        let mut before = View::of(&mut bench);
        for what in &moves {
            bench.now.0 += 1;
            let due = bench.service.on_deadline(bench.now);
            let settled = View::of(&mut bench);
            check_notifications(&before, &settled, &due, true);
            let published = apply(&mut bench, what);
            let after = View::of(&mut bench);
            check_notifications(&settled, &after, &published, matches!(what, Move::Wait { .. }));
            check_counters(&mut bench);
            check_deadline(&mut bench, &after);
            before = after;
        }
    }
}
