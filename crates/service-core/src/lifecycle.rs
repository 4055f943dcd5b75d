//! What one change brings with it: queue, timers, counters, retries, and the end of a job.
//!
//! Every change of an execution passes through here, whoever caused it. Whether it is allowed was asked before.

use jobs_protocol::{ExecutionNumber, ExecutionStatus, JobId, ThingName};

use crate::event::JobEvent;
use crate::execution::{Execution, Retries};
use crate::job::JobStatus;
use crate::queue::Part;
use crate::state::{State, Turn};

/// How a job is cancelled.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cancellation {
    /// Executions in progress are cancelled too.
    pub(crate) force: bool,
    pub(crate) reason_code: Option<String>,
    pub(crate) comment: Option<String>,
}

impl Turn<'_> {
    pub(crate) fn queue_unless_open(&mut self, id: &JobId, thing: &ThingName) {
        let newest = self.state.jobs.get(id).and_then(|job| job.newest(thing));
        if newest.is_none_or(|(_, execution)| execution.part() == Part::Finished) {
            self.enqueue(id, thing, Retries::default());
        }
    }

    pub(crate) fn enqueue(&mut self, id: &JobId, thing: &ThingName, retries: Retries) {
        self.changes.before(self.state, thing);
        let serial = self.state.next_serial();
        let Some(job) = self.state.jobs.get_mut(id) else { return };
        let number = job.newest(thing).map_or(ExecutionNumber::new(1), |(number, _)| number.next());
        let execution = Execution::queued(serial, retries, self.now);
        let (place, part) = (execution.place(id, number), job.part_of(&execution));
        job.counts.add(execution.status);
        job.notified += 1;
        job.executions.entry(thing.clone()).or_default().push(number, execution);
        self.state.queues.entry(thing.clone()).or_default().put(&place, part);
        if part.is_pending() {
            self.changes.set_changed(thing);
        }
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
        let Some(part_before) = job.execution(thing, number).map(|execution| job.part_of(execution)) else {
            return;
        };
        let Some(execution) = job.executions.get_mut(thing).and_then(|numbers| numbers.get_mut(number))
        else {
            return;
        };
        if let Some(old) = execution.alarm(thing, id, number) {
            timers.clear(&old);
        }
        let status_before = execution.status;
        how(execution);
        if let Some(new) = execution.alarm(thing, id, number) {
            timers.set(new);
        }
        let execution = execution.clone();
        let part = job.part_of(&execution);
        job.counts.subtract(status_before);
        job.counts.add(execution.status);
        if part != part_before {
            queues.entry(thing.clone()).or_default().put(&execution.place(id, number), part);
        }
        if part.is_pending() != part_before.is_pending() {
            self.changes.set_changed(thing);
        }
        if part == Part::Finished && part_before != Part::Finished {
            self.execution_event(id, thing, &execution);
            self.retry(id, thing, &execution);
            self.settle(id);
        }
    }

    fn retry(&mut self, id: &JobId, thing: &ThingName, ended: &Execution) {
        let job = self.state.jobs.get(id).filter(|job| job.is_running() && !job.ended);
        let retries = job.and_then(|job| job.retry_after(ended));
        // Nobody would ever do what is queued for a thing that is no more.
        if let Some(retries) = retries.filter(|_| self.state.registry.has_thing(thing)) {
            self.enqueue(id, thing, retries);
        }
    }

    /// After an execution has ended or gone: the job may be complete, or be given up. A report that ends the last open
    /// execution completes the job and does not abort it.
    pub(crate) fn settle(&mut self, id: &JobId) {
        let Some(job) = self.state.jobs.get_mut(id) else { return };
        if !job.is_running() {
            return;
        }
        let all_handed_out = job.ended || (!job.continuous && job.waiting.is_empty());
        if all_handed_out && job.counts.open() == 0 {
            self.stop_rollout(id);
            let Some(job) = self.state.jobs.get_mut(id) else { return };
            job.status = JobStatus::Completed;
            job.completed_at = Some(self.now);
            job.last_updated_at = self.now;
            self.job_event(id, JobEvent::Completed);
        } else if let Some(comment) = job.abort_reason() {
            let reason_code = Some("ABORT_CANCEL".to_owned());
            self.cancel_job(id, Cancellation { force: false, reason_code, comment: Some(comment) });
        }
    }

    pub(crate) fn time_out(&mut self, thing: &ThingName, job: &JobId, number: ExecutionNumber) {
        let now = self.now;
        self.change(job, thing, number, |execution| {
            execution.end(ExecutionStatus::TimedOut, now);
        });
    }

    /// Cancels a job: what is queued, and with force what is in progress.
    pub(crate) fn cancel_job(&mut self, id: &JobId, cancellation: Cancellation) {
        self.stop_rollout(id);
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
        let Some(execution) = numbers.remove(number) else { return };
        if numbers.is_empty() {
            job.executions.remove(thing);
        }
        job.counts.subtract(execution.status);
        if let Some(alarm) = execution.alarm(thing, id, number) {
            timers.clear(&alarm);
        }
        if let Some(queue) = queues.get_mut(thing) {
            queue.remove(&execution.place(id, number));
            if queue.is_empty() {
                queues.remove(thing);
            }
        }
        if job.part_of(&execution).is_pending() {
            self.changes.set_changed(thing);
        }
        self.execution_deleted(id, thing, &execution);
    }

    /// Takes a job and all its executions away.
    pub(crate) fn delete_job(&mut self, id: &JobId) {
        self.stop_rollout(id);
        self.job_event(id, JobEvent::DeletionInProgress);
        let Some(job) = self.state.jobs.get(id) else { return };
        let executions = job.executions.iter();
        let all: Vec<(ThingName, ExecutionNumber)> = executions
            .flat_map(|(thing, numbers)| numbers.iter().map(|(number, _)| (thing.clone(), *number)))
            .collect();
        for (thing, number) in all {
            self.drop_execution(id, &thing, number);
        }
        self.job_event(id, JobEvent::Deleted);
        self.state.jobs.remove(id);
        let arn = self.arn(format_args!("job/{id}"));
        self.state.tags.remove(&arn);
    }
}
