"""What a decision costs in the core alone: hosts of 8 devices to 10 000, with 10 waiting to 10^5.

No store, no loop. Where somebody waits, all devices are leased but the last one, which is of
another kind and which nobody waits for:

- *grant*: that one is asked for, and granted;
- *release*: a lease ends;
- *serve*: the turn of the queue after it, which grants the device to the first that waits;
- *wait*: a request comes that has to wait;
- *cancel*: one that waits is withdrawn;
- *idle*: a grant while all devices are free.

A decision is what `decide` takes. What applying it to the ledger and the turns of the queue after
it take on top is the figure beside it.
"""

import gc
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from time import perf_counter

from bench.figures import Figure, Goal, interleaved
from bench.scheduled_hosts import NOW, Shape, gpus, handed_out, instances, sample
from gpusched.core.changes import LeaseChanged, LeaseForgotten, WaitingChanged
from gpusched.core.decide import decide
from gpusched.core.decision import Decision
from gpusched.core.device import Device
from gpusched.core.events import (
    AllocateRequested,
    CancelRequested,
    Event,
    ReleaseRequested,
    Ticked,
)
from gpusched.core.ids import (
    SECOND,
    Caller,
    LeaseId,
    RequestId,
)
from gpusched.core.ledger import Ledger
from gpusched.core.policy import Policy
from gpusched.core.queue_events import TurnCame
from gpusched.core.replies import Granted, Queued, Reply
from gpusched.core.request import Request
from gpusched.core.reserving import reserved
from gpusched.core.waiting import Waiting

ROUNDS = 7
TIME = 0.2
"""Seconds that decisions are repeated for in a round; once at least."""
MOST = 200
"""Decisions of a kind in a round, at most."""
WAITING = (10, 100_000)
USERS = 50
GOAL = Goal(20)
GROWTH = Goal(2)
KINDS = ("grant", "release", "serve", "wait", "cancel")


def scheduling() -> list[Figure]:
    """Measure all hosts with each number of requests that wait."""
    shapes = (gpus(8), instances(), gpus(1024), gpus(10_000))
    hosts = [_Host(shape, waiting) for shape in shapes for waiting in WAITING]
    idle = [_Idle(shape) for shape in shapes]
    # Else what a collection of so many requests takes falls on whichever decision it comes in.
    gc.collect()
    gc.freeze()
    rounds = interleaved([one.measure for one in (*idle, *hosts)], ROUNDS)
    gc.unfreeze()
    names = [("idle", one.name) for one in idle]
    names += [(kind, host.name) for host in hosts for kind in KINDS]
    figures = []
    for kind, name in names:
        value, whole = rounds.median(f"{kind} {name}"), rounds.median(f"{kind} {name} whole")
        detail = f"{whole:.0f} us with all that follows" if kind != "serve" else ""
        figures.append(Figure(f"{kind}, {name}", value, "us", GOAL, detail))
    for kind, least, most in (
        ("idle", idle[0], idle[-1]),
        *((kind, hosts[0], hosts[-1]) for kind in KINDS),
    ):
        names_ = f"{kind} {most.name}", f"{kind} {least.name}"
        figures.append(rounds.ratio(*names_, GROWTH, f"{kind}: {most.name} / {least.name}", ""))
    return figures


@dataclass(slots=True)
class _Spent:
    """Seconds that were spent, by kind of decision.

    Attributes:
        decided: In `decide`.
        whole: With what follows.
        times: How often it was decided.
    """

    decided: dict[str, float] = field(default_factory=dict)
    whole: dict[str, float] = field(default_factory=dict)
    times: int = 0

    def add(self, kind: str, decided: float, whole: float) -> None:
        self.decided[kind] = self.decided.get(kind, 0) + decided
        self.whole[kind] = self.whole.get(kind, 0) + whole

    def microseconds(self, name: str) -> Mapping[str, float]:
        """Give what one decision took, and what it took with what follows."""
        found = {f"{kind} {name}": spent for kind, spent in self.decided.items()}
        found |= {f"{kind} {name} whole": spent for kind, spent in self.whole.items()}
        return {key: spent / self.times * 1e6 for key, spent in found.items()}


class _Host:
    """A ledger to which events happen, with requests that wait."""

    def __init__(self, shape: Shape, waiting: int) -> None:
        self.name = f"{shape.name}, {waiting} waiting"
        self._shape = shape
        self._numbers = count(1)
        self._ledger = Ledger(Policy(max_sample_age=3600 * SECOND))
        self._do(Ticked(sample(shape.devices), ()))
        self._leased = [self._lease(one) for one in self._to_lease()]
        for number in range(waiting):
            self._ledger.apply(WaitingChanged(self._waiting(number)))
        self._settle()

    def measure(self) -> Mapping[str, float]:
        """Give the microseconds of each kind of decision."""
        spent, began = _Spent(), perf_counter()
        while not spent.times or (spent.times < MOST and perf_counter() - began < TIME):
            self._once(spent)
            spent.times += 1
        return spent.microseconds(self.name)

    def _to_lease(self) -> list[Device]:
        return handed_out(self._shape.devices)[:-1]

    def _once(self, spent: _Spent) -> None:
        """Let each happen once; what there is and who waits is as before afterwards."""
        granted = self._timed("grant", self._ask(self._shape.rare), spent)
        assert isinstance(granted, Granted), granted  # noqa: S101 - else it measures nothing
        self._do(ReleaseRequested(_caller(granted.lease.uid), granted.lease.id))
        lease = self._leased.pop(0)
        first = next(iter(self._ledger.waiting))
        self._timed("release", ReleaseRequested(_caller(lease.uid), lease.lease_id), spent)
        assert self._ledger.get(first.lease_id) is not None  # noqa: S101 - as above
        self._leased.append(first)
        for gone in (granted.lease.id, lease.lease_id):
            self._ledger.apply(LeaseForgotten(gone))
        queued = self._timed("wait", self._ask(self._shape.common), spent)
        assert isinstance(queued, Queued), queued  # noqa: S101 - as above
        self._do(self._ask(self._shape.common))
        who = _caller(queued.waiting.uid)
        self._timed("cancel", CancelRequested(who, queued.waiting.request.request_id), spent)

    def _timed(self, kind: str, event: Event, spent: _Spent) -> Reply | None:
        began = perf_counter()
        decision = decide(self._ledger, event, NOW)
        decided = perf_counter() - began
        self._apply(decision)
        if kind == "release":
            turn = perf_counter()
            serving = decide(self._ledger, TurnCame(), NOW)
            spent.add("serve", perf_counter() - turn, 0)
            self._apply(serving)
        self._settle()
        spent.add(kind, decided, perf_counter() - began)
        return decision.reply

    def _do(self, event: Event) -> Reply | None:
        decision = decide(self._ledger, event, NOW)
        self._apply(decision)
        self._settle()
        return decision.reply

    def _settle(self) -> None:
        while self._ledger.unserved:
            self._apply(decide(self._ledger, TurnCame(), NOW))

    def _apply(self, decision: Decision) -> None:
        for change in decision.changes:
            self._ledger.apply(change)

    def _ask(self, wish: Mapping[str, object]) -> AllocateRequested:
        number = next(self._numbers)
        request = Request(RequestId(f"a{number}"), wait_without_limit=True, **wish)  # type: ignore[arg-type]
        return AllocateRequested(_somebody(number), request, LeaseId(f"lease-a{number}"))

    def _waiting(self, number: int) -> Waiting:
        request = Request(
            RequestId(f"w{number}"),
            wait_without_limit=True,
            time_limit=3600 * SECOND if number % 2 else None,
            **self._shape.common,  # type: ignore[arg-type]
        )
        who = _somebody(number)
        return Waiting(
            request=request,
            uid=who.uid,
            gid=who.gid,
            user=who.user,
            admin=False,
            lease_id=LeaseId(f"lease-w{number}"),
            arrived=NOW,
            number=number,
            rank=NOW.instant,
            priority="normal",
        )

    def _lease(self, device: Device) -> Waiting:
        """Grant *device*; give who has it, as if he had waited."""
        holder = self._waiting(10_000_000 + next(self._numbers))
        lease = reserved(
            self._ledger, holder.caller, holder.request, holder.lease_id, (device.uuid,), NOW
        )
        self._ledger.apply(LeaseChanged(lease))
        return holder


class _Idle(_Host):
    """A host with nothing leased, and nobody that waits."""

    def __init__(self, shape: Shape) -> None:
        super().__init__(shape, 0)
        self.name = f"{shape.name}, all free"

    def _to_lease(self) -> list[Device]:
        return []

    def _once(self, spent: _Spent) -> None:
        granted = self._timed("idle", self._ask(self._shape.common), spent)
        assert isinstance(granted, Granted), granted  # noqa: S101 - else it measures nothing
        self._do(ReleaseRequested(_caller(granted.lease.uid), granted.lease.id))
        self._ledger.apply(LeaseForgotten(granted.lease.id))


def _caller(uid: int) -> Caller:
    return Caller(uid, uid, user=f"user{uid}")


def _somebody(number: int) -> Caller:
    return _caller(1000 + number % USERS)
