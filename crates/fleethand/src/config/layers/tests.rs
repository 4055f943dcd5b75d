use super::*;
use crate::config::text::parse;

fn variables(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    pairs.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect()
}

#[test]
fn flags_win_over_the_environment_over_the_file_over_the_defaults() {
    let file = parse(r#"{"endpoint": "file", "thing-name": "file", "cert": "file"}"#).unwrap().value;
    let flags = RawConfig { endpoint: Some("flag".into()), ..RawConfig::default() };
    let env = variables(&[("FLEETHAND_ENDPOINT", "env"), ("FLEETHAND_THING_NAME", "env")]);
    let merged = merge(&file, env, &flags, None).unwrap().value;
    assert_eq!(merged.endpoint.as_deref(), Some("flag"));
    assert_eq!(merged.thing_name.as_deref(), Some("env"));
    assert_eq!(merged.cert.as_deref(), Some("file"));
    assert_eq!(merged.keep_alive_seconds, Some(60));
}

#[test]
fn two_underscores_are_a_level_and_one_is_a_hyphen() {
    let env = variables(&[
        ("FLEETHAND_JOBS__HANDLER_DIRECTORY", "/h"),
        ("FLEETHAND_JOBS__ENABLED", "false"),
        ("FLEETHAND_PORT", "443"),
    ]);
    let merged = merge(&RawConfig::default(), env, &RawConfig::default(), None).unwrap().value;
    assert_eq!(merged.jobs.handler_directory.as_deref(), Some("/h"));
    assert_eq!((merged.jobs.enabled, merged.port), (Some(false), Some(443)));
}

#[test]
fn a_list_in_the_environment_is_written_as_json() {
    let merged = |text: &str| {
        let env = variables(&[("FLEETHAND_JOBS__ALLOWED_USERS", text)]);
        merge(&RawConfig::default(), env, &RawConfig::default(), None)
    };
    let users = merged(r#"["deploy", "1001"]"#).unwrap().value.jobs.allowed_users;
    assert_eq!(users, Some(vec!["deploy".to_owned(), "1001".to_owned()]));
    assert_eq!(merged("[]").unwrap().value.jobs.allowed_users, Some(vec![]));
    let mistyped = merged("deploy").unwrap().mistyped;
    assert_eq!((mistyped[0].key.as_str(), mistyped.len()), ("jobs.allowed-users", 1));
}

#[test]
fn a_thing_may_be_called_42_in_the_environment() {
    let env = variables(&[("FLEETHAND_THING_NAME", "42"), ("FLEETHAND_KEY", "true")]);
    let merged = merge(&RawConfig::default(), env, &RawConfig::default(), None).unwrap().value;
    assert_eq!((merged.thing_name.as_deref(), merged.key.as_deref()), (Some("42"), Some("true")));
}

#[test]
fn every_key_that_is_no_text_is_listed() {
    fn walk(prefix: &str, value: &serde_json::Value, found: &mut Vec<String>) {
        let serde_json::Value::Object(members) = value else { return };
        for (name, member) in members {
            let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            if member.is_number() || member.is_boolean() {
                found.push(key.clone());
            }
            walk(&key, member, found);
        }
    }
    let mut found = Vec::new();
    walk("", &serde_json::to_value(raw::defaults()).unwrap(), &mut found);
    assert!(found.len() >= 4);
    for key in found.into_iter().filter(|key| has_a_variable(key)) {
        assert!(NOT_TEXT.contains(&key.as_str()), "{key}");
    }
}

#[test]
fn names_of_the_operators_own_cannot_be_set_by_a_variable() {
    let env = variables(&[("FLEETHAND_JOBS__ENVIRONMENT__PATH", "/x")]);
    let merged = merge(&RawConfig::default(), env, &RawConfig::default(), None).unwrap();
    assert!(merged.value.jobs.environment.is_empty());
    assert_eq!(merged.unknown, ["jobs.environment.path"]);
}

#[test]
fn a_policy_in_the_file_is_laid_over_the_built_in_one() {
    let file =
        parse(r#"{"jobs": {"handlers": {"reboot.sh": {"max-attempts": 5}, "a.b": {}}}}"#).unwrap().value;
    let merged = merge(&file, variables(&[]), &RawConfig::default(), None).unwrap().value.jobs.handlers;
    assert_eq!(merged["reboot.sh"].max_attempts, Some(5));
    assert_eq!(merged["reboot.sh"].on_interruption.as_deref(), Some("rerun"));
    assert!(merged.contains_key("a.b"));
}

#[test]
fn a_wrong_number_in_the_environment_names_the_variable() {
    let env = variables(&[("FLEETHAND_PORT", "many")]);
    let mistyped = merge(&RawConfig::default(), env, &RawConfig::default(), None).unwrap().mistyped;
    assert_eq!(variable(&mistyped[0].key), "FLEETHAND_PORT");
}

#[test]
fn a_section_cannot_be_set_by_a_variable() {
    let env = variables(&[
        ("FLEETHAND_JOBS", "x"),
        ("FLEETHAND_LOGGING", "{}"),
        ("FLEETHAND_JOBS__HANDLERS", "{}"),
    ]);
    let merged = merge(&RawConfig::default(), env, &RawConfig::default(), None).unwrap();
    assert_eq!(merged.unknown, ["jobs", "jobs.handlers", "logging"]);
    assert_eq!(merged.value, raw::defaults());
}

#[test]
fn an_unknown_key_of_the_environment_is_named() {
    let env = variables(&[("FLEETHAND_ENDPONT", "x")]);
    let merged = merge(&RawConfig::default(), env, &RawConfig::default(), None).unwrap();
    assert_eq!(merged.unknown, ["endpont"]);
}

#[test]
fn what_fleet_provisioning_has_written_wins_once_it_is_complete() {
    let runtime = |done| raw::RawRuntime {
        completed_fp: done,
        cert: "/c".into(),
        key: "/k".into(),
        thing_name: "born".into(),
    };
    let flags = RawConfig { thing_name: Some("flag".into()), ..RawConfig::default() };
    let merged = |done| {
        merge(&RawConfig::default(), variables(&[]), &flags, Some(&runtime(done))).unwrap().value.thing_name
    };
    assert_eq!(merged(true).as_deref(), Some("born"));
    assert_eq!(merged(false).as_deref(), Some("flag"));
}
