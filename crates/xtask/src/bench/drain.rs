//! A queue that has built up while the device was away: from the first update to the last.

use super::clock::Moment;
use super::{Bench, latency};
use crate::error::TaskError;
use crate::scene::THING;

/// The shortest document that does something.
const TRIVIAL: &str = r#"{"operation":"true"}"#;

/// Milliseconds for a queue of so many jobs, one for each round.
pub(super) fn measure(bench: &mut Bench<'_>, rounds: usize, jobs: usize) -> Result<Vec<f64>, TaskError> {
    let mut times = Vec::new();
    for _ in 0..rounds {
        let mut queue = Vec::new();
        for _ in 0..jobs {
            let job = bench.fresh_job();
            bench.scene.control.create_job(&job, THING, TRIVIAL)?;
            queue.push(job);
        }
        bench.relay.forget();
        let state = bench.fresh_state_in_memory();
        let mut daemon = bench.scene.start(&mut bench.scene.daemon(bench.relay.port, &state))?;
        let mut begin: Option<Moment> = None;
        for job in &queue {
            let started = bench
                .until("IN_PROGRESS of a queued job", |seen| latency::update(seen, job, "IN_PROGRESS"))?;
            begin.get_or_insert(started);
            let ended =
                bench.until("SUCCEEDED of a queued job", |seen| latency::update(seen, job, "SUCCEEDED"))?;
            if Some(job) == queue.last() {
                times.push(ended.ms_since(*begin.get_or_insert(started)));
            }
        }
        daemon.stop().map_err(TaskError::io("stop the daemon"))?;
    }
    Ok(times)
}
