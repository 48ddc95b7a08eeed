"""gpusched in a machine, as `gpusched setup` makes it: what its tests say and ask."""

import json
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Self

from gpusched.client.document import Document
from tests.systemd.machine import WHEELHOUSE, Machine
from tools.stage import Failed, waiting

VERSION = "0.1.0.dev0"
NEWER = "0.1.1.dev0"
SPEC = "4xA100-80GB"
NODES = "/var/lib/gpusched/simulated/simulator/dev"
_NO_NETWORK = ("PIP_NO_INDEX=1", f"PIP_FIND_LINKS={WHEELHOUSE}")
_LIFE_SECONDS = 30.0
# The machine's visitors bring a Python path, by which the repository would be found.
_PLAIN = ("env", "-u", "PYTHONPATH", *_NO_NETWORK)
# What the programs for groups leave beside the files that they change, and systemd's own folder
# for units without a file, which it keeps once it has had one.
_OF_OTHERS = ("/etc/.pwd.lock", "/etc/group-", "/etc/gshadow-", "/run/systemd/transient")
# Says for each line that it reads how an open of each node went; ends with its input.
_WORKER = """
import errno, os, sys
print("ready", flush=True)
for _ in sys.stdin:
    said = []
    for number in range(4):
        try:
            os.close(os.open(f"{sys.argv[1]}/nvidia{number}", os.O_RDWR))
            said.append("open")
        except OSError as error:
            said.append(errno.errorcode[error.errno])
    print(*said, flush=True)
"""


class Installed:
    """A machine, and the words that its administrator types."""

    def __init__(self, machine: Machine, wheel: str) -> None:
        self.machine = machine
        self.wheel = wheel

    def first_setup(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run setup as on a host that has the repository only."""
        own = ["python3", "-m", "gpusched", "setup", "--from", self.wheel, *words]
        return self.machine.run(["env", *_NO_NETWORK, *own])

    def simulated(self) -> Self:
        """Have the service over simulated devices, from whatever there is."""
        done = self.first_setup("--simulate", SPEC)
        if done.returncode:
            raise Failed(done.stdout + done.stderr)
        return self

    def gpusched(self, *words: str, user: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run the installed command."""
        return self.machine.run([*_PLAIN, "gpusched", *words], user)

    def show(self, name: str, unit: str = "gpusched.service") -> str:
        """Give a property of a unit."""
        return self.machine.told("systemctl", "show", "--value", f"--property={name}", unit)

    def leases(self) -> dict[str, Document]:
        """Give the living leases by their id."""
        done = self.gpusched("leases", "--json")
        assert done.returncode == 0, done.stderr
        found = Document(json.loads(done.stdout)).parts("leases")
        return {one.text("id"): one for one in found}

    def allocate(self, *words: str) -> str:
        """Take a lease that no process has entered; give its id."""
        done = self.gpusched("allocate", "--attach-deadline", "1h", "--json", *words)
        assert done.returncode == 0, done.stderr
        return Document(json.loads(done.stdout)).part("lease").text("id")

    def end_all(self) -> None:
        """Release what a test has left, so that the next one finds all devices free."""
        for name in self.leases():
            self.gpusched("release", name)
        self.until("no lease", lambda: not self.leases())

    def until(self, what: str, done: Callable[[], bool]) -> None:
        """Wait until the machine is as it should be."""
        for _ in waiting(_LIFE_SECONDS, what):
            if done():
                return

    def slices(self) -> list[str]:
        """Give the slices of leases that systemd has, without that of them all."""
        words = ["list-units", "--all", "--plain", "--no-legend", "--type=slice"]
        patterns = ["gpusched*-lease_*.slice", "user-*-gpusched*_lease_*.slice"]
        lines = self.machine.told("systemctl", *words, *patterns).splitlines()
        return [line.split()[0] for line in lines]


class Worker:
    """A process under a lease that tells which nodes it can open; ends with its input."""

    def __init__(self, host: Installed, *allocation: str, user: str | None = None) -> None:
        own = ["python3", "-c", _WORKER, NODES]
        words = [*_PLAIN, "gpusched", "run", *allocation, "--", *own]
        self._process = subprocess.Popen(  # noqa: S603 - our own words
            host.machine.command(words, user),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=host.machine.environment(),
        )
        assert self._line() == "ready"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        finally:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()

    def opens(self) -> list[str]:
        """Say how an open of each node goes now: `open`, or the name of the error."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._line().split()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


def with_version(wheel: Path, target: Path, version: str) -> Path:
    """Write the same wheel under another version: what an upgrade brings."""
    name = f"gpusched_daemon-{version}"
    path = target / f"{name}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(path, "w") as new:
        for one in old.infolist():
            text = old.read(one)
            if one.filename.endswith((".dist-info/METADATA", "gpusched/__init__.py")):
                text = text.replace(VERSION.encode(), version.encode())
            new.writestr(one.filename.replace(f"gpusched_daemon-{VERSION}", name), text)
    return path


def listing(machine: Machine) -> set[str]:
    """Name everything on the machine's disk and in /run that setup could have made."""
    places = ["/etc", "/opt", "/usr", "/var", "/run", "/root", "/srv", "/home"]
    found = machine.told("find", *places, "-xdev", "-not", "-path", "/var/log/journal/*")
    return {line for line in found.splitlines() if not line.endswith(_OF_OTHERS)}
