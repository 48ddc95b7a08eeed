"""The cgroups that a daemon of the end-to-end tests makes, and that none of them may leave behind.

Only for a daemon without systemd; its slices go by themselves.
"""

import errno
import os
from collections.abc import Callable
from pathlib import Path

from gpusched.config.paths import instance_name
from tests import capabilities
from tools.stage import Failed, waiting

_SECONDS = 10.0


class Cgroups:
    """What one daemon makes.

    Args:
        state: Its state folder, after which it names them.
        simulated: Whether it simulates devices.
    """

    def __init__(self, state: Path, *, simulated: bool) -> None:
        mount = capabilities.cgroup2_mount()
        name = instance_name(state, simulated=simulated)
        folder = None if mount is None else mount / name
        # What was there before is another daemon's.
        self._folder = None if folder is None or folder.exists() else folder

    def leases(self) -> list[Path]:
        """Give the cgroups of leases that are there."""
        if self._folder is None:
            return []
        try:
            return [one for one in self._folder.iterdir() if one.is_dir()]
        except FileNotFoundError:
            # The daemon removes it with the last of them.
            return []

    def settle(self) -> None:
        """Wait until the daemon, which runs, has removed those that nobody is in.

        Raises:
            Failed: It does not.
        """
        for _ in waiting(_SECONDS, "the daemon to remove empty cgroups"):
            if all(map(pids, self.leases())):
                return

    def clear(self, kill: Callable[[int], None]) -> None:
        """Remove all, after the daemon has ended; *kill* who is in them.

        Raises:
            Failed: Somebody was.
        """
        if self._folder is None or not self._folder.is_dir():
            return
        left = [pid for one in self.leases() for pid in pids(one)]
        # In a cgroup of this state folder is only who was started on it.
        assert os.getpid() not in left
        names = [f"{pid} ({_command(pid)})" for pid in left]
        for pid in left:
            kill(pid)
        for one in self.leases():
            _remove(one)
        self._folder.rmdir()
        if names:
            raise Failed(f"left behind in a lease's cgroup: {', '.join(names)}")


def pids(folder: Path) -> list[int]:
    """List the processes of a cgroup; none where it is gone."""
    try:
        return [int(line) for line in (folder / "cgroup.procs").read_text().split()]
    except OSError as error:
        # It may vanish meanwhile: its file is not there, or answers ENODEV once it is open.
        if error.errno in {errno.ENOENT, errno.ENODEV}:
            return []
        raise


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "just ended"


def _remove(folder: Path) -> None:
    for _ in waiting(_SECONDS, f"{folder} to be empty"):
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError:  # a process that has ended leaves its cgroup a moment later
            continue
        return
