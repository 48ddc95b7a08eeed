"""How a process comes into the cgroup of a lease: moved there, or found in it.

Exists so that the order is written once: the cgroup, its mask, then the process; and back on
failure. Nothing about the end of a lease may enter this file.
"""

import contextlib
from collections.abc import Iterable
from concurrent.futures import Executor

from gpusched.adapters.cgroup.blocking import Turns, in_thread
from gpusched.adapters.cgroup.hierarchy import Hierarchy, lies_in
from gpusched.adapters.cgroup.home import Home
from gpusched.adapters.cgroup.in_place import check_place, current_place, place_of
from gpusched.adapters.cgroup.masks import Masks
from gpusched.adapters.cgroup.moving import Mover
from gpusched.core.actions import Join, Prepare
from gpusched.core.enforcement import LeaseCgroup, Level, Mode
from gpusched.core.ids import ProcessId
from gpusched.ports import EnforceError, Entered


class Entrance:
    """Lets processes in."""

    def __init__(
        self, home: Home, hierarchy: Hierarchy, masks: Masks, threads: Executor, turns: Turns
    ) -> None:
        """Let nobody in yet; of each cgroup, work is done in its *turns*."""
        self._home = home
        self._hierarchy = hierarchy
        self._masks = masks
        self._threads = threads
        self._turns = turns
        self._mover = Mover(hierarchy, home.enter, threads)

    async def prepare(self, order: Prepare) -> Entered:
        """Carry out *order*.

        Raises:
            EnforceError: Nothing is left of it, and no process was moved.
        """
        if order.mode is Mode.MOVE:
            return await self._prepare_moved(order)
        return await self._prepare_in_place(order)

    async def join(self, order: Join) -> Entered:
        """Carry out *order*.

        Raises:
            EnforceError: The process was not moved.
        """
        path = order.cgroup.path
        async with self._turns.of(path):
            where = await in_thread(self._threads, self._check_join, order)
            if not order.cgroup.made:
                if not lies_in(where, path):
                    raise EnforceError(
                        f"process {order.process.pid} is in cgroup {where}; the lease is attached "
                        f"to {path} in place, where nobody is moved to: start it there",
                        refused=True,
                    )
                level, sentence = await in_thread(self._threads, self._level, order)
                return Entered(order.cgroup, level, sentence, (order.process,))
            # Before the move: nobody is in a cgroup of ours without the program.
            level, sentence = await in_thread(self._threads, self._level, order)
            moved = await self._mover.move(order.process, path, order.only_uid)
            return Entered(order.cgroup, level, sentence, moved.processes, moved.escaped)

    def _check_join(self, order: Join) -> str:
        where = current_place(self._hierarchy, order.process)
        if self._hierarchy.identity(order.cgroup.path) != order.cgroup.inode:
            raise gone(order.cgroup)
        reason = self._hierarchy.frozen(where) or self._hierarchy.obstacle(order.cgroup.path)
        if reason is not None:
            raise EnforceError(reason, refused=True)
        return where

    def _level(self, order: Join) -> tuple[Level, str]:
        """Say which level a cgroup has; one that has lost its program gets it again."""
        path = order.cgroup.path
        if order.mask is None or self._masks.digest(path) == order.mask.digest:
            level = Level.ADVISORY if order.mask is None else Level.DEVICE_PROGRAM
            return level, ""
        return self._masks.attempt(path, order.mask, required=False)

    async def _prepare_moved(self, order: Prepare) -> Entered:
        if order.process is None:
            raise EnforceError(
                f"cgroup {order.cgroup} cannot be moved into a lease; attach it in place",
                refused=True,
            )
        async with self._turns.of(order.lease):
            path = await self._home.make(order.lease, order.uid)
            async with self._turns.of(path):
                try:
                    return await self._fill(order, order.process, path)
                except Exception:
                    with contextlib.suppress(EnforceError):
                        await self._home.remove(path)
                    raise

    async def _fill(self, order: Prepare, process: ProcessId, path: str) -> Entered:
        """Put the mask on a new cgroup, then *process* into it."""
        level, sentence = await in_thread(self._threads, self._make_ready, order, process, path)
        moved = await self._mover.move(process, path, order.only_uid)
        cgroup = self._lease_cgroup(path)
        return Entered(cgroup, level, sentence, moved.processes, moved.escaped)

    def _make_ready(self, order: Prepare, process: ProcessId, path: str) -> tuple[Level, str]:
        # Out of a frozen one it would run again, out of a threaded one it goes as a whole.
        reason = self._hierarchy.frozen(current_place(self._hierarchy, process))
        if reason is not None:
            raise EnforceError(reason, refused=True)
        return self._masks.attempt(path, order.mask, required=order.required)

    async def _prepare_in_place(self, order: Prepare) -> Entered:
        path = await in_thread(self._threads, place_of, self._hierarchy, order)
        ours = await self._home.all()
        async with self._turns.of(path):
            return await in_thread(self._threads, self._mask_in_place, order, path, ours)

    def _mask_in_place(self, order: Prepare, path: str, ours: Iterable[str]) -> Entered:
        processes = check_place(self._hierarchy, path, ours, order.only_uid)
        cgroup = self._lease_cgroup(path)
        before = self._masks.before(path)
        level, sentence = self._masks.attempt(path, order.mask, required=order.required)
        try:
            # It may have gone elsewhere while its cgroup got the mask.
            place_of(self._hierarchy, order)
            if self._hierarchy.identity(path) != cgroup.inode:
                raise gone(cgroup)
        except EnforceError:
            self._masks.restore(path, before)
            raise
        first = (order.process,) if order.process else ()
        return Entered(cgroup, level, sentence, tuple(dict.fromkeys((*first, *processes))))

    def _lease_cgroup(self, path: str) -> LeaseCgroup:
        inode = self._hierarchy.identity(path)
        if inode is None:
            raise EnforceError(f"cgroup {path} is gone; attach again", refused=True)
        return LeaseCgroup(path, inode, self._home.made(path))


def gone(cgroup: LeaseCgroup) -> EnforceError:
    """Say that a lease's cgroup has been removed, or has become another."""
    return EnforceError(f"cgroup {cgroup.path} of the lease is gone; attach again")
