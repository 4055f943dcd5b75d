//! The seam between this crate and the disk: the few operations that durability is made of, and their real
//! implementation. What order they come in, and what a failure means, is decided by the callers.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// What the durable files ask of a disk. Tests put a failing one in its place.
pub trait Disk {
    /// An open file of this disk.
    type File: DiskFile;

    /// Creates `path` and its missing parents for their owner alone (mode 0700); one that is there stays as it is.
    fn create_private_dir(&self, path: &Path) -> io::Result<()>;
    /// Opens a file for reading and writing. `NotFound` is an ordinary answer.
    fn open(&self, path: &Path) -> io::Result<Self::File>;
    /// Creates an empty file with this mode, whatever the umask; what was there is emptied.
    fn create(&self, path: &Path, mode: u32) -> io::Result<Self::File>;
    /// Puts `from` in the place of `to` in one step.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives the file a second name that must be free. Where the file system knows no second names, it is
    /// moved instead.
    fn keep_as(&self, path: &Path, second: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes creations and renames in this directory durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
}

/// An open file of a [`Disk`].
pub trait DiskFile: std::fmt::Debug {
    /// Reads the whole file, but never more than `limit` + 1 bytes: more than `limit` tells that it is too long.
    fn read_all(&mut self, limit: u64) -> io::Result<Vec<u8>>;
    /// Writes at an offset; like `write(2)` it may write less than it was given.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<usize>;
    /// Makes the content durable, and the length if it has changed (`fdatasync`).
    fn sync_data(&mut self) -> io::Result<()>;
    /// Makes content and metadata durable (`fsync`).
    fn sync_all(&mut self) -> io::Result<()>;
    /// Whether it still has a name. What is written to a file without one goes with the process.
    fn has_a_name(&self) -> io::Result<bool>;
}

/// Writes all of `bytes`, however little the disk takes at a time.
pub(crate) fn write_all_at(file: &mut impl DiskFile, mut offset: u64, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(offset, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                offset += written as u64;
                bytes = bytes.get(written..).unwrap_or_default();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The directory that holds `path`; the working directory for a bare file name.
pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
}

/// The disk of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

/// An open file of [`RealDisk`].
#[derive(Debug)]
pub struct RealFile(File);

impl Disk for RealDisk {
    type File = RealFile;

    fn create_private_dir(&self, path: &Path) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
    }

    fn open(&self, path: &Path) -> io::Result<RealFile> {
        OpenOptions::new().read(true).write(true).open(path).map(RealFile)
    }

    fn create(&self, path: &Path, mode: u32) -> io::Result<RealFile> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(mode).open(path)?;
        // The umask and a file left over from before may both have given it another mode.
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        Ok(RealFile(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn keep_as(&self, path: &Path, second: &Path) -> io::Result<()> {
        match fs::hard_link(path, second) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
            Err(_no_links_here) => fs::rename(path, second),
            Ok(()) => Ok(()),
        }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

impl DiskFile for RealFile {
    fn read_all(&mut self, limit: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        (&self.0).take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<usize> {
        FileExt::write_at(&self.0, bytes, offset)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn sync_all(&mut self) -> io::Result<()> {
        self.0.sync_all()
    }

    fn has_a_name(&self) -> io::Result<bool> {
        Ok(self.0.metadata()?.nlink() > 0)
    }
}
