//! One job at a time: from the notification to the first moment of the handler, and from its last moment to the
//! update.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::Bench;
use super::clock::Moment;
use super::relay::{Direction, Seen};
use crate::error::TaskError;
use crate::scene::THING;

/// Pause between two jobs, so that each meets an idle daemon.
const PAUSE: Duration = Duration::from_millis(100);

/// Jobs before the first that counts.
const WARM_UP: usize = 2;

/// Milliseconds, one for each job.
#[derive(Debug, Default)]
pub(super) struct Latencies {
    pub(super) progress: Vec<f64>,
    pub(super) exec: Vec<f64>,
    pub(super) update: Vec<f64>,
}

/// Runs so many jobs on a daemon with this state directory.
pub(super) fn measure(bench: &mut Bench<'_>, state: &Path, jobs: usize) -> Result<Latencies, TaskError> {
    bench.relay.forget();
    let mut daemon = bench.scene.start(&mut bench.scene.daemon(bench.relay.port, state))?;
    let mut latencies = Latencies::default();
    for number in 0..WARM_UP + jobs {
        bench.interrupt.pause(PAUSE)?;
        let job = bench.fresh_job();
        let readings = bench.memory.path().join(&job);
        let document = json!({ "operation": "clock-reading", "path": "default", "args": [readings.display().to_string()] });
        bench.relay.forget();
        bench.scene.control.create_job(&job, THING, &document.to_string())?;
        let notified = bench.until("the notification of a job", |seen| notification(seen, &job))?;
        let progress = bench.until("IN_PROGRESS of a job", |seen| update(seen, &job, "IN_PROGRESS"))?;
        let updated = bench.until("SUCCEEDED of a job", |seen| update(seen, &job, "SUCCEEDED"))?;
        let (begin, end) = super::readings(&readings)?;
        if number >= WARM_UP {
            latencies.progress.push(progress.ms_since(notified));
            latencies.exec.push(begin.ms_since(notified));
            latencies.update.push(updated.ms_since(end));
        }
    }
    daemon.stop().map_err(TaskError::io("stop the daemon"))?;
    Ok(latencies)
}

/// When the daemon was told of the job: by `notify-next`, or, right after its start, by the answer to its question.
fn notification(seen: &Seen, job: &str) -> Option<Moment> {
    let payload: Value = serde_json::from_slice(&seen.publish.payload).ok()?;
    (seen.direction == Direction::ToDevice && payload["execution"]["jobId"] == job).then_some(seen.at)
}

/// When an update with this status passed.
pub(super) fn update(seen: &Seen, job: &str, status: &str) -> Option<Moment> {
    if seen.direction != Direction::ToService || !seen.publish.topic.ends_with(&format!("/jobs/{job}/update"))
    {
        return None;
    }
    let payload: Value = serde_json::from_slice(&seen.publish.payload).ok()?;
    (payload["status"] == status).then_some(seen.at)
}
