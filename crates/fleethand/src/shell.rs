//! The loop: one thing after the other happens, the core is told, its effects are performed. If there is an
//! `if` about jobs in here, it belongs into the core.

use std::time::Duration;

use agent_core::{Agent, Event};
use tokio::time::{Instant, sleep, sleep_until};

use crate::clock;
use crate::clock_watch::ClockWatch;
use crate::journal_file::SaveError;
use crate::notify::Notify;
use crate::perform::{Flow, Hands};
use crate::signals::{Heard, Signals};
use crate::telemetry::Log;

/// All that the loop has in hand.
pub(crate) struct Shell {
    pub(crate) agent: Agent,
    pub(crate) hands: Hands,
    pub(crate) signals: Signals,
    /// None on a system that cannot tell; then only the back-off ends a wait.
    pub(crate) clock_watch: Option<ClockWatch>,
    pub(crate) notify: Notify,
    pub(crate) log: Log,
}

/// What woke the loop.
#[expect(clippy::large_enum_variant, reason = "there is one at a time, and it is used up at once")]
enum Woken {
    Event(Event),
    Signal(Heard),
    Deadline,
    Pulse,
    ClockSet,
    ClockLost,
}

impl Shell {
    /// Runs until the core says that nothing is left to wait for. A failed save ends it at once.
    pub(crate) async fn run(mut self) -> Result<(), SaveError> {
        let recovered = self.agent.start(clock::now());
        let mut flow = self.hands.perform_all(recovered)?;
        Notify::ready();
        let mut pulse_at = self.notify.pulse().map(|pulse| Instant::now() + pulse);
        while flow == Flow::Continue {
            if let Some(answer) = self.hands.next_answer() {
                flow = self.tell(answer)?;
                continue;
            }
            let doing = self.agent.status();
            self.notify.status(&match self.hands.link.trouble() {
                Some(trouble) => format!("{doing} ({trouble})"),
                None => doing,
            });
            flow = match self.woken(pulse_at).await {
                Woken::Event(event) => self.tell(event)?,
                Woken::Deadline if self.agent.deadline().is_some_and(|deadline| deadline <= clock::now()) => {
                    self.tell(Event::DeadlineReached)?
                }
                Woken::Deadline => Flow::Continue,
                Woken::Signal(Heard::Stop) => {
                    tracing::info!("Asked to end");
                    Notify::stopping();
                    self.tell(Event::StopRequested)?
                }
                Woken::Signal(Heard::Reopen) => {
                    self.log.reopen();
                    Flow::Continue
                }
                Woken::Pulse => {
                    Notify::alive();
                    pulse_at = self.notify.pulse().map(|pulse| Instant::now() + pulse);
                    Flow::Continue
                }
                Woken::ClockSet => {
                    tracing::info!("The clock has been set");
                    self.hands.link.try_now();
                    Flow::Continue
                }
                Woken::ClockLost => {
                    self.clock_watch = None;
                    Flow::Continue
                }
            };
        }
        self.hands.link.close().await;
        Ok(())
    }

    fn tell(&mut self, event: Event) -> Result<Flow, SaveError> {
        let effects = self.agent.on_event(event, clock::now());
        self.hands.perform_all(effects)
    }

    /// Sleeps until something happens. Every branch is safe to cancel.
    async fn woken(&mut self, pulse_at: Option<Instant>) -> Woken {
        let nap = clock::nap(self.agent.deadline(), clock::now());
        tokio::select! {
            event = self.hands.link.next_event() => Woken::Event(event),
            event = self.hands.handlers.next_event() => Woken::Event(event),
            reason = self.hands.reboot.failed() => Woken::Event(Event::RebootFailed { reason }),
            heard = self.signals.next() => Woken::Signal(heard),
            () = after(nap) => Woken::Deadline,
            () = at(pulse_at) => Woken::Pulse,
            woken = clock_set(self.clock_watch.as_ref()) => woken,
        }
    }
}

async fn after(nap: Option<Duration>) {
    match nap {
        Some(nap) => sleep(nap).await,
        None => std::future::pending().await,
    }
}

async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

async fn clock_set(watch: Option<&ClockWatch>) -> Woken {
    let Some(watch) = watch else { return std::future::pending().await };
    match watch.clock_set().await {
        Ok(()) => Woken::ClockSet,
        Err(error) => {
            tracing::warn!(%error, "Cannot watch the clock any longer");
            Woken::ClockLost
        }
    }
}
