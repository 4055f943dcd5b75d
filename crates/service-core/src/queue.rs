//! What is next for a thing: its pending executions, in the service's order.
//!
//! All IN_PROGRESS come first, then all QUEUED, each by the time it was queued; ties go by creation
//! (developer guide; captures confirm the tie). The queue knows places only: what stands there belongs to the job.

use std::collections::BTreeSet;

use jobs_protocol::{ExecutionNumber, JobId};

use crate::EpochMillis;

/// Where an execution stands, and which it is. Ordered by the time it was queued, then by creation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) queued_at: EpochMillis,
    /// Counts creations over the whole service: never the same for two executions, not even after a deletion.
    pub(crate) serial: u64,
    pub(crate) job: JobId,
    pub(crate) number: ExecutionNumber,
}

/// The executions of one thing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Queue {
    in_progress: BTreeSet<Place>,
    queued: BTreeSet<Place>,
    held: BTreeSet<Place>,
    finished: BTreeSet<Place>,
}

/// The part of the queue that an execution belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    InProgress,
    Queued,
    /// Queued, but outside the job's maintenance windows.
    Held,
    Finished,
}

impl Part {
    /// Whether a device sees it: the pending ones.
    pub(crate) const fn is_pending(self) -> bool {
        matches!(self, Self::InProgress | Self::Queued)
    }
}

impl Queue {
    /// The execution that `$next` means.
    pub(crate) fn front(&self) -> Option<&Place> {
        self.pending().next()
    }

    /// All that are pending, in order.
    pub(crate) fn pending(&self) -> impl Iterator<Item = &Place> {
        self.in_progress.iter().chain(&self.queued)
    }

    /// Every execution of the thing, in no order that means anything.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Place> {
        self.pending().chain(&self.held).chain(&self.finished)
    }

    /// Whether the thing has no execution at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.all().next().is_none()
    }

    /// Puts an execution into a part, and out of the others.
    pub(crate) fn put(&mut self, place: &Place, part: Part) {
        self.remove(place);
        self.part(part).insert(place.clone());
    }

    /// Takes an execution out.
    pub(crate) fn remove(&mut self, place: &Place) {
        for part in [Part::InProgress, Part::Queued, Part::Held, Part::Finished] {
            self.part(part).remove(place);
        }
    }

    fn part(&mut self, part: Part) -> &mut BTreeSet<Place> {
        match part {
            Part::InProgress => &mut self.in_progress,
            Part::Queued => &mut self.queued,
            Part::Held => &mut self.held,
            Part::Finished => &mut self.finished,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(queued_at: u64, serial: u64) -> Place {
        Place {
            queued_at: EpochMillis(queued_at),
            serial,
            job: JobId::try_from(format!("job{serial}")).unwrap(),
            number: ExecutionNumber::new(1),
        }
    }

    fn order(queue: &Queue) -> Vec<u64> {
        queue.pending().map(|place| place.serial).collect()
    }

    #[test]
    fn what_is_in_progress_comes_before_what_was_queued_earlier() {
        let mut queue = Queue::default();
        for serial in 1..=4 {
            queue.put(&place(10 * serial, serial), Part::Queued);
        }
        assert_eq!(order(&queue), [1, 2, 3, 4]);
        queue.put(&place(40, 4), Part::InProgress);
        queue.put(&place(20, 2), Part::InProgress);
        assert_eq!(order(&queue), [2, 4, 1, 3]);
        queue.put(&place(20, 2), Part::Finished);
        assert_eq!(order(&queue), [4, 1, 3]);
        assert_eq!(queue.all().count(), 4);
    }

    #[test]
    fn executions_queued_in_the_same_moment_keep_the_order_of_creation() {
        let mut queue = Queue::default();
        for serial in [3, 1, 2] {
            queue.put(&place(10, serial), Part::Queued);
        }
        assert_eq!(order(&queue), [1, 2, 3]);
        assert_eq!(queue.front().map(|place| place.serial), Some(1));
    }
}
