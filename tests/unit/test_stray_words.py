"""What a screen says of strays: since when, and what it leads to."""

from dataclasses import replace

import pytest

from gpusched.api.v1 import process_pb2
from gpusched.core.changes import StoryTold
from gpusched.core.ids import Instant, LeaseId
from gpusched.core.ledger import Ledger
from gpusched.core.policy import Policy
from gpusched.core.sight import sight_of
from gpusched.core.stray import Stray, StrayPolicy, StrayRules, StrayStep
from gpusched.core.stray_story import consequence, gone, let_alone, not_sent, seen_for, under
from gpusched.rpc.call import Call, Users
from gpusched.rpc.convert_event import visible
from gpusched.rpc.convert_process import rows_of
from gpusched.rpc.convert_stray import foretold
from tests.fakes.builders import ADA, BOB, ROOT, context, facts, moment, process, reading
from tests.fakes.strays import EVICT, GPU, ONE, host_with, seen

P = StrayPolicy
NOW = moment(1000)
BASE = Stray(process(7), 1000, (GPU.uuid,), moment(900), False, P.EVICT)  # noqa: FBT003 - in its order
IN_8 = Instant(NOW.instant + 8 * 10**9)


@pytest.mark.parametrize(
    ("stray", "dry_run", "words"),
    [
        (replace(BASE, policy=P.REPORT), False, "reported"),
        (replace(BASE, policy=P.AVOID), False, "avoided"),
        (replace(BASE, spared="it is old"), False, "avoided; not evicted: it is old"),
        (replace(BASE, step=StrayStep.WARNED, deadline=IN_8), False, "SIGTERM in 8s"),
        (
            replace(BASE, step=StrayStep.WARNED, deadline=IN_8),
            True,
            "would be sent SIGTERM in 8s",
        ),
        (replace(BASE, step=StrayStep.TERMINATED, deadline=IN_8), False, "SIGKILL in 8s"),
        (replace(BASE, step=StrayStep.TERMINATED, deadline=Instant(1)), False, "SIGKILL in 0s"),
        (replace(BASE, step=StrayStep.KILLED), False, "was sent SIGKILL"),
        (replace(BASE, step=StrayStep.KILLED), True, "would have been sent SIGKILL"),
    ],
)
def test_what_it_leads_to(stray: Stray, dry_run: bool, words: str) -> None:  # noqa: FBT001 - a case
    """A few words say what comes next, and when."""
    assert consequence(stray, StrayRules(P.EVICT, dry_run=dry_run), NOW.instant) == words


def test_since_when() -> None:
    """How long it is there, as far as this daemon knows."""
    assert seen_for(BASE, NOW.instant) == "for 1m40s"
    assert seen_for(BASE, BASE.since.instant) == "just seen"
    assert seen_for(replace(BASE, at_start=True), NOW.instant) == "since before the daemon"


@pytest.mark.parametrize(
    "told",
    [
        not_sent(BASE, "it may not be", NOW),
        let_alone(replace(BASE, policy=P.REPORT), NOW),
        under(BASE, LeaseId("lease-a"), NOW),
        gone(BASE, NOW),
    ],
)
def test_how_it_went_on_is_seen_by_its_user(told: StoryTold) -> None:
    """Whose the process is sees all that is told of it, as he saw the warning; others see of it
    what they may see of each other.
    """
    ledger = Ledger(Policy(others=sight_of(())))
    assert visible(told.line, ledger, Call(ADA))
    assert not visible(told.line, ledger, Call(BOB))


def test_the_rows_of_strays() -> None:
    """The row of a stray has since when, what comes and when; other rows have none of it."""
    host = host_with(EVICT)
    seen(host, ONE)
    since = host.now
    host.later(2)
    known = [ONE, facts(8, name="nv-hostengine")]
    host.tick(reading(GPU, context(7), context(8), context(9)), known=known)
    rows = foretold(rows_of(host.ledger, Call(ROOT), Users()), host.ledger, host.now)
    one, other, unknown = rows
    assert one.stray_consequence == "SIGTERM in 8s"
    assert one.stray_since.ToNanoseconds() == since.wall
    assert one.signal_at.ToNanoseconds() == since.wall + EVICT.grace
    for row in (other, unknown):
        fresh = process_pb2.Process()
        assert row.stray_consequence == ""
        assert row.HasField("stray_since") is row.HasField("signal_at") is False
        assert fresh != row


def test_a_row_of_one_that_is_only_avoided() -> None:
    """Without an eviction no signal is announced."""
    host = host_with(StrayRules())
    seen(host, ONE)
    (row,) = foretold(rows_of(host.ledger, Call(ROOT), Users()), host.ledger, host.now)
    assert row.stray_consequence == "avoided"
    assert not row.HasField("signal_at")
