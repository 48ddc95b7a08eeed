"""Whatever happens in whatever order: the promises of the ledger hold after every event."""

from collections import defaultdict
from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gpusched.core.decide import decide
from gpusched.core.decision import Decision
from gpusched.core.events import (
    AllocateRequested,
    AttachRequested,
    CancelRequested,
    Event,
    ExplainRequested,
    PolicyRead,
    Recovered,
    ReleaseRequested,
    RenewRequested,
    Ticked,
)
from gpusched.core.ids import SECOND, BootId, Caller, Instant, LeaseId, Moment, RequestId
from gpusched.core.lease import Lease, LeaseState
from gpusched.core.ledger import Ledger
from gpusched.core.marked import marks_over
from gpusched.core.operator_events import OperatorEvent
from gpusched.core.policy import Policy
from gpusched.core.replies import Done, Explained, Granted, Obstacle, Refusal, Rejected
from gpusched.core.request import Request
from gpusched.core.sample import NodeSample
from gpusched.core.share import Share
from gpusched.core.sizes import GIB
from tests.examples import examples
from tests.fakes.builders import UNREADABLE, A, B, C, caller, moment, process, standing
from tests.fakes.store import Disk, keep
from tests.fakes.turmoil import (
    DEVICES,
    INSTANCES,
    OWNER,
    PARENT,
    PIDS,
    RESERVED,
    Fate,
    Turn,
    callers,
    durable,
    everything,
    idle,
    leases_of,
    orders,
    own,
    requests,
    strangers_beside,
    turns,
)

WITHHELD = GIB
PACK = Policy(withheld=WITHHELD, history=4)
SPREAD = Policy(placement="spread", withheld=WITHHELD, history=2, keepalive=9 * SECOND)
BARRED = {Obstacle.CORDONED, Obstacle.TAINTED, Obstacle.RELEASED}
DOUBTS = {Obstacle.UNREAD, Obstacle.LOST, *BARRED}
BOOT, OTHER_BOOT = BootId("boot-1"), BootId("boot-2")
CALM = Turn((Fate.READ,) * len(DEVICES), frozenset(PIDS), GIB, watched=True)
DESERTED = Turn((Fate.LEFT,) * len(DEVICES), frozenset(), None, watched=True, lingering=False)
ROOM = {one.memory_domain: (one.memory_total or 0) - RESERVED - WITHHELD for one in DEVICES}
picks = st.integers(min_value=0, max_value=99)


class Turmoil(RuleBasedStateMachine):
    """A host on which anything happens, each event twice."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger(PACK)
        self.now = moment()
        self.count = 0
        self.disk = Disk()

    def apply(self, decision: Decision) -> None:
        """Apply a decision, and keep what a store would keep."""
        for change in decision.changes:
            kept = self.ledger.apply(change)
            if kept is not None:
                keep(self.disk, kept)

    def decided(self, event: Event) -> Decision:
        """Decide; the ledger is only read, and a refusal changes and starts nothing."""
        before = (everything(self.ledger), self.ledger.generation)
        decision = decide(self.ledger, event, self.now)
        assert (everything(self.ledger), self.ledger.generation) == before
        if isinstance(decision.reply, Rejected | Explained):
            assert (decision.changes, decision.actions) == ((), ())
        return decision

    def twice(self, event: Event) -> Decision:
        """Let a client's event happen, and again: the second time nothing is left to do."""
        first = self.decided(event)
        self.apply(first)
        self.ledger.check_invariants()
        again = self.decided(event)
        assert again.changes == ()
        if isinstance(first.reply, Granted | Done) and not isinstance(event, CancelRequested):
            assert leases_of(again) == leases_of(first)
        self.wait(0.001)
        return first

    def any_lease(self, pick: int) -> Lease:
        """One of the leases that there are: mostly a live one."""
        live = list(self.ledger.live())
        some = live if live and pick % 4 else list(self.disk.leases.values())
        return some[pick % len(some)]

    @initialize()
    def calm(self) -> None:
        """The host has been read before anybody asks."""
        self.tick(CALM)

    @rule(by=callers, asked=st.lists(requests(), min_size=2, max_size=4))
    def rush(self, by: Caller, asked: list[Request]) -> None:
        """Several requests come one after the other, on a host that was just read."""
        self.tick(CALM)
        for one in asked:
            self.allocate(by, one)

    @rule(by=callers, asked=requests())
    def allocate(self, by: Caller, asked: Request) -> None:
        """Somebody asks for devices."""
        self.count += 1
        event = AllocateRequested(by, asked, LeaseId(f"lease-{self.count:010d}"))
        reply = self.twice(event).reply
        assert isinstance(reply, Granted | Rejected)
        if isinstance(reply, Granted):
            # One that is repeated was granted before whatever stands in the way now.
            if not reply.repeated:
                self.check_grant(reply.lease, asked)
        elif reply.nearest is not None:
            # What is not read now, or barred, may turn out to be too small.
            doubts = {one.obstacle for one in reply.verdicts} & DOUBTS
            if reply.why is Refusal.LATER or not doubts:
                self.check_nearest(by, reply.why, reply.nearest)

    def check_grant(self, lease: Lease, asked: Request) -> None:
        """A grant is all that was asked for, and nothing that is not handed out."""
        uuids = [one.device for one in lease.shares]
        assert asked.least <= len(uuids) <= asked.most
        assert PARENT.uuid not in uuids
        marked = (marks_over(self.ledger, self.ledger.devices[one]) for one in uuids)
        assert all(one.cordon is None for one in marked)
        assert self.ledger.released is None or not uuids
        assert set(asked.must_include) <= set(uuids)
        assert asked.devices in ((), tuple(uuids))
        if asked.memory_fraction is None:
            assert {one.memory for one in lease.shares} <= {asked.memory}
        assert {one.exclusive for one in lease.shares} <= {asked.exclusive}
        if not asked.devices:
            is_mig = asked.mig_profile is not None
            assert all((one in {i.uuid for i in INSTANCES}) == is_mig for one in uuids)

    def check_nearest(self, by: Caller, why: Refusal, nearest: Request) -> None:
        """What a refusal offers is granted: now, or on this host once nothing is in the way."""
        ledger = self.ledger if why is Refusal.LATER else idle(self.ledger)
        fresh = replace(nearest, request_id=RequestId("fresh"))
        asker = caller(by.uid, pid=50)
        event = AllocateRequested(asker, fresh, LeaseId("lease-fresh"))
        now = self.now if ledger is self.ledger else moment()
        assert isinstance(decide(ledger, event, now).reply, Granted)

    @rule(by=callers, asked=requests())
    def explain(self, by: Caller, asked: Request) -> None:
        """An explanation promises what a grant keeps."""
        reply = self.twice(ExplainRequested(by, asked)).reply
        assert isinstance(reply, Explained)
        fresh = replace(
            asked,
            request_id=RequestId("fresh"),
            attach_caller=False,
            confines_itself=False,
        )
        granted = self.decided(AllocateRequested(by, fresh, LeaseId("lease-fresh"))).reply
        assert isinstance(granted, Granted) == (reply.devices is not None)

    @rule(order=orders)
    def operate(self, order: OperatorEvent) -> None:
        """An operator marks devices, or has the driver let go."""
        self.twice(order)

    @precondition(lambda self: self.disk.leases)
    @rule(pick=picks, pid=st.sampled_from(PIDS))
    def attach(self, pick: int, pid: int) -> None:
        """A process joins a lease."""
        lease = self.any_lease(pick)
        its = standing(pid, uid=lease.uid)
        self.twice(AttachRequested(own(lease), lease.id, process(pid), its))

    @precondition(lambda self: self.disk.leases)
    @rule(pick=picks, by=callers)
    def renew(self, pick: int, by: Caller) -> None:
        """A holder renews; doing so again at once sets the clock to where it is."""
        event = RenewRequested(by, self.any_lease(pick).id)
        self.apply(self.decided(event))
        before = everything(self.ledger)
        self.apply(self.decided(event))
        assert everything(self.ledger) == before

    @precondition(lambda self: self.disk.leases)
    @rule(pick=picks, by=callers)
    def release(self, pick: int, by: Caller) -> None:
        """Somebody releases a lease."""
        self.twice(ReleaseRequested(by, self.any_lease(pick).id))

    @rule(by=callers)
    def release_owner(self, by: Caller) -> None:
        """Another system releases all it has; afterwards there is nothing left to release."""
        self.apply(self.decided(ReleaseRequested(by, owner=OWNER.reference)))
        self.wait(0.001)
        assert self.decided(ReleaseRequested(by, owner=OWNER.reference)).changes == ()

    @rule(by=callers, name=st.sampled_from([A, B, C]))
    def cancel(self, by: Caller, name: RequestId) -> None:
        """Somebody withdraws a request."""
        self.twice(CancelRequested(by, name))

    @rule(turn=turns)
    def tick(self, turn: Turn) -> None:
        """A sample comes."""
        self.apply(self.decided(Ticked(turn.sample(self.ledger.live(), self.now))))
        self.wait(0.001)

    @rule(seconds=st.sampled_from([1, 11]))
    def leave(self, seconds: int) -> None:
        """All processes end, and not all of their memory comes back."""
        for _ in range(3):
            self.tick(DESERTED)
            self.wait(seconds)

    @rule()
    def silence(self) -> None:
        """NVML does not answer: nothing is lost by it, and nothing is granted on it."""
        before = self.ledger.devices
        self.apply(self.decided(Ticked(NodeSample(self.now.instant, UNREADABLE))))
        assert self.ledger.devices == before
        self.wait(0.001)

    @rule(seconds=st.sampled_from([0.1, 1, 6, 20, 100]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        passed = round(seconds * SECOND)
        self.now = Moment(Instant(self.now.instant + passed), self.now.wall + passed)

    @rule(policy=st.sampled_from([PACK, SPREAD]))
    def reload(self, policy: Policy) -> None:
        """The operator changes the settings."""
        self.apply(self.decided(PolicyRead(policy, {})))

    @rule(boot=st.sampled_from([BOOT] * 5 + [OTHER_BOOT]), away=st.sampled_from([0, 3, 300]))
    def restart(self, boot: BootId, away: int) -> None:
        """The daemon starts anew from its rows: it is the ledger that it was."""
        before = durable(self.ledger)
        rebuilt = Ledger(self.ledger.policy)
        disk, told = self.disk, list(self.disk.stories.values())[-1000:]
        marks = (disk.ghosts, disk.marks, disk.released)
        rebuilt.restore(disk.leases.values(), told, self.ledger.generation, *marks)
        assert durable(rebuilt) == before
        assert rebuilt.generation == self.ledger.generation
        self.ledger = rebuilt
        alive = self.now.instant
        self.wait(away)
        self.apply(self.decided(Recovered(BOOT, boot, alive, "1")))
        if boot != BOOT:
            assert self.ledger.live_count() == 0
        if away:
            self.calm()

    @invariant()
    def the_ledger_agrees_with_itself(self) -> None:
        """No index contradicts the leases, and who wants no strangers beside him has none."""
        self.ledger.check_invariants()
        assert strangers_beside(self.ledger) == []

    @invariant()
    def no_device_is_promised_twice(self) -> None:
        """Counted from the leases alone: capacity holds and whole devices have one lease."""
        held: dict[str, dict[LeaseId, list[Share]]] = defaultdict(lambda: defaultdict(list))
        for lease in self.disk.leases.values():
            for share in lease.shares if lease.state is not LeaseState.ENDED else ():
                held[share.domain][lease.id].append(share)
        for domain, by_lease in held.items():
            shares = [one for each in by_lease.values() for one in each]
            assert not any(one.exclusive for one in shares) or len(by_lease) == 1
            assert sum(one.memory or 0 for one in shares) <= ROOM[domain]


Turmoil.TestCase.settings = examples(40, steps=30)
TestTurmoil = Turmoil.TestCase
