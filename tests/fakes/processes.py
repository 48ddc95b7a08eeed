"""A process table in memory, with the kernel's rules for parents and pids, and nothing to kill."""

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from gpusched.core.device import DeviceNode
from gpusched.core.ids import LeaseId, ProcessId
from gpusched.core.sample import OpenNode, ProcessFacts
from gpusched.ports import Member, Standing, TooMany, Watched

INIT = ProcessId(1, 0)


@dataclass(frozen=True, slots=True)
class _Process:
    identity: ProcessId
    uids: tuple[int, int, int]
    name: str
    command: str
    parent: ProcessId | None
    claims: LeaseId | None
    cgroup: str = "/"
    opened: tuple[DeviceNode, ...] = ()


class FakeProcessTable:
    """Processes that a test starts and ends, and the cgroups that they are in."""

    def __init__(self) -> None:
        self._living = {INIT: _Process(INIT, (0, 0, 0), "init", "/sbin/init", None, None)}
        self._cgroups = {"/"}
        self._unreadable: set[str] = set()
        self._known: dict[LeaseId, frozenset[ProcessId]] = {}
        self._ticks = 100
        self._last_pid = 1000
        self._listeners: list[Callable[[ProcessId], None]] = []

    def start(
        self,
        *,
        uid: int = 1000,
        parent: ProcessId = INIT,
        claims: LeaseId | None = None,
        name: str = "python3",
        pid: int | None = None,
    ) -> ProcessId:
        """Start a process in its parent's cgroup; *pid* only to use that of an ended one again."""
        if pid is None:
            self._last_pid += 1
            pid = self._last_pid
        if self.identify(pid) is not None:
            raise ValueError(f"pid {pid} is taken")
        self._ticks += 1
        identity = ProcessId(pid, self._ticks)
        cgroup, uids = self._living[parent].cgroup, (uid, uid, uid)
        self._living[identity] = _Process(
            identity, uids, name, f"{name} -u", parent, claims, cgroup
        )
        return identity

    def end(self, process: ProcessId) -> None:
        """End a process: its children go to init, whoever watches it hears of it."""
        del self._living[process]
        for child in [one for one in self._living.values() if one.parent == process]:
            self._living[child.identity] = replace(child, parent=INIT)
        for listener in self._listeners:
            listener(process)

    def on_end(self, listener: Callable[[ProcessId], None]) -> None:
        """Call *listener* with each process that ends."""
        self._listeners.append(listener)

    def become(self, process: ProcessId, uids: tuple[int, int, int]) -> None:
        """Change real, effective and saved uid."""
        self._living[process] = replace(self._living[process], uids=uids)

    def make_cgroup(self, cgroup: str) -> None:
        """Make a cgroup; those above it must be there."""
        if _above(cgroup) not in self._cgroups:
            raise FileNotFoundError(cgroup)
        self._cgroups.add(cgroup)

    def remove_cgroup(self, cgroup: str) -> None:
        """Remove a cgroup that has no processes."""
        if self._within(cgroup):
            raise OSError(f"{cgroup} is busy")
        self._cgroups.remove(cgroup)

    def hide_cgroup(self, cgroup: str) -> None:
        """Let nobody read *cgroup* from now on."""
        self._unreadable.add(cgroup)

    def enter(self, process: ProcessId, cgroup: str) -> None:
        """Move a process, without its children."""
        if cgroup not in self._cgroups:
            raise FileNotFoundError(cgroup)
        self._living[process] = replace(self._living[process], cgroup=cgroup)

    def open(self, process: ProcessId, node: DeviceNode) -> None:
        """Let *process* have *node* open until it ends."""
        one = self._living[process]
        self._living[process] = replace(one, opened=(*one.opened, node))

    def identify(self, pid: int) -> ProcessId | None:
        return next((one for one in self._living if one.pid == pid), None)

    def uids(self, process: ProcessId) -> tuple[int, int, int] | None:
        found = self._living.get(process)
        return None if found is None else found.uids

    def standing(self, process: ProcessId, most: int | None = None) -> Standing | None:
        found = self._living.get(process)
        if found is None:
            return None
        below = [one for one in self._living.values() if process in self._ancestors(one)]
        tree = (found, *below)
        if most is not None and len(tree) > most:
            raise TooMany
        members = tuple(Member(one.identity, one.uids) for one in tree)
        return Standing(found.cgroup, _inode(found.cgroup), members)

    def population(self, cgroup: str) -> Standing:
        if cgroup not in self._cgroups:
            raise FileNotFoundError(cgroup)
        if cgroup in self._unreadable:
            raise PermissionError(cgroup)
        members = tuple(Member(one.identity, one.uids) for one in self._within(cgroup))
        return Standing(cgroup, _inode(cgroup), members)

    def cgroups(self) -> Iterable[str]:
        return sorted(self._cgroups - {"/"})

    def open_nodes(self, processes: Iterable[ProcessId]) -> tuple[OpenNode, ...]:
        living = [self._living[one] for one in processes if one in self._living]
        return tuple(
            OpenNode(one.identity, node.path, node.major, node.minor)
            for one in living
            for node in dict.fromkeys(one.opened)
        )

    def facts(self, pids: Iterable[int]) -> Mapping[int, ProcessFacts]:
        wanted = set(pids)
        return {
            one.identity.pid: ProcessFacts(
                identity=one.identity,
                uid=one.uids[0],
                name=one.name,
                command=one.command,
                ancestors=self._ancestors(one),
                claims_lease=one.claims,
                cgroup=one.cgroup,
            )
            for one in self._living.values()
            if one.identity.pid in wanted
        }

    def members(self, watched: Iterable[Watched]) -> Mapping[LeaseId, frozenset[ProcessId]]:
        leases = tuple(watched)
        held = dict(self._held(leases))
        apart = frozenset[ProcessId]().union(*held.values())
        loose = [lease for lease in leases if lease.cgroup is None]
        self._known = {lease.lease: self._family(lease, apart) for lease in loose}
        return {**held, **self._known}

    def _held(self, leases: Iterable[Watched]) -> Iterator[tuple[LeaseId, frozenset[ProcessId]]]:
        for lease in leases:
            if lease.cgroup is not None and lease.cgroup not in self._unreadable:
                found = self._within(lease.cgroup)
                yield lease.lease, frozenset(one.identity for one in found)

    def _within(self, cgroup: str) -> list[_Process]:
        below = cgroup.rstrip("/") + "/"
        return [
            one
            for one in self._living.values()
            if one.cgroup == cgroup or one.cgroup.startswith(below)
        ]

    def _family(self, lease: Watched, apart: frozenset[ProcessId]) -> frozenset[ProcessId]:
        known = self._known.get(lease.lease, frozenset()) - apart
        claimed = {
            one.identity
            for one in self._living.values()
            if one.claims == lease.lease and one.uids[1] == lease.uid
        }
        found = {one for one in (*lease.roots, *known, *(claimed - apart)) if one in self._living}
        ahead = list(found)
        while ahead:
            parent = ahead.pop()
            for child in self._living.values():
                if child.parent == parent and child.identity not in found | apart:
                    found.add(child.identity)
                    ahead.append(child.identity)
        return frozenset(found)

    def _ancestors(self, one: _Process) -> tuple[ProcessId, ...]:
        chain = []
        while one.parent is not None:
            chain.append(one.parent)
            one = self._living[one.parent]
        return tuple(chain)


def _above(cgroup: str) -> str:
    return cgroup.rpartition("/")[0] or "/"


def _inode(cgroup: str) -> int:
    """Give a number that is the cgroup's own."""
    return zlib.crc32(cgroup.encode())
