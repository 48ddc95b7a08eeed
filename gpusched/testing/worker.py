"""Real processes that use simulated memory, started and ended by a test."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress

_SECONDS = 10.0


class HostFault(Exception):
    """The simulated host could not do what the test asked for; the text says why."""


class Worker:
    """A process on simulated devices.

    Attributes:
        pid: Its pid.
    """

    def __init__(self, pid: int, child: subprocess.Popen[str] | None = None) -> None:
        self.pid = pid
        self._pidfd: int | None = os.pidfd_open(pid)
        self._child = child

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self._pidfd is not None and not _readable(self._pidfd, 0)

    def end(self) -> None:
        """End it, by SIGKILL where SIGTERM does not help; repeatable."""
        self._signal(signal.SIGTERM)
        if not self.ended_within(_SECONDS):
            self._signal(signal.SIGKILL)
        self.close()

    def kill(self) -> None:
        """End it by SIGKILL; repeatable."""
        self._signal(signal.SIGKILL)
        self.close()

    def ended_within(self, seconds: float) -> bool:
        """Wait for its end, at most so long; say whether it came."""
        return self._pidfd is None or _readable(self._pidfd, seconds)

    def close(self) -> None:
        """Wait for its end, and forget it; repeatable."""
        if self._pidfd is None:
            return
        self.ended_within(_SECONDS)
        os.close(self._pidfd)
        self._pidfd = None
        if self._child is not None:
            self._child.communicate()

    def _signal(self, number: signal.Signals) -> None:
        if self.alive and self._pidfd is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)


def start(memory: str, environment: Mapping[str, str]) -> subprocess.Popen[str]:
    """Start a worker and wait until it has its memory.

    Args:
        memory: On each of its devices, such as `"4GiB"`.
        environment: With `GPUSCHED_SIMULATOR`, as a grant has it.

    Raises:
        HostFault: It ended instead; the text is what it said.
    """
    words = (sys.executable, "-m", "gpusched", "simulated-worker", "--memory", memory)
    process = subprocess.Popen(  # noqa: S603 - our own
        words,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if process.stdout is not None and process.stdout.readline():
        return process
    _, said = process.communicate()
    raise HostFault(said.strip() or f"the worker ended with {process.returncode}")


def _readable(descriptor: int, seconds: float) -> bool:
    """Say whether a process ends within so many seconds."""
    return bool(select.select([descriptor], [], [], seconds)[0])
