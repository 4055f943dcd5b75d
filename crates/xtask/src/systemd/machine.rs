//! A machine with systemd: a small Debian in a container of systemd-nspawn. It has a network in common with us, so that
//! it reaches our service by loopback; all else is its own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rustix::process::Pid;
use tempfile::TempDir;

use crate::cargo::root;
use crate::error::TaskError;
use crate::interrupt::Interrupt;
use crate::process::{Process, children};

/// What it has beyond the least that Debian is.
const PACKAGES: &str = "systemd,systemd-sysv,dbus";
/// How long it may take to boot, or to go down.
const PATIENCE: Duration = Duration::from_secs(120);

/// The first process of a machine that is on.
pub(crate) type Init = Pid;

/// The machine. It is switched off and gone with the value.
pub(crate) struct Machine {
    /// Ends before its directory goes.
    container: Option<Process>,
    directory: TempDir,
}

impl Machine {
    /// A new machine of this release of Debian, switched off. The first of its kind takes a minute and the network.
    pub(crate) fn new(suite: &str) -> Result<Self, TaskError> {
        let place = root().join("target/systemd");
        fs::create_dir_all(&place).map_err(TaskError::io(format!("make {}", place.display())))?;
        let image = image(&place, suite)?;
        let directory = TempDir::with_prefix_in("machine-", &place)
            .map_err(TaskError::io("make a directory for the machine"))?;
        let machine = Self { container: None, directory };
        succeed("cp", Command::new("cp").arg("-a").arg(image).arg(machine.path("/")))?;
        // Debian's installer would have written it.
        let hosts = machine.path("/etc/hosts");
        fs::write(&hosts, "127.0.0.1 localhost\n")
            .map_err(TaskError::io(format!("write {}", hosts.display())))?;
        Ok(machine)
    }

    /// Where a path of the machine is on ours.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.directory.path().join("root").join(path.trim_start_matches('/'))
    }

    /// Switches it on, and waits until it has booted.
    pub(crate) fn boot(&mut self, interrupt: &Interrupt) -> Result<(), TaskError> {
        let name = format!("fleethand-{}", std::process::id());
        self.container = Some(Process::start(
            "systemd-nspawn",
            Command::new("systemd-nspawn")
                .args(["--quiet", "--boot", "--register=no", "--keep-unit", "--console=pipe"])
                .args(["--link-journal=no", "--resolv-conf=off", "--timezone=off", "--machine", &name])
                .arg("--directory")
                .arg(self.path("/"))
                .stdout(Stdio::null()),
            &self.log(),
        )?);
        self.is_up(interrupt)
    }

    fn is_up(&mut self, interrupt: &Interrupt) -> Result<(), TaskError> {
        let up = interrupt.until(PATIENCE, || {
            if let Some(container) = &mut self.container {
                container.check()?;
            }
            let state = self.output("systemctl is-system-running")?;
            Ok(state.filter(|state| matches!(state.trim(), "running" | "degraded")))
        })?;
        up.map(drop).ok_or_else(|| self.late("the boot of the machine"))
    }

    /// Waits until it has restarted by itself.
    pub(crate) fn comes_back(&mut self, first: Init, interrupt: &Interrupt) -> Result<(), TaskError> {
        // Nobody enters while it goes down: nsenter would be stopped with what it has started, and never continued.
        let back = interrupt.until(PATIENCE, || {
            let ended = self.container.as_mut().is_none_or(|container| container.check().is_err());
            let next = self.init()?.filter(|next| *next != first);
            Ok((ended || next.is_some()).then_some(ended))
        })?;
        match back {
            // Some versions of systemd-nspawn start a machine that reboots anew, and some leave it at that.
            Some(true) => self.boot(interrupt),
            Some(false) => self.is_up(interrupt),
            None => Err(self.late("the reboot of the machine")),
        }
    }

    /// Has it go down in good order, as at the press of its button.
    pub(crate) fn switch_off(&mut self) -> Result<(), TaskError> {
        let Some(mut container) = self.container.take() else { return Ok(()) };
        container.stop().map(drop).map_err(TaskError::io("switch the machine off"))
    }

    /// Its first process, on our side; another one after each boot.
    pub(crate) fn init(&self) -> Result<Option<Init>, TaskError> {
        let Some(container) = &self.container else { return Ok(None) };
        // The only child of systemd-nspawn, as soon as it is there.
        let children = children(container.id()).map_err(TaskError::io("look for the machine's init"))?;
        Ok(children.first().copied())
    }

    /// Runs a script on it, which must succeed, and returns what it prints.
    pub(crate) fn run(&self, script: &str) -> Result<String, TaskError> {
        let Some(output) = self.enter(script)? else {
            return Err(TaskError::Strange { what: "the machine", found: "it is switched off".to_owned() });
        };
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(printed);
        }
        let found =
            format!("{}\n{script}\n{printed}{}", output.status, String::from_utf8_lossy(&output.stderr));
        Err(TaskError::Strange { what: "a command on the machine", found })
    }

    /// What a script prints, however it ends; nothing while the machine is off.
    pub(crate) fn output(&self, script: &str) -> Result<Option<String>, TaskError> {
        let output = self.enter(script)?;
        Ok(output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()))
    }

    fn enter(&self, script: &str) -> Result<Option<Output>, TaskError> {
        let Some(init) = self.init()? else { return Ok(None) };
        let output = Command::new("timeout")
            .args([
                &*PATIENCE.as_secs().to_string(),
                "nsenter",
                "--target",
                &init.as_raw_nonzero().to_string(),
            ])
            .args(["--mount", "--uts", "--ipc", "--pid", "--cgroup", "--root", "--wd", "--"])
            .args(["/bin/sh", "-euc", script])
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null())
            .output()
            .map_err(TaskError::io("start nsenter"))?;
        Ok(Some(output))
    }

    /// What the agent has written to the journal of the machine, of late.
    pub(crate) fn late(&self, what: &str) -> TaskError {
        let journal = self.output("journalctl --no-pager --lines 40 --unit fleethand").ok().flatten();
        let log = journal.or_else(|| fs::read_to_string(self.log()).ok()).unwrap_or_default();
        TaskError::Late { what: what.to_owned(), after: PATIENCE, log }
    }

    fn log(&self) -> PathBuf {
        self.directory.path().join("log")
    }
}

/// A Debian that has never run, made once.
fn image(place: &Path, suite: &str) -> Result<PathBuf, TaskError> {
    let image = place.join(suite);
    if image.exists() {
        return Ok(image);
    }
    println!("Making an image of Debian {suite} in {}", image.display());
    let made = place.join(format!("{suite}.part"));
    match fs::remove_dir_all(&made) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(TaskError::io(format!("remove {}", made.display()))(error));
        }
        Ok(()) | Err(_) => {}
    }
    let mut command = Command::new("debootstrap");
    command.args(["--variant=minbase", &format!("--include={PACKAGES}"), suite]).arg(&made);
    succeed("debootstrap", command.stdout(Stdio::null()))?;
    fs::rename(&made, &image).map_err(TaskError::io(format!("rename {}", made.display())))?;
    Ok(image)
}

/// Runs a program to its good end.
fn succeed(program: &str, command: &mut Command) -> Result<(), TaskError> {
    let status = command.status().map_err(TaskError::io(format!("start {program}")))?;
    if status.success() { Ok(()) } else { Err(TaskError::Program { program: program.into(), status }) }
}
