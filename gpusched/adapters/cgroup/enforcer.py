"""Leases made true in the kernel: the port `Enforcer` over cgroups and device programs.

Exists to put in order what its neighbours can do: first the cgroup, then its mask, then the
processes, and back on failure. Blocking work is done in threads, never in the event loop; what
was begun is finished even when whoever asked is cancelled.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Collection, Coroutine, Iterable
from concurrent.futures import Executor
from pathlib import PurePosixPath
from typing import TypeVar

from gpusched.adapters.cgroup.blocking import Turns, in_thread
from gpusched.adapters.cgroup.emptiness import Emptiness
from gpusched.adapters.cgroup.entering import Entrance, gone
from gpusched.adapters.cgroup.hierarchy import Hierarchy
from gpusched.adapters.cgroup.home import Home
from gpusched.adapters.cgroup.lookout import Lookout
from gpusched.adapters.cgroup.masks import DevicePrograms, Masks
from gpusched.adapters.cgroup.probing import Prober
from gpusched.core.actions import Join, Prepare
from gpusched.core.device import DeviceNode
from gpusched.core.enforcement import Ability, LeaseCgroup, Level
from gpusched.core.ids import LeaseId
from gpusched.core.mask import Mask
from gpusched.core.observation import Observation
from gpusched.ports import Clock, DeniedOpen, EnforceError, Entered

_T = TypeVar("_T")
# Is made and removed when the host is tried; after a crash in between it shows as an orphan.
_TRIAL = LeaseId("lease-trial")


class CgroupEnforcer:
    """Makes leases true by a cgroup each and a program on it."""

    def __init__(
        self,
        home: Home,
        programs: DevicePrograms,
        hierarchy: Hierarchy,
        threads: Executor,
        clock: Clock,
        nodes: Callable[[], Iterable[DeviceNode]] | None,
    ) -> None:
        """Touch nothing yet.

        Args:
            home: Where cgroups are made.
            programs: Puts masks on them.
            hierarchy: Where they are.
            threads: For what blocks; four are enough. `close` ends them.
            clock: Says when a look began.
            nodes: Gives all device nodes of the inventory, so that each new mask is tried from
                inside; None: the kernel's answer that it is attached is enough.
        """
        self._home = home
        self._hierarchy = hierarchy
        self._threads = threads
        self._clock = clock
        self._masks = Masks(hierarchy, programs, nodes and Prober(hierarchy, nodes))
        self._emptiness = Emptiness(hierarchy)
        self._turns = Turns()
        self._running: set[asyncio.Task[object]] = set()
        self._lookout = Lookout(hierarchy, home, self._masks)
        self._entrance = Entrance(home, hierarchy, self._masks, threads, self._turns)

    async def ability(self) -> Ability:
        """Find out, by trying, what can be enforced here."""
        return await self._finished(self._ability())

    async def prepare(self, order: Prepare) -> Entered:
        """Carry out *order*.

        Raises:
            EnforceError: Nothing is left of it, and no process was moved.
        """
        return await self._finished(self._entrance.prepare(order))

    async def join(self, order: Join) -> Entered:
        """Carry out *order*.

        Raises:
            EnforceError: The process was not moved.
        """
        return await self._finished(self._entrance.join(order))

    async def mask(self, cgroup: LeaseCgroup, mask: Mask) -> None:
        """Let *mask* be the one of *cgroup*, whatever was there of ours before.

        Raises:
            EnforceError: What was there before is there still.
        """
        await self._finished(self._mask(cgroup, mask))

    async def signal(self, cgroup: LeaseCgroup, number: int) -> None:
        """Send a signal to every process of a cgroup; SIGKILL, for made ones only, leaves none.

        Raises:
            EnforceError: It is not one that gpusched made, or cannot be reached.
        """
        await self._finished(self._signal(cgroup, number))

    async def unprepare(self, cgroup: LeaseCgroup, back_to: str | None) -> bool:
        """Remove a made cgroup, or take the program off one in place.

        Processes go *back_to* where it still exists, else beside the home of the cgroups.

        Raises:
            EnforceError: It cannot be removed.
        """
        return await self._finished(self._unprepare(cgroup, back_to))

    async def observe(self, known: Collection[LeaseCgroup]) -> Observation:
        """Look at *known* cgroups, and at every one that gpusched made."""
        begun_at = self._clock.now().instant
        ours = await self._home.all()
        return await in_thread(self._threads, self._lookout.observe, ours, known, begun_at)

    def follow(self, cgroup: LeaseCgroup, emptied: Callable[[], None]) -> None:
        """Call *emptied* in the event loop whenever *cgroup* has become empty, or is gone.

        Raises:
            OSError: It cannot be watched.
        """
        self._emptiness.follow(cgroup, emptied)

    def denied(self) -> tuple[DeniedOpen, ...]:
        """Give the denials since the last call, equal ones added up."""
        return self._masks.denied()

    async def close(self) -> None:
        """Let go of what is open; what was attached stays attached. Idempotent."""
        while self._running:
            await asyncio.wait(self._running)
        self._emptiness.close()
        self._masks.close()
        await self._home.close()
        self._threads.shutdown()

    async def _ability(self) -> Ability:
        try:
            path = await self._home.make(_TRIAL, os.getuid())
        except EnforceError as error:
            return Ability(Level.ADVISORY, str(error))
        try:
            reason = await in_thread(self._threads, self._masks.obstacle, path)
        finally:
            with contextlib.suppress(EnforceError):
                await self._home.remove(path)
        if reason is not None:
            return Ability(Level.ADVISORY, reason, cgroups=True)
        sentence = "the kernel denies the processes of a lease every device that it does not have"
        return Ability(Level.DEVICE_PROGRAM, sentence, cgroups=True)

    async def _mask(self, cgroup: LeaseCgroup, mask: Mask) -> None:
        async with self._turns.of(cgroup.path):
            await in_thread(self._threads, self._put, cgroup, mask)

    def _put(self, cgroup: LeaseCgroup, mask: Mask) -> None:
        if self._hierarchy.identity(cgroup.path) != cgroup.inode:
            raise gone(cgroup)
        self._masks.put(cgroup.path, mask)

    async def _signal(self, cgroup: LeaseCgroup, number: int) -> None:
        ours = cgroup.made and self._home.made(cgroup.path)
        if number == signal.SIGKILL and not ours:
            raise EnforceError(
                f"cgroup {cgroup.path} was not made by gpusched, its processes are not killed; "
                "end them yourself"
            )
        async with self._turns.of(cgroup.path):
            await in_thread(self._threads, self._send, cgroup, number)

    def _send(self, cgroup: LeaseCgroup, number: int) -> None:
        if self._hierarchy.identity(cgroup.path) != cgroup.inode:
            return
        if number == signal.SIGKILL:
            self._hierarchy.kill(cgroup.path)
        else:
            self._hierarchy.send(cgroup.path, number)

    async def _unprepare(self, cgroup: LeaseCgroup, back_to: str | None) -> bool:
        async with self._turns.of(cgroup.path):
            clear = await in_thread(self._threads, self._clear, cgroup, back_to)
            if not clear:
                return False
            if cgroup.made:
                await self._home.remove(cgroup.path)
        self._masks.forget(cgroup.inode)
        self._emptiness.forget(cgroup.inode)
        return True

    def _clear(self, cgroup: LeaseCgroup, back_to: str | None) -> bool:
        """Take the mask off one in place, the processes out of a made one; say if that is all."""
        path = cgroup.path
        if self._hierarchy.identity(path) != cgroup.inode:
            return True
        if not cgroup.made:
            self._masks.remove(path)
            return True
        if back_to is not None:
            there = self._hierarchy.identity(back_to) is not None
            beside = str(PurePosixPath(path).parents[1])
            self._hierarchy.empty_into(path, back_to if there else beside)
        return not self._hierarchy.populated(path)

    async def _finished(self, work: Coroutine[None, None, _T]) -> _T:
        """Do *work* to its end, also when the caller is cancelled."""
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)
