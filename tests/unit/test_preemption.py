"""Which leases give way to a request of a higher class, and how they end."""

from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpusched.core.changes import NoticeGiven, StoryKind
from gpusched.core.events import CancelRequested, PolicyRead
from gpusched.core.ids import SECOND, LeaseId, RequestId
from gpusched.core.lease import EndReason, Lease
from gpusched.core.notice import NoticeAction, NoticeKind
from gpusched.core.policy import Policy
from gpusched.core.preemption import those_who_give_way
from gpusched.core.preferences import Sharing
from gpusched.core.priority import PriorityClass, QueueRules
from gpusched.core.request import Request
from gpusched.core.sizes import GIB
from gpusched.core.ticking import next_deadline
from gpusched.core.verdicts import judge
from tests.fakes.builders import BOB, ROOT, device, reading
from tests.fakes.host import Host, places, sentences
from tests.fakes.queued_host import wish

NOTICE = 20
CLASSES = {
    "high": PriorityClass(10),
    "normal": PriorityClass(),
    "firm": PriorityClass(-10),
    "low": PriorityClass(-10, preemptible=True),
    "lowest": PriorityClass(-20, preemptible=True),
}
RULES = QueueRules(classes=CLASSES, notice=NOTICE * SECOND)
ONE, TWO, THREE = (device(place) for place in range(3))


def hosting(*classes: str | None, rules: QueueRules = RULES) -> tuple[Host, list[Lease]]:
    """A host of as many devices, each granted to a lease of a class, the first one oldest."""
    host = Host(*(device(place) for place in range(len(classes))), policy=Policy(queue=rules))
    leases = []
    for place, priority in enumerate(classes):
        host.later(1)
        leases.append(host.grant(Request(RequestId(f"held-{place}"), priority=priority)))
    host.tick()
    return host, leases


def giving_way(host: Host) -> list[str]:
    """The requests whose leases were told that they end."""
    return [one.request.request_id for one in host.ledger.live() if one.giving_way]


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


def test_another_default_class_marks_nobody() -> None:
    """Who named no class has the one that was the default when he asked: a reload that makes a
    class with the mark the default gives the mark to no lease, nor a right to who waits.
    """
    host, (held, _) = hosting(None, "low")
    host.queue(wish("waits", devices=(ONE.uuid,)))
    low, high = (Policy(queue=replace(RULES, default=name)) for name in ("low", "high"))
    host.do(PolicyRead(low, {}))
    host.queue(wish("urgent", devices=(ONE.uuid,), priority="high"), BOB)
    assert giving_way(host) == []
    host.do(CancelRequested(BOB, RequestId("urgent")))
    host.release(held)
    (served,) = (one for one in host.ledger.live() if one.request.request_id == "waits")
    assert (held.priority, served.priority, served.request.priority) == ("normal", "normal", None)
    other, _ = hosting("low", "normal", rules=replace(RULES, default="low"))
    other.queue(wish("waits", devices=(ONE.uuid,)), BOB)
    other.queue(wish("urgent", devices=(TWO.uuid,), priority="high"), BOB)
    other.do(PolicyRead(high, {}))
    assert giving_way(other) == []


def test_a_clock_that_jumps_makes_nobody_younger() -> None:
    """Who is youngest is told by the clock that does not jump."""
    host = Host(ONE, TWO, policy=Policy(queue=RULES))
    for name in ("old", "young"):
        host.grant(Request(RequestId(name), priority="low"))
        later = host.later(1)
        host.now = replace(later, wall=later.wall - 3600 * SECOND)
    host.tick()
    host.queue(wish("urgent"), BOB)
    assert giving_way(host) == ["young"]


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


def sharing(how: Sharing, size: int, priority: str = "low") -> Request:
    """A request for a share."""
    words = f"{how.value} {size} {priority}"
    return replace(wish(words, memory=size * GIB, priority=priority), sharing=how)


def test_who_lets_nobody_else_in_gives_way() -> None:
    """A lease of the class with the mark that is there beside its holder's own only gives way to
    who may not be beside it, however much room there is; with it all such leases, and no others.
    """
    host = Host(ONE, policy=Policy(queue=RULES))
    host.grant(sharing(Sharing.OWN, 10))
    host.grant(sharing(Sharing.ANY, 20))
    host.queue(sharing(Sharing.ANY, 30, "high"), BOB)
    assert giving_way(host) == ["own 10 low"]
    firm = Host(ONE, policy=Policy(queue=RULES))
    firm.grant(sharing(Sharing.OWN, 10, "normal"))
    firm.grant(sharing(Sharing.OWN, 10))
    firm.queue(sharing(Sharing.ANY, 30, "high"), BOB)
    assert giving_way(firm) == []


def test_all_others_give_way_to_who_wants_nobody_beside() -> None:
    """Who shares with his own leases only needs all leases of others gone, and room enough."""
    host = Host(ONE, policy=Policy(queue=RULES))
    host.grant(sharing(Sharing.ANY, 30), BOB)
    host.grant(sharing(Sharing.ANY, 10))
    host.grant(sharing(Sharing.ANY, 20))
    host.queue(sharing(Sharing.OWN, 40, "high"), BOB)
    assert giving_way(host) == ["any 10 low", "any 20 low"]
    full = Host(ONE, policy=Policy(queue=RULES))
    full.grant(sharing(Sharing.ANY, 70, "normal"), BOB)
    full.grant(sharing(Sharing.ANY, 5))
    full.queue(sharing(Sharing.OWN, 20, "high"), BOB)
    assert giving_way(full) == []


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


@settings(max_examples=60, deadline=None)
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
