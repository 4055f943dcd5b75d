//! The files of one device: certificates, configuration, handlers, state. They are gone with the value.

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use local_service::pki::Identity;
use rustix::fs::Mode;
use rustix::process::umask;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::daemon::Daemon;
use crate::desk::Desk;

/// A device on which the daemon can be started, also several times one after the other.
#[derive(Debug)]
pub struct Board {
    directory: TempDir,
    configuration: Value,
}

impl Board {
    /// A board that is set up for `thing` at this service.
    #[must_use]
    pub fn new(desk: &Desk, thing: &str) -> Self {
        // The daemon runs nothing from where others can write, and whoever runs the tests may have a umask that lets them.
        umask(Mode::from_raw_mode(0o022));
        let directory = TempDir::new().expect("a temporary directory can be made");
        let path = directory.path();
        DirBuilder::new().mode(0o700).create(path.join("handlers")).expect("the directory is ours");
        let configuration = json!({
            "endpoint": "localhost",
            "port": desk.mqtt().port(),
            "cert": path.join("device.pem"),
            "key": path.join("device.key"),
            "root-ca": path.join("root-ca.pem"),
            "thing-name": thing,
            "logging": { "level": "DEBUG" },
            "jobs": { "handler-directory": path.join("handlers"), "grace-seconds": 1 },
        });
        let mut board = Self { directory, configuration };
        board.use_root(desk.authority().certificate());
        board.use_identity(&desk.device(thing));
        board.save();
        board
    }

    /// Where its files are.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Where a handler of this name is, or would be.
    #[must_use]
    pub fn handler_path(&self, name: &str) -> PathBuf {
        self.path().join("handlers").join(name)
    }

    /// Installs a handler as it has to be.
    pub fn handler(&self, name: &str, script: &str) {
        self.handler_with_mode(name, script, 0o700);
    }

    /// Installs a handler with any mode.
    pub fn handler_with_mode(&self, name: &str, script: &str, mode: u32) {
        write(&self.handler_path(name), script, mode);
    }

    /// Trusts this authority from the next start on.
    pub fn use_root(&mut self, certificate: &str) {
        write(&self.path().join("root-ca.pem"), certificate, 0o644);
    }

    /// Has this certificate from the next start on.
    pub fn use_identity(&mut self, identity: &Identity) {
        write(&self.path().join("device.pem"), &identity.certificate, 0o644);
        write(&self.path().join("device.key"), &identity.key, 0o600);
    }

    /// Sets a key of the configuration, for the next start; `section` may be empty.
    pub fn configure(&mut self, section: &str, key: &str, value: Value) {
        let place =
            if section.is_empty() { &mut self.configuration } else { &mut self.configuration[section] };
        place[key] = value;
        self.save();
    }

    /// Starts the daemon.
    #[must_use]
    pub fn start(&self, program: &Path) -> Daemon {
        self.start_with(program, &[])
    }

    /// Starts the daemon with more in its environment.
    #[must_use]
    pub fn start_with(&self, program: &Path, environment: &[(&str, &str)]) -> Daemon {
        Daemon::start(program, self.path(), environment)
    }

    fn save(&mut self) {
        write(&self.path().join("fleethand.conf"), &self.configuration.to_string(), 0o640);
    }
}

/// Writes a file with exactly this mode, whatever the umask says.
fn write(path: &Path, content: &str, mode: u32) {
    fs::write(path, content).expect("the directory is ours");
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("the file is ours");
}
