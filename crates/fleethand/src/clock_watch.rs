//! Tells when somebody has set the wall clock. A board without a battery for its clock finds no certificate
//! valid until time has come over the network; then it should not wait out its back-off first.

use std::io;
use std::os::fd::AsFd;

use crate::readiness::Readiness;
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

/// A timer that is far away and that the kernel cancels when the clock is set.
#[derive(Debug)]
pub(crate) struct ClockWatch {
    timer: Readiness,
}

/// Further away than any board lives (the year 2242), and within what the kernel's nanoseconds can count.
const FAR_AWAY: Timespec = Timespec { tv_sec: 8_589_934_592, tv_nsec: 0 };

impl ClockWatch {
    /// Begins to watch. Needs a running runtime.
    pub(crate) fn start() -> io::Result<Self> {
        let timer = timerfd_create(TimerfdClockId::Realtime, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        arm(&timer)?;
        Ok(Self { timer: Readiness::watch(timer)? })
    }

    /// Waits until the clock has been set. Safe to cancel.
    pub(crate) async fn clock_set(&self) -> io::Result<()> {
        loop {
            let mut expirations = [0; 8];
            let read = self.timer.read(&mut expirations).await;
            let set = match read {
                Ok(_) => false,
                Err(error) if error.raw_os_error() == Some(Errno::CANCELED.raw_os_error()) => true,
                Err(error) => return Err(error),
            };
            arm(&self.timer)?;
            if set {
                return Ok(());
            }
        }
    }
}

fn arm(timer: impl AsFd) -> io::Result<()> {
    let never_again = Timespec { tv_sec: 0, tv_nsec: 0 };
    let when = Itimerspec { it_interval: never_again, it_value: FAR_AWAY };
    timerfd_settime(timer, TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET, &when)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Waker};

    use super::*;

    #[tokio::test]
    async fn a_clock_that_nobody_sets_says_nothing() {
        let watch = ClockWatch::start().unwrap();
        let mut waiting = pin!(watch.clock_set());
        assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
}
