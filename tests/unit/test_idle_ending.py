"""Idle leases that are ended by policy: asked, kept by renewing, ended; what stops the clock."""

from dataclasses import replace

from gpusched.core.actions import Terminate
from gpusched.core.changes import PolicyChanged
from gpusched.core.enforcement import LeaseCgroup
from gpusched.core.events import Recovered, RenewRequested
from gpusched.core.ids import SECOND, BootId, Instant, Moment
from gpusched.core.lease import EndReason, Lease, LeaseState
from gpusched.core.notice import NoticeAction, NoticeKind
from gpusched.core.policy import IdleRules, Policy
from gpusched.core.replies import Done
from gpusched.core.ticking import next_deadline
from tests.fakes.builders import ADA
from tests.fakes.host import Host, changed_leases, sentences
from tests.fakes.idling import (
    AFTER,
    ENDS,
    EVERY,
    FIRST,
    GRACE,
    REPORTS,
    blind,
    holder,
    host,
    idle,
    renew,
    seconds_idle,
    tick,
    used,
)
from tests.fakes.kernel_builders import own_cgroup, service

ASKED = (
    "idle: no process on its devices for 1m; it ends in 10s unless it is used,"
    " or `gpusched renew lease-1`"
)


def told(lease: Lease | None = None, rules: IdleRules = ENDS) -> Host:
    """A host whose first lease has been idle for so long that it has just been told so."""
    made = host(lease or holder(), rules=rules)
    for _ in range(AFTER // EVERY + 1):
        tick(made)
    assert idle(made).reported
    return made


def test_an_idle_lease_is_asked() -> None:
    """The notice says what comes and when, the history how to keep the lease; the next deadline
    is the lease's.
    """
    made = told()
    (notice,) = made.ledger.notices
    deadline = made.now.instant + GRACE * SECOND
    assert (notice.kind, notice.action) == (NoticeKind.IDLE, NoticeAction.END)
    assert notice.action_at == idle(made).deadline == next_deadline(made.ledger) == deadline
    assert notice.sentence == made.ledger.stories[-1].sentence == ASKED
    assert made.ledger.stories[-1].data["deadline"] == str(made.now.wall // SECOND + GRACE)


def test_a_lease_that_stays_idle_is_ended() -> None:
    """After the grace its processes get SIGTERM, as at a time limit, and it says how long it was
    idle; not before.
    """
    made = told()
    tick(made, seconds=GRACE - 1)
    assert made.lease(FIRST).usable
    done = tick(made, seconds=1)
    assert Terminate(own_cgroup()) in done.actions
    ended = made.lease(FIRST)
    assert (ended.state, ended.reason) == (LeaseState.RELEASING, EndReason.IDLE)
    assert ended.detail == "no process on its devices for 1m10s"
    assert ended.idle is None
    assert ended.clocks.kill == made.now.instant + Policy().grace
    assert sentences(done)[0] == ("ends because it was idle: no process on its devices for 1m10s")


def test_use_ends_the_asking() -> None:
    """A lease that is used again within the grace goes on; idle anew it is asked anew."""
    made = told()
    tick(made, used(101, busy=5), seconds=1)
    tick(made, seconds=GRACE)
    assert made.lease(FIRST).usable
    for _ in range(AFTER // EVERY):
        tick(made)
    assert idle(made).deadline == made.now.instant + GRACE * SECOND


def test_renewing_keeps_an_idle_lease() -> None:
    """Its holder renews a lease that needs no renewal otherwise: the asking is over, it is asked
    again after as long, and its idle time is what it is.
    """
    made = told()
    made.later(1)
    done = renew(made)
    assert isinstance(done.reply, Done)
    assert (done.reply.leases[0].idle, done.reply.sentence) == (idle(made), "")
    assert sentences(done) == ["renewed: kept though idle, no process on its devices for 1m1s"]
    assert (idle(made).deadline, idle(made).reported) == (None, False)
    assert next_deadline(made.ledger) is None
    for _ in range(AFTER // EVERY - 1):
        assert sentences(tick(made, seconds=EVERY - 1)) == []
    told_again = sentences(tick(made, seconds=EVERY + 1))
    assert told_again == [ASKED.replace("1m", "2m")]
    assert seconds_idle(made) == 2 * AFTER
    assert made.lease(FIRST).usable


def test_renewing_can_be_repeated() -> None:
    """The second renewal changes nothing, and says so; nor does the first of a lease that has not
    been told: clients renew their keepalive by themselves.
    """
    made = told()
    renew(made)
    again = renew(made)
    assert (again.changes, isinstance(again.reply, Done)) == ((), True)
    made = host(rules=ENDS)
    tick(made)
    tick(made)
    assert renew(made).changes == ()
    assert seconds_idle(made) == EVERY


def test_renewing_starts_the_keepalive_too() -> None:
    """One renewal serves both clocks."""
    kept = holder()
    request = replace(kept.request, keepalive=500 * SECOND)
    clocks = replace(kept.clocks, keepalive=Instant(9000 * SECOND))
    made = told(replace(kept, request=request, clocks=clocks))
    renew(made)
    assert made.lease(FIRST).clocks.keepalive == made.now.instant + 500 * SECOND
    assert not idle(made).reported
    made.later(1)
    renew(made)
    assert made.lease(FIRST).clocks.keepalive == made.now.instant + 500 * SECOND


def test_a_program_that_renews_by_the_clock_keeps_no_idle_lease() -> None:
    """Such a renewal starts the keepalive anew and answers no question: the lease still ends."""
    kept = holder()
    request = replace(kept.request, keepalive=500 * SECOND)
    clocks = replace(kept.clocks, keepalive=Instant(9000 * SECOND))
    made = told(replace(kept, request=request, clocks=clocks))
    made.later(1)
    made.do(RenewRequested(ADA, FIRST, automatic=True))
    assert made.lease(FIRST).clocks.keepalive == made.now.instant + 500 * SECOND
    assert idle(made).reported
    tick(made, seconds=GRACE)
    assert made.lease(FIRST).reason is EndReason.IDLE


def test_renewing_right_after_a_restart() -> None:
    """What the row says is kept, though no sample has been taken yet; of no other lease is more
    known than before.
    """
    made = host(replace(holder(), idle=idle(told())), rules=ENDS)
    made.ledger.ticked_at = None
    made.later(100)
    renew(made)
    assert idle(made).kept == idle(made).time(made.now.instant)
    assert set(made.ledger.idle) == {FIRST}


def test_an_unread_sample_ends_nobody() -> None:
    """At the deadline a lease is ended only by a sample that shows it idle still."""
    made = told()
    blind(made, GRACE)
    blind(made)
    assert made.lease(FIRST).usable
    tick(made)
    assert made.lease(FIRST).reason is EndReason.IDLE


def test_a_sleep_gives_the_grace_back() -> None:
    """The deadline stands still while the host sleeps."""
    made = told()
    tick(made, seconds=1000)
    assert idle(made).deadline == made.now.instant + GRACE * SECOND
    tick(made, seconds=GRACE - 1)
    assert made.lease(FIRST).usable
    tick(made, seconds=1)
    assert made.lease(FIRST).reason is EndReason.IDLE


def test_an_adopted_lease_is_only_reported() -> None:
    """What ran before it had a lease is not ended for being idle, and the line says why."""
    made = told(replace(holder(), adopted=True))
    assert made.ledger.stories[-1].sentence == (
        "idle: no process on its devices for 1m; it is only reported: it was adopted"
    )
    tick(made)
    assert made.lease(FIRST).usable


def test_a_lease_in_place_is_ended_and_its_processes_are_left_alone() -> None:
    """As at a time limit: the mask is taken off somebody else's cgroup, nobody is signalled."""
    in_place: LeaseCgroup = service()
    made = told(replace(holder(), cgroup=in_place))
    done = tick(made, seconds=GRACE)
    assert made.lease(FIRST).reason is EndReason.IDLE
    assert not any(isinstance(one, Terminate) for one in done.actions)


def test_other_settings_count_from_the_next_sample_on() -> None:
    """A policy that ends no more withdraws the asking, one that ends asks who was only told, and
    a longer time takes the report back.
    """
    made = told()
    made.apply([PolicyChanged(Policy(idle=REPORTS))])
    assert sentences(tick(made, seconds=GRACE)) == []
    assert (idle(made).deadline, idle(made).reported) == (None, True)
    made.apply([PolicyChanged(Policy(idle=ENDS))])
    assert len(sentences(tick(made))) == 1
    assert idle(made).deadline == made.now.instant + GRACE * SECOND
    made.apply([PolicyChanged(Policy(idle=replace(ENDS, after=9000 * SECOND)))])
    tick(made)
    assert (idle(made).deadline, idle(made).reported) == (None, False)
    assert made.lease(FIRST).usable


def restarted(made: Host, seconds: float) -> Host:
    """The host with a new daemon, which the old one ended for some time before."""
    after = host(made.lease(FIRST), rules=made.ledger.policy.idle)
    after.ledger.ticked_at, alive_at = None, made.now.instant
    after.now = made.now
    after.later(seconds)
    boot = BootId("boot")
    after.do(Recovered(boot, boot, alive_at, "1"))
    return after


def test_a_restart_is_neither_use_nor_idle_time() -> None:
    """A lease that was idle for long is so after a restart, and not longer for the time that no
    daemon was there; it is asked no second time, and its grace is what was left.
    """
    made = told()
    tick(made, seconds=4)
    after = restarted(made, 5000)
    assert (seconds_idle(after), idle(after).reported) == (AFTER + 4, True)
    assert sentences(tick(after, seconds=1)) == []
    assert seconds_idle(after) == AFTER + 4
    tick(after, seconds=GRACE - 6)
    assert after.lease(FIRST).usable
    tick(after, seconds=1)
    assert after.lease(FIRST).reason is EndReason.IDLE
    assert after.lease(FIRST).detail.startswith("no process on its devices for 1m9s, beside 1h23m")


def test_a_restart_does_not_make_a_lease_idle() -> None:
    """Who is used at the first sample after a restart is used, whatever the row says."""
    after = restarted(told(), 5000)
    (row,) = changed_leases(tick(after, used(101, busy=5), seconds=1))
    assert row.idle is None


def test_recovering_twice_stops_the_count_once() -> None:
    """The time since the daemon was last alive is left out once, and nothing is told of a daemon
    that was not away.
    """
    made = told()
    once = restarted(made, 0)
    lines = [one.sentence for one in once.ledger.stories]
    assert not any("every lease has" in one for one in lines)
    twice = restarted(once, 0)
    assert idle(twice) == idle(once)
    assert idle(once).stopped == made.now.instant
    assert Moment(made.now.instant, made.now.wall) == made.now
