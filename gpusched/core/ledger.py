"""The authoritative record in memory: leases, inventory, the last sample, and their indexes.

Only `apply` changes it, and only the engine calls `apply`; everybody else reads. It decides
nothing. It can check itself: `check_invariants`.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import assert_never

from gpusched.core.attribution import DeviceUse
from gpusched.core.changes import (
    AbilityFound,
    AttainableFound,
    Change,
    DriverReleased,
    Durable,
    Found,
    GhostChanged,
    GrowthSeen,
    HoldsFound,
    IdleSeen,
    InventoryChanged,
    LeaseChanged,
    LeaseForgotten,
    MarksChanged,
    NoticeGiven,
    ObservationTaken,
    PolicyChanged,
    SampleTaken,
    StoryLine,
    StoryTold,
    StraysSeen,
    WaitingChanged,
    WaitingGone,
)
from gpusched.core.device import Device, largest_of
from gpusched.core.enforcement import NOT_PROBED, Ability
from gpusched.core.errors import InvariantBroken
from gpusched.core.fault import Recovery
from gpusched.core.ghost import Ghost
from gpusched.core.growth import Growth
from gpusched.core.hold import NOTHING_KEPT, Holds
from gpusched.core.idleness import Idle
from gpusched.core.ids import DeviceUuid, Instant, LeaseId, ProcessId
from gpusched.core.invariants import faults_of, faults_of_waiting
from gpusched.core.lease import Lease
from gpusched.core.lease_table import LeaseTable
from gpusched.core.marks import UNMARKED, Marks
from gpusched.core.mask import Governed
from gpusched.core.notice import Notice
from gpusched.core.openings import Openings
from gpusched.core.peaks import NO_PEAKS, Peaks, with_peaks
from gpusched.core.policy import Policy
from gpusched.core.sample import NodeSample, Unavailable, advice_in, governed_by, topology_by
from gpusched.core.stray import Stray
from gpusched.core.topology import UNKNOWN_TOPOLOGY, Topology
from gpusched.core.waiting import Waiting
from gpusched.core.waiting_table import WaitingTable

_OF_NO_MATTER = (
    StoryTold,
    NoticeGiven,
    ObservationTaken,
    HoldsFound,
    AttainableFound,
    IdleSeen,
)
"""Changes after which nobody who waits can be served that could not be before."""

STORIES_KEPT = 1000
NOTICES_KEPT = 1000


class Ledger(LeaseTable):
    """All state that decisions read.

    Attributes:
        generation: Counts changes to leases, inventory and settings.
        policy: The operator's settings.
        devices: Inventory by UUID, in PCI order, lost devices included.
        largest: Bytes of the largest of their memories.
        lost: Devices that do not answer now, with the reason.
        sample: The last sample; None before the first.
        read_at: When the last sample that could be read was begun; None: none yet.
        uses: What the last sample shows, per device.
        advice: What each GPU's driver said last that would help it.
        peaks: The most memory that samples showed so far.
        ticked_at: When the last sample was taken into the ledger.
        ability: What this host can enforce.
        governed: The nodes that masks are about, as they were last read.
        topology: How the GPUs are joined, as it was last read.
        observed_at: When the kernel was last looked at for cgroups and programs; None: not yet.
        guard_denied: Opens that the guard had denied then; None where they are not counted.
        ghosts: Memory that ended leases did not give back, by device.
        marks: Cordons and taints, by device; a device without any is not in it.
        released: Why an operator had the driver let go; None: it is not let go.
        stories: The newest lines of history, oldest first.
        notices: The newest notices since the daemon started, oldest first.
        strays: Processes without a lease for a device that they are on.
        processes_read: Devices whose processes were read since the daemon started.
        unidentified: Device and pid of those that could not be identified since that.
        growth: How far the memory of leases that start has grown, by device.
        waiting: Requests that wait.
        holds: What is kept for them, by memory domain.
        idle: How long leases have shown no use of their devices, since the daemon started.
    """

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.generation = 0
        self.policy = policy
        self.devices: dict[DeviceUuid, Device] = {}
        self.largest = 0
        self.lost: Mapping[DeviceUuid, str] = {}
        self.sample: NodeSample | None = None
        self.read_at: Instant | None = None
        self.uses: Mapping[DeviceUuid, DeviceUse] = {}
        self.advice: dict[DeviceUuid, Recovery] = {}
        self.peaks: Peaks = NO_PEAKS
        self.ticked_at: Instant | None = None
        self.ability: Ability = NOT_PROBED
        self.governed = Governed()
        self.topology: Topology = UNKNOWN_TOPOLOGY
        self.observed_at: Instant | None = None
        self.guard_denied: int | None = None
        self.ghosts: dict[DeviceUuid, Ghost] = {}
        self.marks: dict[DeviceUuid, Marks] = {}
        self.released: str | None = None
        self.stories: deque[StoryLine] = deque(maxlen=STORIES_KEPT)
        self.notices: deque[Notice] = deque(maxlen=NOTICES_KEPT)
        self.strays: Mapping[ProcessId, Stray] = {}
        self.processes_read: frozenset[DeviceUuid] = frozenset()
        self.unidentified: frozenset[tuple[DeviceUuid, int]] = frozenset()
        self.growth: Mapping[tuple[LeaseId, DeviceUuid], Growth] = {}
        self.waiting = WaitingTable()
        self.holds: Holds = NOTHING_KEPT
        self.idle: Mapping[LeaseId, Idle] = {}
        self._stirred, self._sequence = False, 0

    @property
    def unserved(self) -> bool:
        """Whether somebody who waits may have to be served, or something is kept for nobody."""
        return self._stirred and (len(self.waiting) > 0 or bool(self.holds) or bool(self._ways))

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
        self._take_over(leases)
        self.stories.extend(stories)
        self._sequence = self.stories[-1].sequence if self.stories else 0
        self.generation = generation

    def restore_waiting(self, waiting: Iterable[Waiting]) -> None:
        """Take over the requests that a store kept."""
        for one in waiting:
            self.waiting.put(one)

    def apply(self, change: Change) -> Durable | None:
        """Make *change* true in memory; give it back as it is to be stored, None if it is not.

        A lease is put down with what samples have shown of it, whoever changes it.
        """
        self._stirred = self._stirred or not isinstance(change, _OF_NO_MATTER)
        match change:
            case LeaseChanged(lease):
                self.generation += 1
                lease = with_peaks(lease, self.peaks)
                self._put(lease)
                return change if lease is change.lease else LeaseChanged(lease)
            case LeaseForgotten(lease_id):
                self._drop(lease_id)
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
            case WaitingChanged() | WaitingGone():
                self.generation += 1
                self._queue(change)
                return change
            case GhostChanged() | MarksChanged() | DriverReleased():
                self.generation += 1
                self._mark(change)
                return change
            case HoldsFound(holds):
                self.holds, self._stirred = holds, False
            case AttainableFound(wish):
                self.waiting.attainable.add(wish)
            case _:
                self._find_out(change)
        return None

    def _queue(self, change: WaitingChanged | WaitingGone) -> None:
        """Make a change of the requests that wait true."""
        match change:
            case WaitingChanged(waiting):
                self.waiting.put(waiting)
            case _:
                self.waiting.drop(change.key)

    def _find_out(self, change: Found) -> None:  # noqa: C901, PLR0912, PLR0915 - a dispatch
        """Make a change true that is not stored: the next start finds it out anew."""
        if isinstance(change, InventoryChanged | SampleTaken | PolicyChanged):
            self.waiting.attainable.clear()
        match change:
            case InventoryChanged(devices, lost):
                self.generation += 1
                self.devices = {one.uuid: one for one in sorted(devices, key=lambda d: d.order)}
                self.lost, self.largest = lost, largest_of(devices)
                self.openings = Openings(devices, self.holding)
            case SampleTaken(sample, uses, at, peaks):
                self.sample, self.uses, self.ticked_at = sample, uses, at
                self.peaks = peaks
                if not isinstance(sample.reading, Unavailable):
                    self.read_at = sample.begun_at
                    self.advice |= advice_in(sample.reading)
                self.governed = governed_by(sample.reading, self.governed)
                self.topology = topology_by(sample.reading, self.topology)
            case PolicyChanged(policy):
                self.generation += 1
                self.policy = policy
            case ObservationTaken(at, guard_denied):
                self.observed_at, self.guard_denied = at, guard_denied
            case NoticeGiven(notice):
                self.generation += 1
                sequence = self.notices[-1].sequence + 1 if self.notices else 1
                self.notices.append(replace(notice, sequence=sequence))
            case StraysSeen(strays, read, unknown):
                self.strays, self.processes_read, self.unidentified = strays, read, unknown
            case GrowthSeen(growth):
                self.growth = growth
            case IdleSeen(idle):
                self.idle = idle
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

    def check_invariants(self) -> None:
        """Make sure that the record does not contradict itself.

        Raises:
            InvariantBroken: With every contradiction found.
        """
        faults = [
            *faults_of(self._leases.values(), self.devices),
            *faults_of_waiting(self.waiting, lambda one: self.by_request(*one.key) is not None),
            *self._index_faults(),
            *self.waiting.index_faults(),
            *self._openings_faults(),
        ]
        if faults:
            raise InvariantBroken(tuple(faults))

    def _openings_faults(self) -> Iterator[str]:
        if self.openings.names() != Openings(self.devices.values(), self.holding).names():
            yield "index openings does not agree with the leases"
