//! A board, its link and the service, in one thread and in virtual time.

mod agent_side;
mod service_side;
mod witness;

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use agent_core::journal::Verdict;
use agent_core::{Agent, BootTime, Ending, Event, ExecutionId, RunId};
use serde_json::{Value, json};
use service_core::{EpochMillis, Service};

use crate::dice::Dice;
use crate::disk::Board;
use crate::handlers::{Handlers, outcome};

const THING: &str = "t1";
const START: u64 = 1_720_000_000_000;
const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
/// The agent's own rate for what handlers say.
const PROGRESS_INTERVAL: u64 = 30 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// What the document of a step with less time than the others says.
const SHORT_STEP: u64 = MINUTE;
/// A handler is stopped when no more than this is left of the service's own timer: a minute as its margin, the grace
/// period, and seconds that were cut off.
const STOPPED_BEFORE: i64 = 75;
/// The local limit of a step in this world.
const STEP_LIMIT: u64 = HOUR;
/// For so long a change may be unknown to the part of the service that answers a read.
const LAG: u64 = 5 * SECOND;
/// Messages are this late at most. What goes over the wire names an execution by job id and number alone, and by the
/// second of its queueing at best: what is older than a namesake of its execution could be taken for that one's, and
/// nothing on the device's side could tell. So a name is given anew only after this time.
pub(crate) const LATEST: u64 = 2 * MINUTE;
/// A step is attempted so often at most.
pub(crate) const MOST_ATTEMPTS: u32 = 3;
/// More work than this at one moment is a loop.
const MOST_AT_ONE_MOMENT: u32 = 500;

/// Kinds of ends of handlers, beside those that are told by their number alone.
const REBOOTS: u8 = 5;
const PULLS_THE_PLUG: u8 = 6;

/// How badly the world behaves, in times per thousand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    pub(crate) lose: u64,
    pub(crate) repeat: u64,
    pub(crate) delay: u64,
    /// Notifications that are never sent.
    pub(crate) mute: u64,
    /// Reads that are answered by a replica which lags behind, and updates that it refuses.
    pub(crate) stale: u64,
    /// Requests that are refused for reasons of the service's own.
    pub(crate) refuse: u64,
    /// Per effect: the agent is gone before it.
    pub(crate) crash: u64,
    /// Jobs that have the machine restarted.
    pub(crate) reboots: u64,
}

pub(crate) const CALM: Weather =
    Weather { lose: 0, repeat: 0, delay: 0, mute: 0, stale: 0, refuse: 0, crash: 0, reboots: 0 };

/// How much of a world's story is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Telling {
    Nothing,
    Everything,
}

/// An execution as the service lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) job: String,
    pub(crate) queued_at: i64,
    pub(crate) status: String,
}

/// Something that will happen.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Coming {
    ToService { link: u64, topic: String, payload: Vec<u8> },
    ToAgent { link: u64, topic: String, payload: Vec<u8> },
    LinkUp { life: u64 },
    AgentStarts,
    HandlerReports { run: RunId, number: u64 },
    HandlerEnds { run: RunId, kind: u8, stderr_lines: u64 },
    HandlerIsStopped { run: RunId, killed: bool },
    MachineRestarts { boot: u64 },
    RebootFails { life: u64 },
}

pub(crate) struct World {
    pub(crate) dice: Dice,
    pub(crate) weather: Weather,
    pub(crate) now: u64,
    booted: u64,
    /// Counts the boots of the machine.
    pub(crate) boots: u64,
    /// How often the agent was killed between two of its effects.
    pub(crate) crashes: u64,
    /// How often the power went in the middle of a write.
    pub(crate) cut_writes: u64,
    pub(crate) service: Service,
    /// The service before its last change, and when that was.
    replica: (Service, u64),
    /// Until then it refuses everything.
    overloaded_until: u64,
    agent: Option<Agent>,
    /// Counts the lives of the agent: news for an earlier one reach nobody.
    life: u64,
    /// Counts the connections: so do messages of an earlier one.
    link: u64,
    link_is_up: bool,
    board: Board,
    pub(crate) handlers: Handlers,
    coming: BinaryHeap<std::cmp::Reverse<(u64, u64, Coming)>>,
    order: u64,
    jobs: u64,
    /// When the executions of each job were queued, in seconds.
    created: BTreeMap<String, Vec<i64>>,
    /// Executions, by job and second of queueing, that the service has agreed to be in progress.
    agreed: BTreeSet<(String, i64)>,
    /// Those that the agent has heard of in this life.
    heard_of: BTreeSet<(String, i64)>,
    /// What the agent has decided, as saved.
    decided: BTreeMap<ExecutionId, Verdict>,
    /// When the local limit of each run is over.
    limits: BTreeMap<RunId, u64>,
    /// When an update with what a handler says was first sent in this life of the agent, and its token.
    told: (u64, String),
    /// When the agent has last told the service something of a job.
    spoken_of: BTreeMap<String, u64>,
    work_at: (u64, u32),
    pub(crate) telling: Telling,
    story: Vec<String>,
}

impl World {
    pub(crate) fn new(seed: u64, weather: Weather) -> Self {
        let mut service = Service::new(service_core::Settings::default());
        let made = service.control("CreateThing", json!({"thingName": THING}), EpochMillis(START));
        assert!(made.result.is_ok());
        let mut world = Self {
            dice: Dice::new(seed),
            weather,
            now: START,
            booted: START,
            boots: 1,
            crashes: 0,
            cut_writes: 0,
            replica: (service.clone(), START),
            overloaded_until: START,
            service,
            agent: None,
            life: 0,
            link: 0,
            link_is_up: false,
            board: Board::default(),
            handlers: Handlers::default(),
            coming: BinaryHeap::new(),
            order: 0,
            jobs: 0,
            created: BTreeMap::new(),
            agreed: BTreeSet::new(),
            heard_of: BTreeSet::new(),
            decided: BTreeMap::new(),
            limits: BTreeMap::new(),
            told: (0, String::new()),
            spoken_of: BTreeMap::new(),
            work_at: (0, 0),
            telling: Telling::Everything,
            story: vec![format!("seed {seed}")],
        };
        world.later(0, Coming::AgentStarts);
        world
    }

    // What a test does to the world.

    /// Creates a job of some kind; its name says which.
    pub(crate) fn create_job(&mut self) -> String {
        self.jobs += 1;
        let kind = match self.dice.between(0, 10) {
            _ if self.dice.per_mille(self.weather.reboots) => {
                ["reboot", "plug", "again"][self.dice.between(0, 3) as usize]
            }
            0 => "bad",
            1 => "missing",
            2 => "tolerant",
            3 | 4 => "steps",
            _ => "flat",
        };
        let job = format!("{kind}-{}", self.jobs);
        self.create_job_named(&job);
        job
    }

    /// Whether an update that the agent has sent for a job may still be under way.
    pub(crate) fn is_spoken_of(&self, job: &str) -> bool {
        self.spoken_of.get(job).is_some_and(|at| self.now - at <= LATEST)
    }

    /// Creates a job with that name; refused if there is one.
    pub(crate) fn create_job_named(&mut self, job: &str) {
        let document = match job.split('-').next() {
            Some("bad") => json!({"operation": 5}),
            Some("missing") => json!({"operation": "missing"}),
            Some("tolerant") => json!({"operation": "h", "allowStdErr": 1}),
            Some(kind @ ("steps" | "plug")) => {
                let second = if kind == "plug" { kind } else { "h" };
                let mut steps = [step("h"), step(second), step("h")];
                if self.dice.per_mille(400) {
                    let short = self.dice.between(0, 3) as usize;
                    steps[short]["action"]["timeoutSeconds"] = json!(SHORT_STEP / SECOND);
                }
                json!({"version": "1.0", "steps": steps, "finalStep": step("h")})
            }
            // Asks for a reboot; reboots the machine itself and is then done, or is then run again.
            Some(kind @ ("reboot" | "again")) => json!({"operation": kind}),
            _ => json!({"operation": "h", "args": ["x"]}),
        };
        let mut params = json!({"jobId": job, "targets": [format!("arn:aws:iot:us-east-1:123456789012:thing/{THING}")],
            "document": document.to_string()});
        if self.dice.per_mille(250) {
            params["timeoutConfig"] = json!({"inProgressTimeoutInMinutes": self.dice.between(1, 30)});
        }
        self.control("CreateJob", &params);
    }

    /// An operation of the control plane; its refusal is part of life.
    pub(crate) fn control(&mut self, operation: &str, params: &Value) -> Option<Value> {
        self.note_replica();
        let outcome = self.service.control(operation, params.clone(), EpochMillis(self.now));
        if let ("CreateJob", Ok(_), Some(job)) = (operation, &outcome.result, params["jobId"].as_str()) {
            let second = EpochMillis(self.now).seconds().0;
            self.created.entry(job.to_owned()).or_default().push(second);
        }
        self.tell(|| {
            format!("{operation} {params}: {}", if outcome.result.is_ok() { "done" } else { "refused" })
        });
        for message in outcome.publications {
            self.send(&message);
        }
        outcome.result.ok()
    }

    pub(crate) fn cut_link(&mut self) {
        if self.link_is_up {
            self.tell(|| "the link is cut".to_owned());
            self.link_is_up = false;
            self.link += 1;
            self.event(Event::LinkDown);
        }
        let wait = match self.dice.between(0, 20) {
            0 => self.dice.between(HOUR, 3 * DAY),
            1..4 => self.dice.between(5 * MINUTE, HOUR),
            _ => self.dice.between(SECOND, 5 * MINUTE),
        };
        self.later(wait, Coming::LinkUp { life: self.life });
    }

    /// Another client with the same name takes the connection, and the agent takes it back, again and again.
    pub(crate) fn is_taken_over(&mut self, times: u64) {
        for _ in 0..times {
            self.cut_link();
            let wait = self.dice.between(100, 20 * SECOND);
            self.later(wait, Coming::LinkUp { life: self.life });
            let until_next = self.dice.between(wait, wait + 20 * SECOND);
            self.passes(until_next);
        }
    }

    /// The service has too much to do, and refuses everything for so long.
    pub(crate) fn is_overloaded(&mut self, millis: u64) {
        self.tell(|| format!("the service refuses everything for {} s", millis / SECOND));
        self.overloaded_until = self.now + millis;
    }

    /// The agent is killed; handlers go on with their keepers.
    pub(crate) fn crash(&mut self) {
        if self.agent.take().is_some() {
            self.tell(|| "the agent is killed".to_owned());
            self.link_is_up = false;
            self.link += 1;
            self.life += 1;
            self.heard_of.clear();
            self.told = (0, String::new());
            let wait = self.dice.between(100, 10 * MINUTE);
            self.later(wait, Coming::AgentStarts);
        }
    }

    /// Everything on the board ends at once; the boot clock begins anew.
    pub(crate) fn cut_power(&mut self) {
        for run in self.handlers.running() {
            self.handlers.end(&run, &mut outcome(Ending::Interrupted, 0), self.boots);
        }
        self.boots += 1;
        let boots = self.boots;
        self.tell(|| format!("the machine goes down; boot {boots}"));
        self.booted = self.now;
        let all_is_there = self.dice.per_mille(500);
        self.board.power_returns(all_is_there);
        if self.agent.is_some() {
            self.crash();
        }
    }

    /// The power is cut and takes the agent's memory with it.
    pub(crate) fn lose_journal(&mut self) {
        self.cut_power();
        self.tell(|| "the journal is lost".to_owned());
        self.board.lose();
        self.decided.clear();
    }

    /// A keeper is killed; its handler goes with it.
    pub(crate) fn kill_keeper(&mut self) {
        for run in self.handlers.running() {
            self.end_handler(&run, outcome(Ending::Lost, 0));
        }
    }

    /// The board sleeps: the time goes on, the service works on, and nothing on the board happens until it wakes.
    pub(crate) fn sleeps(&mut self, millis: u64) {
        self.tell(|| format!("the board sleeps for {} s", millis / SECOND));
        let until = self.now + millis;
        while let Some(at) = self.service.deadline().map(|at| at.0).filter(|at| *at <= until) {
            self.now = self.now.max(at);
            for message in self.service.on_deadline(EpochMillis(self.now)) {
                self.send(&message);
            }
        }
        self.now = until;
    }

    pub(crate) fn passes(&mut self, millis: u64) {
        let until = self.now + millis;
        while self.step(until) {}
        self.now = until;
    }

    /// No more faults: the link heals, nobody is killed. Then as much time as it takes, up to ten days.
    pub(crate) fn settle(&mut self) {
        self.weather = CALM;
        if self.agent.is_some() && !self.link_is_up {
            self.later(SECOND, Coming::LinkUp { life: self.life });
        }
        for _ in 0..240 {
            self.passes(HOUR);
            if self.open_executions().is_empty() && self.handlers.running().is_empty() {
                self.passes(HOUR);
                return;
            }
        }
    }

    // What a test asks of it.

    /// Every execution that the service knows.
    pub(crate) fn executions(&mut self) -> Vec<Listed> {
        let params = json!({"thingName": THING, "maxResults": 250});
        let listed = self.service.control("ListJobExecutionsForThing", params, EpochMillis(self.now)).result;
        let listed = listed.expect("the thing is there");
        let summaries = listed["executionSummaries"].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().expect("a string").to_owned();
        let read = |one: &Value| Listed {
            job: text(&one["jobId"]),
            queued_at: one["jobExecutionSummary"]["queuedAt"].as_f64().expect("a time") as i64,
            status: text(&one["jobExecutionSummary"]["status"]),
        };
        summaries.iter().map(read).collect()
    }

    pub(crate) fn open_executions(&mut self) -> Vec<Listed> {
        let mut open = self.executions();
        open.retain(|listed| ["QUEUED", "IN_PROGRESS"].contains(&listed.status.as_str()));
        open
    }

    pub(crate) fn decided(&self) -> impl Iterator<Item = (&ExecutionId, &Verdict)> {
        self.decided.iter()
    }

    /// The last part of what has happened, for people; with `FLEETHAND_STORY=TEXT` of the lines with that text.
    pub(crate) fn story(&self) -> String {
        let wanted = std::env::var("FLEETHAND_STORY").unwrap_or_default();
        let lines: Vec<&str> =
            self.story.iter().map(String::as_str).filter(|line| line.contains(&wanted)).collect();
        lines[lines.len().saturating_sub(400)..].join("\n")
    }

    // How it goes on.

    fn tell(&mut self, line: impl FnOnce() -> String) {
        if self.telling == Telling::Nothing {
            return;
        }
        let seconds = (self.now - START) / 1000;
        self.story.push(format!("{seconds:>7}.{:03} {}", self.now % 1000, line()));
    }

    fn later(&mut self, millis: u64, what: Coming) {
        self.order += 1;
        self.coming.push(std::cmp::Reverse((self.now + millis, self.order, what)));
    }

    fn boot_time(&self) -> BootTime {
        BootTime::from_millis(self.now - self.booted)
    }

    /// The next thing that happens until then.
    fn step(&mut self, until: u64) -> bool {
        let agent = self.agent.as_ref().and_then(Agent::deadline).map(|at| self.booted + at.as_millis());
        let service = self.service.deadline().map(|at| at.0);
        let coming = self.coming.peek().map(|next| next.0.0);
        let Some(at) = [agent, service, coming].into_iter().flatten().min().filter(|at| *at <= until) else {
            return false;
        };
        self.now = self.now.max(at);
        self.count_work();
        if coming == Some(at) {
            let next = self.coming.pop().expect("it was just looked at").0.2;
            self.happens(next);
        } else if service == Some(at) {
            for message in self.service.on_deadline(EpochMillis(self.now)) {
                self.send(&message);
            }
        } else {
            self.event(Event::DeadlineReached);
            let next = self.agent.as_ref().and_then(Agent::deadline);
            assert!(
                next.is_none_or(|next| next > self.boot_time()),
                "the agent spins: {next:?}\n{}",
                self.story()
            );
        }
        true
    }

    fn count_work(&mut self) {
        if self.work_at.0 != self.now {
            self.work_at = (self.now, 0);
        }
        self.work_at.1 += 1;
        assert!(self.work_at.1 < MOST_AT_ONE_MOMENT, "too much at one moment\n{}", self.story());
    }

    fn happens(&mut self, what: Coming) {
        match what {
            Coming::ToService { link, topic, payload } => {
                // A message that was on its way when the link was cut may have arrived, or not.
                if link == self.link || self.dice.per_mille(500) {
                    self.service_hears(link, &topic, &payload);
                }
            }
            Coming::ToAgent { link, topic, payload } => {
                if link == self.link && self.link_is_up {
                    self.tell(|| format!("  agent hears {topic} {}", String::from_utf8_lossy(&payload)));
                    self.note_news(&payload);
                    self.event(Event::Message { topic, payload });
                }
            }
            Coming::LinkUp { life } => {
                if life == self.life && self.agent.is_some() && !self.link_is_up {
                    self.tell(|| "the link is up".to_owned());
                    self.link_is_up = true;
                    self.event(Event::LinkUp);
                }
            }
            Coming::AgentStarts => self.agent_starts(),
            Coming::HandlerReports { run, number } => {
                if let Some(progress) = self.handlers.report(&run, format!("at {number}")) {
                    self.tell(|| format!("handler {run} is at {number}"));
                    self.event(Event::Reported { run, progress });
                }
            }
            Coming::HandlerEnds { run, kind, stderr_lines } => {
                let ending = match kind {
                    0 => Ending::Exited { code: 0 },
                    1 => Ending::Exited { code: 3 },
                    2 => Ending::Killed { signal: 9 },
                    3 => Ending::CouldNotStart { reason: "no interpreter".to_owned() },
                    REBOOTS => Ending::Exited { code: 194 },
                    PULLS_THE_PLUG => {
                        if self.handlers.running().contains(&run) {
                            self.cut_power();
                        }
                        return;
                    }
                    _ => Ending::TimedOut { killed: false },
                };
                self.end_handler(&run, outcome(ending, stderr_lines));
            }
            Coming::MachineRestarts { boot } => {
                if boot == self.boots {
                    self.cut_power();
                }
            }
            Coming::RebootFails { life } => {
                if life == self.life {
                    self.event(Event::RebootFailed { reason: "not permitted".to_owned() });
                }
            }
            Coming::HandlerIsStopped { run, killed } => {
                self.end_handler(&run, outcome(Ending::Stopped { killed }, 0));
            }
        }
    }
}

fn step(name: &str) -> Value {
    json!({"action": {"name": name, "type": "runHandler", "input": {"handler": name, "path": "default"}}})
}
