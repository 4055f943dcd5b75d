//! The measuring: devices and jobs in growing numbers, and what each step costs.

use std::fmt;
use std::time::{Duration, Instant};

use super::device::{Fleet, Told};
use super::subject::Subject;
use crate::error::TaskError;
use crate::interrupt::Interrupt;

/// How much is measured.
pub(super) struct Extent {
    pub(super) devices: usize,
    pub(super) jobs: usize,
    /// When to be content with what there is.
    pub(super) budget: Option<Duration>,
}

/// Into how many steps devices and jobs are cut.
const STEPS: usize = 5;
/// Jobs that are worked off at each step.
const WORKED: usize = 100;
/// How long anything that must happen may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// One step.
struct Row {
    count: usize,
    /// Of the whole service, in bytes.
    resident: u64,
    /// Of memory for each device or job since the step before, in bytes.
    each: f64,
    /// The service's processor time for each, in microseconds.
    processor: f64,
    /// Wall-clock medians in microseconds; none where it is not measured.
    latency: Option<f64>,
    notified: Option<f64>,
    worked: Option<f64>,
}

/// All steps.
pub(super) struct Report {
    name: String,
    devices: Vec<Row>,
    jobs: Vec<Row>,
    cut_short: bool,
}

/// Connects the devices, then creates the jobs.
pub(super) fn run(
    subject: &mut Subject,
    extent: &Extent,
    interrupt: &Interrupt,
) -> Result<Report, TaskError> {
    // Each half of it has the whole budget.
    let over = |begin: Instant| extent.budget.is_some_and(|budget| begin.elapsed() > budget);
    let begin = Instant::now();
    let mut fleet = Fleet::new(subject.mqtt, subject.tls.clone())?;
    let mut report =
        Report { name: subject.name.clone(), devices: Vec::new(), jobs: Vec::new(), cut_short: false };
    let mut connected = 0;
    for step in 1..=STEPS {
        let wanted = extent.devices * step / STEPS;
        for n in connected..wanted {
            subject.create_thing(&thing(n))?;
        }
        let (before, processor) = (subject.resident()?, subject.processor());
        let since = Instant::now();
        for n in connected..wanted {
            fleet.connect(thing(n));
        }
        for _ in connected..wanted {
            wait(&fleet, interrupt, |told| matches!(told, Told::Up).then_some(()))?;
        }
        let count = wanted - connected;
        report.devices.push(Row {
            count: wanted,
            resident: subject.resident()?,
            each: per(subject.resident()?.saturating_sub(before), count),
            processor: micros(subject.processor() - processor, count),
            latency: Some(micros(since.elapsed().as_secs_f64(), count)),
            notified: None,
            worked: None,
        });
        connected = wanted;
        if over(begin) {
            report.cut_short = true;
            break;
        }
    }
    let begin = Instant::now();
    let mut created = 0;
    for step in 1..=STEPS {
        let wanted = extent.jobs * step / STEPS;
        let (before, processor) = (subject.resident()?, subject.processor());
        let (mut latencies, mut notified) = (Vec::new(), Vec::new());
        let first = created;
        while created < wanted && !over(begin) {
            interrupt.check()?;
            let sent = Instant::now();
            subject.create_job(&format!("job-{created}"), &thing(created % connected))?;
            latencies.push(sent.elapsed());
            let heard = wait(&fleet, interrupt, |told| match told {
                Told::Notified(at) => Some(at),
                Told::Up | Told::Worked(_) | Told::Failed(_) => None,
            })?;
            notified.push(heard.saturating_duration_since(sent));
            created += 1;
        }
        let count = created - first;
        if count == 0 {
            report.cut_short = true;
            break;
        }
        let resident = subject.resident()?;
        let processor = micros(subject.processor() - processor, count);
        // Those that have just been given a job.
        let busy = (first..created).map(|n| n % connected).take(WORKED.min(connected));
        let worked = work(&fleet, interrupt, busy)?;
        report.jobs.push(Row {
            count: created,
            resident,
            each: per(resident.saturating_sub(before), count),
            processor,
            latency: median(latencies),
            notified: median(notified),
            worked: median(worked),
        });
        if created < wanted {
            report.cut_short = true;
            break;
        }
    }
    Ok(report)
}

/// Lets devices work off a job each, one after another, and takes their times.
fn work(
    fleet: &Fleet,
    interrupt: &Interrupt,
    devices: impl Iterator<Item = usize>,
) -> Result<Vec<Duration>, TaskError> {
    let mut times = Vec::new();
    for n in devices {
        fleet.work(n);
        times.push(wait(fleet, interrupt, |told| match told {
            Told::Worked(time) => Some(time),
            Told::Up | Told::Notified(_) | Told::Failed(_) => None,
        })?);
        // The end of an execution is told as well, and that is not the next creation's.
        wait(fleet, interrupt, |told| matches!(told, Told::Notified(_)).then_some(()))?;
    }
    Ok(times)
}

/// Waits for what a device tells.
fn wait<T>(fleet: &Fleet, interrupt: &Interrupt, wanted: impl Fn(Told) -> Option<T>) -> Result<T, TaskError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        interrupt.check()?;
        match fleet.told.recv_timeout(Duration::from_millis(200)) {
            Ok(Told::Failed(error)) => {
                return Err(TaskError::Strange { what: "a device's connection", found: error });
            }
            Ok(told) => {
                if let Some(found) = wanted(told) {
                    return Ok(found);
                }
            }
            Err(_) if Instant::now() < deadline => {}
            Err(_) => {
                let what = "something that a device must hear".to_owned();
                return Err(TaskError::Late { what, after: PATIENCE, log: String::new() });
            }
        }
    }
}

fn thing(n: usize) -> String {
    format!("bench-{n}")
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn per(total: u64, count: usize) -> f64 {
    total as f64 / count.max(1) as f64
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn micros(seconds: f64, count: usize) -> f64 {
    seconds * 1e6 / count.max(1) as f64
}

fn median(mut times: Vec<Duration>) -> Option<f64> {
    times.sort_unstable();
    times.get(times.len() / 2).map(|time| time.as_secs_f64() * 1e6)
}

impl fmt::Display for Report {
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.0}"));
        let megabytes = |bytes: u64| bytes as f64 / 1e6;
        writeln!(f, "devices  resident MB  KB each  CPU us each  connected us each")?;
        for row in &self.devices {
            let latency = shown(row.latency);
            let (resident, each) = (megabytes(row.resident), row.each / 1e3);
            writeln!(
                f,
                "{:7}  {resident:11.1}  {each:7.1}  {:11.0}  {latency:>17}",
                row.count, row.processor
            )?;
        }
        writeln!(
            f,
            "   jobs  resident MB  KB each  CPU us each  created us  heard of us  worked off us   (medians)"
        )?;
        for row in &self.jobs {
            let (resident, each) = (megabytes(row.resident), row.each / 1e3);
            let [latency, notified, worked] = [row.latency, row.notified, row.worked].map(shown);
            writeln!(
                f,
                "{:7}  {resident:11.1}  {each:7.1}  {:11.0}  {latency:>10}  {notified:>11}  {worked:>13}",
                row.count, row.processor
            )?;
        }
        if self.cut_short {
            writeln!(f, "It was not waited for any longer.")?;
        }
        let growth = |rows: &[Row], figure: fn(&Row) -> Option<f64>| {
            let [first, .., last] = rows else { return "-".to_owned() };
            figure(first)
                .zip(figure(last))
                .map_or("-".to_owned(), |(first, last)| format!("{:.2}", last / first))
        };
        write!(
            f,
            "last step against first: memory a device x{}, creating a job x{}, working one off x{}",
            growth(&self.devices, |row| Some(row.each)),
            growth(&self.jobs, |row| row.latency),
            growth(&self.jobs, |row| row.worked),
        )
    }
}

impl Report {
    /// How another service's figures relate to these, at the last step of each.
    pub(super) fn against(&self, other: &Self) -> String {
        let last = |rows: &[Row], figure: fn(&Row) -> Option<f64>| rows.last().and_then(figure);
        let ratio = |ours: Option<f64>, theirs: Option<f64>| {
            ours.zip(theirs).map_or("-".to_owned(), |(ours, theirs)| format!("{:.1}", theirs / ours))
        };
        format!(
            "{} against {}: memory a device x{}, creating a job x{}, working one off x{}",
            other.name,
            self.name,
            ratio(last(&self.devices, |row| Some(row.each)), last(&other.devices, |row| Some(row.each))),
            ratio(last(&self.jobs, |row| row.latency), last(&other.jobs, |row| row.latency)),
            ratio(last(&self.jobs, |row| row.worked), last(&other.jobs, |row| row.worked)),
        )
    }
}
