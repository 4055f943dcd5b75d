//! The append-only journal: opening what a crash left, appending, compaction. How records lie in the file is
//! `segment`'s business, what they mean is the caller's.

use std::io;
use std::path::{Path, PathBuf};

use crate::disk::{Disk, DiskFile, RealDisk, parent, write_all_at};
use crate::segment::{self, DamageKind, MAX_JOURNAL, MAX_RECORD, STEP};

const FILE_MODE: u32 = 0o600;
/// Files set aside are numbered from 1; a device that has damaged this many keeps the last ones in place.
const MAX_SET_ASIDE: u32 = 1000;

/// An append-only file of records.
///
/// Once an append has failed, the state of the file is unknown and every later append and rewrite fails: the
/// caller stops, and opening the journal again tells what is there. One process has a journal open at a time.
#[derive(Debug)]
pub struct Journal<D: Disk = RealDisk> {
    disk: D,
    path: PathBuf,
    file: D::File,
    /// Where the next record goes.
    end: usize,
    /// How far the file has been prepared with zeros.
    prepared: usize,
    poisoned: bool,
}

/// What opening a journal found.
#[derive(Debug)]
pub struct Opened<D: Disk = RealDisk> {
    /// The journal, ready to append.
    pub journal: Journal<D>,
    /// The records in the order of their appends.
    pub records: Vec<Vec<u8>>,
    /// Whether the end of an unfinished append was cut off: its caller never heard that it had succeeded.
    pub torn: bool,
    /// Set if the file was damaged. `records` are then the whole ones before the damage, perhaps none, and
    /// what the others said is not known.
    pub damage: Option<Damage>,
}

/// A damaged journal file and where it lies now, for somebody to look at.
#[derive(Debug, thiserror::Error)]
#[error("the journal was damaged and has been set aside as {}", set_aside.display())]
pub struct Damage {
    /// The damaged file.
    pub set_aside: PathBuf,
    /// What is wrong with it.
    #[source]
    pub kind: DamageKind,
}

/// Why a journal cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its directory is not there and cannot be made.
    #[error("cannot create the directory {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        #[expect(missing_docs, reason = "the cause")]
        source: io::Error,
    },
    /// There is a file, and it may not be opened (permissions, a directory of that name).
    #[error("cannot open the journal {}", path.display())]
    Open {
        /// The journal.
        path: PathBuf,
        #[expect(missing_docs, reason = "the cause")]
        source: io::Error,
    },
    /// A damaged file cannot be set aside.
    #[error("cannot set the damaged journal {} aside", path.display())]
    SetAside {
        /// The journal.
        path: PathBuf,
        #[expect(missing_docs, reason = "the cause")]
        source: io::Error,
    },
    /// A fresh file, or the cut end of this one, cannot be written.
    #[error("cannot prepare the journal {}", path.display())]
    Prepare {
        /// The journal.
        path: PathBuf,
        #[expect(missing_docs, reason = "the cause")]
        source: io::Error,
    },
}

/// Why a record is not in the journal.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Longer than [`MAX_RECORD`]. The journal is unharmed.
    #[error("a record of {size} bytes is longer than the limit of {MAX_RECORD}")]
    TooLong {
        /// Its length in bytes.
        size: usize,
    },
    /// The file would become longer than [`MAX_JOURNAL`]. The journal is unharmed; rewrite it.
    #[error("the journal is full")]
    Full,
    /// The disk failed. Whether the record is there is known after the next open; the journal is poisoned.
    #[error("cannot append to the journal {}", path.display())]
    Disk {
        /// The journal.
        path: PathBuf,
        #[expect(missing_docs, reason = "the cause")]
        source: io::Error,
    },
    /// An earlier append has failed.
    #[error("the journal is closed because an earlier write has failed")]
    Poisoned,
}

/// Why a journal was not rewritten.
#[derive(Debug, thiserror::Error)]
pub enum RewriteError {
    /// A record is longer than [`MAX_RECORD`]. The journal is as it was.
    #[error("a record of {size} bytes is longer than the limit of {MAX_RECORD}")]
    TooLong {
        /// Its length in bytes.
        size: usize,
    },
    /// The records together are longer than [`MAX_JOURNAL`]. The journal is as it was.
    #[error("the records do not fit into a journal")]
    Full,
    /// The new file cannot be written. The journal is as it was and can be used.
    #[error("cannot write a new journal beside {}", path.display())]
    Write {
        /// The journal.
        path: PathBuf,
        #[expect(missing_docs, reason = "the cause")]
        source: io::Error,
    },
    /// Whether the old file or the new one will be there after a crash is not known; the journal is poisoned.
    #[error("cannot put the new journal in the place of {}", path.display())]
    Replace {
        /// The journal.
        path: PathBuf,
        #[expect(missing_docs, reason = "the cause")]
        source: io::Error,
    },
    /// An earlier append has failed.
    #[error("the journal is closed because an earlier write has failed")]
    Poisoned,
}

impl Journal {
    /// Opens the journal at `path`, or creates it (mode 0600, missing directories 0700).
    pub fn open(path: impl Into<PathBuf>) -> Result<Opened, OpenError> {
        Self::open_on(RealDisk, path, None)
    }

    /// As [`Journal::open`]. If it was damaged, the new file holds the whole records before the damage and then
    /// `mark`, in one step: however often it is interrupted, what has lost records says so.
    pub fn open_with_mark(path: impl Into<PathBuf>, mark: &[u8]) -> Result<Opened, OpenError> {
        Self::open_on(RealDisk, path, Some(mark))
    }
}

impl<D: Disk> Journal<D> {
    /// As [`Journal::open`] or [`Journal::open_with_mark`], on another disk.
    pub fn open_on(disk: D, path: impl Into<PathBuf>, mark: Option<&[u8]>) -> Result<Opened<D>, OpenError> {
        let path = path.into();
        let directory = parent(&path);
        disk.create_private_dir(directory)
            .map_err(|source| OpenError::Directory { path: directory.to_owned(), source })?;
        let mut file = match disk.open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Self::start(disk, path, Vec::new(), None);
            }
            Err(source) => return Err(OpenError::Open { path, source }),
        };
        let (mut scan, length) = match file.read_all(MAX_JOURNAL) {
            Err(_unreadable) => (damaged(DamageKind::Unreadable), 0),
            Ok(bytes) if bytes.len() as u64 > MAX_JOURNAL => (damaged(DamageKind::TooLong), 0),
            Ok(bytes) => (segment::scan(&bytes), bytes.len()),
        };
        if let Some(kind) = scan.damage {
            let set_aside = set_aside(&disk, &path)
                .map_err(|source| OpenError::SetAside { path: path.clone(), source })?;
            scan.records.extend(mark.map(<[u8]>::to_vec));
            return Self::start(disk, path, scan.records, Some(Damage { set_aside, kind }));
        }
        if scan.torn {
            let zeros = vec![0; length - scan.end];
            write_all_at(&mut file, scan.end as u64, &zeros)
                .and_then(|()| file.sync_all())
                .map_err(|source| OpenError::Prepare { path: path.clone(), source })?;
        }
        let journal = Self { disk, path, file, end: scan.end, prepared: length, poisoned: false };
        Ok(Opened { journal, records: scan.records, torn: scan.torn, damage: None })
    }

    /// Appends a record. When this returns `Ok`, the record survives a power cut.
    pub fn append(&mut self, record: &[u8]) -> Result<(), AppendError> {
        if self.poisoned {
            return Err(AppendError::Poisoned);
        }
        if record.len() > MAX_RECORD {
            return Err(AppendError::TooLong { size: record.len() });
        }
        let end = self.end + segment::size_of_record(record.len());
        if end.next_multiple_of(STEP) as u64 > MAX_JOURNAL {
            return Err(AppendError::Full);
        }
        self.write_record(record, end).map_err(|source| {
            self.poisoned = true;
            AppendError::Disk { path: self.path.clone(), source }
        })
    }

    /// Makes sure that so many bytes can be appended although the disk is full, their headers included. If that fails
    /// the journal can go on being used, without that promise.
    ///
    /// It holds where a file system writes in place, as ext4, f2fs and tmpfs do; one that copies on write may still
    /// want space.
    pub fn reserve(&mut self, room: usize) -> Result<(), AppendError> {
        if self.poisoned {
            return Err(AppendError::Poisoned);
        }
        let wanted = (self.end + room).next_multiple_of(STEP);
        if wanted as u64 > MAX_JOURNAL {
            return Err(AppendError::Full);
        }
        // What was written of it lies behind the end and is zeros, so it does no harm.
        self.prepare(wanted).map_err(|source| AppendError::Disk { path: self.path.clone(), source })
    }

    /// Keeps a copy of the file as it is under a free name, for somebody to look at.
    pub fn set_aside(&self) -> io::Result<PathBuf> {
        set_aside(&self.disk, &self.path)
    }

    /// Puts these records in the place of all that the journal holds, in one step, with room for so many bytes as by
    /// [`Journal::reserve`].
    pub fn rewrite(&mut self, records: &[impl AsRef<[u8]>], room: usize) -> Result<(), RewriteError> {
        if self.poisoned {
            return Err(RewriteError::Poisoned);
        }
        if let Some(record) = records.iter().find(|record| record.as_ref().len() > MAX_RECORD) {
            return Err(RewriteError::TooLong { size: record.as_ref().len() });
        }
        let end = segment::end_of(records);
        if (end + room).next_multiple_of(STEP) as u64 > MAX_JOURNAL {
            return Err(RewriteError::Full);
        }
        let (file, prepared) = write_beside(&self.disk, &self.path, records, room)
            .map_err(|source| RewriteError::Write { path: self.path.clone(), source })?;
        if let Err(source) = put_in_place(&self.disk, &self.path) {
            self.poisoned = true;
            return Err(RewriteError::Replace { path: self.path.clone(), source });
        }
        (self.file, self.end, self.prepared) = (file, end, prepared);
        Ok(())
    }

    /// Whether somebody has removed its file: what is appended from then on is not there after a restart. A rewrite mends
    /// it, if the directory is still there.
    #[must_use]
    pub fn is_removed(&self) -> bool {
        // A file system that cannot say has not lost it.
        self.file.has_a_name().is_ok_and(|has_a_name| !has_a_name)
    }

    /// How many bytes the records take: what a caller looks at to decide on a rewrite.
    #[must_use]
    pub fn size(&self) -> usize {
        self.end
    }

    /// Whether an earlier failure has closed this journal.
    #[must_use]
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    /// The journal's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn write_record(&mut self, record: &[u8], end: usize) -> io::Result<()> {
        self.prepare(end.next_multiple_of(STEP))?;
        write_all_at(&mut self.file, self.end as u64, &segment::encode(self.end, record))?;
        self.file.sync_data()?;
        self.end = end;
        Ok(())
    }

    fn prepare(&mut self, wanted: usize) -> io::Result<()> {
        if wanted > self.prepared {
            write_all_at(&mut self.file, self.prepared as u64, &vec![0; wanted - self.prepared])?;
            self.file.sync_all()?;
            self.prepared = wanted;
        }
        Ok(())
    }

    /// A new file with these records in the place of whatever is there.
    fn start(
        disk: D,
        path: PathBuf,
        records: Vec<Vec<u8>>,
        damage: Option<Damage>,
    ) -> Result<Opened<D>, OpenError> {
        let written = write_beside(&disk, &path, &records, 0)
            .and_then(|written| put_in_place(&disk, &path).map(|()| written));
        let (file, prepared) = match written {
            Ok(written) => written,
            Err(source) => return Err(OpenError::Prepare { path, source }),
        };
        let end = segment::end_of(&records);
        let journal = Self { disk, path, file, end, prepared, poisoned: false };
        Ok(Opened { journal, records, torn: false, damage })
    }
}

fn damaged(kind: DamageKind) -> segment::Scan {
    segment::Scan { records: Vec::new(), end: 0, torn: false, damage: Some(kind) }
}

/// Keeps the damaged file under a free name. It also keeps its place until the new file takes it: a crash in
/// between must not leave a journal that looks as if there had never been one.
fn set_aside<D: Disk>(disk: &D, path: &Path) -> io::Result<PathBuf> {
    for number in 1..MAX_SET_ASIDE {
        let aside = with_suffix(path, &format!(".damaged-{number}"));
        match disk.keep_as(path, &aside) {
            Ok(()) => return disk.sync_dir(parent(path)).map(|()| aside),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn write_beside<D: Disk>(
    disk: &D,
    path: &Path,
    records: &[impl AsRef<[u8]>],
    room: usize,
) -> io::Result<(D::File, usize)> {
    let bytes = segment::file_of(records, room);
    let mut file = disk.create(&beside(path), FILE_MODE)?;
    write_all_at(&mut file, 0, &bytes)?;
    file.sync_all()?;
    Ok((file, bytes.len()))
}

fn put_in_place<D: Disk>(disk: &D, path: &Path) -> io::Result<()> {
    disk.rename(&beside(path), path)?;
    disk.sync_dir(parent(path))
}

/// Where the next file is written. A left-over of a crash is overwritten.
fn beside(path: &Path) -> PathBuf {
    with_suffix(path, ".new")
}

pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::testing::{Fault, FaultyDisk};

    const PATH: &str = "/state/journal";

    #[test]
    fn appended_records_are_there_after_a_restart_and_the_file_is_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state/journal");
        let mut opened = Journal::open(&path).unwrap();
        assert!(opened.records.is_empty() && opened.damage.is_none());
        opened.journal.append(b"one").unwrap();
        opened.journal.append(b"").unwrap();
        drop(opened);
        let mut opened = Journal::open(&path).unwrap();
        assert_eq!(opened.records, [&b"one"[..], b""]);
        opened.journal.rewrite(&[b"two"], 0).unwrap();
        opened.journal.append(b"three").unwrap();
        drop(opened);
        assert_eq!(Journal::open(&path).unwrap().records, [&b"two"[..], b"three"]);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    }

    /// The promise of the crate, at every byte.
    #[test]
    fn after_a_crash_at_any_byte_there_is_what_was_promised_and_at_most_one_record_more() {
        for lose in [false, true] {
            for point in 0.. {
                let disk = FaultyDisk::new();
                let mut opened = Journal::open_on(disk.clone(), PATH, None).unwrap();
                opened.journal.append(b"before").unwrap();
                disk.arm(Fault::CrashAfter(point));
                let mut promised = vec![b"before".to_vec()];
                let mut tried = promised.clone();
                for record in [&b"a first record"[..], b"a second one", b"third"] {
                    tried.push(record.to_vec());
                    if opened.journal.append(record).is_err() {
                        break;
                    }
                    promised.push(record.to_vec());
                }
                restart(&disk, lose);
                let found = Journal::open_on(disk.clone(), PATH, None).unwrap();
                assert!(found.damage.is_none(), "crash at {point}");
                assert!(found.records == promised || found.records == tried, "crash at {point}");
                let mut journal = found.journal;
                journal.append(b"and on").unwrap();
                let again = Journal::open_on(disk, PATH, None).unwrap();
                assert_eq!(again.records.len(), found.records.len() + 1, "the cut end is clean");
                if promised.len() == 4 {
                    break;
                }
            }
        }
    }

    #[test]
    fn a_crash_while_the_file_grows_loses_nothing() {
        let big = vec![7; STEP - 100];
        let steps = [0, 1, 50, STEP / 2, STEP - 1, STEP, STEP + 1, STEP + 2, 2 * STEP, 2 * STEP + 1];
        for lose in [false, true] {
            for point in steps {
                let disk = FaultyDisk::new();
                let mut journal = Journal::open_on(disk.clone(), PATH, None).unwrap().journal;
                journal.append(&big).unwrap();
                disk.arm(Fault::CrashAfter(point));
                let grown = journal.append(&big).is_ok();
                restart(&disk, lose);
                let found = Journal::open_on(disk, PATH, None).unwrap();
                assert!(found.damage.is_none(), "crash at {point}");
                assert!(found.records.len() == 2 || (found.records.len() == 1 && !grown), "crash at {point}");
            }
        }
    }

    #[test]
    fn a_crash_while_rewriting_leaves_the_old_records_or_the_new() {
        for lose in [false, true] {
            for point in (0..200).chain(STEP - 5..) {
                let disk = FaultyDisk::new();
                let mut journal = Journal::open_on(disk.clone(), PATH, None).unwrap().journal;
                journal.append(b"old").unwrap();
                journal.append(b"older").unwrap();
                disk.arm(Fault::CrashAfter(point));
                let done = journal.rewrite(&[b"new"], 0).is_ok();
                restart(&disk, lose);
                let found = Journal::open_on(disk, PATH, None).unwrap();
                let new = found.records == [b"new"];
                assert!(new || found.records == [&b"old"[..], b"older"], "crash at {point}");
                assert!(found.damage.is_none());
                if done {
                    assert!(new);
                    break;
                }
            }
        }
    }

    #[test]
    fn a_journal_that_somebody_has_removed_says_so_and_is_mended_by_a_rewrite() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state/journal");
        let mut journal = Journal::open(&path).unwrap().journal;
        journal.append(b"one").unwrap();
        assert!(!journal.is_removed());
        std::fs::remove_file(&path).unwrap();
        assert!(journal.is_removed());
        journal.rewrite(&[b"one", b"two"], 0).unwrap();
        assert!(!journal.is_removed());
        assert_eq!(Journal::open(&path).unwrap().records, [b"one", b"two"]);
        std::fs::remove_dir_all(directory.path().join("state")).unwrap();
        assert!(journal.is_removed());
        assert!(matches!(journal.rewrite(&[b"one"], 0), Err(RewriteError::Write { .. })));
    }

    #[test]
    fn a_crash_at_the_very_first_opening_is_no_damage() {
        for lose in [false, true] {
            for point in (0..20).chain(STEP..) {
                let disk = FaultyDisk::new();
                disk.arm(Fault::CrashAfter(point));
                let opened = Journal::open_on(disk.clone(), PATH, None).is_ok();
                restart(&disk, lose);
                let found = Journal::open_on(disk, PATH, None).unwrap();
                assert!(found.records.is_empty() && found.damage.is_none(), "crash at {point}");
                if opened {
                    break;
                }
            }
        }
    }

    #[test]
    fn after_a_failed_write_or_sync_every_later_append_fails() {
        for fault in [Fault::FailWrite(0), Fault::FailSync(0)] {
            let disk = FaultyDisk::new();
            let mut journal = Journal::open_on(disk.clone(), PATH, None).unwrap().journal;
            disk.arm(fault);
            assert!(matches!(journal.append(b"lost"), Err(AppendError::Disk { .. })));
            disk.restart();
            assert!(matches!(journal.append(b"no"), Err(AppendError::Poisoned)));
            assert!(matches!(journal.rewrite(&[b"no"], 0), Err(RewriteError::Poisoned)));
            assert!(journal.is_poisoned());
        }
    }

    #[test]
    fn a_rewrite_that_finds_no_space_leaves_a_journal_that_works() {
        let disk = FaultyDisk::new();
        let mut journal = Journal::open_on(disk.clone(), PATH, None).unwrap().journal;
        journal.append(b"kept").unwrap();
        disk.arm(Fault::NoSpaceAfter(100));
        assert!(matches!(journal.rewrite(&[b"new"], 0), Err(RewriteError::Write { .. })));
        journal.append(b"the prepared space is still there").unwrap();
        assert_eq!(Journal::open_on(disk, PATH, None).unwrap().records.len(), 2);
    }

    #[test]
    fn a_rewrite_whose_durability_is_unknown_closes_the_journal() {
        let disk = FaultyDisk::new();
        let mut journal = Journal::open_on(disk.clone(), PATH, None).unwrap().journal;
        disk.arm(Fault::FailSync(1));
        assert!(matches!(journal.rewrite(&[b"new"], 0), Err(RewriteError::Replace { .. })));
        assert!(matches!(journal.append(b"no"), Err(AppendError::Poisoned)));
    }

    #[test]
    fn a_full_disk_at_growth_is_an_error_and_loses_nothing_that_was_promised() {
        let disk = FaultyDisk::new();
        let mut journal = Journal::open_on(disk.clone(), PATH, None).unwrap().journal;
        journal.append(&vec![1; 40_000]).unwrap();
        disk.arm(Fault::NoSpaceAfter(1000));
        assert!(matches!(journal.append(&vec![2; 40_000]), Err(AppendError::Disk { .. })));
        disk.restart();
        let mut found = Journal::open_on(disk, PATH, None).unwrap();
        assert_eq!(found.records, [vec![1; 40_000]]);
        found.journal.append(&vec![2; 40_000]).unwrap();
    }

    /// The promise of `reserve`, at every size of what is left of the disk.
    #[test]
    fn what_has_room_is_appended_on_a_full_disk() {
        for free in [0, 1, STEP - 1, STEP, 3 * STEP] {
            let disk = FaultyDisk::new();
            let mut journal = Journal::open_on(disk.clone(), PATH, None).unwrap().journal;
            journal.append(b"first").unwrap();
            disk.arm(Fault::NoSpaceAfter(free));
            let room = 2 * STEP;
            match journal.reserve(room) {
                Ok(()) => {
                    disk.arm(Fault::NoSpaceAfter(0));
                    for _ in 0..16 {
                        journal.append(&vec![7; room / 16 - 8]).unwrap();
                    }
                }
                Err(error) => {
                    assert!(matches!(error, AppendError::Disk { .. }), "{error}");
                    journal.append(b"what was prepared before is still there").unwrap();
                }
            }
            assert!(Journal::open_on(disk, PATH, None).unwrap().records.len() > 1, "{free}");
        }
    }

    #[test]
    fn a_rewrite_leaves_the_room_that_was_asked_for() {
        let disk = FaultyDisk::new();
        let mut journal = Journal::open_on(disk.clone(), PATH, None).unwrap().journal;
        journal.rewrite(&[b"small"], 2 * STEP).unwrap();
        disk.arm(Fault::NoSpaceAfter(0));
        journal.append(&vec![7; 2 * STEP - 8]).unwrap();
        assert!(matches!(journal.reserve(STEP), Err(AppendError::Disk { .. })));
    }

    /// Whatever interrupts the opening.
    #[test]
    fn a_journal_that_has_lost_records_says_so_by_its_mark() {
        for lose in [false, true] {
            for point in (0..40).chain(STEP - 5..) {
                let disk = FaultyDisk::new();
                let mut journal = Journal::open_on(disk.clone(), PATH, None).unwrap().journal;
                for record in ["first", "second", "third"] {
                    journal.append(record.as_bytes()).unwrap();
                }
                let mut bytes = disk.content(Path::new(PATH)).unwrap();
                bytes[8 + 13 + 8] ^= 0xff;
                disk.plant(Path::new(PATH), &bytes);
                disk.arm(Fault::CrashAfter(point));
                let opened = Journal::open_on(disk.clone(), PATH, Some(b"mark")).is_ok();
                restart(&disk, lose);
                let found = Journal::open_on(disk.clone(), PATH, Some(b"mark")).unwrap();
                assert_eq!(found.records, [&b"first"[..], b"mark"], "crash at {point}");
                if opened {
                    break;
                }
            }
        }
    }

    #[test]
    fn short_writes_are_continued() {
        let disk = FaultyDisk::new();
        let mut journal = Journal::open_on(disk.clone(), PATH, None).unwrap().journal;
        disk.arm(Fault::ShortWrites(3));
        journal.append(b"in small pieces").unwrap();
        assert_eq!(Journal::open_on(disk, PATH, None).unwrap().records, [b"in small pieces"]);
    }

    #[test]
    fn a_damaged_middle_is_set_aside_and_the_whole_records_before_it_are_kept() {
        let disk = FaultyDisk::new();
        let mut journal = Journal::open_on(disk.clone(), PATH, None).unwrap().journal;
        for record in ["first", "second", "third"] {
            journal.append(record.as_bytes()).unwrap();
        }
        let mut bytes = disk.content(Path::new(PATH)).unwrap();
        bytes[8 + 13 + 8] ^= 0xff;
        disk.plant(Path::new(PATH), &bytes);
        let found = Journal::open_on(disk.clone(), PATH, None).unwrap();
        assert_eq!(found.records, [b"first"]);
        let damage = found.damage.unwrap();
        assert_eq!(damage.kind, DamageKind::Record { offset: 21 });
        assert_eq!(damage.set_aside, Path::new("/state/journal.damaged-1"));
        assert_eq!(disk.content(&damage.set_aside).unwrap(), bytes);
        let again = Journal::open_on(disk, PATH, None).unwrap();
        assert!(again.damage.is_none() && again.records == [b"first"]);
    }

    #[test]
    fn a_file_that_cannot_be_read_or_is_foreign_is_set_aside_under_a_new_number() {
        let disk = FaultyDisk::new();
        disk.plant(Path::new(PATH), b"");
        let kind = |disk: &FaultyDisk| Journal::open_on(disk.clone(), PATH, None).unwrap().damage.unwrap();
        assert_eq!(kind(&disk).kind, DamageKind::NotAJournal);
        disk.arm(Fault::FailReads);
        let second = kind(&disk);
        assert_eq!(second.kind, DamageKind::Unreadable);
        assert_eq!(second.set_aside, Path::new("/state/journal.damaged-2"));
    }

    #[test]
    fn a_crash_while_setting_aside_never_makes_a_damaged_journal_look_new() {
        for lose in [false, true] {
            for point in (0..30).chain(STEP - 5..) {
                let disk = FaultyDisk::new();
                disk.plant(Path::new(PATH), b"rubbish");
                disk.arm(Fault::CrashAfter(point));
                let reported = Journal::open_on(disk.clone(), PATH, None).is_ok();
                restart(&disk, lose);
                let found = Journal::open_on(disk.clone(), PATH, None).unwrap();
                let kept = disk.names().iter().any(|name| name.ends_with("journal.damaged-1"));
                assert!(found.damage.is_some() || kept, "crash at {point}");
                if reported {
                    break;
                }
            }
        }
    }

    #[test]
    fn a_record_or_a_journal_beyond_the_limit_is_refused_and_harms_nothing() {
        let disk = FaultyDisk::new();
        let mut journal = Journal::open_on(disk.clone(), PATH, None).unwrap().journal;
        let largest = vec![1; MAX_RECORD];
        assert!(matches!(journal.append(&vec![0; MAX_RECORD + 1]), Err(AppendError::TooLong { .. })));
        let mut appended = 0;
        loop {
            match journal.append(&largest) {
                Ok(()) => appended += 1,
                Err(AppendError::Full) => break,
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(Journal::open_on(disk, PATH, None).unwrap().records.len(), appended);
        journal.rewrite(&[b"small"], 0).unwrap();
        journal.append(&largest).unwrap();
    }

    fn restart(disk: &FaultyDisk, lose: bool) {
        if lose {
            disk.restart_without_what_was_not_synced();
        } else {
            disk.restart();
        }
    }
}
