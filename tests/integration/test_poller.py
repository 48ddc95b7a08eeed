"""What a look sees: devices once, each pid resolved, and doubt that ends no lease."""

import errno
import os
from collections.abc import Iterable, Mapping

import pytest
from structlog.testing import capture_logs

from gpusched.core.ids import LeaseId, ProcessId
from gpusched.core.lease import LeaseState
from gpusched.core.ledger import Ledger
from gpusched.core.policy import Policy
from gpusched.core.sample import DeviceReading, ProcessFacts, Unavailable
from gpusched.daemon.poller import Poller, watched_leases
from gpusched.ports import Watched
from tests.fakes.builders import ADA, UNREADABLE, context, device, lease, reading, sample
from tests.fakes.clock import FakeClock
from tests.fakes.processes import FakeProcessTable
from tests.fakes.sampler import FakeSampler

LEASE = LeaseId("lease-1")
TOO_MANY = OSError(errno.EMFILE, os.strerror(errno.EMFILE))


class Table(FakeProcessTable):
    """Remembers what it was asked; `failure` is raised while it is set."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.failure: OSError | None = None

    def facts(self, pids: Iterable[int]) -> Mapping[int, ProcessFacts]:
        self.asked.append("facts")
        return super().facts(pids)

    def members(self, watched: Iterable[Watched]) -> Mapping[LeaseId, frozenset[ProcessId]]:
        self.asked.append("members")
        if self.failure is not None:
            raise self.failure
        return super().members(watched)


class Bench:
    """A poller over devices and processes in memory."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.table = Table()
        self.sampler = FakeSampler(sample(reading(device())).reading)
        self.poller = Poller(self.sampler, self.table, self.clock)

    def use(self, *readings: DeviceReading) -> None:
        self.sampler.reading = sample(*readings).reading

    def watched(self, *roots: ProcessId) -> tuple[Watched, ...]:
        return (Watched(LEASE, ADA.uid, roots),)


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_pids_are_resolved(bench: Bench) -> None:
    """The devices are read once per look, and each pid on them is resolved to its process."""
    one, two = bench.table.start(uid=7), bench.table.start(parent=ProcessId(1, 0))
    bench.use(reading(device(0), context(one.pid)), reading(device(1), context(two.pid)))
    begun = bench.clock.now().instant
    seen = await bench.poller.look(())
    assert bench.sampler.calls == 1
    assert seen.begun_at == begun
    assert seen.reading is bench.sampler.reading
    assert {pid: facts.identity for pid, facts in seen.processes.items()} == {
        one.pid: one,
        two.pid: two,
    }
    assert seen.processes[one.pid].uid == 7


async def test_look_begins_before_the_devices_are_read(bench: Bench) -> None:
    """A slow driver does not make a sample look younger than it is."""
    begun = bench.clock.now().instant

    class Slow(FakeSampler):
        async def sample(self) -> Unavailable:
            bench.clock.advance(100)
            return UNREADABLE

    poller = Poller(Slow(), bench.table, bench.clock)
    assert (await poller.look(())).begun_at == begun


async def test_unknown_pid_stays(bench: Bench) -> None:
    """A pid that the process table does not know any more stays in the reading, without facts."""
    bench.use(reading(device(), context(4242)))
    seen = await bench.poller.look(())
    assert not isinstance(seen.reading, Unavailable)
    rows = seen.reading.devices[0].contexts
    assert not isinstance(rows, Unavailable)
    assert [row.pid for row in rows] == [4242]
    assert seen.processes == {}


async def test_members_of_leases_are_found(bench: Bench) -> None:
    """Of each lease that was entered the living processes are found, also off the devices."""
    root = bench.table.start()
    child = bench.table.start(parent=root)
    seen = await bench.poller.look(bench.watched(root))
    assert seen.members == {LEASE: {root, child}}
    bench.table.end(root)
    bench.table.end(child)
    seen = await bench.poller.look(bench.watched(root))
    assert seen.members == {LEASE: frozenset()}


async def test_members_come_before_facts(bench: Bench) -> None:
    """Members are looked for first: who starts in between is not lost to its lease."""
    await bench.poller.look(bench.watched(bench.table.start()))
    assert bench.table.asked == ["members", "facts"]


@pytest.mark.parametrize("how", ["no device is read", "no process list is read"])
async def test_devices_that_are_not_read(bench: Bench, how: str) -> None:
    """Where devices or process lists cannot be read, the processes of leases still are."""
    unlisted = DeviceReading(device(), UNREADABLE, UNREADABLE)
    if how == "no device is read":
        bench.sampler.reading = UNREADABLE
    else:
        bench.use(unlisted)
    root = bench.table.start()
    seen = await bench.poller.look(bench.watched(root))
    assert seen.reading is bench.sampler.reading
    assert seen.processes == {}
    assert seen.members == {LEASE: {root}}


async def test_unreadable_processes_end_nothing(bench: Bench) -> None:
    """When processes cannot be read nobody is known, and no lease is held to be empty."""
    root = bench.table.start()
    bench.use(reading(device(), context(root.pid)))
    bench.table.failure = TOO_MANY
    with capture_logs() as logs:
        seen = await bench.poller.look(bench.watched(root))
    assert seen.reading is bench.sampler.reading
    assert seen.processes == {}
    assert LEASE not in seen.members
    assert [(one["event"], one["reason"]) for one in logs] == [
        ("processes are not read", "Too many open files")
    ]


async def test_idle_host_is_not_searched(bench: Bench) -> None:
    """Without leases and without processes on devices, the process table is not asked."""
    for _ in range(3):
        await bench.poller.look(())
    # Once: what it remembers of an earlier lease has to go.
    assert bench.table.asked == ["members", "facts"]


async def test_table_hears_once_that_nothing_is_watched(bench: Bench) -> None:
    """When the last lease has ended the table is told once, and then left alone."""
    root = bench.table.start()
    child = bench.table.start(parent=root)
    await bench.poller.look(bench.watched(root))
    bench.table.end(root)
    for _ in range(3):
        await bench.poller.look(())
    assert bench.table.asked.count("members") == 2
    seen = await bench.poller.look(bench.watched(root))
    assert child not in seen.members[LEASE]


async def test_table_that_failed_is_told_again(bench: Bench) -> None:
    """A table that could not be told that nothing is watched is told at the next look."""
    bench.table.failure = TOO_MANY
    with capture_logs():
        await bench.poller.look(())
    bench.table.failure = None
    for _ in range(2):
        await bench.poller.look(())
    assert bench.table.asked == ["members", "members", "facts"]


async def test_pids_without_leases_are_looked_up(bench: Bench) -> None:
    """Processes on devices are looked up at every look, whether or not there is a lease."""
    stranger = bench.table.start()
    bench.use(reading(device(), context(stranger.pid)))
    for _ in range(2):
        assert set((await bench.poller.look(())).processes) == {stranger.pid}


def test_entered_leases_are_watched() -> None:
    """A lease is watched from its first process on, until it has ended."""
    ledger = Ledger(Policy())
    states = (LeaseState.RESERVED, LeaseState.ACTIVE, LeaseState.RELEASING, LeaseState.ENDED)
    leases = [lease(state, name=state.value) for state in states]
    ledger.restore(leases, (), 0)
    assert watched_leases(ledger) == tuple(
        Watched(one.id, ADA.uid, one.processes) for one in leases[1:3]
    )


async def test_close(bench: Bench) -> None:
    """Closing lets go of the devices."""
    await bench.poller.close()
    assert bench.sampler.closed
