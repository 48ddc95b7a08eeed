"""Which process belongs to which lease, and what that leaves of a device."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from gpusched.core.attribution import DeviceUse, ProcessKind, attribute
from gpusched.core.enforcement import LeaseCgroup
from gpusched.core.ids import DeviceUuid, Instant, LeaseId, ProcessId
from gpusched.core.lease import Lease, LeaseState
from gpusched.core.sample import (
    NO_MEMBERS,
    ContextReading,
    NodeSample,
    ProcessFacts,
    Unavailable,
)
from gpusched.core.sizes import GIB
from tests.fakes.builders import (
    UNREADABLE,
    context,
    device,
    facts,
    lease,
    mig,
    process,
    reading,
    sample,
    share,
)

GPU, OTHER = device(0), device(1)
# Its attached process is 50.
MINE = lease(LeaseState.ACTIVE, share(GPU), name="mine")
CONFINED = replace(MINE, cgroup=LeaseCgroup("/lease", 7, made=True))


def seen(
    *known: ProcessFacts,
    rows: tuple[ContextReading, ...],
    leases: tuple[Lease, ...] = (MINE,),
    members: Mapping[LeaseId, frozenset[ProcessId]] = NO_MEMBERS,
    infrastructure: tuple[str, ...] = (),
) -> DeviceUse:
    """What a sample with these processes on one GPU shows of it."""
    taken = sample(reading(GPU, *rows), known=known, members=members)
    return attribute(taken, leases, infrastructure)[GPU.uuid]


def kinds(use: DeviceUse) -> list[ProcessKind]:
    """The kind of each process."""
    assert not isinstance(use.processes, Unavailable)
    return [one.kind for one in use.processes]


def test_an_attached_process_belongs_to_its_lease() -> None:
    """A process that was attached uses the device on its lease's account."""
    use = seen(facts(50), rows=(context(50, 3 * GIB),))
    assert kinds(use) == [ProcessKind.LEASE]
    assert (use.used_by, use.strangers) == ({MINE.id: 3 * GIB}, ())


def test_a_recycled_pid_does_not_inherit_the_lease() -> None:
    """A process with an attached pid and another start time is a stranger."""
    recycled = replace(facts(50), identity=ProcessId(50, 9999))
    use = seen(recycled, rows=(context(50),))
    assert kinds(use) == [ProcessKind.STRAY]
    assert use.used_by == {}


def test_a_descendant_belongs_to_the_lease_of_its_ancestor() -> None:
    """A worker belongs to the lease of the process that started it, however far up."""
    use = seen(facts(52, parents=(51, 50, 1)), rows=(context(52),))
    assert kinds(use) == [ProcessKind.LEASE]


def test_the_nearest_ancestor_decides() -> None:
    """A lease within a lease: the process belongs to the inner one."""
    inner = replace(lease(LeaseState.ACTIVE, share(GPU), name="inner"), processes=(process(51),))
    use = seen(facts(52, parents=(51, 50)), rows=(context(52),), leases=(MINE, inner))
    assert list(use.used_by) == [inner.id]


def test_a_member_belongs_to_the_lease_that_watches_it() -> None:
    """A process that the sample counts among a lease's living ones belongs to the lease."""
    members = {MINE.id: frozenset({process(60)})}
    assert kinds(seen(facts(60), rows=(context(60),), members=members)) == [ProcessKind.LEASE]


def test_a_member_of_a_forgotten_lease_is_a_stranger() -> None:
    """Membership in a lease that is not live counts for nothing."""
    members = {LeaseId("lease-gone"): frozenset({process(60)})}
    assert kinds(seen(facts(60), rows=(context(60),), members=members)) == [ProcessKind.STRAY]


@pytest.mark.parametrize(
    ("uid", "claims", "kind"),
    [
        (1000, MINE.id, ProcessKind.LEASE),
        (1001, MINE.id, ProcessKind.STRAY),
        (1000, LeaseId("lease-none"), ProcessKind.STRAY),
    ],
)
def test_a_claim_is_believed_only_of_the_lease_s_user(
    uid: int, claims: LeaseId, kind: ProcessKind
) -> None:
    """A process that names a live lease is believed if it has that lease's uid."""
    assert kinds(seen(facts(60, uid, claims=claims), rows=(context(60),))) == [kind]


def test_a_lease_s_process_on_another_device_is_a_stray_there() -> None:
    """A process outside its lease's devices is a stray, and is still known to be the lease's."""
    taken = sample(reading(GPU), reading(OTHER, context(50)), known=(facts(50),))
    use = attribute(taken, (MINE,), ())[OTHER.uuid]
    assert not isinstance(use.processes, Unavailable)
    assert [(one.kind, one.lease) for one in use.processes] == [(ProcessKind.STRAY, MINE.id)]
    assert use.strangers == use.processes
    assert use.used_by == {}


def test_a_process_that_nobody_knows_is_unknown() -> None:
    """A pid that `/proc` does not know belongs to nobody, though it was attached."""
    use = seen(rows=(context(50),))
    assert kinds(use) == [ProcessKind.UNKNOWN]
    assert len(use.strangers) == 1


def test_infrastructure_is_known_by_the_name_that_the_kernel_cut() -> None:
    """Infrastructure is compared in the 15 bytes that the kernel keeps, and is no stranger."""
    known = (facts(7, 0, name="nvidia-cuda-mps"), facts(8, 0, name="dcgm-exporter"), facts(9))
    rows = (context(7), context(8), context(9))
    names = ("nvidia-cuda-mps-server", "dcgm-exporter")
    use = seen(*known, rows=rows, infrastructure=names)
    assert kinds(use) == [
        ProcessKind.INFRASTRUCTURE,
        ProcessKind.INFRASTRUCTURE,
        ProcessKind.STRAY,
    ]
    assert [one.context.pid for one in use.strangers] == [9]


def test_the_memory_of_a_lease_is_the_sum_of_its_processes() -> None:
    """All processes of a lease on a device are added up, each lease for itself."""
    other = replace(lease(LeaseState.ACTIVE, share(GPU), name="other"), processes=(process(70),))
    known = (facts(50), facts(51, parents=(50,)), facts(70))
    rows = (context(50, GIB), context(51, 2 * GIB), context(70, 5 * GIB))
    use = seen(*known, rows=rows, leases=(MINE, other))
    assert use.used_by == {MINE.id: 3 * GIB, other.id: 5 * GIB}


@pytest.mark.parametrize("figures", [(GIB, UNREADABLE, GIB), (UNREADABLE, GIB, GIB)])
def test_one_unknown_figure_makes_the_sum_unknown(figures: tuple[int | Unavailable, ...]) -> None:
    """A sum with an unknown part is unknown, never too small."""
    known = (facts(50), facts(51, parents=(50,)), facts(52, parents=(50,)))
    rows = tuple(context(50 + n, figure) for n, figure in enumerate(figures))
    assert seen(*known, rows=rows).used_by == {MINE.id: UNREADABLE}


@pytest.mark.parametrize("twice", [(GIB, 2 * GIB), (2 * GIB, GIB), (2 * GIB, 2 * GIB)])
def test_a_process_that_is_listed_twice_uses_its_memory_once(twice: tuple[int, int]) -> None:
    """Its rows stay, and of what they say the more counts for its lease; an unknown one is
    unknown.
    """
    known = (facts(50), facts(51, parents=(50,)))
    rows = (context(51, 3 * GIB), *(context(50, figure) for figure in twice))
    use = seen(*known, rows=rows)
    assert len(use.processes) == 3  # type: ignore[arg-type]  # they were read
    assert use.used_by == {MINE.id: 5 * GIB}
    for doubtful in ((*rows, context(50, UNREADABLE)), (context(50, UNREADABLE), *rows)):
        assert seen(*known, rows=doubtful).used_by == {MINE.id: UNREADABLE}


def test_an_unreadable_list_is_unreadable() -> None:
    """A process list that could not be read is not an empty one."""
    taken = sample(replace(reading(GPU), contexts=UNREADABLE))
    use = attribute(taken, (MINE,), ())[GPU.uuid]
    assert (use.processes, use.used_by, use.strangers) == (UNREADABLE, {}, ())


def test_without_a_reading_nothing_is_known_of_any_device() -> None:
    """When NVML did not answer, no device has a use."""
    assert attribute(NodeSample(Instant(1), UNREADABLE), (MINE,), ()) == {}


def test_compute_instances_of_one_gpu_instance_have_one_memory() -> None:
    """The memory domain of a MIG instance is its GPU instance; of a GPU, the GPU itself."""
    left, right, other = mig(GPU, 1, 0), mig(GPU, 1, 1), mig(GPU, 2, 0)
    assert left.memory_domain == right.memory_domain == f"{GPU.uuid}/gi1"
    assert other.memory_domain != left.memory_domain
    assert GPU.memory_domain == GPU.uuid


def test_a_device_knows_which_gpu_it_is_on() -> None:
    """A MIG instance is on its parent; a GPU is on itself."""
    assert (mig(GPU).physical, GPU.physical) == (GPU.uuid, GPU.uuid)
    assert DeviceUuid("GPU-00000000") == GPU.uuid


def test_whatever_is_in_the_cgroup_of_a_lease_belongs_to_it() -> None:
    """A process in the cgroup, or below it, is the lease's, whoever started it."""
    for path in ("/lease", "/lease/scope"):
        use = seen(facts(60, cgroup=path), rows=(context(60),), leases=(CONFINED,))
        assert use.used_by == {CONFINED.id: GIB}


def test_what_escaped_the_cgroup_of_a_lease_is_a_stray() -> None:
    """Neither descent, nor a claim, nor having been attached replaces being in the cgroup."""
    known = (
        facts(50),
        facts(51, parents=(50,)),
        facts(52, claims=CONFINED.id),
        facts(53, cgroup="/lease-2"),
    )
    rows = tuple(context(one.identity.pid) for one in known)
    use = seen(*known, rows=rows, leases=(CONFINED,))
    assert kinds(use) == [ProcessKind.STRAY] * 4


def test_a_process_of_two_leases_uses_each_device_for_its_lease() -> None:
    """A process in a cgroup with two leases is a stray on neither of their devices."""
    second = replace(CONFINED, id=LeaseId("lease-second"), shares=(share(OTHER),))
    rows = (reading(GPU, context(50)), reading(OTHER, context(50, 2 * GIB)))
    taken = sample(*rows, known=(facts(50, cgroup="/lease"),))
    uses = attribute(taken, (CONFINED, second), ())
    assert uses[GPU.uuid].used_by == {CONFINED.id: GIB}
    assert uses[OTHER.uuid].used_by == {second.id: 2 * GIB}
    assert not uses[GPU.uuid].strangers
    assert not uses[OTHER.uuid].strangers
