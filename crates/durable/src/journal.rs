//! The append-only journal: opening what a crash left, appending, compaction. How records lie in the file is
//! `segment`'s business, what they mean is the caller's.

mod error;

use std::io;
use std::path::{Path, PathBuf};

use crate::disk::{Disk, DiskFile, RealDisk, parent, write_all_at};
use crate::segment::{self, DamageKind, MAX_JOURNAL, MAX_RECORD, STEP};
pub use error::{AppendError, Damage, OpenError, RewriteError};

const FILE_MODE: u32 = 0o600;
/// Files set aside are numbered from 1, and so many are kept. A disk that damages the journal again and again is neither
/// to be filled with them nor to keep the caller from going on.
const MOST_SET_ASIDE: u32 = 10;

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

/// Keeps the damaged file under a free name, or under the last one. It also keeps its place until the new file takes
/// it: a crash in between must not leave a journal that looks as if there had never been one.
fn set_aside<D: Disk>(disk: &D, path: &Path) -> io::Result<PathBuf> {
    let name = |number| with_suffix(path, &format!(".damaged-{number}"));
    for aside in (1..=MOST_SET_ASIDE).map(name) {
        match disk.keep_as(path, &aside) {
            Ok(()) => return disk.sync_dir(parent(path)).map(|()| aside),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    let last = name(MOST_SET_ASIDE);
    disk.remove(&last)?;
    disk.keep_as(path, &last)?;
    disk.sync_dir(parent(path)).map(|()| last)
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
mod tests;
