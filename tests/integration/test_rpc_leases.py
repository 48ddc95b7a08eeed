"""The other verbs of the lease service over gRPC, and looking at leases."""

import asyncio
import os

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from gpusched.api.v1 import (
    lease_pb2,
    leases_pb2,
    process_pb2,
    rejection_pb2,
    request_pb2,
)
from gpusched.core.changes import LeaseChanged
from gpusched.core.enforcement import Level
from gpusched.core.ids import ProcessId
from gpusched.core.lease import prepare, prepared
from gpusched.core.replies import Done, Reply
from tests.integration.serving_rpc import (
    Public,
    another_holds,
    refusal,
)

Wish = request_pb2.AllocateRequest
Kind = rejection_pb2.RejectionKind
Owner = request_pb2.OwnerReference
Identity = process_pb2.ProcessIdentity
Target = leases_pb2.AttachRequest


async def test_renew_and_cancel(face: Public) -> None:
    """A lease is renewed by its owner's word, and a request nobody used is withdrawn."""
    wish = Wish(request_id="mine", owner=Owner(reference="k8s:1"), keepalive=Duration(seconds=60))
    grant = await face.leases.Allocate(wish)
    face.clock.advance(10**9)
    renewed = await face.leases.Renew(leases_pb2.RenewRequest(owner_reference="k8s:1"))
    before, after = grant.lease.keepalive_deadline, renewed.keepalive_deadline
    assert after.ToNanoseconds() - before.ToNanoseconds() >= 10**9
    reply = await face.leases.Cancel(leases_pb2.CancelRequest(request_id="mine"))
    assert reply.lease.end_reason == lease_pb2.END_REASON_CANCELLED


async def test_cancel_of_another(face: Public) -> None:
    """Only an administrator cancels requests of another user."""
    another_holds(face)
    call = face.leases.Cancel(leases_pb2.CancelRequest(request_id="theirs", holder_uid=4242))
    await refusal(call, grpc.StatusCode.PERMISSION_DENIED)


async def test_cancel_as_admin(admin_face: Public) -> None:
    """An administrator cancels a request for its holder."""
    theirs = another_holds(admin_face)
    request = leases_pb2.CancelRequest(request_id="theirs", holder_uid=4242)
    assert (await admin_face.leases.Cancel(request)).lease.id == theirs


async def test_attach_process(face: Public) -> None:
    """A process is attached by its pid, and again without change."""
    grant = await face.leases.Allocate(Wish())
    request = leases_pb2.AttachRequest(lease_id=grant.lease.id, process=Identity(pid=os.getpid()))
    for warnings in (0, 1):
        reply = await face.leases.Attach(request)
        assert reply.lease.state == lease_pb2.LEASE_STATE_ACTIVE
        assert [one.pid for one in reply.attachment.processes] == [os.getpid()]
        assert len(reply.warnings) == warnings


@pytest.mark.parametrize(
    ("target", "code"),
    [
        (Target(), grpc.StatusCode.INVALID_ARGUMENT),
        (Target(caller=False), grpc.StatusCode.INVALID_ARGUMENT),
        (Target(process=Identity(pid=0)), grpc.StatusCode.INVALID_ARGUMENT),
        (Target(process=Identity(pid=(1 << 31) - 1)), grpc.StatusCode.NOT_FOUND),
        (Target(process=Identity(pid=1, start_ticks=12345678)), grpc.StatusCode.NOT_FOUND),
    ],
)
async def test_attach_refused(
    face: Public, target: leases_pb2.AttachRequest, code: grpc.StatusCode
) -> None:
    """What cannot be attached is refused by its kind."""
    grant = await face.leases.Allocate(Wish())
    request = Target(lease_id=grant.lease.id)
    request.MergeFrom(target)
    await refusal(face.leases.Attach(request), code)


async def test_attach_caller(face: Public) -> None:
    """The caller attaches itself as the kernel names it."""
    grant = await face.leases.Allocate(Wish())
    reply = await face.leases.Attach(
        leases_pb2.AttachRequest(lease_id=grant.lease.id, caller=True)
    )
    assert reply.lease.processes[0].pid == os.getpid()


async def test_the_grant_again_while_a_process_is_attached(
    face: Public, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asking again while another attaches itself waits for that, and is the grant all the same."""
    granted = await face.leases.Allocate(Wish(request_id="mine"))
    authority = face.authority
    (reserved,) = authority.ledger.live()
    preparing = prepare(reserved, ProcessId(os.getpid(), 1), "/", None)
    authority.become(LeaseChanged(preparing))
    active = prepared(preparing, None, Level.ADVISORY, "", face.clock.now())

    async def attached(*_: object) -> Reply:
        authority.become(LeaseChanged(active))
        return Done((active,))

    monkeypatch.setattr(authority, "outcome", attached)
    again = await face.leases.Allocate(Wish(request_id="mine"))
    assert again.lease.id == granted.lease.id
    assert again.lease.state == lease_pb2.LEASE_STATE_ACTIVE


async def test_list_filters(face: Public) -> None:
    """A list keeps what all filters keep; ended leases are listed instead of living ones."""
    theirs = another_holds(face)
    mine = (await face.leases.Allocate(Wish(labels={"a": "b"}))).lease
    request = leases_pb2.ListLeasesRequest
    listed = await face.leases.List(request())
    assert [one.id for one in listed.leases] == [theirs, mine.id]
    assert not listed.leases[0].HasField("request")
    for filters in (request(mine=True), request(labels={"a": "b"}), request(device="1")):
        assert [one.id for one in (await face.leases.List(filters)).leases] == [mine.id]
    assert len((await face.leases.List(request(limit=1))).leases) == 1
    await face.leases.Release(leases_pb2.ReleaseRequest(lease_id=mine.id))
    ended = await face.leases.List(request(ended=True))
    assert [one.id for one in ended.leases] == [mine.id]


async def test_story(face: Public) -> None:
    """The history of a lease comes with it where it is asked for."""
    grant = await face.leases.Allocate(Wish())
    request = leases_pb2.GetLeaseRequest(lease_id=grant.lease.id, include_story=True)
    assert [one.kind for one in (await face.leases.Get(request)).story] == ["granted"]


async def test_durable_before_told(face: Public) -> None:
    """Nothing is told before it is durable."""
    before = face.authority.waited
    await face.leases.List(leases_pb2.ListLeasesRequest())
    assert face.authority.waited == before + 1


async def test_watch(face: Public) -> None:
    """A watch gives the list at once and again after a change; that of one lease ends with it."""
    grant = await face.leases.Allocate(Wish())
    every = face.leases.Watch(leases_pb2.WatchLeasesRequest())
    one = face.leases.Watch(leases_pb2.WatchLeasesRequest(lease_id=grant.lease.id))
    assert len((await anext(aiter(every))).leases) == 1
    states = [(await anext(aiter(one))).leases[0].state]
    another_holds(face)
    assert len((await anext(aiter(every))).leases) == 2
    every.cancel()
    await face.leases.Release(leases_pb2.ReleaseRequest(lease_id=grant.lease.id))
    async with asyncio.timeout(10):
        states += [listed.leases[0].state async for listed in one]
    assert states == [lease_pb2.LEASE_STATE_RESERVED, lease_pb2.LEASE_STATE_ENDED]


async def test_explain(face: Public) -> None:
    """A dry run says what would be granted or why not, and grants nothing."""
    reply = await face.leases.Explain(leases_pb2.ExplainRequest(request=Wish(count=2)))
    assert len(reply.device_uuids) == 2
    assert not reply.HasField("rejection")
    reply = await face.leases.Explain(leases_pb2.ExplainRequest(request=Wish(count=9)))
    assert reply.rejection.kind == Kind.REJECTION_KIND_NEVER_HERE
    assert reply.sentence == reply.rejection.sentence
    assert face.authority.ledger.live_count() == 0


async def test_explain_things(face: Public) -> None:
    """A lease, its request and a device are explained by name."""
    theirs = another_holds(face)
    mine = await face.leases.Allocate(Wish(request_id="mine"))
    request = leases_pb2.ExplainRequest
    assert "other" in (await face.leases.Explain(request(lease_id=theirs))).sentence
    by_key = await face.leases.Explain(request(request_id="mine"))
    assert mine.lease.id in by_key.sentence
    assert [one.kind for one in by_key.story] == ["granted"]
    by_device = await face.leases.Explain(request(device="0"))
    assert theirs in by_device.sentence
    assert by_device.verdicts[0].lease_id == theirs
    await refusal(face.leases.Explain(request()), grpc.StatusCode.INVALID_ARGUMENT)
    await refusal(face.leases.Explain(request(request_id="x")), grpc.StatusCode.NOT_FOUND)
    await refusal(face.leases.Explain(request(device="9")), grpc.StatusCode.NOT_FOUND)


async def test_environment(face: Public) -> None:
    """The grant of a living lease is given again, in another format; never another's."""
    theirs = another_holds(face)
    grant = await face.leases.Allocate(Wish())
    request = leases_pb2.EnvironmentRequest(
        lease_id=grant.lease.id, mask_format=request_pb2.MASK_FORMAT_UUID
    )
    again = await face.leases.Environment(request)
    assert again.environment["CUDA_VISIBLE_DEVICES"] == grant.devices[0].uuid
    other = face.leases.Environment(leases_pb2.EnvironmentRequest(lease_id=theirs))
    await refusal(other, grpc.StatusCode.PERMISSION_DENIED)
    await face.leases.Release(leases_pb2.ReleaseRequest(lease_id=grant.lease.id))
    await refusal(face.leases.Environment(request), grpc.StatusCode.FAILED_PRECONDITION)


async def test_owner_reference(face: Public) -> None:
    """A lease is named by its owner where that means one lease of the caller."""
    owner = Owner(reference="ray:1", process=Identity(pid=os.getpid()))
    first = await face.leases.Allocate(Wish(owner=owner))
    assert first.lease.owner.process.start_ticks > 0
    named = leases_pb2.GetLeaseRequest(owner_reference="ray:1")
    assert (await face.leases.Get(named)).id == first.lease.id
    await face.leases.Allocate(Wish(owner=Owner(reference="ray:1")))
    await refusal(face.leases.Get(named), grpc.StatusCode.INVALID_ARGUMENT)
    none = leases_pb2.GetLeaseRequest(owner_reference="ray:2")
    await refusal(face.leases.Get(none), grpc.StatusCode.NOT_FOUND)
    empty = leases_pb2.GetLeaseRequest(owner_reference="")
    await refusal(face.leases.Get(empty), grpc.StatusCode.INVALID_ARGUMENT)
    listed = leases_pb2.ListLeasesRequest(owner_reference="ray:1")
    another_holds(face)
    assert len((await face.leases.List(listed)).leases) == 2


async def test_refused_verbs(face: Public) -> None:
    """What a verb cannot do is refused by its kind."""
    kill = leases_pb2.ReleaseRequest(lease_id="x", kill=True, grace=Duration(seconds=-1))
    await refusal(face.leases.Release(kill), grpc.StatusCode.INVALID_ARGUMENT)
    kill.grace.FromSeconds(3_000_000 * 86_400)  # its end has no date
    await refusal(face.leases.Release(kill), grpc.StatusCode.INVALID_ARGUMENT)
    revoke = leases_pb2.RevokeRequest(lease_id=another_holds(face, count=0), reason="y")
    await refusal(face.leases.Revoke(revoke), grpc.StatusCode.PERMISSION_DENIED)
    cancel = leases_pb2.CancelRequest()
    await refusal(face.leases.Cancel(cancel), grpc.StatusCode.INVALID_ARGUMENT)
    device = Wish(device_uuids=["9"])
    await refusal(face.leases.Allocate(device), grpc.StatusCode.FAILED_PRECONDITION)
    listed = leases_pb2.ListLeasesRequest(device="GPU-none")
    await refusal(face.leases.List(listed), grpc.StatusCode.NOT_FOUND)
    watched = face.leases.Watch(leases_pb2.WatchLeasesRequest(lease_id="none"))
    await refusal(anext(aiter(watched)), grpc.StatusCode.NOT_FOUND)


async def test_watch_is_quiet(face: Public) -> None:
    """A watch of one lease tells nothing while others change."""
    grant = await face.leases.Allocate(Wish())
    watching = face.leases.Watch(leases_pb2.WatchLeasesRequest(lease_id=grant.lease.id))
    stream = aiter(watching)
    await anext(stream)
    another_holds(face)
    await face.leases.Cancel(leases_pb2.CancelRequest(request_id=grant.lease.request.request_id))
    assert (await anext(stream)).leases[0].end_reason == lease_pb2.END_REASON_CANCELLED
