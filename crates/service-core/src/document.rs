//! The job document: stored as it was given, and written again for the device, with fresh URLs in the place of
//! presigned placeholders.

mod rewrite;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::EpochMillis;
use crate::s3::S3Object;
use crate::service::Settings;
use rewrite::rewrite;

/// How every placeholder begins.
const PLACEHOLDER: &str = "${aws:iot:";
/// The placeholders that are replaced by a URL to read from; two spellings of the same.
const PRESIGNED: [&str; 2] = ["s3-presigned-url:", "s3-presigned-url-v2:"];
/// Life of a URL if the job does not say, in seconds.
const LIFETIME: u64 = 3600;

/// A job's document.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "Saved", into = "Saved")]
pub(crate) struct Document {
    stored: String,
    delivered: Box<RawValue>,
    presigned: bool,
    /// Of its URLs, in seconds.
    pub(crate) lifetime: Option<u64>,
}

/// What is kept of it.
#[derive(Serialize, Deserialize)]
struct Saved {
    text: String,
    lifetime: Option<u64>,
}

/// Why a text is no job document.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidDocument {
    /// It is not JSON, or nested too deeply.
    #[error("the document cannot be read")]
    Unreadable(#[source] rewrite::InvalidJson),
    /// What was written for the device cannot be sent.
    #[error("the document cannot be sent")]
    Unsendable(#[source] serde_json::Error),
    /// It has a placeholder that nothing here can fill.
    #[error("the placeholder {0} is not supported by this service, or does not name an object in S3")]
    Placeholder(String),
}

impl Document {
    pub(crate) fn parse(text: String) -> Result<Self, InvalidDocument> {
        let written = rewrite(&text).map_err(InvalidDocument::Unreadable)?;
        let filled = filled(&written, |_| Some(String::new()))?;
        let delivered = RawValue::from_string(written).map_err(InvalidDocument::Unsendable)?;
        Ok(Self { presigned: filled.is_some(), stored: text, delivered, lifetime: None })
    }

    /// The text as it was given to CreateJob.
    pub(crate) fn as_stored(&self) -> &str {
        &self.stored
    }

    /// Whether it has placeholders that become URLs.
    pub(crate) fn is_presigned(&self) -> bool {
        self.presigned
    }

    /// What a device receives now.
    pub(crate) fn for_device(&self, settings: &Settings, now: EpochMillis) -> Box<RawValue> {
        if !self.presigned {
            return self.delivered.clone();
        }
        let until = EpochMillis(now.0.saturating_add(self.lifetime.unwrap_or(LIFETIME) * 1000));
        let url = |object: &S3Object| {
            Some(format!("{}{}", settings.documents, object.sealed(settings.seed, until)))
        };
        let text = filled(self.delivered.get(), url).ok().flatten();
        text.and_then(|text| RawValue::from_string(text).ok()).unwrap_or_else(|| self.delivered.clone())
    }
}

impl TryFrom<Saved> for Document {
    type Error = InvalidDocument;
    fn try_from(saved: Saved) -> Result<Self, InvalidDocument> {
        Ok(Self { lifetime: saved.lifetime, ..Self::parse(saved.text)? })
    }
}

impl From<Document> for Saved {
    fn from(document: Document) -> Self {
        Self { text: document.stored, lifetime: document.lifetime }
    }
}

/// The text with a URL in the place of every placeholder; `None` if there is none.
fn filled(text: &str, url: impl Fn(&S3Object) -> Option<String>) -> Result<Option<String>, InvalidDocument> {
    let mut rest = text;
    let mut filled = String::new();
    while let Some((before, after)) = rest.split_once(PLACEHOLDER) {
        let end = after.find('}').unwrap_or(after.len());
        let (inside, behind) = (&after[..end], after.get(end + 1..).unwrap_or_default());
        let location = PRESIGNED.iter().find_map(|kind| inside.strip_prefix(kind));
        let replaced = location.and_then(S3Object::parse).and_then(|object| url(&object));
        let Some(replaced) = replaced else {
            let shown: String = inside.chars().take(100).collect();
            return Err(InvalidDocument::Placeholder(
                format!("{PLACEHOLDER}{shown}}}").escape_debug().to_string(),
            ));
        };
        filled.push_str(before);
        filled.push_str(&replaced);
        rest = behind;
    }
    Ok((rest.len() < text.len()).then(|| filled + rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_document_can_be_sent() {
        let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
        let document = Document::parse(deep.clone()).unwrap();
        assert_eq!(document.for_device(&Settings::default(), EpochMillis(0)).get(), deep);
    }

    #[test]
    fn what_is_written_can_be_sent() {
        for text in [r#"{"a":"\ud800"}"#, "1E400", "{\"a\":\"\u{7f}\u{2028}\"}"] {
            let document = Document::parse(text.to_owned()).unwrap();
            assert_eq!(document.as_stored(), text);
            assert!(
                serde_json::to_string(&document.for_device(&Settings::default(), EpochMillis(0))).is_ok()
            );
        }
    }

    #[test]
    fn every_delivery_has_urls_of_its_own_that_live_as_long_as_asked() {
        let text = r#"{"u":"${aws:iot:s3-presigned-url:https://s3.amazonaws.com/b/k}","v":["x${aws:iot:s3-presigned-url-v2:https://b.s3.eu-west-1.amazonaws.com/k}y"]}"#;
        let mut document = Document::parse(text.to_owned()).unwrap();
        document.lifetime = Some(60);
        let settings = Settings { documents: "http://h/".to_owned(), ..Settings::default() };
        let at = |seconds: u64| document.for_device(&settings, EpochMillis(seconds * 1000)).get().to_owned();
        assert!(at(1000).starts_with(r#"{"u":"http://h/b/k?expires=1060&signature="#), "{}", at(1000));
        assert!(at(1000).contains(r#"["xhttp://h/b/k?expires=1060&"#));
        assert_ne!(at(1000), at(1001));
        assert_eq!(document.as_stored(), text);
    }

    #[test]
    fn a_placeholder_that_cannot_be_filled_is_refused_by_name() {
        for inside in [
            "s3-presigned-url-upload:https://s3.amazonaws.com/b/k",
            "parameter:x",
            "package:p:version:1:attributes",
            "s3-presigned-url:https://example.com/b/k",
            "s3-presigned-url:https://s3.amazonaws.com/b/k",
        ] {
            let closed = inside.ends_with("/k") && inside.starts_with("s3-presigned-url:https://s3");
            let text = format!("{{\"a\":\"${{aws:iot:{inside}{}\"}}", if closed { "\\u0001}" } else { "}" });
            let refused = Document::parse(text.clone()).map(drop);
            assert!(matches!(&refused, Err(InvalidDocument::Placeholder(_))), "{text}: {refused:?}");
        }
    }
}
