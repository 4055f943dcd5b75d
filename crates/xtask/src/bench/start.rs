//! From the start of the process to READY=1 and to the first request, each time with an empty state directory.

use std::os::unix::net::UnixDatagram;

use super::clock::Moment;
use super::relay::Direction;
use super::{Bench, PATIENCE};
use crate::error::TaskError;
use crate::process::Process;

/// Milliseconds, one for each start.
#[derive(Debug, Default)]
pub(super) struct Starts {
    pub(super) ready: Vec<f64>,
    pub(super) first_request: Vec<f64>,
}

/// Starts and stops the daemon so many times.
pub(super) fn measure(bench: &mut Bench<'_>, runs: usize) -> Result<Starts, TaskError> {
    let path = bench.memory.path().join("notify");
    let failed = || TaskError::io("listen to READY");
    let socket = UnixDatagram::bind(&path).map_err(failed())?;
    socket.set_nonblocking(true).map_err(failed())?;
    let mut starts = Starts::default();
    for _ in 0..runs {
        let state = bench.fresh_state_in_memory();
        let mut command = bench.scene.daemon(bench.relay.port, &state);
        command.env("NOTIFY_SOCKET", &path);
        bench.relay.forget();
        let begin = Moment::now();
        let mut daemon = bench.scene.start(&mut command)?;
        let ready = wait_for_ready(bench, &socket, &mut daemon)?;
        let asked = bench.until("the first request of the daemon", |seen| {
            (seen.direction == Direction::ToService).then_some(seen.at)
        })?;
        starts.ready.push(ready.ms_since(begin));
        starts.first_request.push(asked.ms_since(begin));
        daemon.stop().map_err(TaskError::io("stop the daemon"))?;
        // STOPPING=1 and the like belong to this life.
        while socket.recv(&mut [0; 1024]).is_ok() {}
    }
    Ok(starts)
}

fn wait_for_ready(
    bench: &Bench<'_>,
    socket: &UnixDatagram,
    daemon: &mut Process,
) -> Result<Moment, TaskError> {
    let mut message = [0; 1024];
    let ready = bench.interrupt.until(PATIENCE, || {
        daemon.check()?;
        while let Ok(length) = socket.recv(&mut message) {
            let at = Moment::now();
            if message[..length].split(|&byte| byte == b'\n').any(|line| line == b"READY=1") {
                return Ok(Some(at));
            }
        }
        Ok(None)
    })?;
    ready.ok_or_else(|| bench.late("READY=1"))
}
