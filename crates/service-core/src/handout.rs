//! Handing jobs out: when they begin and end, in which batches, and to whom as groups change.
//!
//! What becomes of an execution once it is queued is `lifecycle`'s.

use std::collections::BTreeSet;

use jobs_protocol::{ExecutionStatus, JobId, ThingName};

use crate::execution::Retries;
use crate::job::{Job, JobStatus, Target};
use crate::lifecycle::Cancellation;
use crate::queue::Part;
use crate::registry::GroupName;
use crate::rollout::{AtEnd, INTERVAL_MINUTES};
use crate::state::Turn;
use crate::timers::{Alarm, Due};

impl Turn<'_> {
    /// Takes a new job in. Its executions are queued now, or when its schedule begins; the things of a SNAPSHOT job are
    /// those of now in any case.
    pub(crate) fn start_job(&mut self, id: &JobId, mut job: Job) {
        job.waiting = self.things_of(&job.targets).into();
        for alarm in job.alarms(id) {
            self.state.timers.set(alarm);
        }
        let begins = job.status == JobStatus::InProgress;
        let opens = job.gate.change == Some(self.now);
        self.state.jobs.insert(id.clone(), job);
        if begins {
            self.begin_job(id);
        } else if opens {
            self.window_changes(id);
        }
    }

    /// A job begins to be handed out.
    pub(crate) fn begin_job(&mut self, id: &JobId) {
        let Some(job) = self.state.jobs.get(id) else { return };
        let things = job.continuous.then(|| self.things_of(&job.targets));
        let now = self.now;
        let Some(job) = self.state.jobs.get_mut(id) else { return };
        job.status = JobStatus::InProgress;
        job.last_updated_at = now;
        if let Some(things) = things {
            job.waiting = things.into();
            self.state.continuous.insert(id.clone());
        }
        self.release_batch(id);
    }

    /// The things of targets, each once, in the order of the targets.
    fn things_of(&self, targets: &[Target]) -> Vec<ThingName> {
        let mut seen = BTreeSet::new();
        let mut things = Vec::new();
        for target in targets {
            let members = match target {
                Target::Thing(thing) => BTreeSet::from([thing.clone()]),
                Target::Group(group) => self.state.registry.members(group),
            };
            things.extend(members.into_iter().filter(|thing| seen.insert(thing.clone())));
        }
        things
    }

    /// Queues a job for the things of further targets, unless it is open there. They do not wait for a batch.
    pub(crate) fn queue_for(&mut self, id: &JobId, targets: &[Target]) {
        for thing in self.things_of(targets) {
            self.queue_unless_open(id, &thing);
        }
    }

    /// Queues the next batch of a job's rollout. A thing that has left or was deleted in the meantime, or has the job
    /// already, costs no place in the batch.
    pub(crate) fn release_batch(&mut self, id: &JobId) {
        let now = self.now;
        let Some(job) = self.state.jobs.get_mut(id).filter(|job| job.status == JobStatus::InProgress) else {
            return;
        };
        job.next_batch = None;
        let size = job.pace.batch(job.notified, job.counts.of(ExecutionStatus::Succeeded));
        let mut left = size.unwrap_or(u64::MAX);
        while left > 0 {
            let Some(job) = self.state.jobs.get_mut(id) else { return };
            let Some(thing) = job.waiting.pop_front() else { break };
            let registry = &self.state.registry;
            let wanted = registry.has_thing(&thing) && (!job.continuous || job.is_for(&thing, registry));
            if wanted && job.newest(&thing).is_none() {
                self.enqueue(id, &thing, Retries::default());
                left -= 1;
            }
        }
        if let Some(job) = self.state.jobs.get_mut(id).filter(|job| !job.waiting.is_empty()) {
            let at = now.plus_minutes(INTERVAL_MINUTES);
            job.next_batch = Some(at);
            self.state.timers.set(Alarm { at, due: Due::Batch(id.clone()) });
        }
        self.settle(id);
    }

    /// Does what an alarm was set for.
    pub(crate) fn on_alarm(&mut self, due: Due) {
        match due {
            Due::TimeOut { thing, job, number } => self.time_out(&thing, &job, number),
            Due::Start(job) => self.begin_job(&job),
            Due::Window(job) => self.window_changes(&job),
            Due::Batch(job) => self.release_batch(&job),
            Due::End(job) => self.end_schedule(&job),
        }
    }

    /// The end of a job's schedule has come.
    fn end_schedule(&mut self, id: &JobId) {
        let Some(job) = self.state.jobs.get_mut(id).filter(|job| job.status.is_open()) else { return };
        job.ended = true;
        match job.schedule.at_end {
            AtEnd::StopRollout => {
                // No further window is due.
                job.status = JobStatus::InProgress;
                self.stop_rollout(id);
                // A window that is open now still closes.
                for alarm in self.state.jobs.get(id).into_iter().flat_map(|job| job.alarms(id)) {
                    self.state.timers.set(alarm);
                }
                self.settle(id);
            }
            AtEnd::Cancel => self.cancel_job(id, Cancellation::default()),
            AtEnd::ForceCancel => {
                self.cancel_job(id, Cancellation { force: true, ..Cancellation::default() });
            }
        }
    }

    /// Nothing more is queued of a job, now or when things join.
    pub(crate) fn stop_rollout(&mut self, id: &JobId) {
        self.state.continuous.remove(id);
        let Some(job) = self.state.jobs.get_mut(id) else { return };
        for alarm in job.alarms(id) {
            self.state.timers.clear(&alarm);
        }
        job.waiting.clear();
        job.next_batch = None;
    }

    /// After a thing has come into groups, directly or by one below: continuous jobs on them are queued for it, also if an
    /// earlier execution has ended \[capture C 10-05\].
    pub(crate) fn thing_joined(&mut self, thing: &ThingName, groups: &[GroupName]) {
        for id in self.continuous_jobs_on(groups) {
            self.queue_unless_open(&id, thing);
        }
    }

    /// After a thing has gone from a group: what is still queued of jobs that are no longer for it is removed; what is in
    /// progress runs on \[capture C 10-05\].
    pub(crate) fn thing_left(&mut self, thing: &ThingName, group: &GroupName) {
        let now = self.now;
        for id in self.continuous_jobs_on(&self.state.registry.with_ancestors(group)) {
            let Some(job) = self.state.jobs.get(&id) else { continue };
            let newest = job.newest(thing).filter(|(_, execution)| execution.part() == Part::Queued);
            if let Some((number, _)) = newest.filter(|_| !job.is_for(thing, &self.state.registry)) {
                self.change(&id, thing, number, |execution| execution.remove(now));
            }
        }
    }

    fn continuous_jobs_on(&self, groups: &[GroupName]) -> Vec<JobId> {
        let concerned = |id: &&JobId| {
            let targets = self.state.jobs.get(*id).into_iter().flat_map(|job| &job.targets);
            targets.into_iter().any(|target| match target {
                Target::Group(name) => groups.contains(name),
                Target::Thing(_) => false,
            })
        };
        self.state.continuous.iter().filter(concerned).cloned().collect()
    }
}
