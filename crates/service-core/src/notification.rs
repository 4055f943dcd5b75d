//! Which notifications a call causes: judged by comparing the pending lists before and after it.
//!
//! `notify` follows when the set of pending executions of a thing has changed, `notify-next` when another execution
//! stands at its front; a mere change of the front's status, details or version causes neither (captures; the guide's
//! walk-through). Comparing whole calls makes one change of many steps, such as a failure with a retry, one pair of
//! messages.

use std::collections::BTreeMap;

use jobs_protocol::limits::{PENDING_ENTRIES, PENDING_ENTRIES_IN_WINDOW};
use jobs_protocol::message::{JobExecutionSummary, Notify, NotifyNext, PendingByStatus};
use jobs_protocol::topic::JobsTopic;
use jobs_protocol::{ExecutionStatus, ThingName};
use serde::Serialize;

use crate::EpochMillis;
use crate::queue::Place;
use crate::service::{Message, Settings};
use crate::state::State;

/// What one call has changed.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    things: BTreeMap<ThingName, Change>,
    events: Vec<Message>,
}

#[derive(Debug)]
struct Change {
    front_before: Option<Place>,
    set_changed: bool,
}

impl Changes {
    /// To be called before the first change to a thing's queue: remembers what stood at its front.
    pub(crate) fn before(&mut self, state: &State, thing: &ThingName) {
        if !self.things.contains_key(thing) {
            let front_before = state.queues.get(thing).and_then(|queue| queue.front()).cloned();
            self.things.insert(thing.clone(), Change { front_before, set_changed: false });
        }
    }

    /// An execution has become pending, or is no longer.
    pub(crate) fn set_changed(&mut self, thing: &ThingName) {
        if let Some(change) = self.things.get_mut(thing) {
            change.set_changed = true;
        }
    }

    /// An event for whoever watches the fleet.
    pub(crate) fn event(&mut self, event: Message) {
        self.events.push(event);
    }

    /// The messages, thing by thing, `notify` before `notify-next`; events after them. A thing that is no longer
    /// registered gets none.
    pub(crate) fn into_messages(self, state: &State, settings: &Settings, now: EpochMillis) -> Vec<Message> {
        let mut messages = Vec::new();
        for (thing, change) in self.things {
            if !state.registry.has_thing(&thing) {
                continue;
            }
            if change.set_changed {
                messages.push(message(&thing, &JobsTopic::Notify, &list(state, &thing, now)));
            }
            let front = state.queues.get(&thing).and_then(|queue| queue.front());
            if front != change.front_before.as_ref() {
                messages.push(message(
                    &thing,
                    &JobsTopic::NotifyNext,
                    &next(state, settings, front, &thing, now),
                ));
            }
        }
        messages.extend(self.events);
        messages
    }
}

fn message(thing: &ThingName, topic: &JobsTopic, body: &impl Serialize) -> Message {
    Message { topic: topic.of(thing), payload: to_json(body) }
}

/// The JSON of one of our own message types.
pub(crate) fn to_json(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("message types have text keys and no fallible parts")
}

fn list(state: &State, thing: &ThingName, now: EpochMillis) -> Notify {
    let [in_progress, queued] = pending_lists(state, thing);
    Notify { timestamp: now.seconds(), jobs: PendingByStatus { in_progress, queued } }
}

fn next(
    state: &State,
    settings: &Settings,
    front: Option<&Place>,
    thing: &ThingName,
    now: EpochMillis,
) -> NotifyNext {
    let execution = front.and_then(|place| {
        let job = state.jobs.get(&place.job)?;
        let execution = job.execution(thing, place.number)?;
        Some(execution.describe(place, Some(job.document.for_device(settings, now)), now))
    });
    NotifyNext { timestamp: now.seconds(), execution }
}

/// The pending executions of a thing as they are listed: in progress, and queued; the first ten in all, or fifteen if
/// jobs with maintenance windows are among them.
pub(crate) fn pending_lists(state: &State, thing: &ThingName) -> [Vec<JobExecutionSummary>; 2] {
    let mut lists = [Vec::new(), Vec::new()];
    let places = || state.queues.get(thing).into_iter().flat_map(crate::queue::Queue::pending);
    let in_window = |place: &Place| state.jobs.get(&place.job).is_some_and(|job| job.schedule.has_windows());
    let more = places().take(PENDING_ENTRIES_IN_WINDOW).any(in_window);
    let limit = if more { PENDING_ENTRIES_IN_WINDOW } else { PENDING_ENTRIES };
    for place in places().take(limit) {
        let job = state.jobs.get(&place.job);
        if let Some(execution) = job.and_then(|job| job.execution(thing, place.number)) {
            let list = usize::from(execution.status == ExecutionStatus::Queued);
            lists[list].push(execution.summary(place));
        }
    }
    lists
}
