"""A process and all its descendants go into one cgroup, or none of them does.

The kernel moves one process at a time and its children stay behind, so this goes round until
nobody is left outside: whoever is inside bears children inside. Nothing of leases, masks or
programs may enter this file.
"""

import contextlib
import os
import select
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path

from gpusched.adapters.cgroup.blocking import in_thread
from gpusched.adapters.cgroup.descent import (
    ancestors,
    born_between,
    descendants,
    newest_pid,
    read_stat,
)
from gpusched.adapters.cgroup.hierarchy import Hierarchy, lies_in
from gpusched.adapters.procfs.reading import Stat
from gpusched.adapters.procfs.tree import member_of
from gpusched.core.ids import ProcessId
from gpusched.core.standing import Member
from gpusched.ports import EnforceError

Enter = Callable[[str, Sequence[int]], Awaitable[None]]
"""Moves processes by pid into the cgroup of a path; raises EnforceError."""

# A tree that is still growing after so many rounds grows faster than it can be moved.
_ROUNDS = 50
# Who was born so shortly before the move may have fled from it: in ticks, 10 ms each, and pids.
_TICKS_OF_GRACE = 2
_PIDS_OF_GRACE = 32
_INIT = 1


@dataclass(frozen=True, slots=True)
class Moved:
    """Who went where.

    Attributes:
        processes: In the cgroup now: the one that was named, then its descendants.
        escaped: Found outside after all were moved. Whose parent has ended is known by its age,
            its session and who has adopted it: an ancestor, but not the first one's own parent,
            whose children may be siblings. A stranger of whom all this is true is named too.
    """

    processes: tuple[ProcessId, ...]
    escaped: tuple[ProcessId, ...] = ()


@dataclass(slots=True)
class _Tree:
    """What is known of the processes that are being moved.

    Attributes:
        root: Who was named.
        target: Where they go.
        only_uid: Whose each must be; None: anybody's.
        began: When the move began, in ticks since boot.
        newest: The pid that was given out last before it began.
        pins: An open pidfd of each, by pid: while it is alive the pid is nobody else's.
        origins: Where each was before.
        members: Who each is.
    """

    root: ProcessId
    target: str
    only_uid: int | None
    began: int
    newest: int
    pins: dict[int, int] = field(default_factory=dict)
    origins: dict[int, str] = field(default_factory=dict)
    members: dict[int, ProcessId] = field(default_factory=dict)

    def forget(self, pid: int) -> None:
        """Let go of a process that has ended: its pid may be another's."""
        os.close(self.pins.pop(pid))
        self.origins.pop(pid, None)
        self.members.pop(pid, None)


class Mover:
    """Moves process trees; reading `/proc` is done in *threads*, never in the event loop."""

    def __init__(self, hierarchy: Hierarchy, enter: Enter, threads: Executor) -> None:
        """Use *enter* for each move: it may be a file's write or a service manager's work."""
        self._hierarchy = hierarchy
        self._enter = enter
        self._threads = threads

    async def move(self, process: ProcessId, target: str, only_uid: int | None) -> Moved:
        """Move *process* and its descendants into the cgroup *target*.

        Args:
            process: Who.
            target: Path of a cgroup.
            only_uid: Real, effective and saved uid that each of them must have; None: any.

        Raises:
            EnforceError: It has ended, or one of them is somebody else's, or the kernel refused;
                all are where they were.
        """
        tree = _Tree(process, target, only_uid, _ticks_since_boot(), newest_pid())
        try:
            return await self._gather(tree)
        except Exception:
            await in_thread(self._threads, self._take_back, tree)
            raise
        finally:
            for pidfd in tree.pins.values():
                os.close(pidfd)

    async def _gather(self, tree: _Tree) -> Moved:
        for _ in range(_ROUNDS):
            found = await in_thread(self._threads, self._survey, tree)
            if isinstance(found, Moved):
                return found
            await self._enter(tree.target, found)
        raise EnforceError(
            f"process {tree.root.pid} starts new processes faster than they can be moved; "
            "attach it when it is quieter, or start it by `gpusched run`"
        )

    def _survey(self, tree: _Tree) -> list[int] | Moved:
        """Find who is outside still and may be moved; hold each fast. Nobody is: all is done."""
        self._put_back_strangers(tree)
        if self._pin(tree, tree.root.pid) is None or tree.members[tree.root.pid] != tree.root:
            raise _ended(tree.root)
        family = descendants([tree.root.pid, *tree.members])
        places = {pid: self._pin(tree, pid) for pid in family}
        outside = [
            pid for pid, place in places.items() if place and not lies_in(place, tree.target)
        ]
        return outside or self._account(tree)

    def _pin(self, tree: _Tree, pid: int) -> str | None:
        """Hold a process fast and check it; give where it is, None where it has ended."""
        if pid in tree.pins and _has_ended(tree.pins[pid]):
            tree.forget(pid)
        if pid not in tree.pins:
            try:
                tree.pins[pid] = os.pidfd_open(pid)
            except ProcessLookupError:
                return None
            except OSError as error:
                raise EnforceError(
                    f"process {pid} cannot be held fast: {error.strerror}; the daemon needs "
                    "Linux 5.3 and a descriptor per process (LimitNOFILE)"
                ) from error
        member = member_of(pid)
        where = self._hierarchy.where(pid)
        # After the reading: what a later owner of the pid answered is thrown away.
        if member is None or where is None or _has_ended(tree.pins[pid]):
            return None
        if tree.only_uid is not None and set(member.uids) != {tree.only_uid}:
            raise somebody_elses(member, tree.only_uid)
        tree.members[pid] = member.process
        tree.origins.setdefault(pid, where)
        return where

    def _put_back_strangers(self, tree: _Tree) -> None:
        """Undo a move that hit the next owner of a pid: its first one ended in between."""
        ended = [pid for pid, pidfd in tree.pins.items() if _has_ended(pidfd)]
        inside = set(self._hierarchy.pids(tree.target)) if ended else set()
        for pid in ended:
            stat = read_stat(pid)
            # A child of somebody inside was born there.
            if pid in inside and stat is not None and stat.parent not in inside:
                self._hierarchy.enter(tree.origins[pid], [pid])
            tree.forget(pid)

    def _account(self, tree: _Tree) -> Moved:
        """Say who is inside, and who looks as if it had fled."""
        inside = self._hierarchy.pids(tree.target)
        there = {pid: stat for pid in inside if pid and (stat := read_stat(pid)) is not None}
        if tree.root.pid not in there:
            raise _ended(tree.root)
        others = (stat.identity for pid, stat in there.items() if pid != tree.root.pid)
        left = [
            one
            for pid, one in tree.members.items()
            if pid not in there and (stat := read_stat(pid)) is not None and stat.identity == one
        ]
        fled = self._fled(tree, there)
        return Moved((tree.root, *others), tuple(dict.fromkeys((*left, *fled))))

    def _fled(self, tree: _Tree, there: dict[int, Stat]) -> Iterator[ProcessId]:
        """Find who was born while all were moved, outside, of a parent that has ended since."""
        sessions = {stat.session for stat in there.values()}
        above = ancestors(tree.root.pid)
        foster = above - {there[tree.root.pid].parent} | {_INIT}
        for stat in born_between(tree.newest - _PIDS_OF_GRACE, newest_pid()):
            pid, young = (
                stat.identity.pid,
                stat.identity.start_ticks >= tree.began - _TICKS_OF_GRACE,
            )
            adopted = stat.parent in foster and stat.session in {*sessions, pid}
            if young and adopted and pid not in there and pid not in above:
                yield stat.identity

    def _take_back(self, tree: _Tree) -> None:
        """Let all be where they were; who was born meanwhile goes where the first one was."""
        home = tree.origins.get(tree.root.pid)
        with contextlib.suppress(EnforceError):
            born = set(descendants(tree.members)) - tree.members.keys()
            for pid in (*tree.members, *born):
                origin = tree.origins.get(pid, home)
                if origin and pid in self._hierarchy.pids(tree.target):
                    # A scope goes with its last process: who was in it alone stays here.
                    with contextlib.suppress(EnforceError):
                        self._hierarchy.enter(origin, [pid])


def _has_ended(pidfd: int) -> bool:
    """A pidfd is readable once the whole process has ended; a zombie would take a signal still."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))


def somebody_elses(member: Member, uid: int) -> EnforceError:
    """Say that a process is not *uid*'s in every respect."""
    return EnforceError(
        f"process {member.process.pid} is not uid {uid}'s alone (real, effective and saved uid "
        f"{', '.join(map(str, member.uids))}); end it, or let root attach it",
        refused=True,
    )


def _ended(process: ProcessId) -> EnforceError:
    return EnforceError(f"process {process.pid} has ended; nothing was moved", refused=True)


def _ticks_since_boot() -> int:
    """Give the present instant as `/proc/<pid>/stat` gives the start of a process."""
    seconds = float(Path("/proc/uptime").read_text().split()[0])
    return int(seconds * os.sysconf("SC_CLK_TCK"))
