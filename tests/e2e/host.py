"""A host as the end-to-end tests see it: a daemon on a stage, asked with the installed command.

Only what several files of tests share; what is asserted stands in the tests.
"""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from gpusched.api.v1 import lease_pb2
from gpusched.client.document import Document
from gpusched.launch import landlock
from tests import capabilities
from tests.e2e.cgroups import Cgroups
from tests.e2e.opener import as_user as able_to_read
from tools.stage import GPUSCHED, Failed, Stage, waiting

EIGHT = "4xA100-80GB,4xL4"
HELD = capabilities.missing("root") is None
"""Whether the kernel holds the masks of leases here: CUDA then counts only a lease's devices."""
CONFINED = HELD or (os.geteuid() != 0 and landlock.available() is None)
"""Whether anything holds the mask of what `gpusched run` starts here."""
MIB = 1 << 20
GIB = 1 << 30
# Strays and faults are seen by ticks only; ends of processes wake the daemon at once.
_CONFIG = '[containers]\ncdi = "off"\n[sampling]\ninterval = "100ms"\n'
_SECONDS = 10


def as_user(uid: int, *groups: int) -> tuple[str, ...]:
    """Give the words that run gpusched as another user, with *groups*; its own words follow."""
    who = ",".join(map(str, (uid, *groups)))
    return (sys.executable, "-m", "tests.e2e.as_user", who)


class Host(Stage):
    """The stage, with verbs that ask in JSON and fail where the answer is a refusal."""

    def __init__(self, simulate: str | None = EIGHT, *options: str) -> None:
        super().__init__(simulate, *options)
        self.config = self.folder / "gpusched.toml"
        self.config.write_text(_CONFIG)
        self.environment["GPUSCHED_CONFIG"] = str(self.config)
        self.cgroups = Cgroups(self.state, simulated=simulate is not None)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all as a stage does; fail where a process or a cgroup would be left behind."""
        try:
            self.clear()
            if kind is None and self.daemon is not None and self.daemon.poll() is None:
                self.cgroups.settle()
        finally:
            super().__exit__(kind, error, trace)
            self.cgroups.clear(kill)

    def serve_as(self, uid: int) -> None:
        """Let the daemon that is started next be an ordinary user's; only root can."""
        os.chown(self.folder, uid, uid)
        self._serve = [*able_to_read(uid), *self._serve]

    @property
    def pid(self) -> int:
        """The daemon's."""
        assert self.daemon is not None
        return self.daemon.pid

    @property
    def log_text(self) -> str:
        """What the daemon has said so far."""
        return self.log.read_text()

    def told(self, *words: str) -> Document:
        """Run a command with --json; give what it prints."""
        done = self.gpusched(*words, "--json")
        if done.returncode:
            raise Failed(f"`gpusched {' '.join(words)}` ended with {done.returncode}: {done}")
        return Document(json.loads(done.stdout))

    def refused(self, code: int, *words: str) -> str:
        """Run a command that must end with *code*; give its one or two lines."""
        done = self.gpusched(*words)
        assert done.returncode == code, done
        assert not done.stdout, done
        assert "Traceback" not in done.stderr, done
        return done.stderr

    def serve_refused(self, code: int, *options: str) -> list[str]:
        """Start a daemon that must end by itself with *code*; give its lines beside the log."""
        done = self.serve_in_vain(*options)
        assert done.returncode == code, done
        return [line for line in done.stderr.splitlines() if not line.startswith('{"time": ')]

    def program(self, source: str) -> list[str]:
        """Run a program of a user's; give the words that it prints."""
        done = self.run(sys.executable, "-c", source)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    def allocate(self, *words: str) -> str:
        """Reserve; give the lease's id."""
        return self.told("allocate", *words).part("lease").text("id")

    def leases(self) -> dict[str, Document]:
        """Give the living leases by id."""
        return {one.text("id"): one for one in self.told("leases").parts("leases")}

    def ended(self, lease: str) -> str:
        """Give the reason for which *lease* has ended; empty where it has not."""
        listed = self.told("leases", "--ended").parts("leases")
        return next((one.text("end_reason") for one in listed if one.text("id") == lease), "")

    def processes(self) -> dict[int, Document]:
        """Give the rows of the process table by pid, one for each process."""
        rows = self.told("status").parts("processes")
        return {one.part("process").number("pid"): one for one in rows}

    def devices(self) -> list[Document]:
        """Give the devices."""
        return self.told("devices").parts("devices")

    def worker(self, memory: str, *wishes: str) -> subprocess.Popen[str]:
        """Start `gpusched run … -- gpusched simulated-worker …`; wait until it has its memory."""
        work = (str(GPUSCHED), "simulated-worker", "--memory", memory)
        worker = self.start(str(GPUSCHED), "run", *wishes, "--", *work)
        if first_line(worker):
            return worker
        raise Failed(f"the worker ended with {worker.wait()}")

    def stray(self, memory: str, index: int) -> subprocess.Popen[str]:
        """Start a simulated worker that asks nobody."""
        where = (
            f"GPUSCHED_SIMULATOR={self.state / 'simulator'}",
            f"CUDA_VISIBLE_DEVICES={index}",
            "CUDA_DEVICE_ORDER=PCI_BUS_ID",
        )
        work = (str(GPUSCHED), "simulated-worker", "--memory", memory)
        stray = self.start("env", *where, *work)
        if first_line(stray):
            return stray
        raise Failed(f"the stray ended with {stray.wait()}")

    def control(self, text: str) -> None:
        """Change the simulator while it runs."""
        place = self.state / "simulator" / "control.toml"
        fresh = place.with_suffix(".new")
        fresh.write_text(text)
        fresh.replace(place)

    def sweep(self) -> None:
        """End every process and every lease: the next test finds the host as this one did."""
        self.clear()
        for lease in self.leases().values():
            for pid in members(lease):
                # A lease of the tests' own process would have the daemon in it, its child.
                assert pid != os.getpid()
                kill(pid)
            self.gpusched("release", lease.text("id"))
        self.until(lambda: not self.leases())

    def until(self, condition: Callable[[], object], seconds: float = _SECONDS) -> None:
        """Wait until *condition* holds."""
        for _ in waiting(seconds, f"what {condition.__code__.co_filename} waits for"):
            if condition():
                return


def first_line(process: subprocess.Popen[str]) -> str:
    """Wait for the first line of a process; empty where it ends without one."""
    assert process.stdout is not None
    return process.stdout.readline()


def lease_of(pid: int) -> str:
    """Give the lease that a process was started under, by its environment."""
    return environment_of(pid).get("GPUSCHED_LEASE", "")


def environment_of(pid: int) -> dict[str, str]:
    """Give the environment that a process was started with."""
    text = ""
    for _ in waiting(_SECONDS, f"process {pid} to have an environment"):
        # In the middle of an exec it has none, for a moment.
        text = Path(f"/proc/{pid}/environ").read_text()
        if text:
            break
    return dict(one.split("=", 1) for one in text.split("\0") if "=" in one)


def members(lease: Document) -> list[int]:
    """Give the pids of a lease's processes."""
    return [one.number("pid") for one in lease.parts("processes")]


def members_of_lease(lease: lease_pb2.Lease) -> list[int]:
    """Give the pids of a lease's processes, from the message."""
    return [one.pid for one in lease.processes]


def kill(pid: int, number: signal.Signals = signal.SIGKILL) -> None:
    """Signal a process that this one did not start, and wait for its end if it is killed."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(descriptor, number)
        if number is signal.SIGKILL:
            assert select.select([descriptor], [], [], _SECONDS)[0], f"{pid} does not end"
    finally:
        os.close(descriptor)


def command_of(pid: int) -> str:
    """Give the command line of a process; empty where it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def children_of(pid: int) -> list[int]:
    """Give the pids of a process's children."""
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for one in lists for child in one.read_text().split()]
