//! Handlers that do what handlers should not do. Each ends as promised, and the next job runs.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use testkit::{Board, Daemon, Desk, Execution, eventually, figure};

use crate::board::{flat, install, keepers, lines, lives, log, read};
use crate::mount::Mount;
use crate::start;

const THING: &str = "board";

#[test]
fn one_that_ignores_term_is_killed_when_its_time_is_up() {
    let script = "trap '' TERM\necho $$ >>{board}/pids\nwhile [ -d {board} ]; do sleep 0.02; done";
    let (scene, ended) = with_limit(script, 1);
    assert_eq!(ended.status, "FAILED", "{ended:?}");
    assert!(ended.detail("reason").contains("timed out"), "{ended:?}");
    assert!(ended.detail("reason").contains("SIGKILL"), "{ended:?}");
    assert!(!lives(&scene.process("pids")));
    scene.next_job_runs();
}

#[test]
fn one_that_was_stopped_by_a_signal_is_ended_when_its_time_is_up() {
    let (scene, ended) = with_limit("echo $$ >>{board}/pids\nkill -STOP $$\necho went on", 1);
    assert_eq!(ended.status, "FAILED", "{ended:?}");
    assert!(ended.detail("reason").contains("timed out"), "{ended:?}");
    assert!(!lives(&scene.process("pids")));
    scene.next_job_runs();
}

#[test]
fn a_tree_of_sessions_that_ignore_term_is_ended_to_the_last_when_its_time_is_up() {
    let deaf = "trap \"\" TERM HUP; echo $$ >>{board}/pids; while [ -d {board} ]; do sleep 0.02; done";
    let script = format!(
        "setsid sh -c '{deaf}' &\nsetsid sh -c 'setsid sh -c \"echo\"; {deaf}' &\necho $$ >>{{board}}/pids\nwait"
    );
    let (scene, ended) = with_limit(&script, 3);
    assert_eq!(ended.status, "FAILED", "{ended:?}");
    let processes = lines(&scene.board, "pids");
    assert!(processes.iter().all(|pid| !lives(&Path::new("/proc").join(pid))), "{processes:?}");
    scene.next_job_runs();
}

#[test]
fn a_daemon_that_it_leaves_with_its_pipes_is_left_alone_and_holds_nothing_up() {
    // Twice forked, in a session of its own, and both pipes in its hands.
    let daemon = "echo $$ >{board}/pid; while [ -d {board} ]; do sleep 0.02; done";
    let script =
        format!("(setsid sh -c '{daemon}' &)\nwhile [ ! -s {{board}}/pid ]; do sleep 0.02; done\necho ready");
    let scene = Scene::with(&script, &json!({}));
    let ended = scene.run();
    assert_eq!((&*ended.status, ended.detail("stdout")), ("SUCCEEDED", "ready\n"), "{ended:?}");
    assert!(ended.detail("reason").contains("left running"), "{ended:?}");
    assert!(lives(&scene.process("pid")), "what a handler leaves after a good end is its own business");
    scene.next_job_runs();
    assert!(lives(&scene.process("pid")));
}

#[test]
fn one_that_closes_its_output_is_waited_for() {
    let scene = Scene::with("echo before\nexec >&- 2>&- <&-\nsleep 0.3\n: >{board}/over\nexit 4", &json!({}));
    let ended = scene.run();
    assert_eq!((&*ended.status, ended.detail("stdout")), ("FAILED", "before\n"), "{ended:?}");
    assert!(ended.detail("reason").contains("exited with status: 4"), "{ended:?}");
    assert!(scene.board.path().join("over").exists());
    scene.next_job_runs();
}

#[test]
fn one_that_becomes_another_program_is_judged_by_that() {
    let scene = Scene::with("exec sh -c 'echo another; exit 5'", &json!({}));
    let ended = scene.run();
    assert!(ended.detail("reason").contains("exited with status: 5"), "{ended:?}");
    assert_eq!(ended.detail("stdout"), "another\n");
    scene.next_job_runs();
}

#[test]
fn a_hundred_megabytes_on_each_stream_are_read_and_the_keeper_stays_small() {
    let flood = "head -c 100000000 /dev/zero | tr '\\0' x";
    let script = format!(
        "({flood}) >&2 &\n{flood}\nwait\necho $PPID >{{board}}/keeper\necho; echo the end\nwhile [ ! -e {{board}}/go ]; do sleep 0.02; done"
    );
    let scene = Scene::with(&script, &json!({}));
    scene.create(&json!({ "allowStdErr": 1 }));
    let keeper = scene.process("keeper");
    let peak = read(&keeper.join("status"));
    let peak = peak
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    // All that it has ever had in memory, the pages of its program included.
    assert!(peak.is_some_and(|peak| peak < 40_000), "{peak:?} kB");
    fs::write(scene.board.path().join("go"), "").expect("the directory is ours");
    let ended = scene.ended();
    assert_eq!(ended.status, "SUCCEEDED", "{ended:?}");
    assert!(ended.detail("stdout").ends_with("x\nthe end\n"), "{ended:?}");
    assert!(ended.detail("stdout").len() <= 1024 && ended.detail("stderr").len() <= 1024, "{ended:?}");
    scene.next_job_runs();
}

#[test]
fn one_without_descriptors_or_memory_of_its_own_fails_alone() {
    for limit in [
        "ulimit -n 3\nexec 9</dev/null",
        "ulimit -v 20000\nhead -c 60000000 /dev/zero | tail -c 50000000 >{board}/x",
    ] {
        let scene =
            Scene::with(&format!("{limit}\nstatus=$?\n[ $status = 0 ] && exit 50\nexit $status"), &json!({}));
        let ended = scene.run();
        assert_eq!(ended.status, "FAILED", "{limit}: {ended:?}");
        assert!(ended.detail("reason").contains("exited with status"), "{limit}: {ended:?}");
        assert!(!ended.detail("reason").contains("status: 50"), "{limit}: {ended:?}");
        assert!(!ended.detail("stderr").is_empty(), "{limit}: {ended:?}");
        scene.next_job_runs();
    }
}

#[test]
fn one_that_kills_its_keeper_is_ended_and_its_end_is_called_unknown() {
    let script =
        "trap '' TERM HUP\necho $$ >{board}/pid\nkill -KILL $PPID\nwhile [ -d {board} ]; do sleep 0.02; done";
    let scene = Scene::with(script, &json!({}));
    let ended = scene.run();
    assert_eq!(ended.status, "FAILED", "{ended:?}");
    assert!(ended.detail("reason").contains("interrupted"), "{ended:?}");
    let handler = scene.process("pid");
    eventually("the end of the handler", || log(&scene.board), || (!lives(&handler)).then_some(()));
    scene.next_job_runs();
}

#[test]
fn one_that_kills_the_agent_still_has_its_true_end_reported() {
    let mut scene = Scene::with(
        "kill -KILL $(cat {board}/state/lock)\necho ran >>{board}/runs\necho after\nexit 6",
        &json!({}),
    );
    scene.create(&json!({}));
    scene.daemon.wait();
    scene.daemon = start(&scene.board);
    let ended = scene.ended();
    assert_eq!((&*ended.status, ended.detail("stdout")), ("FAILED", "after\n"), "{ended:?}");
    assert!(ended.detail("reason").contains("exited with status: 6"), "{ended:?}");
    assert_eq!(lines(&scene.board, "runs"), ["ran"]);
    scene.next_job_runs();
}

#[test]
fn one_that_kills_the_agent_and_its_keeper_is_ended_and_not_run_again() {
    let script = "trap '' TERM HUP\necho $$ >{board}/pid\necho ran >>{board}/runs\nkill -KILL $(cat {board}/state/lock) $PPID\n\
                  while [ -d {board} ]; do sleep 0.02; done";
    let mut scene = Scene::with(script, &json!({}));
    scene.create(&json!({}));
    scene.daemon.wait();
    scene.daemon = start(&scene.board);
    let ended = scene.ended();
    assert_eq!(ended.status, "FAILED", "{ended:?}");
    assert!(ended.detail("reason").contains("interrupted"), "{ended:?}");
    let handler = scene.process("pid");
    eventually("the end of the handler", || log(&scene.board), || (!lives(&handler)).then_some(()));
    scene.next_job_runs();
    assert_eq!(lines(&scene.board, "runs"), ["ran"]);
}

#[test]
fn one_that_fills_the_disk_of_the_state_is_told_apart_and_its_leftovers_go() {
    let scene = Scene::stage(
        "dd if=/dev/zero of=\"$HANDLER_SCRATCH/big\" bs=4096 2>/dev/null\necho \"dd: $?\"\nexit 8",
        &json!({}),
    );
    let Some(_mount) = Mount::in_memory(&scene.board.path().join("state"), 512) else { return };
    let scene = scene.begin();
    let ended = scene.run();
    assert_eq!((&*ended.status, ended.detail("stdout")), ("FAILED", "dd: 1\n"), "{ended:?}");
    assert!(ended.detail("reason").contains("exited with status: 8"), "{ended:?}");
    scene.next_job_runs();
}

/// Runs a handler that never ends, of so many processes that note their numbers in `pids`, until its time is up. All of
/// them have to have come so far by then: on a machine that is slow it is given more time, on another board.
fn with_limit(script: &str, processes: usize) -> (Scene, Execution) {
    for seconds in [1, 5, 25] {
        let scene = Scene::with(script, &json!({ "bad": { "timeout-seconds": seconds } }));
        let ended = scene.run();
        if lines(&scene.board, "pids").len() == processes {
            return (scene, ended);
        }
    }
    panic!("{processes} processes have not begun within 25 s");
}

/// A board that is not running yet.
struct Stage {
    desk: Desk,
    board: Board,
}

/// A daemon with a handler under test.
struct Scene {
    desk: Desk,
    board: Board,
    daemon: Daemon,
}

impl Scene {
    /// Starts a daemon with this script as its handler `bad`; `limits` is `jobs.handlers`.
    fn with(script: &str, limits: &Value) -> Self {
        Self::stage(script, limits).begin()
    }

    fn stage(script: &str, limits: &Value) -> Stage {
        let desk = Desk::start(&[THING]);
        let mut board = Board::new(&desk, THING);
        board.configure("jobs", "handlers", limits.clone());
        install(&board, "bad", script);
        install(&board, "good", "echo good >>{board}/good");
        Stage { desk, board }
    }

    fn create(&self, more: &Value) {
        let mut document: Value = serde_json::from_str(&flat("bad", &[])).expect("it is JSON");
        for (name, value) in more.as_object().expect("it is an object") {
            document[name] = value.clone();
        }
        self.desk.create_job(THING, "bad", &document.to_string());
    }

    fn ended(&self) -> Execution {
        self.desk.wait_until_over(THING, "bad")
    }

    /// Runs the job to its end.
    fn run(&self) -> Execution {
        self.create(&json!({}));
        self.ended()
    }

    /// Another job runs, and nothing is left of the first one.
    fn next_job_runs(&self) {
        self.desk.create_job(THING, "good", &flat("good", &[]));
        let ended = self.desk.wait_until_over(THING, "good");
        assert_eq!(ended.status, "SUCCEEDED", "{ended:?}\n{}", log(&self.board));
        assert_eq!(lines(&self.board, "good"), ["good"]);
        figure("misbehaving handlers", 1);
        eventually(
            "the end of all keepers",
            || log(&self.board),
            || keepers(&self.board).is_empty().then_some(()),
        );
        let left = |slot: PathBuf| slot.join("spec.json").exists();
        eventually(
            "the release of all runs",
            || log(&self.board),
            || {
                let slots = fs::read_dir(self.board.path().join("state/run")).expect("runs have been there");
                (!slots.map(|slot| slot.expect("it is ours").path()).any(left)).then_some(())
            },
        );
    }

    /// Where a process is to be seen that the handler has written down.
    fn process(&self, file: &str) -> PathBuf {
        let number = || lines(&self.board, file).pop();
        Path::new("/proc").join(eventually("the number of a process", || log(&self.board), number))
    }
}

impl Stage {
    fn begin(self) -> Scene {
        let daemon = start(&self.board);
        Scene { desk: self.desk, board: self.board, daemon }
    }
}
