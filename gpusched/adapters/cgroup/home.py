"""Where the cgroups of leases lie, and who makes them: the daemon itself, or a service manager.

Exists so that the enforcer need not know which. Nothing of programs and masks may enter it.
"""

import threading
from collections.abc import Sequence
from concurrent.futures import Executor
from pathlib import PurePosixPath
from typing import Protocol

from gpusched.adapters.cgroup.blocking import in_thread
from gpusched.adapters.cgroup.hierarchy import Hierarchy, lies_in
from gpusched.core.ids import LeaseId
from gpusched.ports import EnforceError


class Home(Protocol):
    """Makes and removes cgroups of leases. Paths begin at the root of the hierarchy."""

    async def make(self, lease: LeaseId, uid: int) -> str:
        """Make the cgroup of *lease* and give its path; nobody is in it.

        An empty one that is there already is taken.

        Args:
            lease: Which.
            uid: Its holder, whose other limits stay in force where they hang on the tree.

        Raises:
            EnforceError: It cannot be made, or processes are in it already.
        """
        ...

    async def enter(self, path: str, pids: Sequence[int]) -> None:
        """Move processes into a cgroup that `make` gave; passes over those that have ended.

        Raises:
            EnforceError: One cannot be moved; some may have been.
        """
        ...

    async def remove(self, path: str) -> None:
        """Remove an empty cgroup, and those below it; gone already is no error.

        Raises:
            EnforceError: It is in use, or cannot be removed.
        """
        ...

    def made(self, path: str) -> bool:
        """Say by its name whether a cgroup is one of ours or lies in one of ours."""
        ...

    async def all(self) -> tuple[str, ...]:
        """Give every cgroup of ours that exists now."""
        ...

    async def close(self) -> None:
        """Let go of what is open; cgroups stay. Idempotent."""
        ...


class FolderHome:
    """A directory of our own below the root of the hierarchy: for hosts without systemd.

    It is there only while leases are.
    """

    def __init__(self, hierarchy: Hierarchy, threads: Executor, name: str = "gpusched") -> None:
        """Use the directory *name*; it is made with the first lease and goes with the last."""
        self._hierarchy = hierarchy
        self._threads = threads
        self._place = f"/{name}"
        # Our directory goes with the last lease, and must not go while the next is made in it.
        self._changing = threading.Lock()

    async def make(self, lease: LeaseId, uid: int) -> str:  # noqa: ARG002 -- no slices of users here
        """Make the directory `<lease>`."""
        return await in_thread(self._threads, self._make, f"{self._place}/{lease}")

    async def enter(self, path: str, pids: Sequence[int]) -> None:
        """Write the pids, one after the other."""
        await in_thread(self._threads, self._hierarchy.enter, path, pids)

    async def remove(self, path: str) -> None:
        """Remove the directory."""
        if not self.made(path):
            raise EnforceError(f"cgroup {path} was not made by gpusched and is not removed")
        await in_thread(self._threads, self._remove, path)

    def made(self, path: str) -> bool:
        """Say whether it lies in our directory."""
        return path != self._place and lies_in(path, self._place)

    async def all(self) -> tuple[str, ...]:
        """List our directory."""
        return await in_thread(self._threads, self._all)

    async def close(self) -> None:
        """Do nothing: nothing is open."""

    def _make(self, path: str) -> str:
        with self._changing:
            self._hierarchy.create(path)
        if self._hierarchy.populated(path):
            raise EnforceError(
                f"cgroup {path} has processes already; end them, or release its lease with --kill"
            )
        return path

    def _remove(self, path: str) -> None:
        self._hierarchy.remove(path)
        with self._changing:
            self._hierarchy.remove_if_bare(self._place)

    def _all(self) -> tuple[str, ...]:
        inside = self._hierarchy.below(self._place)
        return tuple(one for one in inside if str(PurePosixPath(one).parent) == self._place)
