"""The authoritative record in memory: leases, inventory, the last sample, and their indexes.

Only `apply` changes it, and only the engine calls `apply`; everybody else reads. It decides
nothing. It can check itself: `check_invariants`.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import assert_never

from gpusched.core.attribution import DeviceUse
from gpusched.core.changes import (
    AbilityFound,
    Change,
    DriverReleased,
    Durable,
    Fleeting,
    GhostChanged,
    InventoryChanged,
    LeaseChanged,
    LeaseForgotten,
    MarksChanged,
    ObservationTaken,
    PolicyChanged,
    SampleTaken,
    StoryLine,
    StoryTold,
)
from gpusched.core.device import Device
from gpusched.core.enforcement import NOT_PROBED, Ability
from gpusched.core.errors import InvariantBroken
from gpusched.core.ghost import Ghost
from gpusched.core.ids import DeviceUuid, Instant, LeaseId, RequestId
from gpusched.core.invariants import faults_of
from gpusched.core.lease import Lease, Share
from gpusched.core.marks import UNMARKED, Marks
from gpusched.core.mask import Governed
from gpusched.core.policy import Policy
from gpusched.core.sample import NodeSample, governed_by

STORIES_KEPT = 1000


@dataclass(slots=True)
class Holding:
    """The live shares of one memory domain.

    Attributes:
        shares: By lease and device: a lease may hold two compute instances of one GI.
        promised: Sum of their bytes.
        exclusive: The lease that has the domain for itself.
    """

    shares: dict[tuple[LeaseId, DeviceUuid], Share] = field(default_factory=dict)
    promised: int = 0
    exclusive: LeaseId | None = None


NOTHING_HELD = Holding()


class Ledger:
    """All state that decisions read.

    Attributes:
        generation: Counts changes to leases and inventory.
        policy: The operator's settings.
        devices: Inventory by UUID, in PCI order, lost devices included.
        lost: Devices that do not answer now, with the reason.
        sample: The last sample; None before the first.
        uses: What the last sample shows, per device.
        ticked_at: When the last sample was taken into the ledger.
        ability: What this host can enforce.
        governed: The nodes that masks are about, as they were last read.
        observed_at: When the kernel was last looked at for cgroups and programs; None: not yet.
        guard_denied: Opens that the guard had denied then; None where they are not counted.
        ghosts: Memory that ended leases did not give back, by device.
        marks: Cordons and taints, by device; a device without any is not in it.
        released: Why an operator had the driver let go; None: it is not let go.
        stories: The newest lines of history, oldest first.
    """

    def __init__(self, policy: Policy) -> None:
        self.generation = 0
        self.policy = policy
        self.devices: dict[DeviceUuid, Device] = {}
        self.lost: Mapping[DeviceUuid, str] = {}
        self.sample: NodeSample | None = None
        self.uses: Mapping[DeviceUuid, DeviceUse] = {}
        self.ticked_at: Instant | None = None
        self.ability: Ability = NOT_PROBED
        self.governed = Governed()
        self.observed_at: Instant | None = None
        self.guard_denied: int | None = None
        self.ghosts: dict[DeviceUuid, Ghost] = {}
        self.marks: dict[DeviceUuid, Marks] = {}
        self.released: str | None = None
        self.stories: deque[StoryLine] = deque(maxlen=STORIES_KEPT)
        self._leases: dict[LeaseId, Lease] = {}
        self._live: dict[LeaseId, Lease] = {}
        self._ended: dict[LeaseId, None] = {}
        self._holdings: dict[str, Holding] = {}
        self._requests: dict[tuple[int, RequestId], LeaseId] = {}
        self._cgroups: dict[str, dict[LeaseId, None]] = {}
        self._sequence = 0

    def restore(
        self,
        leases: Iterable[Lease],
        stories: Iterable[StoryLine],
        generation: int,
        ghosts: Mapping[DeviceUuid, Ghost] = MappingProxyType({}),
        marks: Mapping[DeviceUuid, Marks] = MappingProxyType({}),
        released: str | None = None,
    ) -> None:
        """Take over what a store kept; only for an empty ledger."""
        self.ghosts.update(ghosts)
        self.marks.update(marks)
        self.released = released
        # Live ones come in the order in which they began, ended ones in that of their end.
        for lease in sorted(leases, key=lambda one: (one.ended or one.created).wall):
            self._put(lease)
        self.stories.extend(stories)
        self._sequence = self.stories[-1].sequence if self.stories else 0
        self.generation = generation

    def apply(self, change: Change) -> Durable | None:
        """Make *change* true in memory; give it back as it is to be stored, None if it is not."""
        match change:
            case LeaseChanged(lease):
                self.generation += 1
                self._put(lease)
                return change
            case LeaseForgotten(lease_id):
                self._ended.pop(lease_id, None)
                self._leases.pop(lease_id, None)
                return change
            case StoryTold(line):
                self._sequence += 1
                # Not `replace`, which costs three times as much on the path of every grant.
                told = StoryTold(
                    StoryLine(
                        line.wall, line.kind, line.entity, line.sentence, line.data, self._sequence
                    )
                )
                self.stories.append(told.line)
                return told
            case GhostChanged() | MarksChanged() | DriverReleased():
                self.generation += 1
                self._mark(change)
                return change
            case _:
                self._find_out(change)
        return None

    def _find_out(self, change: Fleeting) -> None:
        """Make a change true that is not stored: the next start finds it out anew."""
        match change:
            case InventoryChanged(devices, lost):
                self.generation += 1
                self.devices = {one.uuid: one for one in sorted(devices, key=lambda d: d.order)}
                self.lost = lost
            case SampleTaken(sample, uses, at):
                self.sample, self.uses, self.ticked_at = sample, uses, at
                self.governed = governed_by(sample.reading, self.governed)
            case PolicyChanged(policy):
                self.policy = policy
            case ObservationTaken(at, guard_denied):
                self.observed_at, self.guard_denied = at, guard_denied
            case AbilityFound(ability):
                self.generation += 1
                self.ability = ability
            case _:  # pragma: no mutate - the type checker proves that this is not reached
                assert_never(change)  # pragma: no mutate

    def _mark(self, change: GhostChanged | MarksChanged | DriverReleased) -> None:
        """Make a change of what is known of a device, or of the driver, true."""
        match change:
            case GhostChanged(device, ghost):
                self.ghosts.pop(device, None)
                if ghost is not None:
                    self.ghosts[device] = ghost
            case MarksChanged(device, marks):
                self.marks.pop(device, None)
                if not marks.none:
                    self.marks[device] = marks
            case _:
                self.released = change.why

    def marks_of(self, device: DeviceUuid) -> Marks:
        """Give the marks of a device."""
        return self.marks.get(device, UNMARKED)

    def get(self, lease_id: LeaseId) -> Lease | None:
        """Find a lease, live or ended within the history."""
        return self._leases.get(lease_id)

    def live(self) -> Iterator[Lease]:
        """Give the leases that hold shares, oldest first."""
        return iter(self._live.values())

    def live_count(self) -> int:
        """Count the leases that hold shares."""
        return len(self._live)

    def ended(self) -> Iterator[Lease]:
        """Give the ended leases of the history, the one that ended first at the front."""
        return (self._leases[lease_id] for lease_id in self._ended)

    def ended_count(self) -> int:
        """Count the ended leases of the history."""
        return len(self._ended)

    def by_request(self, uid: int, request_id: RequestId) -> Lease | None:
        """Find the usable lease that this user's request was answered with."""
        lease_id = self._requests.get((uid, request_id))
        return None if lease_id is None else self._leases[lease_id]

    def in_cgroup(self, path: str) -> list[Lease]:
        """Give the live leases that have exactly this cgroup, oldest first."""
        return [self._live[lease_id] for lease_id in self._cgroups.get(path, ())]

    def cgroups(self) -> Iterator[str]:
        """Give the paths of all cgroups of live leases."""
        return iter(self._cgroups)

    def holding(self, domain: str) -> Holding:
        """Give what is promised of a memory domain."""
        return self._holdings.get(domain, NOTHING_HELD)

    def check_invariants(self) -> None:
        """Make sure that the record does not contradict itself.

        Raises:
            InvariantBroken: With every contradiction found.
        """
        faults = [*faults_of(self._leases.values(), self.devices), *self._index_faults()]
        if faults:
            raise InvariantBroken(tuple(faults))

    def _put(self, lease: Lease) -> None:
        before = self._live.get(lease.id)
        if before is not None:
            self._unindex(before)
        self._leases[lease.id] = lease
        if lease.live:
            self._live[lease.id] = lease
            if lease.usable:
                self._requests[lease.uid, lease.request.request_id] = lease.id
            for share in lease.shares:
                self._hold(lease.id, share)
            if lease.cgroup is not None:
                self._cgroups.setdefault(lease.cgroup.path, {})[lease.id] = None
        else:
            self._live.pop(lease.id, None)
            self._ended[lease.id] = None  # pragma: no mutate - a set in order: only keys count

    def _hold(self, lease_id: LeaseId, share: Share) -> None:
        holding = self._holdings.setdefault(share.domain, Holding())
        holding.shares[lease_id, share.device] = share
        holding.promised += share.memory or 0
        if share.exclusive:
            holding.exclusive = lease_id

    def _unindex(self, lease: Lease) -> None:
        if lease.usable:
            del self._requests[lease.uid, lease.request.request_id]
        if lease.cgroup is not None:
            here = self._cgroups[lease.cgroup.path]
            del here[lease.id]
            if not here:
                del self._cgroups[lease.cgroup.path]
        for share in lease.shares:
            holding = self._holdings[share.domain]
            del holding.shares[lease.id, share.device]
            holding.promised -= share.memory or 0
            if not holding.shares:
                del self._holdings[share.domain]

    def _index_faults(self) -> Iterator[str]:
        fresh = Ledger(self.policy)  # pragma: no mutate - the indexes do not depend on it
        for lease in self._leases.values():
            fresh._put(lease)
        for name in ("_live", "_requests", "_holdings", "_ended", "_cgroups"):
            if getattr(fresh, name) != getattr(self, name):
                yield f"index {name[1:]} does not agree with the leases"
