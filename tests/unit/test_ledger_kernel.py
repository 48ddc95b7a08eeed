"""The ledger of what is found in the kernel: cgroups, nodes, abilities, memory left behind."""

from dataclasses import replace

from gpusched.core.changes import (
    AbilityFound,
    DriverReleased,
    GhostChanged,
    LeaseChanged,
    MarksChanged,
    NoticeGiven,
    ObservationTaken,
    SampleTaken,
)
from gpusched.core.enforcement import Ability, LeaseCgroup, Level
from gpusched.core.ghost import Ghost
from gpusched.core.ids import LeaseId
from gpusched.core.lease import EndReason, Lease, LeaseState, confirm, end
from gpusched.core.ledger import NOTICES_KEPT, Ledger
from gpusched.core.marks import UNMARKED, Cordon, Marks
from gpusched.core.mask import Governed
from gpusched.core.notice import Notice, NoticeKind
from gpusched.core.policy import Policy
from gpusched.core.sample import NodeSample
from gpusched.core.sizes import GIB
from tests.fakes.builders import (
    CONTROL_NODE,
    UNREADABLE,
    device,
    lease,
    moment,
    reading,
    sample,
)

GPU = device(0)
NOW = moment()
S = LeaseState
MASKING = Ability(Level.DEVICE_PROGRAM, "the kernel holds masks", cgroups=True)
GHOST = Ghost(GIB, 0, LeaseId("lease-9"), NOW)
CGROUP = LeaseCgroup("/unit", 7, made=False)


def ledger(*leases: Lease) -> Ledger:
    """A ledger with these leases."""
    made = Ledger(Policy())
    for one in leases:
        made.apply(LeaseChanged(one))
    return made


def test_ghost_memory_is_kept_by_device_until_it_is_gone() -> None:
    """A device has ghost memory from when it is found until it is gone; gone twice is gone."""
    made = ledger()
    made.apply(GhostChanged(GPU.uuid, GHOST))
    assert made.ghosts == {GPU.uuid: GHOST}
    for _ in range(2):
        made.apply(GhostChanged(GPU.uuid, None))
        assert made.ghosts == {}


def test_marks_are_kept_by_device_until_they_are_off() -> None:
    """A device has the marks that were last put on it, and a new generation with each of them."""
    made = ledger()
    assert made.marks_of(GPU.uuid) == UNMARKED
    cordoned = Marks(Cordon("fan", 0, "root", NOW))
    made.apply(MarksChanged(GPU.uuid, cordoned))
    assert (made.marks_of(GPU.uuid), made.generation) == (cordoned, 1)
    for _ in range(2):
        made.apply(MarksChanged(GPU.uuid, UNMARKED))
        assert made.marks == {}
    assert made.generation == 3


def test_the_driver_is_let_go_until_it_is_taken_up() -> None:
    """That the driver is let go is known with its reason, an empty one included."""
    made = ledger()
    for why in ("", "upgrade", None):
        made.apply(DriverReleased(why))
        assert made.released == why
    assert made.generation == 3


def test_notices_are_numbered_and_the_oldest_go_first() -> None:
    """Each notice has its own number, is news to those who watch, and is not stored."""
    made = ledger()
    warned = Notice(LeaseId("lease-1"), NoticeKind.OVER_LIMIT, "too much", NOW)
    for _ in range(NOTICES_KEPT + 1):
        assert made.apply(NoticeGiven(warned)) is None
    assert made.generation == NOTICES_KEPT + 1
    assert [one.sequence for one in made.notices] == list(range(2, NOTICES_KEPT + 2))


def test_what_was_found_out_of_the_kernel_is_in_force() -> None:
    """The last look and what the host can enforce are known; the look counts opens or does not."""
    made = ledger()
    made.apply(AbilityFound(MASKING))
    made.apply(ObservationTaken(NOW.instant, 7))
    assert (made.ability, made.observed_at, made.guard_denied) == (MASKING, NOW.instant, 7)
    made.apply(ObservationTaken(NOW.instant))
    assert made.guard_denied is None


def test_a_sample_says_which_nodes_are_governed() -> None:
    """What masks are about is what the driver had when it last answered."""
    made = ledger()
    made.apply(SampleTaken(sample(reading(GPU)), {}, NOW.instant))
    assert made.governed == Governed((), (CONTROL_NODE,))
    made.apply(SampleTaken(NodeSample(NOW.instant, UNREADABLE), {}, NOW.instant))
    assert made.governed == Governed((), (CONTROL_NODE,))


def test_leases_are_found_by_their_cgroup_while_they_live() -> None:
    """A cgroup leads to its leases, oldest first, also to those that end; each cgroup is listed
    once.
    """
    one, two, other = (replace(lease(S.ACTIVE, name=name), cgroup=CGROUP) for name in "123")
    other = replace(other, cgroup=LeaseCgroup("/other", 8, made=True))
    made = ledger(one, two, other)
    assert made.in_cgroup("/unit") == [one, two]
    assert list(made.cgroups()) == ["/unit", "/other"]
    assert made.in_cgroup("/nowhere") == []
    ending = end(one, EndReason.RELEASED, NOW)
    made.apply(LeaseChanged(ending))
    assert made.in_cgroup("/unit") == [ending, two]
    for over in (confirm(ending, NOW), replace(two, cgroup=None)):
        made.apply(LeaseChanged(over))
        made.check_invariants()
    assert list(made.cgroups()) == ["/other"]
