"""Where leases are enforced: in memory, or by this host's kernel."""

import contextlib
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from gpusched.adapters.cgroup.enforcer import CgroupEnforcer
from gpusched.adapters.cgroup.hierarchy import Hierarchy, lies_in
from gpusched.adapters.cgroup.home import FolderHome
from gpusched.adapters.cgroup.programs import Programs
from gpusched.adapters.clock import SystemClock
from gpusched.core.actions import Prepare
from gpusched.core.device import DeviceNode
from gpusched.core.enforcement import LeaseCgroup, Mode
from gpusched.core.ids import LeaseId, ProcessId
from gpusched.core.mask import Mask
from gpusched.core.observation import SeenCgroup
from gpusched.ports import EnforceError, Enforcer, Entered
from tests.fakes.clock import FakeClock
from tests.fakes.device_world import MAJOR, make_nodes, mask_allowing
from tests.fakes.enforcer import FakeEnforcer
from tests.ports.cgroup_worlds import Cgroups, FakeCgroups, RealCgroups
from tests.ports.real_processes import RealProcesses
from tests.ports.worlds import UID, FakeWorld, RealWorld, World

LEASE = LeaseId("lease-0123456789")
MASK = mask_allowing(2)
REASON = "bpf(2): no space left; raise the limit"
GONE = LeaseCgroup("/no-such-cgroup", 1, made=True)


class Place(Protocol):
    """An enforcer, processes for it, and somebody who breaks what it stands on."""

    @property
    def enforcer(self) -> Enforcer: ...

    @property
    def world(self) -> World: ...

    @property
    def cgroups(self) -> Cgroups: ...

    def refuse_programs(self, sentence: str) -> None:
        """From now on the kernel takes no program."""
        ...

    def concerns(self, path: str) -> bool:
        """Say whether a cgroup is of this place: another daemon of the host has some too."""
        ...


class FakePlace:
    """In memory."""

    def __init__(self) -> None:
        self.world = FakeWorld()
        self.fake = FakeEnforcer(self.world.table, FakeClock())
        self.enforcer: Enforcer = self.fake
        self.cgroups = FakeCgroups(self.world.table)

    def refuse_programs(self, sentence: str) -> None:
        self.fake.no_program = sentence

    def concerns(self, path: str) -> bool:
        return bool(path)


class FaultyPrograms(Programs):
    """The kernel's programs, which can be told to fail, or to lie that they are there."""

    def __init__(self) -> None:
        super().__init__()
        self.refusal: str | None = None
        self.lies = False

    def apply(self, folder: Path, mask: Mask) -> None:
        if self.refusal is not None:
            raise EnforceError(self.refusal)
        if not self.lies:
            super().apply(folder, mask)


class RealPlace:
    """This host's kernel; a home of its own, and device nodes that nobody serves."""

    def __init__(self, processes: RealProcesses, cgroups: RealCgroups, folder: Path) -> None:
        self.world = RealWorld(processes)
        self.cgroups = cgroups
        self.programs = FaultyPrograms()
        self.hierarchy = Hierarchy(cgroups.mount)
        self.nodes = make_nodes(folder, 4)
        self.home = f"gpusched-test-{secrets.token_hex(6)}"
        self.enforcer: Enforcer = self._enforcer(self.programs)

    def another(self) -> Enforcer:
        """An enforcer as a daemon has it that starts later."""
        return self._enforcer(Programs())

    def _enforcer(self, programs: Programs) -> Enforcer:
        threads = ThreadPoolExecutor(4)
        return CgroupEnforcer(
            FolderHome(self.hierarchy, threads, self.home),
            programs,
            self.hierarchy,
            threads,
            SystemClock(),
            lambda: [DeviceNode(str(one), MAJOR, n) for n, one in enumerate(self.nodes)],
        )

    def refuse_programs(self, sentence: str) -> None:
        self.programs.refusal = sentence

    def concerns(self, path: str) -> bool:
        return lies_in(path, f"/{self.home}") or path in self.cgroups._made


@contextlib.contextmanager
def real_place(folder: Path) -> Iterator[RealPlace]:
    """A place in this host's kernel; nothing of it is left, its processes included."""
    with RealCgroups() as cgroups:
        with RealProcesses() as processes:
            place = RealPlace(processes, cgroups, folder)
            yield place
        for one in reversed(tuple(place.hierarchy.below(f"/{place.home}"))):
            cgroups.remove(one)
        with contextlib.suppress(FileNotFoundError):
            cgroups.remove(f"/{place.home}")


def order(place: Place, process: ProcessId | None) -> Prepare:
    """The order to move *process* into the cgroup of `LEASE`, with a mask that must hold."""
    cgroup = where(place, process) if process else "/"
    return Prepare(LEASE, UID, Mode.MOVE, process, cgroup, MASK, required=True, only_uid=UID)


def where(place: Place, process: ProcessId) -> str:
    """The cgroup in which *process* is."""
    standing = place.world.table.standing(process)
    assert standing is not None
    return standing.cgroup


async def seen(place: Place, *known: LeaseCgroup) -> dict[str, SeenCgroup]:
    """What the enforcer sees of its own and of *known*, by path."""
    found = (await place.enforcer.observe(known)).seen
    return {one.cgroup.path: one for one in found if place.concerns(one.cgroup.path)}


async def moved(place: Place) -> tuple[ProcessId, Entered]:
    """A process that was moved into the cgroup of `LEASE`."""
    process = place.world.start()
    return process, await place.enforcer.prepare(order(place, process))


async def in_place(place: Place) -> tuple[ProcessId, Entered]:
    """A process whose cgroup was taken as it is."""
    process = place.world.start()
    place.cgroups.enter(process, place.cgroups.make())
    asked = replace(order(place, process), mode=Mode.IN_PLACE)
    return process, await place.enforcer.prepare(asked)
