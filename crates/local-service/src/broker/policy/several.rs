//! Members of a policy that are one value or a list of them.

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// One or several; an error tells what is wrong with which, other than an untagged enum would.
#[derive(Debug, Clone)]
pub(super) struct Several<T>(pub(super) Vec<T>);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Several<T> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let given = Value::deserialize(input)?;
        let read = if given.is_array() {
            serde_json::from_value(given)
        } else {
            serde_json::from_value(given).map(|one| vec![one])
        };
        read.map(Self).map_err(D::Error::custom)
    }
}
