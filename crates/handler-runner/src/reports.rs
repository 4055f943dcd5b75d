//! What a handler reports of its work: lines that it writes to a pipe of its own, and what they amount to.
//!
//! `NAME=VALUE` is a fact, any other line is the fact `progress`. The latest of each counts; an empty value takes it
//! back. Flat memory whatever flows through: few facts, short lines, and what is more is only counted.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;

use serde::{Deserialize, Serialize};

/// The name of the fact that a line without a name is.
pub(crate) const PROGRESS: &str = "progress";
/// The number of the descriptor that a handler may report to stands in this variable.
pub(crate) const DESCRIPTOR: &str = "HANDLER_PROGRESS_FD";

/// So many facts are kept, `progress` not counted.
const MOST_FACTS: usize = 6;
/// The longest name, in bytes.
const LONGEST_NAME: usize = 64;
/// The longest line, in bytes. Of a longer one the beginning counts.
const LONGEST_LINE: usize = 1024;

/// The latest that a handler has reported.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    /// By name. At most six, and `progress`; no control characters, at most 1024 bytes of what was written each.
    pub facts: BTreeMap<String, String>,
    /// Facts that were left out because there were too many of them.
    pub left_out: u64,
}

/// Why a handler could not report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// Nobody has told where to.
    #[error("{DESCRIPTOR} is not set to a number: only a handler that the agent has started can report")]
    NoDescriptor,
    /// Nobody takes it.
    #[error("cannot write to descriptor {descriptor}, which {DESCRIPTOR} names")]
    Write {
        /// Its number.
        descriptor: u32,
        /// Why not.
        #[source]
        source: io::Error,
    },
}

/// To be called by a handler: reports each text, `NAME=VALUE` or a line about its progress.
pub fn report(texts: impl IntoIterator<Item = OsString>) -> Result<(), ReportError> {
    let number = std::env::var(DESCRIPTOR).ok().and_then(|number| number.parse::<u32>().ok());
    let descriptor = number.ok_or(ReportError::NoDescriptor)?;
    let mut lines = Vec::new();
    for text in texts {
        let line = text.as_bytes().iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte });
        lines.extend(line.chain([b'\n']));
    }
    // By its name, since a number alone may be anybody's.
    let written = OpenOptions::new()
        .write(true)
        .open(format!("/proc/self/fd/{descriptor}"))
        .and_then(|mut pipe| pipe.write_all(&lines));
    written.map_err(|source| ReportError::Write { descriptor, source })
}

/// Lines as they come, and what they amount to.
#[derive(Debug, Default)]
pub(crate) struct Reports {
    /// The beginning of a line that is not at its end yet.
    line: Vec<u8>,
    pub(crate) latest: Reported,
}

impl Reports {
    /// Takes bytes in; says whether anything has changed.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> bool {
        let before = self.latest.clone();
        let mut rest = bytes;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.gather(&rest[..end]);
            self.end_of_line();
            rest = &rest[end + 1..];
        }
        self.gather(rest);
        self.latest != before
    }

    /// There is no more: a last line needs no end.
    pub(crate) fn finish(&mut self) {
        self.end_of_line();
    }

    fn gather(&mut self, bytes: &[u8]) {
        let room = LONGEST_LINE.saturating_sub(self.line.len());
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn end_of_line(&mut self) {
        let text = String::from_utf8_lossy(&self.line);
        let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.line.clear();
        let (name, value) = match text.split_once('=') {
            Some((name, value)) if is_name(name) => (name, value.trim()),
            Some(_) | None => (PROGRESS, text.trim()),
        };
        if !text.trim().is_empty() {
            self.fact(name, value);
        }
    }

    fn fact(&mut self, name: &str, value: &str) {
        let facts = &mut self.latest.facts;
        if value.is_empty() {
            facts.remove(name);
            return;
        }
        let others = facts.keys().filter(|known| *known != PROGRESS).count();
        if name != PROGRESS && !facts.contains_key(name) && others >= MOST_FACTS {
            self.latest.left_out = self.latest.left_out.saturating_add(1);
            return;
        }
        facts.insert(name.to_owned(), value.to_owned());
    }
}

/// What the service takes as a key.
fn is_name(name: &str) -> bool {
    (1..=LONGEST_NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":_-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(chunks: &[&[u8]]) -> Vec<String> {
        let mut reports = Reports::default();
        for chunk in chunks {
            reports.push(chunk);
        }
        reports.finish();
        reports.latest.facts.iter().map(|(name, value)| format!("{name}={value}")).collect()
    }

    #[test]
    fn a_line_is_a_fact_or_the_progress_and_the_latest_counts() {
        assert_eq!(facts(&[b"begun\nfw=1.1\nhalf\nfw = 2\nfw=1.2\n"]), ["fw=1.2", "progress=fw = 2"]);
        assert_eq!(facts(&[b"progress= 45 % \n"]), ["progress=45 %"]);
        assert_eq!(facts(&[b"a=b=c\n"]), ["a=b=c"]);
        assert_eq!(facts(&[b"a=1\na=\n"]), [""; 0], "an empty value takes it back");
        assert_eq!(facts(&[b"\n \n\r\n"]), [""; 0]);
        assert_eq!(facts(&[b"last"]), ["progress=last"], "the last line needs no end");
    }

    #[test]
    fn lines_are_the_same_however_they_are_cut() {
        let text = "erste Zeile\nfw=1.2\nhälfte\r\n".as_bytes();
        for size in 1..text.len() {
            let chunks: Vec<&[u8]> = text.chunks(size).collect();
            assert_eq!(facts(&chunks), ["fw=1.2", "progress=hälfte"], "chunks of {size}");
        }
    }

    #[test]
    fn rubbish_becomes_harmless_text() {
        assert_eq!(facts(&[b"\xff\xfe\x00\x1b[31m\n"]), ["progress=\u{fffd}\u{fffd}  [31m"]);
        assert_eq!(facts(&[b"=x\n"]), ["progress==x"]);
        assert_eq!(facts(&[b"two words=x\n"]), ["progress=two words=x"]);
        let long_name = format!("{}=x\n", "n".repeat(65));
        assert_eq!(facts(&[long_name.as_bytes()]), [format!("progress={}", long_name.trim())]);
    }

    #[test]
    fn a_flood_is_kept_in_little_memory() {
        let mut reports = Reports::default();
        for number in 0..10_000 {
            reports.push(format!("\nfact-{number}={}\n", "x".repeat(3000)).as_bytes());
            reports.push(&[b'y'; 5000]);
        }
        assert!(reports.line.capacity() <= 2 * LONGEST_LINE);
        let Reported { facts, left_out } = &reports.latest;
        assert!(facts.len() <= MOST_FACTS + 1 && *left_out > 0);
        assert!(facts.values().all(|value| value.len() <= LONGEST_LINE));
        assert!(serde_json::to_vec(&reports.latest).unwrap().len() < crate::slot::MOST_REPORTED);
    }

    #[test]
    fn the_progress_has_its_place_whatever_the_facts() {
        let mut reports = Reports::default();
        for number in 0..20 {
            assert!(reports.push(format!("fact-{number}=1\n").as_bytes()));
        }
        assert!(reports.push(b"half\n"));
        assert!(!reports.push(b"half\n"), "nothing new");
        assert_eq!((reports.latest.facts.len(), reports.latest.left_out), (7, 14));
        assert!(reports.push(b"fact-0=2\n"));
        assert_eq!(reports.latest.facts["fact-0"], "2");
    }
}
