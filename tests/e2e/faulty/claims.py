"""What must be true of a host whose daemon has died, has come back, and has nothing left to do.

Each function gives the faults that it finds, a sentence each. The ledger is asked through the
daemon, the kernel directly.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from gpusched.adapters.cgroup.guard import CgroupGuard
from gpusched.adapters.cgroup.programs import Programs
from gpusched.adapters.nvml.simulated.nodes import (
    CAPABILITY_MINORS,
    CONTROL_NODES,
    GPU_MINORS,
    MAJOR,
)
from gpusched.client.document import Document
from gpusched.core.mask import Mask, NodeRange, Rule
from tests.e2e.cgroups import pids
from tests.e2e.faulty.cgroups import made, populated
from tests.e2e.faulty.ordeal import Ordeal

_PROGRAMS = Programs()
_HELD = ("ENFORCEMENT_LEVEL_DEVICE_PROGRAM", "ENFORCEMENT_LEVEL_GUARD")
_DEVICES = 4
_UNUSABLE = ("LEASE_STATE_RELEASING", "LEASE_STATE_PREPARING")


def bare(ordeal: Ordeal) -> list[str]:
    """Find processes in a lease's cgroup without a program, while no daemon runs."""
    return [
        f"no daemon, and processes {pids(one)} are in {one.name} without a program"
        for one in made(ordeal.place)
        if populated(one) and _digest(one) is None and pids(one)
    ]


def outlived(ordeal: Ordeal) -> list[str]:
    """Find processes of a daemon that has died."""
    return ["a process of the dead daemon's lives on"] if ordeal.daemon_left() else []


def unsettled(ordeal: Ordeal) -> list[str]:
    """Find where ledger, cgroups and programs do not fit together."""
    leases = list(ordeal.leases().values())
    return [
        *_of_leases(ordeal, leases),
        *_of_cgroups(ordeal, leases),
        *_of_foreign(ordeal, leases),
        *_doubles(leases),
        *_of_guard(ordeal),
    ]


def left(ordeal: Ordeal) -> list[str]:
    """Find what is left when every process has been ended and every lease released."""
    faults = [f"{one} lives still" for one in ordeal.leases()]
    faults += [f"cgroup {one.name} is left" for one in made(ordeal.place)]
    if _digest(ordeal.foreign) is not None:
        faults.append("a program is left on the foreign cgroup")
    status = ordeal.call("Node/Status")
    free = status.part("counts").number("free_devices")
    if free != _DEVICES:
        faults.append(f"{_DEVICES - free} devices are lost to the pool")
    if status.part("guard").flag("on"):
        faults.append("the guard is on")
    return faults


def _of_leases(ordeal: Ordeal, leases: list[Document]) -> Iterator[str]:
    for lease in leases:
        name, holder = lease.text("id"), lease.part("holder")
        if lease.text("state") in _UNUSABLE:
            yield f"{name} is {lease.text('state')}"
        if not holder.text("cgroup") or lease.text("state") != "LEASE_STATE_ACTIVE":
            continue
        cgroup = ordeal.mount / holder.text("cgroup").lstrip("/")
        if not populated(cgroup):
            yield f"{name} is ACTIVE and nobody is in {cgroup}"
        if lease.part("enforcement").text("level") not in _HELD:
            yield f"{name} is held by {lease.part('enforcement').fields}"
        here = [one for one in leases if one.part("holder").fields == holder.fields]
        if _digest(cgroup) != _mask(here).digest:
            yield f"{name}: {cgroup.name} has the program {_digest(cgroup)}, not its mask"


def _of_cgroups(ordeal: Ordeal, leases: list[Document]) -> Iterator[str]:
    live = {one.part("holder").text("cgroup").rpartition("/")[2] for one in leases}
    for one in made(ordeal.place):
        if any(_is_probe(pid) for pid in pids(one)):
            yield f"a process of the daemon's is in cgroup {one.name}"
        if one.name in live:
            continue
        if not populated(one):
            yield f"cgroup {one.name} is empty and has no lease"
        elif _never_begun(ordeal, one.name):
            yield f"{pids(one)} are in cgroup {one.name} of a lease that never began"
        elif _digest(one) != _nothing().digest:
            yield f"cgroup {one.name} has no lease, {pids(one)} are in it, and may open devices"


def _never_begun(ordeal: Ordeal, lease: str) -> bool:
    """Say whether a lease has ended before it was true: its processes go back."""
    ended = ordeal.call("Leases/List", {"ended": True}).parts("leases")
    reasons = {one.text("id"): one.text("end_reason") for one in ended}
    return reasons.get(lease) == "END_REASON_PREPARE_FAILED"


def _of_foreign(ordeal: Ordeal, leases: list[Document]) -> Iterator[str]:
    path = f"/{ordeal.foreign.relative_to(ordeal.mount)}"
    here = [one for one in leases if one.part("holder").text("cgroup") == path]
    if not here and _digest(ordeal.foreign) is not None:
        yield "the foreign cgroup has a program and no lease"


def _doubles(leases: list[Document]) -> Iterator[str]:
    keys = Counter(one.part("request").text("request_id") for one in leases)
    yield from (f"{count} leases for one request" for count in keys.values() if count > 1)
    held = Counter(device.text("uuid") for one in leases for device in one.parts("devices"))
    yield from (f"{uuid} is leased {count} times" for uuid, count in held.items() if count > 1)


def _of_guard(ordeal: Ordeal) -> Iterator[str]:
    guard = CgroupGuard(ordeal.top, ordeal.work, ())
    try:
        on = guard.status().on
    finally:
        guard.close()
    told = ordeal.call("Node/Status").part("guard").flag("on")
    if on is not told:
        yield f"the guard is {'on' if on else 'off'}, and the daemon says otherwise"


def _is_probe(pid: int) -> bool:
    """Say whether a process is one that tries masks: Python, isolated, with its program inline."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return words[1:4] == [b"-I", b"-S", b"-c"]


def _digest(cgroup: Path) -> str | None:
    return _PROGRAMS.digest(cgroup)


def _mask(leases: list[Document]) -> Mask:
    """Make the mask of *leases* from what they are said to have."""
    minors = {device.number("minor") for one in leases for device in one.parts("devices")}
    allowed = [Rule(allow=True, nodes=NodeRange(MAJOR, one, one)) for one in sorted(minors)]
    return Mask((*allowed, *_denied()))


def _nothing() -> Mask:
    return Mask(_denied(*(NodeRange(MAJOR, one, one) for one in CONTROL_NODES.values())))


def _denied(*control: NodeRange) -> tuple[Rule, ...]:
    ranges = (NodeRange(MAJOR, *GPU_MINORS), NodeRange(MAJOR, *CAPABILITY_MINORS), *control)
    return tuple(Rule(allow=False, nodes=one) for one in sorted(ranges))
