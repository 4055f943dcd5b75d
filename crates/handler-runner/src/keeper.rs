//! The keeper: a small process that holds one handler, so that the agent may die and come back.
//!
//! It owns the pipes, the deadline and the process tree, and writes the ending last. It has one thread and one loop,
//! and knows only its slot. SIGTERM tells it to stop the handler.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, ExitCode};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal as NixSignal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::Signal;
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};

use crate::capture::Tail;
use crate::ending::{Death, Ending, Halt, Outcome};
use crate::process::{self, this_process};
use crate::slot::{self, Place, Slot, Spec};
use crate::spawn;

/// How long pipes that are still open are read after the handler has ended: a daemon that it left may hold them.
const LEAK_WINDOW: Duration = Duration::from_millis(500);
/// After SIGKILL the tree is looked at this often, because a process may have been born in between.
const KILL_AGAIN: Duration = Duration::from_millis(50);
/// What SIGKILL does not end in this time hangs in the kernel; it is counted and left.
const KILL_PATIENCE: Duration = Duration::from_secs(10);
/// One read takes at most so much: as much as a pipe holds.
const CHUNK: usize = 64 * 1024;

/// Holds one run; the only argument is the directory of its slot. To be called before anything else: it wants a
/// process of one thread with nothing set up.
///
/// The exit code is 0 if the ending was written, whatever it is; otherwise whoever looks into the slot finds none.
pub fn keeper_main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let Some(directory) = arguments.last() else { return ExitCode::from(64) };
    match keep(&Slot::at(PathBuf::from(directory))) {
        Ok(()) => ExitCode::SUCCESS,
        // There is nobody to tell: the missing record says it.
        Err(_untold) => ExitCode::FAILURE,
    }
}

fn keep(slot: &Slot) -> io::Result<()> {
    let records = slot.open_records(false)?;
    // Somebody who looked for this run in the meantime may have declared it void.
    if !slot::try_lock(&records)? {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    let Some(spec) = slot.read_spec()? else { return Err(io::ErrorKind::NotFound.into()) };
    if slot::read_outcome(&records, spec.run)?.is_some() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let mut wanted = SigSet::empty();
    for each in [NixSignal::SIGTERM, NixSignal::SIGINT, NixSignal::SIGCHLD] {
        wanted.add(each);
    }
    // All others are held back too: a SIGHUP meant for the agent's control group must not cost a handler its keeper.
    SigSet::all().thread_block()?;
    let signals = SignalFd::with_flags(&wanted, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
    slot::write_record(&records, Place::Keeper, spec.run, &this_process()?)?;
    let started = now();
    let outcome = match spawn::spawn(&spec, &records) {
        Ok(child) => Keeper::new(&spec, child, signals, started)?.run()?,
        Err(error) => {
            let reason = spawn::refusal_in_words(&spec.path, &error);
            Outcome::bare(Ending::CouldNotStart { path: spec.path.clone(), reason })
        }
    };
    slot::write_record(&records, Place::Ended, spec.run, &outcome)
}

/// Why the handler is being stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Limit,
    Asked,
}

/// How far stopping has come.
#[derive(Debug, Clone, Copy)]
enum Phase {
    Running,
    /// SIGTERM has been sent.
    Terminating {
        cause: Cause,
    },
    /// SIGKILL has been sent.
    Killing {
        cause: Cause,
        until: Duration,
    },
    /// It has ended by itself; the pipes may be held open by others.
    Draining,
}

struct Keeper<'a> {
    spec: &'a Spec,
    handler: Pid,
    signals: SignalFd,
    timer: OwnedFd,
    stdout: Stream,
    stderr: Stream,
    started: Duration,
    ended: Option<(Death, Duration)>,
    phase: Phase,
    /// On the boot-time clock.
    alarm: Duration,
    /// Whether any child is left, to our knowledge.
    childless: bool,
}

/// A pipe from the handler, until its end has been read.
struct Stream {
    pipe: Option<OwnedFd>,
    tail: Tail,
}

impl<'a> Keeper<'a> {
    fn new(spec: &'a Spec, mut child: Child, signals: SignalFd, started: Duration) -> io::Result<Self> {
        let handler = Pid::from_raw(i32::try_from(child.id()).map_err(io::Error::other)?);
        let stdout = child.stdout.take().map(OwnedFd::from);
        let stderr = child.stderr.take().map(OwnedFd::from);
        Ok(Self {
            spec,
            handler,
            signals,
            timer: timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?,
            stdout: Stream::new(stdout, spec.tail_characters)?,
            stderr: Stream::new(stderr, spec.tail_characters)?,
            started,
            ended: None,
            phase: Phase::Running,
            alarm: started.saturating_add(spec.time_limit),
            childless: false,
        })
    }

    fn run(mut self) -> io::Result<Outcome> {
        let mut buffer = vec![0; CHUNK];
        loop {
            self.set_timer()?;
            self.wait(&mut buffer)?;
            while let Some(signal) = self.signals.read_signal()? {
                if signal.ssi_signo != NixSignal::SIGCHLD as u32 {
                    self.stop(Cause::Asked)?;
                }
            }
            self.reap()?;
            if now() >= self.alarm {
                self.alarm_rings()?;
            }
            if let Some(ending) = self.is_over() {
                return self.outcome(ending);
            }
        }
    }

    /// Sleeps until something happens, and reads what has come.
    fn wait(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let (signals, timer) = (self.signals.as_fd(), self.timer.as_fd());
        let mut fds = vec![
            PollFd::from_borrowed_fd(signals, PollFlags::IN),
            PollFd::from_borrowed_fd(timer, PollFlags::IN),
        ];
        for pipe in [&self.stdout.pipe, &self.stderr.pipe].into_iter().flatten() {
            fds.push(PollFd::new(pipe, PollFlags::IN));
        }
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        // Both at every turn: neither can starve the other, nor the signals and the alarm.
        self.stdout.read(buffer)?;
        self.stderr.read(buffer)
    }

    fn set_timer(&self) -> io::Result<()> {
        let alarm = self.alarm.max(Duration::from_nanos(1));
        let time = Timespec {
            tv_sec: i64::try_from(alarm.as_secs()).unwrap_or(i64::MAX).min(8_589_934_592),
            tv_nsec: alarm.subsec_nanos().into(),
        };
        let when = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: time };
        timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &when)?;
        Ok(())
    }

    /// Takes note of every child that has ended: the handler, and what was left to the keeper as subreaper.
    fn reap(&mut self) -> io::Result<()> {
        loop {
            let (pid, death) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, Death::Exited { code }),
                Ok(WaitStatus::Signaled(pid, signal, _core)) => {
                    (pid, Death::Killed { signal: signal as i32 })
                }
                Ok(WaitStatus::StillAlive) => return Ok(()),
                Ok(_) | Err(nix::errno::Errno::EINTR) => continue,
                Err(nix::errno::Errno::ECHILD) => {
                    self.childless = true;
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            };
            if pid == self.handler {
                self.ended = Some((death, now()));
                if matches!(self.phase, Phase::Running) {
                    self.phase = Phase::Draining;
                    self.alarm = now() + LEAK_WINDOW;
                }
            }
        }
    }

    fn alarm_rings(&mut self) -> io::Result<()> {
        match self.phase {
            Phase::Running => self.stop(Cause::Limit),
            Phase::Terminating { cause } => self.kill(cause, now() + KILL_PATIENCE),
            Phase::Killing { cause, until } => self.kill(cause, until),
            Phase::Draining => {
                (self.stdout.pipe, self.stderr.pipe) = (None, None);
                Ok(())
            }
        }
    }

    /// TERM to the whole tree, and CONT, so that what is stopped can heed it.
    fn stop(&mut self, cause: Cause) -> io::Result<()> {
        if !matches!(self.phase, Phase::Running) {
            return Ok(());
        }
        self.phase = Phase::Terminating { cause };
        self.alarm = now().saturating_add(self.spec.grace);
        Self::signal_tree(Signal::TERM)?;
        Self::signal_tree(Signal::CONT)
    }

    fn kill(&mut self, cause: Cause, until: Duration) -> io::Result<()> {
        self.phase = Phase::Killing { cause, until };
        self.alarm = now() + KILL_AGAIN;
        Self::signal_tree(Signal::KILL)
    }

    fn signal_tree(signal: Signal) -> io::Result<()> {
        for process in Self::tree()? {
            match process::send(process.pid, signal) {
                // A set-user-id program may be out of reach; the others are not.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
                other => other?,
            }
        }
        Ok(())
    }

    /// All that lives of the handler: as subreaper the keeper is the ancestor of everything that it has started.
    fn tree() -> io::Result<Vec<process::Stat>> {
        Ok(process::descendants(&process::all()?, rustix::process::getpid().as_raw_nonzero().get()))
    }

    /// How it ended, once there is nothing left to wait for.
    fn is_over(&self) -> Option<Ending> {
        let drained = self.stdout.pipe.is_none() && self.stderr.pipe.is_none();
        let halt = |forced| Halt { death: self.ended.map(|(death, _)| death), forced };
        let told = |cause, forced| match cause {
            Cause::Limit => Ending::TimedOut { halt: halt(forced) },
            Cause::Asked => Ending::Stopped { halt: halt(forced) },
        };
        match (self.phase, self.ended) {
            (Phase::Draining, Some((death, _))) if drained => Some(match death {
                Death::Exited { code } => Ending::Exited { code },
                Death::Killed { signal } => Ending::Killed { signal },
            }),
            (Phase::Terminating { cause }, Some(_)) if self.childless => Some(told(cause, false)),
            (Phase::Killing { cause, until }, _) if self.childless || now() >= until => {
                Some(told(cause, true))
            }
            (Phase::Running | Phase::Terminating { .. } | Phase::Killing { .. } | Phase::Draining, _) => None,
        }
    }

    fn outcome(mut self, ending: Ending) -> io::Result<Outcome> {
        let mut buffer = vec![0; CHUNK];
        // What the pipes still hold of a tree that was stopped.
        self.stdout.drain(&mut buffer)?;
        self.stderr.drain(&mut buffer)?;
        let left_behind = if self.childless { 0 } else { Self::tree()?.len() };
        let ended = self.ended.map_or_else(now, |(_, at)| at);
        Ok(Outcome {
            ending,
            stdout: self.stdout.tail.finish(),
            stderr: self.stderr.tail.finish(),
            ran_for: ended.saturating_sub(self.started),
            left_behind: u32::try_from(left_behind).unwrap_or(u32::MAX),
        })
    }
}

impl Stream {
    fn new(pipe: Option<OwnedFd>, units: usize) -> io::Result<Self> {
        if let Some(pipe) = &pipe {
            let flags = rustix::fs::fcntl_getfl(pipe)?;
            rustix::fs::fcntl_setfl(pipe, flags | rustix::fs::OFlags::NONBLOCK)?;
        }
        Ok(Self { pipe, tail: Tail::new(units) })
    }

    /// Reads once, if there is something. At the end of the stream the pipe is let go.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        let Some(pipe) = &self.pipe else { return Ok(()) };
        match rustix::io::read(pipe, &mut *buffer) {
            Ok(0) => self.pipe = None,
            Ok(read) => self.tail.push(&buffer[..read]),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Reads what a full pipe can hold, and no more: whoever still writes must not keep the ending from being told.
    fn drain(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        for _ in 0..16 {
            self.read(buffer)?;
        }
        Ok(())
    }
}

/// On the clock that nobody sets and that runs on while the machine sleeps.
fn now() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
