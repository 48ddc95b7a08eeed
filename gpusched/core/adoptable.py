"""Which running processes would become a lease together, by the last sample.

What a service manager or a container engine looks after is one: all of its unit. Elsewhere it is a
process with its descendants, for one cgroup of a session may have jobs that know nothing of each
other.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gpusched.core.attribution import Attributed
from gpusched.core.cgroup_kind import encloses, stays
from gpusched.core.evicting import Intruder, intruders
from gpusched.core.ids import DeviceUuid, ProcessId
from gpusched.core.ledger import Ledger
from gpusched.core.sample import Reading, Unavailable, plus


@dataclass(frozen=True, slots=True)
class Group:
    """Strays that belong together.

    Attributes:
        cgroup: That of the first; all are in it or below it, where it stays as it is.
        in_place: Whether they are masked where they are.
        processes: Who; the one that is attached is first.
        uids: Whose they are.
        uses: Bytes of all of them together on each device.
    """

    cgroup: str
    in_place: bool
    processes: tuple[ProcessId, ...]
    uids: frozenset[int]
    uses: Mapping[DeviceUuid, Reading[int]]


def groups_of(ledger: Ledger) -> list[Group]:
    """Give all strays that could be identified, in groups."""
    found = intruders(ledger.uses)
    places = {one.facts.cgroup for one in found if _in_place(ledger, one)}
    loose = {one.facts.identity for one in found if not _in_place(ledger, one)}
    together: dict[str | ProcessId, list[Intruder]] = {}
    for one in found:
        key: str | ProcessId = _unit(one.facts.cgroup, places)
        if not _in_place(ledger, one):
            family = (one.facts.identity, *one.facts.ancestors)
            key = [process for process in family if process in loose][-1]
        together.setdefault(key, []).append(one)
    return [_group(key, members) for key, members in together.items()]


def group_with(ledger: Ledger, process: ProcessId) -> Group | None:
    """Give the group that *process* is in; None where it is no stray."""
    return next((one for one in groups_of(ledger) if process in one.processes), None)


def rows_with(ledger: Ledger, process: ProcessId) -> list[Attributed]:
    """Give what the last sample shows of a process; one of that pid alone counts, too."""
    rows = [
        one
        for use in ledger.uses.values()
        if not isinstance(use.processes, Unavailable)
        for one in use.processes
        if one.context.pid == process.pid
    ]
    return [one for one in rows if one.facts is None or one.facts.identity == process]


def _in_place(ledger: Ledger, one: Intruder) -> bool:
    return ledger.ability.cgroups and stays(one.facts.cgroup)


def _unit(path: str, places: set[str]) -> str:
    """Give the outermost of the cgroups that *path* is in: its mask would bind those below."""
    around = [one for one in places if one == path or encloses(one, path)]
    return min(around, key=len, default=path)


def _group(key: str | ProcessId, members: list[Intruder]) -> Group:
    in_place = isinstance(key, str)
    # The one that is attached: in the cgroup that is masked, or above all others.
    first = sorted(members, key=lambda one: key not in (one.facts.cgroup, one.facts.identity))
    uses: dict[DeviceUuid, Reading[int]] = {}
    for one in members:
        for device, memory in one.uses.items():
            uses[device] = plus(uses.get(device, 0), memory)
    return Group(
        cgroup=first[0].facts.cgroup,
        in_place=in_place,
        processes=tuple(one.facts.identity for one in first),
        uids=frozenset(one.facts.uid for one in members),
        uses=uses,
    )
