//! `cargo xtask demo`: the sample documents run from end to end, and what the service was told is held against what
//! it should have been told.

mod expected;
mod report;

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use crate::cargo::{self, root};
use crate::control::Execution;
use crate::error::TaskError;
use crate::interrupt::Interrupt;
use crate::process::Process;
use crate::scene::{Scene, THING};

use expected::Expected;

/// How long all the documents together may take.
const PATIENCE: Duration = Duration::from_secs(180);

/// A document on its way.
struct Run {
    job: String,
    expected: Expected,
    execution: Execution,
    cancelled: bool,
}

/// Runs the demo. Fails if a document ends in another way than its row says.
pub(crate) fn run(release: bool, keep: bool, interrupt: &Interrupt) -> Result<(), TaskError> {
    println!("Building fleethand and fleethand-local");
    let programs = cargo::build(release)?;
    interrupt.check()?;
    let mut scene = Scene::set(&programs, interrupt)?;
    println!("The service speaks MQTT on port {} and HTTP at {}", scene.mqtt_port, scene.control.base());
    let state = scene.path().join("state");
    let mut daemon = scene.start(&mut scene.daemon(scene.mqtt_port, &state))?;
    println!("The daemon runs as process {}; its files are in {}\n", daemon.id(), scene.path().display());

    let mut runs = create_jobs(&scene)?;
    follow(&mut runs, &mut scene, &mut daemon, interrupt)?;

    println!("\n{}", report::HEADING);
    let mut wrong = 0;
    for run in &runs {
        let complaints = run.expected.complaints(&run.execution);
        print!("{}", report::row(&run.expected.document, &run.execution, &complaints));
        wrong += usize::from(!complaints.is_empty());
    }
    if wrong > 0 {
        println!("\nThe end of the daemon's log:\n{}", daemon.log_tail());
    }
    if keep {
        println!("\n{}", report::by_hand(scene.control.base(), THING, scene.path()));
        // Until Ctrl-C, which here is the way to end and no failure.
        while interrupt.check().is_ok() {
            scene.check()?;
            daemon.check()?;
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    let status = daemon.stop().map_err(TaskError::io("stop the daemon"))?;
    if !status.success() {
        return Err(TaskError::Ended { program: "fleethand", status, log: daemon.log_tail() });
    }
    if wrong > 0 { Err(TaskError::Outcome { count: wrong }) } else { Ok(()) }
}

/// Creates a job for every row, in the order of the rows: the service keeps it.
fn create_jobs(scene: &Scene) -> Result<Vec<Run>, TaskError> {
    let directory = root().join("sample-job-docs");
    let mut runs = Vec::new();
    for expected in expected::read(&directory)? {
        let path = directory.join(&expected.document);
        let document =
            fs::read_to_string(&path).map_err(TaskError::io(format!("read {}", path.display())))?;
        let job = format!("demo-{}", expected.document.trim_end_matches(".json"));
        scene.control.create_job(&job, THING, &document)?;
        runs.push(Run { job, expected, execution: Execution::default(), cancelled: false });
    }
    Ok(runs)
}

/// Shows every execution as it moves, until all are over.
fn follow(
    runs: &mut [Run],
    scene: &mut Scene,
    daemon: &mut Process,
    interrupt: &Interrupt,
) -> Result<(), TaskError> {
    let begin = Instant::now();
    let finished = interrupt.until(PATIENCE, || {
        scene.check()?;
        daemon.check()?;
        for run in runs.iter_mut().filter(|run| !run.execution.is_over()) {
            let seen = scene.control.execution(&run.job, THING)?;
            for line in report::moves(&run.execution, &seen) {
                println!("{:8.3} s  {:<28}{line}", begin.elapsed().as_secs_f64(), run.job);
            }
            run.execution = seen;
            if run.expected.cancelled && !run.cancelled && run.execution.status == "IN_PROGRESS" {
                scene.control.cancel_by_force(&run.job)?;
                run.cancelled = true;
            }
        }
        Ok(runs.iter().all(|run| run.execution.is_over()).then_some(()))
    })?;
    finished.ok_or_else(|| {
        let open: BTreeMap<_, _> = runs
            .iter()
            .filter(|run| !run.execution.is_over())
            .map(|run| (&*run.job, &*run.execution.status))
            .collect();
        TaskError::Late { what: format!("the end of {open:?}"), after: PATIENCE, log: daemon.log_tail() }
    })
}
