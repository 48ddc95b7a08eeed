"""The end of what was enforced, fake and real: masks changed, cgroups emptied and removed."""

import asyncio
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from gpusched.core.enforcement import LeaseCgroup, Mode
from gpusched.ports import EnforceError
from tests.capabilities import require
from tests.fakes.device_world import mask_allowing
from tests.fakes.waiting import until
from tests.ports.enforcer_worlds import (
    GONE,
    MASK,
    REASON,
    FakePlace,
    Place,
    in_place,
    moved,
    order,
    real_place,
    seen,
    where,
)


@pytest_asyncio.fixture(params=["fake", pytest.param("real", marks=pytest.mark.root)])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    if request.param == "fake":
        yield FakePlace()
        return
    require("root")
    with real_place(tmp_path) as found:
        yield found
        await found.enforcer.close()


async def test_a_mask_is_replaced(place: Place) -> None:
    """A cgroup gets another mask, whatever it had; one that is gone gets none."""
    _process, entered = await moved(place)
    other = mask_allowing(1, 3)
    await place.enforcer.mask(entered.cgroup, other)
    assert (await seen(place))[entered.cgroup.path].digest == other.digest
    with pytest.raises(EnforceError, match="gone"):
        await place.enforcer.mask(GONE, other)


async def test_a_mask_that_is_refused_leaves_the_old_one(place: Place) -> None:
    """When the kernel takes no program, the one before stays."""
    _process, entered = await moved(place)
    place.refuse_programs(REASON)
    with pytest.raises(EnforceError, match="no space left"):
        await place.enforcer.mask(entered.cgroup, mask_allowing(1))
    assert (await seen(place))[entered.cgroup.path].digest == MASK.digest


async def test_sigkill_leaves_none_alive(place: Place) -> None:
    """SIGKILL ends every process of a made cgroup."""
    process, entered = await moved(place)
    place.world.fork(process)
    await place.enforcer.signal(entered.cgroup, signal.SIGKILL)
    told: list[int] = []
    place.enforcer.follow(entered.cgroup, lambda: told.append(1))
    await until(lambda: bool(told))
    assert not (await seen(place))[entered.cgroup.path].populated


async def test_processes_in_place_get_no_signal(place: Place) -> None:
    """Only what gpusched made is signalled; a cgroup in place is left alone."""
    process, entered = await in_place(place)
    with pytest.raises(EnforceError, match="not made"):
        await place.enforcer.signal(entered.cgroup, signal.SIGKILL)
    assert where(place, process) == entered.cgroup.path


async def test_a_populated_cgroup_stays_with_its_mask(place: Place) -> None:
    """A made cgroup is removed once it is empty, not before; gone already is no error."""
    process, entered = await moved(place)
    assert not await place.enforcer.unprepare(entered.cgroup, None)
    assert (await seen(place))[entered.cgroup.path].digest == MASK.digest
    place.world.end(process)
    assert await place.enforcer.unprepare(entered.cgroup, None)
    assert await seen(place) == {}
    assert await place.enforcer.unprepare(entered.cgroup, None)


async def test_a_preparation_is_rolled_back(place: Place) -> None:
    """With a cgroup to go back to, the processes live on there and nothing is left."""
    process, back_to = place.world.start(), place.cgroups.make()
    child = place.world.fork(process)
    entered = await place.enforcer.prepare(order(place, process))
    assert await place.enforcer.unprepare(entered.cgroup, back_to)
    assert {where(place, process), where(place, child)} == {back_to}
    assert await seen(place) == {}


async def test_a_cgroup_in_place_loses_its_mask_only(place: Place) -> None:
    """Unprepared, a cgroup in place and its processes are as before."""
    process, entered = await in_place(place)
    assert await place.enforcer.unprepare(entered.cgroup, None)
    assert where(place, process) == entered.cgroup.path
    assert await seen(place) == {}


async def test_known_cgroups_are_looked_at_too(place: Place) -> None:
    """A known cgroup is in the observation without a program too, unless it is gone."""
    process, path = place.world.start(), place.cgroups.make()
    place.cgroups.enter(process, path)
    asked = replace(order(place, process), mode=Mode.IN_PLACE, mask=None)
    known = (await place.enforcer.prepare(asked)).cgroup
    assert await seen(place) == {}
    found = await seen(place, known, LeaseCgroup(path, known.inode + 77, made=False))
    assert [(one.cgroup, one.populated, one.digest) for one in found.values()] == [
        (known, True, None)
    ]


async def test_the_last_exit_is_told_once(place: Place) -> None:
    """Whoever follows a cgroup hears when its last process has ended, and not before."""
    process, entered = await moved(place)
    child, told = place.world.fork(process), []
    for _ in range(2):
        place.enforcer.follow(entered.cgroup, lambda: told.append(1))
    place.world.end(process)
    await asyncio.sleep(0.02)
    assert told == []
    place.world.end(child)
    await until(lambda: bool(told))
    await asyncio.sleep(0.02)
    assert told == [1]


async def test_an_empty_cgroup_is_told_at_once(place: Place) -> None:
    """Whoever begins to follow a cgroup that is empty already, or gone, is told."""
    process, entered = await moved(place)
    place.world.end(process)
    told: list[str] = []
    place.enforcer.follow(entered.cgroup, lambda: told.append("empty"))
    place.enforcer.follow(GONE, lambda: told.append("gone"))
    assert told == []
    # Its notice may still be on the way when it is looked at: then it is told twice.
    await until(lambda: set(told) == {"empty", "gone"})


async def test_an_empty_cgroup_of_the_same_lease_is_taken(place: Place) -> None:
    """Preparing again, after the first process has ended, gives a cgroup again."""
    process, entered = await moved(place)
    place.world.end(process)
    _second, again = await moved(place)
    assert again.cgroup.path == entered.cgroup.path
    assert (await seen(place))[again.cgroup.path].populated
