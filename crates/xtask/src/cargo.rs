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

impl Programs {
    /// Those that lie in a directory.
    pub(crate) fn of_directory(directory: &Path) -> Result<Self, TaskError> {
        let find = |name: &str| {
            let program = directory.join(name);
            std::path::absolute(&program)
                .and_then(|path| std::fs::metadata(&path).map(|_| path))
                .map_err(TaskError::io(format!("find {}", program.display())))
        };
        Ok(Self { daemon: find(DAEMON.1)?, service: find(SERVICE.1)? })
    }
}

/// The top of the checkout.
pub(crate) fn root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).expect("the package stands two levels below the checkout")
}

/// What is built: package and program.
const DAEMON: (&str, &str) = ("fleethand", "fleethand");
const SERVICE: (&str, &str) = ("local-service", "fleethand-local");
const SANDBOX: (&str, &str) = ("sandbox", "fleethand-sandbox");

/// Builds both. In a release each is built for itself: built together they would share features that the shipped
/// daemon does not have. For a look at them that does not matter, and together is quicker.
pub(crate) fn build(release: bool) -> Result<Programs, TaskError> {
    let messages = if release {
        build_packages(&[DAEMON], true)? + &build_packages(&[SERVICE], true)?
    } else {
        build_packages(&[DAEMON, SERVICE], false)?
    };
    let find = |(package, program)| executable(&messages, program).ok_or(TaskError::NoProgram { package });
    Ok(Programs { daemon: find(DAEMON)?, service: find(SERVICE)? })
}

/// Builds all that an operator at a desk needs, and returns the directory in which it lies.
pub(crate) fn build_for_a_desk() -> Result<PathBuf, TaskError> {
    let messages = build_packages(&[DAEMON, SERVICE, SANDBOX], false)?;
    let daemon = executable(&messages, DAEMON.1).ok_or(TaskError::NoProgram { package: DAEMON.0 })?;
    Ok(daemon.parent().expect("a program lies in a directory").to_owned())
}

/// Lets cargo build, and returns what it tells.
fn build_packages(what: &[(&str, &str)], release: bool) -> Result<String, TaskError> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(root()).args(["build", "--locked", "--message-format=json-render-diagnostics"]);
    for (package, program) in what {
        command.args(["--package", package, "--bin", program]);
    }
    let output = command
        .args(release.then_some("--release"))
        .stderr(Stdio::inherit())
        .output()
        .map_err(TaskError::io("start cargo"))?;
    if !output.status.success() {
        return Err(TaskError::Program { program: "cargo build".into(), status: output.status });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
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
