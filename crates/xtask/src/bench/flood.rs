//! A handler that writes faster than anybody reads: how fast the keeper is compared with `cat` at the end of the same
//! handler's pipe, and what it takes for that. The two take turns, so that both meet the same machine.

use std::fs;
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use super::keeper::{keeper_of, private_in};
use super::{Bench, handler, readings};
use crate::error::TaskError;
use crate::scene::THING;

/// So many bytes in all, half of them on each stream.
const BYTES: u64 = 1_000_000_000;

/// A round takes a second, and one says little on a machine that does something else as well.
const ROUNDS: usize = 9;

/// Between two looks at the keeper's memory.
const LOOK: Duration = Duration::from_millis(5);

/// What was measured, milliseconds a round.
#[derive(Debug, Default)]
pub(super) struct Flood {
    pub(super) cat: Vec<f64>,
    pub(super) keeper: Vec<f64>,
    /// The most that looks at a round's keeper have seen, in kilobytes.
    pub(super) private_memory: Vec<f64>,
}

/// Lets the handler flood `cat` and the keeper in turn.
pub(super) fn measure(bench: &mut Bench<'_>) -> Result<Flood, TaskError> {
    let mut flood = Flood::default();
    let program = handler(&bench.scene, "flood");
    let state = bench.fresh_state_in_memory();
    let mut daemon = bench.scene.start(&mut bench.scene.daemon(bench.scene.mqtt_port, &state))?;
    for _ in 0..ROUNDS {
        let times = bench.memory.path().join("flood");
        // A session of its own, as the keeper gives it one: the kernel shares processors out by session.
        let status = Command::new("sh")
            .args(["-c", r#"setsid -w "$0" "$1" "$2" 2>&1 | cat >/dev/null"#])
            .args([&program, &times])
            .arg(BYTES.to_string())
            .status();
        let status = status.map_err(TaskError::io("start a shell"))?;
        if !status.success() {
            return Err(TaskError::Program { program: "sh".into(), status });
        }
        let (begin, end) = readings(&times)?;
        flood.cat.push(end.ms_since(begin));

        let job = bench.fresh_job();
        let times = bench.memory.path().join(&job);
        let document = json!({
            "operation": "flood", "path": "default", "allowStdErr": BYTES,
            "args": [times.display().to_string(), BYTES.to_string()],
        });
        bench.scene.control.create_job(&job, THING, &document.to_string())?;
        let mut most = 0.0_f64;
        let over = bench.interrupt.until(super::PATIENCE, || {
            daemon.check()?;
            // Looks come between the questions to the service, which take longer than a look.
            for _ in 0..4 {
                most = most.max(keepers_memory(daemon.id()).unwrap_or(0.0));
                bench.interrupt.pause(LOOK)?;
            }
            let execution = bench.scene.control.execution(&job, THING)?;
            Ok(execution.is_over().then_some(execution.status))
        })?;
        match over {
            Some(status) if status == "SUCCEEDED" => {}
            Some(found) => return Err(TaskError::Strange { what: "the end of the flood", found }),
            None => return Err(bench.late("the end of the flood")),
        }
        let (begin, end) = readings(&times)?;
        flood.keeper.push(end.ms_since(begin));
        flood.private_memory.push(most);
    }
    daemon.stop().map_err(TaskError::io("stop the daemon"))?;
    Ok(flood)
}

/// Kilobytes of private memory of the daemon's keeper, if there is one.
fn keepers_memory(daemon: u32) -> Option<f64> {
    // It may end while it is being looked at.
    private_in(&fs::read_to_string(keeper_of(daemon)?.join("smaps_rollup")).ok()?)
}
