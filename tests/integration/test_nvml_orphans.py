"""Specification: no NVML process outlives its daemon, whatever it is doing."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gpusched.adapters.nvml.supervisor import child_command

LONG = 20.0  # seconds; only a failing test ever waits so long

_PARENT = """
import subprocess, sys, time
child = subprocess.Popen(sys.argv[2:], stdin={stdin}, stdout=subprocess.PIPE)
print(child.pid, flush=True)
time.sleep(60)
"""


@contextmanager
def _grandchild(stdin: str) -> Iterator[tuple["subprocess.Popen[bytes]", int]]:
    """A daemon's stand-in and, by a pidfd, the NVML process that it started."""
    script = _PARENT.format(stdin=stdin)
    with subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-c", script, "-", *child_command()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        pidfd = os.pidfd_open(pid)
        try:
            yield parent, pidfd
        finally:
            parent.kill()
            if not _ends(pidfd, 0):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            os.close(pidfd)


def _ends(pidfd: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def _pid_of(pidfd: int) -> int:
    lines = Path(f"/proc/self/fdinfo/{pidfd}").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pid:"))


def test_no_orphan_when_the_daemon_is_killed() -> None:
    """After `kill -9` of the daemon its NVML process sees the closed pipe and ends."""
    with _grandchild("subprocess.PIPE") as (parent, pidfd):
        parent.kill()
        assert _ends(pidfd, LONG)


def test_no_orphan_in_the_midst_of_a_call() -> None:
    """A process that cannot look at its pipe is killed by the kernel with its daemon."""
    # The pipe stays open: the standard input of the NVML process is held by this test.
    with _grandchild("None") as (parent, pidfd):
        status = Path(f"/proc/{_pid_of(pidfd)}/status")
        deadline = time.monotonic() + LONG  # noqa: TID251 - a test has no clock to ask
        while not _ignores_interrupts(status):  # set after the request for a death signal
            assert time.monotonic() < deadline  # noqa: TID251 - as above
            os.sched_yield()
        parent.kill()
        assert _ends(pidfd, LONG)


def _ignores_interrupts(status: Path) -> bool:
    ignored = next(line for line in status.read_text().splitlines() if line.startswith("SigIgn:"))
    return bool(int(ignored.split()[1], 16) >> (signal.SIGINT - 1) & 1)
