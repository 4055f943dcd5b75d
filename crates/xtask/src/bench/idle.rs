//! What the daemon does when there is nothing to do: connected, and no job.

use std::fs;
use std::io;
use std::time::Duration;

use super::Bench;
use crate::error::TaskError;
use crate::scene::THING;

/// After the last job, before the count begins: name resolution and the like have ended.
const SETTLE: Duration = Duration::from_secs(5);

/// One look at an idle process.
#[derive(Debug)]
pub(super) struct Idle {
    /// Bytes (VmRSS of proc_pid_status(5)).
    pub(super) resident: u64,
    pub(super) threads: u64,
    /// Context switches of all threads within the span, voluntary or not: how often it was awake.
    pub(super) switches: u64,
    /// Milliseconds on a processor within the span.
    pub(super) processor_ms: f64,
}

/// Counters of a process that only rise.
#[derive(Debug, Default, PartialEq)]
struct Counters {
    switches: u64,
    nanoseconds: u64,
}

/// Leaves a connected daemon alone for that long. It has run a job before, so its memory has its working size.
pub(super) fn measure(bench: &mut Bench<'_>, span: Duration) -> Result<Idle, TaskError> {
    let failed = || TaskError::io("look at the daemon in /proc");
    let state = bench.fresh_state_in_memory();
    let mut daemon = bench.scene.start(&mut bench.scene.daemon(bench.scene.mqtt_port, &state))?;
    let job = bench.fresh_job();
    bench.scene.control.create_job(&job, THING, r#"{"operation":"true"}"#)?;
    let over = bench.interrupt.until(super::PATIENCE, || {
        daemon.check()?;
        let execution = bench.scene.control.execution(&job, THING)?;
        Ok(execution.is_over().then_some(()))
    })?;
    over.ok_or_else(|| bench.late("the end of a job"))?;
    bench.interrupt.pause(SETTLE)?;
    let id = daemon.id();
    let before = counters(id).map_err(failed())?;
    bench.interrupt.pause(span)?;
    let after = counters(id).map_err(failed())?;
    let status = fs::read_to_string(format!("/proc/{id}/status")).map_err(failed())?;
    daemon.stop().map_err(TaskError::io("stop the daemon"))?;
    Ok(Idle {
        resident: number(&status, "VmRSS").unwrap_or(0) * 1024,
        threads: number(&status, "Threads").unwrap_or(0),
        switches: after.switches.saturating_sub(before.switches),
        processor_ms: milliseconds(after.nanoseconds.saturating_sub(before.nanoseconds)),
    })
}

#[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
fn milliseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e6
}

/// Sums over the threads of a process.
fn counters(id: u32) -> io::Result<Counters> {
    let mut sum = Counters::default();
    for entry in fs::read_dir(format!("/proc/{id}/task"))? {
        let task = entry?.path();
        // A thread that has ended meanwhile is no longer looked at.
        let (Ok(status), Ok(times)) =
            (fs::read_to_string(task.join("status")), fs::read_to_string(task.join("schedstat")))
        else {
            continue;
        };
        sum.switches += number(&status, "voluntary_ctxt_switches").unwrap_or(0)
            + number(&status, "nonvoluntary_ctxt_switches").unwrap_or(0);
        // The first number is the time on a processor, in nanoseconds.
        let time = times.split_whitespace().next().and_then(|number| number.parse::<u64>().ok());
        sum.nanoseconds += time.unwrap_or(0);
    }
    Ok(sum)
}

/// The number behind a name in proc_pid_status(5).
fn number(status: &str, name: &str) -> Option<u64> {
    status.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        if key == name { value.split_whitespace().next()?.parse().ok() } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_by_their_whole_name() {
        let status =
            "VmRSS:\t    3400 kB\nThreads:\t2\nvoluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t9\n";
        assert_eq!(number(status, "VmRSS"), Some(3400));
        assert_eq!(number(status, "voluntary_ctxt_switches"), Some(7));
        assert_eq!(number(status, "nonvoluntary_ctxt_switches"), Some(9));
        assert_eq!(number(status, "Vm"), None);
    }

    #[test]
    fn the_counters_of_a_living_process_can_be_read() {
        let counters = counters(std::process::id()).unwrap();
        assert!(counters.switches > 0, "{counters:?}");
    }
}
