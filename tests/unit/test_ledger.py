"""The ledger: what each change does to it, how it is rebuilt, and how it adds up."""

from dataclasses import replace

from gpusched.core.attribution import DeviceUse
from gpusched.core.changes import (
    AbilityFound,
    DriverReleased,
    GhostChanged,
    InventoryChanged,
    LeaseChanged,
    LeaseForgotten,
    MarksChanged,
    ObservationTaken,
    PolicyChanged,
    SampleTaken,
    StoryKind,
    StoryLine,
    StoryTold,
)
from gpusched.core.enforcement import NOT_PROBED, Ability, LeaseCgroup, Level
from gpusched.core.ghost import Ghost
from gpusched.core.ids import Instant, LeaseId, Moment
from gpusched.core.lease import EndReason, Lease, LeaseState, confirm, end
from gpusched.core.lease_table import NOTHING_HELD, Holding
from gpusched.core.ledger import STORIES_KEPT, Ledger
from gpusched.core.marks import Cordon, Marks
from gpusched.core.mask import Governed
from gpusched.core.policy import Policy
from gpusched.core.request import Request
from gpusched.core.sizes import GIB
from gpusched.core.tally import Subject
from tests.fakes.builders import (
    ADA,
    BOB,
    A,
    B,
    device,
    lease,
    mig,
    moment,
    reading,
    sample,
    share,
)

GPU, OTHER = device(0), device(1)
NOW = moment()
S = LeaseState
MASKING = Ability(Level.DEVICE_PROGRAM, "the kernel holds masks", cgroups=True)
GHOST = Ghost(GIB, 0, LeaseId("lease-9"), NOW)
CORDONED = Marks(Cordon("fan", 0, "root", NOW))
CGROUP = LeaseCgroup("/unit", 7, made=False)


def ledger(*leases: Lease) -> Ledger:
    """A ledger with these leases."""
    made = Ledger(Policy())
    for one in leases:
        made.apply(LeaseChanged(one))
    return made


def line(sentence: str) -> StoryLine:
    """A story line of the daemon, not yet numbered."""
    return StoryLine(NOW.wall, StoryKind.DAEMON, "daemon", sentence, {"key": "value"})


def aged(one: Lease, created: int, ended: int | None = None) -> Lease:
    """A lease with other wall times."""
    over = None if ended is None else Moment(Instant(0), ended)
    return replace(one, created=Moment(Instant(0), created), ended=over)


def test_a_lease_is_found_by_id_until_it_is_forgotten() -> None:
    """A lease stays in the history when it has ended, and goes when it is forgotten."""
    one = lease(S.ENDED)
    made = ledger(one)
    assert made.get(one.id) == one
    forget = LeaseForgotten(one.id)
    assert made.apply(forget) == forget
    assert (made.get(one.id), made.ended_count()) == (None, 0)
    assert made.apply(forget) == forget
    made.check_invariants()


def test_only_leases_marks_and_stories_are_durable() -> None:
    """What the next start reads anew is not stored; the rest is, as it was applied."""
    made = ledger()
    change = LeaseChanged(lease())
    assert made.apply(change) == change
    assert made.apply(StoryTold(line("x"))) == StoryTold(replace(line("x"), sequence=1))
    assert made.apply(InventoryChanged((GPU,), {})) is None
    assert made.apply(SampleTaken(sample(), {}, NOW.instant)) is None
    assert made.apply(PolicyChanged(Policy())) is None
    assert made.apply(AbilityFound(MASKING)) is None
    assert made.apply(ObservationTaken(NOW.instant)) is None
    for haunted in (GhostChanged(GPU.uuid, GHOST), GhostChanged(GPU.uuid, None)):
        assert made.apply(haunted) == haunted
    for mark in (MarksChanged(GPU.uuid, CORDONED), DriverReleased("upgrade")):
        assert made.apply(mark) == mark


def test_the_generation_counts_changes_of_leases_and_inventory() -> None:
    """A watcher sees a new generation for a lease, a ghost, the inventory, what the host can
    enforce or other settings, not for a sample.
    """
    made = ledger()
    made.apply(LeaseChanged(lease()))
    made.apply(LeaseChanged(lease(S.ACTIVE)))
    assert made.generation == 2
    made.apply(InventoryChanged((GPU,), {}))
    assert made.generation == 3
    made.apply(SampleTaken(sample(), {}, NOW.instant))
    made.apply(StoryTold(line("x")))
    made.apply(ObservationTaken(NOW.instant))
    assert made.generation == 3
    made.apply(AbilityFound(MASKING))
    assert made.generation == 4
    made.apply(GhostChanged(GPU.uuid, GHOST))
    assert made.generation == 5
    made.apply(PolicyChanged(Policy()))
    assert made.generation == 6


def test_stories_are_numbered_in_order() -> None:
    """Each line gets the next number, and the newest thousand are kept in memory."""
    made = ledger()
    for number in range(STORIES_KEPT + 2):
        made.apply(StoryTold(line(str(number))))
    assert [one.sequence for one in made.stories] == list(range(3, STORIES_KEPT + 3))
    assert made.stories[0].sentence == "2"


def test_the_inventory_stands_in_the_order_of_the_bus() -> None:
    """Devices are kept by PCI bus, a GPU before its own instances."""
    made = ledger()
    made.apply(InventoryChanged((OTHER, mig(GPU, 2), mig(GPU, 1), GPU), {OTHER.uuid: "gone"}))
    order = [GPU.uuid, mig(GPU, 1).uuid, mig(GPU, 2).uuid, OTHER.uuid]
    assert list(made.devices) == order
    assert made.lost == {OTHER.uuid: "gone"}


def test_a_sample_and_a_policy_replace_the_ones_before() -> None:
    """The last sample and the last settings are in force."""
    made = ledger()
    taken, policy = sample(reading(GPU)), Policy(history=1)
    uses = {GPU.uuid: DeviceUse(reading(GPU), ())}
    made.apply(SampleTaken(taken, uses, NOW.instant))
    made.apply(PolicyChanged(policy))
    found = (made.sample, made.uses, made.ticked_at, made.policy)
    assert found == (taken, uses, NOW.instant, policy)


def test_a_new_ledger_is_empty() -> None:
    """Before anything happened there is nothing, and no sample."""
    made = Ledger(Policy(history=3))
    assert (made.generation, made.policy) == (0, Policy(history=3))
    assert (made.devices, made.lost, made.uses) == ({}, {}, {})
    assert (made.sample, made.ticked_at, list(made.stories)) == (None, None, [])
    assert (made.live_count(), made.ended_count()) == (0, 0)
    assert (made.ability, made.governed, made.ghosts) == (NOT_PROBED, Governed(), {})
    assert (made.marks, made.released) == ({}, None)
    assert (made.observed_at, made.guard_denied) == (None, None)
    assert made.apply(StoryTold(line("x"))) == StoryTold(replace(line("x"), sequence=1))


def test_live_leases_are_listed_oldest_first() -> None:
    """A new version of a lease keeps its place among the live ones."""
    one, two = lease(name="1"), lease(name="2")
    made = ledger(one, two, replace(one, user="x"))
    assert [each.id for each in made.live()] == [one.id, two.id]
    assert made.live_count() == 2


def test_ended_leases_are_listed_in_the_order_of_their_end() -> None:
    """The lease that ended first stands first."""
    one, two = lease(name="1"), lease(name="2")
    made = ledger(one, two)
    for each in (two, one):
        made.apply(LeaseChanged(end(each, EndReason.RELEASED, NOW)))
    assert [each.id for each in made.ended()] == [two.id, one.id]
    assert (made.ended_count(), made.live_count()) == (2, 0)


def test_a_request_is_found_while_its_lease_is_usable() -> None:
    """A request leads to its lease by uid and id, until the lease ends."""
    one = lease(S.ACTIVE, request=Request(A))
    made = ledger(one)
    assert made.by_request(ADA.uid, A) == one
    assert made.by_request(BOB.uid, A) is None
    assert made.by_request(ADA.uid, B) is None
    made.apply(LeaseChanged(end(one, EndReason.RELEASED, NOW)))
    assert made.by_request(ADA.uid, A) is None


def test_the_end_of_a_lease_leaves_the_next_answer_to_its_request() -> None:
    """A lease that settles may end after the same request was granted anew."""
    first = lease(S.ACTIVE, request=Request(A))
    ending = end(first, EndReason.RELEASED, NOW)
    second = lease(S.RESERVED, name="2", request=Request(A))
    made = ledger(first, ending, second)
    made.apply(LeaseChanged(confirm(ending, NOW)))
    assert made.by_request(ADA.uid, A) == second
    made.check_invariants()


def test_a_holding_adds_up_what_is_promised() -> None:
    """The shares of a memory domain are kept with their sum."""
    one = lease(S.RESERVED, share(GPU, 2 * GIB), share(OTHER, 5 * GIB), name="1")
    two = lease(S.RESERVED, share(GPU, 3 * GIB), name="2")
    made = ledger(one, two)
    holding = made.holding(GPU.memory_domain)
    assert holding == Holding(
        {(one.id, GPU.uuid): one.shares[0], (two.id, GPU.uuid): two.shares[0]}, 5 * GIB, None
    )
    made.apply(LeaseChanged(end(one, EndReason.RELEASED, NOW)))
    assert made.holding(GPU.memory_domain).promised == 3 * GIB
    assert made.holding(OTHER.memory_domain) == NOTHING_HELD
    made.check_invariants()


def test_a_new_version_of_a_lease_holds_its_shares_once() -> None:
    """A lease that is stored again is not counted again."""
    one = lease(S.RESERVED, share(GPU, 2 * GIB))
    made = ledger(one, replace(one, user="x"), replace(one, user="y"))
    assert made.holding(GPU.memory_domain).promised == 2 * GIB
    made.check_invariants()


def test_a_lease_keeps_its_place_on_its_devices() -> None:
    """Whatever is news of a lease, such as a peak, who was granted first is named first."""
    first, second = (lease(S.RESERVED, share(GPU, GIB), name=name) for name in "12")
    made = ledger(first, second)
    grown = replace(first, shares=tuple(replace(one, peak=GIB) for one in first.shares))
    made.apply(LeaseChanged(grown))
    named = [lease_id for lease_id, _ in made.holding(GPU.memory_domain).shares]
    assert named == [first.id, second.id]
    assert made.leases_of(Subject("uid", ADA.uid)) == [grown, second]
    made.check_invariants()


def test_a_whole_device_is_held_by_its_lease_alone() -> None:
    """An exclusive share names the lease, promises no bytes, and goes with it."""
    one = lease(S.RESERVED, share(GPU))
    made = ledger(one)
    holding = made.holding(GPU.memory_domain)
    assert (holding.exclusive, holding.promised) == (one.id, 0)
    made.apply(LeaseChanged(end(one, EndReason.RELEASED, NOW)))
    assert made.holding(GPU.memory_domain) == NOTHING_HELD
    assert Holding() == NOTHING_HELD


def test_sums_stay_right_where_leases_contradict_each_other() -> None:
    """What a ledger adds up for one lease does not depend on the others."""
    whole = lease(S.RESERVED, share(GPU), name="1")
    made = ledger(whole, lease(S.RESERVED, share(GPU, GIB), name="2"))
    made.apply(LeaseChanged(end(whole, EndReason.RELEASED, NOW)))
    assert made.holding(GPU.memory_domain).promised == GIB


def test_a_lease_may_hold_two_instances_of_one_memory() -> None:
    """Two compute instances of one GPU instance are two shares of one domain."""
    left, right = mig(GPU, 1, 0), mig(GPU, 1, 1)
    one = lease(S.RESERVED, share(left, GIB), share(right, GIB))
    made = ledger(one)
    assert made.holding(left.memory_domain).promised == 2 * GIB
    made.apply(LeaseChanged(end(one, EndReason.RELEASED, NOW)))
    assert made.holding(left.memory_domain) == NOTHING_HELD


def test_a_ledger_is_rebuilt_from_what_was_stored() -> None:
    """After a restart there are the same leases in the same order, and stories go on."""
    live = [aged(lease(name=str(n)), created=n) for n in (1, 2)]
    over = [aged(lease(S.ENDED, name=str(n)), 10 - n, ended=n) for n in (3, 4)]
    stories = [replace(line("told"), sequence=number) for number in (40, 41, 42)]
    made = Ledger(Policy())
    marked = {GPU.uuid: CORDONED}
    kept = [over[1], live[1], over[0], live[0]]
    made.restore(kept, stories, 7, {GPU.uuid: GHOST}, marked, "upgrade")
    assert list(made.live()) == live
    assert list(made.ended()) == over
    assert (made.generation, made.ghosts) == (7, {GPU.uuid: GHOST})
    assert (made.marks, made.released) == (marked, "upgrade")
    assert [one.sequence for one in made.stories] == [40, 41, 42]
    assert made.apply(StoryTold(line("x"))) == StoryTold(replace(line("x"), sequence=43))
    made.check_invariants()


def test_a_ledger_without_stories_counts_from_one() -> None:
    """The first line ever has the number one."""
    made = Ledger(Policy())
    made.restore([], [], 0)
    assert made.apply(StoryTold(line("x"))) == StoryTold(replace(line("x"), sequence=1))
