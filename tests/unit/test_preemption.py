"""Which leases give way to a request of a higher class, and how they end."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpusched.core.changes import NoticeGiven, StoryKind
from gpusched.core.events import CancelRequested
from gpusched.core.ids import SECOND, LeaseId, RequestId
from gpusched.core.lease import EndReason
from gpusched.core.notice import NoticeAction, NoticeKind
from gpusched.core.policy import Policy
from gpusched.core.preemption import those_who_give_way
from gpusched.core.priority import QueueRules
from gpusched.core.request import Request
from gpusched.core.sizes import GIB
from gpusched.core.ticking import next_deadline
from gpusched.core.verdicts import judge
from tests.examples import examples
from tests.fakes.builders import BOB, ROOT, reading
from tests.fakes.host import Host, places, sentences
from tests.fakes.preempting import CLASSES, NOTICE, ONE, RULES, TWO, giving_way, hosting
from tests.fakes.queued_host import wish


@pytest.mark.parametrize(
    ("classes", "count", "expected"),
    [
        (("low", "low"), 1, ["held-1"]),
        (("low", "normal", "low"), 1, ["held-2"]),
        (("low", "low", "normal"), 1, ["held-1"]),
        (("low", "low", "low"), 2, ["held-1", "held-2"]),
        (("normal", "firm", None), 1, []),
        (("low", "normal"), 2, []),
        (("lowest", "low"), 1, ["held-1"]),
    ],
)
def test_the_fewest_and_youngest_give_way(
    classes: tuple[str | None, ...], count: int, expected: list[str]
) -> None:
    """As many leases with the mark are told as the request needs, and the youngest of them."""
    host, _ = hosting(*classes)
    host.queue(wish("urgent", count), BOB)
    assert giving_way(host) == expected


def test_nobody_gives_way_to_an_equal() -> None:
    """A class is no reason to end leases of itself, or of a higher one."""
    host, _ = hosting("low", "normal")
    host.queue(wish("a", priority="low"), BOB)
    assert giving_way(host) == []


def test_nobody_gives_way_where_it_is_switched_off() -> None:
    """Without preemption a higher class only passes in the queue."""
    host, _ = hosting("low", rules=QueueRules(classes=CLASSES, preemption=False))
    host.queue(wish("a"), BOB)
    assert giving_way(host) == []


def test_told_first_and_ended_in_time() -> None:
    """Its holder is told what comes and when; then it ends with that reason, and who waits is
    served with the same device.
    """
    host, (lease,) = hosting("low")
    decision = host.ask(wish("urgent", priority="high"), BOB)
    notices = [one.notice for one in decision.changes if isinstance(one, NoticeGiven)]
    assert notices == []
    (notice,) = host.ledger.notices
    assert (notice.lease, notice.kind, notice.action) == (
        lease.id,
        NoticeKind.PREEMPTION,
        NoticeAction.END,
    )
    assert notice.action_at == host.now.instant + NOTICE * SECOND
    assert notice.sentence == (
        "gives way to user1001, who waits in the class high: it ends in 20s"
    )
    assert next_deadline(host.ledger) == notice.action_at
    host.later(NOTICE - 1)
    host.tick()
    assert host.lease(lease.id).usable
    host.later(1)
    host.tick()
    over = host.lease(lease.id)
    assert (over.reason, over.detail) == (
        EndReason.PREEMPTED,
        "user1001 waits for it in the class high",
    )
    (served,) = host.ledger.live()
    assert (served.uid, places(served)) == (BOB.uid, [ONE.uuid])


def test_who_is_needed_no_more_stays() -> None:
    """Where the request waits no longer the lease stays, and the history says so."""
    host, (lease,) = hosting("low")
    host.queue(wish("urgent"), BOB)
    assert giving_way(host) == ["held-0"]
    host.do(CancelRequested(BOB, RequestId("urgent")))
    assert giving_way(host) == []
    told = [one.sentence for one in host.ledger.stories if one.kind is StoryKind.GIVES_WAY]
    assert told[-1] == "stays: nobody waits for its place any more"
    host.later(NOTICE)
    host.tick()
    assert host.lease(lease.id).usable


def test_a_request_makes_way_once() -> None:
    """While those who were told have not ended yet, nobody else is told for the same request."""
    host, _ = hosting("low", "low")
    host.queue(wish("urgent"), BOB)
    host.later(5)
    host.tick()
    assert giving_way(host) == ["held-1"]


def test_each_request_makes_its_own_way() -> None:
    """Two like requests make way for two, at once."""
    host, _ = hosting("low", "low", "low")
    host.queue(wish("a"), BOB)
    host.queue(wish("b"), BOB)
    assert giving_way(host) == ["held-1", "held-2"]


def test_no_way_is_made_for_who_would_not_get_it() -> None:
    """What is kept for a request before it is no way for a request."""
    host, _ = hosting("low", "normal")
    host.queue(wish("all", 2, priority="high"), ROOT)
    host.queue(wish("one"), BOB)
    assert giving_way(host) == []


def test_a_named_device_is_made_free() -> None:
    """Where devices are named only the leases on them are in the choice."""
    host, _ = hosting("low", "low")
    host.queue(wish("urgent", devices=(ONE.uuid,)), BOB)
    assert giving_way(host) == ["held-0"]


def shared(*sizes: int) -> Host:
    """A device of 80 GiB with shares of the class low, the first one oldest."""
    host = Host(ONE, policy=Policy(queue=RULES))
    for number, size in enumerate(sizes):
        host.later(1)
        asked = Request(RequestId(f"held-{number}"), memory=size * GIB, priority="low")
        host.grant(asked)
    return host


@pytest.mark.parametrize(
    ("sizes", "wanted", "expected"),
    [
        ((40, 10, 20), 20, ["held-2"]),
        ((40, 10, 20), 30, ["held-2"]),
        ((40, 10, 20), 50, ["held-0"]),
        ((30, 10, 20, 20), 45, ["held-0", "held-3"]),
        ((10, 10), 70, ["held-1"]),
    ],
)
def test_shares_give_way(sizes: tuple[int, ...], wanted: int, expected: list[str]) -> None:
    """Of shares as few end as give enough memory back, the youngest of those that do."""
    host = shared(*sizes)
    host.queue(wish("urgent", memory=wanted * GIB), BOB)
    assert giving_way(host) == expected


def test_all_shares_give_way_to_a_whole_device() -> None:
    """Who wants a device for itself needs all of its leases gone."""
    host = shared(10, 20)
    host.queue(wish("urgent"), BOB)
    assert giving_way(host) == ["held-0", "held-1"]


def test_whoever_cannot_be_ended_does_not_give_way() -> None:
    """A lease whose processes are known by name only is not ended for anybody."""
    host, (lease,) = hosting("low")
    host.attach(lease, 7)
    host.queue(wish("urgent"), BOB)
    assert giving_way(host) == []


def test_what_is_in_the_way_otherwise_is_no_reason() -> None:
    """Nobody is ended for a device that would not serve even then."""
    host, _ = hosting("low", "low")
    host.later(60)
    host.queue(wish("urgent"), BOB)
    assert giving_way(host) == []
    host.tick(reading(ONE), reading(TWO))
    assert giving_way(host) == ["held-1"]


def test_a_sleep_gives_everybody_the_same_time() -> None:
    """A suspended host ends nobody sooner."""
    host, (lease,) = hosting("low")
    host.queue(wish("urgent"), BOB)
    host.later(3600)
    host.tick()
    assert host.lease(lease.id).usable
    host.later(NOTICE)
    told = sentences(host.tick())
    assert any("gave way to a request of a higher class" in one for one in told)


def fits(host: Host, request: Request, gone: set[LeaseId]) -> bool:
    """Whether a request would be granted on a host without some of its leases."""
    after = Host(*host.devices, policy=host.ledger.policy)
    for lease in host.ledger.live():
        if lease.id not in gone:
            after.put(lease)
    return after.would_grant(request)


@examples(60)
@given(
    held=st.lists(
        st.tuples(
            st.integers(0, 1),
            st.sampled_from([None, 10, 30, 50]),
            st.sampled_from(["low", "normal", "lowest"]),
        ),
        max_size=6,
    ),
    wanted=st.sampled_from([None, 20, 60]),
    count=st.integers(1, 2),
)
def test_no_fewer_would_do(
    held: list[tuple[int, int | None, str]], wanted: int | None, count: int
) -> None:
    """Whoever is chosen is of a lower class with the mark; without them the request is served;
    and no smaller set of such leases would do.
    """
    host = Host(ONE, TWO, policy=Policy(queue=RULES))
    for number, (place, size, priority) in enumerate(held):
        memory = None if size is None else size * GIB
        where = ((ONE, TWO)[place].uuid,)
        host.later(1)
        host.ask(Request(RequestId(f"h{number}"), memory=memory, devices=where, priority=priority))
    memory = None if wanted is None else wanted * GIB
    request = Request(RequestId("urgent"), count=count, memory=memory)
    verdicts = judge(host.ledger, request, host.now.instant)
    chosen = those_who_give_way(host.ledger, request, (0, 0), verdicts, {})
    may = [one for one in host.ledger.live() if CLASSES[one.request.priority or ""].preemptible]
    assert all(one in may for one in chosen)
    sets = [
        {one.id for one in some}
        for size in range(len(may) + 1)
        for some in combinations(may, size)
    ]
    enough = [some for some in sets if fits(host, request, {*some})]
    if enough and enough[0]:
        assert {one.id for one in chosen} in enough
        assert len(chosen) == len(enough[0])
    else:
        assert chosen == ()


def test_of_very_many_a_set_that_will_do_is_taken() -> None:
    """Where there are too many sets to look at them all, those are left out who are not needed."""
    host = Host(ONE, TWO, policy=Policy(queue=RULES))
    for number in range(30):
        asked = Request(RequestId(f"h{number}"), memory=5 * GIB, priority="low")
        host.grant(asked)
    request = Request(RequestId("urgent"), count=2, memory=40 * GIB)
    verdicts = judge(host.ledger, request, host.now.instant)
    chosen = those_who_give_way(host.ledger, request, (0, 0), verdicts, {})
    assert fits(host, request, {one.id for one in chosen})
    for one in chosen:
        assert not fits(host, request, {each.id for each in chosen} - {one.id})
