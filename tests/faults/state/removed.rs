//! Somebody removes files of the state while the daemon works: a handler that cleans up too much, an operator.

use std::fs;

use testkit::eventually;

use super::{STORAGE, Scene, THING};
use crate::board::{install, lives, log};

/// What is removed: the directory of the runs, what is in it, the journal.
const WHAT: [&str; 3] = ["run", "run/*", "journal"];

#[test]
fn what_is_removed_while_nothing_runs_costs_no_job() {
    let scene = Scene::set();
    let mut daemon = scene.start_idle();
    scene.create("first", "quick");
    assert_eq!(scene.ended("first").status, "SUCCEEDED");
    for directory in ["run/0", "run"] {
        fs::remove_dir_all(scene.state().join(directory)).expect("it is there");
        let job = directory.replace('/', "-");
        scene.create(&job, "quick");
        assert_eq!(scene.ended(&job).status, "SUCCEEDED", "{}", log(&scene.board));
    }
    fs::remove_file(scene.state().join("journal")).expect("it is there");
    scene.create_patient("j");
    // What is known of it is where the next life looks.
    assert!(daemon.is_alive(), "{}", log(&scene.board));
    daemon.kill();
    let _daemon = scene.start();
    scene.let_go();
    assert_eq!(scene.ended("j").status, "SUCCEEDED", "{}", log(&scene.board));
    scene.next_job_runs();
    assert_eq!(scene.runs(), ["first", "run-0", "run", "j", "next"]);
}

#[test]
fn without_its_directory_the_daemon_ends_and_the_job_waits() {
    let scene = Scene::set();
    let mut daemon = scene.start_idle();
    fs::remove_dir_all(scene.state()).expect("it is there");
    scene.create("j", "quick");
    assert_eq!(daemon.wait().code(), Some(STORAGE), "{}", log(&scene.board));
    assert_eq!(scene.desk.execution(THING, "j").status, "QUEUED");
    let _daemon = scene.start();
    assert_eq!(scene.ended("j").status, "SUCCEEDED");
    assert_eq!(scene.runs(), ["j"]);
}

#[test]
fn a_handler_that_removes_what_is_kept_of_it_is_reported_as_it_ends() {
    for what in WHAT {
        let scene = with_a_handler_that_removes(what);
        let _daemon = scene.start();
        scene.create_patient("j");
        scene.let_go();
        let ended = scene.ended("j");
        assert_eq!(ended.status, "SUCCEEDED", "rm {what}: {ended:?}\n{}", log(&scene.board));
        assert_eq!(ended.detail("stdout"), "done\n", "rm {what}");
        scene.next_job_runs();
        assert_eq!(scene.runs(), ["j", "next"], "rm {what}");
    }
}

/// Nobody can know what became of it: it is not run again, and nothing runs beside it.
#[test]
fn a_handler_whose_files_are_removed_is_not_run_again_by_the_next_life() {
    for what in WHAT {
        let scene = with_a_handler_that_removes(what);
        let daemon = scene.start();
        let handler = scene.create_patient("j");
        daemon.kill();
        scene.create("next", "quick");
        let _daemon = scene.start();
        let ended = eventually(
            "the end of both jobs",
            || log(&scene.board),
            || {
                let beside = lives(&handler) && scene.runs().contains(&"next".to_owned());
                assert!(!beside, "rm {what}: two handlers at a time\n{}", log(&scene.board));
                let next = scene.desk.execution(THING, "next");
                next.is_over().then(|| scene.ended("j"))
            },
        );
        assert_eq!(ended.status, "FAILED", "rm {what}: {ended:?}");
        assert!(ended.detail("reason").contains("interrupted"), "rm {what}: {ended:?}");
        assert_eq!(scene.desk.execution(THING, "next").status, "SUCCEEDED", "rm {what}");
        assert_eq!(scene.runs(), ["j", "next"], "rm {what}\n{}", log(&scene.board));
    }
}

/// Its `patient` removes something first of all.
fn with_a_handler_that_removes(what: &str) -> Scene {
    let scene = Scene::set();
    let wait = "while [ -d {board} ] && [ ! -e {board}/go ]; do sleep 0.02; done";
    let notes = "echo \"$JOB_ID\" >>{board}/runs\necho $$ >{board}/pid";
    let remove = format!("rm -rf {{board}}/state/{what}");
    install(&scene.board, "patient", &format!("{remove}\n{notes}\n{wait}\necho done"));
    scene
}
