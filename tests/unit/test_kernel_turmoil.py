"""Whatever fails, and wherever the daemon dies: the kernel and the ledger come to agree again.

A daemon of values works on a kernel of values. Actions about one cgroup are done in order, all
others in any; each outcome is told some time later; between any two of these the daemon may die.
"""

from collections.abc import Sequence
from typing import TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gpusched.core.actions import Follow, Prepare
from gpusched.core.changes import ObservationTaken
from gpusched.core.decide import decide
from gpusched.core.enforcement import Level
from gpusched.core.events import (
    AllocateRequested,
    AttachRequested,
    Observed,
    ReleaseRequested,
    RevokeRequested,
    Ticked,
)
from gpusched.core.ids import (
    SECOND,
    Caller,
    DeviceUuid,
    Instant,
    LeaseId,
    Moment,
    RequestId,
)
from gpusched.core.lease import Lease, LeaseState
from gpusched.core.request import Enforce, Request
from tests.examples import examples
from tests.fakes.builders import ADA, ROOT, reading, sample
from tests.fakes.kernel_builders import GPUS, noded
from tests.fakes.model_daemon import ModelDaemon
from tests.fakes.model_kernel import SERVICES, SESSION

T = TypeVar("T")
picks = st.integers(min_value=0, max_value=99)
fails = st.sampled_from([False, False, False, False, True])


class Turmoil(ModelDaemon, RuleBasedStateMachine):
    """A host on which anything happens."""

    def __init__(self) -> None:
        RuleBasedStateMachine.__init__(self)
        ModelDaemon.__init__(self)

    @initialize()
    def start(self) -> None:
        """The first start of all."""
        self.restart()
        self.tick()

    @rule(where=st.sampled_from([SESSION, *SERVICES]))
    def spawn(self, where: str) -> None:
        """Somebody starts a process."""
        self.kernel.spawn(where)

    @precondition(lambda self: self.kernel.processes)
    @rule(pick=picks, forks=st.booleans())
    def process_turns(self, pick: int, forks: bool) -> None:  # noqa: FBT001 - drawn
        """A process forks, or ends."""
        process = self.any_of(list(self.kernel.processes), pick)
        if forks:
            self.kernel.spawn(self.kernel.processes[process])
        else:
            del self.kernel.processes[process]
        self.hear()

    @rule(path=st.sampled_from(SERVICES))
    def restart_service(self, path: str) -> None:
        """A service starts anew, in another cgroup of the same name."""
        self.kernel.restart(path)
        self.in_doubt()
        self.hear()

    @precondition(lambda self: any(one.cgroup.made for one in self.kernel.folders.values()))
    @rule(pick=picks)
    def remove_by_hand(self, pick: int) -> None:
        """An operator removes an empty cgroup of ours."""
        path = self.any_of([p for p, one in self.kernel.folders.items() if one.cgroup.made], pick)
        if not self.kernel.inside(path):
            del self.kernel.folders[path]
            self.hear()

    @precondition(lambda self: self.serving and self.kernel.processes)
    @rule(
        pick=picks,
        enforce=st.sampled_from([*Enforce, Enforce.PREFERRED]),
        attach=st.sampled_from([True, True, False]),
        count=st.sampled_from([1, 1, 1, 0]),
    )
    def allocate(self, pick: int, enforce: Enforce, attach: bool, count: int) -> None:  # noqa: FBT001 - drawn
        """A process asks for a device."""
        self.count += 1
        process = self.any_of(list(self.kernel.processes), pick)
        asked = Request(RequestId(str(self.count)), count, enforce=enforce, attach_caller=attach)
        lease_id = LeaseId(f"lease-{self.count:010d}")
        by = Caller(ADA.uid, ADA.gid, process, ADA.user)
        self.submit(AllocateRequested(by, asked, lease_id, self.kernel.standing(process)))

    @precondition(lambda self: self.serving and self.ledger.live_count() and self.kernel.processes)
    @rule(pick=picks, other=picks, whole=st.booleans())
    def attach(self, pick: int, other: int, whole: bool) -> None:  # noqa: FBT001 - drawn
        """A process, or its whole cgroup, is attached."""
        lease = self.any_of(list(self.ledger.live()), pick)
        process = self.any_of(list(self.kernel.processes), other)
        place = self.kernel.standing(process)
        if whole and place.cgroup != SESSION:
            place = self.kernel.standing(None, place.cgroup)
            self.submit(AttachRequested(ADA, lease.id, None, place))
        else:
            self.submit(AttachRequested(ADA, lease.id, process, place))

    @precondition(lambda self: self.serving and self.ledger.live_count())
    @rule(pick=picks, kill=st.booleans())
    def release(self, pick: int, kill: bool) -> None:  # noqa: FBT001 - drawn
        """A holder releases a lease."""
        lease = self.any_of(list(self.ledger.live()), pick)
        self.submit(ReleaseRequested(ADA, lease.id, kill=kill))

    @precondition(lambda self: self.serving and self.ledger.live_count())
    @rule(pick=picks)
    def revoke(self, pick: int) -> None:
        """An operator ends a lease."""
        lease = self.any_of(list(self.ledger.live()), pick)
        self.submit(RevokeRequested(ROOT, lease.id, "so"))

    @rule(seconds=st.sampled_from([0, 0, 2, 40]))
    def tick(self, seconds: int = 0) -> None:
        """Time passes and a sample comes; the first one opens the doors."""
        later = seconds * SECOND + 1000
        self.now = Moment(Instant(self.now.instant + later), self.now.wall + later)
        taken = sample(*map(reading, GPUS), at=self.now, members=dict(self.members()))
        self.submit(Ticked(noded(taken)))
        self.serving = True

    @rule(picked=st.lists(st.tuples(picks, fails), min_size=1, max_size=6))
    def work(self, picked: list[tuple[int, bool]]) -> None:
        """Some of what was begun goes on; it may fail."""
        for pick, failing in picked:
            steps = list(self.steps(fails=failing))
            if steps:
                self.any_of(steps, pick)()

    @rule()
    def work_off(self) -> None:
        """Everything that was begun is done, and nothing fails."""
        for _ in range(200):
            steps = list(self.steps(fails=False))
            if not steps:
                return
            steps[0]()
        raise AssertionError("the work never ends")

    @rule(pick=picks, stage=st.integers(min_value=0, max_value=2))
    def crash(self, pick: int, stage: int) -> None:
        """The daemon is killed, perhaps halfway through a preparation, and starts again."""
        orders = [one[0] for one in self.tasks.values() if one and isinstance(one[0], Prepare)]
        if orders:
            self.kernel.interrupt(self.any_of(orders, pick), stage)
        self.restart()

    def any_of(self, some: Sequence[T], pick: int) -> T:
        """One of them."""
        return some[pick % len(some)]

    @invariant()
    def no_bare_process(self) -> None:
        """In a cgroup of ours, nobody is without a program where one was asked for."""
        for path, folder in self.kernel.folders.items():
            if folder.cgroup.made and folder.program is None and self.kernel.inside(path):
                assert folder.bare, path

    @invariant()
    def masks_follow_the_ledger(self) -> None:
        """What a program allows is leased by a lease in the cgroup, and all of that is allowed."""
        if not self.settled:
            return
        for path, folder in self.kernel.folders.items():
            here = self.ledger.in_cgroup(path)
            advised = all(one.request.enforce is Enforce.ADVISORY for one in here) and here
            coming = any(one.state is LeaseState.PREPARING for one in here)
            if folder.program is None or not self.kernel.inside(path) or advised or coming:
                continue
            allowed = {one.uuid for one in GPUS if folder.program.allows(195, one.index)}
            keeping = [one for one in here if one.usable or one.clocks.kill is not None]
            assert allowed <= devices_of(keeping), path
            sure = [one for one in here if one.usable and one.level is Level.DEVICE_PROGRAM]
            assert devices_of(sure) <= allowed, path

    @invariant()
    def the_level_is_honest(self) -> None:
        """A lease that is said to be held has a program on its cgroup."""
        for lease in self.ledger.live() if self.settled else ():
            if lease.usable and lease.cgroup is not None and lease.level is Level.DEVICE_PROGRAM:
                folder = self.kernel.folders.get(lease.cgroup.path)
                assert folder is None or folder.program is not None, lease

    def teardown(self) -> None:
        """Left alone, what ends ends; when all is released, nothing is left."""
        self.calm_down()
        states = {one.state for one in self.ledger.live()}
        assert states <= {LeaseState.RESERVED, LeaseState.ACTIVE}, states
        others = [one for one, path in self.kernel.processes.items() if path in SERVICES]
        for lease in list(self.ledger.live()):
            self.submit(RevokeRequested(ROOT, lease.id, "so"))
        self.calm_down()
        assert self.ledger.live_count() == 0, list(self.ledger.live())
        assert not [
            one.program
            for one in self.kernel.folders.values()
            if not one.cgroup.made and one.program
        ]
        assert all(one in self.kernel.processes for one in others)
        for process, path in list(self.kernel.processes.items()):
            if self.kernel.folders[path].cgroup.made:
                del self.kernel.processes[process]
        self.hear()
        self.calm_down()
        assert not [one for one in self.kernel.folders.values() if one.cgroup.made]

    def calm_down(self) -> None:
        """Nothing fails any more, and ticks go on, until a look finds nothing to do."""
        for _ in range(4):
            self.work_off()
            self.tick(40)
        self.work_off()
        found = Observed(self.kernel.observe(self.now.instant, self.known()))
        again = decide(self.ledger, found, self.now)
        assert all(isinstance(one, Follow) for one in again.actions), again.actions
        assert all(isinstance(one, ObservationTaken) for one in again.changes), again.changes


def devices_of(leases: list[Lease]) -> set[DeviceUuid]:
    """The devices that these have."""
    return {share.device for one in leases for share in one.shares}


Turmoil.TestCase.settings = examples(30, steps=40)
TestKernelTurmoil = Turmoil.TestCase
