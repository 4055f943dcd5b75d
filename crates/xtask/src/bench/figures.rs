//! The figures in words: what each is called, where its mark stands, and what another agent needs for the same work.

/// What is measured.
#[derive(Debug, Clone, Copy)]
pub(super) enum Figure {
    Size,
    Ready,
    FirstRequest,
    NotifyToProgress,
    NotifyToExec,
    ExitToUpdate,
    DiskToExec,
    DiskToUpdate,
    Bytes,
    Syncs,
    PlainStart,
    KeptStart,
    KeeperMemory,
    Drain,
    FloodCat,
    Flood,
    FloodRatio,
    FloodMemory,
    Resident,
    Threads,
    Wakeups,
    Processor,
}

/// Below the table.
pub(super) const NOTES: &str = "\
Median, and in brackets smallest and largest of n runs; times in milliseconds on loopback, state on tmpfs unless said.
The AWS IoT Device Client: its newest commit of January 2026 (2e20e21), built and measured on another day on a busy
machine with two cores (x86_64) against mosquitto; compare ratios, not milliseconds. `acks` is its figure where TCP
acknowledgements are sent at once. Its 50 trivial jobs take 2.21 s (acks: 0.30 s), which is given here for 200.";

impl Figure {
    /// Name, our mark, and the figure of the AWS IoT Device Client (its smallest build, or its best setting).
    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Size => ("binary, stripped", "3 MB", "6.05 MB + libstdc++"),
            Self::Ready => ("start to READY=1", "100 ms", "-"),
            Self::FirstRequest => ("start to first request", "-", "145 ms"),
            Self::NotifyToProgress => ("notification to IN_PROGRESS", "-", "1.25 ms"),
            Self::NotifyToExec => {
                ("notification to handler's exec", "5 ms", "2.0 ms, not waiting for the service")
            }
            Self::ExitToUpdate => ("handler's exit to update", "5 ms", "43 ms (acks: 2.1 ms)"),
            Self::DiskToExec => ("  the same, state on disk: to exec", "-", "keeps no state"),
            Self::DiskToUpdate => ("  the same, state on disk: to update", "-", "keeps no state"),
            Self::Bytes => ("written to the state for a job", "20 kB", "keeps no state"),
            Self::Syncs => ("  syncs for it", "-", "keeps no state"),
            Self::PlainStart => ("start of a handler without a keeper", "-", "-"),
            Self::KeptStart => ("  the same, held by its keeper", "5 ms more", "-"),
            Self::KeeperMemory => ("private memory of a keeper", "1.5 MB", "has none"),
            Self::Drain => ("200 trivial jobs", "-", "8840 ms (acks: 1200 ms)"),
            Self::FloodCat => ("1 GB on both streams, read by cat", "-", "-"),
            Self::Flood => ("1 GB on both streams, read by keeper", "-", "kills it after 1001 lines"),
            Self::FloodRatio => ("  its speed, with cat's as 1", "0.5", "-"),
            Self::FloodMemory => ("  its private memory at most", "flat", "-"),
            Self::Resident => ("resident memory, idle", "5 MB", "11.4 MB"),
            Self::Threads => ("threads, idle", "1", "3"),
            Self::Wakeups => ("wake-ups, idle", "10 in 60 s", "54 700 in 60 s"),
            Self::Processor => ("processor time, idle", "-", "690 ms in 60 s"),
        }
    }
}

/// Above the lines.
pub(super) fn heading() -> String {
    row("figure", "fleethand", "mark", "Device Client")
}

/// One figure.
pub(super) fn line(figure: Figure, measured: &str) -> String {
    let (name, mark, peer) = figure.words();
    row(name, measured, mark, peer)
}

fn row(name: &str, measured: &str, mark: &str, peer: &str) -> String {
    format!("{name:<37}{measured:<42}{mark:<12}{peer}")
}

/// A number of bytes.
#[expect(clippy::cast_precision_loss, reason = "two decimals are shown")]
pub(super) fn megabytes(bytes: u64) -> String {
    format!("{:.2} MB", bytes as f64 / 1e6)
}

/// Median, smallest, largest and number of some milliseconds.
pub(super) fn summary(milliseconds: &[f64]) -> String {
    let mut sorted = milliseconds.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (Some(first), Some(last)) = (sorted.first(), sorted.last()) else {
        return "nothing measured".to_owned();
    };
    format!("{:.2} ms ({first:.2} - {last:.2}, n={})", median(&sorted), sorted.len())
}

/// Median, smallest, largest and number of some amounts of memory in kilobytes.
pub(super) fn kilobytes(amounts: &[f64]) -> String {
    summary(amounts).replace(" ms ", " kB ")
}

/// How fast the second is when the first's speed is 1, by their medians.
pub(super) fn ratio(first: &[f64], second: &[f64]) -> String {
    let sorted = |times: &[f64]| {
        let mut times = times.to_vec();
        times.sort_by(f64::total_cmp);
        times
    };
    let (first, second) = (sorted(first), sorted(second));
    if first.is_empty() || second.is_empty() {
        return "nothing measured".to_owned();
    }
    format!("{:.2} (medians)", median(&first) / median(&second))
}

fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { f64::midpoint(sorted[middle - 1], sorted[middle]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_names_the_median_and_the_range() {
        assert_eq!(summary(&[3.0, 1.0, 2.0]), "2.00 ms (1.00 - 3.00, n=3)");
        assert_eq!(summary(&[4.0, 1.0, 2.0, 3.0]), "2.50 ms (1.00 - 4.00, n=4)");
        assert_eq!(summary(&[]), "nothing measured");
    }

    #[test]
    fn who_takes_twice_as_long_is_half_as_fast() {
        assert_eq!(ratio(&[100.0, 90.0, 900.0], &[200.0]), "0.50 (medians)");
        assert_eq!(ratio(&[], &[1.0]), "nothing measured");
    }

    #[test]
    fn megabytes_are_millions_of_bytes() {
        assert_eq!(megabytes(2_345_678), "2.35 MB");
    }
}
