//! What a keeper is given by others: its files, whatever stands in them, and what a handler writes into its pipes. The fuzzer
//! (`fuzz/`) calls [`run`] with whatever it likes.
//!
//! The first byte says where the rest goes: `s` into `spec.json`, `r` into `records`, `R` into `reported`, as they are; `e`,
//! `p` and `f` as the content of a record `ended`, of `started`, and of what was reported, each with a header that fits;
//! `P` into the pipe for reports, and anything else into that for standard output. Of the last two the second byte is the
//! length of the pieces in which it comes.

use std::fs;
use std::os::unix::fs::FileExt;

use crate::capture::Kept;
use crate::ending::{Captured, Outcome};
use crate::reports::{Reported, Reports};
use crate::slot::{self, MOST_REPORTED, Place, Process, Slot};

const RUN: u64 = 7;
/// How many UTF-16 units of an output are kept.
const UNITS: usize = 16;

/// Reads an input.
///
/// # Panics
/// Where something does not hold that must hold for any input.
pub fn run(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    match kind {
        b's' | b'r' | b'R' | b'e' | b'p' | b'f' => {
            let directory = std::env::temp_dir().join(format!("handler-runner-fuzz-{}", std::process::id()));
            let slot = Slot::at(directory.clone());
            slot.prepare().expect("the directory for temporary files can be written");
            file(&slot, *kind, rest);
            fs::remove_dir_all(directory).expect("what was made can be removed");
        }
        b'P' => reports(rest),
        _ => output(rest),
    }
}

fn file(slot: &Slot, kind: u8, content: &[u8]) {
    let records = slot.open_records(false).expect("it was prepared");
    let reported = slot.open_reported().expect("it was prepared");
    match kind {
        b's' => {
            fs::write(slot.directory().join("spec.json"), content).expect("it can be written");
            match slot.read_spec() {
                Ok(Some(spec)) => {
                    slot.write_spec(&spec).expect("it can be written");
                    assert_eq!(slot.read_spec().expect("its own words"), Some(spec));
                }
                Ok(None) => panic!("a file that is there is not nothing"),
                Err(error) => assert!(slot::is_damage(&error), "{error}"),
            }
        }
        b'r' => {
            records.write_all_at(content, 0).expect("it can be written");
            for place in [Place::Keeper, Place::Started, Place::Ended] {
                // What is there for no run at all is whole or damaged; nobody else is asked.
                let _ = slot::is_damaged(&records, place).expect("it can be read");
            }
            let _ = slot::read_outcome(&records, RUN);
        }
        b'R' => {
            reported.write_all_at(content, 0).expect("it can be written");
            let _ = slot::read_reported(&reported, RUN);
        }
        b'e' => {
            slot::put(&records, Place::Ended.offset(), RUN, content).expect("it can be written");
            if let Ok(outcome) = slot::read_outcome(&records, RUN) {
                let outcome: Outcome = outcome.expect("it was written whole");
                slot::write_record(&records, Place::Ended, RUN, &outcome)
                    .expect("it is no longer than it was");
                assert_eq!(slot::read_outcome(&records, RUN).expect("its own words"), Some(outcome));
            }
            assert!(!slot::is_damaged(&records, Place::Ended).expect("it can be read"));
        }
        b'p' => {
            slot::put(&records, Place::Started.offset(), RUN, content).expect("it can be written");
            let _ = slot::read_record::<Process>(&records, Place::Started, RUN);
        }
        _ => {
            slot::put(&reported, 0, RUN, content).expect("it can be written");
            let _ = slot::read_reported(&reported, RUN);
        }
    }
}

fn pieces(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (size, rest) = data.split_first().unwrap_or((&1, &[]));
    rest.chunks(usize::from(*size).max(1))
}

fn reports(data: &[u8]) {
    let (mut in_pieces, mut at_once) = (Reports::default(), Reports::default());
    let mut all = Vec::new();
    for piece in pieces(data) {
        in_pieces.push(piece);
        all.extend_from_slice(piece);
    }
    at_once.push(&all);
    in_pieces.finish();
    at_once.finish();
    assert_eq!(in_pieces.latest, at_once.latest, "however it is cut");
    let Reported { facts, .. } = &at_once.latest;
    assert!(facts.len() <= 7);
    for (name, value) in facts {
        assert!(!name.is_empty() && name.len() <= 64 && !name.contains(char::is_control));
        assert!(!value.is_empty() && !value.contains(char::is_control));
    }
    let written = serde_json::to_vec(&at_once.latest).expect("it is JSON");
    assert!(written.len() <= MOST_REPORTED, "{} bytes", written.len());
}

fn output(data: &[u8]) {
    let (mut in_pieces, mut at_once) = (Kept::new(UNITS, UNITS), Kept::new(UNITS, UNITS));
    let mut all = Vec::new();
    for piece in pieces(data) {
        in_pieces.push(piece);
        all.extend_from_slice(piece);
    }
    at_once.push(&all);
    let Captured { head, tail, bytes, lines } = at_once.finish();
    let cut = in_pieces.finish();
    assert_eq!(
        (&cut.head, &cut.tail, cut.bytes, cut.lines),
        (&head, &tail, bytes, lines),
        "however it is cut"
    );
    assert!(head.encode_utf16().count() <= UNITS && tail.encode_utf16().count() <= UNITS);
    assert_eq!(bytes, all.len() as u64);
    let open_line = all.last().is_some_and(|last| *last != b'\n');
    assert_eq!(lines, all.split(|byte| *byte == b'\n').count() as u64 - 1 + u64::from(open_line));
    if let Ok(text) = std::str::from_utf8(&all) {
        if text.encode_utf16().count() <= UNITS {
            assert_eq!(tail, text, "what fits is kept as it is");
        }
        assert!(text.starts_with(&head) && text.ends_with(&tail) && head.len() + tail.len() <= text.len());
    }
}

#[cfg(test)]
#[path = "../../../fuzz/kept.rs"]
mod kept;

#[test]
fn every_kept_input_passes() {
    kept::replay("keeper", run);
}
