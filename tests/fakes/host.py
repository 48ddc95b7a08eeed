"""A ledger that lives through events: `decide`, apply, check, with a clock that tests turn.

It does what the engine does, without a store, a loop or a world.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from gpusched.core.actions import Answer
from gpusched.core.changes import AbilityFound, Change, LeaseChanged, StoryTold
from gpusched.core.decide import decide
from gpusched.core.decision import Decision
from gpusched.core.device import Device
from gpusched.core.enforcement import Ability, LeaseCgroup, Level, Mode
from gpusched.core.events import (
    AllocateRequested,
    AttachRequested,
    Event,
    ExplainRequested,
    LeasePrepared,
    ReleaseRequested,
    Ticked,
)
from gpusched.core.ids import (
    SECOND,
    Caller,
    DeviceUuid,
    Instant,
    LeaseId,
    Moment,
    ProcessId,
    RequestId,
)
from gpusched.core.lease import Lease
from gpusched.core.ledger import Ledger
from gpusched.core.mask import NodeRange
from gpusched.core.policy import Policy
from gpusched.core.queue_events import TurnCame
from gpusched.core.replies import Attachment, Done, Explained, Granted, Queued, Rejected, Underway
from gpusched.core.request import Request
from gpusched.core.sample import (
    NO_MEMBERS,
    DeviceReading,
    LostDevice,
    ProcessFacts,
    Unavailable,
)
from gpusched.core.topology import UNKNOWN_TOPOLOGY, TopologyReading
from gpusched.core.waiting import Key, Waiting
from tests.fakes.builders import ADA, moment, process, reading, sample, standing

MASKING = Ability(Level.DEVICE_PROGRAM, "the kernel holds masks", cgroups=True)
"""Of a host where everything can be had."""


def changed_leases(decision: Decision) -> list[Lease]:
    """The new versions of leases in a decision."""
    return [one.lease for one in decision.changes if isinstance(one, LeaseChanged)]


def sentences(decision: Decision) -> list[str]:
    """The story lines of a decision."""
    return [one.line.sentence for one in decision.changes if isinstance(one, StoryTold)]


class Host:
    """A host whose devices have been read once, a moment ago."""

    def __init__(
        self,
        *devices: Device,
        policy: Policy | None = None,
        topology: TopologyReading = UNKNOWN_TOPOLOGY.reading,
    ) -> None:
        self.ledger = Ledger(policy or Policy())
        self.now = moment()
        self.devices = devices
        self.topology = topology
        self.governed: tuple[NodeRange, ...] = ()
        self.granted_count = 0
        self.answers: dict[Key, Granted | Rejected] = {}
        if devices:
            self.tick()

    def later(self, seconds: float) -> Moment:
        """Let time pass, without a tick."""
        passed = round(seconds * SECOND)
        self.now = Moment(Instant(self.now.instant + passed), self.now.wall + passed)
        return self.now

    def do(self, event: Event) -> Decision:
        """Decide and apply, and serve whom that lets be served, as the engine does.

        The ledger must not contradict itself afterwards.
        """
        decision = self._decided(event)
        while self.ledger.unserved:
            self._decided(TurnCame())
        return decision

    def _decided(self, event: Event) -> Decision:
        decision = decide(self.ledger, event, self.now)
        self.apply(decision.changes)
        for one in decision.actions:
            if isinstance(one, Answer):
                assert one.key not in self.answers
                self.answers[one.key] = one.reply
        return decision

    def apply(self, changes: Iterable[Change]) -> None:
        """Apply changes that a test made itself."""
        for change in changes:
            self.ledger.apply(change)
        self.ledger.check_invariants()

    def tick(
        self,
        *readings: DeviceReading,
        known: Iterable[ProcessFacts] = (),
        members: Mapping[LeaseId, frozenset[ProcessId]] = NO_MEMBERS,
        lost: tuple[LostDevice, ...] = (),
    ) -> Decision:
        """Take a sample now; devices that no reading is given for are idle."""
        given = {one.device.uuid for one in readings} | {one.uuid for one in lost}
        idle = [reading(one) for one in self.devices if one.uuid not in given]
        taken = sample(*readings, *idle, at=self.now, known=known, members=members, lost=lost)
        assert not isinstance(taken.reading, Unavailable)
        joined = replace(taken.reading, topology=self.topology, governed=self.governed)
        return self.do(Ticked(replace(taken, reading=joined)))

    def ask(self, request: Request, by: Caller = ADA) -> Decision:
        """Ask for devices."""
        self.granted_count += 1
        lease_id = LeaseId(f"lease-{self.granted_count:010d}")
        return self.do(AllocateRequested(by, request, lease_id))

    def grant(self, request: Request, by: Caller = ADA) -> Lease:
        """Ask for devices, which must be granted."""
        reply = self.ask(request, by).reply
        assert isinstance(reply, Granted), reply
        return reply.lease

    def refusal(self, request: Request, by: Caller = ADA) -> Rejected:
        """Ask for devices, which must be refused."""
        decision = self.ask(request, by)
        assert isinstance(decision.reply, Rejected), decision.reply
        assert decision.changes == ()
        return decision.reply

    def queue(self, request: Request, by: Caller = ADA) -> Waiting:
        """Ask for devices, which must make it wait."""
        reply = self.ask(request, by).reply
        assert isinstance(reply, Queued), reply
        return reply.waiting

    def served(self, waiting: Waiting) -> Lease:
        """The lease that a request that waited was granted."""
        reply = self.answers[waiting.key]
        assert isinstance(reply, Granted), reply
        return reply.lease

    def waits(self, waiting: Waiting) -> bool:
        """Whether a request still waits."""
        return self.ledger.waiting.get(waiting.key) is not None

    def put(self, lease: Lease) -> None:
        """Have a lease that another host granted."""
        self.apply([LeaseChanged(lease)])

    def would_grant(self, request: Request, by: Caller = ADA) -> bool:
        """Whether a request would be granted now; nothing changes."""
        reply = self.do(ExplainRequested(by, request)).reply
        return isinstance(reply, Explained) and reply.rejection is None

    def attach(self, lease: Lease, pid: int, by: Caller = ADA) -> Lease:
        """Attach process *pid* of the caller, which must succeed."""
        event = AttachRequested(by, lease.id, process(pid), standing(pid, uid=by.uid))
        reply = self.do(event).reply
        assert isinstance(reply, Done), reply
        return reply.leases[0]

    def enter(self, lease: Lease, pid: int, cgroup: LeaseCgroup, by: Caller = ADA) -> Lease:
        """Attach process *pid*; the kernel does what it is asked, and *cgroup* is the lease's.

        Of a made one the process comes from elsewhere; another it is in already.
        """
        self.apply([AbilityFound(MASKING)])
        came_from = "/home" if cgroup.made else cgroup.path
        its = replace(standing(pid, uid=by.uid, cgroup=came_from), inode=cgroup.inode)
        reply = self.do(AttachRequested(by, lease.id, process(pid), its)).reply
        assert isinstance(reply, Underway), reply
        mode = Mode.MOVE if cgroup.made else Mode.IN_PLACE
        did = Attachment(mode, (process(pid),))
        self.do(LeasePrepared(lease.id, cgroup, Level.DEVICE_PROGRAM, "", did))
        return self.lease(lease.id)

    def release(self, lease: Lease, by: Caller = ADA) -> Lease:
        """Release a lease, which must succeed."""
        reply = self.do(ReleaseRequested(by, lease.id)).reply
        assert isinstance(reply, Done), reply
        return reply.leases[0]

    def lease(self, lease_id: LeaseId) -> Lease:
        """A lease as the ledger has it now."""
        found = self.ledger.get(lease_id)
        assert found is not None
        return found


def places(lease: Lease) -> list[DeviceUuid]:
    """The devices of a lease, in the order granted."""
    return [one.device for one in lease.shares]


def name(text: str) -> RequestId:
    """A request id."""
    return RequestId(text)
