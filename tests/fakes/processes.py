"""A process table in memory, with the kernel's rules for parents and pids, and nothing to kill."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from gpusched.core.ids import LeaseId, ProcessId
from gpusched.core.sample import ProcessFacts
from gpusched.ports import Watched

INIT = ProcessId(1, 0)


@dataclass(frozen=True, slots=True)
class _Process:
    identity: ProcessId
    uid: int
    name: str
    command: str
    parent: ProcessId | None
    claims: LeaseId | None


class FakeProcessTable:
    """Processes that a test starts and ends."""

    def __init__(self) -> None:
        self._living = {INIT: _Process(INIT, 0, "init", "/sbin/init", None, None)}
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
        """Start a process; *pid* only to use that of an ended one again."""
        if pid is None:
            self._last_pid += 1
            pid = self._last_pid
        if self.identify(pid) is not None:
            raise ValueError(f"pid {pid} is taken")
        self._ticks += 1
        identity = ProcessId(pid, self._ticks)
        self._living[identity] = _Process(identity, uid, name, f"{name} -u", parent, claims)
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

    def identify(self, pid: int) -> ProcessId | None:
        return next((one for one in self._living if one.pid == pid), None)

    def uids(self, process: ProcessId) -> tuple[int, int, int] | None:
        found = self._living.get(process)
        return None if found is None else (found.uid, found.uid, found.uid)

    def facts(self, pids: Iterable[int]) -> Mapping[int, ProcessFacts]:
        wanted = set(pids)
        return {
            one.identity.pid: ProcessFacts(
                identity=one.identity,
                uid=one.uid,
                name=one.name,
                command=one.command,
                ancestors=self._ancestors(one),
                claims_lease=one.claims,
            )
            for one in self._living.values()
            if one.identity.pid in wanted
        }

    def members(self, watched: Iterable[Watched]) -> Mapping[LeaseId, frozenset[ProcessId]]:
        leases = tuple(watched)
        self._known = {lease.lease: self._family(lease) for lease in leases}
        return self._known

    def _family(self, lease: Watched) -> frozenset[ProcessId]:
        starts = {*lease.roots, *self._known.get(lease.lease, ())}
        return frozenset(
            one.identity
            for one in self._living.values()
            if not starts.isdisjoint((one.identity, *self._ancestors(one)))
            or self._claimed(one, lease)
            or any(self._claimed(self._living[a], lease) for a in self._ancestors(one))
        )

    def _claimed(self, one: _Process, lease: Watched) -> bool:
        return one.claims == lease.lease and one.uid == lease.uid

    def _ancestors(self, one: _Process) -> tuple[ProcessId, ...]:
        chain = []
        while one.parent is not None:
            chain.append(one.parent)
            one = self._living[one.parent]
        return tuple(chain)
