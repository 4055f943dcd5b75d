//! The agent's decisions against the service's, in one thread and in virtual time: a link that loses, repeats, delays
//! and reorders, an agent that is killed between any two effects, power cuts, cancels and time-outs at any moment.
//!
//! Each promise is a check by name. A failing seed prints its story. `FLEETHAND_WORLDS=100000` runs so many worlds
//! instead of the few that fit into every test run, `FLEETHAND_FIRST_SEED=n` with it others than those from 0 on;
//! `FLEETHAND_SEED=n` runs that one.

#![allow(
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a broken promise stops the test with its story"
)]

mod dice;
mod disk;
#[path = "../../crates/testkit/src/figures.rs"]
#[expect(
    unreachable_pub,
    dead_code,
    reason = "it is also a module of a crate, with more in it; this one is built without that crate"
)]
mod figures;
mod handlers;
mod world;

use std::collections::BTreeMap;
use std::panic::catch_unwind;
use std::sync::Mutex;
use std::time::Instant;

use agent_core::Ending;
use figures::figure;
use handlers::has_rebooted;
use jobs_protocol::{ExecutionStatus, ReportedStatus};
use serde_json::json;
use world::{CALM, LATEST, Listed, MOST_ATTEMPTS, Telling, Weather, World};

/// Worlds in an ordinary test run.
const WORLDS: u64 = 1500;

#[test]
fn the_promises_hold_in_every_world() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let seeds = match (number("FLEETHAND_SEED"), number("FLEETHAND_WORLDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, worlds) => {
            let first = number("FLEETHAND_FIRST_SEED").unwrap_or(0);
            first..first.saturating_add(worlds.unwrap_or(WORLDS))
        }
    };
    let begun = Instant::now();
    let seeds = Mutex::new(seeds);
    let all = Mutex::new(Seen::default());
    let work = || {
        loop {
            let next = seeds.lock().expect("no world holds it").next();
            let Some(seed) = next else { return };
            let lived = catch_unwind(|| live(seed, Telling::Nothing));
            // Telling takes longer than living: only a world that has gone wrong is lived once more, with its story.
            let mut world = lived.unwrap_or_else(|_| live(seed, Telling::Everything));
            all.lock().expect("no world holds it").add(&mut world);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let all = all.into_inner().expect("no world holds it");
    println!("{all:?} in {} s", begun.elapsed().as_secs());
    figure("worlds", all.worlds);
    figure("crashes of the agent in them", all.crashes);
    figure("power cuts in the middle of a write in them", all.power_cuts_in_a_write);
    figure("restarts of the machine in them", all.boots - all.worlds);
}

/// A world from its storm to its end, with every promise held against it.
fn live(seed: u64, telling: Telling) -> World {
    let mut world = stormy_world(seed, telling);
    world.settle();
    check(seed, &mut world);
    world
}

/// What has been in all the worlds together.
#[derive(Debug, Default)]
struct Seen {
    worlds: u64,
    crashes: u64,
    power_cuts_in_a_write: u64,
    boots: u64,
    executions: BTreeMap<String, u64>,
}

impl Seen {
    fn add(&mut self, world: &mut World) {
        self.worlds += 1;
        self.crashes += world.crashes;
        self.power_cuts_in_a_write += world.cut_writes;
        self.boots += world.boots;
        for listed in world.executions() {
            *self.executions.entry(listed.status).or_default() += 1;
        }
    }
}

/// A world in which everything succeeds must be one of them, or the checks would check nothing.
#[test]
fn in_a_calm_world_every_good_job_succeeds() {
    let mut world = World::new(2, CALM);
    for _ in 0..60 {
        world.create_job();
        world.passes(20_000);
    }
    world.settle();
    check(2, &mut world);
    let count =
        |world: &mut World, status: &str| world.executions().iter().filter(|it| it.status == status).count();
    assert!(
        count(&mut world, "SUCCEEDED") >= 5 && count(&mut world, "REJECTED") >= 2,
        "{:?}",
        world.executions()
    );
}

#[test]
fn in_a_calm_world_a_job_goes_on_after_its_reboots() {
    let (mut good, mut again) = (0, 0);
    for seed in 0..300 {
        let mut world = World::new(seed, CALM);
        let kind = ["reboot", "plug", "again"][(seed % 3) as usize];
        world.create_job_named(&format!("{kind}-1"));
        world.settle();
        check(seed, &mut world);
        good += usize::from(world.boots > 1 && statuses(&mut world) == ["SUCCEEDED"]);
        again += usize::from(world.handlers.attempts() > 2);
    }
    assert!(good > 15 && again > 15, "{good} succeeded after a reboot, {again} took three attempts");
}

#[test]
fn a_cancelled_execution_is_stopped_soon_and_its_end_is_not_reported() {
    for seed in 0..50 {
        let mut world = World::new(seed, CALM);
        let job = world.create_job();
        world.passes(15_000);
        if world.handlers.running().is_empty() {
            continue;
        }
        world.control("CancelJob", &json!({"jobId": job, "force": true}));
        world.passes(30_000);
        assert!(world.handlers.running().is_empty(), "seed {seed}\n{}", world.story());
        world.settle();
        assert_eq!(statuses(&mut world), ["CANCELED"], "seed {seed}: {job}");
    }
}

#[test]
fn the_agent_reports_a_time_out_itself_before_the_services_timer_ends_the_execution() {
    let mut seen = 0;
    for seed in 0..400 {
        let mut world = World::new(seed, CALM);
        let job = world.create_job();
        world.settle();
        let reported = world.decided().any(|(_, verdict)| {
            verdict.details.as_map().get("reason").is_some_and(|reason| reason.contains("timed out"))
        });
        if reported {
            seen += 1;
            assert_eq!(statuses(&mut world), ["FAILED"], "seed {seed}: {job}\n{}", world.story());
        }
        assert!(
            !world.executions().iter().any(|listed| listed.status == "TIMED_OUT"),
            "seed {seed}\n{}",
            world.story()
        );
    }
    assert!(seen > 10, "{seen} time-outs");
}

/// Whoever hears nothing has to ask.
#[test]
fn without_any_notification_a_queue_is_worked_off_without_long_pauses() {
    for seed in 0..30 {
        let mut world = World::new(seed, Weather { mute: 1000, ..CALM });
        for _ in 0..5 {
            world.create_job();
        }
        // Four steps of an hour at most each, and five jobs; what is asked for only every few hours comes too late.
        while !world.open_executions().is_empty() {
            let before = world.now;
            while world.handlers.running().is_empty() && !world.open_executions().is_empty() {
                world.passes(1000);
                assert!(world.now - before < 60_000, "seed {seed}: a pause\n{}", world.story());
            }
            while !world.handlers.running().is_empty() {
                world.passes(1000);
            }
        }
        check(seed, &mut world);
    }
}

fn statuses(world: &mut World) -> Vec<String> {
    world.executions().into_iter().map(|listed| listed.status).collect()
}

/// A seed's world after its storm.
fn stormy_world(seed: u64, telling: Telling) -> World {
    let mut dice = dice::Dice::new(seed ^ 0x5eed);
    let weather = Weather {
        lose: [0, 20, 100, 300][dice.between(0, 4) as usize],
        repeat: [0, 50, 200][dice.between(0, 3) as usize],
        delay: [0, 50, 300][dice.between(0, 3) as usize],
        mute: [0, 0, 100][dice.between(0, 3) as usize],
        stale: [0, 0, 200][dice.between(0, 3) as usize],
        refuse: [0, 0, 50, 300][dice.between(0, 4) as usize],
        crash: [0, 0, 10, 60][dice.between(0, 4) as usize],
        reboots: [0, 200, 500][dice.between(0, 3) as usize],
    };
    let mut world = World::new(seed, weather);
    world.telling = telling;
    let mut jobs: Vec<String> = Vec::new();
    for _ in 0..dice.between(5, 60) {
        let some_job = |dice: &mut dice::Dice, jobs: &[String]| match jobs.len() {
            0 => None,
            n => Some(jobs[dice.between(0, n as u64) as usize].clone()),
        };
        match dice.between(0, 22) {
            0..6 => jobs.push(world.create_job()),
            6 => world.cut_link(),
            7 => world.crash(),
            8 if dice.per_mille(300) => world.cut_power(),
            9 if dice.per_mille(300) => world.kill_keeper(),
            10 => {
                if let Some(job) = some_job(&mut dice, &jobs) {
                    world.control("CancelJob", &json!({"jobId": job, "force": dice.per_mille(500)}));
                }
            }
            11 => {
                if let Some(job) = some_job(&mut dice, &jobs) {
                    let params = json!({"jobId": job, "thingName": "t1", "force": dice.per_mille(500)});
                    world.control("CancelJobExecution", &params);
                }
            }
            12 => {
                if let Some(job) = some_job(&mut dice, &jobs) {
                    world.control("DeleteJob", &json!({"jobId": job, "force": true}));
                    if dice.per_mille(600) {
                        // The same id and number once more, for another execution.
                        world.passes(dice.between(LATEST, 2 * LATEST));
                        if !world.is_spoken_of(&job) {
                            world.create_job_named(&job);
                        }
                    }
                }
            }
            13 => world.passes(dice.between(1_000, 2 * 3_600_000)),
            14 if dice.per_mille(200) => world.lose_journal(),
            15 if dice.per_mille(300) => world.sleeps(dice.between(1_000, 4 * 3_600_000)),
            16 if dice.per_mille(300) => world.is_overloaded(dice.between(1_000, 3_600_000)),
            17 if dice.per_mille(300) => world.is_taken_over(dice.between(2, 12)),
            _ => world.passes(dice.between(1, 120_000)),
        }
    }
    world
}

fn check(seed: u64, world: &mut World) {
    never_stuck(seed, world);
    never_lying(seed, world);
    never_twice(seed, world);
    never_lost(seed, world);
    last_words_are_told(seed, world);
}

fn never_stuck(seed: u64, world: &mut World) {
    let open = world.open_executions();
    assert!(open.is_empty(), "seed {seed}: never stuck: {open:?}\n{}", world.story());
    let running = world.handlers.running();
    assert!(running.is_empty(), "seed {seed}: never stuck: handlers run on: {running:?}\n{}", world.story());
}

fn never_lying(seed: u64, world: &mut World) {
    for Listed { job, queued_at, status } in world.executions() {
        if status != "SUCCEEDED" {
            continue;
        }
        let outcomes = world.handlers.outcomes_of(&job, queued_at);
        let (steps, tolerated) = match job.split('-').next() {
            Some("steps" | "plug") => (4, u64::MAX),
            Some("tolerant") => (1, 1),
            _ => (1, 0),
        };
        let boots = world.boots;
        let passed = outcomes.values().filter(|(outcome, ended_in)| {
            // Only these handlers are done when the machine has restarted.
            let rebooted =
                job.starts_with("plug-") && has_rebooted(&job, &outcome.ending) && *ended_in < boots;
            (outcome.ending == (Ending::Exited { code: 0 }) || rebooted) && outcome.stderr.lines <= tolerated
        });
        assert_eq!(passed.count(), steps, "seed {seed}: never lying: {job}: {outcomes:?}\n{}", world.story());
    }
}

fn never_twice(seed: u64, world: &World) {
    let unwanted = world.handlers.unwanted(MOST_ATTEMPTS);
    assert!(unwanted.is_empty(), "seed {seed}: never twice: {unwanted:?}\n{}", world.story());
}

fn never_lost(seed: u64, world: &mut World) {
    let executions = world.executions();
    for (execution, verdict) in world.decided() {
        let is_meant =
            |it: &&Listed| it.job == execution.job.as_str() && it.queued_at == execution.queued_at.0;
        let Some(Listed { status, .. }) = executions.iter().find(is_meant) else { continue };
        let by_the_service = ["CANCELED", "TIMED_OUT", "REMOVED"].contains(&status.as_str());
        let as_decided = *status == ExecutionStatus::from(verdict.status).to_string();
        assert!(
            by_the_service || as_decided,
            "seed {seed}: never lost: {execution}: {status}\n{}",
            world.story()
        );
        assert_ne!(verdict.status, ReportedStatus::InProgress);
    }
}

/// What a handler has reported last of all is in the report of its success.
fn last_words_are_told(seed: u64, world: &World) {
    for (execution, verdict) in
        world.decided().filter(|(_, verdict)| verdict.status == ReportedStatus::Succeeded)
    {
        let outcomes = world.handlers.outcomes_of(execution.job.as_str(), execution.queued_at.0);
        let last =
            outcomes.values().filter_map(|(outcome, _)| outcome.progress.facts.get("progress")).next_back();
        let told = verdict.details.as_map().get("progress");
        assert_eq!(told, last, "seed {seed}: last words: {execution}\n{}", world.story());
    }
}
