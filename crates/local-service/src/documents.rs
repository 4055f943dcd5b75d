//! The directory that stands in for S3: `DIR/BUCKET/KEY`. What a `documentSource` names is read from it once, when the job is
//! created; what a presigned placeholder names is served from it.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use jobs_protocol::limits::JOB_DOCUMENT_BYTES;
use serde_json::Value;
use service_core::S3Object;

use crate::jobs::Refusal;

/// Largest file that is served, in bytes.
const LARGEST: u64 = 256 * 1024 * 1024;

/// The directory, if there is one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Documents {
    root: Option<PathBuf>,
}

/// Why a file of the directory cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("this service has no directory of documents (--documents)")]
    NoDirectory,
    #[error("the name leads out of the directory of documents")]
    Outside,
    #[error("it is no file of at most {0} bytes")]
    Unfit(u64),
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
}

impl Documents {
    pub(crate) fn new(root: Option<PathBuf>) -> Self {
        Self { root }
    }

    /// The document that a call to create a job or a template names by `documentSource`: an S3 URL, or a path below the
    /// directory.
    pub(crate) fn of_call(&self, operation: &str, params: &Value) -> Result<Option<String>, Refusal> {
        if !matches!(operation, "CreateJob" | "CreateJobTemplate") || params.get("document").is_some() {
            return Ok(None);
        }
        let Some(source) = params.get("documentSource").and_then(Value::as_str) else { return Ok(None) };
        let refused = |error: ReadError| {
            let shown: String = source.chars().take(200).collect();
            let message = format!("The documentSource {shown} cannot be used: {error}.");
            Refusal::new(400, "InvalidRequestException", message)
        };
        let bytes = match S3Object::parse(source) {
            Some(object) => self.object(&object, JOB_DOCUMENT_BYTES as u64),
            None if source.contains("://") => {
                let message =
                    "The documentSource is neither a URL of S3 nor a path below the directory of documents.";
                return Err(Refusal::new(400, "InvalidRequestException", message));
            }
            None => self.file(Path::new(source), JOB_DOCUMENT_BYTES as u64),
        };
        let text = String::from_utf8(bytes.map_err(refused)?);
        // The service's own words for what is no document.
        let message = "Job document located at request input is an invalid JSON document.";
        text.map(Some).map_err(|_| Refusal::new(400, "InvalidRequestException", message))
    }

    /// The content of an object.
    pub(crate) fn served(&self, object: &S3Object) -> Result<Vec<u8>, ReadError> {
        self.object(object, LARGEST)
    }

    fn object(&self, object: &S3Object, limit: u64) -> Result<Vec<u8>, ReadError> {
        let key = percent_decoded(&object.key).ok_or(ReadError::Outside)?;
        self.file(&Path::new(&object.bucket).join(key.trim_start_matches('/')), limit)
    }

    fn file(&self, name: &Path, limit: u64) -> Result<Vec<u8>, ReadError> {
        let root = self.root.as_ref().ok_or(ReadError::NoDirectory)?;
        if !name.components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(ReadError::Outside);
        }
        // Links inside the directory may lead elsewhere inside it, and nowhere else.
        let path = fs::canonicalize(root.join(name))?;
        if !path.starts_with(fs::canonicalize(root)?) {
            return Err(ReadError::Outside);
        }
        if !fs::metadata(&path)?.is_file() {
            return Err(ReadError::Unfit(limit));
        }
        let mut bytes = Vec::new();
        File::open(&path)?.take(limit + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > limit { Err(ReadError::Unfit(limit)) } else { Ok(bytes) }
    }
}

/// The text without its `%xx`; `None` if the result is not UTF-8. A `%` that is no escape stands for itself.
pub(crate) fn percent_decoded(text: &str) -> Option<String> {
    let mut rest = text.as_bytes();
    let mut bytes = Vec::with_capacity(rest.len());
    while let Some((&first, after)) = rest.split_first() {
        let escaped = match after {
            [high, low, ..] if first == b'%' => hex(*high).zip(hex(*low)),
            _ => None,
        };
        if let Some((high, low)) = escaped {
            bytes.push(high << 4 | low);
            rest = &after[2..];
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn source(documents: &Documents, source: &str) -> Result<Option<String>, String> {
        documents
            .of_call("CreateJob", &json!({ "documentSource": source }))
            .map_err(|refusal| refusal.message)
    }

    #[test]
    fn a_document_is_found_by_its_url_and_by_its_path() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("b/dir")).unwrap();
        fs::write(root.path().join("b/dir/a b.json"), "{}").unwrap();
        let documents = Documents::new(Some(root.path().to_owned()));
        for name in
            ["https://s3.us-east-1.amazonaws.com/b/dir/a%20b.json", "s3://b/dir/a%20b.json", "b/dir/a b.json"]
        {
            assert_eq!(source(&documents, name), Ok(Some("{}".to_owned())), "{name}");
        }
    }

    #[test]
    fn nothing_leads_out_of_the_directory() {
        let outer = tempfile::tempdir().unwrap();
        fs::write(outer.path().join("secret"), "{}").unwrap();
        let root = outer.path().join("documents");
        fs::create_dir_all(root.join("b")).unwrap();
        std::os::unix::fs::symlink(outer.path().join("secret"), root.join("b/link")).unwrap();
        let documents = Documents::new(Some(root));
        for name in [
            "../secret",
            "/etc/passwd",
            "b/../../secret",
            "s3://b/%2e%2e/%2e%2e/secret",
            "s3://b/../../secret",
            "s3://b/link",
            "https://s3.amazonaws.com/b/..%2f..%2fsecret",
        ] {
            let said = source(&documents, name).unwrap_err();
            assert!(said.contains("leads out"), "{name}: {said}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("dir")).unwrap();
        fs::write(root.path().join("long"), vec![b' '; JOB_DOCUMENT_BYTES + 1]).unwrap();
        fs::write(root.path().join("binary"), [0xFF]).unwrap();
        let documents = Documents::new(Some(root.path().to_owned()));
        for (name, part) in [
            ("dir", "no file"),
            ("long", "32768"),
            ("binary", "invalid JSON"),
            ("none", "No such file"),
            ("http://x/y", "neither"),
        ] {
            let said = source(&documents, name).unwrap_err();
            assert!(said.contains(part), "{name}: {said}");
        }
        assert!(source(&Documents::default(), "x").unwrap_err().contains("--documents"));
    }
}
