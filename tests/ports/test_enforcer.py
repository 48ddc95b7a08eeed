"""The enforcer, fake and real: who is in a lease's cgroup, with which mask, and what is left."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from gpusched.core.actions import Join
from gpusched.core.enforcement import Level, Mode
from gpusched.ports import EnforceError
from tests.capabilities import require
from tests.ports.enforcer_worlds import (
    GONE,
    LEASE,
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
from tests.ports.worlds import UID

SOMEBODY = UID + 4321


@pytest_asyncio.fixture(params=["fake", pytest.param("real", marks=pytest.mark.root)])
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    if request.param == "fake":
        yield FakePlace()
        return
    require("root")
    with real_place(tmp_path) as found:
        yield found
        await found.enforcer.close()


async def test_a_process_is_moved_with_its_descendants(place: Place) -> None:
    """MOVE makes a cgroup, masks it, and moves the process with all that descend from it."""
    process = place.world.start()
    child = place.world.fork(process)
    grandchild = place.world.fork(child)
    entered = await place.enforcer.prepare(order(place, process))
    assert entered.cgroup.made
    assert (entered.level, entered.sentence) == (Level.DEVICE_PROGRAM, "")
    assert entered.processes[0] == process
    assert set(entered.processes) == {process, child, grandchild}
    assert entered.escaped == ()
    assert {where(place, one) for one in entered.processes} == {entered.cgroup.path}


async def test_what_was_made_is_seen(place: Place) -> None:
    """An observation names a made cgroup, the digest of its mask, and whether it has processes."""
    process, entered = await moved(place)
    found = (await seen(place))[entered.cgroup.path]
    assert (found.cgroup, found.populated, found.digest) == (entered.cgroup, True, MASK.digest)
    place.world.end(process)
    assert not (await seen(place))[entered.cgroup.path].populated


async def test_an_advisory_lease_gets_a_cgroup_without_a_program(place: Place) -> None:
    """Without a mask the process is moved too, and the level is what was asked for: advice."""
    process = place.world.start()
    entered = await place.enforcer.prepare(replace(order(place, process), mask=None))
    assert (entered.level, entered.sentence) == (Level.ADVISORY, "")
    assert where(place, process) == entered.cgroup.path
    assert (await seen(place))[entered.cgroup.path].digest is None


@pytest.mark.parametrize("mode", [Mode.MOVE, Mode.IN_PLACE])
async def test_a_program_that_cannot_be_had_is_said(place: Place, mode: Mode) -> None:
    """A lease that does not require its mask becomes advice, with the reason, when it must."""
    place.refuse_programs(REASON)
    process = place.world.start()
    place.cgroups.enter(process, place.cgroups.make())
    asked = replace(order(place, process), required=False, mode=mode)
    entered = await place.enforcer.prepare(asked)
    assert (entered.level, entered.sentence) == (Level.ADVISORY, REASON)
    assert entered.processes == (process,)
    assert (await seen(place, entered.cgroup))[entered.cgroup.path].digest is None


@pytest.mark.parametrize("mode", [Mode.MOVE, Mode.IN_PLACE])
async def test_a_required_mask_that_cannot_be_had_leaves_nothing(place: Place, mode: Mode) -> None:
    """A lease that requires its mask fails with the reason: no cgroup is left, nobody moved."""
    place.refuse_programs(REASON)
    process = place.world.start()
    place.cgroups.enter(process, place.cgroups.make())
    before = where(place, process)
    with pytest.raises(EnforceError, match="no space left"):
        await place.enforcer.prepare(replace(order(place, process), mode=mode))
    assert where(place, process) == before
    assert await seen(place) == {}


async def test_a_process_that_has_ended_is_refused(place: Place) -> None:
    """Nobody is moved and nothing is left when the process ended before."""
    process = place.world.start()
    asked = order(place, process)
    place.world.end(process)
    with pytest.raises(EnforceError, match="has ended") as refusal:
        await place.enforcer.prepare(asked)
    assert refusal.value.refused
    assert await seen(place) == {}


@pytest.mark.parametrize("mode", [Mode.MOVE, Mode.IN_PLACE])
async def test_somebody_elses_process_is_refused(place: Place, mode: Mode) -> None:
    """One process of another uid is enough: none is moved, no mask is put on its cgroup."""
    process = place.world.start()
    place.cgroups.enter(process, place.cgroups.make())
    before = where(place, process)
    with pytest.raises(EnforceError, match=str(process.pid)) as refusal:
        await place.enforcer.prepare(replace(order(place, process), only_uid=SOMEBODY, mode=mode))
    assert refusal.value.refused
    assert where(place, process) == before
    assert await seen(place) == {}


async def test_whose_it_is_does_not_matter_to_root(place: Place) -> None:
    """Without a uid to check, anybody's process is moved."""
    process = place.world.start()
    entered = await place.enforcer.prepare(replace(order(place, process), only_uid=None))
    assert entered.processes == (process,)


async def test_a_cgroup_in_place_keeps_its_processes(place: Place) -> None:
    """IN_PLACE masks the cgroup in which the process is, and moves nobody."""
    process, neighbour = place.world.start(), place.world.start()
    path = place.cgroups.make()
    for one in (process, neighbour):
        place.cgroups.enter(one, path)
    entered = await place.enforcer.prepare(replace(order(place, process), mode=Mode.IN_PLACE))
    assert (entered.cgroup.path, entered.cgroup.made) == (path, False)
    assert entered.level is Level.DEVICE_PROGRAM
    assert entered.processes[0] == process
    assert set(entered.processes) == {process, neighbour}
    assert (await seen(place, entered.cgroup))[path].digest == MASK.digest


async def test_a_whole_cgroup_can_be_named(place: Place) -> None:
    """IN_PLACE without a process takes the cgroup that is named."""
    process, path = place.world.start(), place.cgroups.make()
    place.cgroups.enter(process, path)
    asked = replace(order(place, None), mode=Mode.IN_PLACE, cgroup=path)
    assert (await place.enforcer.prepare(asked)).processes == (process,)


async def test_the_root_cgroup_is_never_masked(place: Place) -> None:
    """The root of the hierarchy is everybody's and is refused in place."""
    asked = replace(order(place, None), mode=Mode.IN_PLACE, cgroup="/", only_uid=None)
    with pytest.raises(EnforceError, match="root cgroup") as refusal:
        await place.enforcer.prepare(asked)
    assert refusal.value.refused


async def test_a_process_that_went_elsewhere_is_not_masked(place: Place) -> None:
    """IN_PLACE is refused when the process has left the cgroup in which it was seen."""
    process, path = place.world.start(), place.cgroups.make()
    place.cgroups.enter(process, path)
    asked = replace(order(place, process), mode=Mode.IN_PLACE)
    place.cgroups.enter(process, place.cgroups.make())
    with pytest.raises(EnforceError) as refusal:
        await place.enforcer.prepare(asked)
    assert refusal.value.refused
    assert await seen(place) == {}


async def test_another_process_joins(place: Place) -> None:
    """A second process is moved into the made cgroup, with its descendants."""
    _first, entered = await moved(place)
    second = place.world.start()
    child = place.world.fork(second)
    joined = await place.enforcer.join(Join(LEASE, entered.cgroup, second, MASK, UID))
    assert (joined.cgroup, joined.level) == (entered.cgroup, Level.DEVICE_PROGRAM)
    assert {where(place, one) for one in (second, child)} == {entered.cgroup.path}
    assert joined.processes[0] == second


async def test_nobody_joins_what_is_gone(place: Place) -> None:
    """Joining a cgroup that is gone, or another one of its name, is refused."""
    process = place.world.start()
    before = where(place, process)
    with pytest.raises(EnforceError, match="gone"):
        await place.enforcer.join(Join(LEASE, GONE, process, MASK, UID))
    assert where(place, process) == before


async def test_in_place_only_those_inside_join(place: Place) -> None:
    """Nobody is moved into a cgroup in place: who is in it joins, others are refused."""
    process, entered = await in_place(place)
    child, stranger = place.world.fork(process), place.world.start()
    joined = await place.enforcer.join(Join(LEASE, entered.cgroup, child, MASK, UID))
    assert joined.processes == (child,)
    with pytest.raises(EnforceError) as refusal:
        await place.enforcer.join(Join(LEASE, entered.cgroup, stranger, MASK, UID))
    assert refusal.value.refused
