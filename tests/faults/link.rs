//! A link that fails in every way, and a service that does not answer. Whatever is lost on the way, every job comes to
//! its right end, and its handler has run once.

mod frozen;
mod half_open;
mod messages;

use std::time::Duration;

use serde_json::json;
use testkit::{Board, Desk, Proxy, eventually};

use crate::board::{flat, install_patient, keepers, lines, lives, log};
use crate::start;

const THING: &str = "board";

/// Connections that break off one after the other, before one lasts.
const BREAKS: usize = 2;

#[test]
fn a_connection_that_breaks_off_in_the_middle_of_anything_costs_nothing() {
    // Handshake, CONNACK, SUBACK, the answers and notifications of a job: a few thousand bytes from the service.
    let places: Vec<usize> = (1..=24).map(|part| part * 170).collect();
    std::thread::scope(|scope| {
        for some in places.chunks(3) {
            scope.spawn(move || {
                for bytes in some {
                    let scene = Scene::set();
                    scene.proxy.break_after(Some(*bytes));
                    scene.create("j");
                    let _daemon = start(&scene.board);
                    let what = format!("breaks after {bytes} bytes");
                    eventually(
                        &what,
                        || log(&scene.board),
                        || (scene.proxy.connections() >= BREAKS || scene.is_over("j")).then_some(()),
                    );
                    scene.proxy.break_after(None);
                    // One that has not come to its place yet would break off at any later time.
                    scene.proxy.cut();
                    scene.succeeds("j");
                    assert_eq!(scene.runs(), ["j"], "{what}");
                }
            });
        }
    });
}

#[test]
fn a_link_that_is_gone_while_a_handler_runs_costs_no_report() {
    let scene = Scene::set();
    let _daemon = start(&scene.board);
    scene.create("j");
    scene.wait_for_run("j");
    scene.lose_link();
    scene.end_handler();
    assert_eq!(scene.desk.execution(THING, "j").status, "IN_PROGRESS");
    scene.proxy.refuse(false);
    scene.succeeds("j");
    scene.next_job_runs();
}

#[test]
fn a_daemon_that_is_killed_while_the_link_is_gone_reports_in_its_next_life() {
    let scene = Scene::set();
    let daemon = start(&scene.board);
    scene.create("j");
    scene.wait_for_run("j");
    scene.lose_link();
    scene.end_handler();
    daemon.kill();
    // A life in which nobody can be told.
    let daemon = start(&scene.board);
    let asked = scene.proxy.connections();
    let more = || (scene.proxy.connections() > asked).then_some(());
    eventually("an attempt to connect", || log(&scene.board), more);
    daemon.kill();
    scene.proxy.refuse(false);
    let _daemon = start(&scene.board);
    scene.succeeds("j");
    scene.next_job_runs();
}

#[test]
fn a_daemon_that_starts_without_a_network_takes_the_job_when_there_is_one() {
    let scene = Scene::set();
    scene.proxy.refuse(true);
    scene.create("j");
    scene.let_go();
    let _daemon = start(&scene.board);
    let more = || (scene.proxy.connections() > 1).then_some(());
    eventually("a second attempt to connect", || log(&scene.board), more);
    assert_eq!(scene.desk.execution(THING, "j").status, "QUEUED");
    scene.proxy.refuse(false);
    scene.succeeds("j");
    assert_eq!(scene.runs(), ["j"]);
}

#[test]
fn a_job_that_is_cancelled_while_the_link_is_gone_is_stopped_when_it_is_back() {
    let scene = Scene::set();
    let _daemon = start(&scene.board);
    scene.create("j");
    let handler = scene.wait_for_run("j");
    scene.lose_link();
    scene.desk.cancel_by_force("j");
    assert!(lives(&handler), "nobody can know of it yet");
    scene.proxy.refuse(false);
    eventually("the end of the handler", || log(&scene.board), || (!lives(&handler)).then_some(()));
    assert_eq!(scene.desk.execution(THING, "j").status, "CANCELED");
    scene.let_go();
    scene.next_job_runs();
}

#[test]
fn on_a_slow_link_a_job_comes_to_its_end() {
    let scene = Scene::set();
    scene.proxy.delay(Duration::from_millis(300));
    scene.let_go();
    scene.create("j");
    let _daemon = start(&scene.board);
    scene.succeeds("j");
    scene.next_job_runs();
}

#[test]
fn a_link_that_stands_still_for_the_whole_handler_goes_on_where_it_was() {
    let scene = Scene::set();
    let _daemon = start(&scene.board);
    scene.create("j");
    scene.wait_for_run("j");
    scene.proxy.freeze(true);
    scene.end_handler();
    assert_eq!(scene.desk.execution(THING, "j").status, "IN_PROGRESS");
    scene.proxy.freeze(false);
    scene.succeeds("j");
    scene.next_job_runs();
}

/// A board whose way to the service is in the test's hands.
struct Scene {
    /// Before the service, which it leads to.
    proxy: Proxy,
    desk: Desk,
    board: Board,
}

impl Scene {
    fn set() -> Self {
        let desk = Desk::start(&[THING]);
        let proxy = Proxy::to(&desk);
        let mut board = Board::new(&desk, THING);
        board.configure("", "port", json!(proxy.port()));
        install_patient(&board);
        Self { proxy, desk, board }
    }

    fn create(&self, job: &str) {
        self.desk.create_job(THING, job, &flat("patient", &[]));
    }

    /// Waits until the handler of a job has begun, and says where its process is to be seen.
    fn wait_for_run(&self, job: &str) -> std::path::PathBuf {
        let begun = || self.runs().iter().any(|run| run == job).then_some(());
        eventually("the begin of the handler", || log(&self.board), begun);
        let pid = || lines(&self.board, "pid").pop();
        std::path::Path::new("/proc").join(eventually("its number", || log(&self.board), pid))
    }

    /// Lets all handlers come to their end.
    fn let_go(&self) {
        std::fs::write(self.board.path().join("go"), "").expect("the directory is ours");
    }

    /// Lets the handler that runs come to its end, and waits until nobody keeps it any more.
    fn end_handler(&self) {
        self.let_go();
        let gone = || keepers(&self.board).is_empty().then_some(());
        eventually("the end of the handler", || log(&self.board), gone);
    }

    /// The connection that there is breaks off, and no other one is made.
    fn lose_link(&self) {
        self.proxy.refuse(true);
        self.proxy.cut();
    }

    fn is_over(&self, job: &str) -> bool {
        self.let_go();
        self.desk.execution(THING, job).is_over()
    }

    fn runs(&self) -> Vec<String> {
        lines(&self.board, "runs")
    }

    fn succeeds(&self, job: &str) {
        let ended = self.desk.wait_until_over(THING, job);
        assert_eq!(
            (&*ended.status, ended.detail("stdout")),
            ("SUCCEEDED", "done\n"),
            "{ended:?}\n{}",
            log(&self.board)
        );
    }

    /// Another job runs, and only that.
    fn next_job_runs(&self) {
        let before = self.runs();
        self.create("next");
        self.succeeds("next");
        assert_eq!(self.runs(), [before, vec!["next".to_owned()]].concat());
    }
}
