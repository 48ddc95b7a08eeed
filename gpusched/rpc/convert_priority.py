"""The priority of a lease on the wire: its class, and for whom it gives way."""

from gpusched.api.v1 import lease_pb2
from gpusched.core.ids import Moment
from gpusched.core.lease import Lease
from gpusched.core.ledger import Ledger
from gpusched.core.sight import Sight
from gpusched.rpc.call import Call
from gpusched.rpc.convert_reading import deadline_of


def priority_of(
    lease: Lease, ledger: Ledger, now: Moment, call: Call, seen: Sight
) -> lease_pb2.Lease:
    """Give what a lease's message says of its priority, as far as the caller may see it."""
    own, rules = call.may_see(lease.uid), ledger.policy.queue
    message = lease_pb2.Lease()
    if own:
        message.priority = rules.named(lease.priority)
        message.preemptible = rules.class_of(lease.priority).preemptible
    way = _giving_way(lease, ledger, now, call) if own or seen.device else None
    if way is not None:
        message.giving_way.CopyFrom(way)
    return message


def _giving_way(
    lease: Lease, ledger: Ledger, now: Moment, call: Call
) -> lease_pb2.GivingWay | None:
    """Say for whom a lease gives way; None: for nobody, or it ends already."""
    way = lease.giving_way if lease.usable else None
    waiting = None if way is None else ledger.waiting.get(way.key)
    if way is None or waiting is None:
        return None
    message = lease_pb2.GivingWay(
        deadline=deadline_of(way.deadline, now),
        priority=waiting.priority,
        lease_id=waiting.lease_id,
    )
    if call.sight_of(waiting.uid, ledger.policy.others).uid:
        message.uid, message.user = waiting.uid, waiting.user
    return message
