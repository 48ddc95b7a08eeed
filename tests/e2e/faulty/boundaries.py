"""Which steps of the daemon have a boundary before and after them: all that change the world.

A part that is wrapped behaves as it did, but its steps are counted.
"""

import inspect
from collections.abc import Callable, Coroutine, Sequence
from typing import ParamSpec, TypeVar, cast

from gpusched.adapters.cgroup.enforcer import CgroupEnforcer
from gpusched.adapters.cgroup.guard import CgroupGuard
from gpusched.adapters.cgroup.hierarchy import Hierarchy
from gpusched.adapters.cgroup.home import FolderHome
from gpusched.adapters.cgroup.programs import Programs
from gpusched.adapters.store.sqlite import SqliteStore
from tests.e2e.faulty.fuse import Fuse

_Part = TypeVar("_Part")
_P = ParamSpec("_P")
_T = TypeVar("_T")

# Home.enter is Hierarchy.enter: there each single process has its boundaries.
STEPS: dict[type, tuple[str, ...]] = {
    SqliteStore: ("commit",),
    CgroupEnforcer: ("prepare", "join", "mask", "signal", "unprepare", "follow"),
    CgroupGuard: ("on", "off", "admit", "dismiss"),
    FolderHome: ("make", "remove"),
    Programs: ("apply", "remove"),
    Hierarchy: ("kill", "send"),
}


class Bounded:
    """Puts the boundaries there."""

    def __init__(self, fuse: Fuse) -> None:
        self._fuse = fuse

    def wrap(self, part: _Part) -> _Part:
        """Give a stand-in for *part* whose steps are counted."""
        steps = STEPS.get(type(part), ())
        kind = _OneByOne if isinstance(part, Hierarchy) else _Counted
        return cast("_Part", kind(part, steps, self._fuse))


class _Counted:
    """What it stands for, with a boundary before and after each of its *steps*."""

    def __init__(self, part: object, steps: Sequence[str], fuse: Fuse) -> None:
        self._part = part
        self._steps = steps
        self._fuse = fuse

    def __getattr__(self, name: str) -> object:
        found = getattr(self._part, name)
        if name not in self._steps:
            return found
        label = f"{type(self._part).__name__}.{name}"
        if inspect.iscoroutinefunction(found):
            return self._awaited(label, found)
        return self._called(label, found)

    def _called(self, label: str, step: Callable[_P, _T]) -> Callable[_P, _T]:
        def counted(*args: _P.args, **kwargs: _P.kwargs) -> _T:
            self._fuse.cross(f"before {label}")
            try:
                return step(*args, **kwargs)
            finally:
                self._fuse.cross(f"after {label}")

        return counted

    def _awaited(
        self, label: str, step: Callable[_P, Coroutine[None, None, _T]]
    ) -> Callable[_P, Coroutine[None, None, _T]]:
        async def counted(*args: _P.args, **kwargs: _P.kwargs) -> _T:
            self._fuse.cross(f"before {label}")
            try:
                return await step(*args, **kwargs)
            finally:
                self._fuse.cross(f"after {label}")

        return counted


class _OneByOne(_Counted):
    """The hierarchy, which moves several processes at a time: here each move is a step."""

    def enter(self, path: str, pids: Sequence[int]) -> None:
        """Move *pids* into the cgroup *path*, as the hierarchy does it."""
        part = cast("Hierarchy", self._part)
        move = self._called("Hierarchy.enter", part.enter)
        for pid in pids:
            move(path, [pid])

    def empty_into(self, path: str, other: str) -> None:
        """Move the processes of *path* into *other*, as the hierarchy does it."""
        # The hierarchy's own function, with this one's way of moving.
        Hierarchy.empty_into(cast("Hierarchy", self), path, other)
