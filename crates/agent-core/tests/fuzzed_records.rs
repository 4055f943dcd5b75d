//! A journal of any content: what it amounts to is the same after it has been written anew, and an agent that begins with it
//! runs nothing that has run.
//!
//! The input is a list of records, each ended by a record separator (0x1e), as JSON; one that is not understood is
//! damage, as in the shell. The first byte of all says what the agent finds when it looks for a run. The fuzzer
//! (`fuzz/`) calls [`run`] with whatever it likes.

#![cfg_attr(
    test,
    expect(
        clippy::disallowed_methods,
        reason = "the ban is for the crate; its test reads inputs from files"
    )
)]

use std::time::Duration;

use agent_core::journal::{Record, State};
use agent_core::{Agent, BootId, BootTime, Effect, Event, Found, RunId, Settings};
use jobs_protocol::ThingName;

/// More effects than one event can have.
const MOST_EFFECTS: usize = 50;

pub(crate) fn run(data: &[u8]) {
    let Some((finding, rest)) = data.split_first() else { return };
    let mut state = State::default();
    for text in rest.split(|byte| *byte == 0x1e).take(64) {
        let record = serde_json::from_slice(text).unwrap_or(Record::Damaged);
        let again = serde_json::to_vec(&record).expect("a record is JSON");
        assert_eq!(serde_json::from_slice::<Record>(&again).expect("its own words"), record);
        state.apply(&record);
    }
    let anew = State::from_records(state.to_records());
    // Runs of an execution that was never accepted: no agent writes that, and nothing rests on them.
    if state.current().is_none_or(|current| current.document.is_some() || current.runs.is_empty()) {
        assert_eq!(anew, state, "written anew it is the same");
    }
    assert_eq!(State::from_records(anew.to_records()), anew, "and from then on");
    World::new(state, *finding).live();
}

struct World {
    agent: Agent,
    now: BootTime,
    finding: u8,
    /// What the journal knows to have been started.
    known: Vec<RunId>,
    over: bool,
}

impl World {
    fn new(state: State, finding: u8) -> Self {
        let runs = |state: &State| -> Vec<RunId> {
            state
                .current()
                .map(|current| current.runs.iter().map(|(run, _)| run.clone()).collect())
                .unwrap_or_default()
        };
        let known = runs(&state);
        let thing = ThingName::try_from("t1").expect("a valid name");
        let agent = Agent::new(Settings::new(thing), state, BootId::from("this".to_owned()), 7);
        Self { agent, now: BootTime::from_millis(1_000), finding, known, over: false }
    }

    fn live(mut self) {
        let effects = self.agent.start(self.now);
        self.perform(effects);
        self.happens(Event::LinkUp);
        let end = self.now.after(Duration::from_secs(3600));
        let mut turns = 0;
        while let Some(deadline) = self.agent.deadline().filter(|deadline| *deadline <= end && !self.over) {
            turns += 1;
            assert!(turns < 10_000, "it spins");
            self.now = self.now.max(deadline);
            self.happens(Event::DeadlineReached);
        }
        self.happens(Event::StopRequested);
    }

    fn happens(&mut self, event: Event) {
        if !self.over {
            let effects = self.agent.on_event(event, self.now);
            self.perform(effects);
        }
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        assert!(effects.len() < MOST_EFFECTS, "{effects:?}");
        for effect in effects {
            match effect {
                Effect::Adopt { run } => {
                    let found = if self.finding == b'r' {
                        Found::Running
                    } else {
                        // It may be started now: nothing of it has run.
                        self.known.retain(|known| *known != run);
                        Found::NeverStarted
                    };
                    self.happens(Event::Adopted { run, found });
                }
                Effect::Start(run) => {
                    assert!(!self.known.contains(&run.run), "never twice");
                    self.known.push(run.run);
                }
                Effect::Inspect { execution, .. } => {
                    self.happens(Event::Inspected { execution, refused: None });
                }
                Effect::Publish { payload, .. } => {
                    serde_json::from_slice::<serde_json::Value>(&payload).expect("it speaks JSON");
                }
                Effect::Exit | Effect::Reboot => self.over = true,
                Effect::Save(_) | Effect::Release { .. } | Effect::Stop { .. } => {}
            }
        }
    }
}

#[cfg(test)]
#[path = "../../../fuzz/kept.rs"]
mod kept;

#[test]
fn every_kept_input_passes() {
    kept::replay("records", run);
}
