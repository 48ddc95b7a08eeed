"""A look at the kernel: the cgroups that gpusched made, and those that its ledger knows.

Exists so that a daemon that starts finds what an earlier one left. It does not search the whole
tree for programs: on one host a simulator's may be beside the daemon's, and neither may take the
other's off. Blocking.
"""

from collections.abc import Iterable
from dataclasses import replace

from gpusched.adapters.cgroup.hierarchy import Hierarchy
from gpusched.adapters.cgroup.home import Home
from gpusched.adapters.cgroup.masks import Masks
from gpusched.core.enforcement import LeaseCgroup
from gpusched.core.ids import Instant
from gpusched.core.observation import Observation, SeenCgroup


class Lookout:
    """Looks at cgroups."""

    def __init__(self, hierarchy: Hierarchy, home: Home, masks: Masks) -> None:
        """Look at nothing yet."""
        self._hierarchy = hierarchy
        self._home = home
        self._masks = masks

    def observe(
        self, ours: Iterable[str], known: Iterable[LeaseCgroup], begun_at: Instant
    ) -> Observation:
        """Look at the cgroups *ours*, and at those *known*.

        Args:
            ours: Paths of what gpusched made, as listed just now.
            known: Of these, one that is gone or has become another is left out.
            begun_at: Just before.

        Raises:
            EnforceError: The hierarchy cannot be read.
        """
        found = {one.cgroup.inode: one for one in map(self._look, ours) if one is not None}
        for cgroup in known:
            one = self._look(cgroup.path)
            if one is not None and one.cgroup.inode == cgroup.inode:
                # Made is made, also under the name that a state folder had before it was moved.
                found[cgroup.inode] = replace(one, cgroup=cgroup) if cgroup.made else one
        return Observation(tuple(found.values()), begun_at)

    def _look(self, path: str) -> SeenCgroup | None:
        inode = self._hierarchy.identity(path)
        if inode is None:
            return None
        cgroup = LeaseCgroup(path, inode, self._home.made(path))
        return SeenCgroup(cgroup, self._hierarchy.populated(path), self._masks.digest(path))
