//! A journal file of any content: it is opened, what it says was said once, and the next opening finds the same. The fuzzer
//! (`fuzz/`) calls [`run`] with whatever it likes.
//!
//! The first byte says how the file comes about. `f`: the rest is the file. Anything else: the rest is a list of records,
//! each ended by a record separator (0x1e), of which the first one says what is done to the file afterwards, four bytes at
//! a time: a place (u16), and what is added to the byte there (u8, not 0) or, with `c`, that the file ends there.

use std::path::Path;

use crate::testing::FaultyDisk;
use crate::{Journal, Opened};

const FILE: &str = "/state/journal";
const MARK: &[u8] = b"what followed is lost";

/// Reads an input.
///
/// # Panics
/// Where something does not hold that must hold for any input.
pub fn run(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    let disk = FaultyDisk::new();
    let mut said: Option<Vec<&[u8]>> = None;
    let mut whole = true;
    if *kind == b'f' {
        disk.plant(Path::new(FILE), rest);
    } else {
        let mut records = rest.split(|byte| *byte == 0x1e);
        let edits = records.next().unwrap_or_default();
        let records: Vec<&[u8]> = records.take(64).collect();
        let mut journal = open(&disk).journal;
        for record in &records {
            journal.append(record).expect("a good disk takes a short record");
        }
        let mut bytes = disk.content(Path::new(FILE)).expect("it is there");
        for edit in edits.chunks_exact(4) {
            let place = usize::from(u16::from_le_bytes([edit[0], edit[1]])) % bytes.len().max(1);
            whole = false;
            match (edit[3], bytes.get_mut(place)) {
                (b'c', _) => bytes.truncate(place),
                (_, Some(byte)) => *byte = byte.wrapping_add(edit[2].max(1)),
                (_, None) => {}
            }
        }
        disk.plant(Path::new(FILE), &bytes);
        said = Some(records);
    }
    let first = open(&disk);
    let mut found = first.records;
    if let Some(said) = said {
        let marked = first.damage.is_some() && found.pop().as_deref() == Some(MARK);
        assert_eq!(marked, first.damage.is_some(), "what has lost records says so");
        assert!(found.iter().zip(&said).all(|(found, said)| found == said) && found.len() <= said.len());
        assert!(!whole || found.len() == said.len() && !first.torn && !marked);
        found.extend(marked.then(|| MARK.to_vec()));
    }
    let mut second = open(&disk);
    assert!(second.records == found && !second.torn && second.damage.is_none(), "the same again");
    second.journal.append(b"one more").expect("it can be gone on with");
    found.push(b"one more".to_vec());
    assert_eq!(open(&disk).records, found);
}

fn open(disk: &FaultyDisk) -> Opened<FaultyDisk> {
    Journal::open_on(disk.clone(), FILE, Some(MARK)).expect("a good disk")
}

#[cfg(test)]
#[path = "../../../fuzz/kept.rs"]
mod kept;

#[test]
fn every_kept_input_passes() {
    kept::replay("journal", run);
}
