"""What a service manager hears of a daemon whose driver is late."""

import asyncio

import pytest

from gpusched.daemon.attended import AttendedSampler
from tests.fakes.daemon import READABLE
from tests.fakes.sampler import FakeSampler
from tests.fakes.service_manager import FakeServiceManager
from tests.fakes.waiting import standstill, until


async def test_a_late_driver_is_no_dead_daemon() -> None:
    """While the driver is waited for the watchdog is fed, however late its answer is."""
    sampler, manager = FakeSampler(READABLE), FakeServiceManager()
    manager.interval = 0.001
    sampler.answering.clear()
    sampling = asyncio.create_task(AttendedSampler(sampler, manager).sample())
    await until(lambda: len(manager.states) >= 3)
    sampler.answering.set()
    assert await sampling == READABLE
    fed = len(manager.states)
    await standstill()
    assert manager.states == ["WATCHDOG=1"] * fed


async def test_nobody_is_told_where_nobody_watches() -> None:
    """Without a watchdog a reading is only passed on."""
    manager = FakeServiceManager()
    assert await AttendedSampler(FakeSampler(READABLE), manager).sample() == READABLE
    assert manager.states == []


async def test_who_waits_no_longer_calls_the_reading_off() -> None:
    """At the end of the daemon nothing goes on reading beside it."""
    sampler, manager = FakeSampler(READABLE), FakeServiceManager()
    manager.interval = 3600.0
    sampler.answering.clear()
    sampling = asyncio.create_task(AttendedSampler(sampler, manager).sample())
    await until(lambda: sampler.calls == 1)
    sampling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sampling
    await standstill()
    assert len(asyncio.all_tasks()) == 1
