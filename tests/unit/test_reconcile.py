"""The ledger and a look at the kernel: every row of what can differ, and what follows."""

from dataclasses import replace

import pytest

from gpusched.core.actions import Follow, Observe, Remask, SetGuard, Unprepare
from gpusched.core.changes import ObservationTaken
from gpusched.core.clocks import Clocks
from gpusched.core.decision import Decision
from gpusched.core.enforcement import NOT_PROBED, Ability, LeaseCgroup, Level
from gpusched.core.enforcing import mask_for, nothing
from gpusched.core.events import Observed
from gpusched.core.ids import Instant, Moment
from gpusched.core.lease import EndReason, Lease, LeaseState
from gpusched.core.observation import Observation, SeenCgroup
from gpusched.core.policy import Policy
from gpusched.core.reconcile import observed, reconcile
from tests.fakes.builders import moment
from tests.fakes.host import Host, changed_leases, sentences
from tests.fakes.kernel_builders import GPUS, held, host_of, own_cgroup, seen, service

S = LeaseState
PUT_RIGHT = "its mask was not what it should be, and is put right"


def look(*found: SeenCgroup, begun: Moment | None = None, guard: bool = False) -> Observation:
    """A look that began after every lease of these tests was made true."""
    return Observation(found, (begun or moment(999)).instant, guard)


def judged(host: Host, *found: SeenCgroup, begun: Moment | None = None) -> Decision:
    """What a look leads to, applied."""
    decision = reconcile(host.ledger, look(*found, begun=begun), host.now)
    host.apply(decision.changes)
    return decision


def going_back(cgroup: LeaseCgroup | None, name: str = "1") -> Lease:
    """A lease whose preparation the daemon's end has interrupted."""
    lease = held(cgroup, GPUS[0], name=name, state=S.RELEASING)
    return replace(
        lease, entered=None, level=Level.ADVISORY, origin="/from", processes=(), ending=moment(950)
    )


@pytest.mark.parametrize("cgroup", [own_cgroup(), service()])
def test_a_lease_with_processes_is_followed(cgroup: LeaseCgroup) -> None:
    """A usable lease whose cgroup has processes is followed, and nothing else."""
    host = host_of(held(cgroup, GPUS[0]))
    assert judged(host, seen(cgroup)) == Decision((), (Follow(cgroup),))


@pytest.mark.parametrize("cgroup", [own_cgroup(), service()])
@pytest.mark.parametrize("there", [True, False])
def test_a_lease_without_processes_ends(cgroup: LeaseCgroup, there: bool) -> None:  # noqa: FBT001
    """A usable lease whose cgroup is empty or gone ends, and what is left is cleared away."""
    host = host_of(held(cgroup, GPUS[0]))
    found = (seen(cgroup, populated=False),) if there else ()
    decision = judged(host, *found)
    assert decision.actions == (Unprepare(cgroup),)
    (lease,) = changed_leases(decision)
    assert (lease.state, lease.reason) == (S.RELEASING, EndReason.EMPTY)


def test_another_cgroup_of_the_name_is_not_the_leases() -> None:
    """A cgroup that was removed and made again is another one: the lease ends."""
    host = host_of(held(service(21), GPUS[0]))
    decision = judged(host, seen(service(22)))
    assert decision.actions == (Unprepare(service(21)),)
    assert changed_leases(decision)[0].reason is EndReason.EMPTY


def test_a_lease_made_true_after_the_look_began_is_not_judged() -> None:
    """What a look cannot have seen is neither ended nor followed by it."""
    host = host_of(held(own_cgroup(), GPUS[0]))
    assert judged(host, begun=moment(910)) == Decision()


def test_leases_without_a_cgroup_are_not_judged() -> None:
    """A reserved lease, and one that is known by name, have nothing in the kernel."""
    host = host_of(held(None, GPUS[0]), held(None, GPUS[1], name="2", state=S.RESERVED))
    assert judged(host) == Decision()


def test_an_ending_lease_with_processes_is_followed() -> None:
    """A cgroup of ours that is still in use when its lease ends is cleared away when it is not."""
    host = host_of(held(own_cgroup(), GPUS[0], state=S.RELEASING))
    assert judged(host, seen(own_cgroup())).actions == (Follow(own_cgroup()),)


@pytest.mark.parametrize("populated", [True, False])
def test_an_ending_lease_in_place_is_unmasked(populated: bool) -> None:  # noqa: FBT001
    """Somebody else's cgroup loses the program with its last lease, whoever is in it."""
    host = host_of(held(service(), GPUS[0], state=S.RELEASING))
    decision = judged(host, seen(service(), populated=populated))
    assert decision == Decision((), (Unprepare(service()),))


def test_an_ending_lease_in_place_is_unmasked_where_it_is_not_seen_too() -> None:
    """That nothing is left is told by the answer."""
    host = host_of(held(service(), GPUS[0], state=S.RELEASING))
    assert judged(host) == Decision((), (Unprepare(service()),))


def test_an_ending_lease_leaves_a_shared_cgroup_to_the_others() -> None:
    """The devices of a lease in place do not wait for the end of another in its cgroup."""
    ends, stays = held(service(), GPUS[0], state=S.RELEASING), held(service(), GPUS[1], name="2")
    host = host_of(ends, stays)
    decision = judged(host, seen(service()))
    assert decision.actions == (Follow(service()),)
    assert host.lease(ends.id).cgroup is None


def test_a_shared_cgroup_that_is_empty_is_cleared_away_once_all_have_ended() -> None:
    """All leases of an empty cgroup end together, and it is unmasked."""
    host = host_of(held(service(), GPUS[0]), held(service(), GPUS[1], name="2"))
    decision = judged(host, seen(service(), populated=False))
    assert set(decision.actions) == {Unprepare(service())}
    assert [one.cgroup for one in changed_leases(decision)] == [service()] * 2


def test_a_shared_cgroup_stays_for_a_newer_lease() -> None:
    """A lease that came after the look keeps the cgroup in which an older one has ended."""
    newer = replace(held(service(), GPUS[1], name="2"), entered=moment(999))
    host = host_of(held(service(), GPUS[0]), newer)
    decision = judged(host, seen(service(), populated=False))
    assert decision.actions == ()
    assert [(one.id, one.cgroup) for one in changed_leases(decision)] == [("lease-1", None)]


@pytest.mark.parametrize("cgroup", [own_cgroup("9"), service()])
def test_an_empty_orphan_is_cleared_away(cgroup: LeaseCgroup) -> None:
    """A cgroup of ours without a lease is removed, a program on another's is taken off."""
    host = host_of()
    assert judged(host, seen(cgroup, populated=False)).actions == (Unprepare(cgroup),)


def test_an_orphan_in_place_is_unmasked_with_processes_in_it() -> None:
    """Somebody else's processes are not kept masked by a lease that is no more."""
    assert judged(host_of(), seen(service(), "x")).actions == (Unprepare(service()),)


def test_an_orphan_with_processes_may_open_nothing() -> None:
    """Processes in a cgroup of ours without a lease stay, masked, until they end."""
    host, cgroup = host_of(), own_cgroup("9")
    none = nothing(host.ledger)
    decision = judged(host, seen(cgroup, "x"))
    assert decision.actions == (Remask(cgroup, none), Follow(cgroup))
    assert judged(host, seen(cgroup, none.digest)).actions == (Follow(cgroup),)
    assert judged(host, seen(cgroup, None)).actions == (Follow(cgroup),)


def test_an_orphans_mask_is_left_alone_while_no_nodes_are_known() -> None:
    """Before the first sample a mask would allow all."""
    host, cgroup = host_of(sampled=False), own_cgroup("9")
    assert judged(host, seen(cgroup, "x")).actions == (Follow(cgroup),)


def test_nothing_is_an_orphan_while_a_lease_is_prepared() -> None:
    """What is seen without a lease may be the cgroup that is being made."""
    host = host_of(held(None, GPUS[0], state=S.PREPARING))
    assert judged(host, seen(own_cgroup("2"))) == Decision()


@pytest.mark.parametrize("name", ["lease-1", "gpusched-lease_1.slice"])
def test_an_interrupted_preparation_is_rolled_back_again(name: str) -> None:
    """As long as its cgroup is seen, its processes go back and it is removed, not orphaned."""
    host = host_of(going_back(None))
    cgroup = LeaseCgroup(f"/gpusched/{name}", 11, made=True)
    assert judged(host, seen(cgroup)) == Decision((), (Unprepare(cgroup, "/from"),))


def test_an_interrupted_preparation_in_place_is_unmasked_again() -> None:
    """Until the program is known to be off, it is taken off."""
    host = host_of(going_back(service()))
    assert judged(host, seen(service())) == Decision((), (Unprepare(service()),))


def test_an_interrupted_preparation_leaves_a_shared_cgroup_to_the_others() -> None:
    """Where another lease is in the cgroup, that one's mask is put right, and a look confirms."""
    gone = going_back(own_cgroup("2"))
    host = host_of(gone, held(own_cgroup("2"), GPUS[1], name="2"))
    decision = judged(host, seen(own_cgroup("2")))
    assert decision.actions == (Observe(), Follow(own_cgroup("2")))
    assert host.lease(gone.id).cgroup is None
    judged(host, seen(own_cgroup("2")))
    assert host.lease(gone.id).state is S.ENDED


def test_an_interrupted_preparation_keeps_the_program_on_a_cgroup_of_ours() -> None:
    """A cgroup that was taken in place, but is ours, is no one's to unmask."""
    host = host_of(going_back(replace(own_cgroup("9"), made=False)))
    decision = judged(host, seen(own_cgroup("9")))
    assert decision.actions == ()
    assert changed_leases(decision)[0].state is S.ENDED


def test_an_interrupted_preparation_has_ended_when_nothing_of_it_is_seen() -> None:
    """The lease is confirmed by a look that began after its end, not by an older one."""
    host = host_of(going_back(None))
    assert judged(host, begun=moment(950)) == Decision()
    (lease,) = changed_leases(judged(host))
    assert (lease.state, lease.ended) == (S.ENDED, host.now)


def test_the_first_look_gives_every_mask_anew() -> None:
    """Programs of an earlier daemon are replaced though they are right; nobody is told of it."""
    lease = held(own_cgroup(), GPUS[0])
    host = host_of(lease)
    mask = mask_for(host.ledger, [lease])
    assert mask is not None
    found = look(seen(own_cgroup(), mask.digest))
    decision = host.do(Observed(found))
    assert decision.actions == (Remask(own_cgroup(), mask), Follow(own_cgroup()))
    assert sentences(decision) == []
    assert host.do(Observed(found)).actions == (Follow(own_cgroup()),)


def test_a_mask_that_is_another_is_put_right_and_told() -> None:
    """Later looks replace only what is missing or other, and say so."""
    host = host_of(held(own_cgroup(), GPUS[0]))
    host.apply([ObservationTaken(moment(990).instant)])
    for digest in (None, "x"):
        decision = observed(host.ledger, Observed(look(seen(own_cgroup(), digest))), host.now)
        assert isinstance(decision.actions[0], Remask)
        assert sentences(decision) == [PUT_RIGHT]


def test_a_mask_that_could_not_be_had_is_tried_again_in_silence() -> None:
    """A lease that is known not to be held has lost nothing that could be put right."""
    host = host_of(replace(held(own_cgroup(), GPUS[0]), level=Level.ADVISORY))
    host.apply([ObservationTaken(moment(990).instant)])
    decision = host.do(Observed(look(seen(own_cgroup()))))
    assert isinstance(decision.actions[0], Remask)
    assert sentences(decision) == []


def test_a_mask_newer_than_the_look_is_not_judged() -> None:
    """A lease that came after the look has a mask that the look cannot have seen."""
    host = host_of(replace(held(own_cgroup(), GPUS[0]), entered=moment(999)))
    host.apply([ObservationTaken(moment(990).instant)])
    assert host.do(Observed(look(seen(own_cgroup())))).actions == ()


def test_masks_are_not_asked_for_where_the_host_holds_none() -> None:
    """A host with cgroups only is not asked for programs at every look."""
    host = host_of(held(own_cgroup(), GPUS[0]), ability=Ability(Level.ADVISORY, "", cgroups=True))
    decision = host.do(Observed(look(seen(own_cgroup()))))
    assert decision.actions == (Follow(own_cgroup()),)


def test_a_daemon_that_cannot_look_judges_nothing() -> None:
    """Where there are no cgroups to see, that none is seen ends no lease."""
    host = host_of(held(own_cgroup(), GPUS[0]), ability=NOT_PROBED)
    assert host.do(Observed(look())) == Decision()


def test_a_look_before_the_first_sample_is_not_the_first() -> None:
    """Masks, and the guard, wait for a look at which the nodes are known."""
    host = host_of(held(own_cgroup(), GPUS[0]), sampled=False, policy=Policy(guard=True))
    decision = host.do(Observed(look(seen(own_cgroup(), "x"))))
    assert decision == Decision((), (Follow(own_cgroup()),))
    assert host.ledger.observed_at is None


@pytest.mark.parametrize(("found", "wanted"), [(True, False), (False, True), (True, True)])
def test_the_first_look_turns_the_guard_on(found: bool, wanted: bool) -> None:  # noqa: FBT001
    """The guard is brought up to date where it is on, and turned on where the operator says so."""
    host = host_of(held(own_cgroup(), GPUS[0]), policy=Policy(guard=wanted))
    event = Observed(look(seen(own_cgroup()), guard=found))
    first = [one for one in host.do(event).actions if isinstance(one, SetGuard)]
    assert first == [SetGuard(on=True, governed=host.ledger.governed, admitted=(own_cgroup(),))]
    assert host.ledger.ability.guard is found
    assert [one for one in host.do(event).actions if isinstance(one, SetGuard)] == []


def test_the_guard_is_left_off_where_nobody_wants_it() -> None:
    """A guard that is off and not configured stays off."""
    assert host_of().do(Observed(look())).actions == ()


def test_a_look_is_noted_with_what_the_guard_denied() -> None:
    """When the kernel was looked at last, and the guard's counter, are in the ledger."""
    host = host_of()
    host.do(Observed(replace(look(), guard_denied=7)))
    assert (host.ledger.observed_at, host.ledger.guard_denied) == (host.now.instant, 7)


def test_a_lease_that_is_killed_keeps_its_mask() -> None:
    """Until its processes are gone, they keep what they had; then nothing is allowed."""
    killed = replace(
        held(own_cgroup(), GPUS[0], state=S.RELEASING), clocks=Clocks(kill=Instant(9))
    )
    host = host_of(killed)
    decision = host.do(Observed(look(seen(own_cgroup()))))
    assert decision.actions[0] == Remask(own_cgroup(), mask_for(host.ledger, [killed]))  # type: ignore[arg-type]
