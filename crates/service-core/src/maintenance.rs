//! Maintenance windows: when a CONTINUOUS job is handed out at all.
//!
//! Outside its windows a job is SCHEDULED, as long as another one is due: no batch is released, and what is queued is held
//! back, so that devices do not see it in lists, in notifications or as the next one. What is in progress runs on
//! (developer guide). A job that has not begun begins with its first window. What is still queued when the last window
//! has closed is held until somebody cancels it.

use jobs_protocol::{ExecutionStatus, JobId};
use serde::{Deserialize, Serialize};

use crate::EpochMillis;
use crate::cron::Cron;
use crate::job::JobStatus;
use crate::rollout::Schedule;
use crate::state::{State, Turn};
use crate::timers::{Alarm, Due};

/// How many of its next windows a description of a job tells (service model).
const TOLD: usize = 7;

/// A window that comes again and again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Window {
    pub(crate) start: Cron,
    pub(crate) minutes: u64,
}

/// Where a job stands with its windows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Gate {
    /// It has begun and is outside its windows: what is queued is not delivered.
    pub(crate) held: bool,
    /// When the next window opens, or the one that is open closes.
    pub(crate) change: Option<EpochMillis>,
}

impl Schedule {
    /// Whether the job is handed out in windows only.
    pub(crate) fn has_windows(&self) -> bool {
        !self.windows.is_empty()
    }

    /// Until when the window is open that is open now; another may be open then.
    pub(crate) fn open_until(&self, now: EpochMillis) -> Option<EpochMillis> {
        let until = |window: &Window| {
            let earliest = EpochMillis((now.0 + 1).saturating_sub(window.minutes * 60_000));
            let start = window.start.next(earliest)?;
            (start <= now).then(|| start.plus_minutes(window.minutes))
        };
        self.windows.iter().filter_map(until).max()
    }

    /// When a window begins next, not before `from`, nor at the end of the schedule or later.
    pub(crate) fn next_window(&self, from: EpochMillis) -> Option<EpochMillis> {
        let next = self.windows.iter().filter_map(|window| window.start.next(from)).min()?;
        self.end.is_none_or(|end| next < end).then_some(next)
    }

    /// When a job that is made now is handed out first.
    pub(crate) fn first_opening(&self, now: EpochMillis) -> Option<EpochMillis> {
        let from = self.start.unwrap_or(now);
        if self.open_until(from).is_some() { Some(from) } else { self.next_window(from) }
    }

    /// The next beginnings of windows, as many as a description tells.
    pub(crate) fn coming_windows(&self, now: EpochMillis) -> Vec<EpochMillis> {
        let from = self.start.map_or(now, |start| start.max(now));
        let after = |last: &EpochMillis| self.next_window(EpochMillis(last.0 + 1));
        std::iter::successors(self.next_window(from), after).take(TOLD).collect()
    }
}

impl Turn<'_> {
    /// A window of the job opens or closes now, or one ends while another is open.
    pub(crate) fn window_changes(&mut self, id: &JobId) {
        let now = self.now;
        let State { jobs, timers, .. } = &mut *self.state;
        let Some(job) = jobs.get_mut(id).filter(|job| job.status.is_open()) else { return };
        let open = job.schedule.open_until(now);
        let next_opening = job.schedule.next_window(now);
        let change = |at| Alarm { at, due: Due::Window(id.clone()) };
        if let Some(at) = job.gate.change.take() {
            timers.clear(&change(at));
        }
        job.gate.change = open.or(next_opening);
        if let Some(at) = job.gate.change {
            timers.set(change(at));
        }
        let begun = job.is_running();
        if begun && job.gate.held == open.is_none() {
            return;
        }
        match (begun, open) {
            (false, None) => {}
            (false, Some(_)) => self.begin_job(id),
            (true, Some(_)) => {
                job.gate.held = false;
                job.status = JobStatus::InProgress;
                job.last_updated_at = now;
                self.place_queued(id);
                self.release_batch(id);
            }
            (true, None) => {
                job.gate.held = true;
                job.last_updated_at = now;
                if next_opening.is_some() {
                    job.status = JobStatus::Scheduled;
                }
                if let Some(at) = job.next_batch.take() {
                    timers.clear(&Alarm { at, due: Due::Batch(id.clone()) });
                }
                self.place_queued(id);
            }
        }
    }

    /// Puts what is queued of a job where it belongs, now that the job is held or no longer is.
    fn place_queued(&mut self, id: &JobId) {
        let Some(job) = self.state.jobs.get(id) else { return };
        for (thing, number) in job.in_status(&[ExecutionStatus::Queued]) {
            self.changes.before(self.state, &thing);
            let State { jobs, queues, .. } = &mut *self.state;
            let Some(job) = jobs.get(id) else { return };
            if let Some(execution) = job.execution(&thing, number) {
                let place = execution.place(id, number);
                queues.entry(thing.clone()).or_default().put(&place, job.part_of(execution));
                self.changes.set_changed(&thing);
            }
        }
    }
}
