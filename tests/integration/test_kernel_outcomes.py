"""Who waits for what comes of an action hears it, and nobody waits for ever."""

from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from gpusched.core.actions import Follow, Observe, SetGuard
from gpusched.core.events import GuardSet, JoinFailed, LeasePrepared, PrepareFailed
from gpusched.core.replies import Done, Rejected
from gpusched.daemon.kernel import DEFECT
from gpusched.ports import EnforceError, Stopping, StoreError
from tests.fakes.waiting import standstill, until
from tests.integration.kernel_bench import GOVERNED, LEASE, KernelBench

FULL = EnforceError("the kernel has no room; make some")
ON, OFF = SetGuard(on=True, governed=GOVERNED), SetGuard(on=False, governed=GOVERNED)


@pytest_asyncio.fixture
async def bench() -> AsyncIterator[KernelBench]:
    made = KernelBench()
    yield made
    made.guard.answering.set()
    made.store.gate.set()
    await made.kernel.close()
    with suppress(Stopping):
        await made.engine.close()


async def test_guard_on_and_off(bench: KernelBench) -> None:
    """What becomes of the guard is told to who asked and to the ledger, with its cgroups."""
    cgroup = await bench.prepared()
    waiting = bench.task(bench.kernel.guarded())
    order = SetGuard(on=True, governed=GOVERNED, admitted=(cgroup,))
    assert await bench.told(order) == GuardSet(on=True)
    assert await waiting == Done(())
    assert bench.guard.governed == GOVERNED
    assert bench.guard.admitted == {cgroup.inode}
    assert await bench.told(OFF) == GuardSet(on=False)


@pytest.mark.parametrize("order", [ON, OFF])
async def test_guard_that_fails(bench: KernelBench, order: SetGuard) -> None:
    """A guard that cannot be set is a refusal with the sentence, and what it is is told."""
    bench.guard.governed = None if order.on else GOVERNED
    bench.guard.fail("on" if order.on else "off", FULL)
    waiting = bench.task(bench.kernel.guarded())
    assert await bench.told(order) == GuardSet(not order.on, str(FULL))
    reply = await waiting
    assert isinstance(reply, Rejected)
    assert reply.sentence == str(FULL)


async def test_guard_that_is_not_known(bench: KernelBench) -> None:
    """A guard that cannot be asked counts as off, and that is logged."""
    bench.guard.fail("status", FULL)
    with capture_logs() as logs:
        assert await bench.told(ON) == GuardSet(on=False)
    assert [one["event"] for one in logs] == ["the guard is not known"]


async def test_outcome_is_the_reply(bench: KernelBench) -> None:
    """All who wait for an outcome hear the reply; one who leaves takes nobody along."""
    bench.guard.answering.clear()
    one, two, three = (bench.task(bench.kernel.outcome(LEASE, bench.process)) for _ in range(3))
    bench.kernel.perform(bench.preparing())
    await standstill()
    two.cancel()
    bench.guard.answering.set()
    assert await one == await three == Done(())
    assert [type(event) for event in bench.events] == [LeasePrepared]


async def test_outcome_is_durable(bench: KernelBench) -> None:
    """Nobody hears of an outcome before it is durable."""
    first = await bench.hold()
    waiting = bench.task(bench.kernel.outcome(LEASE, bench.process))
    bench.kernel.perform(bench.preparing())
    await until(lambda: isinstance(bench.events[-1], LeasePrepared))
    await standstill()
    assert not waiting.done()
    bench.store.gate.set()
    await first
    assert await waiting == Done(())


async def test_close_waits(bench: KernelBench) -> None:
    """What has begun is done and told before the kernel is let go of; nothing more begins."""
    bench.guard.answering.clear()
    waiting = bench.task(bench.kernel.outcome(LEASE, bench.process))
    bench.kernel.perform(bench.preparing())
    await standstill()
    closing = bench.task(bench.kernel.close())
    await standstill()
    assert not closing.done()
    bench.kernel.perform(Observe())
    bench.guard.answering.set()
    await closing
    assert await waiting == Done(())
    assert [type(event) for event in bench.events] == [LeasePrepared]
    assert bench.enforcer.looks == 0


async def test_nobody_waits_for_ever_at_the_end(bench: KernelBench) -> None:
    """Who waits for what never began, and who asks after the end, hears that it is the end."""
    waiting = [bench.task(bench.kernel.outcome(LEASE, None)), bench.task(bench.kernel.guarded())]
    await standstill()
    await bench.kernel.close()
    bench.kernel.perform(bench.preparing())
    waiting += [bench.task(bench.kernel.outcome(LEASE, None)), bench.task(bench.kernel.guarded())]
    for one in waiting:
        with pytest.raises(Stopping, match="the daemon is stopping"):
            await one
    assert bench.events == []


async def test_end_of_a_cgroup_after_the_end(bench: KernelBench) -> None:
    """What empties after the end is the next daemon's to find."""
    cgroup = await bench.prepared()
    bench.kernel.perform(Follow(cgroup))
    await bench.kernel.close()
    bench.table.end(bench.process)
    await standstill()
    assert bench.events == []


async def test_nobody_waits_for_ever_after_a_failed_commit(bench: KernelBench) -> None:
    """A decision that never was committed is never carried out: who waits hears why, at once."""
    first = await bench.hold()
    waiting = bench.task(bench.kernel.outcome(LEASE, bench.process))
    await standstill()
    bench.store.broken = StoreError("the disk is full")
    bench.store.gate.set()
    for one in (first, waiting, bench.task(bench.kernel.outcome(LEASE, None))):
        with pytest.raises(Stopping, match="the disk is full"):
            await one
    bench.kernel.perform(bench.preparing())
    await bench.kernel.close()
    assert bench.guard.admitted == set()


async def test_commit_that_fails_meanwhile(bench: KernelBench) -> None:
    """An outcome that cannot be committed any more is told as the end, and is no defect."""
    bench.guard.answering.clear()
    waiting = bench.task(bench.kernel.outcome(LEASE, bench.process))
    with capture_logs() as logs:
        bench.kernel.perform(bench.preparing())
        await standstill()
        bench.store.broken = StoreError("the disk is full")
        with pytest.raises(Stopping):
            await bench.ask("first")
        bench.guard.answering.set()
        with pytest.raises(Stopping, match="the disk is full"):
            await waiting
        await bench.kernel.close()
    assert [one for one in logs if one["log_level"] == "error"] == []


async def test_defect_in_preparing(bench: KernelBench) -> None:
    """A defect fails the lease, and who waits hears it; the log has the rest."""
    bench.enforcer.fail("prepare", ZeroDivisionError())
    waiting = bench.task(bench.kernel.outcome(LEASE, bench.process))
    with capture_logs() as logs:
        event = await bench.told(bench.preparing())
        await waiting
    assert event == PrepareFailed(LEASE, DEFECT, refused=False)
    assert [one["event"] for one in logs] == ["a defect in an action"]


async def test_defect_in_joining(bench: KernelBench) -> None:
    """A defect leaves the lease as it was, and who waits hears it."""
    cgroup, another = await bench.prepared(), bench.table.start()
    bench.enforcer.fail("join", ZeroDivisionError())
    waiting = bench.task(bench.kernel.outcome(LEASE, another))
    event = await bench.told(bench.joining(cgroup, another))
    assert event == JoinFailed(LEASE, DEFECT)
    assert isinstance(await waiting, Rejected)


async def test_defect_in_the_guard(bench: KernelBench) -> None:
    """A defect is no guard, and who waits hears it."""
    bench.guard.fail("on", ZeroDivisionError())
    waiting = bench.task(bench.kernel.guarded())
    assert await bench.told(ON) == GuardSet(on=False, failure=DEFECT)
    assert isinstance(await waiting, Rejected)


async def test_defect_in_a_decision(bench: KernelBench) -> None:
    """Who waits for an outcome that cannot be decided on hears of it, too."""
    bench.engine.fault = ZeroDivisionError()
    waiting = bench.task(bench.kernel.outcome(LEASE, bench.process))
    bench.kernel.perform(bench.preparing())
    with pytest.raises(ZeroDivisionError):
        await waiting
