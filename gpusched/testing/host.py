"""A simulated host as a test sees it: where to ask, and what can be done to it."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from gpusched.client.held import HeldLease
from gpusched.client.sync import Client
from gpusched.testing.control import Control
from gpusched.testing.worker import HostFault, Worker, start

_SOCKET = "GPUSCHED_SOCKET"
_LEASE = "GPUSCHED_LEASE"
_SECONDS = 20.0
_STEP = 0.005
_JITTER = 5_000_000
"""Nanoseconds by which the time of one sample may differ from answer to answer."""
_QUICK = '[sampling]\ninterval = "100ms"\n'
_FOREIGN = ("GPUSCHED_", "CUDA_", "NOTIFY_", "WATCHDOG_", "LISTEN_")
"""Beginnings of variables that a daemon of a test must not take from around it."""


@contextmanager
def daemon(simulate: str = "2xL4", *, config: str = "") -> Iterator["SimulatedHost"]:
    """Run a daemon over simulated devices for the block, where clients look for one.

    Within the block `GPUSCHED_SOCKET` leads to it, for this process and those that it starts; a
    lease of another daemon that they are under (`gpusched run -- pytest`) is out of sight. It
    samples ten times a second, its leases are `advisory` (nothing of this host is touched), and
    nothing is left of it and its processes afterwards, also where this process is killed.

    Args:
        simulate: As for `gpusched serve --simulate`: `"2xL4"`, `"4xA100-80GB,4xL4"`, or the path
            of a scenario file; `docs/simulator.md` says what there is.
        config: More configuration, in TOML; `docs/operations.md` has its keys.

    Raises:
        HostFault: The daemon does not start; the text is what it said.
    """
    own = os.getpid()
    before = {name: os.environ.get(name) for name in (_SOCKET, _LEASE)}
    # Short: the path of a socket has at most 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="gps-", dir="/tmp" if Path("/tmp").is_dir() else None))  # noqa: S108 - made anew
    host = SimulatedHost(folder, simulate, config)
    try:
        host.start()
        os.environ[_SOCKET] = host.socket
        os.environ.pop(_LEASE, None)
        yield host
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        if os.getpid() == own:  # a process that was forked in the block ends nothing
            host.close()


class SimulatedHost:
    """A daemon over simulated devices, and what a test can do to both.

    What changes the host returns when the daemon has seen it. A device is the index of a card.

    Attributes:
        socket: Path of the daemon's socket.
        folder: All that it writes is in it: socket, state, `daemon.log`.
    """

    def __init__(self, folder: Path, simulate: str, config: str = "") -> None:
        self.folder = folder
        self.socket = str(folder / "gpusched.sock")
        self._simulator = folder / "state" / "simulator"
        self._control = Control(self._simulator)
        self._workers: list[Worker] = []
        self._client: Client | None = None
        self._daemon: Worker | None = None
        self._tie: subprocess.Popen[str] | None = None
        own = folder / "gpusched.toml"
        own.write_text(config if "[sampling]" in config else f"{_QUICK}{config}\n")
        self._words = ("serve", "--simulate", simulate, "--advisory", "--config", str(own))

    @property
    def client(self) -> Client:
        """A client of the daemon that runs, closed with it."""
        if self._client is None:
            self._client = Client(self.socket)
        return self._client

    @property
    def log(self) -> str:
        """What the daemon has said so far."""
        return (self.folder / "daemon.log").read_text()

    def lose(self, device: int = 0) -> None:
        """Let a card fall off the bus: the driver counts it, and every call on it fails."""
        self._control.lose(device, lost=True)
        self._seen()

    def recover(self, device: int = 0) -> None:
        """Let a card that was lost answer again."""
        self._control.lose(device, lost=False)
        self._seen()

    def fill(self, memory: str | None, device: int = 0) -> None:
        """Let so much memory of a card, such as `"4GiB"`, be in use by no process; None: none."""
        self._control.fill(device, memory)
        self._seen()

    def report(self, xid: int, device: int = 0) -> None:
        """Let the driver report an XID error of a card: 48, say, is an ECC error."""
        self._control.report(device, xid)
        self._seen()

    def stray(self, memory: str, device: int | str = 0) -> Worker:
        """Start a process that uses a device without a lease.

        Args:
            memory: So much of it, such as `"4GiB"`.
            device: Index, or UUID, as `CUDA_VISIBLE_DEVICES` has it.

        Raises:
            HostFault: It found no such device or not so much memory.
        """
        environment = {
            **_clean_environment(),
            "GPUSCHED_SIMULATOR": str(self._simulator),
            "CUDA_VISIBLE_DEVICES": str(device),
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        }
        answer = self._told(json.dumps([memory, environment]))
        if "fault" in answer:
            raise HostFault(str(answer["fault"]))
        stray = Worker(int(str(answer["pid"])))
        self._workers.append(stray)
        self._seen()
        return stray

    def worker(self, lease: HeldLease, memory: str) -> Worker:
        """Start a process that uses so much memory on each device of a lease, as CUDA would.

        It may be more than the lease's limit: that is over-use, and told as such.

        Raises:
            HostFault: There is not so much memory on a device.
        """
        process = start(memory, {**os.environ, **lease.env})
        worker = Worker(process.pid, process)
        self._workers.append(worker)
        self._tied(worker)
        self._seen()
        return worker

    def kill(self) -> None:
        """End the daemon as a crash would: by SIGKILL. Leases stay; `start` brings it back."""
        if self._daemon is not None:
            self._daemon.kill()
            self._end()

    def stop(self) -> None:
        """End the daemon in order, as an upgrade would; `start` brings it back."""
        if self._daemon is not None:
            self._daemon.end()
            self._end()

    def start(self) -> None:
        """Start the daemon, and wait until it answers; one that runs stays.

        Raises:
            HostFault: It does not start; the text is what it said.
        """
        if self._daemon is not None:
            return
        state = str(self.folder / "state")
        words = (*self._words, "--socket", self.socket, "--state-dir", state)
        with (self.folder / "daemon.log").open("ab") as log:
            self._tie = subprocess.Popen(  # noqa: S603 - our own
                (sys.executable, "-m", "gpusched.testing.process", str(self.folder), *words),
                env=_clean_environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                # What a terminal sends to the tests at Ctrl-C must not reach it before them.
                start_new_session=True,
            )
        pid = self._tie.stdout.readline() if self._tie.stdout is not None else ""
        self._tie.wait()
        try:
            self._daemon = Worker(int(pid))
        except (ProcessLookupError, ValueError):
            self._fail()
        _wait(self._listens, "the daemon to answer")
        for worker in self._workers:
            self._tied(worker)

    def close(self) -> None:
        """End the daemon and all that was started, and remove the folder; repeatable."""
        for worker in self._workers:
            worker.end()
        self._workers.clear()
        self._end()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self) -> None:
        """Let go of the daemon, which ends with that."""
        if self._client is not None:
            self._client.close()
        for stream in () if self._tie is None else (self._tie.stdin, self._tie.stdout):
            if stream is not None:
                stream.close()
        if self._daemon is not None and not self._daemon.ended_within(_SECONDS):
            self._daemon.kill()
        if self._daemon is not None:
            self._daemon.close()
        self._client = self._tie = self._daemon = None

    def _tied(self, worker: Worker) -> None:
        """Have a process end with the daemon where this one is killed."""
        if worker.alive:
            self._told(json.dumps(worker.pid))

    def _told(self, line: str) -> Mapping[str, object]:
        tie = self._tie
        if tie is None or tie.stdin is None or tie.stdout is None:
            raise HostFault("the daemon does not run: call `start`")
        tie.stdin.write(f"{line}\n")
        tie.stdin.flush()
        answer: Mapping[str, object] = json.loads(tie.stdout.readline())
        return answer

    def _listens(self) -> bool:
        if self._daemon is not None and not self._daemon.alive:
            self._fail()
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(self.socket) == 0

    def _fail(self) -> NoReturn:
        self._end()
        raise HostFault(f"the daemon did not start: {self.log.strip()}")

    def _seen(self) -> None:
        """Wait for two samples: the first may have been begun before what is to be seen."""
        seen = self._sampled()
        for _ in range(2):
            _wait(lambda before=seen: self._sampled() > before + _JITTER, "a sample")  # type: ignore[misc]  # the loop's
            seen = self._sampled()
        self._control.check()

    def _sampled(self) -> int:
        """Give when the last sample was taken, in nanoseconds of the wall clock."""
        return self.client.devices().sampled_at.ToNanoseconds()


def _clean_environment() -> dict[str, str]:
    return {name: one for name, one in os.environ.items() if not name.startswith(_FOREIGN)}


def _wait(condition: Callable[[], bool], what: str) -> None:
    pause = threading.Event()
    for _ in range(int(_SECONDS / _STEP)):
        if condition():
            return
        pause.wait(_STEP)
    raise HostFault(f"waited {_SECONDS:.0f} s for {what}")
