"""What live leases take, added up by whose they are: quotas are checked by it, not by a scan.

The table of leases keeps one; who a subject is bounded by is not known here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from gpusched.core.ids import LeaseId
from gpusched.core.lease import Lease
from gpusched.core.share import Share

Label: TypeAlias = tuple[str, str]


class Subject(NamedTuple):
    """Who has something: a user, a group, or everything with one label.

    Attributes:
        kind: `uid`, `gid` or `label`.
        name: The number; of a label its key and value.
    """

    kind: str
    name: int | Label


@dataclass(frozen=True, slots=True)
class Weight:
    """What one lease takes.

    Attributes:
        devices: Devices that it has a share of.
        memory: Bytes promised; a whole device counts all of its memory.
    """

    devices: int = 0
    memory: int = 0


@dataclass(slots=True)
class Taken:
    """What one subject has.

    Attributes:
        leases: The live leases, in the order in which they came to it.
        devices: Devices they have shares of, a shared one for each of them.
        memory: Bytes promised to them.
    """

    leases: dict[LeaseId, None] = field(default_factory=dict)
    devices: int = 0
    memory: int = 0


NOTHING_TAKEN = Taken()


_USERS_REMEMBERED = 1024


def subjects_of(
    uid: int, gid: int, groups: tuple[int, ...], labels: Mapping[str, str]
) -> tuple[Subject, ...]:
    """Give everybody on whose account something of this holder with these labels is, each once."""
    people = _people(uid, gid, groups)
    if not labels:
        return people
    return *people, *(Subject("label", label) for label in labels.items())


@lru_cache(_USERS_REMEMBERED)
def _people(uid: int, gid: int, groups: tuple[int, ...]) -> tuple[Subject, ...]:
    """Give the user and his groups; remembered, because it is on the path of every grant."""
    found = dict.fromkeys([Subject("uid", uid), Subject("gid", gid)])
    return *found, *(Subject("gid", one) for one in dict.fromkeys(groups) if one != gid)


def weight_of(shares: Iterable[Share]) -> Weight:
    """Add up *shares*; whole compute instances of one GPU instance have its memory once."""
    devices, memory = 0, 0
    whole: dict[str, int] = {}
    for one in shares:
        devices += 1
        if one.exclusive:
            whole[one.domain] = one.total or 0
        else:
            memory += one.memory or 0
    return Weight(devices, memory + sum(whole.values()))


class Tallies:
    """What each subject has."""

    def __init__(self) -> None:
        self._taken: dict[Subject, Taken] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tallies) and self._taken == other._taken

    __hash__ = None  # type: ignore[assignment]  # it changes

    def of(self, subject: Subject) -> Taken:
        """Give what *subject* has; to be read only."""
        return self._taken.get(subject, NOTHING_TAKEN)

    def follow(self, before: Lease | None, after: Lease) -> None:
        """Count a new version of a lease instead of the live one *before*; an ended one has none.

        Most versions of a lease take what the one before took: then nothing is done.
        """
        if before is not None and after.live and before.shares is after.shares:
            return
        had = Weight() if before is None else weight_of(before.shares)
        has = weight_of(after.shares) if after.live else Weight()
        for subject in _subjects(after):
            taken = self._taken.setdefault(subject, Taken())
            taken.devices += has.devices - had.devices
            taken.memory += has.memory - had.memory
            if after.live:
                taken.leases[after.id] = None
            else:
                taken.leases.pop(after.id, None)
            if not taken.leases:
                del self._taken[subject]


def _subjects(lease: Lease) -> tuple[Subject, ...]:
    return subjects_of(lease.uid, lease.gid, lease.groups, lease.request.labels)
