"""Daemons that are forked by a process which has imported everything already."""

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tools.stage import Failed, end

_SECONDS = 10.0


class Nursery:
    """One daemon at a time.

    Args:
        folder: Of the fuse.
        environment: Of every daemon.
        log: To which they write.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str], log: Path) -> None:
        words = [sys.executable, "-m", "tests.e2e.faulty", str(folder)]
        with log.open("ab") as errors:
            self._process = subprocess.Popen(  # noqa: S603 - our own words
                words,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self._pidfd: int | None = None

    def bear(self, cgroup: Path, words: list[str]) -> None:
        """Start a daemon in *cgroup*; the one before it must have been waited for."""
        assert self._pidfd is None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([str(cgroup), *words]) + "\n")
        self._process.stdin.flush()
        self._pidfd = os.pidfd_open(int(self._line()))

    @property
    def alive(self) -> bool:
        """Whether there is a daemon."""
        return self._pidfd is not None and not select.select([self._pidfd], [], [], 0)[0]

    def wait(self) -> int:
        """Wait for the daemon's end; give its exit code, or its signal as a negative number."""
        if self._pidfd is None:
            return 0
        if not select.select([self._pidfd], [], [], _SECONDS)[0]:
            raise Failed("the daemon does not end")
        os.close(self._pidfd)
        self._pidfd = None
        return os.waitstatus_to_exitcode(int(self._line()))

    def close(self) -> None:
        """End the daemon in order, and what forks them."""
        if self._pidfd is not None:
            signal.pidfd_send_signal(self._pidfd, signal.SIGTERM)
            self.wait()
        assert self._process.stdin is not None
        self._process.stdin.close()
        end(self._process)

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()
