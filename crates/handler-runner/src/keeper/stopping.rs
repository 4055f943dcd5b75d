//! How far a run has come, and what its end is called: decisions only, on a clock that is an argument. The deeds
//! (signals, pipes, processes) are the keeper's.

use std::time::Duration;

use crate::ending::{Death, Ending, Halt};

/// How long pipes that are still open are read after the handler has ended: a daemon that it left may hold them.
const LEAK_WINDOW: Duration = Duration::from_millis(500);
/// After SIGKILL the tree is looked at this often, because a process may have been born in between.
const KILL_AGAIN: Duration = Duration::from_millis(50);
/// What SIGKILL does not end in this time hangs in the kernel; it is counted and left.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// Why the handler is being stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Limit,
    Asked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    /// The tree has been told to end.
    Terminating {
        cause: Cause,
    },
    /// The tree is being killed.
    Killing {
        cause: Cause,
        until: Duration,
    },
    /// It has ended by itself; the pipes may be held open by others.
    Draining,
}

/// What the keeper has to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deed {
    Nothing,
    /// SIGTERM to the tree.
    Terminate,
    /// SIGKILL to the tree.
    Kill,
    /// The pipes are held by others: let them go.
    LetGoOfPipes,
}

/// What the keeper knows of the processes and pipes when it asks whether the run is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    /// How the handler's own process ended, if it has.
    pub(super) death: Option<Death>,
    /// Whether no process of the tree is left.
    pub(super) childless: bool,
    /// Whether both streams have been read to their ends, or let go.
    pub(super) drained: bool,
}

/// The course of one run. All times are on the boot clock.
#[derive(Debug)]
pub(super) struct Course {
    phase: Phase,
    grace: Duration,
    alarm: Duration,
}

impl Course {
    /// A handler that has just been started.
    pub(super) fn new(now: Duration, time_limit: Duration, grace: Duration) -> Self {
        Self { phase: Phase::Running, grace, alarm: now.saturating_add(time_limit) }
    }

    /// When to call [`Course::alarm_rings`] next.
    pub(super) fn alarm(&self) -> Duration {
        self.alarm
    }

    /// Somebody wants the handler stopped.
    pub(super) fn stop_asked(&mut self, now: Duration) -> Deed {
        self.stop(Cause::Asked, now)
    }

    /// The handler's own process has ended.
    pub(super) fn handler_ended(&mut self, now: Duration) {
        if self.phase == Phase::Running {
            self.phase = Phase::Draining;
            self.alarm = now.saturating_add(LEAK_WINDOW);
        }
    }

    pub(super) fn alarm_rings(&mut self, now: Duration) -> Deed {
        match self.phase {
            Phase::Running => self.stop(Cause::Limit, now),
            Phase::Terminating { cause } => self.kill(cause, now.saturating_add(KILL_PATIENCE), now),
            Phase::Killing { cause, until } => self.kill(cause, until, now),
            Phase::Draining => Deed::LetGoOfPipes,
        }
    }

    fn stop(&mut self, cause: Cause, now: Duration) -> Deed {
        // What is being stopped already keeps its cause; what has ended by itself needs no stop.
        if self.phase != Phase::Running {
            return Deed::Nothing;
        }
        self.phase = Phase::Terminating { cause };
        self.alarm = now.saturating_add(self.grace);
        Deed::Terminate
    }

    fn kill(&mut self, cause: Cause, until: Duration, now: Duration) -> Deed {
        self.phase = Phase::Killing { cause, until };
        self.alarm = now.saturating_add(KILL_AGAIN);
        Deed::Kill
    }

    /// How the run ended, once there is nothing left to wait for.
    pub(super) fn ending(&self, seen: Seen, now: Duration) -> Option<Ending> {
        let told = |cause, forced| {
            let halt = Halt { death: seen.death, forced };
            match cause {
                Cause::Limit => Ending::TimedOut { halt },
                Cause::Asked => Ending::Stopped { halt },
            }
        };
        match (self.phase, seen.death) {
            (Phase::Draining, Some(death)) if seen.drained => Some(match death {
                Death::Exited { code } => Ending::Exited { code },
                Death::Killed { signal } => Ending::Killed { signal },
            }),
            (Phase::Terminating { cause }, Some(_)) if seen.childless => Some(told(cause, false)),
            (Phase::Killing { cause, until }, _) if seen.childless || now >= until => Some(told(cause, true)),
            (Phase::Running | Phase::Terminating { .. } | Phase::Killing { .. } | Phase::Draining, _) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);
    const GRACE: Duration = Duration::from_secs(10);
    const EXITED: Option<Death> = Some(Death::Exited { code: 3 });
    const ALIVE: Seen = Seen { death: None, childless: false, drained: false };

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn course() -> Course {
        Course::new(at(100), LIMIT, GRACE)
    }

    #[test]
    fn an_end_of_its_own_is_told_when_the_pipes_are_read() {
        let mut course = course();
        assert_eq!(course.ending(ALIVE, at(101)), None);
        course.handler_ended(at(101));
        let seen = Seen { death: EXITED, ..ALIVE };
        assert_eq!(course.ending(seen, at(101)), None, "the pipes still hold something");
        let drained = Seen { drained: true, ..seen };
        assert_eq!(
            course.ending(drained, at(101)),
            Some(Ending::Exited { code: 3 }),
            "whoever is left behind"
        );
    }

    #[test]
    fn pipes_held_by_others_are_let_go_after_a_short_window() {
        let mut course = course();
        course.handler_ended(at(101));
        assert_eq!(course.alarm(), at(101) + LEAK_WINDOW);
        assert_eq!(course.alarm_rings(course.alarm()), Deed::LetGoOfPipes);
        assert_eq!(course.stop_asked(at(102)), Deed::Nothing, "what has ended is not stopped");
    }

    #[test]
    fn the_limit_terminates_then_kills_then_kills_again_and_gives_up() {
        let mut course = course();
        assert_eq!(course.alarm(), at(160));
        assert_eq!(course.alarm_rings(at(160)), Deed::Terminate);
        assert_eq!(course.alarm(), at(170));
        assert_eq!(course.alarm_rings(at(170)), Deed::Kill);
        assert_eq!(course.alarm_rings(course.alarm()), Deed::Kill);
        assert_eq!(course.ending(ALIVE, at(179)), None);
        let given_up = Ending::TimedOut { halt: Halt { death: None, forced: true } };
        assert_eq!(course.ending(ALIVE, at(180)), Some(given_up));
    }

    #[test]
    fn a_stop_that_is_heeded_is_over_when_the_whole_tree_is_gone() {
        let mut course = course();
        assert_eq!(course.stop_asked(at(110)), Deed::Terminate);
        assert_eq!(course.stop_asked(at(111)), Deed::Nothing, "once is enough");
        assert_eq!(course.alarm(), at(120), "and the grace period does not begin anew");
        course.handler_ended(at(112));
        let seen = Seen { death: EXITED, ..ALIVE };
        assert_eq!(course.ending(seen, at(112)), None, "its children have their grace period too");
        let gone = Seen { childless: true, ..seen };
        let stopped = Ending::Stopped { halt: Halt { death: EXITED, forced: false } };
        assert_eq!(course.ending(gone, at(113)), Some(stopped));
    }

    #[test]
    fn the_first_cause_of_a_stop_is_the_one_that_is_told() {
        let mut course = course();
        assert_eq!(course.alarm_rings(at(160)), Deed::Terminate);
        assert_eq!(course.stop_asked(at(161)), Deed::Nothing);
        let gone = Seen { death: EXITED, childless: true, drained: true };
        assert!(matches!(course.ending(gone, at(162)), Some(Ending::TimedOut { .. })));
    }

    #[test]
    fn a_limit_beyond_all_time_never_comes() {
        let course = Course::new(at(100), Duration::MAX, Duration::MAX);
        assert_eq!(course.alarm(), Duration::MAX);
    }
}
