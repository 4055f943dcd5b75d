//! The dependency graph, as cargo sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// The packages that are built for one target, and who needs whom.
pub(crate) struct Graph {
    packages: BTreeMap<String, Package>,
}

struct Package {
    name: String,
    licence: Option<String>,
    ours: bool,
    /// Ids of what it needs to be linked.
    normal: Vec<String>,
    /// The same, and what its build script needs.
    normal_and_build: Vec<String>,
}

impl Graph {
    /// Reads the graph with the features that the whole workspace switches on together: more than any binary has.
    pub(crate) fn read() -> Self {
        Self::read_with(&[])
    }

    /// Reads the graph with more arguments for cargo, such as features.
    pub(crate) fn read_with(arguments: &[&str]) -> Self {
        let output = Command::new(env!("CARGO"))
            .args([
                "metadata",
                "--format-version=1",
                "--locked",
                "--filter-platform=x86_64-unknown-linux-gnu",
            ])
            .args(arguments)
            .current_dir(super::root())
            .output()
            .expect("cargo runs this test, so it can be run");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
        let members: BTreeSet<&str> = items(&metadata["workspace_members"]).map(text).collect();
        let mut packages: BTreeMap<String, Package> = items(&metadata["packages"])
            .map(|package| {
                let id = text(&package["id"]);
                let package = Package {
                    name: text(&package["name"]).to_owned(),
                    licence: package["license"].as_str().map(str::to_owned),
                    ours: members.contains(id),
                    normal: Vec::new(),
                    normal_and_build: Vec::new(),
                };
                (id.to_owned(), package)
            })
            .collect();
        for node in items(&metadata["resolve"]["nodes"]) {
            let package = packages.get_mut(text(&node["id"])).expect("every node is a package");
            for edge in items(&node["deps"]) {
                let kinds: Vec<_> = items(&edge["dep_kinds"]).map(|kind| kind["kind"].as_str()).collect();
                let to = text(&edge["pkg"]);
                if kinds.contains(&None) {
                    package.normal.push(to.to_owned());
                }
                if kinds.contains(&None) || kinds.contains(&Some("build")) {
                    package.normal_and_build.push(to.to_owned());
                }
            }
        }
        Self { packages }
    }

    /// The names of our own crates.
    pub(crate) fn ours(&self) -> BTreeSet<&str> {
        self.packages.values().filter(|package| package.ours).map(|package| &*package.name).collect()
    }

    /// What a crate of ours names among its normal dependencies.
    pub(crate) fn direct(&self, ours: &str) -> BTreeSet<&str> {
        self.find(ours).normal.iter().map(|id| &*self.packages[id].name).collect()
    }

    /// Everything that is linked into a crate of ours, itself included.
    pub(crate) fn linked(&self, ours: &str) -> BTreeSet<&str> {
        self.reach(ours, |package| &package.normal).into_iter().map(|package| &*package.name).collect()
    }

    /// Names and licences of everything that is linked into a crate of ours or needed to build it.
    pub(crate) fn licences(&self, ours: &str) -> Vec<(&str, Option<&str>)> {
        let reached = self.reach(ours, |package| &package.normal_and_build);
        reached.into_iter().map(|package| (&*package.name, package.licence.as_deref())).collect()
    }

    fn find(&self, ours: &str) -> &Package {
        let found = self.packages.values().find(|package| package.ours && package.name == ours);
        found.unwrap_or_else(|| panic!("there is no crate {ours}"))
    }

    fn reach(&self, ours: &str, edges: impl Fn(&Package) -> &Vec<String>) -> Vec<&Package> {
        let start = self.find(ours);
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut reached = vec![start];
        let mut open: Vec<&str> = edges(start).iter().map(|id| &**id).collect();
        while let Some(id) = open.pop() {
            if seen.insert(id) {
                let package = &self.packages[id];
                open.extend(edges(package).iter().map(|id| &**id));
                reached.push(package);
            }
        }
        reached
    }
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("cargo's names are strings")
}
