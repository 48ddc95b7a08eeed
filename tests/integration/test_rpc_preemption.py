"""Priority classes over gRPC: who may use which, who is served first, and who gives way."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import grpc
import pytest

from gpusched.api.v1 import lease_pb2, leases_pb2, rejection_pb2, request_pb2
from gpusched.core.events import PolicyRead
from gpusched.core.policy import Policy
from gpusched.core.priority import CLASSES, PriorityClass, QueueRules
from gpusched.core.rights import Rights
from tests.integration.serving_rpc import (
    ME,
    Public,
    another_ends,
    another_holds,
    another_waits,
    http_ask,
    pass_time,
    refusal,
    rejection_in,
)
from tests.integration.waiting_clients import ALL, begun, granted, left, told, waiting, wish

Wish = request_pb2.AllocateRequest
NOTICE = 30
RULES = QueueRules(
    classes={
        **CLASSES,
        "mine": PriorityClass(5, rights=Rights(uids=frozenset({ME}), words="me")),
        "theirs": PriorityClass(5, rights=Rights(uids=frozenset({4343}), words="uid 4343")),
        "spare": PriorityClass(-5, preemptible=True),
    }
)
pytestmark = pytest.mark.usefixtures("often")


@pytest.fixture(autouse=True)
def _classes(face: Public) -> None:
    face.authority.decide(PolicyRead(Policy(queue=RULES), {}))


async def lease(face: Public, name: str) -> lease_pb2.Lease:
    """A lease as it is now."""
    return await face.leases.Get(leases_pb2.GetLeaseRequest(lease_id=name))


async def notice(stream: AsyncIterator[leases_pb2.LeaseList]) -> lease_pb2.Notice:
    """The next notice of a watch."""
    async with asyncio.timeout(10):
        async for listed in stream:
            if listed.notices:
                return listed.notices[0]
    raise AssertionError


async def test_a_class_that_there_is_not(face: Public) -> None:
    """An unknown class is INVALID_ARGUMENT, and the sentence has those that there are."""
    error = await refusal(
        face.leases.Allocate(wish("mine", priority="urgent")), grpc.StatusCode.INVALID_ARGUMENT
    )
    rejection = rejection_in(error)
    assert (rejection.field, list(rejection.allowed_values)) == ("priority", [*RULES.classes])
    assert error.details() == (
        "priority: there is no class 'urgent'; known: high, normal, low, mine, theirs, spare"
    )


@pytest.mark.parametrize("name", ["high", "theirs"])
async def test_a_class_of_others(face: Public, name: str) -> None:
    """A class that is for others is PERMISSION_DENIED, over JSON as well."""
    call = face.leases.Allocate(Wish(priority=name))
    error = await refusal(call, grpc.StatusCode.PERMISSION_DENIED)
    rejection = rejection_in(error)
    assert rejection.kind == rejection_pb2.REJECTION_KIND_NOT_ALLOWED
    assert rejection.field == "priority"
    body = f'{{"priority": "{name}"}}'.encode()
    answer = await http_ask(face.path, "POST", "/v1/Leases/Allocate", body)
    assert (answer.status, f"may not use the class '{name}'" in answer.text) == (403, True)


async def test_who_may_use_a_class_has_it_on_the_lease(face: Public) -> None:
    """A lease shows the class that it was asked for in, and whether it may end for another."""
    for name, gives_way in (("mine", False), ("spare", True), ("", False)):
        found = (await face.leases.Allocate(Wish(priority=name) if name else Wish())).lease
        assert (found.priority, found.preemptible) == (name or "normal", gives_way)


async def test_the_higher_class_is_served_first(face: Public) -> None:
    """A request of a higher class passes those of lower ones that came shortly before it."""
    another_holds(face, count=ALL)
    early = await begun(face, wish("early", count=ALL))
    late = await begun(face, wish("late", count=ALL, priority="mine"))
    assert [one.request.request_id for one in await waiting(face)] == ["late", "early"]
    assert [one.priority for one in await waiting(face)] == ["mine", "normal"]
    another_ends(face)
    assert (await granted(late)).lease.request.request_id == "late"
    assert not early.done()
    await left(early)


async def test_a_preemptible_lease_is_told_and_ends_for_a_higher_class(face: Public) -> None:
    """Its watch has the notice, with what comes and when; it ends, and the other is granted."""
    grant = await face.leases.Allocate(Wish(count=ALL, priority="spare"))
    watching = aiter(face.leases.Watch(leases_pb2.WatchLeasesRequest(lease_id=grant.lease.id)))
    assert not (await anext(watching)).notices
    asked = await begun(face, wish("higher"))
    heard = await notice(watching)
    assert heard.kind == lease_pb2.NOTICE_KIND_PREEMPTION
    assert heard.action == lease_pb2.NOTICE_ACTION_END
    assert heard.action_at.ToNanoseconds() - heard.at.ToNanoseconds() == NOTICE * 10**9
    assert "who waits in the class normal" in heard.sentence
    now = await lease(face, grant.lease.id)
    assert now.state == lease_pb2.LEASE_STATE_RESERVED
    assert now.giving_way.priority == "normal"
    assert [one.preempted_lease_ids for one in await waiting(face)] == [[grant.lease.id]]
    pass_time(face, NOTICE - 1)
    assert not asked.done()
    pass_time(face, 2)
    ended = await lease(face, grant.lease.id)
    assert ended.end_reason == lease_pb2.END_REASON_PREEMPTED
    assert "waits for it in the class normal" in ended.end_detail
    assert len((await granted(asked)).devices) == 1


async def test_as_few_as_possible_give_way(face: Public) -> None:
    """Of leases that would do the youngest gives way, and no other."""
    leases = [(await face.leases.Allocate(Wish(priority="spare"))).lease.id for _ in range(ALL)]
    asked = await begun(face, wish("higher"))
    pass_time(face, NOTICE + 1)
    await granted(asked)
    ended = [(await lease(face, one)).end_reason for one in leases]
    assert ended == [0] * (ALL - 1) + [lease_pb2.END_REASON_PREEMPTED]


@pytest.mark.parametrize(
    ("theirs", "mine"),
    [("spare", "spare"), ("spare", "low"), (None, "mine"), ("theirs", "mine")],
)
async def test_nobody_else_gives_way(face: Public, theirs: str | None, mine: str) -> None:
    """A lease of an equal or higher class, or without the mark, is not ended for anybody."""
    held = another_holds(face, count=ALL, uid=4343, priority=theirs)
    asked = await begun(face, wish("waits", priority=mine))
    pass_time(face, 2 * NOTICE)
    assert not asked.done()
    found = await lease(face, held)
    assert found.state == lease_pb2.LEASE_STATE_RESERVED
    assert not found.HasField("giving_way")
    another_ends(face, uid=4343)
    await granted(asked)


async def test_who_is_not_needed_any_more_stays(face: Public) -> None:
    """Where the request is withdrawn before the time is over, the lease stays."""
    grant = await face.leases.Allocate(Wish(count=ALL, priority="spare"))
    asked = await begun(face, wish("higher"))
    assert (await lease(face, grant.lease.id)).HasField("giving_way")
    await face.leases.Cancel(leases_pb2.CancelRequest(request_id="higher"))
    await refusal(asked, grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert not (await lease(face, grant.lease.id)).HasField("giving_way")
    pass_time(face, 2 * NOTICE)
    assert (await lease(face, grant.lease.id)).state == lease_pb2.LEASE_STATE_RESERVED


async def test_preemption_may_be_switched_off(face: Public) -> None:
    """Where the operator does not want it, a higher class is served first and ends nobody."""
    rules = replace(RULES, preemption=False)
    face.authority.decide(PolicyRead(Policy(queue=rules), {}))
    grant = await face.leases.Allocate(Wish(count=ALL, priority="spare"))
    asked = await begun(face, wish("higher"))
    pass_time(face, 2 * NOTICE)
    assert (await lease(face, grant.lease.id)).state == lease_pb2.LEASE_STATE_RESERVED
    assert not asked.done()
    await left(asked)


async def test_who_waits_hears_who_gives_way_for_him(face: Public) -> None:
    """The stream of the higher one names the lease that ends for it."""
    grant = await face.leases.Allocate(Wish(count=ALL, priority="spare"))
    stream = aiter(face.leases.AllocateStream(wish("higher")))
    assert (await told(stream)).waiting.preempted_lease_ids == [grant.lease.id]
    pass_time(face, NOTICE + 1)
    assert (await told(stream)).WhichOneof("update") == "grant"


async def test_a_request_of_another_in_a_lower_class_ends_nothing(face: Public) -> None:
    """Only a lease of a lower class than the request gives way."""
    grant = await face.leases.Allocate(Wish(count=ALL, priority="spare"))
    another_waits(face, priority="low")
    pass_time(face, 2 * NOTICE)
    assert (await lease(face, grant.lease.id)).state == lease_pb2.LEASE_STATE_RESERVED
