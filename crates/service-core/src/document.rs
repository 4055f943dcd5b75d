//! The job document: stored as it was given, and written again for the device.

mod rewrite;

use serde_json::value::RawValue;

use rewrite::rewrite;

/// A job's document.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    stored: String,
    delivered: Box<RawValue>,
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
}

impl Document {
    pub(crate) fn parse(text: String) -> Result<Self, InvalidDocument> {
        let written = rewrite(&text).map_err(InvalidDocument::Unreadable)?;
        let delivered = RawValue::from_string(written).map_err(InvalidDocument::Unsendable)?;
        Ok(Self { stored: text, delivered })
    }

    /// The text as it was given to CreateJob.
    pub(crate) fn as_stored(&self) -> &str {
        &self.stored
    }

    /// What a device receives.
    pub(crate) fn for_device(&self) -> Box<RawValue> {
        self.delivered.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_document_can_be_sent() {
        let deep = format!("{}{}", "[".repeat(1000), "]".repeat(1000));
        assert_eq!(Document::parse(deep.clone()).unwrap().for_device().get(), deep);
    }

    #[test]
    fn what_is_written_can_be_sent() {
        for text in [r#"{"a":"\ud800"}"#, "1E400", "{\"a\":\"\u{7f}\u{2028}\"}"] {
            let document = Document::parse(text.to_owned()).unwrap();
            assert_eq!(document.as_stored(), text);
            assert!(serde_json::to_string(&document.for_device()).is_ok());
        }
    }
}
