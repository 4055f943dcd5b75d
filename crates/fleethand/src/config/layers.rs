//! Puts the layers together: defaults, then the file, then the environment, then the flags; and last what
//! fleet provisioning of the Device Client has written, which overrides even the flags, as it does there.
//! figment is named in this module only, and used for nothing but the merging. Reading texts is left to
//! [`super::text`].

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::raw::{self, RawConfig};
use super::text::{self, Tracked};
use figment::providers::Serialized;
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

/// Names in the environment begin with this; `__` stands for the dot, `_` for the hyphen:
/// `FLEETHAND_JOBS__HANDLER_DIRECTORY` is `jobs.handler-directory`.
pub(crate) const ENVIRONMENT_PREFIX: &str = "FLEETHAND_";

/// Variables with the prefix that are no configuration keys.
const NOT_KEYS: [&str; 3] =
    [crate::perform::CRASH_HOOK, crate::reboot::PROGRAM_HOOK, handler_runner::BOOT_ID_HOOK];

/// Keys that are no text. In the environment everything is text, and `42` may well be a thing's name, so what
/// is read as a number, a switch or a list is said here.
const NOT_TEXT: [&str; 15] = [
    "port",
    "keep-alive-seconds",
    "logging.enable-sdk-logging",
    "jobs.enabled",
    "jobs.step-timeout-seconds",
    "jobs.grace-seconds",
    "jobs.progress-seconds",
    "jobs.allowed-users",
    "jobs.allowed-paths",
    "jobs.allow-commands",
    "jobs.reboot-exit-code",
    "jobs.default-allow-std-err.flat",
    "jobs.default-allow-std-err.steps",
    "jobs.user-argument.flat",
    "jobs.user-argument.steps",
];

/// Sections whose members have names of the operator's own. A variable's name cannot spell them (it has lost
/// its case, and has no dots), so they stand in the file only.
const FILE_ONLY: [&str; 3] = ["jobs.facts", "jobs.environment", "jobs.handlers"];

/// Whether a key can be set by a variable: it stands in no section that is in the file only, and is no section itself.
fn has_a_variable(key: &str) -> bool {
    let within = |section: &str| {
        key.strip_prefix(section).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    !text::SECTIONS.contains(&key) && !FILE_ONLY.iter().any(|section| within(section))
}

/// Why the layers do not make a configuration. Never seen: every layer is a part of one.
#[derive(Debug, thiserror::Error)]
#[error("the layers cannot be merged")]
pub(crate) struct MergeError(#[source] Box<figment::Error>);

/// Merges the layers. `variables` is the environment; `provisioned` the runtime file of fleet provisioning. File and
/// flags have their types already, so what is told of wrong ones is the environment's, and is told by its variables.
pub(crate) fn merge(
    file: &RawConfig,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    flags: &RawConfig,
    provisioned: Option<&raw::RawRuntime>,
) -> Result<Tracked, MergeError> {
    let (settings, file_only): (BTreeMap<_, _>, BTreeMap<_, _>) =
        settings(variables).into_iter().partition(|(key, _)| has_a_variable(key));
    let mut figment = Figment::from(Serialized::defaults(raw::defaults()))
        .merge(Serialized::defaults(file))
        .merge(Environment(settings))
        .merge(Serialized::defaults(flags));
    if let Some(runtime) =
        provisioned.or(file.runtime_config.as_ref()).filter(|runtime| runtime.is_complete())
    {
        figment = figment
            .merge(Serialized::default("cert", &runtime.cert))
            .merge(Serialized::default("key", &runtime.key))
            .merge(Serialized::default("thing-name", &runtime.thing_name));
    }
    let merged: serde_json::Value = figment.extract().map_err(|error| MergeError(Box::new(error)))?;
    let mut tracked = text::typed(merged);
    tracked.unknown.extend(file_only.into_keys());
    Ok(tracked)
}

impl raw::RawRuntime {
    /// The Device Client takes the runtime file only when provisioning was completed and nothing is missing.
    pub(super) fn is_complete(&self) -> bool {
        self.completed_fp && !self.cert.is_empty() && !self.key.is_empty() && !self.thing_name.is_empty()
    }
}

/// The variable that sets a key.
pub(super) fn variable(key: &str) -> String {
    format!("{ENVIRONMENT_PREFIX}{}", key.replace('.', "__").replace('-', "_").to_ascii_uppercase())
}

/// The environment's share, by key. A variable that is not UTF-8 is no setting of ours.
fn settings(variables: impl IntoIterator<Item = (OsString, OsString)>) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    for (name, value) in variables {
        let (Ok(name), Ok(value)) = (name.into_string(), value.into_string()) else { continue };
        let Some(key) = name.strip_prefix(ENVIRONMENT_PREFIX) else { continue };
        if !key.is_empty() && !NOT_KEYS.contains(&name.as_str()) {
            settings.insert(key.to_ascii_lowercase().replace("__", ".").replace('_', "-"), value);
        }
    }
    settings
}

/// The environment as a layer.
struct Environment(BTreeMap<String, String>);

impl Provider for Environment {
    fn metadata(&self) -> Metadata {
        Metadata::named("environment")
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let mut layer = Dict::new();
        for (key, text) in &self.0 {
            let value = if NOT_TEXT.contains(&key.as_str()) {
                serde_json::from_str(text).unwrap_or_else(|_| Value::from(text.as_str()))
            } else {
                Value::from(text.as_str())
            };
            if let Some(nested) = figment::util::nest(key, value).into_dict() {
                graft(&mut layer, nested);
            }
        }
        Ok(Profile::Default.collect(layer))
    }
}

/// Adds the members of one nested dictionary to another, level by level.
fn graft(into: &mut Dict, from: Dict) {
    for (key, value) in from {
        match (into.remove(&key), value) {
            (Some(Value::Dict(tag, mut held)), Value::Dict(_, more)) => {
                graft(&mut held, more);
                into.insert(key, Value::Dict(tag, held));
            }
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests;
