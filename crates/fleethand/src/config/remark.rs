//! One thing to say about the configuration: which key, what is wrong with it, how to mend it. Used for
//! complaints (the daemon does not start) and for warnings alike; who treats it as which is decided where
//! it is made.

use std::fmt;

/// A remark about one key. Values of secret keys never get in here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remark {
    /// The key as it stands in the file, with dots between levels: `jobs.handler-directory`.
    pub(crate) key: String,
    /// What was found.
    pub(crate) what: String,
    /// What to do about it, as an imperative; a command line where one mends it.
    pub(crate) mend: String,
}

impl Remark {
    pub(crate) fn new(key: impl Into<String>, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { key: key.into(), what: what.into(), mend: mend.into() }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.key, self.what, self.mend)
    }
}
