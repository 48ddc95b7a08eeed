"""Requests that wait, over gRPC: their place, what they are told, and their grant."""

import asyncio
import os
from typing import NoReturn

import grpc
import pytest

from gpusched.api.v1 import (
    lease_pb2,
    leases_pb2,
    node_pb2,
    node_pb2_grpc,
    rejection_pb2,
    request_pb2,
)
from gpusched.core.events import PolicyRead
from gpusched.core.ids import ProcessId
from gpusched.core.lease import LeaseState
from gpusched.core.replies import Refusal
from gpusched.core.standing import Standing
from gpusched.ports import ProcessTable
from gpusched.rpc import allocating
from gpusched.rpc.standing import standing_of
from gpusched.rpc.status import refuse
from tests.fakes.bounding import bounded, each
from tests.fakes.waiting import until
from tests.integration.serving_rpc import (
    Public,
    another_ends,
    another_holds,
    pass_time,
    refusal,
    rejection_in,
)
from tests.integration.waiting_clients import ALL, begun, granted, left, told, waiting, wish

Wish = request_pb2.AllocateRequest
Kind = rejection_pb2.RejectionKind
pytestmark = pytest.mark.usefixtures("often")


async def test_what_is_not_free_is_granted_after_the_release(face: Public) -> None:
    """Allocate with a wait answers once the devices are given back, with all that a grant has."""
    another_holds(face, count=ALL)
    asked = await begun(face, wish("mine", labels={"a": "b"}))
    (listed,) = await waiting(face)
    assert (listed.request.request_id, listed.position) == ("mine", 1)
    assert listed.priority == "normal"
    assert not listed.HasField("abandoned_deadline")
    assert not listed.HasField("wait_deadline")
    another_ends(face)
    grant = await granted(asked)
    assert grant.lease.state == lease_pb2.LEASE_STATE_RESERVED
    assert grant.lease.request.labels["a"] == "b"
    assert len(grant.devices) == 1
    assert await waiting(face) == []


async def test_the_stream_tells_the_place_and_what_is_waited_for(face: Public) -> None:
    """Who follows hears his place at once, again whenever it is another, and the grant last."""
    theirs = another_holds(face, count=ALL)
    first = await begun(face, wish("first", count=ALL))
    stream = aiter(face.leases.AllocateStream(wish("second")))
    news = (await told(stream)).waiting
    assert (news.request.request_id, news.position) == ("second", 2)
    assert news.waits_for == f"the end of {theirs} of other"
    assert news.blocking_lease_ids == [theirs]
    assert news.enqueued_at.ToNanoseconds() > 0
    await left(first)
    await face.leases.Cancel(leases_pb2.CancelRequest(request_id="first"))
    assert (await told(stream)).waiting.position == 1
    another_ends(face)
    assert (await told(stream)).grant.lease.request.request_id == "second"
    with pytest.raises(StopAsyncIteration):
        await told(stream)


async def test_the_stream_tells_nothing_while_nothing_changes(face: Public) -> None:
    """The same place for the same reason is told once, however long it is waited for."""
    another_holds(face, count=ALL)
    stream = aiter(face.leases.AllocateStream(wish("mine")))
    await told(stream)
    pass_time(face, 3)
    news = asyncio.ensure_future(told(stream))
    await asyncio.sleep(0.1)
    assert not news.done()
    another_ends(face)
    assert (await news).WhichOneof("update") == "grant"


async def test_lists_watches_and_the_status_have_who_waits(face: Public) -> None:
    """Whoever looks at leases sees the requests too, in the order of service."""
    theirs = another_holds(face, count=ALL)
    watching = aiter(face.leases.Watch(leases_pb2.WatchLeasesRequest()))
    assert list((await anext(watching)).waiting) == []
    tasks = [await begun(face, wish(name)) for name in ("b", "a")]
    lists = [[one.request.request_id for one in (await anext(watching)).waiting]]
    while len(lists[-1]) < 2:
        lists.append([one.request.request_id for one in (await anext(watching)).waiting])
    assert lists[-1] == ["b", "a"]
    status = await node_pb2_grpc.NodeStub(face.channel).Status(node_pb2.StatusRequest())
    assert [one.position for one in status.waiting] == [1, 2]
    assert status.waiting[0].waits_for == f"the end of {theirs} of other"
    for task in tasks:
        await left(task)


async def test_what_can_never_be_had_is_not_waited_for(face: Public) -> None:
    """A request that no wait would help is refused at once."""
    asked = face.leases.Allocate(wish("mine", count=ALL + 1))
    error = await refusal(asked, grpc.StatusCode.FAILED_PRECONDITION)
    assert rejection_in(error).kind == Kind.REJECTION_KIND_NEVER_HERE


async def test_the_same_request_twice_has_one_place_and_both_are_answered(face: Public) -> None:
    """Two clients with one request id wait in one place for one lease."""
    another_holds(face, count=ALL)
    first = await begun(face, wish("mine"))
    stream = aiter(face.leases.AllocateStream(wish("mine")))
    assert (await told(stream)).waiting.position == 1
    assert len(await waiting(face)) == 1
    another_ends(face)
    grants = (await granted(first), (await told(stream)).grant)
    assert len({one.lease.id for one in grants}) == 1
    assert face.authority.ledger.live_count() == 1


async def test_another_request_with_the_id_of_one_that_waits(face: Public) -> None:
    """A request id that is bound to a request that waits is for no other one."""
    another_holds(face, count=ALL)
    asked = await begun(face, wish("mine"))
    error = await refusal(
        face.leases.Allocate(wish("mine", count=2)), grpc.StatusCode.INVALID_ARGUMENT
    )
    assert rejection_in(error).field == "request_id"
    await left(asked)


async def test_a_quota_of_requests_that_wait(face: Public) -> None:
    """Who has as many requests waiting as he may is refused the next, which he can ask later."""
    face.authority.decide(PolicyRead(bounded(each(waiting=1)), {}))
    another_holds(face, count=ALL)
    asked = await begun(face, wish("one"))
    error = await refusal(face.leases.Allocate(wish("two")), grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert rejection_in(error).quota == rejection_pb2.QuotaExcess(
        subject="each user", resource="waiting", used=1, wanted=1, allowed=1
    )
    again = await begun(face, wish("one"))
    await face.leases.Cancel(leases_pb2.CancelRequest(request_id="one"))
    for task in (asked, again):
        await refusal(task, grpc.StatusCode.RESOURCE_EXHAUSTED)
    await left(await begun(face, wish("two")))


async def test_the_caller_enters_the_lease_that_he_waited_for(face: Public) -> None:
    """With `attach_caller` the process that asked is in the lease when the grant is told."""
    another_holds(face, count=ALL)
    asked = await begun(face, wish("mine", attach_caller=True))
    second = await begun(face, wish("mine", attach_caller=True))
    another_ends(face)
    for task in (asked, second):
        lease = (await granted(task)).lease
        assert lease.state == lease_pb2.LEASE_STATE_ACTIVE
        assert [one.pid for one in lease.processes] == [os.getpid()]


async def test_a_lease_that_the_caller_cannot_enter_is_given_back(
    face: Public, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who waited and cannot be put into the lease is refused, and the devices are free again."""
    another_holds(face, count=ALL)
    asked = await begun(face, wish("mine", attach_caller=True))

    async def gone(*_: object) -> NoReturn:
        raise refuse(Refusal.NOT_FOUND, "the calling process has ended")

    monkeypatch.setattr(allocating, "standing_of", gone)
    another_ends(face)
    await refusal(asked, grpc.StatusCode.NOT_FOUND)
    assert face.authority.ledger.live_count() == 0
    assert await waiting(face) == []


async def test_who_comes_when_another_is_in_the_lease_leaves_him_in_it(
    face: Public, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two clients with one id one cannot enter the lease: the other, who is in it, keeps it."""
    another_holds(face, count=ALL)
    first = await begun(face, wish("mine", attach_caller=True))
    second = await begun(face, wish("mine", attach_caller=True))
    once, asked = iter([standing_of]), asyncio.Event()

    async def once_only(processes: ProcessTable, process: ProcessId) -> Standing:
        found = next(once, None)
        if found is not None:
            await asked.wait()
            return await found(processes, process)
        asked.set()
        await until(lambda: _active(face))
        raise refuse(Refusal.NOT_FOUND, "the calling process has ended")

    monkeypatch.setattr(allocating, "standing_of", once_only)
    another_ends(face)
    done = await asyncio.gather(first, second, return_exceptions=True)
    (grant,) = [one for one in done if isinstance(one, lease_pb2.Grant)]
    assert grant.lease.state == lease_pb2.LEASE_STATE_ACTIVE
    assert face.authority.ledger.live_count() == 1


def _active(face: Public) -> bool:
    return any(one.state is LeaseState.ACTIVE for one in face.authority.ledger.live())
