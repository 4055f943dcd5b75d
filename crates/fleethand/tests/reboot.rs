//! A reboot as a part of a job, with a machine that is played: a program that only notes that it was called, and a
//! file for the name of the boot. Only debug builds have the hooks.

#![cfg(debug_assertions)]
#![expect(clippy::unwrap_used, reason = "a test: what fails fails it")]

use std::cell::RefCell;
use std::fs::{read_to_string, write};
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use testkit::{Board, Daemon, Desk, eventually};

const THING: &str = "board-1";
/// More effects than a job with a reboot has.
const EFFECTS: u32 = 100;
/// Logged when the machine is told to restart, just before that is done.
const TOLD: &str = "The machine is told to restart";

#[test]
fn a_handler_that_asks_for_a_reboot_goes_on_after_it() {
    let desk = Desk::start(&[THING]);
    let machine = Machine::new(Board::new(&desk, THING), "exit 0");
    machine.install_handler();
    let daemon = machine.start(None);
    desk.create_job(THING, "j", &document("twice"));
    machine.wait_for_reboots(1, &daemon);
    let waiting = desk.execution(THING, "j");
    assert_eq!(waiting.status, "IN_PROGRESS", "{waiting:?}");
    assert!(waiting.detail("progress").contains("reboot"), "{waiting:?}");
    assert_eq!(daemon.terminate().code(), Some(0));
    machine.boots_as("second");
    let daemon = machine.start(None);
    let over = desk.wait_until_over(THING, "j");
    assert_eq!(over.status, "SUCCEEDED", "{over:?}\n{}", daemon.log());
    assert_eq!(machine.runs(), ["attempt 1", "attempt 2"]);
    assert_eq!(machine.reboots(), 1);
}

#[test]
fn the_sample_handler_succeeds_when_the_machine_has_restarted_and_tells_both_boots() {
    for document in ["by-hand/reboot.json", "managed/AWS-Reboot.json"] {
        let desk = Desk::start(&[THING]);
        let mut board = Board::new(&desk, THING);
        let proc = board.path().join("proc");
        board.configure("jobs", "environment", json!({ "PROC_DIRECTORY": proc }));
        board.handler("reboot.sh", &sample("sample-job-handlers/reboot.sh"));
        std::fs::create_dir_all(proc.join("sys/kernel/random")).unwrap();
        let machine = Machine::new(board, "exit 0");
        let kernel_tells =
            |boot: &str| write(proc.join("sys/kernel/random/boot_id"), format!("{boot}\n")).unwrap();
        kernel_tells("first");
        let daemon = machine.start(None);
        desk.create_job(THING, "j", &sample(&format!("sample-job-docs/{document}")));
        machine.wait_for_reboots(1, &daemon);
        assert_eq!(daemon.terminate().code(), Some(0));
        machine.boots_as("second");
        kernel_tells("second");
        let daemon = machine.start(None);
        let over = desk.wait_until_over(THING, "j");
        assert_eq!(over.status, "SUCCEEDED", "{document}: {over:?}\n{}", daemon.log());
        // The template does not ask for standard output.
        let words = over.detail("stdout").contains("boot second came after first");
        assert_eq!(words, document.starts_with("by-hand"), "{over:?}");
        assert_eq!(machine.reboots(), 1);
    }
}

#[test]
fn a_machine_that_refuses_to_restart_fails_the_job_with_its_words() {
    let desk = Desk::start(&[THING]);
    let machine =
        Machine::new(Board::new(&desk, THING), "echo Interactive authentication required. >&2; exit 1");
    machine.install_handler();
    let daemon = machine.start(None);
    desk.create_job(THING, "j", &document("twice"));
    let over = desk.wait_until_over(THING, "j");
    assert_eq!(over.status, "FAILED", "{}", daemon.log());
    let reason = over.detail("reason");
    assert!(reason.contains("asked for a reboot (exit status: 194), which was not done"), "{reason}");
    assert!(reason.contains("exit status: 1: Interactive authentication required."), "{reason}");
    assert_eq!(machine.runs(), ["attempt 1"]);
}

#[test]
fn a_handler_that_is_marked_may_reboot_the_machine_itself() {
    let desk = Desk::start(&[THING]);
    let mut board = Board::new(&desk, THING);
    board.configure("jobs", "handlers", json!({ "pulls-the-plug": { "after-reboot": "next-step" } }));
    let path = board.path().display().to_string();
    board.handler(
        "pulls-the-plug",
        &format!("#!/bin/sh\necho $$ >{path}/pid\nwhile [ -d {path} ]; do sleep 0.05; done\n"),
    );
    let machine = Machine::new(board, "exit 0");
    let daemon = machine.start(None);
    desk.create_job(THING, "j", &document("pulls-the-plug"));
    let handler = eventually(
        "the handler's number",
        || daemon.log(),
        || read_to_string(machine.path("pid")).ok()?.trim().parse().ok(),
    );
    // Everything at once, the keeper first: it must not see its handler end.
    daemon.kill();
    for process in machine.keepers().into_iter().chain([handler]) {
        kill_process(Pid::from_raw(process).unwrap(), Signal::KILL).unwrap();
    }
    machine.boots_as("second");
    let daemon = machine.start(None);
    let over = desk.wait_until_over(THING, "j");
    assert_eq!(over.status, "SUCCEEDED", "{over:?}\n{}", daemon.log());
    assert_eq!(over.detail("reason"), "Job has had the machine restarted");
}

#[test]
fn whatever_effect_was_the_last_the_reboot_is_made_up_for_and_the_job_ends_well() {
    let mut broken_off = 0;
    for last in 1..EFFECTS {
        let desk = Desk::start(&[THING]);
        let machine = Machine::new(Board::new(&desk, THING), "exit 0");
        machine.install_handler();
        let daemon = RefCell::new(machine.start(Some(last)));
        desk.create_job(THING, "j", &document("twice"));
        let (mut boots, mut crashed) = (0, false);
        loop {
            let seen = || {
                let stop = !daemon.borrow_mut().is_alive() || machine.log().matches(TOLD).count() > boots;
                (stop || machine.log().contains("Job closed")).then_some(())
            };
            eventually("a crash, a reboot or the end", || machine.log(), seen);
            if machine.log().matches(TOLD).count() > boots {
                boots += 1;
                machine.wait_for_reboots(boots, &daemon.borrow());
                crashed |= !daemon.borrow_mut().is_alive();
                daemon.borrow_mut().kill_and_wait();
                machine.boots_as(&format!("boot {boots}"));
            } else if daemon.borrow_mut().is_alive() {
                break;
            } else {
                crashed = true;
            }
            daemon.replace(machine.start(None));
        }
        let over = desk.wait_until_over(THING, "j");
        assert_eq!(over.status, "SUCCEEDED", "after effect {last}: {over:?}\n{}", machine.log());
        assert_eq!(machine.runs(), ["attempt 1", "attempt 2"], "after effect {last}\n{}", machine.log());
        assert_eq!(machine.reboots(), boots);
        if !crashed {
            break;
        }
        broken_off += 1;
    }
    // The life that ends with the reboot has about as many effects as that of any job.
    assert!((8..EFFECTS - 1).contains(&broken_off), "the daemon was broken off {broken_off} times only");
}

/// A file of the samples.
fn sample(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    read_to_string(root.join(path)).unwrap()
}

fn document(handler: &str) -> String {
    json!({ "operation": handler, "path": "default" }).to_string()
}

/// A board on a machine that is restarted by hand.
struct Machine {
    board: Board,
}

impl Machine {
    /// The program that is called to restart it notes that and ends so.
    fn new(board: Board, end: &str) -> Self {
        let machine = Self { board };
        let script = format!("#!/bin/sh\necho called >>{}\n{end}\n", machine.path("reboots").display());
        // A handler's mode is right for any program.
        machine.board.handler("restart-the-machine", &script);
        machine.boots_as("first");
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.board.path().join(name)
    }

    /// A handler that has the machine rebooted in its first attempt.
    fn install_handler(&self) {
        let runs = self.path("runs");
        let script = format!(
            "#!/bin/sh\necho attempt $ATTEMPT >>{}\nif [ $ATTEMPT = 1 ]; then exit 194; fi\n",
            runs.display()
        );
        self.board.handler("twice", &script);
    }

    fn boots_as(&self, name: &str) {
        write(self.path("boot-id"), name).unwrap();
    }

    /// Starts the daemon, to abort after so many effects.
    fn start(&self, last: Option<u32>) -> Daemon {
        let last = last.unwrap_or_default().to_string();
        let (boot_id, program) = (self.path("boot-id"), self.board.handler_path("restart-the-machine"));
        let variables = [
            ("FLEETHAND_BOOT_ID_FILE", boot_id.to_str().unwrap()),
            ("FLEETHAND_REBOOT_PROGRAM", program.to_str().unwrap()),
            ("FLEETHAND_CRASH_AFTER_EFFECT", &last),
        ];
        self.board.start_with(Path::new(env!("CARGO_BIN_EXE_fleethand")), &variables)
    }

    fn reboots(&self) -> usize {
        lines(&self.path("reboots")).len()
    }

    fn wait_for_reboots(&self, count: usize, daemon: &Daemon) {
        eventually("a reboot", || daemon.log(), || (self.reboots() >= count).then_some(()));
    }

    fn runs(&self) -> Vec<String> {
        lines(&self.path("runs"))
    }

    fn log(&self) -> String {
        read_to_string(self.path("log")).unwrap_or_default()
    }

    /// The keepers of this board's runs.
    fn keepers(&self) -> Vec<i32> {
        let run = self.path("state/run").display().to_string();
        let numbers = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let process = entry.unwrap();
            let line = read_to_string(process.path().join("cmdline")).ok()?;
            process.file_name().to_str()?.parse().ok().filter(|_| line.contains(&run))
        });
        numbers.collect()
    }
}

fn lines(file: &Path) -> Vec<String> {
    read_to_string(file).unwrap_or_default().lines().map(str::to_owned).collect()
}
