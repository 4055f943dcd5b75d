//! The files of one run: what is to be run (`spec.json`), and what has become of it (`records`).
//!
//! `records` is a file of fixed size with a place for each of three records: `keeper` (who holds the run), `started`
//! (written before the handler is executed) and `ended` (written last). A record has a length, a CRC-32 and the number
//! of the run that it belongs to, so that the file is used again for the next run without being cleared. The keeper
//! holds a lock on it for as long as it lives.

mod reported;
mod scratch;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::ending::Outcome;
use crate::request::MAX_TAIL_CHARACTERS;
use crate::user::Identity;
pub(crate) use reported::{MOST_REPORTED, read_reported, write_reported};
pub use scratch::Removed;

/// Everything that the keeper needs to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spec {
    /// The form of this file; another one is not understood.
    pub(crate) format: u32,
    /// Tells this run apart from earlier ones in the same slot.
    pub(crate) run: u64,
    /// The caller's name for it.
    pub(crate) label: String,
    /// The file to execute.
    pub(crate) path: PathBuf,
    pub(crate) arguments: Vec<String>,
    /// The whole environment.
    pub(crate) environment: Vec<(String, String)>,
    /// A directory for the handler alone; it goes when the slot is freed.
    pub(crate) scratch: PathBuf,
    /// The user to switch to, if any.
    pub(crate) switch_to: Option<Identity>,
    /// Whether the file is executed from a copy in memory, because only its owner may execute it.
    pub(crate) copied: bool,
    pub(crate) time_limit: Duration,
    pub(crate) grace: Duration,
    /// Absent in what an older version has written.
    #[serde(default)]
    pub(crate) head_characters: usize,
    pub(crate) tail_characters: usize,
}

/// The form of `spec.json` that this version writes and reads.
pub(crate) const FORMAT: u32 = 1;
/// A document has 32 KiB; its arguments as JSON with the environment stay far below this.
const MAX_SPEC: u64 = 1024 * 1024;

/// A process that can be told from any other: numbers of processes are used again, these three together are not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    /// In clock ticks since boot, as in `/proc/PID/stat`.
    pub(crate) start_time: u64,
    pub(crate) boot_id: String,
}

/// A place in `records`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Keeper,
    Started,
    Ended,
}

impl Place {
    pub(crate) const fn offset(self) -> u64 {
        match self {
            Self::Keeper => 0,
            Self::Started => 1024,
            Self::Ended => 2048,
        }
    }
}

/// Two heads and two tails at three bytes a unit, six when escaped as JSON, and room for the rest.
const MAX_RECORD: usize = MAX_TAIL_CHARACTERS * 4 * 6 + MOST_REPORTED + 8 * 1024;
/// What is written ahead of use: enough for the usual 1024 characters of each.
const PREPARED: usize = 32 * 1024;
const HEADER: usize = 16;

/// A slot: a directory with the files of at most one run.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    directory: PathBuf,
}

impl Slot {
    pub(crate) fn at(directory: PathBuf) -> Self {
        Self { directory }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    fn spec_path(&self) -> PathBuf {
        self.directory.join("spec.json")
    }

    /// Makes the directory and its files ready for a run.
    pub(crate) fn prepare(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        let records = self.open_records(true)?;
        if records.metadata()?.len() < PREPARED as u64 {
            records.write_all_at(&vec![0; PREPARED], 0)?;
            records.sync_all()?;
        }
        self.open_reported()?;
        Ok(())
    }

    pub(crate) fn open_records(&self, create: bool) -> io::Result<File> {
        let path = self.directory.join("records");
        OpenOptions::new().read(true).write(true).create(create).truncate(false).mode(0o600).open(path)
    }

    /// Writes the spec durably and in one step: from now on the slot is taken.
    pub(crate) fn write_spec(&self, spec: &Spec) -> io::Result<()> {
        let beside = self.directory.join("spec.json.new");
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(&serde_json::to_vec(spec)?)?;
        file.sync_all()?;
        fs::rename(&beside, self.spec_path())?;
        File::open(&self.directory)?.sync_all()
    }

    /// The spec, if the slot is taken.
    pub(crate) fn read_spec(&self) -> io::Result<Option<Spec>> {
        let file = match File::open(self.spec_path()) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut text = Vec::new();
        file.take(MAX_SPEC).read_to_end(&mut text)?;
        let spec: Spec = serde_json::from_slice(&text)?;
        if spec.format != FORMAT {
            let what = format!("{}: format {} is not known", self.spec_path().display(), spec.format);
            return Err(io::Error::new(io::ErrorKind::InvalidData, what));
        }
        Ok(Some(spec))
    }

    /// Whether somebody has the lock: a process of an earlier run that is not gone yet.
    pub(crate) fn is_held(&self) -> io::Result<bool> {
        match self.open_records(false) {
            Ok(records) => Ok(!try_lock(&records)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Frees a slot of which the spec is damaged. That is kept for somebody to look at; the last one is enough.
    pub(crate) fn set_aside(&self) -> io::Result<()> {
        fs::rename(self.spec_path(), self.directory.join("spec.json.damaged"))
    }

    /// Frees the slot, or a part of it. The spec goes last: as long as it is there, so is the knowledge of the scratch
    /// directory.
    pub(crate) fn clear(&self) -> io::Result<Removed> {
        if let Some(spec) = self.read_spec()? {
            match scratch::remove(&spec.scratch) {
                Ok(Removed::InPart) => return Ok(Removed::InPart),
                Ok(Removed::Whole) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        match fs::remove_file(self.spec_path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(Removed::Whole),
        }
    }
}

/// Whether reading a spec failed because of what stands in it, or of the disk beneath it: damage, or the form of another
/// version. A bad block must not keep every later run from starting.
pub(crate) fn is_damage(error: &io::Error) -> bool {
    let of_the_disk = [rustix::io::Errno::IO, rustix::io::Errno::UCLEAN, rustix::io::Errno::BADMSG];
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
        || error.raw_os_error().is_some_and(|raw| of_the_disk.iter().any(|errno| errno.raw_os_error() == raw))
}

/// Takes the lock on `records`, if nobody has it.
pub(crate) fn try_lock(records: &File) -> io::Result<bool> {
    match flock(records, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Takes the lock on `records` as soon as nobody has it any more.
pub(crate) fn wait_for_lock(records: &File, patience: Duration) -> io::Result<()> {
    let deadline = Instant::now() + patience;
    while !try_lock(records)? {
        if Instant::now() >= deadline {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "somebody holds the lock of the run and does not end",
            ));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Writes a record durably.
pub(crate) fn write_record(
    records: &File,
    place: Place,
    run: u64,
    content: &impl Serialize,
) -> io::Result<()> {
    note_record(records, place, run, content)?;
    records.sync_data()
}

/// Writes a record that need not outlive the machine: all processes see it at once, and after a power cut nobody asks.
pub(crate) fn note_record(
    records: &File,
    place: Place,
    run: u64,
    content: &impl Serialize,
) -> io::Result<()> {
    let content = serde_json::to_vec(content)?;
    let room = match place {
        Place::Keeper | Place::Started => 1024 - HEADER,
        Place::Ended => MAX_RECORD,
    };
    if content.len() > room {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a record is larger than its place"));
    }
    put(records, place.offset(), run, &content)
}

pub(crate) fn put(file: &File, offset: u64, run: u64, content: &[u8]) -> io::Result<()> {
    let length = u32::try_from(content.len()).map_err(io::Error::other)?;
    let mut bytes = Vec::with_capacity(HEADER + content.len());
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&checksum(run, content).to_le_bytes());
    bytes.extend_from_slice(&run.to_le_bytes());
    bytes.extend_from_slice(content);
    file.write_all_at(&bytes, offset)
}

/// Reads the record of this run, if it was written whole.
pub(crate) fn read_record<T: DeserializeOwned>(
    records: &File,
    place: Place,
    run: u64,
) -> io::Result<Option<T>> {
    take(records, place.offset(), run)
}

fn take<T: DeserializeOwned>(file: &File, offset: u64, run: u64) -> io::Result<Option<T>> {
    let content = read_content(file, offset, run)?;
    Ok(content.map(|content| serde_json::from_slice(&content)).transpose()?)
}

fn read_content(file: &File, offset: u64, run: u64) -> io::Result<Option<Vec<u8>>> {
    let mut header = [0; HEADER];
    if read_up_to(file, &mut header, offset)? < HEADER {
        return Ok(None);
    }
    let [l0, l1, l2, l3, c0, c1, c2, c3, of_run @ ..] = header;
    let length = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    if u64::from_le_bytes(of_run) != run || length > MAX_RECORD {
        return Ok(None);
    }
    let mut content = vec![0; length];
    let found = read_up_to(file, &mut content, offset + HEADER as u64)?;
    if found < length || checksum(run, &content) != u32::from_le_bytes([c0, c1, c2, c3]) {
        return Ok(None);
    }
    Ok(Some(content))
}

/// Whether something was written to this place that is not whole: of which run, nobody knows.
pub(crate) fn is_damaged(records: &File, place: Place) -> io::Result<bool> {
    let mut header = [0; HEADER];
    if read_up_to(records, &mut header, place.offset())? < HEADER || header == [0; HEADER] {
        return Ok(false);
    }
    let of_run = u64::from_le_bytes(*header.last_chunk().expect("a header is longer"));
    Ok(read_content(records, place.offset(), of_run)?.is_none())
}

/// The ending of this run, if it was written.
pub(crate) fn read_outcome(records: &File, run: u64) -> io::Result<Option<Outcome>> {
    read_record(records, Place::Ended, run)
}

fn read_up_to(file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<usize> {
    let mut all = 0;
    while !buffer.is_empty() {
        match file.read_at(buffer, offset) {
            Ok(0) => break,
            Ok(read) => {
                (all, offset) = (all + read, offset + read as u64);
                buffer = &mut buffer[read..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

fn checksum(run: u64, content: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&run.to_le_bytes());
    crc.update(content);
    crc.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ending::Ending;

    #[test]
    fn a_bad_block_is_damage_and_a_lack_of_descriptors_is_not() {
        use rustix::io::Errno;
        for (errno, damage) in [
            (Errno::IO, true),
            (Errno::UCLEAN, true),
            (Errno::BADMSG, true),
            (Errno::MFILE, false),
            (Errno::ACCESS, false),
        ] {
            assert_eq!(is_damage(&errno.into()), damage, "{errno}");
        }
    }

    fn slot() -> (tempfile::TempDir, Slot) {
        let directory = tempfile::tempdir().unwrap();
        let slot = Slot::at(directory.path().join("0"));
        slot.prepare().unwrap();
        (directory, slot)
    }

    #[test]
    fn a_record_is_read_back_by_its_run_only() {
        let (_directory, slot) = slot();
        let records = slot.open_records(false).unwrap();
        let outcome = Outcome::bare(Ending::Exited { code: 3 });
        write_record(&records, Place::Ended, 7, &outcome).unwrap();
        assert_eq!(read_outcome(&records, 7).unwrap(), Some(outcome));
        assert_eq!(read_outcome(&records, 8).unwrap(), None, "of an earlier run in the same slot");
    }

    #[test]
    fn a_record_torn_at_any_byte_is_no_record() {
        let (_directory, slot) = slot();
        let records = slot.open_records(false).unwrap();
        write_record(&records, Place::Ended, 1, &Outcome::bare(Ending::Killed { signal: 9 })).unwrap();
        let mut whole = vec![0; 512];
        records.read_exact_at(&mut whole, Place::Ended.offset()).unwrap();
        let length = HEADER + u32::from_le_bytes([whole[0], whole[1], whole[2], whole[3]]) as usize;
        for cut in 0..length {
            let mut torn = whole.clone();
            torn[cut..].fill(0);
            records.write_all_at(&torn, Place::Ended.offset()).unwrap();
            assert_eq!(read_outcome(&records, 1).unwrap(), None, "cut at {cut}");
        }
    }

    #[test]
    fn what_is_torn_or_has_a_wrong_bit_is_told_from_what_was_never_written() {
        let (_directory, slot) = slot();
        let records = slot.open_records(false).unwrap();
        assert!(!is_damaged(&records, Place::Started).unwrap());
        write_record(&records, Place::Started, 7, &"who").unwrap();
        assert!(!is_damaged(&records, Place::Started).unwrap(), "whole, whosever it is");
        let mut whole = vec![0; HEADER + 5];
        records.read_exact_at(&mut whole, Place::Started.offset()).unwrap();
        for at in 0..whole.len() {
            let mut wrong = whole.clone();
            wrong[at] ^= 0x10;
            records.write_all_at(&wrong, Place::Started.offset()).unwrap();
            assert!(is_damaged(&records, Place::Started).unwrap(), "bit of byte {at}");
        }
    }

    #[test]
    fn the_lock_is_held_once() {
        let (_directory, slot) = slot();
        let first = slot.open_records(false).unwrap();
        assert!(try_lock(&first).unwrap());
        let second = slot.open_records(false).unwrap();
        assert!(!try_lock(&second).unwrap());
        drop(first);
        assert!(try_lock(&second).unwrap());
    }
}
