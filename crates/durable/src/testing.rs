//! A disk in memory that fails and crashes on demand. For tests of this crate and of those that use it; never
//! part of a shipped binary.
//!
//! It remembers apart what has been written and what has been synced, for contents and for names, so that a
//! power cut can be replayed both ways: everything written had reached the disk, or only what was synced.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{Disk, DiskFile};

/// What goes wrong, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The n-th write from now on (0 is the next) fails with an I/O error.
    FailWrite(usize),
    /// The n-th sync from now on, of a file or a directory, fails.
    FailSync(usize),
    /// Every read of a file's content fails.
    FailReads,
    /// Every write takes at most so many bytes, at least one.
    ShortWrites(usize),
    /// Files can grow by so many bytes together, then the disk is full.
    NoSpaceAfter(usize),
    /// The power goes after so many steps: every byte that is written, every sync and every change of a name
    /// is one. From then on all operations fail until a restart.
    CrashAfter(usize),
}

/// A disk in memory; clones are the same disk.
#[derive(Debug, Clone, Default)]
pub struct FaultyDisk(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    files: Vec<Content>,
    names: BTreeMap<PathBuf, usize>,
    synced_names: BTreeMap<PathBuf, usize>,
    fault: Option<Fault>,
}

#[derive(Debug, Default, Clone)]
struct Content {
    written: Vec<u8>,
    synced: Vec<u8>,
    /// What the two may differ in, besides their lengths.
    dirty: Range<usize>,
}

impl Content {
    fn sync(&mut self) {
        let Range { start, end } = self.dirty;
        self.synced.resize(self.written.len(), 0);
        if let (Some(from), Some(to)) = (self.written.get(start..end), self.synced.get_mut(start..end)) {
            to.copy_from_slice(from);
        }
        self.dirty = 0..0;
    }

    fn touch(&mut self, start: usize, end: usize) {
        self.dirty = if self.dirty.is_empty() {
            start..end
        } else {
            self.dirty.start.min(start)..self.dirty.end.max(end)
        };
    }
}

/// An open file of a [`FaultyDisk`].
#[derive(Debug)]
pub struct FaultyFile {
    disk: FaultyDisk,
    file: usize,
}

impl FaultyDisk {
    /// An empty disk without faults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// From now on this goes wrong, and nothing else.
    pub fn arm(&self, fault: Fault) {
        self.state().fault = Some(fault);
    }

    /// From now on nothing goes wrong any more.
    pub fn disarm(&self) {
        self.state().fault = None;
    }

    /// The power is back; all that had been written is there, synced or not.
    pub fn restart(&self) {
        let mut state = self.state();
        state.fault = None;
        state.synced_names = state.names.clone();
        for file in &mut state.files {
            file.sync();
        }
    }

    /// The power is back; only what had been synced is there.
    pub fn restart_without_what_was_not_synced(&self) {
        let mut state = self.state();
        state.fault = None;
        state.names = state.synced_names.clone();
        for file in &mut state.files {
            file.written = file.synced.clone();
            file.dirty = 0..0;
        }
    }

    /// What is in a file now, if there is one of that name.
    #[must_use]
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state();
        let file = *state.names.get(path)?;
        Some(state.files.get(file)?.written.clone())
    }

    /// Puts a file there, synced, as if it had always been.
    pub fn plant(&self, path: &Path, bytes: &[u8]) {
        let mut state = self.state();
        let file = state.new_file();
        if let Some(content) = state.files.get_mut(file) {
            *content = Content { written: bytes.to_vec(), synced: bytes.to_vec(), dirty: 0..0 };
        }
        state.names.insert(path.to_owned(), file);
        state.synced_names.insert(path.to_owned(), file);
    }

    /// The names of all files.
    #[must_use]
    pub fn names(&self) -> Vec<PathBuf> {
        self.state().names.keys().cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn new_file(&mut self) -> usize {
        self.files.push(Content::default());
        self.files.len() - 1
    }

    /// Takes one step towards the crash, for an operation that happens as a whole.
    fn step(&mut self) -> io::Result<()> {
        if let Some(Fault::CrashAfter(left)) = &mut self.fault {
            *left = left.checked_sub(1).ok_or_else(power_cut)?;
        }
        Ok(())
    }

    fn sync_step(&mut self) -> io::Result<()> {
        if let Some(Fault::FailSync(left)) = &mut self.fault {
            match left.checked_sub(1) {
                Some(fewer) => *left = fewer,
                None => return Err(io_error()),
            }
        }
        self.step()
    }

    /// How many of `wanted` bytes a write takes, of which `growth` lie beyond the end of the file.
    fn admit(&mut self, wanted: usize, growth: usize) -> io::Result<usize> {
        match &mut self.fault {
            Some(Fault::FailWrite(left)) => match left.checked_sub(1) {
                Some(fewer) => *left = fewer,
                None => return Err(io_error()),
            },
            Some(Fault::ShortWrites(most)) => return Ok(wanted.min((*most).max(1))),
            Some(Fault::NoSpaceAfter(left)) => {
                let missing = growth.saturating_sub(*left);
                let taken = wanted - missing;
                *left -= growth - missing;
                return if taken == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(taken) };
            }
            Some(Fault::CrashAfter(left)) => {
                let taken = wanted.min(*left);
                *left -= taken;
                return if taken == 0 { Err(power_cut()) } else { Ok(taken) };
            }
            Some(Fault::FailSync(_) | Fault::FailReads) | None => {}
        }
        Ok(wanted)
    }
}

fn power_cut() -> io::Error {
    io::Error::other("the power is cut")
}

fn io_error() -> io::Error {
    io::Error::other("the disk fails")
}

impl Disk for FaultyDisk {
    type File = FaultyFile;

    fn create_private_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn open(&self, path: &Path) -> io::Result<FaultyFile> {
        let state = self.state();
        let file = *state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(FaultyFile { disk: self.clone(), file })
    }

    fn create(&self, path: &Path, _mode: u32) -> io::Result<FaultyFile> {
        let mut state = self.state();
        state.step()?;
        let file = match state.names.get(path).copied() {
            Some(file) => file,
            None => state.new_file(),
        };
        if let Some(content) = state.files.get_mut(file) {
            content.written.clear();
            content.dirty = 0..0;
        }
        state.names.insert(path.to_owned(), file);
        drop(state);
        Ok(FaultyFile { disk: self.clone(), file })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        let file = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_owned(), file);
        Ok(())
    }

    fn keep_as(&self, path: &Path, second: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        if state.names.contains_key(second) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = *state.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(second.to_owned(), file);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        state.names.remove(path).map(|_file| ()).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.sync_step()?;
        let inside = |name: &PathBuf| name.parent() == Some(path);
        let State { names, synced_names, files, .. } = &mut *state;
        synced_names.retain(|name, _| !inside(name));
        synced_names.extend(names.iter().filter(|(name, _)| inside(name)).map(|(n, f)| (n.clone(), *f)));
        // What has no name any more takes no space.
        for (number, file) in files.iter_mut().enumerate() {
            if !names.values().chain(synced_names.values()).any(|named| *named == number) {
                *file = Content::default();
            }
        }
        Ok(())
    }
}

impl DiskFile for FaultyFile {
    fn read_all(&mut self, limit: u64) -> io::Result<Vec<u8>> {
        let state = self.disk.state();
        if state.fault == Some(Fault::FailReads) {
            return Err(io_error());
        }
        let content = state.files.get(self.file).ok_or(io::ErrorKind::NotFound)?;
        let most = usize::try_from(limit).unwrap_or(usize::MAX).saturating_add(1);
        Ok(content.written.iter().copied().take(most).collect())
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.disk.state();
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let length = state.files.get(self.file).map_or(0, |content| content.written.len());
        let growth = (start + bytes.len()).saturating_sub(length.max(start));
        let taken = state.admit(bytes.len(), growth)?;
        let content = state.files.get_mut(self.file).ok_or(io::ErrorKind::NotFound)?;
        let before = content.written.len();
        if before < start + taken {
            content.written.resize(start + taken, 0);
        }
        for (place, byte) in content.written.iter_mut().skip(start).zip(bytes.iter().take(taken)) {
            *place = *byte;
        }
        content.touch(start.min(before), start + taken);
        Ok(taken)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        self.sync_all()
    }

    fn sync_all(&mut self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.sync_step()?;
        let content = state.files.get_mut(self.file).ok_or(io::ErrorKind::NotFound)?;
        content.sync();
        Ok(())
    }

    fn has_a_name(&self) -> io::Result<bool> {
        Ok(self.disk.state().names.values().any(|named| *named == self.file))
    }
}
