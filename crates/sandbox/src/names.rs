//! Job ids that have been seen: what completion offers.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jobs_protocol::JobId;
use serde_json::Value;

use crate::json::Json;

/// More ids than this are no help to anybody who types.
const MOST: usize = 1000;

/// The ids, filled from several threads.
#[derive(Debug, Default)]
pub(crate) struct Names(Mutex<BTreeSet<JobId>>);

impl Names {
    /// Takes every job id in a message.
    pub(crate) fn learn(&self, json: &Json) {
        // Too deep for a parser: then there are no names to be had from it.
        let Ok(value) = json.parse::<Value>() else { return };
        take(&value, &mut self.locked());
    }

    /// Those that begin like this.
    pub(crate) fn beginning_with(&self, start: &str) -> Vec<String> {
        self.locked()
            .iter()
            .map(JobId::as_str)
            .filter(|id| id.starts_with(start))
            .map(str::to_owned)
            .collect()
    }

    fn locked(&self) -> MutexGuard<'_, BTreeSet<JobId>> {
        // Nothing in here is left half done by a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn take(value: &Value, names: &mut BTreeSet<JobId>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| take(item, names)),
        Value::Object(members) => {
            for (name, member) in members {
                match (name.as_str(), member.as_str()) {
                    ("jobId", Some(id)) if names.len() < MOST => names.extend(JobId::try_from(id)),
                    ("jobDocument", _) => {}
                    (_, _) => take(member, names),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_taken_from_wherever_they_stand_but_not_from_documents() {
        let names = Names::default();
        let notify = br#"{"jobs":{"QUEUED":[{"jobId":"Job2"},{"jobId":"Job1"},{"jobId":"a b"}]}}"#;
        names.learn(&Json::read(notify).unwrap());
        names.learn(&Json::read(br#"{"execution":{"jobId":"x","jobDocument":{"jobId":"no"}}}"#).unwrap());
        assert_eq!(names.beginning_with(""), ["Job1", "Job2", "x"]);
        assert_eq!(names.beginning_with("Job"), ["Job1", "Job2"]);
    }
}
