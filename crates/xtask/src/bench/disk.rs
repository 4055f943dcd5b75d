//! What a job costs the disk: the writes and syncs of daemon and keeper on files of the state, as `strace` sees them.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use super::{Bench, latency};
use crate::error::TaskError;
use crate::scene::THING;

/// Jobs before the first that counts: files are made ready in their time.
const WARM_UP: usize = 5;

/// What is asked of the disk for one job.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Cost {
    pub(super) bytes: f64,
    pub(super) syncs: f64,
}

/// Runs so many trivial jobs; none if there is no `strace`.
pub(super) fn measure(bench: &mut Bench<'_>, jobs: usize) -> Result<Option<Cost>, TaskError> {
    if !Command::new("strace").arg("-V").stdout(Stdio::null()).status().is_ok_and(|status| status.success()) {
        return Ok(None);
    }
    bench.relay.forget();
    let state = bench.fresh_state_in_memory();
    let trace = bench.memory.path().join("trace");
    let plain = bench.scene.daemon(bench.relay.port, &state);
    let mut daemon = bench.scene.start(&mut traced(&plain, &trace))?;
    let mut before = 0;
    for number in 0..WARM_UP + jobs {
        if number == WARM_UP {
            before = length(&trace)?;
        }
        let job = bench.fresh_job();
        let document = json!({ "operation": "true" }).to_string();
        bench.scene.control.create_job(&job, THING, &document)?;
        bench.until("SUCCEEDED of a job", |seen| latency::update(seen, &job, "SUCCEEDED"))?;
    }
    daemon.stop().map_err(TaskError::io("stop the daemon"))?;
    let text = std::fs::read(&trace).map_err(TaskError::io("read what strace has seen"))?;
    let text = String::from_utf8_lossy(text.get(before..).unwrap_or_default()).into_owned();
    let (bytes, syncs) = totals(&text, &state.display().to_string());
    #[expect(clippy::cast_precision_loss, reason = "figures are far smaller")]
    let per_job = |total: u64| total as f64 / jobs as f64;
    Ok(Some(Cost { bytes: per_job(bytes), syncs: per_job(syncs) }))
}

/// The same daemon under `strace`, its keepers included.
fn traced(plain: &Command, trace: &Path) -> Command {
    let mut command = Command::new("strace");
    // As a grandchild of its own, so that what is started and stopped here is the daemon.
    command.args(["-D", "-f", "-qq", "-y", "-s", "0", "-e", "signal=none"]);
    command.args(["-e", "trace=write,pwrite64,writev,fsync,fdatasync", "-o"]).arg(trace).arg("--");
    command.arg(plain.get_program()).args(plain.get_args()).stdout(Stdio::null());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

fn length(file: &Path) -> Result<usize, TaskError> {
    let length = std::fs::metadata(file).map_err(TaskError::io("look at what strace has seen"))?.len();
    Ok(usize::try_from(length).unwrap_or(usize::MAX))
}

/// Bytes that were written to files below a directory, and syncs of them.
fn totals(trace: &str, directory: &str) -> (u64, u64) {
    let (mut bytes, mut syncs) = (0, 0);
    for line in trace.lines().filter(|line| line.contains(&format!("<{directory}"))) {
        let Some((call, result)) = line.rsplit_once(" = ") else { continue };
        if call.contains("sync(") {
            syncs += u64::from(result.starts_with('0'));
        } else {
            bytes += result.parse::<u64>().unwrap_or(0);
        }
    }
    (bytes, syncs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_reaches_files_of_the_state_counts() {
        let trace = "\
7 pwrite64(9</s/1/journal>, \"\"..., 412, 8) = 412
7 fdatasync(9</s/1/journal>) = 0
8 write(5</s/1/run/0/spec.json.new>, \"\"..., 700) = 700
8 fsync(6</s/1/run/0>) = 0
8 fdatasync(6</s/1/run/0/records>) = -1 EIO (Input/output error)
8 write(3<TCP:[127.0.0.1:1->127.0.0.1:2]>, \"\"..., 90) = 90
8 write(3</other/file>, \"\"..., 90) = 90
";
        assert_eq!(totals(trace, "/s/1"), (1112, 2));
    }
}
