"""Memory that belongs to no process: how it is measured."""

from dataclasses import replace

from gpusched.core.accounts import unattributed
from gpusched.core.attribution import attribute
from gpusched.core.sample import DeviceReading
from gpusched.core.sizes import GIB
from tests.fakes.builders import UNREADABLE, context, device, memory_of, mig, reading, sample

GPU = device(0)
PARENT = replace(device(0), mig_enabled=True)
LEFT, RIGHT = mig(PARENT, 1, 0), mig(PARENT, 1, 1)


def left_over(*readings: DeviceReading) -> int | None:
    """What nobody has of the memory of the first of these devices."""
    return unattributed(attribute(sample(*readings), (), ()), readings[0].device.uuid)


def test_what_no_process_has_is_unattributed() -> None:
    """It is the memory in use less that of all listed processes, and never less than nothing."""
    assert left_over(reading(GPU, context(1, GIB), context(2, GIB), used=5 * GIB)) == 3 * GIB
    assert left_over(reading(GPU, context(1, GIB), used=0)) == 0


def test_what_is_not_known_is_not_zero() -> None:
    """Without the memory, the list, or the figure of one process nothing can be said."""
    assert left_over(DeviceReading(GPU, UNREADABLE, ())) is None
    assert left_over(DeviceReading(GPU, memory_of(GPU), UNREADABLE)) is None
    assert left_over(reading(GPU, context(1, UNREADABLE))) is None
    assert unattributed({}, GPU.uuid) is None


def test_a_neighbour_s_memory_is_not_nobody_s() -> None:
    """Compute instances of one GPU instance share its memory, and processes of both are in it."""
    beside = reading(RIGHT, context(2, 2 * GIB), used=5 * GIB)
    assert left_over(reading(LEFT, context(1, GIB), used=5 * GIB), beside) == 2 * GIB
    assert left_over(reading(mig(PARENT, 2), used=GIB), beside) == GIB
    assert left_over(reading(LEFT, used=GIB), replace(beside, contexts=UNREADABLE)) is None
