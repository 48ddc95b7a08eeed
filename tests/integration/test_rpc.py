"""Allocating and releasing over gRPC: grants, and every kind of refusal."""

import os

import grpc

from gpusched.api.v1 import (
    lease_pb2,
    leases_pb2,
    rejection_pb2,
    request_pb2,
)
from gpusched.core.events import ReleaseRequested
from gpusched.core.ids import LeaseId
from tests.fakes.builders import process
from tests.integration.serving_rpc import (
    ME,
    Public,
    another_holds,
    refusal,
    rejection_in,
)

Wish = request_pb2.AllocateRequest
Kind = rejection_pb2.RejectionKind
Owner = request_pb2.OwnerReference


async def test_grant(face: Public) -> None:
    """A grant names the devices in every way and carries the environment."""
    grant = await face.leases.Allocate(Wish(count=2, labels={"team": "vision"}))
    assert grant.lease.state == lease_pb2.LEASE_STATE_RESERVED
    assert grant.lease.holder.uid == ME
    assert grant.lease.request.labels["team"] == "vision"
    assert [one.relative_index for one in grant.devices] == [0, 1]
    assert [one.uuid for one in grant.devices] == [one.uuid for one in grant.lease.devices]
    assert grant.environment["CUDA_VISIBLE_DEVICES"] == "0,1"
    assert grant.environment["GPUSCHED_LEASE"] == grant.lease.id
    assert grant.environment["GPUSCHED_SIMULATOR"] == "/srv/simulator"
    assert grant.enforcement.level == lease_pb2.ENFORCEMENT_LEVEL_ADVISORY
    assert grant.mask_format == request_pb2.MASK_FORMAT_INDEX
    assert grant.node == "testhost"


async def test_same_request(face: Public) -> None:
    """The same request_id gets the same lease again."""
    first = await face.leases.Allocate(Wish(request_id="mine"))
    again = await face.leases.Allocate(Wish(request_id="mine"))
    assert first.lease.id == again.lease.id
    assert face.authority.ledger.live_count() == 1


async def test_allocate_stream(face: Public) -> None:
    """Without a queue the stream of an allocation is its grant."""
    updates = [one async for one in face.leases.AllocateStream(Wish())]
    assert [one.WhichOneof("update") for one in updates] == ["grant"]


async def test_bad_request(face: Public) -> None:
    """A malformed request is INVALID_ARGUMENT and names the field."""
    error = await refusal(face.leases.Allocate(Wish(count=5000)), grpc.StatusCode.INVALID_ARGUMENT)
    rejection = rejection_in(error)
    assert rejection.kind == Kind.REJECTION_KIND_BAD_REQUEST
    assert rejection.field == "count"
    assert rejection.sentence == error.details()


async def test_unknown_type(face: Public) -> None:
    """An unknown type of GPU is answered with the types of this host."""
    wish = Wish(gpu_types=["nvidia-k9"])
    error = await refusal(face.leases.Allocate(wish), grpc.StatusCode.INVALID_ARGUMENT)
    rejection = rejection_in(error)
    assert rejection.field == "gpu_types"
    assert rejection.allowed_values == ["nvidia-a100-80gb", "nvidia-l4"]


async def test_later(face: Public) -> None:
    """What could fit later is RESOURCE_EXHAUSTED and says who holds the devices."""
    theirs = another_holds(face, count=3)
    error = await refusal(face.leases.Allocate(Wish()), grpc.StatusCode.RESOURCE_EXHAUSTED)
    rejection = rejection_in(error)
    assert rejection.kind == Kind.REJECTION_KIND_LATER
    assert [one.lease_id for one in rejection.holders] == [theirs]
    assert rejection.holders[0].user == "other"
    assert len(rejection.verdicts) == 3
    assert rejection.verdicts[0].reason == rejection_pb2.VERDICT_REASON_HELD
    assert theirs in rejection.waits_for
    assert rejection.hint_command == "gpusched explain --gpus 1"


async def test_never_here(face: Public) -> None:
    """What never fits is FAILED_PRECONDITION and comes with the nearest that would."""
    wish = Wish(count=5)
    error = await refusal(face.leases.Allocate(wish), grpc.StatusCode.FAILED_PRECONDITION)
    rejection = rejection_in(error)
    assert rejection.kind == Kind.REJECTION_KIND_NEVER_HERE
    assert rejection.nearest.count == 3
    assert rejection.nearest_command == "gpusched run --gpus 3 -- CMD"


async def test_not_yet(face: Public) -> None:
    """A field that is not there yet is UNIMPLEMENTED by its name, and nothing is granted."""
    wish = Wish(parent_lease_id="lease-a")
    error = await refusal(face.leases.Allocate(wish), grpc.StatusCode.UNIMPLEMENTED)
    assert rejection_in(error).kind == Kind.REJECTION_KIND_NOT_YET
    assert "parent_lease_id" in (error.details() or "")
    assert face.authority.ledger.live_count() == 0


async def test_not_allowed(face: Public) -> None:
    """Nobody releases the lease of somebody else."""
    theirs = another_holds(face)
    call = face.leases.Release(leases_pb2.ReleaseRequest(lease_id=theirs))
    error = await refusal(call, grpc.StatusCode.PERMISSION_DENIED)
    assert rejection_in(error).kind == Kind.REJECTION_KIND_NOT_ALLOWED


async def test_not_found(face: Public) -> None:
    """A lease that never was is NOT_FOUND."""
    call = face.leases.Get(leases_pb2.GetLeaseRequest(lease_id="lease-none"))
    error = await refusal(call, grpc.StatusCode.NOT_FOUND)
    assert rejection_in(error).kind == Kind.REJECTION_KIND_NOT_FOUND


async def test_wrong_state(face: Public) -> None:
    """A lease in use is not released: FAILED_PRECONDITION names its processes."""
    grant = await face.leases.Allocate(Wish(attach_caller=True))
    lease_id = LeaseId(grant.lease.id)
    face.scene.members = {lease_id: frozenset({process(77)})}
    call = face.leases.Release(leases_pb2.ReleaseRequest(lease_id=lease_id))
    error = await refusal(call, grpc.StatusCode.FAILED_PRECONDITION)
    assert rejection_in(error).kind == Kind.REJECTION_KIND_WRONG_STATE
    assert "77" in (error.details() or "")


async def test_release_looks_first(face: Public) -> None:
    """Before a lease in use is released, it is looked at who is alive now."""
    grant = await face.leases.Allocate(Wish(attach_caller=True))
    assert grant.attachment.mode == lease_pb2.ATTACH_MODE_RECORDED
    assert [one.pid for one in grant.attachment.processes] == [os.getpid()]
    face.scene.members = {LeaseId(grant.lease.id): frozenset()}
    await face.leases.Release(leases_pb2.ReleaseRequest(lease_id=grant.lease.id))
    assert face.authority.refreshed == 1


async def test_release(face: Public) -> None:
    """A released lease has ended; releasing it again succeeds."""
    grant = await face.leases.Allocate(Wish())
    request = leases_pb2.ReleaseRequest(lease_id=grant.lease.id[:-1])
    for _ in range(2):
        reply = await face.leases.Release(request)
        assert reply.leases[0].state == lease_pb2.LEASE_STATE_ENDED
        assert reply.leases[0].end_reason == lease_pb2.END_REASON_RELEASED
    assert face.authority.refreshed == 0


async def test_release_by_owner(face: Public) -> None:
    """All leases of an owner are released at once; none is no error."""
    for _ in range(2):
        await face.leases.Allocate(Wish(owner=Owner(reference="ray:1")))
    request = leases_pb2.ReleaseRequest(owner_reference="ray:1")
    assert len((await face.leases.Release(request)).leases) == 2
    assert len((await face.leases.Release(request)).leases) == 0
    assert isinstance(face.authority.events[-1], ReleaseRequested)


async def test_ambiguous_prefix(face: Public) -> None:
    """A prefix that several leases begin with is INVALID_ARGUMENT and names them."""
    names = [(await face.leases.Allocate(Wish())).lease.id for _ in range(2)]
    call = face.leases.Renew(leases_pb2.RenewRequest(lease_id="lease-"))
    error = await refusal(call, grpc.StatusCode.INVALID_ARGUMENT)
    assert all(one in (error.details() or "") for one in names)
