"""An enforcer in memory: the cgroups of a `FakeProcessTable`, and masks that it only remembers."""

import asyncio
import signal
from collections import defaultdict
from collections.abc import Callable, Collection
from dataclasses import dataclass

from gpusched.core.actions import Join, Prepare
from gpusched.core.enforcement import Ability, LeaseCgroup, Level, Mode
from gpusched.core.ids import ProcessId
from gpusched.core.mask import Mask
from gpusched.core.observation import Observation, SeenCgroup
from gpusched.ports import Clock, DeniedOpen, EnforceError, Entered, Member
from tests.fakes.processes import FakeProcessTable

HOME = "/gpusched"
ABLE = Ability(Level.DEVICE_PROGRAM, "the fake remembers every mask", cgroups=True)


@dataclass(slots=True)
class _Cgroup:
    cgroup: LeaseCgroup
    mask: Mask | None = None


class FakeEnforcer:
    """Does what the real one does, to processes in memory."""

    def __init__(self, table: FakeProcessTable, clock: Clock) -> None:
        self._table = table
        self._clock = clock
        self._cgroups: dict[str, _Cgroup] = {}
        self._followers: dict[int, Callable[[], None]] = {}
        self._failures: dict[str, list[Exception]] = defaultdict(list)
        self._told: set[int] = set()
        self._last_inode = 0
        self.able = ABLE
        self.no_program: str | None = None
        """While set, the kernel takes no program, for this reason."""
        self.escape: set[ProcessId] = set()
        """Descendants that are not moved."""
        self.signals: list[tuple[str, int]] = []
        """Signals sent, but for SIGKILL: path of the cgroup and number."""
        self.denials: list[DeniedOpen] = []
        """Given by the next `denied`."""
        table.make_cgroup(HOME)
        table.on_end(lambda _process: self._tell_all())

    def fail(self, method: str, error: Exception) -> None:
        """Let the next call of *method* raise *error* and do nothing; more than once in order."""
        self._failures[method].append(error)

    def mask_of(self, path: str) -> Mask | None:
        """The mask that a cgroup has."""
        known = self._cgroups.get(path)
        return None if known is None else known.mask

    def emptied(self, path: str) -> None:
        """Tell whoever follows a cgroup that it is empty, whether it is or not."""
        self._followers[self._cgroups[path].cgroup.inode]()

    def vanish(self, path: str) -> None:
        """Remove an empty cgroup by hand."""
        inode = self._cgroups[path].cgroup.inode
        self._remove(path)
        self._told.discard(inode)
        self._tell_all()
        self._followers.pop(inode, None)

    async def ability(self) -> Ability:
        return self.able

    async def prepare(self, order: Prepare) -> Entered:
        self._may_fail("prepare")
        if order.process is not None:
            self._standing(order.process, order.only_uid)
        if order.mode is Mode.MOVE:
            return self._prepare_moved(order)
        return self._prepare_in_place(order)

    async def join(self, order: Join) -> Entered:
        self._may_fail("join")
        known, (cgroup, _tree) = self._known(order.cgroup), self._standing(order.process, None)
        level = Level.ADVISORY if known.mask is None else Level.DEVICE_PROGRAM
        path = order.cgroup.path
        if order.cgroup.made:
            return self._move(order.process, known, order.only_uid, (level, ""))
        if not _lies_in(cgroup, path):
            raise EnforceError(f"{order.process.pid} is not in {path}", refused=True)
        return Entered(order.cgroup, level, "", (order.process,))

    async def mask(self, cgroup: LeaseCgroup, mask: Mask) -> None:
        self._may_fail("mask")
        if self.no_program is not None:
            raise EnforceError(self.no_program)
        self._known(cgroup).mask = mask

    async def signal(self, cgroup: LeaseCgroup, number: int) -> None:
        self._may_fail("signal")
        if not cgroup.made:
            raise EnforceError(f"{cgroup.path} was not made by gpusched")
        if cgroup.path not in self._cgroups:
            return
        if number != signal.SIGKILL:
            self.signals.append((cgroup.path, number))
            return
        for member in self._table.population(cgroup.path).tree:
            self._table.end(member.process)

    async def unprepare(self, cgroup: LeaseCgroup, back_to: str | None) -> bool:
        self._may_fail("unprepare")
        known = self._cgroups.get(cgroup.path)
        if known is None or known.cgroup.inode != cgroup.inode:
            return True
        if cgroup.made:
            for member in self._table.population(cgroup.path).tree if back_to else ():
                self._table.enter(member.process, back_to or "/")
            if self._table.population(cgroup.path).tree:
                return False
        self._followers.pop(cgroup.inode, None)
        self._remove(cgroup.path)
        return True

    async def observe(self, known: Collection[LeaseCgroup]) -> Observation:
        self._may_fail("observe")
        there = {one.inode for one in known}
        seen = tuple(
            SeenCgroup(one.cgroup, self._populated(path), one.mask.digest if one.mask else None)
            for path, one in self._cgroups.items()
            if one.cgroup.made or one.mask is not None or one.cgroup.inode in there
        )
        return Observation(seen, self._clock.now().instant)

    def follow(self, cgroup: LeaseCgroup, emptied: Callable[[], None]) -> None:
        self._may_fail("follow")
        self._followers[cgroup.inode] = emptied
        self._told.discard(cgroup.inode)
        self._tell_all()

    def denied(self) -> tuple[DeniedOpen, ...]:
        told, self.denials = tuple(self.denials), []
        return told

    async def close(self) -> None:
        self._followers.clear()

    def _prepare_moved(self, order: Prepare) -> Entered:
        assert order.process is not None
        path = f"{HOME}/{order.lease}"
        if path not in self._cgroups:
            self._table.make_cgroup(path)
            self._cgroups[path] = _Cgroup(self._new(path, made=True))
        known = self._cgroups[path]
        try:
            level = self._attempt(known, order.mask, required=order.required)
            return self._move(order.process, known, order.only_uid, level)
        except EnforceError:
            self._remove(path)
            raise

    def _prepare_in_place(self, order: Prepare) -> Entered:
        path = order.cgroup
        if order.process is not None and self._standing(order.process, None)[0] != path:
            raise EnforceError(f"{order.process.pid} has left {path}", refused=True)
        if path == "/":
            raise EnforceError("the root cgroup is everybody's", refused=True)
        inside = self._table.population(path).tree
        _check(inside, order.only_uid)
        known = self._cgroups.setdefault(path, _Cgroup(self._new(path, made=False)))
        level, sentence = self._attempt(known, order.mask, required=order.required)
        first = (order.process,) if order.process else ()
        processes = dict.fromkeys((*first, *(one.process for one in inside)))
        return Entered(known.cgroup, level, sentence, tuple(processes))

    def _attempt(self, known: _Cgroup, mask: Mask | None, *, required: bool) -> tuple[Level, str]:
        if mask is None:
            return Level.ADVISORY, ""
        if self.no_program is None:
            known.mask = mask
            return Level.DEVICE_PROGRAM, ""
        if required:
            raise EnforceError(self.no_program)
        return Level.ADVISORY, self.no_program

    def _move(
        self, process: ProcessId, known: _Cgroup, only_uid: int | None, level: tuple[Level, str]
    ) -> Entered:
        tree = [one.process for one in self._standing(process, only_uid)[1]]
        for one in tree:
            if one not in self.escape:
                self._table.enter(one, known.cgroup.path)
        inside = tuple(one for one in tree if one not in self.escape)
        return Entered(known.cgroup, *level, inside, tuple(self.escape.intersection(tree)))

    def _standing(
        self, process: ProcessId, only_uid: int | None
    ) -> tuple[str, tuple[Member, ...]]:
        found = self._table.standing(process)
        if found is None:
            raise EnforceError(f"process {process.pid} has ended", refused=True)
        _check(found.tree, only_uid)
        return found.cgroup, found.tree

    def _known(self, cgroup: LeaseCgroup) -> _Cgroup:
        known = self._cgroups.get(cgroup.path)
        if known is None or known.cgroup.inode != cgroup.inode:
            raise EnforceError(f"{cgroup.path} is gone")
        return known

    def _new(self, path: str, *, made: bool) -> LeaseCgroup:
        self._last_inode += 1
        return LeaseCgroup(path, self._last_inode, made)

    def _populated(self, path: str) -> bool:
        try:
            return bool(self._table.population(path).tree)
        except FileNotFoundError:
            return False

    def _remove(self, path: str) -> None:
        known = self._cgroups.pop(path)
        if known.cgroup.made:
            self._table.remove_cgroup(path)

    def _tell_all(self) -> None:
        """Tell of each cgroup that has become empty, once until somebody is in it again."""
        living = {one.cgroup.inode for path, one in self._cgroups.items() if self._populated(path)}
        empty = self._followers.keys() - living
        for inode in empty - self._told:
            asyncio.get_running_loop().call_soon(self._followers[inode])
        self._told = empty

    def _may_fail(self, method: str) -> None:
        if self._failures[method]:
            raise self._failures[method].pop(0)


def _check(members: Collection[Member], only_uid: int | None) -> None:
    for one in members:
        if only_uid is not None and set(one.uids) != {only_uid}:
            raise EnforceError(f"process {one.process.pid} is somebody else's", refused=True)


def _lies_in(path: str, above: str) -> bool:
    return path == above or path.startswith(above + "/")
