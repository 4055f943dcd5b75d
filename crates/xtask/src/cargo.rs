//! Building the programs that are shown and measured, and finding them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::error::TaskError;

/// The two programs of a build.
#[derive(Debug)]
pub(crate) struct Programs {
    /// `fleethand`.
    pub(crate) daemon: PathBuf,
    /// `fleethand-local`.
    pub(crate) service: PathBuf,
}

/// The top of the checkout.
pub(crate) fn root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).expect("the package stands two levels below the checkout")
}

/// Builds both, each for itself: built together they would share features that the shipped daemon does not have.
pub(crate) fn build(release: bool) -> Result<Programs, TaskError> {
    Ok(Programs {
        daemon: build_one("fleethand", "fleethand", release)?,
        service: build_one("local-service", "fleethand-local", release)?,
    })
}

fn build_one(package: &'static str, program: &str, release: bool) -> Result<PathBuf, TaskError> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(root())
        .args(["build", "--locked", "--message-format=json-render-diagnostics"])
        .args(["--package", package, "--bin", program])
        .args(release.then_some("--release"))
        .stderr(Stdio::inherit())
        .output()
        .map_err(TaskError::io("start cargo"))?;
    if !output.status.success() {
        return Err(TaskError::Program {
            program: format!("cargo build -p {package}"),
            status: output.status,
        });
    }
    executable(&String::from_utf8_lossy(&output.stdout), program).ok_or(TaskError::NoProgram { package })
}

/// Finds a program in what cargo tells about a build: one JSON object a line.
fn executable(messages: &str, program: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact" && message["target"]["name"] == program)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_found_among_the_messages_of_a_build() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"fleethand"},"executable":null}"#,
            "\nno JSON\n",
            r#"{"reason":"compiler-artifact","target":{"name":"other"},"executable":"/o"}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"fleethand"},"executable":"/f"}"#,
            "\n",
        );
        assert_eq!(executable(messages, "fleethand"), Some(PathBuf::from("/f")));
        assert_eq!(executable(messages, "none"), None);
    }
}
