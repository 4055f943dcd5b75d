"""A device with `fleethand` on it: certificates, configuration, handlers and state in a directory."""

import json
import os
import shutil
from pathlib import Path

from .programs import Process, built
from .waiting import eventually

OVER = {"SUCCEEDED", "FAILED", "REJECTED", "TIMED_OUT", "CANCELED", "REMOVED"}


class Board:
    """A device on which the daemon can be started, also several times one after the other."""

    def __init__(self, service, thing, directory, port=None):
        self.service, self.thing, self.path = service, thing, Path(directory)
        handlers = self.path / "handlers"
        handlers.mkdir(mode=0o700)
        for source, name in [(service.certificate, "device.pem"), (service.key, "device.key"), (service.root_ca, "ca.pem")]:
            shutil.copy(source, self.path / name)
            (self.path / name).chmod(0o600)
        configuration = {
            "endpoint": "localhost",
            "port": port or service.mqtt_port,
            "cert": str(self.path / "device.pem"),
            "key": str(self.path / "device.key"),
            "root-ca": str(self.path / "ca.pem"),
            "thing-name": thing,
            "logging": {"level": "DEBUG"},
            "jobs": {"handler-directory": str(handlers), "grace-seconds": 1},
        }
        (self.path / "fleethand.conf").write_text(json.dumps(configuration))
        (self.path / "fleethand.conf").chmod(0o640)
        self.daemons = []

    def handler(self, name, script, mode=0o700):
        """Installs a handler; `{}` in the script is the board's directory."""
        path = self.path / "handlers" / name
        path.write_text("#!/bin/sh\n" + script.replace("{}", str(self.path)))
        path.chmod(mode)

    def patient_handler(self, name):
        """Installs a handler that notes its begin and its end, and waits between them until `let_go`."""
        self.handler(
            name,
            f"echo {name} begins >>{{}}/notes\n"
            f"while [ -d {{}} ] && [ ! -e {{}}/{name}.go ]; do sleep 0.05; done\n"
            f"echo {name} ends >>{{}}/notes\necho done\n",
        )

    def let_go(self, name):
        (self.path / f"{name}.go").touch()

    def notes(self):
        notes = self.path / "notes"
        return notes.read_text().splitlines() if notes.exists() else []

    def wait_for_note(self, note):
        eventually(f"the note `{note}`", lambda: note in self.notes(), lambda: f"{self.notes()}; {self.log()}")

    def start(self):
        """Starts the daemon."""
        arguments = [built("fleethand"), "--config-file", str(self.path / "fleethand.conf")]
        environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.path),
            "STATE_DIRECTORY": str(self.path / "state"),
            "RUST_BACKTRACE": "1",
        }
        daemon = Process("fleethand", arguments, self.path / "log", env=environment)
        self.daemons.append(daemon)
        return daemon

    def log(self):
        log = self.path / "log"
        return log.read_text(errors="replace")[-6000:] if log.exists() else ""

    def execution(self, job):
        return self.service.iot.describe_job_execution(jobId=job, thingName=self.thing)["execution"]

    def wait_for(self, job, *statuses):
        """Waits until the execution has one of these statuses, and returns it."""

        def look():
            execution = self.execution(job)
            return execution if execution["status"] in statuses else None

        return eventually(f"{job} is one of {statuses}", look, lambda: f"{self.execution(job)}; {self.log()}")

    def wait_until_over(self, job):
        """Waits until the execution is over, and returns its status and details."""
        execution = self.wait_for(job, *OVER)
        return execution["status"], execution.get("statusDetails", {}).get("detailsMap", {})

    def close(self):
        """Ends the daemons that still run; their handlers end when the directory is gone."""
        for daemon in self.daemons:
            if daemon.child.poll() is None:
                daemon.kill()
        shutil.rmtree(self.path, ignore_errors=True)


def is_alive(pid):
    return os.path.exists(f"/proc/{pid}")
