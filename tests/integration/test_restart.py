"""What a lease lives through: a restart, a boot, and its own end."""

import pytest

from gpusched.core.changes import LeaseChanged
from gpusched.core.ids import SECOND, Moment
from gpusched.core.lease import EndReason, LeaseState
from gpusched.core.operator_events import ReleaseDriverRequested
from tests.fakes.builders import ADA, ROOT, UNREADABLE
from tests.fakes.clock import FakeClock
from tests.fakes.daemon import DaemonHost, attach, end, grant
from tests.fakes.enforcer import HOME
from tests.fakes.waiting import until


class RunningClock(FakeClock):
    """A clock that never shows the same instant twice."""

    def now(self) -> Moment:
        return self.advance(1)


@pytest.fixture
async def host() -> DaemonHost:
    return DaemonHost()


@pytest.fixture(params=[False, True], ids=["no cgroups", "cgroups"])
async def any_host(request: pytest.FixtureRequest) -> DaemonHost:
    return DaemonHost(RunningClock(1000 * SECOND), cgroups=request.param)


async def test_restart_keeps_leases(any_host: DaemonHost) -> None:
    """A restart in the same boot keeps leases, gives them the time away, and watches on."""
    host = any_host
    running, authority = await host.start()
    before = await grant(authority)
    process = host.table.start(uid=ADA.uid)
    await attach(host, authority, before, process)
    await end(running)
    host.clock.advance(20 * SECOND)
    host.renew()
    running, authority = await host.start()
    after = authority.ledger.get(before.id)
    assert after is not None
    assert after.state is LeaseState.ACTIVE
    assert after.processes == (process,)
    assert host.exits.watched == ({process} if after.cgroup is None else set())
    again = await grant(authority)
    assert again == after
    host.table.end(process)
    await until(lambda: host.disk.leases[before.id].state is LeaseState.ENDED)
    await end(running)


async def test_restart_gives_back_the_time_away(host: DaemonHost) -> None:
    """A deadline does not pass while the daemon is away."""
    running, authority = await host.start()
    before = await grant(authority)
    await end(running)
    host.clock.advance(3600 * SECOND)
    host.renew()
    running, authority = await host.start()
    after = authority.ledger.get(before.id)
    assert after is not None
    assert after.state is LeaseState.RESERVED
    assert before.clocks.attach is not None
    assert after.clocks.attach == before.clocks.attach + 3600 * SECOND
    await end(running)


async def test_reboot_ends_leases(host: DaemonHost) -> None:
    """A start in another boot ends every lease, and says so."""
    running, authority = await host.start()
    granted = await grant(authority)
    await end(running)
    host.clock.reboot()
    host.renew()
    running, authority = await host.start()
    after = authority.ledger.get(granted.id)
    assert after is not None
    assert (after.state, after.reason) == (LeaseState.ENDED, EndReason.REBOOT)
    assert host.disk.leases[granted.id] == after
    assert authority.ledger.live_count() == 0
    assert authority.ledger.stories[-2].sentence == "gpusched 1.2.3 started after a boot"
    await end(running)


async def _told_of_an_end(host: DaemonHost) -> list[str]:
    """What the daemon does from the end of a lease's only process to that of the lease."""
    running, authority = await host.start()
    granted = await grant(authority)
    process = host.table.start(uid=ADA.uid)
    await attach(host, authority, granted, process)
    await authority.refresh()
    await authority.durable()
    host.journal.clear()
    host.store.batches.clear()
    host.table.end(process)
    await until(lambda: host.disk.leases[granted.id].state is LeaseState.ENDED)
    told = [one for one in host.journal if one != "WATCHDOG=1"]
    versions = [
        change.lease.state
        for batch in host.store.batches
        for change in batch.changes
        if isinstance(change, LeaseChanged)
    ]
    assert versions == [LeaseState.RELEASING, LeaseState.ENDED]
    await end(running)
    return told


async def test_decide_commit_act_confirm() -> None:
    """The end of a lease is committed, then looked at, and committed again once confirmed."""
    host = DaemonHost(RunningClock(1000 * SECOND), cgroups=False)
    assert await _told_of_an_end(host) == ["sample", "commit", "sample", "commit"]


async def test_an_empty_cgroup_needs_no_sample_to_end_a_lease() -> None:
    """An empty cgroup ends its lease at once; then it is removed, and a sample confirms."""
    host = DaemonHost(RunningClock(1000 * SECOND))
    assert await _told_of_an_end(host) == ["commit", "sample", "commit"]
    with pytest.raises(FileNotFoundError):
        host.table.population(f"{HOME}/lease-a")


async def test_a_driver_that_is_let_go_is_not_waited_for(host: DaemonHost) -> None:
    """Also soon after a boot: an operator wants it so, and the sampler is told before it reads."""
    running, authority = await host.start()
    authority.propose(ReleaseDriverRequested(ROOT))
    await authority.durable()
    assert host.sampler.released
    await end(running)
    host.renew()
    host.clock.reboot()
    host.disk.boot_id = host.clock.boot_id()
    host.boot_patience, host.sampler.reading = 3600.0, UNREADABLE
    running, authority = await host.start()
    assert host.sampler.released
    assert authority.ledger.released == ""
    assert host.sampler.calls == 1
    await end(running)
