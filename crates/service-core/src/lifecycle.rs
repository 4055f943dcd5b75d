//! What one change brings with it: queue, timers, counters, retries, and the end of a job.
//!
//! Every change of an execution passes through here, whoever caused it. Whether it is allowed was asked before.

use jobs_protocol::{ExecutionNumber, ExecutionStatus, JobId, ThingName};

use crate::event::JobEvent;
use crate::execution::{Execution, Retries};
use crate::job::{Job, JobStatus, Target};
use crate::queue::Part;
use crate::registry::GroupName;
use crate::state::{State, Turn};
use crate::timers::Alarm;

/// How a job is cancelled.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cancellation {
    /// Executions in progress are cancelled too.
    pub(crate) force: bool,
    pub(crate) reason_code: Option<String>,
    pub(crate) comment: Option<String>,
}

impl Turn<'_> {
    /// Takes a new job in and queues its executions.
    pub(crate) fn start_job(&mut self, id: &JobId, job: Job) {
        if job.continuous {
            self.state.continuous.insert(id.clone());
        }
        let targets = job.targets.clone();
        self.state.jobs.insert(id.clone(), job);
        self.queue_for(id, &targets);
        self.settle(id);
    }

    /// Queues a job for every thing of some of its targets, unless it is open there.
    pub(crate) fn queue_for(&mut self, id: &JobId, targets: &[Target]) {
        let mut things = std::collections::BTreeSet::new();
        for target in targets {
            match target {
                Target::Thing(thing) => things.extend([thing.clone()]),
                Target::Group(group) => things.extend(self.state.registry.members(group)),
            }
        }
        for thing in things {
            self.queue_unless_open(id, &thing);
        }
    }

    fn queue_unless_open(&mut self, id: &JobId, thing: &ThingName) {
        let newest = self.state.jobs.get(id).and_then(|job| job.newest(thing));
        if newest.is_none_or(|(_, execution)| execution.part() == Part::Finished) {
            self.enqueue(id, thing, Retries::default());
        }
    }

    fn enqueue(&mut self, id: &JobId, thing: &ThingName, retries: Retries) {
        self.changes.before(self.state, thing);
        let serial = self.state.next_serial();
        let Some(job) = self.state.jobs.get_mut(id) else { return };
        let number = job.newest(thing).map_or(ExecutionNumber::new(1), |(number, _)| number.next());
        let execution = Execution::queued(serial, retries, self.now);
        let place = execution.place(id, number);
        job.counts.add(execution.status);
        job.executions.entry(thing.clone()).or_default().insert(number, execution);
        self.state.queues.entry(thing.clone()).or_default().put(&place, Part::Queued);
        self.changes.set_changed(thing);
    }

    /// Changes one execution, with everything that hangs on it.
    pub(crate) fn change(
        &mut self,
        id: &JobId,
        thing: &ThingName,
        number: ExecutionNumber,
        how: impl FnOnce(&mut Execution),
    ) {
        self.changes.before(self.state, thing);
        let State { jobs, queues, timers, .. } = &mut *self.state;
        let Some(job) = jobs.get_mut(id) else { return };
        let Some(execution) = job.executions.get_mut(thing).and_then(|numbers| numbers.get_mut(&number))
        else {
            return;
        };
        let alarm = |execution: &Execution| {
            let at = execution.deadline()?;
            Some(Alarm { at, thing: thing.clone(), job: id.clone(), number })
        };
        if let Some(old) = alarm(execution) {
            timers.clear(&old);
        }
        let (status_before, part_before) = (execution.status, execution.part());
        how(execution);
        if let Some(new) = alarm(execution) {
            timers.set(new);
        }
        let (execution, part) = (execution.clone(), execution.part());
        job.counts.subtract(status_before);
        job.counts.add(execution.status);
        if part != part_before {
            queues.entry(thing.clone()).or_default().put(&execution.place(id, number), part);
        }
        if part == Part::Finished && part_before != Part::Finished {
            self.changes.set_changed(thing);
            self.execution_event(id, thing, &execution);
            self.retry(id, thing, &execution);
            self.settle(id);
        }
    }

    fn retry(&mut self, id: &JobId, thing: &ThingName, ended: &Execution) {
        let job = self.state.jobs.get(id).filter(|job| job.status == JobStatus::InProgress);
        if let Some(retries) = job.and_then(|job| job.retry_after(ended)) {
            self.enqueue(id, thing, retries);
        }
    }

    /// After an execution has ended or gone: the job may be complete, or be given up. A report that ends the last open
    /// execution completes the job and does not abort it.
    fn settle(&mut self, id: &JobId) {
        let Some(job) = self.state.jobs.get_mut(id) else { return };
        if job.status != JobStatus::InProgress {
            return;
        }
        if !job.continuous && job.counts.open() == 0 {
            job.status = JobStatus::Completed;
            job.completed_at = Some(self.now);
            job.last_updated_at = self.now;
            self.job_event(id, JobEvent::Completed);
        } else if let Some(comment) = job.abort_reason() {
            let reason_code = Some("ABORT_CANCEL".to_owned());
            self.cancel_job(id, Cancellation { force: false, reason_code, comment: Some(comment) });
        }
    }

    /// Ends the execution whose alarm it is.
    pub(crate) fn time_out(&mut self, alarm: &Alarm) {
        let now = self.now;
        self.change(&alarm.job, &alarm.thing, alarm.number, |execution| {
            execution.end(ExecutionStatus::TimedOut, now);
        });
    }

    /// Cancels a job: what is queued, and with force what is in progress.
    pub(crate) fn cancel_job(&mut self, id: &JobId, cancellation: Cancellation) {
        let Some(job) = self.state.jobs.get_mut(id) else { return };
        let force = cancellation.force;
        job.status = JobStatus::Canceled;
        job.force_canceled |= force;
        job.reason_code = cancellation.reason_code.or(job.reason_code.take());
        job.comment = cancellation.comment.or(job.comment.take());
        job.last_updated_at = self.now;
        let queued = &[ExecutionStatus::Queued][..];
        let open = &[ExecutionStatus::Queued, ExecutionStatus::InProgress][..];
        let concerned = job.in_status(if force { open } else { queued });
        self.state.continuous.remove(id);
        self.job_event(id, JobEvent::CancellationInProgress);
        let now = self.now;
        for (thing, number) in concerned {
            self.change(id, &thing, number, |execution| {
                execution.force_canceled = force;
                execution.end(ExecutionStatus::Canceled, now);
            });
        }
        self.job_event(id, JobEvent::Canceled);
    }

    /// Takes one execution away, as if it had never been; the job may be complete by that.
    pub(crate) fn delete_execution(&mut self, id: &JobId, thing: &ThingName, number: ExecutionNumber) {
        self.drop_execution(id, thing, number);
        self.settle(id);
    }

    fn drop_execution(&mut self, id: &JobId, thing: &ThingName, number: ExecutionNumber) {
        self.changes.before(self.state, thing);
        let State { jobs, queues, timers, .. } = &mut *self.state;
        let Some(job) = jobs.get_mut(id) else { return };
        let Some(numbers) = job.executions.get_mut(thing) else { return };
        let Some(execution) = numbers.remove(&number) else { return };
        if numbers.is_empty() {
            job.executions.remove(thing);
        }
        job.counts.subtract(execution.status);
        if let Some(at) = execution.deadline() {
            timers.clear(&Alarm { at, thing: thing.clone(), job: id.clone(), number });
        }
        if let Some(queue) = queues.get_mut(thing) {
            queue.remove(&execution.place(id, number));
            if queue.is_empty() {
                queues.remove(thing);
            }
        }
        if execution.part() != Part::Finished {
            self.changes.set_changed(thing);
        }
        self.execution_deleted(id, thing, &execution);
    }

    /// Takes a job and all its executions away.
    pub(crate) fn delete_job(&mut self, id: &JobId) {
        self.job_event(id, JobEvent::DeletionInProgress);
        let Some(job) = self.state.jobs.get(id) else { return };
        let executions = job.executions.iter();
        let all: Vec<(ThingName, ExecutionNumber)> = executions
            .flat_map(|(thing, numbers)| numbers.keys().map(|number| (thing.clone(), *number)))
            .collect();
        for (thing, number) in all {
            self.drop_execution(id, &thing, number);
        }
        self.job_event(id, JobEvent::Deleted);
        self.state.continuous.remove(id);
        self.state.jobs.remove(id);
    }

    /// After a thing has come into a group: continuous jobs on that group, or on one above it, are queued for it, also if
    /// an earlier execution has ended \[capture C 10-05\].
    pub(crate) fn thing_joined(&mut self, thing: &ThingName, group: &GroupName) {
        for id in self.continuous_jobs_on(group) {
            self.queue_unless_open(&id, thing);
        }
    }

    /// After a thing has gone from a group: what is still queued of jobs that are no longer for it is removed; what is in
    /// progress runs on \[capture C 10-05\].
    pub(crate) fn thing_left(&mut self, thing: &ThingName, group: &GroupName) {
        let now = self.now;
        for id in self.continuous_jobs_on(group) {
            let Some(job) = self.state.jobs.get(&id) else { continue };
            let newest = job.newest(thing).filter(|(_, execution)| execution.part() == Part::Queued);
            if let Some((number, _)) = newest.filter(|_| !job.is_for(thing, &self.state.registry)) {
                self.change(&id, thing, number, |execution| execution.remove(now));
            }
        }
    }

    fn continuous_jobs_on(&self, group: &GroupName) -> Vec<JobId> {
        let groups = self.state.registry.with_ancestors(group);
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
