//! Service and daemon side by side, with everything they need in a directory that is gone afterwards.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::cargo::{Programs, root};
use crate::control::Control;
use crate::error::TaskError;
use crate::interrupt::Interrupt;
use crate::process::{Process, adopt_orphans, end_orphans};

/// The thing that the daemon acts for.
pub(crate) const THING: &str = "demo";

/// How long the service may take until it is up.
const START: Duration = Duration::from_secs(30);

/// A running service, and a place from which daemons can be started.
#[derive(Debug)]
pub(crate) struct Scene {
    /// Stopped before the directory goes.
    service: Option<Process>,
    pub(crate) control: Control,
    /// The port on which the service speaks MQTT.
    pub(crate) mqtt_port: u16,
    daemon: PathBuf,
    directory: TempDir,
}

impl Scene {
    /// Makes certificates, installs the sample handlers and starts the service on free ports.
    pub(crate) fn set(programs: &Programs, interrupt: &Interrupt) -> Result<Self, TaskError> {
        adopt_orphans()?;
        let directory = tempfile::Builder::new()
            .prefix("fleethand-")
            .tempdir()
            .map_err(TaskError::io("make a temporary directory"))?;
        let init = Command::new(&programs.service)
            .args(["--log-level", "warn", "init", "--thing", THING])
            .arg(directory.path())
            .stdout(Stdio::null())
            .status()
            .map_err(TaskError::io("start fleethand-local"))?;
        if !init.success() {
            return Err(TaskError::Program { program: "fleethand-local init".into(), status: init });
        }
        install_handlers(&directory.path().join("agent/jobs"))?;
        let mut service = Process::start(
            "fleethand-local",
            Command::new(&programs.service)
                .arg("serve")
                .arg(directory.path())
                .args(["--mqtt", "127.0.0.1:0", "--http", "127.0.0.1:0"])
                .stdout(Stdio::piped()),
            &directory.path().join("service.log"),
        )?;
        let (mqtt_port, http) = addresses(&mut service, interrupt)?;
        Ok(Self {
            service: Some(service),
            control: Control::new(&http),
            mqtt_port,
            daemon: programs.daemon.clone(),
            directory,
        })
    }

    /// Where everything is.
    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The daemon's program.
    pub(crate) fn daemon_path(&self) -> &Path {
        &self.daemon
    }

    /// The daemon, ready to be started: it connects to `port`, keeps its state in `state`, and stops its handler
    /// when it is stopped.
    pub(crate) fn daemon(&self, port: u16, state: &Path) -> Command {
        let mut command = Command::new(&self.daemon);
        command
            .arg("--config-file")
            .arg(self.path().join("agent/fleethand.conf"))
            .args(["--port", &port.to_string()])
            .env_remove("NOTIFY_SOCKET")
            .env_remove("WATCHDOG_USEC")
            .env_remove("JOURNAL_STREAM")
            .env("HOME", self.path())
            .env("STATE_DIRECTORY", state)
            .env("FLEETHAND_JOBS__ON_STOP", "terminate")
            .stdout(Stdio::null());
        command
    }

    /// Starts the daemon with its log in `daemon.log`.
    pub(crate) fn start(&self, command: &mut Command) -> Result<Process, TaskError> {
        Process::start("fleethand", command, &self.path().join("daemon.log"))
    }

    /// Fails if the service has ended.
    pub(crate) fn check(&mut self) -> Result<(), TaskError> {
        self.service.as_mut().map_or(Ok(()), Process::check)
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.service = None;
        // The programs are gone; what they left is looked for with what is in hand, and more cannot be done here.
        let _ = end_orphans();
    }
}

/// Copies the sample handlers, with the mode that git does not keep.
fn install_handlers(to: &Path) -> Result<(), TaskError> {
    let failed = |path: &Path| TaskError::io(format!("install {}", path.display()));
    let from = root().join("sample-job-handlers");
    for entry in fs::read_dir(&from).map_err(failed(&from))? {
        let handler = entry.map_err(failed(&from))?.path();
        let Some(name) = handler.file_name().filter(|_| handler.extension().is_some_and(|end| end == "sh"))
        else {
            continue;
        };
        let installed = to.join(name);
        fs::copy(&handler, &installed)
            .and_then(|_| fs::set_permissions(&installed, Permissions::from_mode(0o700)))
            .map_err(failed(&handler))?;
    }
    Ok(())
}

/// Waits for the line in which the service tells where it is.
pub(crate) fn addresses(service: &mut Process, interrupt: &Interrupt) -> Result<(u16, String), TaskError> {
    let stdout = service.take_stdout().expect("it was piped and nobody has taken it");
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = BufReader::new(stdout).read_line(&mut line);
        // Nobody listens any more if it came too late.
        let _ = sender.send(read.map(|_| line));
    });
    let line = interrupt.until(START, || {
        service.check()?;
        Ok(lines.try_recv().ok())
    })?;
    let Some(line) = line else {
        return Err(TaskError::Late {
            what: "the service's addresses".into(),
            after: START,
            log: service.log_tail(),
        });
    };
    let line = line.map_err(TaskError::io("read the service's addresses"))?;
    parse_addresses(&line).ok_or(TaskError::Strange { what: "the service's first line", found: line })
}

fn parse_addresses(line: &str) -> Option<(u16, String)> {
    let value: Value = serde_json::from_str(line).ok()?;
    let (_, port) = value["mqtt"].as_str()?.rsplit_once(':')?;
    Some((port.parse().ok()?, value["http"].as_str()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_services_line_names_both_addresses() {
        let line = "{\"mqtt\":\"127.0.0.1:4711\",\"http\":\"http://127.0.0.1:4712\"}\n";
        assert_eq!(parse_addresses(line), Some((4711, "http://127.0.0.1:4712".into())));
        assert_eq!(parse_addresses("listening\n"), None);
        assert_eq!(parse_addresses("{\"mqtt\":4711}"), None);
    }
}
