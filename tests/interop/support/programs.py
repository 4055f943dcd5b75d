"""The programs that are tested: those of a build, named by the environment (`cargo xtask interop` sets it)."""

import os
import shutil
import subprocess
from pathlib import Path

from .waiting import PATIENCE


def built(name):
    """The path of a program that was built for this run."""
    directory = os.environ.get("FLEETHAND_PROGRAMS")
    assert directory, "FLEETHAND_PROGRAMS does not name the directory of the programs: start with `cargo xtask interop`"
    program = Path(directory) / name
    assert program.is_file(), f"{program} is not there"
    return str(program)


def on_path(name):
    """The path of a foreign program, or a failure that says what is missing. Nothing is skipped in silence."""
    found = shutil.which(name)
    assert found, f"{name} is not on PATH"
    return found


class Process:
    """A program that runs in the background, with its log in a file. It is ended with `stop`."""

    def __init__(self, name, arguments, log, **more):
        self.name = name
        self.log_path = Path(log)
        with open(log, "ab") as file:
            self.child = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stderr=file, **more)

    @property
    def log(self):
        return self.log_path.read_text(errors="replace")

    def check(self):
        """Fails if the program has ended."""
        code = self.child.poll()
        assert code is None, f"{self.name} has ended with {code}; its log:\n{self.log[-4000:]}"

    def kill(self):
        """Ends the program as a power cut would."""
        self.child.kill()
        self.child.wait()

    def stop(self):
        """Asks the program to end, which it must do."""
        if self.child.poll() is not None:
            return
        self.child.terminate()
        try:
            self.child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not end when asked; its log:\n{self.log[-4000:]}") from None
