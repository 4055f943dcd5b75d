//! What the agent and its handlers do in a world: every effect that the core asks for becomes something that happens,
//! or something that the world's weather makes of it.

use std::time::Duration;

use agent_core::journal::Record;
use agent_core::{AfterReboot, Agent, Effect, Event, HandlerPolicy, Refused, RunId, Settings, StepRun};
use jobs_protocol::ThingName;
use jobs_protocol::document::Action;

use super::{Coming, MINUTE, PULLS_THE_PLUG, REBOOTS, SECOND, SHORT_STEP, STEP_LIMIT, THING, World};
use crate::disk::Saved;

impl World {
    pub(super) fn agent_starts(&mut self) {
        if self.agent.is_some() {
            return;
        }
        self.tell(|| "the agent starts".to_owned());
        let mut settings = Settings::new(ThingName::try_from(THING).expect("a name"));
        settings.step_timeout = Duration::from_millis(STEP_LIMIT);
        let marks = [("plug", AfterReboot::NextStep), ("again", AfterReboot::SameStep)];
        for (handler, after) in marks {
            let policy = HandlerPolicy { after_reboot: Some(after), ..HandlerPolicy::default() };
            settings.handlers.insert(handler.to_owned(), policy);
        }
        let seed = self.dice.roll();
        let saved = self.board.open();
        let mut agent = Agent::new(settings, saved, format!("boot {}", self.boots).into(), seed);
        let effects = agent.start(self.boot_time());
        self.agent = Some(agent);
        self.perform(effects);
        let wait = self.dice.between(100, 10 * SECOND);
        self.later(wait, Coming::LinkUp { life: self.life });
    }

    pub(super) fn event(&mut self, event: Event) {
        let now = self.boot_time();
        if let Some(agent) = &mut self.agent {
            let effects = agent.on_event(event, now);
            self.perform(effects);
        }
    }

    pub(super) fn end_handler(&mut self, run: &RunId, mut outcome: agent_core::StepOutcome) {
        if self.handlers.end(run, &mut outcome, self.boots) {
            self.tell(|| format!("handler {run} ends: {:?}", outcome.ending));
            self.event(Event::StepEnded { run: run.clone(), outcome });
        }
    }

    pub(super) fn perform(&mut self, effects: Vec<Effect>) {
        let mut answers = Vec::new();
        for effect in effects {
            if self.agent.is_none() {
                return;
            }
            if self.dice.per_mille(self.weather.crash) {
                self.crashes += 1;
                return self.crash();
            }
            self.deed(effect, &mut answers);
        }
        for answer in answers {
            self.event(answer);
        }
    }

    pub(super) fn deed(&mut self, effect: Effect, answers: &mut Vec<Event>) {
        match effect {
            Effect::Save(record) => {
                let record = *record;
                self.tell(|| format!("saved {record:?}"));
                // A record of a flat job takes some hundred bytes, and a sync; a journal that is written anew more.
                let cut =
                    self.dice.per_mille(self.weather.crash / 2).then(|| self.dice.between(0, 900) as usize);
                if self.board.save(&record, cut) == Saved::CutOff {
                    self.tell(|| "  the power goes in the middle of that".to_owned());
                    self.cut_writes += 1;
                    return self.cut_power();
                }
                if let Record::Decided { execution, verdict, .. } = record {
                    self.decided.insert(execution, verdict);
                }
            }
            Effect::Publish { topic, payload } => {
                if let Some(job) = topic.strip_suffix("/update").and_then(|topic| topic.rsplit('/').next()) {
                    self.spoken_of.insert(job.to_owned(), self.now);
                }
                self.note_progress(&payload);
                let link = self.link;
                for delay in self.deliveries() {
                    let (topic, payload) = (topic.clone(), payload.clone());
                    self.later(delay, Coming::ToService { link, topic, payload });
                }
            }
            Effect::Inspect { execution, steps } => {
                let missing = format!("{steps:?}").contains("missing");
                let refused = missing.then(|| Refused { step: 0, reason: "not found".to_owned() });
                answers.push(Event::Inspected { execution, refused });
            }
            Effect::Start(run) => self.handler_starts(&run),
            Effect::Reboot => {
                self.tell(|| "the machine is told to restart".to_owned());
                let (boot, life) = (self.boots, self.life);
                match self.dice.between(0, 10) {
                    0 => self.later(self.now % SECOND, Coming::RebootFails { life }),
                    // Something keeps it up.
                    1 => {}
                    _ => {
                        let wait = self.dice.between(1, 2 * MINUTE);
                        self.later(wait, Coming::MachineRestarts { boot });
                    }
                }
            }
            Effect::Stop { run } => {
                self.tell(|| format!("stop {run}"));
                self.assert_may_be_stopped(&run);
                if self.handlers.begins_to_stop(&run) {
                    let killed = self.dice.per_mille(300);
                    let wait = self.dice.between(1, 10 * SECOND);
                    self.later(wait, Coming::HandlerIsStopped { run, killed });
                }
            }
            Effect::Adopt { run } => {
                let found = self.handlers.find(&run);
                answers.push(Event::Adopted { run: run.clone(), found });
                if let Some(progress) = self.handlers.reported(&run) {
                    answers.push(Event::Reported { run, progress });
                }
            }
            Effect::Release { run } => self.handlers.release(&run),
            Effect::Exit => panic!("nobody has asked it to end\n{}", self.story()),
        }
    }

    pub(super) fn handler_starts(&mut self, step: &StepRun) {
        let run = &step.run;
        self.tell(|| format!("handler {run} starts"));
        let others = self.handlers.running();
        assert!(others.is_empty(), "two handlers at once: {others:?} and {run}\n{}", self.story());
        self.assert_agreed(run);
        self.handlers.start(run, self.boots);
        let limit = step.time_limit.as_millis() as u64;
        assert!([SHORT_STEP, STEP_LIMIT].contains(&limit), "{limit} ms");
        self.limits.insert(run.clone(), self.now + limit);
        let ends = if self.dice.per_mille(100) { limit } else { self.dice.between(0, 10 * MINUTE) };
        let (ends, hangs) = (ends.min(limit), ends >= limit);
        let usual = [0, 0, 0, 0, 0, 1, 2, 3][self.dice.between(0, 8) as usize];
        let kind = match &step.step.action {
            _ if hangs => 4,
            Action::RunHandler { handler, .. } if handler == "reboot" && self.dice.per_mille(600) => REBOOTS,
            Action::RunHandler { handler, .. } if ["plug", "again"].contains(&handler.as_str()) => {
                [REBOOTS, PULLS_THE_PLUG, PULLS_THE_PLUG, usual][self.dice.between(0, 4) as usize]
            }
            Action::RunHandler { .. } | Action::RunCommand { .. } => usual,
        };
        let stderr_lines = [0, 0, 0, 1, 2][self.dice.between(0, 5) as usize];
        for number in 0..[0, 0, 1, 20][self.dice.between(0, 4) as usize] {
            let wait = self.dice.between(0, ends + 1);
            self.later(wait, Coming::HandlerReports { run: run.clone(), number });
        }
        self.later(ends, Coming::HandlerEnds { run: run.clone(), kind, stderr_lines });
    }
}
