"""Hosts with services that run already, and requests for leases of them."""

from gpusched.core.changes import AbilityFound
from gpusched.core.decision import Decision
from gpusched.core.enforcement import NOT_PROBED
from gpusched.core.ids import Caller, LeaseId
from gpusched.core.replies import Rejected
from gpusched.core.sample import DeviceReading, ProcessFacts
from gpusched.core.stray_events import AdoptRequested
from tests.fakes.builders import (
    ROOT,
    facts,
    process,
    standing,
)
from tests.fakes.host import MASKING, Host
from tests.fakes.strays import GPU, OTHER

GIB, MIB = 1 << 30, 1 << 20
SERVICE, SESSION = "/system.slice/a.service", "/user.slice/session-1.scope"
LEASE = LeaseId("lease-a")


def host_of(*readings: DeviceReading, known: list[ProcessFacts], cgroups: bool = True) -> Host:
    """Two devices with these processes on them."""
    host = Host(GPU, OTHER)
    host.apply([AbilityFound(MASKING if cgroups else NOT_PROBED)])
    host.tick(*readings, known=known)
    return host


def served(pid: int = 7, cgroup: str = SERVICE, uid: int = 1000) -> ProcessFacts:
    """A process of a service."""
    return facts(pid, uid, cgroup=cgroup)


def asked(
    host: Host,
    pid: int = 7,
    cgroup: str = SERVICE,
    by: Caller = ROOT,
    *,
    own: int | None = None,
    dry_run: bool = False,
) -> Decision:
    """Ask for a lease for what runs."""
    where = standing(pid, cgroup=cgroup)
    itself = None if own is None else process(own)
    event = AdoptRequested(by, process(pid), where, itself, "ada", 100, LEASE, dry_run)
    return host.do(event)


def refusal(decision: Decision) -> str:
    """Why it was refused; nothing may have changed."""
    assert isinstance(decision.reply, Rejected), decision.reply
    assert (decision.changes, decision.actions) == ((), ())
    return decision.reply.sentence
