//! A configuration file of any content: it is believed, or every complaint is told. The fuzzer (`fuzz/`) calls [`run`]
//! with whatever it likes.

use std::io;
use std::path::{Path, PathBuf};

use super::facts::FileFacts;
use super::{ConfigError, Flags, Surroundings, load};
use crate::chain::Chain;

pub(crate) fn run(data: &[u8]) {
    let file = std::env::temp_dir().join(format!("fleethand-fuzz-{}.conf", std::process::id()));
    std::fs::write(&file, data).expect("the directory for temporary files can be written");
    let flags = Flags { file: Some(file), ..Flags::default() };
    let surroundings = Surroundings { home: Some(PathBuf::from("/nowhere")), user: 0, look };
    let told: Vec<String> = match load(&flags, &surroundings) {
        Ok(loaded) => loaded.notices.iter().chain(&loaded.faults).map(ToString::to_string).collect(),
        Err(ConfigError::Complaints { complaints, .. }) => {
            assert!(!complaints.is_empty(), "a refusal has a reason");
            complaints.iter().map(ToString::to_string).collect()
        }
        Err(other) => vec![Chain(&other).to_string()],
    };
    assert!(told.iter().all(|told| !told.is_empty()), "whatever is told has words");
}

/// Every file is there and is as it should be.
fn look(path: &Path) -> io::Result<FileFacts> {
    if path.starts_with("/missing") {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(FileFacts { regular: true, directory: false, mode: 0o600, owner: 0 })
}

#[cfg(test)]
#[path = "../../../../fuzz/kept.rs"]
mod kept;

#[test]
fn every_kept_input_passes() {
    kept::replay("configuration", run);
}
