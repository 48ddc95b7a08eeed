"""Leases that use their devices, or do not, and the ticks that show it."""

from collections.abc import Iterable
from dataclasses import replace

from gpusched.core.decision import Decision
from gpusched.core.events import RenewRequested, Ticked
from gpusched.core.idle import idle_of
from gpusched.core.idleness import Idle
from gpusched.core.ids import SECOND, LeaseId
from gpusched.core.lease import Lease, LeaseState
from gpusched.core.policy import IdleRules, Policy
from gpusched.core.sample import ContextReading, DeviceReading, NodeSample, Reading, Unavailable
from gpusched.core.share import Share
from tests.fakes.builders import ADA, context, facts, lease, process, reading, sample, share
from tests.fakes.host import Host
from tests.fakes.kernel_builders import GPUS, host_of, own_cgroup

GPU, OTHER = GPUS[0], GPUS[1]
AFTER, GRACE, EVERY = 60, 10, 20
"""Seconds until a lease is told, until it is ended then, and between two ticks here."""

ENDS = IdleRules(after=AFTER * SECOND, end=True, grace=GRACE * SECOND)
REPORTS = replace(ENDS, end=False)
FIRST = LeaseId("lease-1")


def holder(*shares: Share, name: str = "1") -> Lease:
    """An active lease in a cgroup of its own; the whole first GPU unless said."""
    made = lease(LeaseState.ACTIVE, *(shares or (share(GPU),)), name=name)
    return replace(made, cgroup=own_cgroup(name))


def host(*leases: Lease, rules: IdleRules = REPORTS) -> Host:
    """A host with these leases, whose devices have been read."""
    return host_of(*(leases or (holder(),)), policy=Policy(idle=rules))


def used(*pids: int, busy: Reading[int] = 0) -> DeviceReading:
    """The first GPU with these processes, a kernel running *busy* percent of the time."""
    return replace(reading(GPU, *map(context, pids)), gpu_utilization=busy)


def tick(
    made: Host,
    *readings: DeviceReading,
    mine: Iterable[int] = (101,),
    known: Iterable[int] | None = None,
    seconds: float = EVERY,
) -> Decision:
    """A tick some time later; the processes *mine* are of the first lease.

    Devices without a reading have no process; *known*: those that `/proc` knows, if not all.
    """
    made.later(seconds)
    pids = [one.pid for each in readings for one in _rows(each)]
    theirs = [one for one in pids if one in (pids if known is None else known)]
    given = {one.device.uuid for one in readings}
    rest = [reading(one) for one in GPUS if one.uuid not in given]
    members = {FIRST: frozenset(map(process, mine))}
    told = [facts(one, cgroup="/gpusched/lease-1" if one in mine else "") for one in theirs]
    return made.do(Ticked(sample(*readings, *rest, at=made.now, known=told, members=members)))


def blind(made: Host, seconds: float = EVERY) -> Decision:
    """A tick that could read nothing."""
    made.later(seconds)
    nothing = Unavailable("no driver")
    return made.do(
        Ticked(NodeSample(made.now.instant, nothing, members={FIRST: frozenset({process(101)})}))
    )


def idle(made: Host) -> Idle:
    """How idle the first lease is, which it must be."""
    found = idle_of(made.ledger, made.lease(FIRST))
    assert found is not None
    return found


def seconds_idle(made: Host) -> float:
    """For how many seconds it has been so."""
    return idle(made).time(made.now.instant) / SECOND


def renew(made: Host) -> Decision:
    """Its holder renews the first lease."""
    return made.do(RenewRequested(ADA, FIRST))


def _rows(one: DeviceReading) -> tuple[ContextReading, ...]:
    return () if isinstance(one.contexts, Unavailable) else one.contexts
