"""The clock and the ids, fake and real."""

import re
import time
from pathlib import Path

import pytest

from gpusched.adapters.clock import RandomIds, SystemClock
from gpusched.core.ids import SECOND, Moment
from gpusched.ports import Clock, IdSource
from tests.fakes.clock import FakeClock, FakeIds


@pytest.fixture(params=[FakeClock, SystemClock])
def clock(request: pytest.FixtureRequest) -> Clock:
    made: Clock = request.param()
    return made


@pytest.fixture(params=[FakeIds, RandomIds])
def ids(request: pytest.FixtureRequest) -> IdSource:
    made: IdSource = request.param()
    return made


def test_time_never_goes_back(clock: Clock) -> None:
    """An instant is never earlier than the one before."""
    instants = [clock.now().instant for _ in range(100)]
    assert instants == sorted(instants)


def test_one_boot_has_one_id(clock: Clock) -> None:
    """The boot id is a UUID in lower case and stays while the host runs."""
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", clock.boot_id())
    assert clock.boot_id() == clock.boot_id()


def test_instant_counts_from_boot_with_suspension() -> None:
    """The real instant is CLOCK_BOOTTIME and the real wall time is Unix time."""
    clock = SystemClock()
    before = Moment(clock.now().instant, time.time_ns())
    assert abs(time.clock_gettime_ns(time.CLOCK_BOOTTIME) - clock.now().instant) < SECOND
    assert abs(clock.now().wall - before.wall) < SECOND


def test_boot_id_is_the_kernels() -> None:
    """The real boot id is the kernel's, without its line end."""
    kernel = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    assert SystemClock().boot_id() + "\n" == kernel


def test_fake_time_moves_only_when_told() -> None:
    """A test's time passes by advance alone, and a set wall clock moves no instant."""
    clock = FakeClock(instant=5, wall=100)
    clock.advance(10)
    assert clock.now() == Moment(clock.now().instant, 110)
    assert clock.now().instant == 15
    clock.set_wall(1)
    assert (clock.now().instant, clock.now().wall) == (15, 1)
    with pytest.raises(ValueError, match="never goes back"):
        clock.advance(-1)


def test_fake_reboot_is_another_boot() -> None:
    """After a reboot the id is another one and the instants start again."""
    clock = FakeClock()
    boot = clock.boot_id()
    clock.reboot()
    assert clock.boot_id() != boot
    assert clock.now().instant == 0


def test_lease_ids_can_be_read_aloud(ids: IdSource) -> None:
    """A lease id is `lease-` and ten characters of Crockford base 32 in lower case."""
    for _ in range(100):
        assert re.fullmatch(r"lease-[0-9a-hjkmnp-tv-z]{10}", ids.lease_id())


def test_lease_ids_differ(ids: IdSource) -> None:
    """No id is given twice."""
    assert len({ids.lease_id() for _ in range(2000)}) == 2000


def test_random_ids_use_every_character() -> None:
    """Real ids spread over the whole alphabet at each place."""
    places = zip(*(RandomIds().lease_id()[6:] for _ in range(2000)), strict=True)
    assert all(len(set(place)) == 32 for place in places)
