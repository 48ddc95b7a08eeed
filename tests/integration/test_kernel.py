"""What is asked of the kernel is done, and what comes of it is told: one event for each."""

import errno
import os
from collections.abc import AsyncIterator
from signal import SIGKILL, SIGTERM

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from gpusched.core.actions import (
    Follow,
    Kill,
    Observe,
    Remask,
    SignalProcess,
    Terminate,
    Unprepare,
)
from gpusched.core.enforcement import LeaseCgroup, Level, Mode
from gpusched.core.events import (
    CgroupEmptied,
    JoinFailed,
    LeaseJoined,
    LeasePrepared,
    Masked,
    Observed,
    PrepareFailed,
    Unprepared,
)
from gpusched.core.observation import Observation, SeenCgroup
from gpusched.core.replies import Attachment
from gpusched.core.sample import OpenNode
from gpusched.core.stray_events import SignalFailed
from gpusched.ports import EnforceError
from tests.fakes.waiting import standstill, until
from tests.integration.kernel_bench import (
    FOREIGN,
    LEASE,
    MASK,
    NOTHING,
    OWN,
    PATH,
    KernelBench,
)

FULL = EnforceError("the kernel has no room; make some")
CGROUP = LeaseCgroup(PATH, 1, made=True)


@pytest_asyncio.fixture
async def bench() -> AsyncIterator[KernelBench]:
    made = KernelBench()
    yield made
    await made.kernel.close()
    await made.engine.close()


async def test_prepare(bench: KernelBench) -> None:
    """A lease is prepared: its process is in its cgroup, which the guard lets through."""
    event = await bench.told(bench.preparing())
    attachment = Attachment(Mode.MOVE, (bench.process,))
    assert event == LeasePrepared(LEASE, CGROUP, Level.DEVICE_PROGRAM, "", attachment)
    assert bench.enforcer.mask_of(PATH) == MASK
    assert bench.guard.admitted == {CGROUP.inode}


async def test_prepare_tells_what_is_open_outside(bench: KernelBench) -> None:
    """Who is left outside, and nodes that were open and the mask denies, are told."""
    child = bench.table.start(parent=bench.process)
    bench.enforcer.escape.add(child)
    bench.table.open(bench.process, OWN)
    bench.table.open(bench.process, FOREIGN)
    event = await bench.told(bench.preparing())
    assert isinstance(event, LeasePrepared)
    outside = OpenNode(bench.process, FOREIGN.path, FOREIGN.major, FOREIGN.minor)
    expected = Attachment(Mode.MOVE, (bench.process,), (child,), (outside,))
    assert event.attachment == expected


async def test_prepare_without_a_mask(bench: KernelBench) -> None:
    """Without a mask nothing is outside of it."""
    bench.table.open(bench.process, FOREIGN)
    event = await bench.told(bench.preparing(None))
    assert isinstance(event, LeasePrepared)
    assert event.attachment.open_outside == ()


@pytest.mark.parametrize("refused", [False, True])
async def test_prepare_that_fails(bench: KernelBench, *, refused: bool) -> None:
    """What cannot be prepared is told with the sentence, and with whose fault it is."""
    bench.enforcer.fail("prepare", EnforceError("it is gone", refused=refused))
    event = await bench.told(bench.preparing())
    assert event == PrepareFailed(LEASE, "it is gone", refused)
    assert bench.guard.admitted == set()


async def test_join(bench: KernelBench) -> None:
    """Another process that is let in is told, with what it has open outside the mask."""
    cgroup, another = await bench.prepared(), bench.table.start()
    bench.table.open(another, FOREIGN)
    event = await bench.told(bench.joining(cgroup, another))
    outside = OpenNode(another, FOREIGN.path, FOREIGN.major, FOREIGN.minor)
    attachment = Attachment(Mode.MOVE, (another,), (), (outside,))
    assert event == LeaseJoined(LEASE, another, attachment)


async def test_join_that_fails(bench: KernelBench) -> None:
    """A process that cannot be let in is told with the sentence."""
    cgroup, another = await bench.prepared(), bench.table.start()
    bench.enforcer.fail("join", FULL)
    assert await bench.told(bench.joining(cgroup, another)) == JoinFailed(LEASE, str(FULL))


async def test_what_is_open_cannot_be_found(bench: KernelBench) -> None:
    """A process is let in although nobody can say what it has open; that is logged."""
    bench.table.failure = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
    with capture_logs() as logs:
        event = await bench.told(bench.preparing())
    assert isinstance(event, LeasePrepared)
    assert event.attachment.open_outside == ()
    assert [one["reason"] for one in logs] == ["Too many open files"]


async def test_guard_that_does_not_answer_holds_no_lease_up(bench: KernelBench) -> None:
    """A lease is prepared although the guard cannot be told; that denies more, not less."""
    bench.guard.fail("admit", FULL)
    with capture_logs() as logs:
        event = await bench.told(bench.preparing())
    assert isinstance(event, LeasePrepared)
    assert [(one["event"], one["reason"]) for one in logs] == [
        ("the guard was not told", str(FULL))
    ]


async def test_remask(bench: KernelBench) -> None:
    """A mask that is changed is told, and one that is not, with the sentence."""
    cgroup = await bench.prepared()
    assert await bench.told(Remask(cgroup, NOTHING)) == Masked(cgroup)
    assert bench.enforcer.mask_of(PATH) == NOTHING
    bench.enforcer.fail("mask", FULL)
    assert await bench.told(Remask(cgroup, MASK)) == Masked(cgroup, str(FULL))
    assert bench.enforcer.mask_of(PATH) == NOTHING


async def test_terminate(bench: KernelBench) -> None:
    """All in a cgroup get SIGTERM; that they have ended is told by who follows it."""
    cgroup = await bench.prepared()
    assert await bench.ended(Terminate(cgroup)) == []
    assert bench.enforcer.signals == [(PATH, SIGTERM)]


async def test_kill(bench: KernelBench) -> None:
    """Nobody in a cgroup outlives that it is killed."""
    cgroup = await bench.prepared()
    assert await bench.ended(Kill(cgroup)) == []
    assert bench.table.identify(bench.process.pid) is None


@pytest.mark.parametrize("action", [Terminate(CGROUP), Kill(CGROUP)])
async def test_signal_that_fails(bench: KernelBench, action: Terminate | Kill) -> None:
    """A signal that cannot be sent is logged; the next tick sends another."""
    await bench.prepared()
    bench.enforcer.fail("signal", FULL)
    with capture_logs() as logs:
        assert await bench.ended(action) == []
    assert [(one["event"], one["reason"]) for one in logs] == [("not signalled", str(FULL))]


@pytest.mark.parametrize(("kill", "number"), [(False, SIGTERM), (True, SIGKILL)])
async def test_signal_to_one_process(bench: KernelBench, *, kill: bool, number: int) -> None:
    """One process is sent SIGTERM or SIGKILL; that it has ended since is no news."""
    assert await bench.ended(SignalProcess(bench.process, kill=kill)) == []
    assert bench.signaller.sent == [(bench.process, number)]


async def test_signal_to_one_process_that_fails(bench: KernelBench) -> None:
    """A process that may not be signalled is told, with the kernel's reason."""
    bench.signaller.failure = PermissionError(errno.EPERM, os.strerror(errno.EPERM))
    with capture_logs() as logs:
        event = await bench.told(SignalProcess(bench.process, kill=False))
    assert event == SignalFailed(bench.process, "Operation not permitted")
    assert [(one["event"], one["pid"]) for one in logs] == [("not signalled", bench.process.pid)]


async def test_unprepare(bench: KernelBench) -> None:
    """A cgroup is removed once it is empty; then it is told, and the guard knows it no more."""
    cgroup = await bench.prepared()
    bench.table.end(bench.process)
    assert await bench.told(Unprepare(cgroup)) == Unprepared(cgroup)
    assert bench.guard.admitted == set()
    with pytest.raises(FileNotFoundError):
        bench.table.population(PATH)


async def test_unprepare_moves_back(bench: KernelBench) -> None:
    """A preparation that is undone leaves its process where it came from."""
    cgroup = await bench.prepared()
    assert await bench.told(Unprepare(cgroup, "/")) == Unprepared(cgroup)
    standing = bench.table.standing(bench.process)
    assert standing is not None
    assert standing.cgroup == "/"


async def test_unprepare_of_what_is_in_use(bench: KernelBench) -> None:
    """Nothing is told of a cgroup that stays, and it keeps its mask and its place at the guard."""
    cgroup = await bench.prepared()
    assert await bench.ended(Unprepare(cgroup)) == []
    assert bench.enforcer.mask_of(PATH) == MASK
    assert bench.guard.admitted == {cgroup.inode}


async def test_unprepare_that_fails(bench: KernelBench) -> None:
    """A cgroup that cannot be removed is logged; the next look finds it again."""
    cgroup = await bench.prepared()
    bench.enforcer.fail("unprepare", FULL)
    with capture_logs() as logs:
        assert await bench.ended(Unprepare(cgroup, "/")) == []
    assert [(one["event"], one["reason"]) for one in logs] == [("not cleared away", str(FULL))]


async def test_follow(bench: KernelBench) -> None:
    """The end of the last process is told, and no end before it."""
    cgroup, child = await bench.prepared(), bench.table.start(parent=bench.process)
    bench.kernel.perform(Follow(cgroup))
    bench.table.end(bench.process)
    bench.table.end(child)
    await until(lambda: bench.events == [CgroupEmptied(cgroup)])


async def test_end_that_cannot_be_watched(bench: KernelBench) -> None:
    """An end that cannot be watched is logged; a tick finds it anyway."""
    cgroup = await bench.prepared()
    bench.enforcer.fail("follow", OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    with capture_logs() as logs:
        assert await bench.ended(Follow(cgroup)) == []
    assert [(one["event"], one["reason"]) for one in logs] == [
        ("end is not watched", "No space left on device")
    ]


async def test_observe(bench: KernelBench) -> None:
    """A look tells what there is of leases and of the guard, and when it began."""
    cgroup = await bench.prepared()
    bench.guard.denials = 5
    event = await bench.told(Observe())
    seen = SeenCgroup(cgroup, populated=True, digest=MASK.digest)
    assert event == Observed(Observation((seen,), bench.looked_at, False, 5))  # noqa: FBT003 - the order of its fields


async def test_looks_are_not_heaped_up(bench: KernelBench) -> None:
    """Who asks for a look while one is taken gets that one; who asks later, another."""
    for _ in range(3):
        bench.kernel.perform(Observe())
    await until(lambda: bool(bench.events))
    await bench.engine.durable()
    await standstill()
    assert bench.enforcer.looks == len(bench.events) == 1
    await bench.told(Observe())
    assert bench.enforcer.looks == 2


async def test_look_that_fails(bench: KernelBench) -> None:
    """A look that fails is logged, tells nothing, and does not stand in the way of the next."""
    bench.enforcer.fail("observe", FULL)
    with capture_logs() as logs:
        bench.kernel.perform(Observe())
        await standstill()
    assert [(one["event"], one["reason"]) for one in logs] == [
        ("cgroups are not looked at", str(FULL))
    ]
    assert isinstance(await bench.told(Observe()), Observed)
