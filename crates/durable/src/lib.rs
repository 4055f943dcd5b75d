//! Files that survive a crash.
//!
//! - [`Journal`]: an append-only file of records. A record whose append returned `Ok` is there after a power
//!   cut; one that was being written is there whole or not at all.
//! - [`replace_file`]: the old content or the new, never a mixture, never an empty file.
//! - [`load_json`]: three answers, because a file that cannot be read is not a file that does not exist.
//! - [`Disk`]: the seam through which all of this reaches the disk, so that tests can make it fail at any byte.
//!
//! What the records mean is left to the caller. Nothing here is asynchronous: a sync blocks its thread.

mod disk;
#[cfg(any(test, fuzzing))]
pub mod fuzzed;
mod journal;
mod loaded;
mod replace;
mod segment;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use disk::{Disk, DiskFile, RealDisk, RealFile};
pub use journal::{AppendError, Damage, Journal, OpenError, Opened, RewriteError};
pub use loaded::{LoadError, Loaded, MAX_JSON_FILE, load_json};
pub use replace::{ReplaceError, replace_file, replace_file_on};
pub use segment::{DamageKind, MAX_JOURNAL, MAX_RECORD};
