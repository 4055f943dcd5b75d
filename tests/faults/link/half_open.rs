//! Connections that have died without a word: neither side hears of it, and nothing arrives any more.

use serde_json::json;
use testkit::eventually;

use super::{Scene, THING};
use crate::board::{lives, log};
use crate::start;

/// Far less than the default, so that a test need not wait a minute.
const KEEP_ALIVE: u64 = 3;

#[test]
fn the_report_of_a_job_finds_its_way_around_a_connection_that_has_died() {
    let scene = scene();
    let _daemon = start(&scene.board);
    scene.create("j");
    scene.wait_for_run("j");
    scene.proxy.abandon();
    scene.end_handler();
    scene.succeeds("j");
    scene.next_job_runs();
}

#[test]
fn a_job_that_is_created_while_the_connection_is_dead_is_found() {
    let scene = scene();
    let daemon = start(&scene.board);
    scene.create("first");
    scene.let_go();
    scene.succeeds("first");
    scene.proxy.abandon();
    scene.create("j");
    scene.succeeds("j");
    assert_eq!(scene.runs(), ["first", "j"]);
    assert!(daemon.log().contains("Not connected"), "somebody has to be told: {}", daemon.log());
}

#[test]
fn a_cancel_that_falls_into_a_dead_connection_is_noticed() {
    let scene = scene();
    let _daemon = start(&scene.board);
    scene.create("j");
    let handler = scene.wait_for_run("j");
    scene.proxy.abandon();
    scene.desk.cancel_by_force("j");
    eventually("the end of the handler", || log(&scene.board), || (!lives(&handler)).then_some(()));
    assert_eq!(scene.desk.execution(THING, "j").status, "CANCELED");
    scene.let_go();
    scene.next_job_runs();
}

#[test]
fn a_connection_that_dies_while_it_is_made_is_given_up() {
    let scene = scene();
    scene.let_go();
    scene.create("j");
    scene.proxy.freeze(true);
    let _daemon = start(&scene.board);
    let asked = || (scene.proxy.connections() > 0).then_some(());
    eventually("an attempt to connect", || log(&scene.board), asked);
    scene.proxy.abandon();
    scene.proxy.freeze(false);
    scene.succeeds("j");
    assert_eq!(scene.runs(), ["j"]);
}

fn scene() -> Scene {
    let mut scene = Scene::set();
    scene.board.configure("", "keep-alive-seconds", json!(KEEP_ALIVE));
    scene
}
