//! The agent is broken off before any of its effects, twice in every life of a job, and goes on with what it had
//! saved: no step is started once too often, and what is reported in the end is what happened.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use agent_core::journal::{Record, State};
use agent_core::{
    AfterReboot, Agent, BootId, BootTime, Captured, Effect, Ending, Event, Found, HandlerPolicy,
    OnInterruption, Progress, RunId, Settings, StepOutcome,
};
use jobs_protocol::ThingName;
use serde_json::{Value, json};

#[path = "../../testkit/src/figures.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    clippy::disallowed_methods,
    reason = "this crate's tests need no more of the testkit than to tell what they have counted"
)]
mod figures;
use figures::figure;

const PREFIX: &str = "$aws/things/t1/jobs/";
/// The exit code that asks for a reboot: of a step's first attempt, its second one exits 0.
const REBOOT: i32 = 194;
/// Far more events than any life of these jobs takes.
const MOST_EVENTS: usize = 600;

/// What a break does to the handler that runs at that moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Break {
    /// Only the agent is gone; the handler runs on.
    HandlerRunsOn,
    /// Only the agent is gone; the handler ends while nobody looks.
    HandlerEnds,
    /// The power is gone, and the handler with it.
    PowerCut,
}

#[test]
fn one_step() {
    break_everywhere(&steps(&[json!({})]), &[0], 1);
}

#[test]
fn one_step_that_fails() {
    break_everywhere(&steps(&[json!({})]), &[3], 1);
}

#[test]
fn two_steps() {
    break_everywhere(&steps(&[json!({}), json!({})]), &[0, 0], 1);
}

#[test]
fn a_step_whose_failure_is_ignored() {
    break_everywhere(&steps(&[json!({"ignoreStepFailure": true}), json!({})]), &[3, 0], 1);
}

#[test]
fn a_final_step() {
    let mut document = steps(&[json!({})]);
    document["finalStep"] = json!({"action": action("last", &json!({}))});
    break_everywhere(&document, &[0, 0], 1);
}

#[test]
fn steps_that_may_be_run_again() {
    break_everywhere(&steps(&[json!({"ignoreStepFailure": true}), json!({})]), &[0, 0], 2);
}

#[test]
fn a_step_that_asks_for_a_reboot_and_then_goes_on() {
    break_everywhere(&steps(&[json!({}), json!({})]), &[REBOOT, 0], 3);
}

#[test]
fn a_step_that_is_done_with_its_reboot() {
    break_everywhere_with(Some(AfterReboot::NextStep), &steps(&[json!({}), json!({})]), &[REBOOT, 0], 1);
}

#[test]
fn a_last_step_that_is_done_with_its_reboot() {
    break_everywhere_with(Some(AfterReboot::NextStep), &steps(&[json!({})]), &[REBOOT], 1);
}

#[test]
fn a_document_that_cannot_be_run() {
    break_everywhere(&json!({"operation": 7}), &[], 1);
}

/// Runs the document once without a break, and then with every pair of breaks.
fn break_everywhere(document: &Value, codes: &[i32], attempts: u32) {
    break_everywhere_with(None, document, codes, attempts);
}

fn break_everywhere_with(after_reboot: Option<AfterReboot>, document: &Value, codes: &[i32], attempts: u32) {
    let world = |kind| World::new(document, codes, attempts, after_reboot, kind);
    let length = world(Break::PowerCut).run(&[]);
    assert!(length >= 4, "the story is whole: {length} effects");
    let mut pairs = 0;
    for kind in [Break::HandlerRunsOn, Break::HandlerEnds, Break::PowerCut] {
        for first in 0..length {
            for second in first..length + 8 {
                world(kind).run(&[first, second]);
                pairs += 1;
            }
        }
    }
    figure("pairs of crash points of the core", pairs);
}

fn action(name: &str, members: &Value) -> Value {
    let mut action = json!({"name": name, "type": "runHandler", "input": {"handler": "handler"}});
    for (member, value) in members.as_object().into_iter().flatten() {
        action[member] = value.clone();
    }
    action
}

fn steps(members: &[Value]) -> Value {
    let steps: Vec<_> = members.iter().map(|members| json!({"action": action("step", members)})).collect();
    json!({"version": "1.0", "steps": steps})
}

/// One device, one job, and a service that knows that job only.
struct World {
    agent: Agent,
    settings: Settings,
    kind: Break,
    now: BootTime,
    journal: Vec<Record>,
    /// What is on its way to the agent.
    events: VecDeque<Event>,
    /// What is left of each run until it is released; none: it runs.
    runs: BTreeMap<RunId, Option<StepOutcome>>,
    /// The exit code of each step that is not disturbed.
    codes: Vec<i32>,
    attempts: u32,
    starts: Vec<RunId>,
    document: Value,
    status: &'static str,
    version: u64,
    reason: String,
    effects: usize,
    lives: u64,
    /// How often the machine has been started anew.
    boots: u64,
}

impl World {
    fn new(
        document: &Value,
        codes: &[i32],
        attempts: u32,
        after_reboot: Option<AfterReboot>,
        kind: Break,
    ) -> Self {
        let mut settings = Settings::new(ThingName::try_from("t1").expect("a valid name"));
        let rerun = attempts > 1 && !codes.contains(&REBOOT);
        let policy = HandlerPolicy {
            on_interruption: if rerun { OnInterruption::Rerun } else { OnInterruption::NeverRerun },
            max_attempts: attempts,
            after_reboot,
            ..HandlerPolicy::default()
        };
        settings.handlers.insert("handler".to_owned(), policy);
        Self {
            agent: Agent::new(settings.clone(), State::default(), boot_id(0), 0),
            settings,
            kind,
            now: BootTime::from_millis(1000),
            journal: Vec::new(),
            events: VecDeque::new(),
            runs: BTreeMap::new(),
            codes: codes.to_vec(),
            attempts,
            starts: Vec::new(),
            document: document.clone(),
            status: "QUEUED",
            version: 1,
            reason: String::new(),
            effects: 0,
            lives: 0,
            boots: 0,
        }
    }

    /// Lives until the job is over on both sides, broken off before the effects of these numbers. How many effects
    /// it took.
    fn run(mut self, breaks: &[usize]) -> usize {
        let mut breaks: VecDeque<usize> = breaks.iter().copied().collect();
        self.rebirth(&mut breaks);
        for _ in 0..MOST_EVENTS {
            let over = self.is_over_at_service() && self.agent.saved().current().is_none();
            let event = match self.events.pop_front() {
                Some(event) => event,
                None if over => {
                    self.check_the_end();
                    return self.effects;
                }
                None => {
                    self.now =
                        self.agent.deadline().unwrap_or_else(|| panic!("it sleeps for ever: {self:?}"));
                    Event::DeadlineReached
                }
            };
            let effects = self.agent.on_event(event, self.now);
            self.perform_all(effects, &mut breaks);
        }
        panic!("it comes to no end: {self:?}");
    }

    /// A new life with what was saved, and a new connection.
    fn rebirth(&mut self, breaks: &mut VecDeque<usize>) {
        self.events.clear();
        self.lives += 1;
        self.agent = Agent::new(self.settings.clone(), self.saved(), boot_id(self.boots), self.lives);
        let effects = self.agent.start(self.now);
        self.events.push_back(Event::LinkUp);
        self.perform_all(effects, breaks);
    }

    fn saved(&self) -> State {
        State::from_records(self.journal.iter().cloned())
    }

    fn perform_all(&mut self, effects: Vec<Effect>, breaks: &mut VecDeque<usize>) {
        for effect in effects {
            if breaks.front() == Some(&self.effects) {
                breaks.pop_front();
                self.break_off();
                return self.rebirth(breaks);
            }
            self.effects += 1;
            if matches!(effect, Effect::Reboot) {
                self.restart_machine();
                return self.rebirth(breaks);
            }
            self.perform(effect);
        }
    }

    fn break_off(&mut self) {
        for (run, outcome) in &mut self.runs {
            match self.kind {
                Break::HandlerEnds => {
                    outcome.get_or_insert_with(|| own_end(run, &self.codes));
                }
                Break::HandlerRunsOn | Break::PowerCut => {}
            }
        }
        if self.kind == Break::PowerCut {
            self.restart_machine();
        }
    }

    fn restart_machine(&mut self) {
        self.boots += 1;
        for outcome in self.runs.values_mut() {
            outcome.get_or_insert_with(|| ended(Ending::Interrupted));
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Save(record) => {
                let record = *record;
                // A break before that finds the handler still at work.
                if matches!(
                    record,
                    Record::StepEnded { .. } | Record::Rebooting { .. } | Record::Decided { .. }
                ) {
                    for (run, outcome) in &mut self.runs {
                        outcome.get_or_insert_with(|| own_end(run, &self.codes));
                    }
                }
                self.journal.push(record);
            }
            Effect::Publish { topic, payload } => self.serve(&topic, &payload),
            Effect::Inspect { execution, .. } => {
                self.events.push_back(Event::Inspected { execution, refused: None });
            }
            Effect::Start(step) => {
                let run = step.run;
                assert_eq!(self.status, "IN_PROGRESS", "started without the service: {self:?}");
                assert!(!self.starts.contains(&run), "{run} is started twice: {self:?}");
                let before = self.starts.iter().filter(|started| started.step == run.step).count();
                assert!(before < self.attempts as usize, "{run} is one attempt too many: {self:?}");
                assert!(self.runs.values().all(Option::is_some), "two at once: {self:?}");
                self.starts.push(run.clone());
                self.runs.insert(run.clone(), None);
                self.tell_the_end(run);
            }
            Effect::Stop { run } => panic!("nobody wants {run} to be stopped: {self:?}"),
            Effect::Adopt { run } => {
                let found = match self.runs.get(&run) {
                    None => Found::NeverStarted,
                    Some(Some(outcome)) => Found::Ended(outcome.clone()),
                    Some(None) => Found::Running,
                };
                let runs_on = found == Found::Running;
                self.events.push_back(Event::Adopted { run: run.clone(), found });
                if runs_on {
                    self.tell_the_end(run);
                }
            }
            Effect::Release { run } => {
                self.runs.remove(&run);
            }
            Effect::Reboot => unreachable!("it ends this life"),
            Effect::Exit => panic!("nobody has told it to end: {self:?}"),
        }
    }

    /// The handler ends after everything that is on its way now.
    fn tell_the_end(&mut self, run: RunId) {
        let outcome = own_end(&run, &self.codes);
        self.events.push_back(Event::StepEnded { run, outcome });
    }

    fn is_over_at_service(&self) -> bool {
        !matches!(self.status, "QUEUED" | "IN_PROGRESS")
    }

    /// The service: answers at once, and holds to the version.
    fn serve(&mut self, topic: &str, payload: &[u8]) {
        let topic = topic.strip_prefix(PREFIX).expect("it speaks of jobs only");
        let request: Value = serde_json::from_slice(payload).expect("it speaks JSON");
        let execution = json!({"jobId": "job-1", "status": self.status, "queuedAt": 1000, "lastUpdatedAt": 1000,
            "versionNumber": self.version, "executionNumber": 1, "jobDocument": self.document});
        let (end, mut answer) = match topic {
            "$next/get" | "job-1/get" if !self.is_over_at_service() => {
                ("accepted", json!({"execution": execution}))
            }
            "get" | "$next/get" => ("accepted", json!({})),
            "job-1/get" => ("rejected", json!({"code": "TerminalStateReached", "message": "over"})),
            "job-1/update" => self.update(&request),
            other => panic!("a request that no one knows: {other}"),
        };
        answer["clientToken"] = request["clientToken"].clone();
        let payload = serde_json::to_vec(&answer).expect("it is JSON");
        self.events.push_back(Event::Message { topic: format!("{PREFIX}{topic}/{end}"), payload });
    }

    fn update(&mut self, request: &Value) -> (&'static str, Value) {
        let refusal = if self.is_over_at_service() {
            Some("InvalidStateTransition")
        } else {
            (request["expectedVersion"] != self.version).then_some("VersionMismatch")
        };
        if refusal.is_none() {
            let known = ["IN_PROGRESS", "SUCCEEDED", "FAILED", "REJECTED"];
            let wanted = known.into_iter().find(|status| request["status"] == *status);
            self.status = wanted.expect("a status that a device may report");
            self.version += 1;
            request["statusDetails"]["reason"].as_str().unwrap_or_default().clone_into(&mut self.reason);
        }
        let state = json!({"status": self.status, "versionNumber": self.version});
        match refusal {
            None => ("accepted", json!({"executionState": state})),
            Some(code) => ("rejected", json!({"code": code, "message": "no", "executionState": state})),
        }
    }

    /// What the service has been told is what happened.
    fn check_the_end(&self) {
        assert!(self.lives > 1 || self.runs.is_empty(), "everything is released: {self:?}");
        if self.codes.is_empty() {
            assert_eq!((self.status, self.starts.len()), ("REJECTED", 0), "{self:?}");
            return;
        }
        let ignored = |index: usize| self.document["steps"][index]["action"]["ignoreStepFailure"] == true;
        let failing =
            (0..self.codes.len()).any(|index| ![0, REBOOT].contains(&self.codes[index]) && !ignored(index));
        if self.codes.contains(&REBOOT) && self.status == "SUCCEEDED" {
            assert!(self.boots > 0, "it never restarted: {self:?}");
        }
        match self.status {
            "SUCCEEDED" => {
                assert!(!failing, "{self:?}");
                for step in 0..self.codes.len() {
                    assert!(
                        self.starts.iter().any(|run| run.step as usize == step),
                        "left out {step}: {self:?}"
                    );
                }
            }
            "FAILED" => assert!(failing || self.reason.contains("interrupted"), "{self:?}"),
            other => panic!("{other} is no end of this story: {self:?}"),
        }
        if self.kind != Break::PowerCut {
            assert_eq!(self.status == "FAILED", failing, "a break of the agent changes no ending: {self:?}");
        }
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let records: Vec<_> = self.journal.iter().map(|record| format!("{record:.60?}")).collect();
        f.debug_struct("World")
            .field("kind", &self.kind)
            .field("effects", &self.effects)
            .field("service", &(self.status, self.version, &self.reason))
            .field("starts", &self.starts.iter().map(ToString::to_string).collect::<Vec<_>>())
            .field("left", &self.runs.keys().map(ToString::to_string).collect::<Vec<_>>())
            .field("agent", &self.agent.status())
            .field("journal", &records)
            .finish_non_exhaustive()
    }
}

fn own_end(run: &RunId, codes: &[i32]) -> StepOutcome {
    let code = codes[run.step as usize];
    ended(Ending::Exited { code: if code == REBOOT && run.attempt > 1 { 0 } else { code } })
}

fn boot_id(boots: u64) -> BootId {
    format!("boot {boots}").into()
}

fn ended(ending: Ending) -> StepOutcome {
    StepOutcome {
        ending,
        stdout: Captured::default(),
        stderr: Captured::default(),
        left_behind: 0,
        progress: Progress::default(),
    }
}
