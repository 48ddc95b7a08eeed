"""Real processes for the suites: shells that fork when told, all ended when the test ends."""

import contextlib
import os
import select
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Self

from gpusched.core.ids import LeaseId

LEASE = LeaseId(f"lease-{os.getpid()}-1")
OTHER = LeaseId(f"lease-{os.getpid()}-2")
"""Ids that no process on this machine carries but those of this run: a lease's members are looked
for among all processes, and tests run beside these."""

# Says its pid once it is what it shall be, then obeys one line after the other.
_NODE = 'echo $$ >"$1"; while read -r line; do eval "$line"; done'
_SECONDS = 10


class RealProcesses:
    """Starts shells; each reads orders from a pipe of its own and ends with that pipe."""

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="gps-"))
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._pidfds: dict[int, int] = {}
        self._orders: dict[int, int] = {}
        self._answers = self._pipe("answers")
        return self

    def __exit__(self, *_raised: object) -> None:
        for pidfd in self._pidfds.values():
            _kill(pidfd)
        for child in self._children.values():
            child.wait(_SECONDS)
            for stream in (child.stdin, child.stdout):
                if stream is not None:
                    stream.close()
        for descriptor in (self._answers, *self._orders.values(), *self._pidfds.values()):
            os.close(descriptor)
        shutil.rmtree(self._folder)

    def start(self, claims: LeaseId | None = None) -> int:
        """Start a child of this process and give its pid."""
        orders = self._pipe("orders")
        with (self._folder / "orders").open("rb", 0) as stdin:
            child = subprocess.Popen(self._command(claims), stdin=stdin)  # noqa: S603 -- fixed words
        self._children[child.pid] = child
        return self._started(orders)

    def fork(self, parent: int, claims: LeaseId | None = None) -> int:
        """Let the shell *parent* start a child and give its pid."""
        orders = self._pipe("orders")
        command = shlex.join(self._command(claims))
        os.write(self._orders[parent], f"{command} <{self._folder / 'orders'} &\n".encode())
        return self._started(orders)

    def become(self, pid: int, claims: LeaseId) -> None:
        """Let the shell *pid* execute itself anew with a lease's id in its environment."""
        os.write(self._orders[pid], f"exec {shlex.join(self._command(claims))}\n".encode())
        assert self._answer() == pid

    def run_python(self, source: str, *arguments: str | bytes) -> tuple[int, int]:
        """Start a Python as child; give its pid and the number it prints first."""
        command = [sys.executable, "-c", source, *arguments]
        pipe = subprocess.PIPE
        child = subprocess.Popen(command, stdin=pipe, stdout=pipe)  # noqa: S603 -- the test's own
        self._children[child.pid] = child
        self._pidfds[child.pid] = os.pidfd_open(child.pid)
        assert child.stdout is not None
        return child.pid, int(child.stdout.readline())

    def tell(self, pid: int) -> int:
        """Let a Python of `run_python` go on; give the number it prints next."""
        child = self._children[pid]
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(b"\n")
        child.stdin.flush()
        return int(child.stdout.readline())

    def end(self, pid: int, *, reap: bool = True) -> None:
        """Kill a process and wait until it has ended; a child of ours is reaped if so wished."""
        _kill(self._pidfds[pid])
        if reap and pid in self._children:
            self._children[pid].wait(_SECONDS)

    def _started(self, orders: int) -> int:
        """Take in the process that says its pid next."""
        pid = self._answer()
        self._pidfds[pid] = os.pidfd_open(pid)
        self._orders[pid] = orders
        # Both ends are open: the name may go to the next one.
        (self._folder / "orders").unlink()
        return pid

    def _answer(self) -> int:
        assert select.select([self._answers], [], [], _SECONDS)[0], "no shell came up"
        return int(os.read(self._answers, 64))

    def _pipe(self, name: str) -> int:
        os.mkfifo(self._folder / name)
        return os.open(self._folder / name, os.O_RDWR)

    def _command(self, claims: LeaseId | None) -> list[str]:
        claim = [] if claims is None else [f"GPUSCHED_LEASE={claims}"]
        shell = ["sh", "-c", _NODE, "sh", str(self._folder / "answers")]
        return ["env", "-u", "GPUSCHED_LEASE", *claim, *shell]


def _kill(pidfd: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    assert select.select([pidfd], [], [], _SECONDS)[0], "a killed process did not end"
