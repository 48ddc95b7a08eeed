"""How requests that wait leave without a grant, over gRPC."""

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from grpc import aio

from gpusched.api.v1 import (
    events_pb2,
    events_pb2_grpc,
    leases_pb2,
    rejection_pb2,
    request_pb2,
)
from gpusched.core.events import PolicyRead
from gpusched.core.policy import Policy
from gpusched.core.pool import DEFAULT_POOL, Pools
from gpusched.core.rights import EVERYBODY
from tests.fakes.waiting import until
from tests.integration.serving_rpc import (
    Public,
    abandoned,
    another_ends,
    another_holds,
    another_waits,
    pass_time,
    refusal,
    rejection_in,
)
from tests.integration.waiting_clients import ALL, begun, granted, left, told, waiting, wish

Wish = request_pb2.AllocateRequest
Kind = rejection_pb2.RejectionKind
GRACE = 120
TRAINING = {DEFAULT_POOL: EVERYBODY, "training": EVERYBODY}
TO_TRAINING = dict.fromkeys(range(ALL), "training")
pytestmark = pytest.mark.usefixtures("often")


async def test_a_wait_that_runs_out(face: Public) -> None:
    """Who waits at most so long is refused then, with what was still in the way."""
    theirs = another_holds(face, count=ALL)
    asked = await begun(face, Wish(request_id="mine", wait=Duration(seconds=3)))
    (listed,) = await waiting(face)
    waits = listed.wait_deadline.ToNanoseconds() - listed.enqueued_at.ToNanoseconds()
    assert waits == pytest.approx(3 * 10**9, abs=10**6)
    pass_time(face, 4)
    error = await refusal(asked, grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert (error.details() or "").startswith("waited 3s: ")
    rejection = rejection_in(error)
    assert rejection.kind == Kind.REJECTION_KIND_LATER
    assert [one.lease_id for one in rejection.holders] == [theirs]
    assert await waiting(face) == []


async def test_a_host_that_slept_lets_nobody_s_wait_run_out(face: Public) -> None:
    """Time in which nothing was sampled is given back to who waits."""
    another_holds(face, count=ALL)
    asked = await begun(face, Wish(request_id="mine", wait=Duration(seconds=3)))
    face.clock.advance(3600 * 10**9)
    face.authority.tick()
    assert not asked.done()
    pass_time(face, 4)
    await refusal(asked, grpc.StatusCode.RESOURCE_EXHAUSTED)


async def test_who_hangs_up_keeps_his_place_for_a_while(face: Public) -> None:
    """A client that comes back with the request id has the place that it had before."""
    another_holds(face, count=ALL)
    asked = await begun(face, wish("mine"))
    behind = await begun(face, wish("behind"))
    (before, _) = await waiting(face)
    await left(asked)
    await until(lambda: abandoned(face, "mine"))
    (away, _) = await waiting(face)
    keeps = away.abandoned_deadline.ToNanoseconds() - away.enqueued_at.ToNanoseconds()
    assert keeps == pytest.approx(GRACE * 10**9, abs=10**9)
    pass_time(face, GRACE - 10)
    again = await begun(face, wish("mine"))
    (after, _) = await waiting(face)
    assert after == before
    pass_time(face, GRACE)
    another_ends(face)
    for task in (again, behind):
        await granted(task)


async def test_who_does_not_come_back_leaves(face: Public) -> None:
    """After the grace a request without a client waits no longer, and the history says so."""
    another_holds(face, count=ALL)
    stream = face.leases.AllocateStream(wish("mine"))
    await told(aiter(stream))
    stream.cancel()
    await until(lambda: abandoned(face, "mine"))
    pass_time(face, GRACE + 1)
    assert await waiting(face) == []
    stub = events_pb2_grpc.EventsStub(face.channel)
    events = (await stub.List(events_pb2.ListEventsRequest())).events
    said = [(one.kind, one.sentence) for one in events[-2:]]
    assert said[1] == ("unqueued", "waits no longer: its client is gone")
    assert said[0][0] == "queued"


async def test_cancel_ends_the_wait(face: Public) -> None:
    """A request that is withdrawn is refused to who waits for it, with who withdrew it."""
    another_holds(face, count=ALL)
    asked = await begun(face, wish("mine"))
    stream = aiter(face.leases.AllocateStream(wish("mine")))
    await told(stream)
    reply = await face.leases.Cancel(leases_pb2.CancelRequest(request_id="mine"))
    assert not reply.HasField("lease")
    error = await refusal(asked, grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert "mine waits no longer: " in (error.details() or "")
    assert "cancelled it" in (error.details() or "")
    await refusal(told(stream), grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert await waiting(face) == []
    again = face.leases.Cancel(leases_pb2.CancelRequest(request_id="mine"))
    await refusal(again, grpc.StatusCode.NOT_FOUND)


async def test_nobody_cancels_another_s_request(face: Public) -> None:
    """Another user's request is not withdrawn, nor seen but for its place and whose it is."""
    another_holds(face, count=ALL)
    another_waits(face)
    (listed,) = await waiting(face)
    assert (listed.uid, listed.user, listed.position) == (4242, "other", 1)
    assert listed.request == Wish(request_id="theirs-too")
    assert listed.waits_for == ""
    call = face.leases.Cancel(leases_pb2.CancelRequest(request_id="theirs-too", holder_uid=4242))
    await refusal(call, grpc.StatusCode.PERMISSION_DENIED)
    mine = face.leases.Cancel(leases_pb2.CancelRequest(request_id="theirs-too"))
    await refusal(mine, grpc.StatusCode.NOT_FOUND)
    assert len(await waiting(face)) == 1


async def test_an_administrator_cancels_it_for_him(admin_face: Public) -> None:
    """An administrator withdraws the request of another, and sees what it asks for."""
    another_holds(admin_face, count=ALL)
    another_waits(admin_face)
    (listed,) = await waiting(admin_face)
    assert listed.request.labels["theirs"] == "yes"
    await admin_face.leases.Cancel(
        leases_pb2.CancelRequest(request_id="theirs-too", holder_uid=4242)
    )
    assert await waiting(admin_face) == []


async def test_a_name_that_several_users_have(admin_face: Public) -> None:
    """Of requests of one name an administrator hears whose they are, and says which is meant."""
    another_holds(admin_face, count=ALL)
    leases = [another_waits(admin_face, uid=uid) for uid in (4242, 4243)]
    for call in (
        admin_face.leases.Cancel(leases_pb2.CancelRequest(request_id="theirs-too")),
        admin_face.leases.Explain(leases_pb2.ExplainRequest(request_id="theirs-too")),
    ):
        error = await refusal(call, grpc.StatusCode.INVALID_ARGUMENT)
        assert "2 users have a request 'theirs-too' that waits: uid 4242, 4243" in str(error)
    told_of = leases_pb2.ExplainRequest(lease_id=leases[1])
    assert "theirs-too of other" in (await admin_face.leases.Explain(told_of)).sentence
    one = leases_pb2.CancelRequest(request_id="theirs-too", holder_uid=4242)
    await admin_face.leases.Cancel(one)
    assert [each.uid for each in await waiting(admin_face)] == [4243]


async def test_a_daemon_that_ends_lets_all_go(face: Public) -> None:
    """Who waits when the daemon ends is told that it ends, and to ask again."""
    another_holds(face, count=ALL)
    asked = await begun(face, wish("mine"))
    stream = aiter(face.leases.AllocateStream(wish("two")))
    await told(stream)
    face.authority.stop()
    await refusal(asked, grpc.StatusCode.UNAVAILABLE)
    with pytest.raises(aio.AioRpcError) as caught:
        await told(stream)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert [one.abandoned for one in face.authority.ledger.waiting] == [None, None]


async def test_what_settings_make_impossible_is_told_to_who_waits(face: Public) -> None:
    """Who waits for a pool that goes hears so at once, on his own stream and on the watch; who
    asks again is refused, and the others who wait with that id as well.
    """
    face.authority.decide(PolicyRead(Policy(pools=Pools(TRAINING, by_index=TO_TRAINING)), {}))
    another_holds(face, count=ALL, pool="training")
    stream = aiter(face.leases.AllocateStream(wish("mine", pool="training")))
    await told(stream)
    watching = aiter(face.leases.Watch(leases_pb2.WatchLeasesRequest()))
    await anext(watching)
    face.authority.decide(PolicyRead(Policy(), {}))
    why = "pool: there is no pool 'training'; known: default"
    said = f"the host or its configuration to change: {why}"
    assert (await told(stream)).waiting.waits_for == said
    (watched,) = (await anext(watching)).waiting
    assert watched.waits_for == said
    for asked in (face.leases.Allocate(wish("mine", pool="training")), told(stream)):
        error = await refusal(asked, grpc.StatusCode.INVALID_ARGUMENT)
        assert (error.details(), rejection_in(error).field) == (why, "pool")
    assert await waiting(face) == []
