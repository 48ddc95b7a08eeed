"""Why devices that are there and free do not do: they do not lie as the request demands."""

from collections.abc import Sequence
from dataclasses import replace

from gpusched.core.ids import DeviceUuid
from gpusched.core.ledger import Ledger
from gpusched.core.placement import choose
from gpusched.core.preferences import Topology
from gpusched.core.replies import Refusal, Rejected, Verdict
from gpusched.core.request import Request
from gpusched.core.verdicts import could_serve

_HOW = {
    Topology.NVLINK: "all joined by NVLink",
    Topology.SAME_NUMA_NODE: "on one NUMA node",
}


def apart(ledger: Ledger, request: Request, verdicts: Sequence[Verdict]) -> Rejected | None:
    """Refuse where it is the topology that stands in the way; None where it is not, or not yet.

    Now, where enough devices are free and it would be granted without the condition; never, where
    not even all devices that could serve lie so.
    """
    if not request.topology_required:
        return None
    how = _HOW[request.topology]
    possible = [replace(one, obstacle=None) for one in could_serve(verdicts)]
    free = [one for one in verdicts if one.obstacle is None]
    without = replace(request, topology_required=False)
    if choose(ledger, request, possible) is None:
        sentence = f"{wanted_count(request)} {how} wanted: {_most(ledger, request, possible, how)}"
        return Rejected(Refusal.NEVER_HERE, sentence, "topology", tuple(verdicts), without)
    if choose(ledger, without, free) is None:
        return None
    known = _most(ledger, request, free, how)
    sentence = f"{wanted_count(request)} {how} wanted, {len(free)} free now: {known}"
    return Rejected(Refusal.LATER, sentence, "topology", tuple(verdicts), without)


def arranged(
    ledger: Ledger, request: Request, nearest: Sequence[DeviceUuid]
) -> tuple[DeviceUuid, ...]:
    """Choose devices that lie as *request* demands, out of as few of the *nearest* as can be.

    None at all where it demands nothing, or where there are none.
    """
    if not request.topology_required:
        return ()
    bare = replace(request, count=request.least, min_count=None, max_count=None)
    for count in range(bare.count, len(nearest) + 1):
        free = [Verdict(one, None, "") for one in nearest[:count]]
        if (chosen := choose(ledger, bare, free)) is not None:
            return chosen
    return ()


def wanted_count(request: Request) -> str:
    """Say how many devices will do: `2 devices`, `at least 1 device`."""
    at_least = "" if request.least == request.count else "at least "
    return at_least + devices_in_words(request.least)


def devices_in_words(count: int) -> str:
    """Say how many devices: `1 device`, `2 devices`."""
    return "1 device" if count == 1 else f"{count} devices"


def _most(ledger: Ledger, request: Request, serving: Sequence[Verdict], how: str) -> str:
    """Say how many of *serving* lie so at most."""
    if request.devices:
        return "those that are named are not"
    fewer = replace(request, min_count=1, max_count=None, must_include=())
    found = choose(ledger, fewer, serving) or ()
    if len(found) < request.least:
        return f"at most {len(found)} of them are {how}"
    return "those that must be included are not"
