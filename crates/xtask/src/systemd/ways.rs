//! What an operator does with the unit, each with what has to come of it.

use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use super::machine::Machine;
use crate::cargo::root;
use crate::control::Execution;
use crate::error::TaskError;
use crate::interrupt::Interrupt;
use crate::package;
use crate::scene::{Scene, THING};

/// How long something may let wait for itself: the watchdog and a restart take ten seconds.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where the files lie that the commands of the README name.
const CHECKOUT: &str = "/opt/checkout";
/// A handler that notes each of its starts, and ends when it is let go.
const WAITING: &str = "#!/bin/sh\necho \"$JOB_ID\" >>/var/tmp/runs\n\
    until [ -e \"/var/tmp/go-$JOB_ID\" ]; do sleep 0.1; done\n";

/// The machine, and the service beside it.
pub(super) struct Stage {
    /// Switched off before the service ends.
    pub(super) machine: Machine,
    pub(super) scene: Scene,
    pub(super) interrupt: Interrupt,
}

/// One of the things that are done.
pub(super) type Way = fn(&mut Stage) -> Result<(), TaskError>;

/// All of them, in an order in which each finds a working agent and leaves one.
pub(super) const WAYS: [(&str, Way); 13] = [
    ("the commands of the README install it, and it connects", Stage::install),
    ("a job is run, and its entries in the journal are found by their field", Stage::journal),
    ("a restart leaves the handler alone, and the next start takes it over", Stage::restart),
    ("so does a stop, and what has ended meanwhile is reported", Stage::stop),
    ("so does an upgrade", Stage::upgrade),
    ("a reload keeps the process", Stage::reload),
    ("a process that hangs is killed by the watchdog and started again", Stage::watchdog),
    ("a wrong configuration ends with 78 and is not tried again", Stage::wrong_configuration),
    ("the hardened unit runs handlers, as another user too", Stage::hardened),
    ("a job reboots the machine, and goes on after it", Stage::reboot),
    ("a handler that goes down with the machine was interrupted", Stage::power_off),
    ("the package takes the place of all that, and its upgrade leaves the handler alone", Stage::package),
    ("a package that is purged leaves keys and handlers, and no state", Stage::purge),
];

impl Stage {
    fn install(&mut self) -> Result<(), TaskError> {
        let readme = read("README.md")?;
        let commands = install_commands(&readme).ok_or(TaskError::Strange {
            what: "README.md",
            found: "no commands below `## Install`".to_owned(),
        })?;
        self.put("systemd/fleethand.service", &read("systemd/fleethand.service")?)?;
        self.put("config/minimal.conf", &self.configuration(&read("config/minimal.conf")?)?)?;
        for (from, to) in [
            (self.scene.daemon_path().to_owned(), "target/release/fleethand"),
            (self.scene.path().join("agent/device.pem"), "device.pem.crt"),
            (self.scene.path().join("agent/device.key"), "device.pem.key"),
            (self.scene.path().join("agent/root-ca.pem"), "root-ca.pem"),
        ] {
            let bytes = fs::read(&from).map_err(TaskError::io(format!("read {}", from.display())))?;
            self.put(to, &bytes)?;
        }
        self.machine.run(&format!("cd {CHECKOUT}; {commands}"))?;
        self.put("waiting.sh", WAITING)?;
        for handler in ["greeting.sh", "reboot.sh"] {
            self.put(handler, &read(&format!("sample-job-handlers/{handler}"))?)?;
        }
        self.machine.run(&format!("install -m 700 {CHECKOUT}/*.sh /etc/fleethand/handlers/"))?;
        self.is_idle()
    }

    fn journal(&mut self) -> Result<(), TaskError> {
        self.create("journal", &read("sample-job-docs/greeting.json")?)?;
        self.succeeds("journal")?;
        let entries = self.machine.run("journalctl --unit fleethand --output cat JOB=journal#1")?;
        expect(entries.contains("Job closed job=journal#1"), "what the journal has of the job", &entries)
    }

    fn restart(&mut self) -> Result<(), TaskError> {
        self.begin("restart")?;
        self.machine.run("systemctl restart fleethand")?;
        self.is_idle_but_for("restart")?;
        self.let_go("restart")?;
        self.succeeds_after_one_run("restart")
    }

    fn stop(&mut self) -> Result<(), TaskError> {
        self.begin("stop")?;
        self.machine.run("systemctl stop fleethand")?;
        self.let_go("stop")?;
        self.machine.run("systemctl start fleethand")?;
        self.succeeds_after_one_run("stop")
    }

    fn upgrade(&mut self) -> Result<(), TaskError> {
        self.begin("upgrade")?;
        self.machine.run(&format!("install -m 755 {CHECKOUT}/target/release/fleethand /usr/bin/"))?;
        self.machine.run("systemctl restart fleethand")?;
        let program =
            self.machine.run("readlink /proc/$(systemctl show --value -p MainPID fleethand)/exe")?;
        expect(program.trim() == "/usr/bin/fleethand", "the running program", &program)?;
        self.let_go("upgrade")?;
        self.succeeds_after_one_run("upgrade")
    }

    fn reload(&mut self) -> Result<(), TaskError> {
        let before = self.show("MainPID")?;
        self.machine.run("systemctl reload fleethand")?;
        let after = self.show("MainPID")?;
        expect(before == after, "the process after a reload", &after)?;
        self.is_idle()
    }

    fn watchdog(&mut self) -> Result<(), TaskError> {
        self.drop_in("[Service]\nWatchdogSec=2\nRestartSec=100ms\n")?;
        let hung = self.show("MainPID")?;
        self.machine.run(&format!("kill -STOP {hung}"))?;
        self.until("the restart by the watchdog", |stage| {
            Ok(stage.show("NRestarts")? == "1" && stage.show("ActiveState")? == "active")
        })?;
        self.machine.run("rm /etc/systemd/system/fleethand.service.d/test.conf; systemctl daemon-reload")?;
        self.machine.run("systemctl restart fleethand")?;
        self.is_idle()
    }

    fn wrong_configuration(&mut self) -> Result<(), TaskError> {
        self.machine.run(
            "cd /etc/fleethand; mv fleethand.conf good.conf; echo { >fleethand.conf; ! systemctl restart fleethand",
        )?;
        let state = self.machine.run("systemctl show -p ActiveState,ExecMainStatus,NRestarts fleethand")?;
        let wanted = ["ActiveState=failed", "ExecMainStatus=78", "NRestarts=0"];
        expect(wanted.iter().all(|line| state.contains(line)), "the unit's state", &state)?;
        self.machine.run("cd /etc/fleethand; mv good.conf fleethand.conf; systemctl restart fleethand")?;
        self.is_idle()
    }

    fn hardened(&mut self) -> Result<(), TaskError> {
        self.drop_in(&read("systemd/fleethand.service.d/hardening.conf.example")?)?;
        let input = json!({ "handler": "greeting.sh", "args": ["hardened"], "path": "default" });
        let step = |user: &str| json!({ "action": { "name": user, "type": "runHandler", "input": input, "runAsUser": user } });
        let document =
            json!({ "version": "1.0", "includeStdOut": true, "steps": [step("root"), step("nobody")] });
        self.create("hardened", &document.to_string())?;
        self.succeeds("hardened")?;
        self.begin("hardened-restart")?;
        self.machine.run("systemctl restart fleethand")?;
        self.let_go("hardened-restart")?;
        self.succeeds_after_one_run("hardened-restart")?;
        self.machine.run("rm /etc/systemd/system/fleethand.service.d/test.conf; systemctl daemon-reload")?;
        self.machine.run("systemctl restart fleethand")?;
        self.is_idle()
    }

    fn reboot(&mut self) -> Result<(), TaskError> {
        let first = self.machine.init()?.ok_or_else(|| self.machine.late("the machine"))?;
        self.create("reboot", &read("sample-job-docs/by-hand/reboot.json")?)?;
        self.machine.comes_back(first, &self.interrupt)?;
        let execution = self.succeeds("reboot")?;
        let said = execution.details.get("stdout").map_or("", String::as_str);
        expect(said.contains("came after"), "what the handler says of the reboot", said)
    }

    fn power_off(&mut self) -> Result<(), TaskError> {
        self.begin("power-off")?;
        self.machine.switch_off()?;
        self.machine.boot(&self.interrupt)?;
        let execution = self.ends("power-off")?;
        let reason = execution.details.get("reason").map_or("", String::as_str);
        let interrupted = execution.status == "FAILED" && reason.contains("interrupted");
        expect(interrupted, "the end of the job", &format!("{execution:?}"))
    }

    fn package(&mut self) -> Result<(), TaskError> {
        let architecture = self.machine.run("dpkg --print-architecture")?;
        let package = package::pack(self.scene.daemon_path(), architecture.trim(), self.scene.path())?;
        let bytes = fs::read(&package).map_err(TaskError::io(format!("read {}", package.display())))?;
        self.put("fleethand.deb", &bytes)?;
        let install = format!("dpkg --install {CHECKOUT}/fleethand.deb");
        self.machine.run(
            "systemctl disable --now fleethand; rm /usr/bin/fleethand /etc/systemd/system/fleethand.service",
        )?;
        self.machine.run(&install)?;
        expect(self.show("ActiveState")? == "inactive", "the unit after the first installation", "active")?;
        self.machine.run("systemctl enable --now fleethand")?;
        self.is_idle()?;
        self.begin("package")?;
        let before = self.show("MainPID")?;
        self.machine.run(&install)?;
        let after = self.show("MainPID")?;
        expect(before != after, "the process after an upgrade", &after)?;
        self.let_go("package")?;
        self.succeeds_after_one_run("package")
    }

    fn purge(&mut self) -> Result<(), TaskError> {
        self.machine.run("dpkg --purge fleethand")?;
        let left = self.machine.run("ls -d /etc/fleethand/*.key /etc/fleethand/handlers/*.sh /var/lib/fleethand* /usr/bin/fleethand* 2>/dev/null || true")?;
        let kept = left.contains(".key") && left.contains("greeting.sh");
        expect(kept && !left.contains("/var/lib") && !left.contains("/usr/bin"), "what is left", &left)
    }

    /// Creates a job whose handler waits, and waits until that has begun.
    fn begin(&self, job: &str) -> Result<(), TaskError> {
        self.create(job, r#"{ "operation": "waiting.sh", "path": "default" }"#)?;
        self.until(job, |stage| Ok(stage.runs(job)? > 0))
    }

    fn let_go(&self, job: &str) -> Result<(), TaskError> {
        self.machine.run(&format!("touch /var/tmp/go-{job}")).map(drop)
    }

    /// How often the waiting handler has been started for a job.
    fn runs(&self, job: &str) -> Result<usize, TaskError> {
        let runs = self.machine.run("cat /var/tmp/runs 2>/dev/null || true")?;
        Ok(runs.lines().filter(|line| *line == job).count())
    }

    fn succeeds_after_one_run(&self, job: &str) -> Result<(), TaskError> {
        self.succeeds(job)?;
        let runs = self.runs(job)?;
        expect(runs == 1, "how often the handler was started", &runs.to_string())
    }

    fn create(&self, job: &str, document: &str) -> Result<(), TaskError> {
        self.scene.control.create_job(job, THING, document)
    }

    fn succeeds(&self, job: &str) -> Result<Execution, TaskError> {
        let execution = self.ends(job)?;
        expect(execution.status == "SUCCEEDED", "the end of the job", &format!("{execution:?}"))?;
        Ok(execution)
    }

    fn ends(&self, job: &str) -> Result<Execution, TaskError> {
        let over = self.interrupt.until(PATIENCE, || {
            Ok(Some(self.scene.control.execution(job, THING)?).filter(Execution::is_over))
        })?;
        over.ok_or_else(|| self.machine.late(job))
    }

    /// A property of the unit.
    fn show(&self, property: &str) -> Result<String, TaskError> {
        let value = self.machine.run(&format!("systemctl show --value --property {property} fleethand"))?;
        Ok(value.trim().to_owned())
    }

    fn is_idle(&self) -> Result<(), TaskError> {
        self.until(
            "the agent, connected and idle",
            |stage| Ok(stage.show("StatusText")? == "connected; idle"),
        )
    }

    fn is_idle_but_for(&self, job: &str) -> Result<(), TaskError> {
        let wanted = format!("connected; job {job}#1: running");
        self.until(&wanted, |stage| Ok(stage.show("StatusText")?.starts_with(&wanted)))
    }

    fn until(&self, what: &str, look: impl Fn(&Self) -> Result<bool, TaskError>) -> Result<(), TaskError> {
        let seen = self.interrupt.until(PATIENCE, || Ok(look(self)?.then_some(())))?;
        seen.ok_or_else(|| self.machine.late(what))
    }

    fn drop_in(&self, text: &str) -> Result<(), TaskError> {
        self.put("test.conf", text)?;
        self.machine.run(&format!(
            "install -D -m 644 {CHECKOUT}/test.conf /etc/systemd/system/fleethand.service.d/test.conf
             systemctl daemon-reload; systemctl restart fleethand"
        ))?;
        self.is_idle()
    }

    /// The smallest configuration with what the operator puts into it, and what a service of our own needs.
    fn configuration(&self, text: &str) -> Result<String, TaskError> {
        let mut keys: Value = serde_json::from_str(text)
            .map_err(|error| TaskError::Strange { what: "config/minimal.conf", found: error.to_string() })?;
        keys["endpoint"] = json!("localhost");
        keys["thing-name"] = json!(THING);
        keys["port"] = json!(self.scene.mqtt_port);
        keys["root-ca"] = json!(format!("{CHECKOUT}/root-ca.pem"));
        Ok(keys.to_string())
    }

    /// Writes a file of the checkout on the machine.
    fn put(&self, name: &str, contents: impl AsRef<[u8]>) -> Result<(), TaskError> {
        let path = self.machine.path(CHECKOUT).join(name);
        let written =
            path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, contents));
        written.map_err(TaskError::io(format!("write {}", path.display())))
    }
}

fn read(name: &str) -> Result<String, TaskError> {
    fs::read_to_string(root().join(name)).map_err(TaskError::io(format!("read {name}")))
}

fn expect(holds: bool, what: &'static str, found: &str) -> Result<(), TaskError> {
    if holds { Ok(()) } else { Err(TaskError::Strange { what, found: found.to_owned() }) }
}

/// The commands below `## Install`, without the build, for root.
fn install_commands(readme: &str) -> Option<String> {
    let (_, section) = readme.split_once("\n## Install\n")?;
    let (_, block) = section.split_once("```sh\n")?;
    let (block, _) = block.split_once("```")?;
    let commands = block.lines().filter(|line| !line.starts_with("cargo "));
    let commands: Vec<_> = commands.map(|line| line.strip_prefix("sudo ").unwrap_or(line)).collect();
    Some(commands.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_commands_of_the_readme_are_found() {
        let commands = install_commands(&read("README.md").unwrap()).unwrap();
        assert!(commands.lines().any(|line| line == "systemctl enable --now fleethand"), "{commands}");
        assert!(!commands.contains("sudo") && !commands.contains("cargo"), "{commands}");
    }
}
