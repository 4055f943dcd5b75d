//! Messages of any content, one after the other, into an agent whose other events come as they would.
//!
//! The input is a list of records, each ended by a record separator (0x1e). The first byte of a record says where the
//! rest goes: a letter stands for a topic or for another event. `"@"` in a payload is the token of the agent's last
//! question, without which no answer counts. The fuzzer (`fuzz/`) calls [`run`] with whatever it likes.

#![cfg_attr(
    test,
    expect(
        clippy::disallowed_methods,
        reason = "the ban is for the crate; its test reads inputs from files"
    )
)]

use agent_core::journal::State;
use agent_core::{
    Agent, BootId, BootTime, Captured, Effect, Ending, Event, Found, Progress, Settings, StepOutcome,
};
use jobs_protocol::ThingName;

/// More effects than one event can have.
const MOST_EFFECTS: usize = 50;

pub(crate) fn run(data: &[u8]) {
    let mut world = World::new();
    for record in data.split(|byte| *byte == 0x1e).take(64) {
        let Some((kind, rest)) = record.split_first() else { continue };
        world.hears(*kind, rest);
    }
}

struct World {
    agent: Agent,
    now: BootTime,
    running: Vec<agent_core::RunId>,
    started: Vec<agent_core::RunId>,
    token: String,
    job: String,
    over: bool,
}

impl World {
    fn new() -> Self {
        let thing = ThingName::try_from("t1").expect("a valid name");
        let mut world = Self {
            agent: Agent::new(Settings::new(thing), State::default(), BootId::from("this".to_owned()), 7),
            now: BootTime::from_millis(1_000),
            running: Vec::new(),
            started: Vec::new(),
            token: String::new(),
            job: "j".to_owned(),
            over: false,
        };
        let effects = world.agent.start(world.now);
        world.perform(effects);
        world.happens(Event::LinkUp);
        world
    }

    fn hears(&mut self, kind: u8, rest: &[u8]) {
        if self.over {
            return;
        }
        let topic = match kind {
            b'n' => "notify-next".to_owned(),
            b'l' => "notify".to_owned(),
            b'N' => "$next/get/accepted".to_owned(),
            b'L' => "get/accepted".to_owned(),
            b'r' => "get/rejected".to_owned(),
            b'R' => "$next/get/rejected".to_owned(),
            b'D' => format!("{}/get/accepted", self.job),
            b'd' => format!("{}/get/rejected", self.job),
            b'U' => format!("{}/update/accepted", self.job),
            b'u' => format!("{}/update/rejected", self.job),
            b't' => {
                self.pass(rest.first().copied().unwrap_or(60));
                return;
            }
            b'e' => {
                self.end(rest);
                return;
            }
            b'q' => {
                self.happens(Event::StopRequested);
                return;
            }
            b'-' => {
                self.happens(Event::LinkDown);
                return;
            }
            b'+' => {
                self.happens(Event::LinkUp);
                return;
            }
            _ => String::from_utf8_lossy(&rest[..rest.len().min(64)]).into_owned(),
        };
        let payload = String::from_utf8_lossy(rest).replace("\"@\"", &self.token).into_bytes();
        // Bytes that are no text go in as they are.
        let payload = if std::str::from_utf8(rest).is_ok() { payload } else { rest.to_vec() };
        self.happens(Event::Message { topic: format!("$aws/things/t1/jobs/{topic}"), payload });
    }

    fn pass(&mut self, seconds: u8) {
        let end = self.now.after(std::time::Duration::from_secs(u64::from(seconds) * 10));
        let mut turns = 0;
        while let Some(deadline) = self.agent.deadline().filter(|deadline| *deadline <= end) {
            turns += 1;
            assert!(turns < 10_000, "it spins");
            self.now = self.now.max(deadline);
            self.happens(Event::DeadlineReached);
        }
        self.now = end;
    }

    fn end(&mut self, how: &[u8]) {
        let Some(run) = self.running.pop() else { return };
        let ending = match how.first() {
            None | Some(b'0') => Ending::Exited { code: 0 },
            Some(b's') => Ending::Killed { signal: 11 },
            Some(b'l') => Ending::Lost,
            Some(code) => Ending::Exited { code: i32::from(*code) },
        };
        let tail = String::from_utf8_lossy(how).into_owned();
        let captured = || Captured { head: tail.clone(), tail: tail.clone(), bytes: 9, lines: 1 };
        let outcome = StepOutcome {
            ending,
            stdout: captured(),
            stderr: captured(),
            left_behind: 0,
            progress: Progress::default(),
        };
        self.happens(Event::StepEnded { run, outcome });
    }

    fn happens(&mut self, event: Event) {
        if self.over {
            return;
        }
        let effects = self.agent.on_event(event, self.now);
        self.perform(effects);
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        assert!(effects.len() < MOST_EFFECTS, "{effects:?}");
        for effect in effects {
            match effect {
                Effect::Publish { topic, payload } => {
                    let request: serde_json::Value =
                        serde_json::from_slice(&payload).expect("it speaks JSON");
                    let rest = topic.strip_prefix("$aws/things/t1/jobs/").expect("and of its own jobs only");
                    if let Some((job, "update" | "get")) = rest.split_once('/') {
                        if job != "$next" {
                            job.clone_into(&mut self.job);
                        }
                    }
                    self.token = request["clientToken"].to_string();
                }
                Effect::Inspect { execution, .. } => {
                    self.happens(Event::Inspected { execution, refused: None });
                }
                Effect::Start(run) => {
                    assert!(self.running.is_empty(), "one at a time");
                    assert!(!self.started.contains(&run.run), "never twice");
                    self.started.push(run.run.clone());
                    self.running.push(run.run);
                }
                Effect::Stop { run } => {
                    self.running.retain(|running| *running != run);
                    let outcome = StepOutcome {
                        ending: Ending::Stopped { killed: false },
                        stdout: Captured::default(),
                        stderr: Captured::default(),
                        left_behind: 0,
                        progress: Progress::default(),
                    };
                    self.happens(Event::StepEnded { run, outcome });
                }
                Effect::Adopt { run } => self.happens(Event::Adopted { run, found: Found::NeverStarted }),
                Effect::Exit | Effect::Reboot => self.over = true,
                Effect::Save(_) | Effect::Release { .. } => {}
            }
        }
    }
}

#[cfg(test)]
#[path = "../../../fuzz/kept.rs"]
mod kept;

#[test]
fn every_kept_input_passes() {
    kept::replay("messages", run);
}
