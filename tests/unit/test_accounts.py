"""The account of a memory: whose every byte is, and what is not known of it."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

import pytest

from gpusched.core.accounts import NOT_APART, Account, accounts
from gpusched.core.attribution import attribute
from gpusched.core.ghost import Ghost
from gpusched.core.ids import DeviceUuid, LeaseId
from gpusched.core.lease import Lease, LeaseState
from gpusched.core.policy import INFRASTRUCTURE
from gpusched.core.sample import (
    DeviceReading,
    LostDevice,
    Memory,
    ProcessFacts,
    Reading,
    Unavailable,
)
from gpusched.core.sizes import GIB
from tests.fakes.builders import (
    UNREADABLE,
    context,
    device,
    facts,
    lease,
    memory_of,
    mig,
    moment,
    reading,
    sample,
    share,
)

GPU = device(0)
PARENT = replace(device(1), mig_enabled=True)
LEFT, RIGHT, APART = mig(PARENT, 1, 0), mig(PARENT, 1, 1), mig(PARENT, 2)
# Its attached process is 50.
MINE = lease(LeaseState.ACTIVE, share(GPU, 8 * GIB), share(LEFT, 8 * GIB))
KNOWN = (facts(50), facts(60), facts(61), facts(70, name="nvidia-cuda-mps"))
NO_GHOSTS: Mapping[DeviceUuid, Ghost] = MappingProxyType({})


def balanced(
    *readings: DeviceReading,
    leases: Iterable[Lease] = (MINE,),
    known: Iterable[ProcessFacts] = KNOWN,
    ghosts: Mapping[DeviceUuid, Ghost] = NO_GHOSTS,
    lost: tuple[LostDevice, ...] = (),
) -> dict[DeviceUuid, Account]:
    """The accounts of devices with these readings."""
    taken = sample(*readings, known=known, lost=lost)
    uses = attribute(taken, leases, INFRASTRUCTURE)
    return accounts(uses, ghosts, lost)


def only(*readings: DeviceReading, ghost: int = 0) -> Account:
    """The account of the first of them."""
    uuid = readings[0].device.uuid
    ghosts = {uuid: left_by(ghost)} if ghost else {}
    return balanced(*readings, ghosts=ghosts)[uuid]


def left_by(memory: int) -> Ghost:
    return Ghost(memory, 0, LeaseId("lease-gone"), moment())


def parts(one: Account) -> dict[str, Reading[int]]:
    """The parts of the used memory that are not zero."""
    names = ("leases", "strays", "unknown", "infrastructure", "ghost", "unattributed", "overlap")
    return {name: getattr(one, name) for name in names if getattr(one, name) != 0}


def test_every_byte_is_somebody_s() -> None:
    """Used memory is told by whose it is; what nobody lists is unattributed, as managed memory."""
    rows = (
        *(context(50, 3 * GIB), context(60, 2 * GIB), context(70, GIB)),
        context(99, GIB),  # nobody knows it
    )
    one = only(reading(GPU, *rows, used=9 * GIB))
    assert parts(one) == {
        "leases": 3 * GIB,
        "strays": 3 * GIB,
        "unknown": GIB,
        "infrastructure": GIB,
        "unattributed": 2 * GIB,
    }
    assert (one.total, one.driver_reserved, one.used, one.free) == (80 * GIB, 0, 9 * GIB, 71 * GIB)
    assert one.difference == 0


def test_memory_that_is_counted_twice_overlaps() -> None:
    """Where processes have more than is in use, the surplus is told, not less than nothing."""
    one = only(reading(GPU, context(50, 3 * GIB), context(60, GIB), used=3 * GIB))
    assert parts(one) == {"leases": 3 * GIB, "strays": GIB, "overlap": GIB}


@pytest.mark.parametrize(
    ("used", "ghost", "unattributed"), [(5, 3, 1), (3, 2, 0), (1, 0, 0), (0, 0, 0)]
)
def test_a_ghost_is_told_as_far_as_it_is_there(used: int, ghost: int, unattributed: int) -> None:
    """Part of what a lease left may have come back since it was found."""
    one = only(reading(GPU, context(50, GIB), used=used * GIB), ghost=3 * GIB)
    assert (one.ghost, one.unattributed) == (ghost * GIB, unattributed * GIB)


def test_a_duplicate_counts_as_often_as_it_is_listed() -> None:
    """A process that NVML lists twice is added up twice, and shows as overlap."""
    one = only(reading(GPU, context(50, GIB), context(50, GIB), used=GIB))
    assert parts(one) == {"leases": 2 * GIB, "overlap": GIB}


@pytest.mark.parametrize("which", ["list", "figure", "memory"])
def test_what_is_not_known_says_so(which: str) -> None:
    """A part that cannot be known is unavailable, and so is what follows from it; never zero."""
    read = reading(GPU, context(50, GIB), context(60, GIB), used=3 * GIB)
    if which == "list":
        read = replace(read, contexts=UNREADABLE)
    elif which == "figure":
        read = reading(GPU, context(50, GIB), context(60, UNREADABLE), used=3 * GIB)
    else:
        read = replace(read, memory=UNREADABLE)
    one = only(read)
    assert one.unattributed == one.overlap == UNREADABLE
    assert one.ghost == 0
    assert only(read, ghost=GIB).ghost == UNREADABLE
    assert one.leases == (UNREADABLE if which == "list" else GIB)
    assert one.strays == (GIB if which == "memory" else UNREADABLE)
    assert one.used == (UNREADABLE if which == "memory" else 3 * GIB)
    assert one.difference == (UNREADABLE if which == "memory" else 0)


def test_an_old_driver_does_not_tell_what_it_keeps() -> None:
    """Memory information of version 1 counts what the driver keeps as used: that is not 0."""
    memory = Memory(80 * GIB, 0, GIB, 79 * GIB, reserved_apart=False)
    one = only(replace(reading(GPU), memory=memory))
    assert (one.driver_reserved, one.difference) == (NOT_APART, 0)
    assert parts(one) == {"unattributed": GIB}


@pytest.mark.parametrize("free", [70, 75])
def test_figures_that_do_not_add_up_are_shown_as_read(free: int) -> None:
    """A driver whose total is not its parts keeps its figures, and the difference is told."""
    one = only(replace(reading(GPU), memory=Memory(80 * GIB, GIB, 7 * GIB, free * GIB)))
    assert (one.total, one.used, one.free) == (80 * GIB, 7 * GIB, free * GIB)
    assert one.difference == (72 - free) * GIB
    assert parts(one) == {"unattributed": 7 * GIB}


def instances() -> tuple[DeviceReading, ...]:
    """A partitioned GPU whose instances are used by a lease, a stray and nobody."""
    return (
        DeviceReading(PARENT, memory_of(PARENT, 7 * GIB), UNREADABLE),
        reading(LEFT, context(50, 3 * GIB), used=6 * GIB),
        reading(RIGHT, context(61, 2 * GIB), used=6 * GIB),
        reading(APART, used=0),
    )


def test_compute_instances_have_one_account() -> None:
    """Those of one GPU instance share its memory: all their processes count, once."""
    told = balanced(*instances())
    assert told[LEFT.uuid] is told[RIGHT.uuid]
    assert parts(told[LEFT.uuid]) == {
        "leases": 3 * GIB,
        "strays": 2 * GIB,
        "unattributed": GIB,
    }
    assert parts(told[APART.uuid]) == {}


def test_a_partitioned_gpu_has_the_account_of_its_instances() -> None:
    """Its own list is not read; what its memory has beyond the instances is unattributed."""
    told = balanced(*instances(), ghosts={RIGHT.uuid: left_by(GIB)})
    assert parts(told[PARENT.uuid]) == {
        "leases": 3 * GIB,
        "strays": 2 * GIB,
        "ghost": GIB,
        "unattributed": GIB,
    }
    alone = DeviceReading(PARENT, memory_of(PARENT, GIB), UNREADABLE)
    assert parts(balanced(alone)[PARENT.uuid]) == {"unattributed": GIB}


def test_one_reading_of_a_shared_memory_is_enough() -> None:
    """The memory of a GPU instance is known where one of its compute instances tells it."""
    gpu, left, right, _ = instances()
    told = balanced(gpu, replace(left, memory=UNREADABLE), right)
    assert told[LEFT.uuid].used == 6 * GIB
    unread = balanced(*(replace(one, memory=UNREADABLE) for one in (gpu, left, right)))
    assert unread[LEFT.uuid].used == UNREADABLE


def test_an_instance_that_is_not_read_leaves_its_gpu_unknown() -> None:
    """Its processes are in nobody's list, so what is not listed may be theirs."""
    gpu, left, _, _ = instances()
    gone = LostDevice(PARENT.index, None, "MIG device 1: Unknown Error")
    told = balanced(gpu, left, reading(GPU, used=GIB), lost=(gone,))
    why = Unavailable("MIG device 1: Unknown Error")
    assert told[LEFT.uuid].leases == told[LEFT.uuid].unattributed == why
    assert told[PARENT.uuid].strays == why
    assert told[GPU.uuid].unattributed == GIB
    # Without its GPU nothing says that anything is missing.
    assert balanced(left, lost=(gone,))[LEFT.uuid].unattributed == 3 * GIB
