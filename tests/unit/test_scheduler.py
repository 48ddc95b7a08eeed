"""The whole scheduler, whatever happens in whatever order: what users of a queue rely on."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gpusched.core.changes import LeaseChanged, MarksChanged
from gpusched.core.decision import Decision
from gpusched.core.device import Device
from gpusched.core.events import CancelRequested, Event, Recovered
from gpusched.core.hold import Holds, free_of
from gpusched.core.ids import SECOND, BootId, Caller, DeviceUuid, RequestId
from gpusched.core.keeping import kept_in_full, stirred
from gpusched.core.lease import EndReason, Lease
from gpusched.core.marks import Cordon, Marks
from gpusched.core.placement import choose
from gpusched.core.policy import Policy
from gpusched.core.priority import PriorityClass, QueueRules
from gpusched.core.queue_events import ClientLeft
from gpusched.core.replies import Queued
from gpusched.core.request import Request
from gpusched.core.reserving import ends_by
from gpusched.core.sizes import GIB
from gpusched.core.verdicts import judge, serving
from gpusched.core.waiting import Order, Waiting
from tests.examples import examples
from tests.fakes.builders import ADA, BOB, L4, device
from tests.fakes.host import Host
from tests.fakes.queued_host import CLASSES, host_of

DEVICES = (device(0), device(1), device(2), device(3, L4, 24 * GIB))
BOOT = BootId("boot")
ALL_CLASSES = {**CLASSES, "low": PriorityClass(-1, preemptible=True)}
POLICY = Policy(queue=QueueRules(classes=ALL_CLASSES, ageing=20 * SECOND, notice=15 * SECOND))
PEOPLE = (ADA, BOB)
picks = st.integers(0, 99)
wishes = st.builds(
    Request,
    request_id=st.just(RequestId("replaced")),
    count=st.integers(1, 3),
    memory=st.none() | st.sampled_from([10 * GIB, 30 * GIB, 60 * GIB]),
    gpu_types=st.sampled_from([(), ("nvidia-l4",), ("nvidia-a100-80gb",)]),
    time_limit=st.none() | st.sampled_from([20 * SECOND, 3600 * SECOND]),
    priority=st.none() | st.sampled_from(["high", "normal", "low"]),
    wait_without_limit=st.booleans(),
)

PROBES = tuple(
    Request(RequestId("probe"), count=count, memory=memory, gpu_types=types)
    for count in (1, 2)
    for memory in (None, 30 * GIB)
    for types in ((), ("nvidia-l4", "nvidia-a100-80gb"))
)


class Observed(Host):
    """A host that remembers of every grant its place in the queue, and what was kept for whom."""

    def __init__(self, *devices: Device) -> None:
        self.grants: list[tuple[Lease, Order, Holds]] = []
        super().__init__(*devices, policy=POLICY)

    def _decided(self, event: Event) -> Decision:
        holds, now = in_full(self), self.now.instant
        places = {one.lease_id: one.order for one in self.ledger.waiting}
        known = {one.id for one in (*self.ledger.live(), *self.ledger.ended())}
        decision = super()._decided(event)
        for one in decision.changes:
            if isinstance(one, LeaseChanged) and one.lease.id not in known:
                rank = POLICY.queue.rank(one.lease.request.priority, now)
                last = rank, self.ledger.waiting.arrivals
                self.grants.append((one.lease, places.get(one.lease.id, last), holds))
        return decision


def restarted(host: Host) -> Observed:
    """The daemon again, with what it had stored; every client comes back at once."""
    after = Observed()
    after.devices, after.now = host.devices, host.now
    after.granted_count, after.answers = host.granted_count, host.answers
    leases = [*host.ledger.live(), *host.ledger.ended()]
    after.ledger.restore(leases, (), host.ledger.generation, marks=host.ledger.marks)
    after.ledger.restore_waiting(host.ledger.waiting)
    after.do(Recovered(BOOT, BOOT, after.now.instant, "1"))
    after.tick()
    for one in list(after.ledger.waiting):
        again = after.ask(one.request, one.caller).reply
        assert isinstance(again, Queued)
    after.granted_count = host.granted_count
    return after


class Scheduler(RuleBasedStateMachine):
    """One host, and its twin whose daemon is never started anew."""

    def __init__(self) -> None:
        super().__init__()
        self.host, self.twin = Observed(*DEVICES), Host(*DEVICES, policy=POLICY)
        self.asked = 0

    def both(self) -> tuple[Host, Host]:
        return self.host, self.twin

    @rule(wish=wishes, who=picks)
    def arrive(self, wish: Request, who: int) -> None:
        self.asked += 1
        asked = replace(wish, request_id=RequestId(f"r{self.asked}"))
        for host in self.both():
            host.ask(asked, PEOPLE[who % len(PEOPLE)])

    @rule(who=picks, count=st.integers(1, 2), seconds=st.sampled_from([0, 20]))
    def press(self, who: int, count: int, seconds: int) -> None:
        """What is free goes to who would give way, others of his class wait, and one does not."""
        low = Request(RequestId("replaced"), priority="low", wait_without_limit=True)
        for _ in DEVICES:
            self.arrive(low, who)
        self.time_passes(20)
        self.arrive(replace(low, priority=None, count=count), who + 1)
        self.time_passes(seconds)

    @precondition(lambda self: self.host.ledger.live_count() > 0)
    @rule(which=picks)
    def release(self, which: int) -> None:
        leases = sorted(self.host.ledger.live(), key=lambda one: one.id)
        lease = leases[which % len(leases)]
        for host in self.both():
            host.release(host.lease(lease.id), Caller(lease.uid, lease.gid))

    @precondition(lambda self: len(self.host.ledger.waiting) > 0)
    @rule(which=picks)
    def cancel(self, which: int) -> None:
        waiting = list(self.host.ledger.waiting)[which % len(self.host.ledger.waiting)]
        for host in self.both():
            host.do(CancelRequested(waiting.caller, waiting.request.request_id))

    @precondition(lambda self: len(self.host.ledger.waiting) > 0)
    @rule(which=picks)
    def client_goes_and_comes(self, which: int) -> None:
        waiting = list(self.host.ledger.waiting)[which % len(self.host.ledger.waiting)]
        for host in self.both():
            host.do(ClientLeft(waiting.key))
            host.ask(waiting.request, waiting.caller)

    @rule(seconds=st.sampled_from([1, 10, 20]))
    def time_passes(self, seconds: int) -> None:
        for host in self.both():
            host.later(seconds)
            host.tick()

    @rule(which=picks)
    def cordon(self, which: int) -> None:
        uuid = DEVICES[which % len(DEVICES)].uuid
        for host in self.both():
            at = Cordon("a test", 0, "root", host.now)
            marks = Marks() if host.ledger.marks_of(uuid).cordon else Marks(cordon=at)
            host.apply([MarksChanged(uuid, marks)])
            host.tick()

    @rule()
    def restart(self) -> None:
        self.host = restarted(self.host)
        self.twin.tick()

    @invariant()
    def nobody_waits_for_what_is_free(self) -> None:
        """Nobody who waits can be served: everything is given out that can be, but for what is
        kept for longer than until who comes later is over.
        """
        for one in self.host.ledger.waiting:
            assert serves(self.host, one) is None

    @invariant()
    def who_looks_at_less_sees_the_same(self) -> None:
        """What is judged, and kept, without a look at all devices is what a look at all gives."""
        ledger, now = self.host.ledger, self.host.now.instant
        for one in (*PROBES, *(waiting.request for waiting in ledger.waiting)):
            found = {verdict.device for verdict in serving(ledger, one, now)}
            judged = judge(ledger, one, now)
            assert found == {verdict.device for verdict in judged if verdict.obstacle is None}
            few = serving(ledger, one, now, few=True)
            assert choose(ledger, one, few) == choose(ledger, one, judged)
        full = in_full(self.host)
        for domain in stirred(ledger, now).domains:
            assert ledger.holds.get(domain) == full.get(domain)
        assert ledger.holds.items() <= full.items()

    @invariant()
    def the_daemon_s_life_does_not_matter(self) -> None:
        """A restart in the middle changes nothing of who has what, and who waits where."""
        assert has(self.host) == has(self.twin)
        assert [one.key for one in self.host.ledger.waiting] == [
            one.key for one in self.twin.ledger.waiting
        ]

    @invariant()
    def nobody_gives_way_without_right(self) -> None:
        """Only leases with the mark end for others, and only for those of a class above."""
        for lease in self.host.ledger.making_way():
            way = lease.giving_way
            waiting = None if way is None else self.host.ledger.waiting.get(way.key)
            assert waiting is not None
            assert ALL_CLASSES[lease.request.priority or "normal"].preemptible
            assert value_of(lease.request) < value_of(waiting.request)
        for lease in self.host.ledger.ended():
            if lease.reason is EndReason.PREEMPTED:
                assert lease.request.priority == "low"

    @invariant()
    def nobody_is_passed_where_it_hurts(self) -> None:
        """What is kept for a request is given to nobody behind it who could delay it."""
        for lease, order, holds in self.host.grants:
            for share in lease.shares:
                hold = holds.get(share.domain)
                if hold is None or not hold.keeps_from(order, value_of(lease.request)):
                    continue
                limit = lease.clocks.time_limit
                assert hold.until is not None
                assert limit is not None
                assert limit <= hold.until
        self.host.grants.clear()


def in_full(host: Host) -> Holds:
    """What is kept for whom, of the devices that are in use as well."""
    return kept_in_full(host.ledger, host.now.instant)


def value_of(request: Request) -> int:
    """What the class of a request is worth."""
    return POLICY.queue.class_of(request.priority).value


def serves(host: Host, waiting: Waiting) -> tuple[DeviceUuid, ...] | None:
    """The devices that a request would get beside what is kept for those before it."""
    ledger = host.ledger
    verdicts = judge(ledger, waiting.request, host.now.instant)
    value = value_of(waiting.request)
    ends = ends_by(waiting.request, host.now.instant)
    left = free_of(in_full(host), verdicts, ledger.devices, waiting.order, value, ends)
    return choose(ledger, waiting.request, left)


def has(host: Host) -> dict[tuple[int, str], list[DeviceUuid]]:
    """Who has what, by user and request."""
    return {
        (one.uid, one.request.request_id): [share.device for share in one.shares]
        for one in host.ledger.live()
    }


TestScheduler = Scheduler.TestCase
TestScheduler.settings = examples(30, steps=25)


@examples(60)
@given(
    big=wishes.filter(lambda one: one.count > 1 or one.memory != 10 * GIB),
    small=st.lists(st.sampled_from([None, 10 * GIB]), min_size=4, max_size=12),
)
def test_nobody_starves(big: Request, small: list[int | None]) -> None:
    """Under endless small arrivals a request is granted after no more releases than there were
    leases when it came: those that end are given to it, or to nobody that keeps it from it.
    """
    host = host_of(*DEVICES)
    for number, memory in enumerate(small):
        host.ask(Request(RequestId(f"first-{number}"), memory=memory, wait_without_limit=True))
    asked = replace(
        big, request_id=RequestId("big"), wait_without_limit=True, priority=None, time_limit=None
    )
    reply = host.ask(asked, BOB).reply
    if not isinstance(reply, Queued):
        return
    bound = len(small)
    for number in range(bound):
        assert host.ledger.live_count()
        host.ask(Request(RequestId(f"more-{number}"), memory=10 * GIB, wait_without_limit=True))
        oldest = next(iter(sorted(host.ledger.live(), key=lambda one: one.id)))
        host.release(oldest, ADA)
        if not host.waits(reply.waiting):
            return
    raise AssertionError(f"it still waits after {bound} releases")
