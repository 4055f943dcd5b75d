//! Which boot of the machine it is.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The name that the kernel gives to a boot: another one after every restart of the machine, whatever the clock says.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BootId(String);

impl From<String> for BootId {
    fn from(name: String) -> Self {
        Self(name)
    }
}

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
