"""A prepared lease in the kernel: what it denies, what it leaves alone, and how that is proven."""

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from gpusched.adapters.cgroup.descent import read_stat
from gpusched.core.actions import Join
from gpusched.core.enforcement import Level, Mode
from gpusched.ports import EnforceError
from tests.fakes.device_world import MAJOR, Opener, mask_allowing
from tests.ports.enforcer_worlds import LEASE, MASK, RealPlace, order, real_place, seen, where
from tests.ports.worlds import UID

pytestmark = pytest.mark.root


@pytest_asyncio.fixture
async def place(tmp_path: Path) -> AsyncIterator[RealPlace]:
    with real_place(tmp_path) as found:
        yield found
        await found.enforcer.close()


async def test_only_the_leased_device_can_be_opened(place: RealPlace) -> None:
    """In the lease, node 2 of 4 finds its driver missing, the others are forbidden."""
    source = place.cgroups.folder(place.cgroups.make())
    with Opener(source) as opener:
        assert opener.reads(place.nodes) == ["ENXIO"] * 4
        stat = read_stat(opener.pid)
        assert stat is not None
        entered = await place.enforcer.prepare(order(place, stat.identity))
        assert opener.reads(place.nodes) == ["EPERM", "EPERM", "ENXIO", "EPERM"]
        assert opener.reads([Path("/dev/null")]) == ["ok"]
        told = place.enforcer.denied()
        assert {(one.pid, one.major, one.cgroup) for one in told} == {
            (opener.pid, MAJOR, entered.cgroup.inode)
        }


async def test_a_program_that_does_not_deny_is_found_out(place: RealPlace) -> None:
    """A mask that is said to be there and denies nothing is no mask: nothing is left of it."""
    place.programs.lies = True
    process = place.world.start()
    before = where(place, process)
    with pytest.raises(EnforceError, match="does not hold"):
        await place.enforcer.prepare(order(place, process))
    assert where(place, process) == before
    assert await seen(place) == {}
    entered = await place.enforcer.prepare(replace(order(place, process), required=False))
    assert entered.level is Level.ADVISORY
    assert "does not hold" in entered.sentence


async def test_a_failed_mask_in_place_leaves_the_earlier_one(place: RealPlace) -> None:
    """A second lease whose mask cannot be proven leaves that of the first as it was."""
    process, path = place.world.start(), place.cgroups.make()
    place.cgroups.enter(process, path)
    first = replace(order(place, process), mode=Mode.IN_PLACE)
    entered = await place.enforcer.prepare(first)
    place.programs.lies = True  # what is attached goes on allowing node 2
    with pytest.raises(EnforceError):
        await place.enforcer.prepare(replace(first, mask=mask_allowing(1)))
    assert (await seen(place, entered.cgroup))[path].digest == MASK.digest


async def test_the_daemons_own_cgroup_is_refused(place: RealPlace) -> None:
    """A cgroup in which the daemon is, or one above it, gets no mask."""
    process, path = place.world.start(), place.cgroups.make()
    inner = place.cgroups.make(path)
    place.cgroups.enter(process, path)
    home = place.hierarchy.where(os.getpid())
    assert home is not None
    place.hierarchy.enter(inner, [os.getpid()])  # this test plays the daemon
    try:
        with pytest.raises(EnforceError, match="daemon itself") as refusal:
            await place.enforcer.prepare(replace(order(place, process), mode=Mode.IN_PLACE))
    finally:
        place.hierarchy.enter(home, [os.getpid()])
    assert refusal.value.refused
    assert await seen(place) == {}


async def test_others_are_not_bound_by_it(place: RealPlace) -> None:
    """Outside of the lease nothing has changed, and the mask goes with the cgroup."""
    with Opener(place.cgroups.folder(place.cgroups.make())) as outsider:
        process = place.world.start()
        entered = await place.enforcer.prepare(order(place, process))
        assert outsider.reads(place.nodes) == ["ENXIO"] * 4
        stat = read_stat(outsider.pid)
        assert stat is not None
        place.world.end(process)
        await place.enforcer.join(Join(LEASE, entered.cgroup, stat.identity, MASK, UID))
        assert outsider.reads(place.nodes) == ["EPERM", "EPERM", "ENXIO", "EPERM"]
        assert await place.enforcer.unprepare(entered.cgroup, "/")
        assert outsider.reads(place.nodes) == ["ENXIO"] * 4


async def test_what_an_earlier_daemon_left_is_found(place: RealPlace) -> None:
    """A daemon that starts finds what its ledger knows to be in place, and unprepares it."""
    process, path = place.world.start(), place.cgroups.make()
    place.cgroups.enter(process, path)
    asked = replace(order(place, process), mode=Mode.IN_PLACE)
    entered = await place.enforcer.prepare(asked)
    later = place.another()
    found = {one.cgroup.path: one for one in (await later.observe([entered.cgroup])).seen}
    assert found[path].cgroup == entered.cgroup
    assert (found[path].populated, found[path].digest) == (True, MASK.digest)
    assert await later.unprepare(entered.cgroup, None)
    left = {one.cgroup.path: one for one in (await later.observe([entered.cgroup])).seen}
    assert left[path].digest is None
    await later.close()


async def test_this_host_can_hold_masks(place: RealPlace) -> None:
    """The ability is found out by trying, and nothing is left of the trial."""
    able = await place.enforcer.ability()
    assert (able.level, able.cgroups) == (Level.DEVICE_PROGRAM, True)
    assert await seen(place) == {}
