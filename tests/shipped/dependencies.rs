//! Which crate may need which: the arrows of the architecture.

use std::collections::BTreeSet;

use crate::metadata::Graph;

/// One of our crates, and what may stand in its `[dependencies]`. Dev-dependencies are free.
struct Row {
    name: &'static str,
    /// Of our own crates, these at most.
    ours: &'static [&'static str],
    /// Of all others, none of these, not even by way of another crate.
    never: &'static [&'static str],
}

/// No runtime, no sockets, no processes, no randomness.
const PURE: &[&str] =
    &["tokio", "rumqttc", "rustls", "rustix", "nix", "getrandom", "rand", "mio", "socket2", "tempfile"];

const TABLE: &[Row] = &[
    Row { name: "jobs-protocol", ours: &[], never: PURE },
    Row { name: "agent-core", ours: &["jobs-protocol"], never: PURE },
    Row { name: "service-core", ours: &["jobs-protocol"], never: PURE },
    // The keeper is a process of its own for each handler, and has to be small.
    Row { name: "handler-runner", ours: &[], never: &["tokio", "rumqttc", "rustls", "clap"] },
    Row { name: "durable", ours: &[], never: &["tokio", "rumqttc", "rustls"] },
    Row { name: "mqtt-link", ours: &[], never: &["clap", "figment"] },
    Row {
        name: "fleethand",
        ours: &["jobs-protocol", "agent-core", "handler-runner", "durable", "mqtt-link"],
        never: &["axum", "hyper", "rcgen", "tempfile", "proptest"],
    },
    Row { name: "local-service", ours: &["jobs-protocol", "service-core", "durable"], never: &["proptest"] },
    Row {
        name: "sandbox",
        ours: &["jobs-protocol", "mqtt-link"],
        never: &["axum", "rcgen", "tempfile", "proptest", "tracing-subscriber"],
    },
    Row {
        name: "testkit",
        ours: &[
            "jobs-protocol",
            "agent-core",
            "service-core",
            "handler-runner",
            "durable",
            "mqtt-link",
            "local-service",
        ],
        never: &[],
    },
    // It runs the programs as an operator would; only the bench starts a keeper as the agent does.
    Row { name: "xtask", ours: &["handler-runner"], never: &[] },
    Row { name: "suites", ours: &[], never: &[] },
    Row { name: "simulation", ours: &[], never: PURE },
];

#[test]
fn every_crate_of_the_workspace_has_its_row() {
    let graph = Graph::read();
    let rows: BTreeSet<_> = TABLE.iter().map(|row| row.name).collect();
    assert_eq!(graph.ours(), rows);
}

#[test]
fn our_crates_need_one_another_only_as_the_table_says() {
    let graph = Graph::read();
    let ours = graph.ours();
    for row in TABLE {
        let allowed = row.ours.iter().copied().collect();
        let found: BTreeSet<_> = graph.direct(row.name).intersection(&ours).copied().collect();
        let more: Vec<_> = found.difference(&allowed).collect();
        assert!(more.is_empty(), "{} must not need {more:?}", row.name);
    }
}

#[test]
fn nothing_that_is_banned_from_a_crate_comes_in_by_way_of_another() {
    let graph = Graph::read();
    for row in TABLE {
        let linked = graph.linked(row.name);
        let found: Vec<_> = row.never.iter().filter(|name| linked.contains(*name)).collect();
        assert!(found.is_empty(), "{} must do without {found:?}", row.name);
    }
}

#[test]
fn only_the_link_names_the_mqtt_library_in_the_agent() {
    let graph = Graph::read();
    for name in ["fleethand", "sandbox", "agent-core", "jobs-protocol", "handler-runner", "durable"] {
        assert!(!graph.direct(name).contains("rumqttc"), "{name} names rumqttc");
    }
    assert!(graph.direct("mqtt-link").contains("rumqttc"), "the rule above has lost its meaning");
}
