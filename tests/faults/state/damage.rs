//! Files of the state that are cut off or have wrong bits.

use std::fs;
use std::path::{Path, PathBuf};

use testkit::{Daemon, eventually, figure};

use super::{STORAGE, Scene, THING};
use crate::board::{keepers, lives, log};
use crate::mount::FIGURE;
use crate::number;

/// A journal begins with so many bytes of a mark; each record has a header of so many.
const MARK: usize = 8;
const HEADER: usize = 8;

/// What is done to a file.
#[derive(Debug, Clone, Copy)]
enum Damage {
    /// It ends here.
    CutAt(usize),
    /// From here on there are zeros.
    ZerosFrom(usize),
    /// One bit of this byte is wrong.
    BitAt(usize),
}

impl Damage {
    fn apply(self, file: &Path) {
        figure(FIGURE, 1);
        let mut bytes = fs::read(file).expect("the file is there");
        match self {
            Self::CutAt(place) => bytes.truncate(place),
            Self::ZerosFrom(place) => bytes[place..].fill(0),
            Self::BitAt(place) => bytes[place] ^= 0x10,
        }
        fs::write(file, bytes).expect("the file is ours");
    }
}

#[test]
fn a_journal_that_lost_its_last_record_while_a_handler_ran_lets_nothing_run_twice() {
    for damage in in_the_last_record(&journal_with_a_running_handler()) {
        let scene = Scene::set();
        interrupt_a_handler(&scene);
        damage.apply(&journal(&scene));
        ends_without_running_again(&scene, damage);
    }
}

#[test]
fn a_journal_that_lost_its_last_record_after_a_job_lets_nothing_run_twice() {
    let scene = Scene::set();
    finish_a_job(&scene);
    for damage in in_the_last_record(&fs::read(journal(&scene)).expect("it is there")) {
        let scene = Scene::set();
        finish_a_job(&scene);
        damage.apply(&journal(&scene));
        let _daemon = scene.start();
        scene.next_job_runs();
        assert_eq!(scene.desk.execution(THING, "j").status, "SUCCEEDED", "{damage:?}");
        assert_eq!(scene.runs(), ["j", "next"], "{damage:?}\n{}", log(&scene.board));
    }
}

#[test]
fn a_journal_with_a_wrong_bit_is_set_aside_and_told_and_lets_nothing_run_twice() {
    let end_of_first =
        *ends_of_records(&journal_with_a_running_handler()).first().expect("there are records");
    for place in [0, MARK, MARK + 5, MARK + HEADER + 3, end_of_first - 1] {
        let scene = Scene::set();
        interrupt_a_handler(&scene);
        let damage = Damage::BitAt(place);
        damage.apply(&journal(&scene));
        let damaged = fs::read(journal(&scene)).expect("it is there");
        ends_without_running_again(&scene, damage);
        let kept = others_beside(&journal(&scene));
        assert!(
            kept.iter().any(|file| fs::read(file).is_ok_and(|kept| kept == damaged)),
            "{damage:?}: {kept:?}"
        );
        assert!(log(&scene.board).contains("set aside"), "{damage:?}: {}", log(&scene.board));
    }
}

#[test]
fn what_is_left_of_a_run_with_wrong_bits_lets_nothing_run_twice_or_beside_another() {
    // The beginnings of what is to be run, of who holds it, and of who runs.
    for (file, place) in [("spec.json", 0), ("spec.json", 40), ("records", 20), ("records", 1024 + 20)] {
        let scene = Scene::set();
        interrupt_a_handler(&scene);
        let damage = Damage::BitAt(place);
        damage.apply(&scene.state().join("run/0").join(file));
        ends_without_running_again(&scene, damage);
    }
}

#[test]
fn a_run_that_lost_its_keeper_and_the_record_of_its_start_is_not_run_again() {
    let scene = Scene::set();
    interrupt_a_handler(&scene);
    keepers(&scene.board).iter().for_each(crate::board::Keeper::kill);
    eventually(
        "the end of the keeper",
        || log(&scene.board),
        || keepers(&scene.board).is_empty().then_some(()),
    );
    let damage = Damage::BitAt(1024 + 20);
    damage.apply(&scene.state().join("run/0/records"));
    ends_without_running_again(&scene, damage);
    assert!(!lives(&scene.handler()));
}

#[test]
fn a_journal_that_is_no_file_is_an_error_and_the_job_waits() {
    let scene = Scene::set();
    fs::create_dir_all(journal(&scene)).expect("the directory is ours");
    scene.create("j", "quick");
    let mut daemon = scene.start();
    let code = daemon.wait().code();
    assert!(code == Some(STORAGE) || code == Some(77), "{code:?}: {}", log(&scene.board));
    assert_eq!(scene.desk.execution(THING, "j").status, "QUEUED");
}

fn journal(scene: &Scene) -> PathBuf {
    scene.state().join("journal")
}

/// Kills the daemon while the handler of job `j` runs, which runs on.
fn interrupt_a_handler(scene: &Scene) {
    let daemon = scene.start();
    scene.create_patient("j");
    daemon.kill();
}

fn journal_with_a_running_handler() -> Vec<u8> {
    let scene = Scene::set();
    interrupt_a_handler(&scene);
    fs::read(journal(&scene)).expect("it is there")
}

/// Runs job `j` to its end and ends the daemon when it has closed it.
fn finish_a_job(scene: &Scene) {
    let daemon = scene.start();
    scene.create("j", "quick");
    assert_eq!(scene.ended("j").status, "SUCCEEDED");
    daemon.wait_for_log("Job closed");
    assert_eq!(daemon.terminate().code(), Some(0));
}

/// The next life brings job `j` to an end without running it again, and no other handler runs as long as that runs.
fn ends_without_running_again(scene: &Scene, damage: Damage) {
    let handler = scene.handler();
    let daemon: Daemon = scene.start();
    scene.create("next", "quick");
    let ended = eventually(
        "the end of the job",
        || format!("{damage:?}: {:?}\n{}", scene.desk.execution(THING, "j"), log(&scene.board)),
        || {
            let beside = lives(&handler) && scene.runs().iter().any(|job| job == "next");
            assert!(!beside, "{damage:?}: two handlers at a time\n{}", daemon.log());
            if daemon.log().contains("taken over") {
                scene.let_go();
            }
            let next = scene.desk.execution(THING, "next");
            next.is_over().then(|| scene.desk.execution(THING, "j")).filter(testkit::Execution::is_over)
        },
    );
    if ended.status != "SUCCEEDED" {
        assert_eq!(ended.status, "FAILED", "{damage:?}: {ended:?}");
        assert!(ended.detail("reason").contains("interrupted"), "{damage:?}: {ended:?}");
    }
    assert_eq!(scene.desk.execution(THING, "next").status, "SUCCEEDED", "{damage:?}\n{}", log(&scene.board));
    assert_eq!(scene.runs(), ["j", "next"], "{damage:?}\n{}", log(&scene.board));
    eventually(
        "the end of all keepers",
        || log(&scene.board),
        || keepers(&scene.board).is_empty().then_some(()),
    );
}

/// Places in and before the last record, each cut off and each followed by zeros: all of them if
/// `FLEETHAND_EVERY_BYTE=1`, else a few.
fn in_the_last_record(journal: &[u8]) -> Vec<Damage> {
    let ends = ends_of_records(journal);
    let [.., begin, end] = ends[..] else { panic!("{} records", ends.len()) };
    let places: Vec<usize> = if number("FLEETHAND_EVERY_BYTE", 0) == 1 {
        (begin..end).collect()
    } else {
        vec![begin, begin + 3, begin + HEADER, usize::midpoint(begin, end), end - 1]
    };
    places.iter().flat_map(|place| [Damage::CutAt(*place), Damage::ZerosFrom(*place)]).collect()
}

fn ends_of_records(journal: &[u8]) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut end = MARK;
    while let Some(length) = journal.get(end..end + 4) {
        let length = u32::from_le_bytes(length.try_into().expect("four bytes")) as usize;
        if length == 0 {
            break;
        }
        end += HEADER + length;
        ends.push(end);
    }
    ends
}

fn others_beside(file: &Path) -> Vec<PathBuf> {
    let directory = file.parent().expect("it is in a directory");
    let entries = fs::read_dir(directory).expect("the directory is ours");
    entries
        .map(|entry| entry.expect("it is ours").path())
        .filter(|path| path != file && path.is_file())
        .collect()
}
