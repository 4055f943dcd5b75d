//! The disk is full, can only be read, or breaks.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::json;
use testkit::eventually;

use super::{STORAGE, Scene, THING};
use crate::board::{lives, log};
use crate::mount::Mount;

#[test]
fn on_a_full_disk_nothing_is_begun_and_the_job_waits() {
    let scene = Scene::set();
    let Some(mount) = Mount::in_memory(&scene.state(), 1024) else { return };
    mount.fill();
    scene.create("j", "quick");
    scene.start_in_vain();
    assert_eq!(scene.desk.execution(THING, "j").status, "QUEUED");
    mount.free();
    let _daemon = scene.start();
    assert_eq!(scene.ended("j").status, "SUCCEEDED");
    assert_eq!(scene.runs(), ["j"]);
}

#[test]
fn on_a_disk_that_can_only_be_read_nothing_is_begun_and_the_job_waits() {
    let scene = Scene::set();
    let Some(mount) = Mount::in_memory(&scene.state(), 1024) else { return };
    for has_state in [false, true] {
        mount.set_read_only(true);
        let job = format!("j-{has_state}");
        scene.create(&job, "quick");
        scene.start_in_vain();
        assert_eq!(scene.desk.execution(THING, &job).status, "QUEUED");
        mount.set_read_only(false);
        let daemon = scene.start();
        assert_eq!(scene.ended(&job).status, "SUCCEEDED");
        assert_eq!(daemon.terminate().code(), Some(0));
    }
    assert_eq!(scene.runs(), ["j-false", "j-true"]);
}

#[test]
fn what_cannot_be_written_down_is_not_started() {
    let scene = Scene::set();
    let Some(mount) = Mount::in_memory(&scene.state(), 512) else { return };
    let mut daemon = scene.start_idle();
    // Once with no place for runs made ready yet, and once with one.
    for job in ["first", "second"] {
        mount.fill();
        scene.create(job, "quick");
        let ended = scene.ended(job);
        assert_eq!(ended.status, "FAILED", "{ended:?}");
        assert!(ended.detail("reason").contains("could not be started"), "{ended:?}");
        assert!(ended.detail("reason").contains("No space left"), "{ended:?}");
        mount.free();
        let good = format!("after-{job}");
        scene.create(&good, "quick");
        assert_eq!(scene.ended(&good).status, "SUCCEEDED", "{}", log(&scene.board));
    }
    assert!(daemon.is_alive());
    assert_eq!(scene.runs(), ["after-first", "after-second"]);
}

#[test]
fn a_disk_that_fills_up_while_a_handler_runs_costs_no_report() {
    let scene = Scene::set();
    let Some(mount) = Mount::in_memory(&scene.state(), 512) else { return };
    let daemon = scene.start();
    scene.create_patient("j");
    mount.fill();
    // Neither for this life of the daemon nor for the next one.
    daemon.kill();
    let _daemon = scene.start();
    scene.let_go();
    let ended = scene.ended("j");
    assert_eq!((&*ended.status, ended.detail("stdout")), ("SUCCEEDED", "done\n"), "{ended:?}");
    mount.free();
    scene.next_job_runs();
    assert_eq!(scene.runs(), ["j", "next"]);
}

#[test]
fn a_journal_that_cannot_grow_ends_the_daemon_and_no_job_is_lost_or_run_twice() {
    let scene = Scene::set();
    let Some(mount) = Mount::in_memory(&scene.state(), 512) else { return };
    let daemon = scene.start_idle();
    mount.fill();
    let jobs = ["j1", "j2", "j3", "j4"];
    for job in jobs {
        // The journal holds the document until the job is over.
        let document = json!({ "operation": "quick", "path": "default", "_comment": "x".repeat(30_000) });
        scene.desk.create_job(THING, job, &document.to_string());
    }
    // As a service manager does it.
    let mut daemon = daemon;
    for _ in 0..2 {
        assert_eq!(daemon.wait().code(), Some(STORAGE), "{}", log(&scene.board));
        daemon = scene.start();
    }
    assert_eq!(daemon.wait().code(), Some(STORAGE));
    assert_eq!(scene.runs(), [""; 0], "what runs has to be written down");
    mount.free();
    let _daemon = scene.start();
    let ended: Vec<_> = jobs.iter().map(|job| (*job, scene.ended(job))).collect();
    let good: Vec<_> =
        ended.iter().filter(|(_, ended)| ended.status == "SUCCEEDED").map(|(job, _)| *job).collect();
    assert!(good.contains(&"j4"), "{ended:?}");
    assert_eq!(scene.runs(), good, "{ended:?}");
    for (_, ended) in ended.iter().filter(|(job, _)| !good.contains(job)) {
        assert!(ended.detail("reason").contains("could not be started"), "{ended:?}");
    }
}

#[test]
fn on_a_disk_that_breaks_while_a_handler_runs_nothing_is_told_that_is_not_saved() {
    let scene = Scene::set();
    let disk = scene.board.path().join("disk");
    let Some(mut mount) = Mount::on_disk(&scene.state(), &disk) else { return };
    let mut daemon = scene.start();
    let handler = scene.create_patient("j");
    mount.fail();
    scene.let_go();
    assert_eq!(daemon.wait().code(), Some(STORAGE), "{}", log(&scene.board));
    eventually("the end of the handler", || log(&scene.board), || (!lives(&handler)).then_some(()));
    assert_eq!(scene.desk.execution(THING, "j").status, "IN_PROGRESS");
    scene.start_in_vain();

    mount.repair(&disk);
    let _daemon = scene.start();
    let ended = scene.ended("j");
    assert_eq!(ended.status, "FAILED", "{ended:?}");
    assert!(ended.detail("reason").contains("interrupted"), "{ended:?}");
    scene.next_job_runs();
    assert_eq!(scene.runs(), ["j", "next"]);
}

#[test]
fn a_state_directory_that_others_can_change_is_not_used() {
    let scene = Scene::set();
    assert_eq!(scene.start_idle().terminate().code(), Some(0));
    let set_mode =
        |mode| fs::set_permissions(scene.state(), fs::Permissions::from_mode(mode)).expect("it is ours");
    set_mode(0o770);
    scene.create("j", "quick");
    assert_eq!(scene.start().wait().code(), Some(77), "{}", log(&scene.board));
    assert_eq!(scene.desk.execution(THING, "j").status, "QUEUED");
    set_mode(0o700);
    let _daemon = scene.start();
    assert_eq!(scene.ended("j").status, "SUCCEEDED");
}
