//! Everything the service knows, as plain data, and one call's grip on it.

use std::collections::{BTreeMap, BTreeSet};

use jobs_protocol::{JobId, ThingName};
use serde::{Deserialize, Serialize};

use crate::EpochMillis;
use crate::control::templates::Template;
use crate::credentials::Credentials;
use crate::event::Switches;
use crate::ids;
use crate::job::Job;
use crate::notification::Changes;
use crate::queue::Queue;
use crate::registry::Registry;
use crate::service::{Message, Settings};
use crate::timers::Timers;

/// What is kept between calls. What follows from the rest is not saved with it; see [`State::derive`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) registry: Registry,
    pub(crate) jobs: BTreeMap<JobId, Job>,
    /// Jobs with CONTINUOUS targets that are handed out: those that a change of a group concerns.
    #[serde(skip)]
    pub(crate) continuous: BTreeSet<JobId>,
    /// Kept for a thing as long as it has executions, registered or not.
    #[serde(skip)]
    pub(crate) queues: BTreeMap<ThingName, Queue>,
    #[serde(skip)]
    pub(crate) timers: Timers,
    pub(crate) switches: Switches,
    pub(crate) templates: BTreeMap<JobId, Template>,
    #[serde(default)]
    pub(crate) credentials: Credentials,
    /// By ARN.
    pub(crate) tags: BTreeMap<String, BTreeMap<String, String>>,
    serial: u64,
}

impl State {
    /// A number that was never given before.
    pub(crate) fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// Fills in what is not saved: queues, alarms, and which jobs follow their groups.
    pub(crate) fn derive(&mut self) {
        for (id, job) in &self.jobs {
            if job.follows_groups() {
                self.continuous.insert(id.clone());
            }
            for alarm in job.alarms(id) {
                self.timers.set(alarm);
            }
            for (thing, numbers) in &job.executions {
                for (number, execution) in numbers.iter() {
                    let queue = self.queues.entry(thing.clone()).or_default();
                    queue.put(&execution.place(id, *number), job.part_of(execution));
                    if let Some(alarm) = execution.alarm(thing, id, *number) {
                        self.timers.set(alarm);
                    }
                }
            }
        }
    }
}

/// One call at one moment: the state, and what the call has changed so far.
pub(crate) struct Turn<'a> {
    pub(crate) state: &'a mut State,
    pub(crate) settings: &'a Settings,
    pub(crate) changes: Changes,
    /// The content of the `documentSource` that the call names, as the shell has read it.
    pub(crate) fetched: Option<String>,
    pub(crate) now: EpochMillis,
}

impl<'a> Turn<'a> {
    pub(crate) fn new(state: &'a mut State, settings: &'a Settings, now: EpochMillis) -> Self {
        Self { state, settings, changes: Changes::default(), fetched: None, now }
    }

    /// What is to be published after the call.
    pub(crate) fn into_messages(self) -> Vec<Message> {
        self.changes.into_messages(self.state, self.settings, self.now)
    }

    /// A new id in the form of a UUID.
    pub(crate) fn new_uuid(&mut self) -> String {
        ids::uuid(self.settings.seed, self.state.next_serial())
    }

    /// The ARN of something in this account and region, such as `thing/t1`.
    pub(crate) fn arn(&self, resource: impl std::fmt::Display) -> String {
        format!("arn:aws:iot:{}:{}:{resource}", self.settings.region, self.settings.account)
    }
}
