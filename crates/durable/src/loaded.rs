//! Reading a small file of our own: three answers, because a file that cannot be read is not a file that does
//! not exist, and a caller who mixes the two up forgets what it owed.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::de::DeserializeOwned;

/// The longest file that [`load_json`] reads, in bytes (4 MiB).
pub const MAX_JSON_FILE: u64 = 4 * 1024 * 1024;

/// What there is of a file.
#[derive(Debug)]
pub enum Loaded<T, E = LoadError> {
    /// There is no such file.
    Missing,
    /// Its content.
    Present(T),
    /// There is one, but nobody knows what it says.
    Unreadable(E),
}

/// Why a file that is there cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The disk or the permissions do not give it.
    #[error("cannot read it")]
    Read(#[source] io::Error),
    /// Longer than [`MAX_JSON_FILE`].
    #[error("longer than {MAX_JSON_FILE} bytes")]
    TooLong,
    /// Not JSON, or not of this shape.
    #[error("its content is not what was saved")]
    Parse(#[source] serde_json::Error),
}

/// Reads a JSON file that [`crate::replace_file`] has written.
#[must_use]
pub fn load_json<T: DeserializeOwned>(path: impl AsRef<Path>) -> Loaded<T> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Loaded::Missing,
        Err(error) => return Loaded::Unreadable(LoadError::Read(error)),
    };
    let mut bytes = Vec::new();
    if let Err(error) = file.take(MAX_JSON_FILE + 1).read_to_end(&mut bytes) {
        return Loaded::Unreadable(LoadError::Read(error));
    }
    if bytes.len() as u64 > MAX_JSON_FILE {
        return Loaded::Unreadable(LoadError::TooLong);
    }
    match serde_json::from_slice(&bytes) {
        Ok(value) => Loaded::Present(value),
        Err(error) => Loaded::Unreadable(LoadError::Parse(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn missing_present_and_unreadable_are_three_answers() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("numbers.json");
        assert!(matches!(load_json::<Vec<u8>>(&path), Loaded::Missing));
        fs::write(&path, "[1,2]").unwrap();
        assert!(matches!(load_json::<Vec<u8>>(&path), Loaded::Present(numbers) if numbers == [1, 2]));
        fs::write(&path, "").unwrap();
        assert!(matches!(load_json::<Vec<u8>>(&path), Loaded::Unreadable(LoadError::Parse(_))));
        assert!(matches!(load_json::<Vec<u8>>(directory.path()), Loaded::Unreadable(LoadError::Read(_))));
    }

    #[test]
    fn a_file_beyond_the_limit_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("long.json");
        File::create(&path).unwrap().set_len(MAX_JSON_FILE + 1).unwrap();
        assert!(matches!(load_json::<Vec<u8>>(&path), Loaded::Unreadable(LoadError::TooLong)));
    }
}
