"""Quotas and pools on the wire: refusals, devices, the status, and the commands that would do."""

from dataclasses import replace

from gpusched.api.v1 import device_pb2, node_pb2, rejection_pb2
from gpusched.core.events import PolicyRead
from gpusched.core.ids import SECOND
from gpusched.core.policy import Policy
from gpusched.core.replies import Rejected
from gpusched.core.request import Request
from gpusched.core.sizes import GIB
from gpusched.rpc.call import Call
from gpusched.rpc.commands import command_of
from gpusched.rpc.convert_device import devices_of
from gpusched.rpc.convert_node import counts_of, device_warnings, quotas_of
from gpusched.rpc.convert_rejection import rejection_of
from gpusched.rpc.host import Host as HostFacts
from tests.fakes.bounding import bounded, each, pooled, user
from tests.fakes.builders import ADA, BOB, A, B, device
from tests.fakes.host import Host

FIRST, SECOND_GPU = device(0), device(1)
DAY = 86400 * SECOND
FACTS = HostFacts("n", "1", "/s", "b", 1, cores=1, memory=1)


def told(host: Host, rejected: Rejected, request: Request) -> rejection_pb2.Rejection:
    """A refusal as a client gets it."""
    return rejection_of(rejected, host.ledger, host.now, request)


def devices(host: Host) -> list[device_pb2.Device]:
    """The devices as a client gets them."""
    return devices_of(host.ledger, host.now.instant)


def test_a_quota_in_the_way() -> None:
    """A refusal carries whose quota it is, of what, and how much is used, wanted and allowed."""
    host = Host(FIRST, SECOND_GPU, policy=bounded(user(ADA.uid, devices=1)))
    held = host.grant(Request(A))
    message = told(host, host.refusal(Request(B)), Request(B))
    assert message.kind == rejection_pb2.REJECTION_KIND_LATER
    assert message.quota == rejection_pb2.QuotaExcess(
        subject="user user1000", resource="devices", used=1, wanted=1, allowed=1
    )
    assert message.waits_for == f"the end of {held.id} of user1000"
    assert [one.lease_id for one in message.holders] == [held.id]
    assert message.hint_command == "gpusched status"


def test_a_time_is_told_in_seconds() -> None:
    """A longest time is in seconds on the wire."""
    host = Host(FIRST, policy=bounded(user(ADA.uid, time_limit=DAY)))
    request = Request(A, time_limit=2 * DAY)
    quota = told(host, host.refusal(request), request).quota
    assert (quota.resource, quota.wanted, quota.allowed) == ("time_limit_seconds", 172800, 86400)


def test_other_refusals_have_no_quota() -> None:
    """Where no quota is in the way none is told."""
    host = Host(FIRST)
    assert not told(host, host.refusal(Request(A, count=2)), Request(A)).HasField("quota")


def test_an_unknown_pool_lists_those_that_there_are() -> None:
    """The pools of the host are the allowed values of the field."""
    host = Host(FIRST, policy=Policy(pools=pooled(training=FIRST.uuid)))
    message = told(host, host.refusal(Request(A, pool="x")), Request(A))
    assert (message.field, list(message.allowed_values)) == ("pool", ["default", "training"])


def test_another_pool_is_a_reason() -> None:
    """A device of another pool is told as that, and that waiting does not help."""
    host = Host(FIRST, SECOND_GPU, policy=Policy(pools=pooled(training=FIRST.uuid)))
    request = Request(A, count=2)
    first = told(host, host.refusal(request), request).verdicts[0]
    assert (first.reason, first.never) == (rejection_pb2.VERDICT_REASON_POOL, True)
    assert first.sentence == "is in pool training"


def test_a_command_names_the_pool() -> None:
    """The command that asks again asks of the same pool."""
    assert command_of("run", Request(A, pool="training")) == (
        "gpusched run --gpus 1 --pool training"
    )


def test_devices_are_judged_in_their_pool() -> None:
    """A device that is free in its pool is told so, with the pool; the default one is empty."""
    host = Host(FIRST, SECOND_GPU, policy=Policy(pools=pooled(training=FIRST.uuid)))
    first, second = devices(host)
    assert (first.pool, second.pool) == ("training", "")
    assert (first.schedulable, second.schedulable) == (True, True)
    assert first.grantable.value == second.grantable.value == 80 * GIB
    assert counts_of(host.ledger, host.now.instant, [first, second], []).free_devices == 2


def test_a_move_is_shown_until_it_is_done() -> None:
    """A device that is to change its pool says what it waits for, and where it goes."""
    host = Host(FIRST)
    held = host.grant(Request(A, memory=GIB))
    policy = replace(host.ledger.policy, pools=pooled(training=FIRST.uuid))
    host.do(PolicyRead(policy, {}))
    (moving,) = devices(host)
    assert (moving.pool, dict(moving.attributes)) == ("", {"moves_to_pool": "training"})
    assert not moving.schedulable
    assert moving.unschedulable_reason == (
        "moves from pool default to pool training when the leases on it have ended"
    )
    host.release(held)
    (moved,) = devices(host)
    assert (moved.pool, dict(moved.attributes), moved.schedulable) == ("training", {}, True)


def test_a_device_of_two_pools_is_a_warning() -> None:
    """That two pools name a device is told to everybody."""
    host = Host(FIRST, policy=Policy(pools=pooled(training=FIRST.uuid, serving=0)))
    (warning,) = device_warnings(host.ledger, host.now.instant, FACTS)
    assert warning.endswith("pool serving names it by its index 0, too")


def test_the_status_tells_what_bounds_the_caller() -> None:
    """Each user sees his own bounds and what he has of them."""
    host = Host(FIRST, SECOND_GPU, policy=bounded(each(devices=2, time_limit=DAY)))
    host.grant(Request(A))
    assert quotas_of(host.ledger, Call(ADA)) == [
        node_pb2.Quota(subject="each user", resource="devices", used=1, allowed=2),
        node_pb2.Quota(subject="each user", resource="time_limit_seconds", used=0, allowed=86400),
    ]
    assert quotas_of(host.ledger, Call(BOB))[0].used == 0
