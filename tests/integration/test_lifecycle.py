"""From start to end: what comes before the doors open, and in which order everything closes."""

import asyncio
import signal
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from gpusched.core.errors import InvariantBroken
from gpusched.core.events import ReleaseRequested
from gpusched.core.ids import SECOND, LeaseId
from gpusched.core.lease import Lease, LeaseState
from gpusched.core.policy import Policy
from gpusched.daemon.lifecycle import BOOT_TIME, Reloaded
from gpusched.ports import EnforceError, Stopping, StoreError
from tests.fakes.builders import ADA, UNREADABLE, lease
from tests.fakes.daemon import LONG, READABLE, DaemonHost, end, grant
from tests.fakes.waiting import standstill, until

FULL = StoreError("the disk is full; make room")
START = ["load", "commit", "sample"]
CLOSED = ["sampler closed", "exits closed", "guard closed", "enforcer closed", "store closed"]
END = ["STOPPING=1", "doors closed", *CLOSED]


@pytest.fixture
async def host() -> DaemonHost:
    return DaemonHost()


async def hold(host: DaemonHost) -> tuple[asyncio.Task[str | None], asyncio.Task[Lease]]:
    """Start a daemon that has decided on a grant; its commit waits at the store's gate."""
    running, authority = await host.start()
    await authority.durable()
    host.store.gate.clear()
    granting = asyncio.create_task(grant(authority))
    await standstill()
    return running, granting


async def test_doors_open_last(host: DaemonHost) -> None:
    """Nobody is answered before the ledger is recovered and the devices were looked at."""
    running, authority = await host.start()
    told = [one for one in host.journal if one != "WATCHDOG=1"]
    # The inventory of the first sample, and being alive, are commits of their own.
    first = told.index("doors open")
    assert told[:3] == START
    assert set(told[3:first]) <= {"commit"}
    assert told[first + 1] == "READY=1"
    assert authority.ledger.sample is not None
    assert [line.sentence for line in authority.ledger.stories] == ["gpusched 1.2.3 started"]
    await end(running)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signal_ends_in_order(host: DaemonHost, number: signal.Signals) -> None:
    """A signal closes the doors first and the store last, and is no failure."""
    running, authority = await host.start()
    await authority.durable()
    host.journal.clear()
    signal.raise_signal(number)
    assert await running is None
    assert host.journal == END
    with pytest.raises(Stopping):
        authority.propose(ReleaseRequested(ADA, LeaseId("lease-a")))
    with pytest.raises(Stopping):
        await authority.refresh()


async def test_nothing_decided_is_lost_at_the_end(host: DaemonHost) -> None:
    """What was decided when the signal came is durable and answered before the store closes."""
    running, granting = await hold(host)
    signal.raise_signal(signal.SIGTERM)
    await until(lambda: "doors closed" in host.journal)
    await standstill()
    assert not running.done()
    assert host.journal[-1] == "doors closed"
    host.store.gate.set()
    assert await running is None
    assert (await granting).id in host.disk.leases
    assert host.journal[-6:] == ["commit", *CLOSED]


async def test_failed_commit_ends_the_run(host: DaemonHost) -> None:
    """A failed commit ends the daemon by itself, with the sentence of the store."""
    running, authority = await host.start()
    await authority.durable()
    host.journal.clear()
    host.store.broken = FULL
    with pytest.raises(Stopping):
        await grant(authority)
    assert await running == str(FULL)
    assert host.journal == END


async def test_failed_last_commit_ends_the_run(host: DaemonHost) -> None:
    """A commit that fails on the way out is told as well: that end was not in order."""
    running, granting = await hold(host)
    signal.raise_signal(signal.SIGTERM)
    await until(lambda: "doors closed" in host.journal)
    host.store.broken = FULL
    host.store.gate.set()
    assert await running == str(FULL)
    with pytest.raises(Stopping, match="the disk is full"):
        await granting
    assert host.journal[-5:] == CLOSED


async def test_commit_that_fails_while_doors_close_ends_the_run(
    host: DaemonHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit that fails after the signal, before the engine is closed, is told all the same."""

    async def close() -> None:
        host.store.broken = FULL
        host.store.gate.set()
        await until(granting.done)

    monkeypatch.setattr(host.doors, "close", close)
    running, granting = await hold(host)
    signal.raise_signal(signal.SIGTERM)
    assert await running == str(FULL)
    with pytest.raises(Stopping, match="the disk is full"):
        await granting
    assert host.journal[-5:] == CLOSED


async def test_defect_in_the_ticker_ends_the_run(
    host: DaemonHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon whose timer died does not go on without it, and still closes everything."""
    host.interval = 0.001
    running, authority = await host.start()
    await authority.durable()  # else the commit that it is alive may come after the doors closed

    async def sample() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(host.sampler, "sample", sample)
    with pytest.raises(ZeroDivisionError):
        await running
    assert host.journal[-7:] == END


async def test_unreadable_ledger_is_refused(host: DaemonHost) -> None:
    """A ledger that cannot be loaded refuses the start: no door opens, everything is closed."""
    host.store.broken = FULL
    with pytest.raises(StoreError, match="the disk is full"):
        await host.launch()
    assert host.journal == ["load", *CLOSED]


async def test_contradicting_ledger_is_refused(host: DaemonHost) -> None:
    """A ledger that contradicts itself is refused, unchanged, and everything is closed."""
    broken = replace(lease(LeaseState.ACTIVE), processes=())
    host.disk.leases[broken.id] = broken
    with pytest.raises(InvariantBroken, match="is active and has no process"):
        await host.launch()
    assert host.journal == ["load", *CLOSED]
    assert host.disk.leases == {broken.id: broken}


async def test_kernel_that_cannot_be_looked_at(host: DaemonHost) -> None:
    """A start that cannot see the cgroups of leases ends with the sentence: none is given up."""
    before = lease(LeaseState.RESERVED)
    host.disk.leases[before.id] = before
    host.enforcer.fail("observe", EnforceError("systemd does not answer"))
    assert await host.launch() == "systemd does not answer"
    assert host.journal == ["load", *CLOSED]
    assert host.disk.leases == {before.id: before}


async def test_first_commit_that_fails(host: DaemonHost) -> None:
    """A store that loads but cannot be written ends the start with its sentence."""
    host.store.gate.clear()
    running = host.launch()
    await until(lambda: host.journal == ["load"])
    host.store.broken = FULL
    host.store.gate.set()
    assert await running == str(FULL)
    assert host.journal == ["load", *END]


async def test_doors_that_cannot_open(host: DaemonHost) -> None:
    """Where nobody could come in the start fails, and everything is closed."""
    host.doors.failure = OSError("address in use")
    with pytest.raises(OSError, match="address in use"):
        await host.launch()
    assert "READY=1" not in host.journal
    assert [one for one in host.journal if one in END] == END


async def test_missing_driver_is_waited_for_after_a_boot(host: DaemonHost) -> None:
    """Soon after a boot the doors stay closed until the driver answers."""
    host.clock.reboot()
    host.boot_patience, host.interval = 30.0, 0.001
    host.sampler.reading = UNREADABLE
    running = host.launch()
    await until(lambda: host.sampler.calls >= 3)
    assert host.doors.authority is None
    host.sampler.reading = READABLE
    await until(lambda: host.doors.authority is not None)
    await end(running)


async def test_patience_after_a_boot_ends(host: DaemonHost) -> None:
    """A driver that never comes does not keep the doors closed for ever."""
    host.clock.reboot()
    host.boot_patience, host.interval = 30.0, 0.001
    host.sampler.reading = UNREADABLE
    running = host.launch()
    await until(lambda: host.sampler.calls >= 1)
    host.clock.advance(30 * SECOND)
    await until(lambda: host.doors.authority is not None)
    await end(running)


async def test_missing_driver_is_not_waited_for_later(host: DaemonHost) -> None:
    """Long after a boot the daemon serves at once, with devices or without."""
    host.clock.advance(BOOT_TIME)
    host.boot_patience = 30.0
    host.sampler.reading = UNREADABLE
    running, authority = await host.start()
    assert host.sampler.calls == 1
    assert authority.ledger.devices == {}
    await end(running)


async def test_watchdog_is_fed_in_time(host: DaemonHost) -> None:
    """Ticks are never further apart than the service manager wants to hear of them."""
    host.manager.interval = 0.001
    running, _ = await host.start()
    await until(lambda: host.manager.states.count("WATCHDOG=1") >= 3)
    await end(running)


async def test_reload(host: DaemonHost) -> None:
    """SIGHUP applies the policy and the interval that are read, and tells it in the history."""
    running, authority = await host.start()
    host.reloaded = Reloaded(Policy(history=5), 0.001, {"history": "5"})
    with capture_logs() as logs:
        signal.raise_signal(signal.SIGHUP)
        await until(lambda: "configuration read" in [one["event"] for one in logs])
    assert authority.ledger.policy.history == 5
    assert authority.ledger.stories[-1].sentence == "configuration read: history = 5"
    assert host.disk.stories[2] == authority.ledger.stories[-1]
    calls = host.sampler.calls
    await authority.refresh()
    await until(lambda: host.sampler.calls > calls + 2)
    await end(running)


async def test_reload_respects_the_watchdog(host: DaemonHost) -> None:
    """An interval that is read anew is cut to what the service manager wants to hear, too."""
    host.manager.interval = 0.001
    running, authority = await host.start()
    host.reloaded = Reloaded(Policy(), LONG, {})
    signal.raise_signal(signal.SIGHUP)
    await until(lambda: len(authority.ledger.stories) == 2)
    calls = host.sampler.calls
    await until(lambda: host.sampler.calls > calls + 2)
    await end(running)


async def test_bad_configuration_changes_nothing(host: DaemonHost) -> None:
    """A configuration with faults is not applied: the daemon goes on with the one it has."""
    host.policy = Policy(history=7)
    running, authority = await host.start()
    signal.raise_signal(signal.SIGHUP)
    await until(lambda: "reload" in host.journal)
    await standstill()
    assert authority.ledger.policy is host.policy
    assert len(authority.ledger.stories) == 1
    await end(running)


async def test_reload_while_the_daemon_ends(
    host: DaemonHost, caplog: pytest.LogCaptureFixture
) -> None:
    """A reload that the end overtakes is dropped, without a traceback."""
    running, authority = await host.start()
    await authority.durable()
    host.store.broken = FULL
    host.reloaded = Reloaded(Policy(history=5), LONG, {})
    with capture_logs() as logs:
        signal.raise_signal(signal.SIGHUP)
        assert await running == str(FULL)
        await standstill()
    assert [one for one in logs if one["event"] == "configuration read"] == []
    assert caplog.records == []
