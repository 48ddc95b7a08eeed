"""Anything that can befall a small host: requests, samples, deaths; for property tests.

Unlike `tests.fakes.strategies`, what is drawn here is about devices that exist.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum

from hypothesis import strategies as st

from gpusched.core.decide import decide
from gpusched.core.decision import Decision
from gpusched.core.device import Device
from gpusched.core.events import Ticked
from gpusched.core.ids import SECOND, Caller, DeviceUuid, LeaseId, Moment
from gpusched.core.lease import Lease
from gpusched.core.ledger import Ledger
from gpusched.core.operator_events import (
    CordonRequested,
    DrainRequested,
    OperatorEvent,
    ReleaseDriverRequested,
    ResumeDriverRequested,
    UncordonRequested,
)
from gpusched.core.preferences import Placement, Sharing, Topology
from gpusched.core.replies import Done, Granted
from gpusched.core.request import Owner, Request
from gpusched.core.sample import DeviceReading, LostDevice, NodeSample, ProcessFacts
from gpusched.core.sizes import GIB
from tests.fakes.builders import (
    ADA,
    BOB,
    L4,
    UNREADABLE,
    A,
    B,
    C,
    caller,
    context,
    device,
    facts,
    memory_of,
    mig,
    moment,
    sample,
)

RESERVED = GIB // 2
PARENT = replace(device(3), mig_enabled=True)
INSTANCES = (mig(PARENT, 1, 0), mig(PARENT, 1, 1), mig(PARENT, 2, 0))
DEVICES = (device(0), device(1), device(2, L4, 24 * GIB), PARENT, *INSTANCES)
PIDS = range(50, 55)
LISTED, STRAY = 98, 99
LEFT = 3 * GIB
OWNER = Owner("slurm:1")

Fate = Enum("Fate", ["READ", "STRAY", "LISTED", "LEFT", "UNLISTED", "UNMEASURED", "LOST", "GONE"])
"""What a tick finds of a device, beside the processes of its leases.

LISTED is a pid that only NVML knows, LEFT memory that no process has.
"""

callers = st.sampled_from([ADA, BOB, caller(1000, pid=50), caller(0, admin=True)])
memories = st.none() | st.sampled_from([GIB, 8 * GIB, 20 * GIB, 30 * GIB, 60 * GIB, 99 * GIB])
whole = st.sampled_from([one.uuid for one in DEVICES if one.mig is None])
instances = st.sampled_from([one.uuid for one in INSTANCES])
profiles = st.sampled_from(["4g.40gb"] * 4 + ["1g.10gb"])
durations = st.sampled_from([None, SECOND, 5 * SECOND])


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """A request that this host could be asked, with one of three ids."""
    mig_wanted = draw(st.booleans())
    some = instances if mig_wanted else whole
    exact = draw(st.just(()) | st.lists(some, min_size=1, max_size=3, unique=True).map(tuple))
    count = len(exact) or draw(st.sampled_from([1, 1, 2, 2, 3, 4, 0]))
    attach_caller = draw(st.sampled_from([False, False, False, True]))
    must = draw(st.just(()) | st.lists(some, max_size=min(count, 2), unique=True).map(tuple))
    memory = draw(memories)
    fraction = draw(st.sampled_from([None, None, 0.4])) if memory is None else None
    sized = memory is not None or fraction is not None
    lies = draw(st.sampled_from([Topology.CONFIGURED, Topology.SAME_NUMA_NODE, Topology.NVLINK]))
    profile = draw(profiles) if mig_wanted and not exact else None
    shared = [Sharing.ANY, Sharing.OWN] if sized else []
    return Request(
        request_id=draw(st.sampled_from([A, B, C])),
        count=count,
        memory=memory,
        memory_fraction=fraction,
        min_count=None if exact or not count else draw(st.sampled_from([None, None, 1])),
        max_count=None if exact else draw(st.sampled_from([None, None, count + 2])),
        sharing=draw(st.sampled_from([*shared, Sharing.CONFIGURED, Sharing.EXCLUSIVE])),
        topology=lies,
        topology_required=lies is not Topology.CONFIGURED and draw(st.booleans()),
        placement=draw(st.sampled_from(Placement)),
        allow_larger_mig=profile is not None and draw(st.booleans()),
        affinity_key=draw(st.sampled_from(["", "worker"])),
        gpu_types=draw(st.sampled_from([(), (), (), ("a100",), ("l4", "a100"), ("h100",)])),
        mig_profile=profile,
        devices=exact,
        must_include=must,
        keepalive=draw(durations),
        time_limit=draw(durations),
        attach_deadline=draw(durations),
        owner=draw(st.sampled_from([None, OWNER])),
        attach_caller=attach_caller,
        confines_itself=attach_caller and draw(st.booleans()),
    )


@dataclass(frozen=True, slots=True)
class Turn:
    """What one tick finds.

    Attributes:
        fates: Of each device.
        alive: Pids of attached processes that live.
        used: Bytes that each process of a lease uses; None where NVML does not say.
        watched: Whether the members of leases were looked at.
        lingering: Whether NVML lists also attached processes that have ended.
    """

    fates: tuple[Fate, ...]
    alive: frozenset[int]
    used: int | None
    watched: bool
    lingering: bool = True

    def sample(self, leases: Iterable[Lease], now: Moment) -> NodeSample:
        """The sample of this turn, given the leases that live."""
        leases = tuple(leases)
        fates = dict(zip(DEVICES, self.fates, strict=True))
        gone = (Fate.LOST, Fate.GONE)
        return sample(
            *(self._reading(one, fate, leases) for one, fate in fates.items() if fate not in gone),
            at=now,
            known=(*self._known(leases), facts(STRAY, 7)),
            members={
                lease.id: frozenset(one for one in lease.processes if one.pid in self.alive)
                for lease in leases
                if self.watched
            },
            lost=tuple(
                LostDevice(one.index, one.uuid, "lost")
                for one, fate in fates.items()
                if fate is Fate.LOST
            ),
        )

    def _known(self, leases: Iterable[Lease]) -> Iterable[ProcessFacts]:
        pids = {one.pid for lease in leases for one in lease.processes}
        return (facts(pid) for pid in pids & self.alive)

    def _reading(self, one: Device, fate: Fate, leases: Iterable[Lease]) -> DeviceReading:
        pids = {
            process.pid
            for lease in leases
            if any(share.device == one.uuid for share in lease.shares)
            for process in lease.processes
            if self.lingering or process.pid in self.alive
        }
        pids |= {Fate.STRAY: {STRAY}, Fate.LISTED: {LISTED}}.get(fate, set())
        figure = UNREADABLE if self.used is None else self.used
        rows = tuple(context(pid, figure) for pid in sorted(pids))
        left = LEFT if fate is Fate.LEFT else 0
        used = min((self.used or GIB) * len(rows) + left, (one.memory_total or 0) - RESERVED)
        memory = UNREADABLE if fate is Fate.UNMEASURED else memory_of(one, used, RESERVED)
        contexts = UNREADABLE if fate is Fate.UNLISTED else rows
        return DeviceReading(one, memory, contexts)


turns = st.builds(
    Turn,
    fates=st.lists(
        st.sampled_from([Fate.READ] * 6 + list(Fate)),
        min_size=len(DEVICES),
        max_size=len(DEVICES),
    ).map(tuple),
    alive=st.frozensets(st.sampled_from(PIDS)),
    used=st.sampled_from([None, GIB, 6 * GIB, 40 * GIB]),
    watched=st.booleans(),
    lingering=st.booleans(),
)


def _orders(by: Caller, device: DeviceUuid, time: int | None) -> list[OperatorEvent]:
    return [
        CordonRequested(by, device, "loud"),
        UncordonRequested(by, device),
        DrainRequested(by, device, "replace it", time, signal_in_place=time is None),
        ReleaseDriverRequested(by, "upgrade"),
        ResumeDriverRequested(by),
    ]


orders = st.builds(
    _orders,
    callers,
    st.sampled_from([one.uuid for one in DEVICES]),
    st.sampled_from([None, 0, 5 * SECOND]),
).flatmap(st.sampled_from)
"""What an operator, or somebody who is none, asks of devices and the driver."""


def own(lease: Lease) -> Caller:
    """The holder of a lease."""
    return caller(lease.uid)


def idle(like: Ledger) -> Ledger:
    """A ledger of the same devices on which nothing happens."""
    ledger, now = Ledger(like.policy), moment()
    present = [one for one in DEVICES if one.uuid in like.devices]
    taken = sample(
        *(DeviceReading(one, memory_of(one, 0, RESERVED), ()) for one in present), at=now
    )
    for change in decide(ledger, Ticked(taken), now).changes:
        ledger.apply(change)
    return ledger


def durable(ledger: Ledger) -> tuple[object, ...]:
    """What a store keeps of a ledger, and what follows from it."""
    return (
        tuple(ledger.live()),
        tuple(ledger.ended()),
        dict(ledger._requests),
        {one: (dict(h.shares), h.promised, h.exclusive) for one, h in ledger._holdings.items()},
        tuple(ledger.stories),
        dict(ledger.ghosts),
        (dict(ledger.marks), ledger.released),
        ledger._sequence,
    )


def everything(ledger: Ledger) -> tuple[object, ...]:
    """All state of a ledger but its generation, in values that nobody changes later."""
    return (
        *durable(ledger),
        *(ledger.policy, tuple(ledger.devices.items()), dict(ledger.lost), ledger.sample),
        *(dict(ledger.uses), ledger.peaks, ledger.ticked_at, dict(ledger._leases)),
        *(ledger.ability, ledger.governed, ledger.observed_at, ledger.guard_denied),
    )


def leases_of(decision: Decision) -> tuple[Lease, ...]:
    """The leases in a reply, but for their peaks: those rise by themselves."""
    match decision.reply:
        case Granted(lease):
            return (_without_peaks(lease),)
        case Done(leases):
            return tuple(map(_without_peaks, leases))
        case _:
            return ()


def _without_peaks(lease: Lease) -> Lease:
    shares = tuple(replace(one, peak=None) for one in lease.shares)
    return replace(lease, peak=None, shares=shares)


def strangers_beside(ledger: Ledger) -> list[LeaseId]:
    """Leases beside one that shares with leases of its own user only, and of another user."""
    live = list(ledger.live())
    own = {
        (share.domain, lease.uid)
        for lease in live
        if lease.request.sharing is Sharing.OWN
        for share in lease.shares
    }
    return [
        lease.id
        for lease in live
        for share in lease.shares
        for domain, uid in own
        if share.domain == domain and lease.uid != uid
    ]
