"""The start of a service of somebody else's, during which its cgroup is empty now and then.

systemd runs the commands of a start one after the other, each in the unit's cgroup, and nothing is
in it in between. A command that attaches the unit (`ExecStartPre=`) is over when the next one
begins; the lease must not end in that moment, or it could never be there before the unit's own
program.
"""

from typing import Final

from gpusched.core.cgroup_name import unit_in
from gpusched.core.ids import SECOND, Instant
from gpusched.core.lease import Lease

BETWEEN_STEPS: Final = 5 * SECOND
"""systemd needs milliseconds for a step; a host that is busy somewhat more."""


def may_be_between_steps(lease: Lease, seen_at: Instant) -> bool:
    """Say whether that the lease's cgroup was empty at *seen_at* does not say that it is over."""
    # What was adopted had a process on its devices: its start was over.
    if lease.entered is None or lease.cgroup is None or lease.cgroup.made or lease.adopted:
        return False
    if lease.request.attach_caller:  # it is for the command that asked, and ends with that
        return False
    if not lease.usable:  # it ends whoever is there, and what is left is cleared away at once
        return False
    service = unit_in(lease.cgroup.path).endswith(".service")
    return service and seen_at < lease.entered.instant + BETWEEN_STEPS
