"""Idle leases: what counts as idle, what does not count, who is told, and who is ended for it."""

from dataclasses import replace

import pytest

from gpusched.core.idle import WRITTEN_AFTER, idle_of
from gpusched.core.idleness import IdleKind
from gpusched.core.ids import SECOND
from gpusched.core.lease import Lease, LeaseState
from gpusched.core.notice import NoticeAction, NoticeKind
from gpusched.core.sample import DeviceReading, Unavailable
from gpusched.core.sizes import GIB
from tests.fakes.builders import UNREADABLE, lease, share
from tests.fakes.host import changed_leases, sentences
from tests.fakes.idling import (
    AFTER,
    ENDS,
    EVERY,
    FIRST,
    GPU,
    OTHER,
    REPORTS,
    blind,
    holder,
    host,
    idle,
    seconds_idle,
    tick,
    used,
)

SHARE = share(GPU, 4 * GIB)
WHOLE = share(GPU)
NO_PROCESS, NO_UTILIZATION = IdleKind.NO_PROCESS, IdleKind.NO_UTILIZATION

SHOWN: dict[str, tuple[Lease, DeviceReading, IdleKind]] = {
    "no process on a device of its own": (holder(), used(), NO_PROCESS),
    "a stray on it": (holder(), used(7, busy=90), NO_PROCESS),
    "a process that runs nothing": (holder(), used(101), NO_UTILIZATION),
    "a list that cannot be read, and nothing runs": (
        holder(),
        replace(used(), contexts=UNREADABLE),
        NO_UTILIZATION,
    ),
    "no process on a share": (holder(SHARE), used(7, busy=90), NO_PROCESS),
    "one device without a process, one where nothing runs": (
        holder(WHOLE, share(OTHER)),
        used(101),
        NO_UTILIZATION,
    ),
}


@pytest.mark.parametrize("case", SHOWN)
def test_what_is_idle(case: str) -> None:
    """A lease is idle where no process of it is on its devices, or nothing runs on devices that
    it has for itself; since the first sample that shows it.
    """
    of, read, kind = SHOWN[case]
    made = host(of)
    tick(made, read)
    assert (idle(made).kind, idle(made).since) == (kind, made.now)
    assert seconds_idle(made) == 0
    tick(made, read)
    assert seconds_idle(made) == EVERY


IN_USE: dict[str, tuple[Lease, DeviceReading]] = {
    "something runs": (holder(), used(101, busy=1)),
    "something runs, and who cannot be read": (
        holder(),
        replace(used(busy=3), contexts=UNREADABLE),
    ),
    "a process, and no utilization to be had": (
        holder(),
        used(101, busy=Unavailable("not supported")),
    ),
    "a process on a share: the utilization is nobody's": (holder(SHARE), used(101)),
    "a process on the one, none on the other": (
        holder(share(OTHER), WHOLE),
        used(101, busy=1),
    ),
    "no device at all": (replace(holder(), shares=()), used()),
    "nobody has entered": (replace(lease(LeaseState.RESERVED, WHOLE)), used()),
}


@pytest.mark.parametrize("case", IN_USE)
def test_what_is_not_idle(case: str) -> None:
    """Whatever shows that a device is used, and what has none to use, is not idle."""
    of, read = IN_USE[case]
    made = host(of)
    tick(made, read)
    assert idle_of(made.ledger, made.lease(FIRST)) is None


UNKNOWN: dict[str, tuple[Lease, DeviceReading]] = {
    "the processes on a share": (holder(SHARE), replace(used(), contexts=UNREADABLE)),
    "the processes and the utilization": (
        holder(),
        replace(used(busy=UNREADABLE), contexts=UNREADABLE),
    ),
    "who a process on a share is": (holder(SHARE), used(8)),
    "one of two devices": (
        holder(share(GPU, GIB), share(OTHER, GIB)),
        replace(used(), contexts=UNREADABLE),
    ),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_what_is_unknown_is_never_idle(case: str) -> None:
    """What cannot be read begins no idle time, does not end it, and does not count."""
    of, read = UNKNOWN[case]
    made = host(of)
    tick(made, read, known=())
    assert idle_of(made.ledger, made.lease(FIRST)) is None
    tick(made)
    tick(made)
    since = idle(made).since
    for _ in range(3):
        tick(made, read, known=())
        assert seconds_idle(made) == EVERY
    tick(made)
    assert (idle(made).since, seconds_idle(made)) == (since, EVERY)
    tick(made)
    assert seconds_idle(made) == 2 * EVERY


def test_a_process_that_ended_is_still_on_the_device() -> None:
    """What NVML lists of a lease is use until it goes, known to `/proc` or not."""
    made = host(holder(SHARE))
    tick(made, used(101))
    tick(made, used(101), known=())
    assert idle_of(made.ledger, made.lease(FIRST)) is None


def test_a_look_from_before_a_process_entered_shows_nothing() -> None:
    """A sample that was begun before the last process entered does not make its lease idle."""
    made = host(replace(holder(), entered=None))
    tick(made)
    assert idle_of(made.ledger, made.lease(FIRST)) is None
    made = host()
    made.ledger.restore([replace(holder(), entered=made.later(EVERY))], (), 0)
    tick(made, seconds=0)
    assert idle_of(made.ledger, made.lease(FIRST)) is None


def test_time_without_a_driver_does_not_count() -> None:
    """While nothing can be read at all the count stands still."""
    made = host()
    tick(made)
    tick(made)
    blind(made)
    blind(made)
    assert seconds_idle(made) == EVERY
    tick(made)
    assert (seconds_idle(made), idle(made).unseen) == (EVERY, 3 * EVERY * SECOND)


def test_the_first_sample_at_all_may_show_nothing() -> None:
    """A count that a restart has brought along stands still from the first failed reading on."""
    made = host(rules=REPORTS)
    tick(made)
    row = replace(holder(), idle=idle(made))
    made = host(row)
    made.ledger.ticked_at = None
    blind(made)
    assert idle(made).stopped == made.now.instant


def test_a_sleep_of_the_host_does_not_count() -> None:
    """A gap between two ticks is not idle time, whether the lease was written down or not."""
    made = host()
    tick(made)
    tick(made)
    tick(made, seconds=1000)
    assert seconds_idle(made) == EVERY
    tick(made)
    assert seconds_idle(made) == EVERY
    for _ in range(AFTER // EVERY):
        tick(made)
    assert idle(made).reported
    counted = seconds_idle(made)
    tick(made, seconds=1000)
    assert made.lease(FIRST).idle == idle(made)
    assert seconds_idle(made) == counted
    tick(made, seconds=1000)
    assert seconds_idle(made) == counted


def test_the_kind_is_that_of_the_last_sample() -> None:
    """A lease whose last idle process goes is idle since the process was."""
    made = host()
    tick(made, used(101))
    first = idle(made)
    tick(made)
    assert idle(made) == replace(first, kind=NO_PROCESS)


def test_idle_time_that_lasts_is_written_and_use_ends_it_at_once() -> None:
    """Idle time is in the lease's row once it has lasted, so that flickering commits nothing; the
    row changes again only when something happens.
    """
    made = host(rules=replace(REPORTS, after=None))
    for _ in range(WRITTEN_AFTER // SECOND // EVERY):
        assert changed_leases(tick(made)) == []
    (row,) = changed_leases(tick(made))
    assert row.idle == idle(made)
    assert changed_leases(tick(made)) == []
    (row,) = changed_leases(blind(made))
    assert row.idle == idle(made)
    assert changed_leases(blind(made)) == []
    assert len(changed_leases(tick(made))) == 1
    (row,) = changed_leases(tick(made, used(101, busy=5)))
    assert row.idle is None
    assert idle_of(made.ledger, row) is None


def test_an_idle_lease_is_reported_once() -> None:
    """After the configured time its holder has a notice without consequence and the history a
    line with what is missing, for how long and since when; then there is quiet.
    """
    made = host()
    for _ in range(AFTER // EVERY):
        assert sentences(tick(made)) == []
    since = idle(made).since
    told = sentences(tick(made))
    assert told == ["idle: no process on its devices for 1m; it is only reported"]
    (notice,) = made.ledger.notices
    assert (notice.lease, notice.kind, notice.sentence) == (FIRST, NoticeKind.IDLE, told[0])
    assert (notice.action, notice.action_at) == (NoticeAction.NOTHING, None)
    line = made.ledger.stories[-1]
    assert line.data == {"idle": "no_process", "since": str(since.wall // SECOND)}
    assert made.lease(FIRST).idle == idle(made)
    for _ in range(AFTER):
        assert sentences(tick(made)) == []
    assert made.lease(FIRST).state is LeaseState.ACTIVE


def test_what_was_not_seen_is_said() -> None:
    """Idle time with gaps in it says how long nothing was known."""
    made = host()
    tick(made)
    blind(made)
    for _ in range(AFTER // EVERY):
        tick(made)
    told = "no process on its devices for 1m, beside 40s of which nothing is known"
    assert sentences(tick(made)) == [f"idle: {told}; it is only reported"]


def test_use_after_a_report_is_told() -> None:
    """A lease that was reported and is used again says so; one that was not says nothing."""
    made = host()
    tick(made)
    assert sentences(tick(made, used(101, busy=5))) == []
    for _ in range(AFTER // EVERY + 1):
        tick(made)
    told = sentences(tick(made, used(101, busy=5)))
    assert told == ["in use again, after no process on its devices for 1m20s"]
    assert made.lease(FIRST).idle is None


def test_never_is_never() -> None:
    """Without a time nobody is told; how long a lease is idle is known all the same."""
    made = host(rules=replace(ENDS, after=None))
    for _ in range(100):
        assert sentences(tick(made)) == []
    assert seconds_idle(made) == 99 * EVERY
