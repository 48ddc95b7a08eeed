"""Memory that belongs to no process: how it is measured."""

from gpusched.core.ghost import unattributed
from gpusched.core.sample import DeviceReading
from gpusched.core.sizes import GIB
from tests.fakes.builders import UNREADABLE, context, device, memory_of, reading

GPU = device(0)


def test_what_no_process_has_is_unattributed() -> None:
    """It is the memory in use less that of all listed processes, and never less than nothing."""
    assert unattributed(reading(GPU, context(1, GIB), context(2, GIB), used=5 * GIB)) == 3 * GIB
    assert unattributed(reading(GPU, context(1, GIB), used=0)) == 0


def test_what_is_not_known_is_not_zero() -> None:
    """Without the memory, the list, or the figure of one process nothing can be said."""
    assert unattributed(DeviceReading(GPU, UNREADABLE, ())) is None
    assert unattributed(DeviceReading(GPU, memory_of(GPU), UNREADABLE)) is None
    assert unattributed(reading(GPU, context(1, UNREADABLE))) is None
