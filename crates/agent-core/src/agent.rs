//! The agent: composes the session, the cache, the execution in hand and the updates owed.
//!
//! Rules that hold everywhere here: save before speaking and before starting; start nothing that the service has not
//! agreed to; one execution at a time; what the service says of an execution is asked again before it is believed to
//! be over.

mod ignored;
mod intake;
mod offer;
mod progress;
mod reboot;
mod recovery;
mod work;

use std::time::Duration;

use jobs_protocol::document::{JobDocument, Step};
use jobs_protocol::message::{DescribeRequest, GetPendingRequest};
use jobs_protocol::topic::{JobSelector, JobsTopic, RequestTopic};
use jobs_protocol::{ReportedStatus, StatusDetails, VersionNumber};
use serde::Serialize;
use tracing::{info, warn};

use crate::backoff::Dice;
use crate::inquiry::Inquiry;
use crate::journal::{Record, State, Verdict};
use crate::outbox::Owed;
use crate::pending::Pending;
use crate::verdict::{Ended, step_at};
use crate::{BootId, BootTime, Effect, Event, ExecutionId, OnStop, RunId, Settings};
use ignored::Ignored;
use progress::News;
use reboot::Rebooting;

/// After this long without any news the front of the list is asked for; a notification may get lost.
const ASK_ANYWAY_EVERY: Duration = Duration::from_secs(6 * 60 * 60);
/// How long the announcement of the next execution is waited for before it is asked for.
const NEWS_WITHIN: Duration = Duration::from_secs(2);
/// When a run has gone on for so long the service is asked for its timers: short runs are spared the question.
const CHECK_AFTER: Duration = Duration::from_secs(20);
/// The step timer at the service outlives the local limit by this: a link loss alone must not end a good handler.
const TIMER_SLACK: Duration = Duration::from_secs(15 * 60);
/// A step timer that was set no longer ago than this is as good as new when the step starts.
const TIMER_IS_FRESH_FOR: Duration = Duration::from_secs(60);
/// The service's timers are asked for so long before what was heard of them ends a handler, if they have been set anew
/// since.
const ASK_BEFORE_LIMIT: Duration = Duration::from_secs(5 * 60);
/// The step timer is set anew this often while a handler runs.
const RENEW_EVERY: Duration = Duration::from_secs(24 * 60 * 60);
/// When told to end and to stop its handler, the agent waits for the end of it and for the answer of the service no
/// longer than this after the grace period.
const FAREWELL_WITHIN: Duration = Duration::from_secs(20);

/// The state machine of the agent. [`Self::start`] comes first, then events.
#[derive(Debug)]
pub struct Agent {
    settings: Settings,
    boot: BootId,
    dice: Dice,
    /// What the journal holds, record by record as it was given out to be saved.
    saved: State,
    link_up: bool,
    /// The link has been away since the service was last heard about the execution in hand. Its name may have been
    /// given to a new one meanwhile: nothing is told before the service has been asked.
    gap: bool,
    /// Handlers that run beside what is saved. As long as there is one, no other is started.
    strangers: Vec<String>,
    /// Set when the agent was told to end and waits for its handler: the moment to go anyway.
    leaving: Option<BootTime>,
    /// What a handler says is told no earlier.
    next_news_at: Option<BootTime>,
    /// And logged no earlier, at the level that all see.
    next_line_at: Option<BootTime>,
    /// Of messages that nothing is done for.
    ignored: Ignored,
    pending: Pending,
    /// `$next/get`.
    next: Inquiry,
    /// `get`.
    list: Inquiry,
    /// Describe of the execution in hand.
    doubt: Inquiry,
    work: Work,
}

/// What is in hand.
#[derive(Debug)]
enum Work {
    Idle,
    /// Could it be run? Nothing has been saved or said about it.
    Inspecting(Box<Candidate>),
    Busy(Box<Execution>),
}

/// An execution that may be accepted.
#[derive(Debug)]
struct Candidate {
    id: ExecutionId,
    version: VersionNumber,
    text: String,
    document: JobDocument,
}

/// The execution in hand.
#[derive(Debug)]
struct Execution {
    id: ExecutionId,
    version: VersionNumber,
    /// None if only its report is owed.
    document: Option<JobDocument>,
    ended: Vec<Ended>,
    owed: Option<Owed>,
    /// When the service has taken the last update, and with it a step timer.
    timer_set_at: Option<BootTime>,
    /// The last describe said that it is gone; it needs to say so twice.
    suspicion: bool,
    phase: Phase,
}

impl Execution {
    /// The step that runs.
    fn step(&self) -> Option<&Step> {
        let Phase::Running(running) = &self.phase else { return None };
        step_at(self.document.as_ref()?, running.run.step)
    }
}

#[derive(Debug)]
enum Phase {
    /// The service is being told IN_PROGRESS; when it has agreed, that step is started.
    Announcing {
        step: u32,
        attempt: u32,
    },
    /// A run of an earlier life is being looked for.
    Adopting {
        run: RunId,
        over_at_service: bool,
    },
    Running(Running),
    Rebooting(Rebooting),
    /// The end is saved and owed to the service.
    Reporting(Verdict),
}

#[derive(Debug)]
struct Running {
    run: RunId,
    stop: Option<StopCause>,
    /// When the service's own timer is about to end it.
    limit_at: Option<BootTime>,
    /// That was heard while the service was owed a new step timer, and may be about the one before.
    limit_outdated: bool,
    check_at: Option<BootTime>,
    renew_at: BootTime,
    news: News,
}

/// Why a running handler has been told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StopCause {
    OverAtService,
    ServiceTimer,
    AgentEnds,
}

type Effects = Vec<Effect>;

impl Agent {
    /// An agent that remembers what `saved` holds, in that boot of the machine. The seed must differ from start to start and from device to
    /// device: tokens and jitter come from it.
    #[must_use]
    pub fn new(settings: Settings, saved: State, boot: BootId, seed: u64) -> Self {
        Self {
            settings,
            boot,
            dice: Dice::new(seed),
            saved,
            link_up: false,
            gap: true,
            strangers: Vec::new(),
            leaving: None,
            next_news_at: None,
            next_line_at: None,
            ignored: Ignored::default(),
            pending: Pending::default(),
            next: Inquiry::default(),
            list: Inquiry::default(),
            doubt: Inquiry::default(),
            work: Work::Idle,
        }
    }

    /// Takes up what an earlier life has left. To be called once, before the first event.
    #[must_use]
    pub fn start(&mut self, now: BootTime) -> Vec<Effect> {
        let mut out = Effects::new();
        self.recover(now, &mut out);
        out
    }

    /// Advances the agent. The shell performs the effects one by one, in this order.
    #[must_use]
    pub fn on_event(&mut self, event: Event, now: BootTime) -> Vec<Effect> {
        let mut out = Effects::new();
        match event {
            Event::LinkUp => self.link_is_up(now),
            Event::LinkDown => self.link_is_down(now),
            Event::Message { topic, payload } => self.heard(&topic, &payload, now, &mut out),
            Event::Inspected { execution, refused } => self.inspected(&execution, refused, now, &mut out),
            Event::StepEnded { run, outcome } => self.step_ended(&run, outcome, now, &mut out),
            Event::Reported { run, progress } => self.reported(&run, progress, now),
            Event::Adopted { run, found } => self.adopted(&run, found, now, &mut out),
            Event::Strangers { running } => self.strangers_run(running, now, &mut out),
            Event::RebootFailed { reason } => self.reboot_failed(&reason, now, &mut out),
            Event::DeadlineReached => {}
            Event::StopRequested => self.stop_requested(now, &mut out),
        }
        self.keep_time(now, &mut out);
        self.speak(now, &mut out);
        // Nobody waits for the tidying up, and after the end nothing is done.
        out.sort_by_key(|effect| match effect {
            Effect::Release { .. } => 1,
            Effect::Exit => 2,
            Effect::Save(_)
            | Effect::Publish { .. }
            | Effect::Inspect { .. }
            | Effect::Start(_)
            | Effect::Stop { .. }
            | Effect::Adopt { .. }
            | Effect::Reboot => 0,
        });
        out
    }

    /// When [`Event::DeadlineReached`] is wanted, unless something else happens before.
    #[must_use]
    pub fn deadline(&self) -> Option<BootTime> {
        let mut moments = vec![self.leaving];
        if self.link_up {
            moments.extend([self.next.deadline(), self.list.deadline(), self.doubt.deadline()]);
        }
        if let Work::Busy(execution) = &self.work {
            if self.link_up && !self.gap {
                moments.push(execution.owed.as_ref().and_then(Owed::deadline));
            }
            match &execution.phase {
                Phase::Running(running) if running.stop != Some(StopCause::OverAtService) => {
                    moments.extend([running.limit_at.filter(|_| running.stop.is_none()), running.check_at]);
                    moments.push(Some(running.renew_at));
                    moments
                        .push(self.next_news_at.filter(|_| running.news.untold && self.can_tell_progress()));
                }
                Phase::Rebooting(rebooting) => moments.push(Some(rebooting.deadline())),
                Phase::Running(_)
                | Phase::Announcing { .. }
                | Phase::Adopting { .. }
                | Phase::Reporting(_) => {}
            }
        }
        moments.into_iter().flatten().min()
    }

    /// What it is doing, in a line for the operator.
    #[must_use]
    pub fn status(&self) -> String {
        let link = if self.link_up { "connected" } else { "not connected" };
        if let Some(name) = self.strangers.first() {
            return format!(
                "{link}; starting nothing until the handler of {name} has ended, which was told to"
            );
        }
        match &self.work {
            Work::Idle if self.pending.count() > 0 => format!("{link}; {} pending", self.pending.count()),
            Work::Idle => format!("{link}; idle"),
            Work::Inspecting(candidate) => format!("{link}; job {}: checking", candidate.id),
            Work::Busy(execution) => {
                let phase = match &execution.phase {
                    Phase::Announcing { .. } => "waiting for the service to agree".to_owned(),
                    Phase::Adopting { .. } => "looking for its handler".to_owned(),
                    Phase::Running(running) => match running.news.latest.in_short() {
                        Some(progress) => format!("running step {}: {progress}", running.run.step + 1),
                        None => format!("running step {}", running.run.step + 1),
                    },
                    Phase::Rebooting(_) => "waiting for the reboot that its handler has asked for".to_owned(),
                    Phase::Reporting(verdict) => format!("reporting {}", verdict.status),
                };
                format!("{link}; job {}: {phase}", execution.id)
            }
        }
    }

    /// What has been saved, for rewriting a journal that has grown.
    #[must_use]
    pub fn saved(&self) -> &State {
        &self.saved
    }

    fn save(&mut self, record: Record, out: &mut Effects) {
        self.saved.apply(&record);
        out.push(Effect::Save(Box::new(record)));
    }

    /// First of all the service is asked what it believes.
    fn link_is_up(&mut self, now: BootTime) {
        self.link_up = true;
        self.next.restart_at(now);
        self.list.restart_at(now);
        if let Work::Busy(execution) = &mut self.work {
            self.doubt.restart_at(now);
            if let Some(owed) = &mut execution.owed {
                owed.hurry(now);
            }
        }
    }

    fn link_is_down(&mut self, now: BootTime) {
        self.link_up = false;
        self.gap = true;
        self.pending.forget_next();
        for inquiry in [&mut self.next, &mut self.list, &mut self.doubt] {
            inquiry.link_lost(now);
        }
        if let Work::Busy(execution) = &mut self.work {
            if let Some(owed) = &mut execution.owed {
                owed.link_lost(now);
            }
        }
    }

    /// A handler that is marked for rebooting the machine is not stopped: it may be what the agent has to end for.
    fn stop_requested(&mut self, now: BootTime, out: &mut Effects) {
        if let Work::Busy(execution) = &mut self.work {
            let may_reboot =
                execution.step().is_some_and(|step| self.settings.policy_of(step).after_reboot.is_some());
            if let (OnStop::Terminate, None, false, Phase::Running(running)) =
                (self.settings.on_stop, self.leaving, may_reboot, &mut execution.phase)
            {
                info!(job = %execution.id, "Told to end: stopping the handler");
                if running.stop.is_none() {
                    running.stop = Some(StopCause::AgentEnds);
                    out.push(Effect::Stop { run: running.run.clone() });
                }
                self.leaving = Some(now.after(self.settings.grace).after(FAREWELL_WITHIN));
                return;
            }
        }
        out.push(Effect::Exit);
    }

    /// What follows from the time alone.
    fn keep_time(&mut self, now: BootTime, out: &mut Effects) {
        if self.leaving.is_some_and(|at| now >= at) {
            warn!(
                "Told to end: going without the answer of the service; it will be asked for after the next start"
            );
            self.leaving = None;
            out.push(Effect::Exit);
        }
        self.keep_reboot_time(now, out);
        let Work::Busy(execution) = &mut self.work else { return };
        let Phase::Running(running) = &mut execution.phase else { return };
        if running.stop == Some(StopCause::OverAtService) {
            return;
        }
        if running.check_at.is_some_and(|at| now >= at) {
            running.check_at = None;
            self.doubt.due_at(now);
        }
        if running.stop.is_none() && running.limit_at.is_some_and(|at| now >= at) {
            warn!(job = %execution.id, "The service is about to time the execution out: stopping the handler");
            running.stop = Some(StopCause::ServiceTimer);
            out.push(Effect::Stop { run: running.run.clone() });
        }
        if now >= running.renew_at {
            running.renew_at = now.after(RENEW_EVERY);
            let step = running.run.step;
            self.owe_progress(step, now);
        }
        self.keep_telling(now);
    }

    /// Sends what is due, if there is a link to send it over.
    fn speak(&mut self, now: BootTime, out: &mut Effects) {
        if !self.link_up {
            return;
        }
        if let Some(token) = self.next.poll(now, &mut self.dice, None) {
            let request = DescribeRequest { client_token: Some(token), ..DescribeRequest::default() };
            self.publish(RequestTopic::Describe(JobSelector::Next), &request, out);
        }
        if let Some(token) = self.list.poll(now, &mut self.dice, None) {
            self.publish(RequestTopic::GetPending, &GetPendingRequest { client_token: Some(token) }, out);
        }
        let Work::Busy(execution) = &mut self.work else {
            self.doubt.drop_it();
            return;
        };
        if self.gap {
            self.doubt.due_unless_set(now);
        }
        let id = execution.id.clone();
        let owed = execution.owed.as_mut().filter(|_| !self.gap);
        let update = owed.and_then(|owed| owed.poll(now, &mut self.dice));
        if let Some(token) = self.doubt.poll(now, &mut self.dice, None) {
            let request = DescribeRequest {
                execution_number: Some(id.number),
                include_job_document: Some(false),
                client_token: Some(token),
            };
            self.publish(RequestTopic::Describe(JobSelector::Job(id.job.clone())), &request, out);
        }
        if let Some(update) = update {
            self.publish(RequestTopic::Update(id.job), &update, out);
        }
    }

    fn publish(&self, request: RequestTopic, message: &impl Serialize, out: &mut Effects) {
        let topic = JobsTopic::Request(request).of(&self.settings.thing_name);
        let payload =
            serde_json::to_vec(message).expect("a request is strings and numbers under string keys");
        out.push(Effect::Publish { topic, payload });
    }

    /// Has the front of the list asked for at some time in any case.
    fn ask_anyway(&mut self, now: BootTime) {
        let early = self.dice.up_to(ASK_ANYWAY_EVERY / 4);
        self.next.put_off(now.after(ASK_ANYWAY_EVERY.saturating_sub(early)));
    }

    /// Owes the service a sign that the execution is at work, and a step timer that covers the step.
    fn owe_progress(&mut self, step: u32, now: BootTime) {
        self.owe_sign_of_life(step, StatusDetails::default(), Duration::ZERO, now);
    }

    /// The same with a line for the operator, and a step timer that is longer by so much.
    fn owe_progress_saying(&mut self, step: u32, text: &str, allowance: Duration, now: BootTime) {
        self.owe_sign_of_life(step, reboot::progress(text), allowance, now);
    }

    fn owe_sign_of_life(&mut self, step: u32, details: StatusDetails, allowance: Duration, now: BootTime) {
        let limit = self.limit_of(step).saturating_add(allowance);
        let Work::Busy(execution) = &mut self.work else { return };
        execution.owed = Some(Owed::new(
            execution.id.clone(),
            execution.version,
            ReportedStatus::InProgress,
            details,
            Some(work::timer_for(limit)),
            now,
            &mut self.dice,
        ));
    }
}
