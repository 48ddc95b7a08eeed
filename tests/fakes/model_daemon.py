"""A daemon of values: a ledger, the rows of a store, and work under way in a model kernel.

Which step comes next, what fails and when it dies is up to the test.
"""

from collections.abc import Callable, Iterator
from functools import partial

from gpusched.core.actions import (
    Action,
    Answer,
    Observe,
    ReleaseDriver,
    ResumeDriver,
    SetGuard,
    SignalProcess,
    TakeSample,
    WatchExit,
)
from gpusched.core.changes import GhostChanged, LeaseChanged
from gpusched.core.decide import decide
from gpusched.core.decision import Decision
from gpusched.core.enforcement import LeaseCgroup
from gpusched.core.events import (
    Event,
    Observed,
    Recovered,
)
from gpusched.core.ids import (
    SECOND,
    BootId,
    Instant,
    LeaseId,
    Moment,
    ProcessId,
)
from gpusched.core.lease import Lease, LeaseState
from gpusched.core.ledger import Ledger
from gpusched.core.policy import Policy
from tests.fakes.builders import moment
from tests.fakes.kernel_builders import ABLE
from tests.fakes.model_kernel import SERVICES, SESSION, ModelKernel, Task, path_of

BOOT = BootId("boot-1")
POLICY = Policy(max_tick_gap=10**6 * SECOND, max_sample_age=10**6 * SECOND, grace=SECOND)
LOOK = "a look"


class ModelDaemon:
    """A daemon, its store and its kernel."""

    def __init__(self) -> None:
        self.kernel = ModelKernel()
        self.ledger = Ledger(POLICY)
        self.rows: dict[LeaseId, Lease] = {}
        self.masked_in_place: dict[LeaseId, LeaseCgroup] = {}
        self.now = moment()
        self.count = 0
        self.fresh()
        for path in (SESSION, SESSION, *SERVICES, SERVICES[0]):
            self.kernel.spawn(path)

    def fresh(self) -> None:
        """Be a daemon that has begun nothing."""
        self.tasks: dict[str, list[Task]] = {}
        self.told: dict[str, list[Event]] = {}
        self.look_begun: Instant | None = None
        self.serving = False
        self.in_doubt()

    def in_doubt(self) -> None:
        """Something was lost or has failed: only a look that begins later finds it."""
        self.sure = False
        self.doubt = self.now.instant

    def submit(self, event: Event) -> Decision:
        """Decide, commit, and begin what is asked for."""
        self.now = Moment(Instant(self.now.instant + 1000), self.now.wall + 1000)
        decision = decide(self.ledger, event, self.now)
        for change in decision.changes:
            self.ledger.apply(change)
            if isinstance(change, LeaseChanged):
                self.rows[change.lease.id] = change.lease
                self.check_end(change.lease)
            assert not isinstance(change, GhostChanged)
        self.ledger.check_invariants()
        for action in decision.actions:
            self.begin(action)
        return decision

    def begin(self, action: Action) -> None:
        """Put an action behind those about the same cgroup."""
        match action:
            case Observe():
                if self.look_begun is None:
                    self.look_begun = self.now.instant
            case SetGuard():
                raise AssertionError("nobody asked for the guard")
            case WatchExit() | TakeSample() | SignalProcess() | ReleaseDriver() | ResumeDriver():
                pass
            case Answer():
                raise AssertionError("nobody waits")
            case _:
                self.tasks.setdefault(path_of(action), []).append(action)

    def check_end(self, lease: Lease) -> None:
        """A lease in place has ended only when the program is off, or another one's."""
        if lease.cgroup is not None and lease.cgroup.path in SERVICES:
            self.masked_in_place[lease.id] = lease.cgroup
        taken = self.masked_in_place.get(lease.id)
        if taken is None or lease.state is not LeaseState.ENDED:
            return
        folder = self.kernel.folders[taken.path]
        if folder.cgroup == taken and folder.program is not None:
            assert self.ledger.in_cgroup(taken.path) or self.tasks.get(taken.path), lease

    def restart(self) -> None:
        """A daemon starts from the rows, and sees what there is."""
        self.fresh()
        self.kernel.forget_followed()
        alive_at = self.now.instant
        self.ledger = Ledger(POLICY)
        self.ledger.restore(self.rows.values(), (), 0)
        self.ledger.check_invariants()
        self.now = Moment(Instant(self.now.instant + SECOND), self.now.wall + SECOND)
        look = self.kernel.observe(self.now.instant, self.known())
        self.submit(Recovered(BOOT, BOOT, alive_at, "1", ABLE, look))

    def steps(self, *, fails: bool) -> Iterator[Callable[[], None]]:
        """What could happen next: an action is done, an outcome is told, a look is finished."""
        yield from (partial(self.carry_out, path, fails=fails) for path in self.tasks)
        yield from (partial(self.tell, path) for path in self.told)
        if self.look_begun is not None and LOOK not in self.told:
            yield partial(self.look, fails=fails)

    def carry_out(self, path: str, *, fails: bool) -> None:
        """Do the next action about a cgroup."""
        task = self.tasks[path].pop(0)
        if not self.tasks[path]:
            del self.tasks[path]
        if fails:
            self.in_doubt()
        event = self.kernel.carry_out(task, fails=fails)
        if event is not None:
            self.told.setdefault(path, []).append(event)
        self.hear()

    def look(self, *, fails: bool) -> None:
        """Finish the look that has begun."""
        assert self.look_begun is not None
        if fails:
            self.look_begun = None
            return
        found = self.kernel.observe(self.look_begun, self.known())
        self.told[LOOK] = [Observed(found)]

    def tell(self, path: str) -> None:
        """Tell the next outcome about a cgroup."""
        event = self.told[path].pop(0)
        if not self.told[path]:
            del self.told[path]
        if isinstance(event, Observed):
            self.look_begun = None
        self.submit(event)
        if isinstance(event, Observed) and self.serving:
            self.sure = event.observation.begun_at > self.doubt

    def hear(self) -> None:
        """Hear of the followed cgroups that have become empty."""
        for event in self.kernel.emptied():
            self.told.setdefault(event.cgroup.path, []).append(event)

    def known(self) -> set[LeaseCgroup]:
        """The cgroups of leases."""
        return {one.cgroup for one in self.ledger.live() if one.cgroup is not None}

    def members(self) -> Iterator[tuple[LeaseId, frozenset[ProcessId]]]:
        """What a sample finds of the processes of leases."""
        for lease in self.ledger.live():
            if lease.entered is not None and lease.cgroup is not None:
                yield lease.id, frozenset(self.kernel.inside(lease.cgroup.path))
            elif lease.entered is not None:
                yield (
                    lease.id,
                    frozenset(one for one in lease.processes if one in self.kernel.processes),
                )

    @property
    def settled(self) -> bool:
        """Whether nothing is under way, lost or failed."""
        return self.sure and self.serving and not self.tasks and not self.told
