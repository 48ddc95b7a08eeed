"""A kernel over fakes, for its tests: what it did, and what the engine heard of it."""

from collections.abc import Collection, Iterable

from gpusched.core.actions import Join, Prepare
from gpusched.core.device import DeviceNode
from gpusched.core.enforcement import LeaseCgroup, Level, Mode
from gpusched.core.events import Event, LeasePrepared
from gpusched.core.ids import Instant, LeaseId, ProcessId
from gpusched.core.mask import Governed, Mask, NodeRange, Rule
from gpusched.core.observation import Observation
from gpusched.core.sample import OpenNode
from gpusched.daemon.kernel import Asked, Kernel
from tests.fakes.clock import FakeClock
from tests.fakes.enforcer import FakeEnforcer
from tests.fakes.engine_bench import EngineBench
from tests.fakes.guard import FakeGuard
from tests.fakes.processes import FakeProcessTable
from tests.fakes.signaller import FakeSignaller
from tests.fakes.waiting import until

LEASE = LeaseId("lease-a")
PATH = "/gpusched/lease-a"
GPUS = NodeRange(195, 0, 253)
MASK = Mask((Rule(allow=True, nodes=NodeRange(195, 1, 1)), Rule(allow=False, nodes=GPUS)))
NOTHING = Mask((Rule(allow=False, nodes=GPUS),))
GOVERNED = Governed((GPUS,))
OWN, FOREIGN = DeviceNode("/dev/nvidia1", 195, 1), DeviceNode("/dev/nvidia2", 195, 2)


class CountingEnforcer(FakeEnforcer):
    """Counts looks."""

    looks = 0

    async def observe(self, known: Collection[LeaseCgroup]) -> Observation:
        self.looks += 1
        return await super().observe(known)


class BrokenTable(FakeProcessTable):
    """Cannot say what is open while `failure` is set."""

    failure: OSError | None = None

    def open_nodes(self, processes: Iterable[ProcessId]) -> tuple[OpenNode, ...]:
        if self.failure is not None:
            raise self.failure
        return super().open_nodes(processes)


class KernelBench(EngineBench):
    """A kernel whose engine asks for nothing by itself; there is one process."""

    def __init__(self) -> None:
        super().__init__()
        self.table = BrokenTable()
        self.enforcer = CountingEnforcer(self.table, self.clock)
        self.guard = FakeGuard()
        self.looked_at = Instant(77)
        self.signaller = FakeSignaller(self.table)
        clock = FakeClock(self.looked_at)
        self.kernel = Kernel(self.enforcer, self.guard, self.signaller, self.table, clock)
        self.kernel.serve(self.engine)
        self.process = self.table.start()

    async def told(self, action: Asked) -> Event:
        """Have *action* carried out; give the one event that comes of it."""
        known = len(self.events)
        self.kernel.perform(action)
        await until(lambda: len(self.events) > known)
        assert len(self.events) == known + 1
        return self.events[-1]

    async def prepared(self, mask: Mask | None = MASK) -> LeaseCgroup:
        """The process in a cgroup of its own."""
        event = await self.told(self.preparing(mask))
        assert isinstance(event, LeasePrepared)
        assert event.level is (Level.ADVISORY if mask is None else Level.DEVICE_PROGRAM)
        self.events.clear()
        return event.cgroup

    def preparing(self, mask: Mask | None = MASK) -> Prepare:
        """The order to move the process into a cgroup of its own."""
        return Prepare(LEASE, 1000, Mode.MOVE, self.process, "/", mask, True, 1000)  # noqa: FBT003 - the order of its fields

    def joining(self, cgroup: LeaseCgroup, process: ProcessId) -> Join:
        """The order to let *process* in, too."""
        return Join(LEASE, cgroup, process, MASK, 1000)

    async def ended(self, *actions: Asked) -> list[Event]:
        """Have *actions* carried out to their end, then let go; give what came of them."""
        for action in actions:
            self.kernel.perform(action)
        await self.kernel.close()
        return self.events
