//! The configuration as it is written: every key that a file, the environment or a flag may hold, with the
//! names of the AWS IoT Device Client's file, and nothing believed yet. Every member is optional, since one
//! layer rarely holds them all. The defaults stand here and nowhere else; judging values is left to
//! [`super::checked`], putting layers together to [`super::layers`].

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(crate) struct RawConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) endpoint: Option<String>,
    /// Ours: the Device Client has no key for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) port: Option<i64>,
    /// Ours as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) keep_alive_seconds: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cert: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) root_ca: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) thing_name: Option<String>,
    pub(crate) logging: RawLogging,
    pub(crate) jobs: RawJobs,
    /// What fleet provisioning of the Device Client has left; normally alone in a file of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) runtime_config: Option<RawRuntime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tunneling: Option<Foreign>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) device_defender: Option<Foreign>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fleet_provisioning: Option<Foreign>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) samples: Option<Foreign>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sample_shadow: Option<Foreign>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) config_shadow: Option<Foreign>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sensor_publish: Option<Foreign>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secure_element: Option<Foreign>,
}

/// Section `logging`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(crate) struct RawLogging {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) level: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub(crate) kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) enable_sdk_logging: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sdk_log_level: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sdk_log_file: Option<String>,
}

/// Section `jobs`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(crate) struct RawJobs {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) enabled: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) handler_directory: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) step_timeout_seconds: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) grace_seconds: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) on_stop: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) final_step: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) allowed_users: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) allowed_paths: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) allow_commands: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) progress_seconds: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) details: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reboot_exit_code: Option<i64>,
    pub(crate) default_allow_std_err: RawAllowStdErr,
    pub(crate) user_argument: RawUserArgument,
    pub(crate) facts: BTreeMap<String, String>,
    pub(crate) environment: BTreeMap<String, String>,
    /// By the handler's file name.
    pub(crate) handlers: BTreeMap<String, RawHandler>,
}

/// Section `jobs.default-allow-std-err`: a number of lines, or -1 for any number.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(crate) struct RawAllowStdErr {
    /// For documents with `operation`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) flat: Option<i64>,
    /// For each step of documents with `steps`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) steps: Option<i64>,
}

/// Section `jobs.user-argument`: whether handlers get the user as their first argument.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(crate) struct RawUserArgument {
    /// For documents with `operation`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) flat: Option<bool>,
    /// For each `runHandler` step of documents with `steps`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) steps: Option<bool>,
}

/// One member of `jobs.handlers`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(crate) struct RawHandler {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) on_interruption: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) max_attempts: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) timeout_seconds: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) after_reboot: Option<String>,
}

/// Section `runtime-config`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(crate) struct RawRuntime {
    pub(crate) completed_fp: bool,
    pub(crate) cert: String,
    pub(crate) key: String,
    pub(crate) thing_name: String,
}

/// A section of a feature that is not here. All that is kept of it is whether it was switched on: its other
/// values (among them the PIN of a secure element) are let go at once, so they can never reach a log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Foreign {
    pub(crate) enabled: bool,
}

impl<'de> Deserialize<'de> for Foreign {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        Ok(Self { enabled: switched_on(&serde_json::Value::deserialize(input)?) })
    }
}

/// True if the section, or one of the sections within it (`samples`, `sensor-publish`), says `enabled`.
fn switched_on(section: &serde_json::Value) -> bool {
    match section {
        serde_json::Value::Object(members) => match members.get("enabled") {
            Some(enabled) => enabled == &serde_json::Value::Bool(true),
            None => members.values().any(switched_on),
        },
        serde_json::Value::Array(items) => items.iter().any(switched_on),
        serde_json::Value::Null
        | serde_json::Value::Bool(_)
        | serde_json::Value::Number(_)
        | serde_json::Value::String(_) => false,
    }
}

/// The values that hold where nobody has said anything.
pub(crate) fn defaults() -> RawConfig {
    RawConfig {
        keep_alive_seconds: Some(60),
        logging: RawLogging {
            level: Some("INFO".to_owned()),
            kind: Some("stdout".to_owned()),
            file: Some("/var/log/fleethand/fleethand.log".to_owned()),
            ..RawLogging::default()
        },
        jobs: RawJobs {
            enabled: Some(true),
            // The Device Client's own default, so that a fleet that never set the key keeps its handlers.
            handler_directory: Some("~/.aws-iot-device-client/jobs".to_owned()),
            step_timeout_seconds: Some(24 * 60 * 60),
            grace_seconds: Some(10),
            on_stop: Some("keep".to_owned()),
            final_step: Some("on-success".to_owned()),
            allowed_users: None,
            allowed_paths: None,
            allow_commands: Some(true),
            progress_seconds: Some(30),
            details: Some("tail".to_owned()),
            reboot_exit_code: Some(194),
            default_allow_std_err: RawAllowStdErr { flat: Some(0), steps: Some(-1) },
            user_argument: RawUserArgument { flat: Some(false), steps: Some(true) },
            facts: BTreeMap::new(),
            environment: BTreeMap::new(),
            // The Device Client's reboot handler counts on being run again after the reboot.
            handlers: BTreeMap::from([(
                "reboot.sh".to_owned(),
                RawHandler {
                    on_interruption: Some("rerun".to_owned()),
                    max_attempts: Some(2),
                    timeout_seconds: None,
                    after_reboot: Some("same-step".to_owned()),
                },
            )]),
        },
        ..RawConfig::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn foreign(text: &str) -> Foreign {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_foreign_section_is_on_where_it_or_a_part_of_it_says_so() {
        assert!(foreign(r#"{"enabled": true, "interval": 300}"#).enabled);
        assert!(foreign(r#"{"pub-sub": {"enabled": true, "publish-topic": "x"}}"#).enabled);
        assert!(foreign(r#"{"sensors": [{"enabled": false}, {"enabled": true}]}"#).enabled);
        assert!(!foreign(r#"{"enabled": false, "inner": {"enabled": true}}"#).enabled);
        assert!(!foreign(r#"{"enabled": "true"}"#).enabled);
        assert!(!foreign("{}").enabled);
    }

    #[test]
    fn nothing_but_the_switch_is_kept_of_a_foreign_section() {
        let raw: RawConfig =
            serde_json::from_str(r#"{"secure-element": {"enabled": true, "secure-element-pin": "0000"}}"#)
                .unwrap();
        assert!(!format!("{raw:?}").contains("0000"));
        assert!(!serde_json::to_string(&raw).unwrap().contains("0000"));
    }
}
