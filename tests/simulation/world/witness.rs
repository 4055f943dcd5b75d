//! Who watches a world from outside, knows what neither side knows of the other, and cries out when a promise is broken
//! while it is being broken: a start without an agreement, a good handler that is stopped, too much talk.

use agent_core::RunId;
use serde_json::{Value, json};
use service_core::{EpochMillis, Message};

use super::{PROGRESS_INTERVAL, STOPPED_BEFORE, THING, World};

impl World {
    /// What handlers say is told at a bounded rate. The same update may be sent often, until it is answered.
    pub(super) fn note_progress(&mut self, payload: &[u8]) {
        let update: Value = serde_json::from_slice(payload).expect("the agent speaks JSON");
        let text = update["statusDetails"]["progress"].as_str().unwrap_or_default();
        if update["status"] != "IN_PROGRESS" || !text.starts_with("at ") {
            return;
        }
        let token = update["clientToken"].as_str().unwrap_or_default().to_owned();
        let (told_at, told) = std::mem::replace(&mut self.told, (self.now, token));
        if told == self.told.1 {
            self.told.0 = told_at;
        } else {
            let soon = !told.is_empty() && self.now < told_at + PROGRESS_INTERVAL;
            assert!(!soon, "told too often, {text}\n{}", self.story());
        }
    }

    /// What the service has taken as in progress, it has agreed to: the newest execution of that name.
    pub(super) fn note_agreement(&mut self, reply: &Message) {
        let Some(job) =
            reply.topic.strip_suffix("/update/accepted").and_then(|topic| topic.rsplit('/').next())
        else {
            return;
        };
        if let Some(queued_at) = self.created.get(job).and_then(|times| times.last()) {
            self.agreed.insert((job.to_owned(), *queued_at));
        }
    }

    /// News of an execution reach the agent: from now on it can tell it from older ones of the same name.
    pub(super) fn note_news(&mut self, payload: &[u8]) {
        let text = String::from_utf8_lossy(payload);
        for (job, times) in self.created.iter().filter(|(_, times)| times.len() > 1) {
            for queued_at in times {
                let named = text.contains(&format!("\"jobId\":\"{job}\""))
                    && text.contains(&format!("\"queuedAt\":{queued_at}"));
                if named {
                    self.heard_of.insert((job.clone(), *queued_at));
                }
            }
        }
    }

    /// A handler is stopped when its execution is over at the service, or will be soon. What lags behind may say so
    /// wrongly, and what wakes up may find its time over.
    pub(super) fn assert_may_be_stopped(&mut self, run: &RunId) {
        if self.weather.stale > 0 || self.limits.get(run).is_none_or(|limit| self.now >= *limit) {
            return;
        }
        let params = json!({"jobId": run.execution.job, "thingName": THING});
        let described = self.service.control("DescribeJobExecution", params, EpochMillis(self.now)).result;
        let Ok(Value::Object(described)) = described.map(|mut described| described["execution"].take())
        else {
            return;
        };
        let same = described["queuedAt"].as_f64().is_some_and(|at| at as i64 == run.execution.queued_at.0);
        if !same || described["status"] != "IN_PROGRESS" {
            return;
        }
        let left = described.get("approximateSecondsBeforeTimedOut").and_then(Value::as_i64);
        assert!(
            left.is_some_and(|left| left <= STOPPED_BEFORE),
            "never in the way: {run} is stopped, and {left:?} s are left\n{}",
            self.story()
        );
    }

    /// Whatever has become of it since: the service has agreed that this execution is in progress. Only if its name
    /// has been given to a new one, and no news of that have come, may that one's agreement be taken for its own.
    pub(super) fn assert_agreed(&self, run: &RunId) {
        let (job, queued_at) = (run.execution.job.to_string(), run.execution.queued_at.0);
        let newer = (job.clone(), queued_at + 1)..=(job.clone(), i64::MAX);
        let taken_for_it = self.agreed.range(newer.clone()).next().is_some();
        let knows_better = self.heard_of.range(newer).next().is_some();
        assert!(
            self.agreed.contains(&(job, queued_at)) || taken_for_it && !knows_better,
            "{run} starts before the service agreed\n{}",
            self.story()
        );
    }
}
