"""The daemon's start: the same boot keeps its leases, another boot ends them."""

from dataclasses import replace

from gpusched.core.actions import WatchExit
from gpusched.core.changes import AbilityFound
from gpusched.core.decision import Decision
from gpusched.core.enforcement import NOT_PROBED
from gpusched.core.events import Recovered
from gpusched.core.ids import SECOND, BootId, Instant
from gpusched.core.lease import EndReason, LeaseState
from gpusched.core.operator_events import DrainRequested
from gpusched.core.request import Request
from tests.fakes.builders import ROOT, A, B, C, device, process
from tests.fakes.host import Host, changed_leases, sentences
from tests.fakes.marked_host import MarkedHost

HERE, ELSEWHERE = BootId("boot-1"), BootId("boot-2")
FOUR = [device(n) for n in range(4)]


def recovered(host: Host, stored: BootId | None = HERE, away: float | None = 60) -> Decision:
    """A start in this boot of what was last alive some seconds ago."""
    alive = None if away is None else Instant(host.now.instant - round(away * SECOND))
    return host.do(Recovered(stored, HERE, alive, "1.2.3"))


def test_the_same_boot_keeps_every_lease_and_gives_it_the_time_away() -> None:
    """Every running clock is extended by the time in which there was no daemon."""
    host = Host(*FOUR)
    waiting = host.grant(Request(A, time_limit=90 * SECOND))
    decision = recovered(host)
    kept = host.lease(waiting.id)
    assert kept.clocks == waiting.clocks.extended(60 * SECOND)
    assert kept.state is LeaseState.RESERVED
    assert sentences(decision) == [
        "gpusched 1.2.3 started",
        "every lease has 60 s more: the daemon was away",
    ]


def test_the_processes_of_kept_leases_are_watched_again() -> None:
    """Every attached process is watched, of leases that settle too."""
    host = Host(*FOUR)
    host.attach(host.attach(host.grant(Request(A)), 50), 51)
    host.release(host.attach(host.grant(Request(B)), 52))
    host.grant(Request(C))
    decision = recovered(host)
    assert decision.actions == tuple(WatchExit(process(pid)) for pid in (50, 51, 52))
    assert changed_leases(decision) == [
        one for one in host.ledger.live() if one.clocks.attach is not None
    ]


def test_a_daemon_that_was_never_away_extends_nothing() -> None:
    """A new ledger, or a clock that seems to run backwards, gives no time away."""
    for away in (None, -60.0, 0.0):
        host = Host(*FOUR)
        lease = host.grant(Request(A))
        recovered(host, away=away)
        assert host.lease(lease.id) == lease


def test_a_new_ledger_only_tells_that_it_began() -> None:
    """The first start ever has nothing to recover."""
    decision = recovered(Host(*FOUR), stored=None, away=None)
    assert sentences(decision) == ["gpusched 1.2.3 started"]
    assert decision.changes[0] == AbilityFound(NOT_PROBED)
    assert (len(decision.changes), decision.actions) == (2, ())


def test_another_boot_ends_every_lease() -> None:
    """Whatever state a lease was in, a reboot has ended it; nothing is left to watch."""
    host = Host(*FOUR)
    host.grant(Request(A))
    host.attach(host.grant(Request(B)), 50)
    host.release(host.attach(host.grant(Request(C)), 51))
    decision = recovered(host, stored=ELSEWHERE)
    assert host.ledger.live_count() == 0
    assert [one.reason for one in host.ledger.ended()] == [EndReason.REBOOT] * 3
    assert all(one.ended == host.now for one in host.ledger.ended())
    assert sentences(decision) == [
        "gpusched 1.2.3 started after a boot",
        *["ended because the host was started anew"] * 3,
    ]
    assert decision.actions == ()


def test_recovering_after_a_boot_twice_is_the_same() -> None:
    """The second time there is nothing left to end."""
    host = Host(*FOUR)
    host.grant(Request(A))
    recovered(host, stored=ELSEWHERE)
    before = list(host.ledger.ended())
    assert changed_leases(recovered(host, stored=ELSEWHERE)) == []
    assert list(host.ledger.ended()) == before


def test_recovering_in_one_boot_twice_moves_only_the_clocks() -> None:
    """Recovering again changes no lease but its clocks."""
    host = Host(*FOUR)
    lease = host.attach(host.grant(Request(A, time_limit=SECOND)), 50)
    recovered(host)
    recovered(host)
    again = host.lease(lease.id)
    assert again.clocks == lease.clocks.extended(120 * SECOND)
    assert (again.state, again.processes) == (lease.state, lease.processes)


def test_a_boot_with_a_clock_that_is_behind_puts_no_cordon_into_the_future() -> None:
    """Before the wall clock is set a cordon counts as made now, and its time runs anew."""
    host = MarkedHost(FOUR[0])
    host.do(DrainRequested(ROOT, FOUR[0].uuid, "replace it", time=100 * SECOND))
    host.now = replace(host.now, wall=host.now.wall - 1000 * SECOND)
    host.do(Recovered(ELSEWHERE, HERE, None, "1"))
    cordon = host.ledger.marks_of(FOUR[0].uuid).cordon
    assert cordon is not None
    assert cordon.at.instant == host.now.instant
    assert cordon.deadline == host.now.instant + 100 * SECOND
