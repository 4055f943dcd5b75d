//! `cargo xtask reliability`: the suites that prove the promises of crash and fault, with large numbers, and what they
//! have gone through in one table. What each line proves stands in `docs/reliability.md`.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use clap::Args;

use crate::cargo::{self, root};
use crate::error::TaskError;
use crate::interrupt::Interrupt;
use crate::machine;

/// How much is gone through.
#[derive(Debug, Clone, Args)]
pub(crate) struct Extent {
    /// Worlds of the simulation.
    #[arg(long, default_value_t = 100_000)]
    worlds: u64,
    /// Kills of the real daemon or its keeper.
    #[arg(long, default_value_t = 500)]
    kills: u64,
    /// Kills and faults of the link in random order.
    #[arg(long, default_value_t = 200)]
    mixes: u64,
    /// Another choice of moments and victims for both.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Damage the last record of the journal at every byte instead of a few.
    #[arg(long)]
    every_byte: bool,
    /// Fail where a test is left out, as those with file systems of their own are unless it is root who runs them.
    #[arg(long)]
    no_skips: bool,
}

/// A count of one suite, summed up over its tests.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    name: String,
    count: u64,
}

/// Runs the suites one after the other. The first that fails ends it: what it has found stands above.
pub(crate) fn run(extent: &Extent, interrupt: &Interrupt) -> Result<(), TaskError> {
    let directory = tempfile::tempdir().map_err(TaskError::io("make a temporary directory"))?;
    let figures = directory.path().join("figures");
    // One of the tests freezes the service.
    cargo::build(false)?;
    let suites: [(&str, &[&str]); 3] = [
        (
            "worlds of the simulation",
            &["--profile", "worlds", "--package", "simulation", "--test", "simulation"],
        ),
        (
            "crash points of core and journal",
            &["--package", "agent-core", "--package", "durable", "--package", "handler-runner"],
        ),
        ("kills and faults of the real daemon", &["--package", "fleethand", "--test", "faults"]),
    ];
    let mut times = Vec::new();
    for (what, arguments) in suites {
        interrupt.check()?;
        println!("\n== {what}");
        times.push((what, test(arguments, extent, &figures)?));
    }
    println!("\n{}", machine::describe());
    for (what, time) in times {
        println!("{what}: {} s, building included", time.as_secs());
    }
    let text = fs::read_to_string(&figures).map_err(TaskError::io("read what the suites have counted"))?;
    let lines =
        sums(&text).ok_or(TaskError::Strange { what: "what the suites have counted", found: text })?;
    println!("\n| what | how many |\n| --- | --- |");
    for Line { name, count } in lines {
        println!("| {name} | {count} |");
    }
    println!("| findings | 0 |");
    Ok(())
}

/// Runs `cargo test`; says how long it took.
fn test(arguments: &[&str], extent: &Extent, figures: &Path) -> Result<Duration, TaskError> {
    let begin = Instant::now();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .current_dir(root())
        .args(["test", "--quiet", "--locked"])
        .args(arguments)
        .stdin(Stdio::null())
        .env("FLEETHAND_FIGURES", figures)
        .env("FLEETHAND_WORLDS", extent.worlds.to_string())
        .env("FLEETHAND_KILLS", extent.kills.to_string())
        .env("FLEETHAND_KILLS_SEED", extent.seed.to_string())
        .env("FLEETHAND_MIXES", extent.mixes.to_string())
        .env("FLEETHAND_MIXES_SEED", extent.seed.to_string())
        .env("FLEETHAND_EVERY_BYTE", u8::from(extent.every_byte).to_string());
    if extent.no_skips {
        command.env("FLEETHAND_NO_SKIPS", "1");
    }
    let status = command.status().map_err(TaskError::io("start cargo"))?;
    if !status.success() {
        return Err(TaskError::Program { program: "cargo test".into(), status });
    }
    Ok(begin.elapsed())
}

/// Adds up the lines of one name, in the order in which the names come first.
fn sums(text: &str) -> Option<Vec<Line>> {
    let mut lines: Vec<Line> = Vec::new();
    for line in text.lines() {
        let (name, count) = line.split_once('\t')?;
        let count: u64 = count.parse().ok()?;
        match lines.iter_mut().find(|line| line.name == name) {
            Some(line) => line.count += count,
            None => lines.push(Line { name: name.to_owned(), count }),
        }
    }
    Some(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_one_name_are_added_up_where_it_comes_first() {
        let line = |name: &str, count| Line { name: name.to_owned(), count };
        assert_eq!(sums("a b\t1\nc\t5\na b\t2\n"), Some(vec![line("a b", 3), line("c", 5)]));
        assert_eq!(sums("no number\n"), None);
    }
}
