"""Masks on cgroups: put there, proven, and put back as they were when the proof fails.

Exists between the enforcer, which knows leases and processes, and the programs, which know the
kernel. Every method blocks; calls about one cgroup are made one after the other.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gpusched.adapters.cgroup.hierarchy import Hierarchy
from gpusched.adapters.cgroup.probing import Prober
from gpusched.core.enforcement import Level
from gpusched.core.mask import Mask
from gpusched.ports import DeniedOpen, EnforceError


class DevicePrograms(Protocol):
    """Device programs of cgroups, by the directory of each. Blocking."""

    def obstacle(self, folder: Path) -> str | None:
        """Find out, by trying in a cgroup of ours, why programs cannot be had; None: they can."""
        ...

    def apply(self, folder: Path, mask: Mask) -> None:
        """Attach a program, or put it in the place of ours, without a gap, and verify it.

        Raises:
            EnforceError: What was there before is there still.
        """
        ...

    def remove(self, folder: Path) -> None:
        """Take ours off; that nothing is there is no error.

        Raises:
            EnforceError: It cannot be taken off.
        """
        ...

    def digest(self, folder: Path) -> str | None:
        """Give `Mask.digest` of the program of ours; None where there is none.

        Raises:
            EnforceError: It cannot be found out.
        """
        ...

    def denied(self) -> tuple[DeniedOpen, ...]:
        """Give the denials since the last call."""
        ...

    def close(self) -> None:
        """Let go of what is open. Idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class Before:
    """What a cgroup had of ours.

    Attributes:
        mask: As this daemon put it there; None where it did not.
        digest: Of the program that was there; None: there was none.
    """

    mask: Mask | None
    digest: str | None


class Masks:
    """Which mask is on which cgroup."""

    def __init__(
        self, hierarchy: Hierarchy, programs: DevicePrograms, prober: Prober | None
    ) -> None:
        """Know of no mask yet; without a *prober* the kernel's answer is the only proof."""
        self._hierarchy = hierarchy
        self._programs = programs
        self._prober = prober
        self._known: dict[int, Mask] = {}

    def obstacle(self, path: str) -> str | None:
        """Say why no mask can be held here; *path* is an empty cgroup of ours."""
        return self._programs.obstacle(self._hierarchy.folder(path))

    def digest(self, path: str) -> str | None:
        """Give the digest of the mask that is on a cgroup; None where none of ours is found."""
        try:
            return self._programs.digest(self._hierarchy.folder(path))
        except EnforceError:
            return None

    def attempt(self, path: str, mask: Mask | None, *, required: bool) -> tuple[Level, str]:
        """Put *mask* on a cgroup and prove it; say what was reached, and why not more.

        Raises:
            EnforceError: It was *required* and does not hold; what was there before is again.
        """
        if mask is None:
            return Level.ADVISORY, ""
        before = self.before(path)
        try:
            self.put(path, mask)
            if self._prober is not None:
                self._prober.check(path, mask)
        except EnforceError as error:
            self.restore(path, before)
            if required:
                raise
            return Level.ADVISORY, str(error)
        return Level.DEVICE_PROGRAM, ""

    def put(self, path: str, mask: Mask) -> None:
        """Let *mask* be the one of a cgroup, as far as the kernel says.

        Raises:
            EnforceError: What was there before is there still.
        """
        folder = self._hierarchy.folder(path)
        self._programs.apply(folder, mask)
        if (inode := self._hierarchy.identity(path)) is not None:
            self._known[inode] = mask

    def before(self, path: str) -> Before:
        """Remember what a cgroup has, for `restore`."""
        inode = self._hierarchy.identity(path)
        known = None if inode is None else self._known.get(inode)
        return Before(known, self.digest(path))

    def restore(self, path: str, before: Before) -> None:
        """Let a cgroup have again what it had.

        A program that an earlier daemon put there cannot be made again from its digest: then the
        newer one stays, for an open door would be worse.

        Raises:
            EnforceError: It cannot be done.
        """
        if before.mask is not None:
            self.put(path, before.mask)
        elif before.digest is None:
            self.remove(path)

    def remove(self, path: str) -> None:
        """Take the mask off a cgroup; that it or the cgroup is gone is no error.

        Raises:
            EnforceError: It cannot be taken off.
        """
        inode = self._hierarchy.identity(path)
        if inode is None:
            return
        self._programs.remove(self._hierarchy.folder(path))
        self._known.pop(inode, None)

    def forget(self, inode: int) -> None:
        """Know no more of a cgroup that is gone."""
        self._known.pop(inode, None)

    def denied(self) -> tuple[DeniedOpen, ...]:
        """Give the denials since the last call, without those that were only tried."""
        told = self._programs.denied()
        ours = set() if self._prober is None else self._prober.pids
        return tuple(one for one in told if one.pid not in ours)

    def close(self) -> None:
        """Let go of what is open. Idempotent."""
        if self._prober is not None:
            self._prober.close()
        self._programs.close()
