//! Clients that are not ours against `fleethand-local`, and `fleethand` against a service that is not ours.
//!
//! What they need is installed by name from the package registries, in the versions that `tests/interop` pins, below
//! the target directory; it is installed again only when those versions change.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use clap::ValueEnum;

use crate::cargo::{self, Programs, root};
use crate::error::TaskError;
use crate::interrupt::Interrupt;

/// A part of the suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// boto3, the AWS CLI, the AWS IoT device SDK for Python, and MQTT clients of others.
    Python,
    /// The AWS IoT device SDKs for JavaScript.
    Node,
    /// The daemon against MiniStack, which is another Jobs service, and against ours.
    Agent,
}

const ALL: [Part; 3] = [Part::Python, Part::Node, Part::Agent];

/// Runs the parts that are asked for, or all; `arguments` go to the test runner.
pub(crate) fn run(only: Option<Part>, arguments: &[String], interrupt: &Interrupt) -> Result<(), TaskError> {
    let programs = cargo::build(false)?;
    let bench = Bench::new(&programs)?;
    for part in ALL.into_iter().filter(|part| only.is_none_or(|only| only == *part)) {
        interrupt.check()?;
        match part {
            Part::Python => bench.pytest("python", arguments)?,
            Part::Node => bench.node(arguments)?,
            Part::Agent => bench.pytest("agent", arguments)?,
        }
    }
    Ok(())
}

/// Where the suites are, where their clients are installed, and what they test.
#[derive(Debug)]
struct Bench {
    suites: PathBuf,
    installed: PathBuf,
    programs: PathBuf,
}

impl Bench {
    fn new(programs: &Programs) -> Result<Self, TaskError> {
        let above = |path: &Path, levels| path.ancestors().nth(levels).map(Path::to_owned);
        let [programs, target] = [1, 2].map(|levels| above(&programs.daemon, levels));
        let (Some(programs), Some(target)) = (programs, target) else {
            return Err(TaskError::Strange {
                what: "the place of the programs",
                found: "no directory".into(),
            });
        };
        let installed = target.join("interop");
        fs::create_dir_all(&installed).map_err(TaskError::io(format!("make {}", installed.display())))?;
        Ok(Self { suites: root().join("tests/interop"), installed, programs })
    }

    /// Runs the folder of that name with pytest.
    fn pytest(&self, folder: &str, arguments: &[String]) -> Result<(), TaskError> {
        let clients = self.python("clients", "requirements.txt")?;
        let ministack = self.python("ministack", "requirements-ministack.txt")?;
        let mut command = Command::new(clients.join("bin/python"));
        command
            .current_dir(&self.suites)
            .args(["-m", "pytest", folder])
            .args(arguments)
            .env("FLEETHAND_MINISTACK", ministack.join("bin/ministack"));
        self.perform(command, &format!("pytest {folder}"), &clients.join("bin"))
    }

    /// Runs the JavaScript tests with the runner that comes with node.
    fn node(&self, arguments: &[String]) -> Result<(), TaskError> {
        let clients = self.javascript()?;
        // By name: what a folder means to `node --test` differs between its versions.
        let folder = self.suites.join("node");
        let mut tests = Vec::new();
        for entry in fs::read_dir(&folder).map_err(TaskError::io(format!("read {}", folder.display())))? {
            tests.extend(entry.map(|entry| entry.path()).ok());
        }
        tests.retain(|path| path.to_string_lossy().ends_with(".test.js"));
        tests.sort();
        let mut command = Command::new("node");
        command
            .current_dir(&self.suites)
            // The second SDK's runtime keeps a process alive although its clients are closed: hence the force.
            .args(["--test", "--test-force-exit", "--test-reporter=spec", "--test-concurrency=1"])
            .args(arguments)
            .args(tests)
            .env("NODE_PATH", clients.join("node_modules"))
            .env("NODE_NO_WARNINGS", "1");
        self.perform(command, "node --test", &clients.join("node_modules/.bin"))
    }

    /// Runs a test runner that finds the clients on its PATH. What it has to say stands above the error.
    fn perform(&self, mut command: Command, name: &str, clients: &Path) -> Result<(), TaskError> {
        let old = std::env::var_os("PATH").unwrap_or_default();
        let directories = std::iter::once(clients.to_owned()).chain(std::env::split_paths(&old));
        let path = std::env::join_paths(directories)
            .map_err(|error| TaskError::io("put together PATH")(io::Error::other(error)))?;
        // Whoever works with AWS has a profile, a region or a form of output in their environment.
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.as_bytes().starts_with(b"AWS_")) {
            command.env_remove(name);
        }
        command
            .stdin(Stdio::null())
            .env("PATH", path)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("FLEETHAND_PROGRAMS", &self.programs)
            // Everything is on this machine, whatever proxy is in use for the rest.
            .env("NO_PROXY", "localhost,127.0.0.1")
            .env("no_proxy", "localhost,127.0.0.1");
        finished(name, command.status().map_err(TaskError::io(format!("start {name}")))?)
    }

    /// A virtual environment with the packages of a list.
    fn python(&self, name: &str, list: &str) -> Result<PathBuf, TaskError> {
        let list = self.suites.join(list);
        self.install(name, &[&list], |directory| {
            let mut make = Command::new("python3");
            make.args(["-m", "venv"]).arg(directory);
            let mut install = Command::new(directory.join("bin/python"));
            install
                .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "-r"])
                .arg(&list);
            vec![("python3 -m venv", make), ("pip install", install)]
        })
    }

    /// A directory with the packages of `package-lock.json`. No package's own script runs.
    fn javascript(&self) -> Result<PathBuf, TaskError> {
        let [manifest, lock] = ["package.json", "package-lock.json"].map(|name| self.suites.join(name));
        self.install("node", &[&manifest, &lock], |directory| {
            let mut install = Command::new("npm");
            install.current_dir(directory).args([
                "ci",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
                "--loglevel=error",
            ]);
            vec![("npm ci", install)]
        })
    }

    /// Makes a directory ready unless it is so for these very lists, copies of which lie in it when it is, and in this place.
    fn install(
        &self,
        name: &str,
        lists: &[&Path],
        commands: impl Fn(&Path) -> Vec<(&'static str, Command)>,
    ) -> Result<PathBuf, TaskError> {
        let directory = self.installed.join(name);
        let failed = |path: &Path| TaskError::io(format!("install into {}", path.display()));
        let copies = |list: &Path| directory.join(list.file_name().unwrap_or_default());
        let mark = directory.join("installed");
        // The place as well: programs of a virtual environment that has been moved look for their interpreter where it was.
        let mut wanted = directory.as_os_str().as_encoded_bytes().to_vec();
        wanted.push(b'\n');
        for list in lists {
            wanted.extend(fs::read(list).map_err(TaskError::io(format!("read {}", list.display())))?);
        }
        if fs::read(&mark).is_ok_and(|found| found == wanted) {
            return Ok(directory);
        }
        if directory.exists() {
            fs::remove_dir_all(&directory).map_err(failed(&directory))?;
        }
        fs::create_dir_all(&directory).map_err(failed(&directory))?;
        for list in lists {
            fs::copy(list, copies(list)).map_err(failed(list))?;
        }
        for (name, mut command) in commands(&directory) {
            command.stdin(Stdio::null());
            finished(name, command.status().map_err(TaskError::io(format!("start {name}")))?)?;
        }
        fs::write(&mark, wanted).map_err(failed(&mark))?;
        Ok(directory)
    }
}

fn finished(program: &str, status: ExitStatus) -> Result<(), TaskError> {
    if status.success() { Ok(()) } else { Err(TaskError::Program { program: program.to_owned(), status }) }
}
