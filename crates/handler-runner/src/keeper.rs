//! The keeper: a small process that holds one handler, so that the agent may die and come back.
//!
//! It owns the pipes, the deadline and the process tree, and writes the ending last. It has one thread and one loop,
//! and knows only its slot. SIGTERM tells it to stop the handler. What is decided on the way stands in `stopping`.

mod memory;
mod reporting;
mod stopping;
mod stream;
mod tree;

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, ExitCode};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal as NixSignal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal, WaitOptions, wait};
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};

use crate::ending::{Death, Ending, Outcome};
use crate::lost::mark_of;
use crate::process::{is_machine_going_down, this_process};
use crate::slot::{self, Place, Slot, Spec};
use crate::spawn;
use memory::Counter;
use reporting::Reporting;
use stopping::{Course, Deed, Seen};
use stream::{CHUNK, Stream, never_wait};

/// Holds one run; the arguments are its number and the directory of its slot. To be called before anything else: it
/// wants a process of one thread with nothing set up.
///
/// The exit code is 0 if the ending was written, whatever it is; otherwise whoever looks into the slot finds none.
pub fn keeper_main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.collect();
    let [run, directory] = &arguments[..] else { return ExitCode::from(64) };
    match keep(run, &Slot::at(PathBuf::from(directory))) {
        Ok(()) => ExitCode::SUCCESS,
        // There is nobody to tell: the missing record says it.
        Err(_untold) => ExitCode::FAILURE,
    }
}

fn keep(run: &OsStr, slot: &Slot) -> io::Result<()> {
    // First of all: from here on a request to stop waits until there is a handler to stop. All others are held back
    // too: a SIGHUP meant for the agent's control group must not cost a handler its keeper.
    SigSet::all().thread_block()?;
    let mut wanted = SigSet::empty();
    for each in [NixSignal::SIGTERM, NixSignal::SIGINT, NixSignal::SIGCHLD] {
        wanted.add(each);
    }
    // While the numbers are low: some shells can write to descriptors with one digit only.
    let (reports, report_to) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    never_wait(&reports)?;
    let signals = SignalFd::with_flags(&wanted, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
    let records = slot.open_records(false)?;
    // Somebody who looked for this run in the meantime may have declared it void.
    if !slot::try_lock(&records)? {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    let Some(spec) = slot.read_spec()? else { return Err(io::ErrorKind::NotFound.into()) };
    // A keeper that comes late, because the agent that started it was killed meanwhile, is not to take up the run that
    // the next agent has put into the same slot: that has a keeper of its own.
    if mark_of(spec.run).as_str() != run {
        return Err(io::ErrorKind::NotFound.into());
    }
    if slot::read_outcome(&records, spec.run)?.is_some() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    slot::note_record(&records, Place::Keeper, spec.run, &this_process()?)?;
    let memory = Counter::of_this_process();
    let started = now();
    let reporting = Reporting::new(reports, slot, spec.run)?;
    let outcome = match spawn::spawn(&spec, &records, report_to) {
        Ok(child) => Keeper::new(&spec, child, signals, memory, reporting, started)?.run()?,
        Err(error) => {
            let reason = error.to_string();
            Outcome::bare(Ending::CouldNotStart { path: spec.path.clone(), reason })
        }
    };
    slot::write_record(&records, Place::Ended, spec.run, &outcome)
}

struct Keeper {
    handler: Pid,
    signals: SignalFd,
    timer: OwnedFd,
    memory: Option<Counter>,
    stdout: Stream,
    stderr: Stream,
    reporting: Reporting,
    started: Duration,
    ended: Option<(Death, Duration)>,
    course: Course,
    /// Whether any child is left, to our knowledge.
    childless: bool,
    /// What the timer is set to.
    armed: Option<Duration>,
}

impl Keeper {
    fn new(
        spec: &Spec,
        mut child: Child,
        signals: SignalFd,
        memory: Option<Counter>,
        reporting: Reporting,
        started: Duration,
    ) -> io::Result<Self> {
        let handler = Pid::from_child(&child);
        let stdout = child.stdout.take().map(OwnedFd::from);
        let stderr = child.stderr.take().map(OwnedFd::from);
        Ok(Self {
            handler,
            signals,
            timer: timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?,
            memory,
            stdout: Stream::new(stdout, spec)?,
            stderr: Stream::new(stderr, spec)?,
            reporting,
            started,
            ended: None,
            course: Course::new(started, spec.time_limit, spec.grace),
            childless: false,
            armed: None,
        })
    }

    fn run(mut self) -> io::Result<Outcome> {
        let mut buffer = vec![0; CHUNK];
        loop {
            self.set_timer()?;
            if self.wait(&mut buffer)? {
                while let Some(signal) = self.signals.read_signal()? {
                    if signal.ssi_signo != NixSignal::SIGCHLD as u32 {
                        let deed = self.course.stop_asked(now());
                        self.perform(deed)?;
                    }
                }
                self.reap()?;
            }
            self.reporting.write_if_due(now());
            if now() >= self.course.alarm() {
                let deed = self.course.alarm_rings(now());
                self.perform(deed)?;
            }
            let seen = Seen {
                death: self.ended.map(|(death, _)| death),
                childless: self.childless,
                drained: self.stdout.pipe.is_none() && self.stderr.pipe.is_none(),
            };
            if let Some(ending) = self.course.ending(seen, now()) {
                return self.outcome(ending);
            }
        }
    }

    fn perform(&mut self, deed: Deed) -> io::Result<()> {
        match deed {
            Deed::Nothing => Ok(()),
            Deed::Terminate => tree::terminate(),
            Deed::Kill => tree::kill(),
            Deed::LetGoOfPipes => {
                (self.stdout.pipe, self.stderr.pipe) = (None, None);
                Ok(())
            }
        }
    }

    /// Sleeps until something happens, and reads what has come. Says whether there is a signal.
    fn wait(&mut self, buffer: &mut [u8]) -> io::Result<bool> {
        let (signals, timer) = (self.signals.as_fd(), self.timer.as_fd());
        // A pipe that is gone gives its place to the timer: what the place says is then of no use to anybody.
        let pipes = [&self.stdout.pipe, &self.stderr.pipe, &self.reporting.pipe];
        let [stdout, stderr, reporting] = pipes.map(|pipe| pipe.as_ref().map_or(timer, AsFd::as_fd));
        let mut fds =
            [signals, timer, stdout, stderr, reporting].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let [signals, _, stdout, stderr, reporting] = fds.map(|fd| !fd.revents().is_empty());
        // All at every turn: none can starve another, nor the signals and the alarm.
        if stdout {
            self.stdout.read(buffer)?;
        }
        if stderr {
            self.stderr.read(buffer)?;
        }
        if reporting {
            self.reporting.read(buffer)?;
        }
        Ok(signals)
    }

    fn set_timer(&mut self) -> io::Result<()> {
        let alarm = self.course.alarm().min(self.reporting.alarm().unwrap_or(Duration::MAX));
        let alarm = alarm.max(Duration::from_nanos(1));
        if self.armed == Some(alarm) {
            return Ok(());
        }
        let time = Timespec {
            tv_sec: i64::try_from(alarm.as_secs()).unwrap_or(i64::MAX).min(8_589_934_592),
            tv_nsec: alarm.subsec_nanos().into(),
        };
        let when = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: time };
        timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &when)?;
        self.armed = Some(alarm);
        Ok(())
    }

    /// Takes note of every child that has ended: the handler, and what was left to the keeper as subreaper.
    fn reap(&mut self) -> io::Result<()> {
        loop {
            let (pid, status) = match wait(WaitOptions::NOHANG) {
                Ok(Some(ended)) => ended,
                Ok(None) => return Ok(()),
                Err(rustix::io::Errno::INTR) => continue,
                Err(rustix::io::Errno::CHILD) => {
                    self.childless = true;
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            };
            // By number, since real-time signals have no name.
            let death = match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => Death::Exited { code },
                (None, Some(signal)) => Death::Killed { signal },
                (None, None) => continue,
            };
            if pid == self.handler {
                self.ended = Some((death, now()));
                self.course.handler_ended(now());
            }
        }
    }

    fn outcome(mut self, ending: Ending) -> io::Result<Outcome> {
        let mut buffer = vec![0; CHUNK];
        // What the pipes still hold of a tree that was stopped.
        self.stdout.drain(&mut buffer)?;
        self.stderr.drain(&mut buffer)?;
        let left_behind = if self.childless { 0 } else { tree::living()?.len() };
        let ended = self.ended.map_or_else(now, |(_, at)| at);
        Ok(Outcome {
            ending: self.with_its_cause(ending),
            stdout: self.stdout.kept.finish(),
            stderr: self.stderr.kept.finish(),
            ran_for: ended.saturating_sub(self.started),
            left_behind: u32::try_from(left_behind).unwrap_or(u32::MAX),
            reported: self.reporting.finish(&mut buffer)?,
        })
    }

    fn with_its_cause(&self, ending: Ending) -> Ending {
        let short_of_memory = || self.memory.as_ref().is_some_and(Counter::has_risen);
        with_its_cause(ending, short_of_memory, is_machine_going_down)
    }
}

/// A signal that came from nobody's hand: the kernel was short of memory, or the machine goes down. What dies of that
/// was interrupted; it has not failed.
fn with_its_cause(
    ending: Ending,
    short_of_memory: impl Fn() -> bool,
    going_down: impl Fn() -> bool,
) -> Ending {
    let (term, kill) = (Signal::TERM.as_raw(), Signal::KILL.as_raw());
    match ending {
        Ending::Killed { signal } if signal == kill && short_of_memory() => Ending::OutOfMemory,
        Ending::Killed { signal } if [term, kill].contains(&signal) && going_down() => Ending::Interrupted,
        Ending::Stopped { .. } if going_down() => Ending::Interrupted,
        other @ (Ending::Exited { .. }
        | Ending::Killed { .. }
        | Ending::TimedOut { .. }
        | Ending::Stopped { .. }
        | Ending::CouldNotStart { .. }
        | Ending::OutOfMemory
        | Ending::Lost
        | Ending::Interrupted
        | Ending::NeverStarted { .. }) => other,
    }
}

/// On the clock that nobody sets and that runs on while the machine sleeps.
fn now() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ending::Halt;

    #[test]
    fn what_dies_with_the_machine_was_interrupted_and_nothing_else_was() {
        let killed = |signal: Signal| Ending::Killed { signal: signal.as_raw() };
        let stopped = || Ending::Stopped { halt: Halt { death: None, forced: false } };
        let timed_out = || Ending::TimedOut { halt: Halt { death: None, forced: false } };
        for ending in [killed(Signal::TERM), killed(Signal::KILL), stopped()] {
            assert_eq!(with_its_cause(ending.clone(), || false, || true), Ending::Interrupted);
            assert_eq!(with_its_cause(ending.clone(), || false, || false), ending);
        }
        for ending in [killed(Signal::SEGV), timed_out(), Ending::Exited { code: 0 }] {
            assert_eq!(with_its_cause(ending.clone(), || true, || true), ending);
        }
        assert_eq!(with_its_cause(killed(Signal::KILL), || true, || false), Ending::OutOfMemory);
    }
}
