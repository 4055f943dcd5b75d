//! Daemon and keeper killed at any moment, again and again, on several boards at once, with jobs of every kind in the
//! queue. The handlers count their runs in a file. No execution is lost, none runs twice, none beside another, every
//! one ends, and only the loss of its keeper may cost a handler its true report.
//!
//! The same once more on a link that fails in every way, with a service that loses, repeats, delays and refuses messages:
//! then a job takes its time, and still all of that holds.
//!
//! `FLEETHAND_KILLS=n` and `FLEETHAND_MIXES=n` ask for so many blows instead of the few of an ordinary test run,
//! `FLEETHAND_KILLS_SEED=n` and `FLEETHAND_MIXES_SEED=n` for another choice of moments and victims. A broken promise
//! prints the seed and the story of its board.

mod blow;
mod history;
mod job;

use std::os::unix::process::ExitStatusExt;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;
use testkit::{Board, Daemon, Desk, Proxy, eventually, figure};

use crate::board::{keepers, lines};
use crate::dice::Dice;
use crate::{number, start};
use blow::{Blow, Outage, disturbances};
use history::{History, NOTES};
use job::{Job, Kind};

/// Kills in an ordinary test run.
const KILLS: u64 = 40;

/// Kills and faults of the link in an ordinary test run.
const MIXES: u64 = 24;

/// So long a blow on a board behind a bad link waits for its moment: nothing may happen there for long.
const LONGEST_WAIT: Duration = Duration::from_secs(3);

/// Boards that are tormented side by side.
const BOARDS: u64 = 4;

/// Jobs that are always there to be worked on.
const QUEUE: usize = 3;

/// The longest pause before a blow, in milliseconds: about as long as a short job takes.
const LONGEST_PAUSE: u64 = 150;

#[test]
fn whatever_is_killed_no_execution_is_lost_none_runs_twice_and_every_one_ends() {
    let (kills, seed) = (number("FLEETHAND_KILLS", KILLS), number("FLEETHAND_KILLS_SEED", 1));
    let things: Vec<_> = (0..BOARDS).map(|board| format!("board-{board}")).collect();
    let desk = Desk::start(&things.iter().map(String::as_str).collect::<Vec<_>>());
    thread::scope(|scope| {
        for (board, thing) in (0..).zip(&things) {
            let desk = &desk;
            let blows = kills / BOARDS + u64::from(board < kills % BOARDS);
            let dice = Dice::new(seed.wrapping_mul(BOARDS) + board);
            scope.spawn(move || Torment::new(desk, thing, seed, dice).run(blows));
        }
    });
    figure("kills of the daemon or its keeper", kills);
}

#[test]
fn whatever_is_killed_behind_whatever_link_no_execution_is_lost_none_runs_twice_and_every_one_ends() {
    let (mixes, seed) = (number("FLEETHAND_MIXES", MIXES), number("FLEETHAND_MIXES_SEED", 1));
    thread::scope(|scope| {
        for board in 0..BOARDS {
            let blows = mixes / BOARDS + u64::from(board < mixes % BOARDS);
            let seed_of_board = seed.wrapping_mul(BOARDS) + board;
            scope.spawn(move || {
                let thing = format!("far-{board}");
                let desk = Desk::start(&[&thing]);
                desk.set_faults(disturbances(seed_of_board));
                Torment::new(&desk, &thing, seed, Dice::new(seed_of_board)).behind_a_link().run(blows);
            });
        }
    });
    figure("kills and faults of the link in random order", mixes);
}

/// When it is done.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// After a pause.
    After(Duration),
    /// When the next handler begins, or ends: at its next note.
    Note,
}

/// One board and what happens on it.
struct Torment<'a> {
    desk: &'a Desk,
    thing: &'a str,
    board: Board,
    /// What can fail between the board and the service.
    proxy: Option<Proxy>,
    dice: Dice,
    jobs: Vec<Job>,
    /// Runs whose keeper was killed, by their names.
    orphaned: Vec<String>,
    seed: u64,
    begin: Instant,
    story: Vec<String>,
}

impl<'a> Torment<'a> {
    fn new(desk: &'a Desk, thing: &'a str, seed: u64, dice: Dice) -> Self {
        let board = Board::new(desk, thing);
        job::install_handlers(&board);
        let (jobs, orphaned, story) = (Vec::new(), Vec::new(), Vec::new());
        let proxy = None;
        Self { desk, thing, board, proxy, dice, jobs, orphaned, seed, begin: Instant::now(), story }
    }

    fn behind_a_link(mut self) -> Self {
        let proxy = Proxy::to(self.desk);
        self.board.configure("", "port", json!(proxy.port()));
        // A connection that has died without a word is noticed within this time.
        self.board.configure("", "keep-alive-seconds", json!(2));
        self.proxy = Some(proxy);
        self
    }

    fn run(mut self, blows: u64) {
        let mut daemon = start(&self.board);
        for _ in 0..blows {
            self.fill_the_queue();
            let moment = self.moment();
            self.wait_for(moment, &daemon);
            let blow = self.blow();
            self.note(&format!("{blow:?}, {moment:?}"));
            daemon = self.strike(blow, daemon);
        }
        if let Some(proxy) = &self.proxy {
            Outage::Healed.befall(proxy);
            self.desk.set_faults(json!({ "rules": [] }));
            // Its next attempt to connect may be minutes away.
            daemon = self.strike(Blow::Daemon, daemon);
        }
        for job in 0..self.jobs.len() {
            let what = format!("the end of {}", self.jobs[job].id);
            eventually(
                &what,
                || self.tell(&daemon),
                || {
                    self.play_operator();
                    self.jobs[job].execution(self.desk, self.thing).is_over().then_some(())
                },
            );
        }
        // A handler that was cancelled last may still be on its way out.
        eventually(
            "the end of all keepers",
            || self.tell(&daemon),
            || keepers(&self.board).is_empty().then_some(()),
        );
        if let Err(broken) = self.check() {
            panic!("{broken}\n{}", self.tell(&daemon));
        }
    }

    fn fill_the_queue(&mut self) {
        let open = self.jobs.iter().filter(|job| !job.execution(self.desk, self.thing).is_over()).count();
        for _ in open..QUEUE {
            let kind = Kind::any(&mut self.dice);
            let id = format!("{}-{:04}", self.thing, self.jobs.len());
            let job = Job { id, kind };
            self.note(&format!("{} is created: {kind:?}", job.id));
            self.desk.create_job(self.thing, &job.id, &job.document(&mut self.dice));
            self.jobs.push(job);
        }
    }

    fn moment(&mut self) -> Moment {
        if self.dice.per_mille(400) {
            return Moment::Note;
        }
        Moment::After(Duration::from_millis(self.dice.between(0, LONGEST_PAUSE)))
    }

    fn blow(&mut self) -> Blow {
        if self.proxy.is_some() && self.dice.per_mille(600) {
            return Blow::Link(Outage::any(&mut self.dice));
        }
        Blow::any(&mut self.dice)
    }

    /// Lets the moment come; in the meantime the operator does what the jobs need.
    fn wait_for(&self, moment: Moment, daemon: &Daemon) {
        let from = Instant::now();
        let noted = || lines(&self.board, NOTES).len();
        let before = noted();
        eventually(
            "the moment of the next blow",
            || self.tell(daemon),
            || {
                self.play_operator();
                let come = match moment {
                    Moment::After(pause) => from.elapsed() >= pause,
                    // All that is left may be jobs that never run.
                    Moment::Note => {
                        let waited = self.proxy.is_some() && from.elapsed() >= LONGEST_WAIT;
                        noted() > before || waited || self.all_over()
                    }
                };
                come.then_some(())
            },
        );
    }

    fn all_over(&self) -> bool {
        self.jobs.iter().all(|job| job.execution(self.desk, self.thing).is_over())
    }

    /// Cancels the jobs that are there to be cancelled, once they run.
    fn play_operator(&self) {
        let notes = lines(&self.board, NOTES);
        for job in self.jobs.iter().filter(|job| job.kind == Kind::Cancelled) {
            let begun = notes.iter().any(|note| *note == format!("begin {} 0", job.id));
            if begun && !job.execution(self.desk, self.thing).is_over() {
                self.desk.cancel_by_force(&job.id);
            }
        }
    }

    fn strike(&mut self, blow: Blow, mut daemon: Daemon) -> Daemon {
        assert!(daemon.is_alive(), "it has ended by itself: {}", self.tell(&daemon));
        match blow {
            Blow::Daemon => daemon.kill(),
            Blow::DaemonTwice => {
                daemon.kill();
                let daemon = start(&self.board);
                thread::sleep(Duration::from_millis(self.dice.between(0, LONGEST_PAUSE)));
                daemon.kill();
            }
            Blow::Restart => {
                let log = daemon.log();
                let status = daemon.terminate();
                // One that has not begun yet is ended by the signal itself.
                let good = status.code() == Some(0) || status.signal() == Some(Signal::TERM.as_raw());
                assert!(good, "seed {}: {status}: {log}", self.seed);
            }
            Blow::Keeper => {
                self.kill_keepers();
                return daemon;
            }
            Blow::Link(outage) => {
                if let Some(proxy) = &self.proxy {
                    outage.befall(proxy);
                }
                return daemon;
            }
            Blow::Both => {
                self.kill_keepers();
                daemon.kill();
            }
        }
        start(&self.board)
    }

    fn kill_keepers(&mut self) {
        for keeper in keepers(&self.board) {
            self.note(&format!("the keeper of {} is killed", keeper.run));
            keeper.kill();
            self.orphaned.push(keeper.run);
        }
    }

    fn check(&self) -> Result<(), String> {
        let history = History::read(&self.board)?;
        for job in &self.jobs {
            let ended = job.execution(self.desk, self.thing);
            let orphaned = self.orphaned.iter().any(|run| run.contains(&job.id));
            job.check(&ended, orphaned, &history)
                .map_err(|broken| format!("{}: {broken}: {ended:?}", job.id))?;
        }
        history.one_at_a_time(|job| {
            let cancelled = self.jobs.iter().any(|one| one.id == job && one.kind == Kind::Cancelled);
            cancelled || self.orphaned.iter().any(|run| run.contains(job))
        })
    }

    fn note(&mut self, what: &str) {
        let line = format!("{:>7} ms  {what}", self.begin.elapsed().as_millis());
        self.story.push(line);
    }

    fn tell(&self, daemon: &Daemon) -> String {
        format!(
            "seed {} on {}\n--- story ---\n{}\n--- notes of the handlers ---\n{}\n--- log ---\n{}",
            self.seed,
            self.thing,
            self.story.join("\n"),
            lines(&self.board, NOTES).join("\n"),
            daemon.log()
        )
    }
}
