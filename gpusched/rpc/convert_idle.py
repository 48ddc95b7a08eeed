"""The idleness of a lease on the wire."""

from google.protobuf.duration_pb2 import Duration

from gpusched.api.v1 import lease_pb2
from gpusched.core.idle import idle_of
from gpusched.core.idleness import IdleKind
from gpusched.core.ids import SECOND, Moment
from gpusched.core.lease import Lease
from gpusched.core.ledger import Ledger
from gpusched.rpc.convert_reading import deadline_of, moment_of

KINDS = {
    IdleKind.NO_PROCESS: lease_pb2.IDLE_KIND_NO_PROCESS,
    IdleKind.NO_UTILIZATION: lease_pb2.IDLE_KIND_NO_UTILIZATION,
}


def idleness_of(lease: Lease, ledger: Ledger, now: Moment) -> lease_pb2.Lease:
    """Give what a lease's message says of it: nothing where it is not idle, or ends."""
    idle = idle_of(ledger, lease) if lease.usable else None
    if idle is None:
        return lease_pb2.Lease()
    seconds, nanos = divmod(idle.time(now.instant), SECOND)
    return lease_pb2.Lease(
        idle_since=moment_of(idle.since),
        idle_kind=KINDS[idle.kind],
        idle_time=Duration(seconds=seconds, nanos=nanos),
        idle_deadline=deadline_of(idle.deadline, now),
    )
