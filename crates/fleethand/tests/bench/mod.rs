//! A place to run the daemon in: a directory with credentials and handlers, and an environment with nothing of
//! the machine in it.

#![allow(dead_code, reason = "not every suite needs every helper")]
#![expect(clippy::unwrap_used, reason = "a helper of tests: what fails here fails the test")]

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

/// A configuration with nothing wrong; `DIR` is the bench's directory.
pub(crate) const GOOD: &str = r#"{
  "endpoint": "localhost",
  "cert": "DIR/device.pem",
  "key": "DIR/device.key",
  "root-ca": "DIR/ca.pem",
  "thing-name": "board-7",
  "jobs": {"handler-directory": "DIR/handlers"}
}"#;

/// What a run of the daemon has said and how it ended.
pub(crate) struct Said {
    /// Exit code; -1 if a signal ended it.
    pub(crate) code: i32,
    /// Standard output and standard error.
    pub(crate) text: String,
}

/// A directory of its own for one test.
pub(crate) struct Bench {
    directory: tempfile::TempDir,
    file: String,
}

impl Bench {
    /// Makes the directory, with credentials that belong together.
    pub(crate) fn new() -> Self {
        // Nothing is taken from where others can write, and whoever runs the tests may have a umask that lets them.
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("fleethand.conf").to_str().unwrap().to_owned();
        let bench = Self { directory, file };
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate =
            rcgen::CertificateParams::new(["board-7".to_owned()]).unwrap().self_signed(&key).unwrap();
        bench.write("device.pem", &certificate.pem());
        bench.write("ca.pem", &certificate.pem());
        bench.write("device.key", &key.serialize_pem());
        std::fs::create_dir(bench.directory.path().join("handlers")).unwrap();
        bench.chmod("handlers", 0o700);
        bench
    }

    /// Puts another private key in the place of the device's.
    pub(crate) fn another_key(&self) {
        self.write("device.key", &rcgen::KeyPair::generate().unwrap().serialize_pem());
    }

    /// The configuration file.
    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    /// A file of the bench.
    pub(crate) fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }

    /// Writes the configuration file.
    pub(crate) fn config(&self, text: &str) {
        self.write("fleethand.conf", &text.replace("DIR", self.directory.path().to_str().unwrap()));
    }

    /// Writes a file with mode 600.
    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
        self.chmod(name, 0o600);
    }

    /// Writes a file where the AWS IoT Device Client keeps its own, below the home directory.
    pub(crate) fn in_home(&self, name: &str, text: &str) {
        let directory = self.path("home/.aws-iot-device-client");
        std::fs::create_dir_all(directory).unwrap();
        self.write(&format!("home/.aws-iot-device-client/{name}"), text);
    }

    /// Sets the mode of a file.
    pub(crate) fn chmod(&self, name: &str, mode: u32) {
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }

    /// The daemon with an environment in which everything lies in the bench.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fleethand"));
        command.args(arguments).env_clear().env("HOME", self.path("home"));
        command.env("STATE_DIRECTORY", self.path("state")).stdin(Stdio::null());
        command
    }

    /// Runs the daemon to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        self.run_with(arguments, &[])
    }

    /// The same with variables.
    pub(crate) fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Said {
        let output = self.command(arguments).envs(variables.iter().copied()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        Said { code: output.status.code().unwrap_or(-1), text: text.into_owned() }
    }
}
