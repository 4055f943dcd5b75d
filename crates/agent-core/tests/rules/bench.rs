//! An agent in virtual time, and a peer by hand: what the agent wants done is read as short lines.

use std::collections::BTreeMap;
use std::time::Duration;

use agent_core::journal::{Record, State};
use agent_core::{
    Agent, BootTime, Captured, Effect, Ending, Event, ExecutionId, Found, Progress, Refused, RunId, Settings,
    StepOutcome, StepRun,
};
use jobs_protocol::{EpochSeconds, ExecutionNumber, JobId, ThingName};
use serde_json::{Value, json};

pub(crate) const JOB: &str = "job-1";
pub(crate) const HOUR: Duration = Duration::from_secs(3600);
const PREFIX: &str = "$aws/things/t1/jobs/";
/// More deeds than this in one virtual second are spinning.
const MOST_DEEDS_A_SECOND: usize = 40;

pub(crate) struct Bench {
    pub(crate) agent: Agent,
    pub(crate) now: BootTime,
    pub(crate) journal: Vec<Record>,
    deeds: Vec<String>,
    /// The last request on each topic, by the part after `jobs/`.
    requests: BTreeMap<String, Value>,
    /// The runs that were started, in order.
    pub(crate) started: Vec<StepRun>,
    last_second: (u64, usize),
}

pub(crate) fn settings() -> Settings {
    Settings::new(ThingName::try_from("t1").expect("a valid name"))
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// An execution as the service offers it: number 1, queued at 1000.
pub(crate) fn offer(job: &str, version: u64, document: &Value) -> Value {
    json!({"jobId": job, "status": "QUEUED", "queuedAt": 1000, "lastUpdatedAt": 1000,
           "versionNumber": version, "executionNumber": 1, "jobDocument": document})
}

pub(crate) fn hello() -> Value {
    json!({"operation": "hello"})
}

/// A document of so many steps, each with these further members of its action.
pub(crate) fn steps(members: &[Value]) -> Value {
    let step = |(index, members): (usize, &Value)| {
        let mut action = json!({"name": format!("step-{}", index + 1), "type": "runHandler",
                                "input": {"handler": format!("handler-{}", index + 1)}});
        for (name, value) in members.as_object().into_iter().flatten() {
            action[name] = value.clone();
        }
        json!({"action": action})
    };
    json!({"version": "1.0", "steps": members.iter().enumerate().map(step).collect::<Vec<_>>()})
}

pub(crate) fn id_of(job: &str) -> ExecutionId {
    ExecutionId {
        job: JobId::try_from(job).expect("a valid id"),
        number: ExecutionNumber::new(1),
        queued_at: EpochSeconds(1000),
    }
}

pub(crate) fn outcome(ending: Ending, stderr: &str) -> StepOutcome {
    let captured = |tail: &str| Captured {
        head: String::new(),
        tail: tail.to_owned(),
        bytes: tail.len() as u64,
        lines: tail.lines().count() as u64,
    };
    StepOutcome {
        ending,
        stdout: captured("what it printed\n"),
        stderr: captured(stderr),
        left_behind: 0,
        progress: Progress::default(),
    }
}

pub(crate) fn exited(code: i32) -> StepOutcome {
    outcome(Ending::Exited { code }, "")
}

impl Bench {
    pub(crate) fn with(settings: Settings, saved: &[Record]) -> Self {
        Self::in_boot("first", settings, saved)
    }

    /// A life in that boot of the machine.
    pub(crate) fn in_boot(boot: &str, settings: Settings, saved: &[Record]) -> Self {
        let state = State::from_records(saved.iter().cloned());
        let mut bench = Self {
            agent: Agent::new(settings, state, boot.to_owned().into(), 11),
            now: BootTime::from_millis(5_000),
            journal: saved.to_vec(),
            deeds: Vec::new(),
            requests: BTreeMap::new(),
            started: Vec::new(),
            last_second: (0, 0),
        };
        let effects = bench.agent.start(bench.now);
        bench.take(effects);
        bench
    }

    /// Connected, and nothing is pending.
    pub(crate) fn idle_with(settings: Settings) -> Self {
        let mut bench = Self::with(settings, &[]);
        bench.happens(Event::LinkUp);
        bench.accepts("get", &json!({"inProgressJobs": [], "queuedJobs": []}));
        bench.accepts("$next/get", &json!({}));
        bench.deeds.clear();
        bench
    }

    pub(crate) fn idle() -> Self {
        Self::idle_with(settings())
    }

    /// The job has been offered, and its files are being looked at.
    pub(crate) fn offered(settings: Settings, document: &Value) -> Self {
        let mut bench = Self::idle_with(settings);
        bench.notify_next(&offer(JOB, 1, document));
        bench
    }

    /// The service is being told that the job is taken up.
    pub(crate) fn announcing(settings: Settings, document: &Value) -> Self {
        let mut bench = Self::offered(settings, document);
        assert_eq!(bench.deeds(), ["inspect job-1"]);
        bench.inspected(None);
        bench
    }

    /// The first step runs.
    pub(crate) fn running_with(settings: Settings, document: &Value) -> Self {
        let mut bench = Self::announcing(settings, document);
        bench.updated("IN_PROGRESS", 2);
        bench.deeds.clear();
        bench
    }

    pub(crate) fn running() -> Self {
        Self::running_with(settings(), &hello())
    }

    /// The handler has exited 0, and the report is on its way.
    pub(crate) fn reporting() -> Self {
        let mut bench = Self::running();
        bench.ends(exited(0));
        assert_eq!(bench.deeds(), ["save decided SUCCEEDED", "tell job-1 SUCCEEDED", "release job-1 0.1"]);
        bench
    }

    /// The job is over on both sides.
    pub(crate) fn finished() -> Self {
        let mut bench = Self::reporting();
        bench.updated("SUCCEEDED", 3);
        assert_eq!(bench.deeds(), ["save closed"]);
        bench
    }

    pub(crate) fn happens(&mut self, event: Event) {
        let effects = self.agent.on_event(event, self.now);
        self.take(effects);
        if let Some(deadline) = self.agent.deadline() {
            assert!(deadline > self.now, "wants to be woken at {deadline}, and it is {} already", self.now);
        }
    }

    /// Lets time pass; the agent is woken whenever it wants to be.
    pub(crate) fn passes(&mut self, span: Duration) {
        let end = self.now.after(span);
        while let Some(deadline) = self.agent.deadline().filter(|deadline| *deadline <= end) {
            self.now = deadline;
            self.happens(Event::DeadlineReached);
        }
        self.now = end;
    }

    /// What it has wanted done since the last look.
    pub(crate) fn deeds(&mut self) -> Vec<String> {
        std::mem::take(&mut self.deeds)
    }

    /// What it has told or asked the service since the last look.
    pub(crate) fn said(&mut self) -> Vec<String> {
        let mut deeds = self.deeds();
        deeds.retain(|deed| deed.starts_with("tell ") || deed.starts_with("ask "));
        deeds
    }

    /// The last request on `$aws/things/t1/jobs/...`.
    pub(crate) fn request(&self, topic: &str) -> &Value {
        self.requests.get(topic).unwrap_or_else(|| panic!("nothing was sent to {topic}"))
    }

    /// The last update, of whichever job.
    pub(crate) fn update(&self) -> &Value {
        self.request("job-1/update")
    }

    /// The text that was last reported under that key.
    pub(crate) fn detail(&self, key: &str) -> &str {
        self.update()["statusDetails"][key].as_str().unwrap_or_default()
    }

    pub(crate) fn hears(&mut self, topic: &str, payload: &Value) {
        self.hears_bytes(&format!("{PREFIX}{topic}"), &serde_json::to_vec(payload).expect("it is JSON"));
    }

    pub(crate) fn hears_bytes(&mut self, topic: &str, payload: &[u8]) {
        self.happens(Event::Message { topic: topic.to_owned(), payload: payload.to_vec() });
    }

    pub(crate) fn notify_next(&mut self, execution: &Value) {
        self.hears("notify-next", &json!({"timestamp": 1, "execution": execution}));
    }

    /// Answers the last request on that topic.
    pub(crate) fn accepts(&mut self, topic: &str, members: &Value) {
        self.answers(topic, "accepted", members);
    }

    pub(crate) fn rejects(&mut self, topic: &str, code: &str, state: Option<(&str, u64)>) {
        let mut members = json!({"code": code, "message": "because"});
        if let Some((status, version)) = state {
            members["executionState"] = json!({"status": status, "versionNumber": version});
        }
        self.answers(topic, "rejected", &members);
    }

    fn answers(&mut self, topic: &str, end: &str, members: &Value) {
        let mut answer = members.clone();
        answer["clientToken"] = self.request(topic)["clientToken"].clone();
        answer["timestamp"] = json!(1);
        self.hears(&format!("{topic}/{end}"), &answer);
    }

    /// The service takes the last update.
    pub(crate) fn updated(&mut self, status: &str, version: u64) {
        let state = json!({"status": status, "versionNumber": version});
        self.accepts("job-1/update", &json!({"executionState": state}));
    }

    pub(crate) fn inspected(&mut self, refused: Option<Refused>) {
        self.happens(Event::Inspected { execution: id_of(JOB), refused });
    }

    /// The run that was started last ends.
    pub(crate) fn ends(&mut self, outcome: StepOutcome) {
        let run = self.started.last().expect("something has been started").run.clone();
        self.happens(Event::StepEnded { run, outcome });
    }

    pub(crate) fn adopted(&mut self, found: Found) {
        let run = RunId { execution: id_of(JOB), step: 0, attempt: 1 };
        self.happens(Event::Adopted { run, found });
    }

    fn take(&mut self, effects: Vec<Effect>) {
        let second = self.now.as_millis() / 1000;
        if self.last_second.0 != second {
            self.last_second = (second, 0);
        }
        self.last_second.1 += effects.len();
        assert!(self.last_second.1 <= MOST_DEEDS_A_SECOND, "spinning: {:?}", self.deeds);
        for effect in effects {
            let line = self.line(effect);
            self.deeds.push(line);
        }
    }

    fn line(&mut self, effect: Effect) -> String {
        let of = |run: &RunId| format!("{} {}.{}", run.execution.job, run.step, run.attempt);
        match effect {
            Effect::Save(record) => {
                let record = *record;
                let line = match &record {
                    Record::Accepted { .. } => "save accepted".to_owned(),
                    Record::StepStarting { run } => format!("save starting {}", of(run)),
                    Record::StepEnded { run, .. } => format!("save ended {}", of(run)),
                    Record::Rebooting { run, asked, .. } => format!("save rebooting {} ({asked})", of(run)),
                    Record::Decided { verdict, .. } => format!("save decided {}", verdict.status),
                    Record::Damaged => "save damaged".to_owned(),
                    Record::Closed(_) => "save closed".to_owned(),
                    Record::Dropped { .. } => "save dropped".to_owned(),
                };
                self.journal.push(record);
                line
            }
            Effect::Publish { topic, payload } => {
                let topic = topic.strip_prefix(PREFIX).expect("it speaks of jobs only").to_owned();
                let payload: Value = serde_json::from_slice(&payload).expect("it speaks JSON");
                let line = match topic.split_once('/') {
                    Some((job, "update")) => {
                        format!("tell {job} {}", payload["status"].as_str().unwrap_or("?"))
                    }
                    Some((what, _)) => format!("ask {what}"),
                    None => "ask list".to_owned(),
                };
                self.requests.insert(topic, payload);
                line
            }
            Effect::Inspect { execution, .. } => format!("inspect {}", execution.job),
            Effect::Start(run) => {
                let line = format!("start {}", of(&run.run));
                self.started.push(*run);
                line
            }
            Effect::Stop { run } => format!("stop {}", of(&run)),
            Effect::Adopt { run } => format!("adopt {}", of(&run)),
            Effect::Release { run } => format!("release {}", of(&run)),
            Effect::Reboot => "reboot".to_owned(),
            Effect::Exit => "exit".to_owned(),
        }
    }
}
