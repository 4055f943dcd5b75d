//! Ctrl-C is not the end at once, but a reason to come to one: what was started is stopped first.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::error::TaskError;

/// Between two looks at whatever is waited for.
const PAUSE: Duration = Duration::from_millis(5);

/// Whether somebody wants the task to end.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on the signals that end a program only set a mark.
    pub(crate) fn catch() -> io::Result<Self> {
        let mark = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&mark))?;
        }
        Ok(Self(mark))
    }

    /// Fails if the task is to end.
    pub(crate) fn check(&self) -> Result<(), TaskError> {
        if self.0.load(Ordering::Relaxed) { Err(TaskError::Interrupted) } else { Ok(()) }
    }

    /// Waits for that time, unless the task is to end.
    pub(crate) fn pause(&self, span: Duration) -> Result<(), TaskError> {
        let end = Instant::now() + span;
        loop {
            self.check()?;
            let rest = end.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return Ok(());
            }
            // A signal does not end this sleep, so it is a short one.
            std::thread::sleep(rest.min(Duration::from_millis(100)));
        }
    }

    /// Looks until there is something, for at most `patience`. None: it did not come.
    pub(crate) fn until<T>(
        &self,
        patience: Duration,
        mut look: impl FnMut() -> Result<Option<T>, TaskError>,
    ) -> Result<Option<T>, TaskError> {
        let end = Instant::now() + patience;
        loop {
            self.check()?;
            if let Some(found) = look()? {
                return Ok(Some(found));
            }
            if Instant::now() >= end {
                return Ok(None);
            }
            std::thread::sleep(PAUSE);
        }
    }
}
