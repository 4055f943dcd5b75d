//! What systemd is told: ready, what we are about, still alive, stopping. Outside systemd nothing is told.
//! *When* each is said is the loop's business; READY has one place, and it does not wait for the network.

use std::time::Duration;

use sd_notify::NotifyState;

use crate::telemetry::one_line;

/// The line to the service manager.
#[derive(Debug)]
pub(crate) struct Notify {
    status: String,
    pulse: Option<Duration>,
}

impl Notify {
    /// Looks whether the manager wants to be told, and how often it wants to hear that we live.
    pub(crate) fn of_this_process() -> Self {
        Self { status: String::new(), pulse: sd_notify::watchdog_enabled().map(pulse) }
    }

    /// How often [`Notify::alive`] is to be called; `None` if nobody listens for it.
    pub(crate) fn pulse(&self) -> Option<Duration> {
        self.pulse
    }

    /// Configuration believed, journal loaded, link started: a handler would now survive what comes.
    pub(crate) fn ready() {
        tell(&[NotifyState::Ready]);
    }

    /// One line for `systemctl status`. Said only when it changes.
    pub(crate) fn status(&mut self, line: &str) {
        if self.status != line {
            line.clone_into(&mut self.status);
            tell(&[NotifyState::Status(&on_one_line(line))]);
        }
    }

    /// Feeds the watchdog. Called by the loop itself, never by a task beside it: a loop that hangs must not
    /// look alive.
    pub(crate) fn alive() {
        tell(&[NotifyState::Watchdog]);
    }

    /// The end has begun.
    pub(crate) fn stopping() {
        tell(&[NotifyState::Stopping]);
    }
}

/// A line end would begin another word to the manager, and what a server says of itself may be part of a status.
fn on_one_line(status: &str) -> String {
    one_line(status.as_bytes()).trim_end_matches('\n').to_owned()
}

/// Half of the interval after which the manager gives us up.
fn pulse(watchdog: Duration) -> Duration {
    (watchdog / 2).max(Duration::from_millis(1))
}

fn tell(state: &[NotifyState]) {
    // A manager that cannot be told finds out by itself (start or watchdog time-out) and acts; to us it
    // makes no difference.
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "The service manager cannot be told");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_one_thing_whatever_is_in_it() {
        let status = on_one_line("not connected (the certificate is for `a\nMAINPID=1\r\0`)\n");
        assert_eq!(
            NotifyState::Status(&status).to_string(),
            "STATUS=not connected (the certificate is for `a\\nMAINPID=1\\r\\u{0}`)"
        );
    }

    #[test]
    fn the_watchdog_is_fed_at_half_its_interval() {
        assert_eq!(pulse(Duration::from_secs(60)), Duration::from_secs(30));
        assert!(!pulse(Duration::ZERO).is_zero());
    }
}
