"""Cgroups of leases as systemd has them: a transient slice apiece, and scopes in it.

Exists because on a host with systemd the cgroup tree is its. A scope cannot be started empty, a
slice can: the slice carries the device program before anybody is in it, and what enters by a
scope is in the slice from its first moment there. A slice is none of the daemon's children: it
outlives the service, `daemon-reload` and `daemon-reexec`. Nothing of programs and masks may enter.
Source: org.freedesktop.systemd1(5), systemd.slice(5), systemd.scope(5).
"""

import contextlib
import re
import secrets
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Final

from dbus_fast import Variant

from gpusched.adapters.procfs.reading import stat_of
from gpusched.adapters.systemd.bus import NoUnit, Refused, SystemdBus
from gpusched.core.ids import LeaseId
from gpusched.ports import EnforceError

_EXISTS: Final = "org.freedesktop.systemd1.UnitExists"
_LIVING: Final = ["active", "activating", "deactivating", "reloading"]


class SliceHome:
    """Makes and removes slices of leases. Paths are systemd's `ControlGroup`."""

    def __init__(self, bus: SystemdBus | None = None, name: str = "gpusched") -> None:
        """Make nothing yet.

        Args:
            bus: Of systemd; None: the system's own.
            name: With which slices begin, a word without a dash: two daemons on one host (one of
                them a simulator) must not take each other's leases for their own.
        """
        self._bus = bus or SystemdBus()
        self._name = name
        self._patterns = [f"{name}-lease_*.slice", f"user-*-{name}_lease_*.slice"]
        self._ours = re.compile(
            rf"(/{name}\.slice/{name}-lease_\w+\.slice"
            rf"|/user\.slice/(user-\d+)\.slice/\2-{name}_lease_\w+\.slice)(/.*)?"
        )

    async def make(self, lease: LeaseId, uid: int) -> str:
        """Start an empty slice: in `user-<uid>.slice` where the user has one, else in our own.

        An empty one that is there already is started anew: its cgroup may have been removed.

        Raises:
            EnforceError: systemd refuses, or processes are in it already.
        """
        word = lease.replace("-", "_")
        own, users = f"{self._name}-{word}.slice", f"user-{uid}-{self._name}_{word}.slice"
        user, keeper = f"user-{uid}.slice", self._keeper(users)
        active = await self._active(own, users, keeper, user)
        if own in active:
            await self._stop(own)
        if active & {users, keeper}:
            await self._stop(users)
        name = users if user in active else own
        description = ["Description", Variant("s", f"Processes of {lease}")]
        if name == users:
            them = Variant("as", [users])
            await self._start(keeper, [description, ["Wants", them], ["After", them]])
        else:
            await self._start(own, [description])
        path = await self._cgroup(name)
        if not path:
            raise EnforceError(f"systemd gave {name} no cgroup; see `systemctl status {name}`")
        return path

    async def enter(self, path: str, pids: Sequence[int]) -> None:
        """Start a scope in the slice with those of the processes that have not ended.

        Raises:
            EnforceError: The slice is gone, or systemd cannot move one of them.
        """
        name = self._slice(path)
        living = _living(pids)
        while living:
            try:
                await self._enter(name, living)
            except EnforceError:
                # One that has ended meanwhile makes systemd refuse them all.
                left = _living(living)
                if left == living:
                    raise
                living = left
            else:
                return

    async def remove(self, path: str) -> None:
        """Stop the slice.

        Raises:
            EnforceError: Processes are in it, or systemd refuses.
        """
        await self._stop(self._slice(path))

    def made(self, path: str) -> bool:
        """Say by its name whether a cgroup is a slice of ours or lies in one."""
        return self._ours.fullmatch(path) is not None

    async def all(self) -> tuple[str, ...]:
        """List the slices of ours that are not stopped.

        Raises:
            EnforceError: systemd does not answer.
        """
        (units,) = await self._bus.call("ListUnitsByPatterns", "asas", _LIVING, self._patterns)
        listed = units if isinstance(units, list) else []
        paths = [await self._cgroup(unit[0]) for unit in listed]
        return tuple(sorted(path for path in paths if self.made(path)))

    async def close(self) -> None:
        """Let go of the connection; slices stay. Idempotent."""
        await self._bus.close()

    async def _enter(self, name: str, pids: list[int]) -> None:
        # A scope would start its slice again, and that would carry no program.
        if not await self._active(name):
            raise EnforceError(f"{name} was stopped by somebody; nothing was moved into it")
        # Another scope each time: systemd lets nobody join one that is not delegated.
        wishes = [
            ["Description", Variant("s", f"Processes in {name}")],
            ["Slice", Variant("s", name)],
            ["PIDs", Variant("au", pids)],
            ["CollectMode", Variant("s", "inactive-or-failed")],
        ]
        scope = f"{name.removesuffix('.slice')}-{secrets.token_hex(4)}.scope"
        await self._start(scope, wishes)

    async def _start(self, name: str, wishes: Sequence[Sequence[object]]) -> None:
        """Start it; that it is there is no error: the answer to a first attempt was lost."""
        try:
            result = await self._bus.job(
                "StartTransientUnit", "ssa(sv)a(sa(sv))", name, "fail", wishes, []
            )
        except Refused as refusal:
            if refusal.name == _EXISTS:
                return
            raise
        if result != "done":
            raise EnforceError(f"systemd did not start {name} ({result}); see `journalctl -b`")

    async def _stop(self, name: str) -> None:
        """Stop a slice without processes, and its keeper.

        systemd ends every process in a slice that it stops, so look first.
        """
        found: object = None
        with contextlib.suppress(NoUnit):
            (found,) = await self._bus.call("GetUnitProcesses", "s", name)
        if isinstance(found, list) and found:
            raise EnforceError(
                f"{name} has {len(found)} processes; end them, or release its lease with --kill"
            )
        await self._stop_unit(name)
        if name.startswith("user-"):
            await self._stop_unit(self._keeper(name))

    async def _stop_unit(self, name: str) -> None:
        try:
            result = await self._bus.job("StopUnit", "ss", name, "replace")
        except NoUnit:
            return
        if result != "done":
            raise EnforceError(f"systemd did not stop {name} ({result}); see `systemctl status`")

    async def _active(self, *names: str) -> set[str]:
        """Give those of some units that have been started and not stopped."""
        (units,) = await self._bus.call("ListUnitsByNames", "as", list(names))
        listed = units if isinstance(units, list) else []
        return {name for name, _text, _load, state, *_ in listed if state in _LIVING}

    async def _cgroup(self, name: str) -> str:
        """Give a slice's cgroup; empty where there is none."""
        try:
            (unit,) = await self._bus.call("GetUnit", "s", name)
            return str(await self._bus.value(str(unit), "Slice", "ControlGroup"))
        except NoUnit:
            return ""

    def _keeper(self, name: str) -> str:
        """Name the unit that wants a slice in a user's: else systemd stops it while it is empty.

        It says StopWhenUnneeded for everything that begins with `user-` (user-.slice.d).
        """
        return f"{self._name}_users-{name.partition(f'-{self._name}_')[2]}"

    def _slice(self, path: str) -> str:
        """Give the unit of a cgroup of ours.

        Raises:
            EnforceError: It is none of ours, so it is not touched.
        """
        found = self._ours.fullmatch(path)
        if found is None:
            raise EnforceError(f"cgroup {path} was not made by gpusched and is left as it is")
        return PurePosixPath(found[1]).name


def _living(pids: Sequence[int]) -> list[int]:
    """Give those that have not ended; a zombie has."""
    stats = ((pid, stat_of(pid)) for pid in pids)
    return [pid for pid, stat in stats if stat is not None and not stat.ended]
