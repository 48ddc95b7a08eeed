"""Quotas and pools over gRPC, as a client meets them."""

import grpc

from gpusched.api.v1 import (
    devices_pb2,
    devices_pb2_grpc,
    leases_pb2,
    node_pb2,
    node_pb2_grpc,
    rejection_pb2,
    request_pb2,
)
from gpusched.core.events import PolicyRead
from gpusched.core.policy import Policy
from gpusched.core.rights import Rights
from tests.fakes.bounding import bounded, each, pooled
from tests.integration.serving_rpc import (
    TWO_A100_AND_L4,
    Public,
    http_ask,
    refusal,
    rejection_in,
)

Wish = request_pb2.AllocateRequest
Kind = rejection_pb2.RejectionKind
FIRST, SECOND, THIRD = (one.uuid for one in TWO_A100_AND_L4)


def configure(face: Public, policy: Policy) -> None:
    """Let the daemon read another configuration."""
    face.authority.decide(PolicyRead(policy, {}))


async def test_a_quota_that_is_full(face: Public) -> None:
    """A full quota is RESOURCE_EXHAUSTED, with whose it is, used, wanted and allowed."""
    configure(face, bounded(each(devices=2)))
    first = await face.leases.Allocate(Wish(count=2))
    error = await refusal(face.leases.Allocate(Wish()), grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert (error.details() or "").startswith(
        "quota of each user: devices: 2 of 2 used, 1 wanted; release one of them"
    )
    rejection = rejection_in(error)
    assert rejection.kind == Kind.REJECTION_KIND_LATER
    assert rejection.quota == rejection_pb2.QuotaExcess(
        subject="each user", resource="devices", used=2, wanted=1, allowed=2
    )
    assert [one.lease_id for one in rejection.holders] == [first.lease.id]
    await face.leases.Release(leases_pb2.ReleaseRequest(lease_id=first.lease.id))
    await face.leases.Allocate(Wish())


async def test_more_than_a_quota(face: Public) -> None:
    """What no quota of the caller will ever allow is FAILED_PRECONDITION."""
    configure(face, bounded(each(devices=1)))
    error = await refusal(face.leases.Allocate(Wish(count=2)), grpc.StatusCode.FAILED_PRECONDITION)
    assert rejection_in(error).kind == Kind.REJECTION_KIND_NEVER_HERE


async def test_the_longest_time(face: Public) -> None:
    """Who names no time limit gets the longest one, and the lease shows it."""
    configure(face, bounded(each(time_limit=3600 * 10**9)))
    lease = (await face.leases.Allocate(Wish())).lease
    limit = lease.time_limit_deadline.ToNanoseconds() - lease.created_at.ToNanoseconds()
    assert limit == 3600 * 10**9


async def test_the_status_shows_quotas(face: Public) -> None:
    """A status has the bounds of whoever asks, and what he has of them."""
    configure(face, bounded(each(devices=2)))
    await face.leases.Allocate(Wish())
    status = await node_pb2_grpc.NodeStub(face.channel).Status(node_pb2.StatusRequest())
    assert list(status.quotas) == [
        node_pb2.Quota(subject="each user", resource="devices", used=1, allowed=2)
    ]


async def test_a_request_names_its_pool(face: Public) -> None:
    """Devices come out of the pool that is named, and the list of devices shows it."""
    configure(face, Policy(pools=pooled(training=THIRD)))
    grant = await face.leases.Allocate(Wish(pool="training"))
    assert [one.uuid for one in grant.devices] == [THIRD]
    assert grant.lease.request.pool == "training"
    stub = devices_pb2_grpc.DevicesStub(face.channel)
    listed = (await stub.List(devices_pb2.ListDevicesRequest())).devices
    assert [one.pool for one in listed] == ["", "", "training"]
    grant = await face.leases.Allocate(Wish(count=2, pool=""))
    assert [one.uuid for one in grant.devices] == [FIRST, SECOND]


async def test_a_pool_that_there_is_not(face: Public) -> None:
    """An unknown pool is INVALID_ARGUMENT with the pools that there are, over HTTP as well."""
    configure(face, Policy(pools=pooled(training=THIRD)))
    error = await refusal(
        face.leases.Allocate(Wish(pool="trian")), grpc.StatusCode.INVALID_ARGUMENT
    )
    rejection = rejection_in(error)
    assert rejection.field == "pool"
    assert list(rejection.allowed_values) == ["default", "training"]
    answer = await http_ask(face.path, "POST", "/v1/Leases/Allocate", b'{"pool": "trian"}')
    assert answer.status == 400
    assert "there is no pool 'trian'" in answer.text


async def test_a_pool_of_others(face: Public) -> None:
    """A pool that is for others is PERMISSION_DENIED."""
    rights = Rights(frozenset({4242}), words="uid 4242")
    configure(face, Policy(pools=pooled(training=THIRD, rights=rights)))
    error = await refusal(
        face.leases.Allocate(Wish(pool="training")), grpc.StatusCode.PERMISSION_DENIED
    )
    assert error.details() == (
        "pool training is for uid 4242; open to you: default; name one as `pool` (`--pool`)"
    )
