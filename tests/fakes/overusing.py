"""Leases that use more or less than their limit, and the ticks that show it."""

from collections.abc import Sequence
from dataclasses import replace

from gpusched.core.decision import Decision
from gpusched.core.events import Ticked
from gpusched.core.ids import SECOND, LeaseId
from gpusched.core.lease import Lease, LeaseState
from gpusched.core.policy import OverUseRules, Policy
from gpusched.core.request import OverUse
from gpusched.core.sample import DeviceReading, Reading, Unavailable
from gpusched.core.sizes import GIB
from tests.fakes.builders import context, facts, lease, process, reading, sample, share
from tests.fakes.host import Host
from tests.fakes.kernel_builders import GPUS, host_of, own_cgroup, service

GPU, OTHER = GPUS[0], GPUS[1]
GRACE, COOL = 10, 60
TERMINATE = OverUseRules(terminate=True, grace=GRACE * SECOND, cool_down=COOL * SECOND)
UNREAD = Unavailable("no permission")


def holder(
    name: str,
    limit: int | None = 4 * GIB,
    over_use: OverUse = OverUse.CONFIGURED,
    kind: str = "made",
) -> Lease:
    """An active lease of a share of the first GPU; *kind* is its cgroup's."""
    made = lease(LeaseState.ACTIVE, share(GPU, limit), name=name)
    where = {"made": own_cgroup(name), "in place": service(), "none": None}[kind]
    request = replace(made.request, over_use=over_use, memory=limit)
    return replace(made, cgroup=where, request=request)


def host(*leases: Lease, rules: OverUseRules = TERMINATE) -> Host:
    """A host with these leases, whose devices have been read."""
    return host_of(*leases, policy=Policy(overuse=rules))


def pid(lease_id: LeaseId) -> int:
    return 100 + int(lease_id.removeprefix("lease-"))


def tick(made: Host, **used: Reading[int]) -> Decision:
    """A tick that shows the lease of each number using so much of the first GPU."""
    rows = [(LeaseId(f"lease-{name[1:]}"), memory) for name, memory in used.items()]
    figures = [context(pid(one), memory) for one, memory in rows]
    return ticked(made, reading(GPU, *figures, used=70 * GIB), [one for one, _ in rows])


def ticked(made: Host, read: DeviceReading, owners: list[LeaseId]) -> Decision:
    """A tick with one reading, whose processes are those of *owners*."""
    return shown(made, [read], owners)


def shown(made: Host, rows: Sequence[DeviceReading], owners: list[LeaseId]) -> Decision:
    """A tick with several readings, whose processes are those of *owners*."""
    known = [facts(pid(one), cgroup=f"/gpusched/{one}") for one in owners]
    members = {one: frozenset({process(pid(one))}) for one in owners}
    given = {one.device.uuid for one in rows}
    idle = [reading(one) for one in GPUS if one.uuid not in given]
    taken = sample(*rows, *idle, at=made.now, known=known, members=members)
    return made.do(Ticked(taken))


def only(made: Host, name: str = "1") -> Lease:
    return made.lease(LeaseId(f"lease-{name}"))
