"""What is noted of how attaching went: a lease is true in the kernel, or is not."""

from dataclasses import replace

import pytest

from gpusched.core.actions import (
    Follow,
    Join,
    Observe,
    Remask,
    TakeSample,
    Unprepare,
    WatchExit,
)
from gpusched.core.attaching import join_failed
from gpusched.core.clocks import Clocks
from gpusched.core.decision import Decision
from gpusched.core.enforcement import Level, Mode
from gpusched.core.enforcing import nothing
from gpusched.core.events import (
    AttachRequested,
    JoinFailed,
    LeaseJoined,
    LeasePrepared,
    PrepareFailed,
    Unprepared,
)  # fmt: skip
from gpusched.core.ids import Instant, RequestId
from gpusched.core.lease import EndReason, LeaseState
from gpusched.core.replies import Attachment, Done, Granted, Refusal, Rejected
from gpusched.core.request import Request
from gpusched.core.sample import OpenNode
from tests.fakes.attaching import (
    ADVISORY,
    CONFINED,
    MOVED,
    REQUIRED,
    P,
    Q,
    S,
    mask,
    preparing,
    reserved,
)
from tests.fakes.builders import ADA, ROOT
from tests.fakes.host import changed_leases, sentences
from tests.fakes.kernel_builders import (
    GPUS,
    held,
    host_of,
    own_cgroup,
    service,
    standing,
)  # fmt: skip


def test_a_lease_that_is_prepared_is_active() -> None:
    """Its cgroup, level and processes are noted; it is followed, and the answer is given."""
    host = host_of(preparing())
    outside = OpenNode(P, "/dev/nvidia3", 195, 3)
    attachment = Attachment(Mode.MOVE, (P,), (Q,), (outside,))
    event = LeasePrepared(preparing().id, own_cgroup(), Level.DEVICE_PROGRAM, "", attachment)
    decision = host.do(event)
    (lease,) = changed_leases(decision)
    assert (lease.state, lease.cgroup, lease.level) == (
        S.ACTIVE,
        own_cgroup(),
        Level.DEVICE_PROGRAM,
    )
    assert decision.actions == (Follow(own_cgroup()), TakeSample())
    assert decision.reply == Done((lease,), attachment=attachment)
    assert sentences(decision) == [
        "process 50 attached",
        "processes 51 were not taken along: they are strays",
        "open before the mask, and stays open: /dev/nvidia3 by 50",
    ]
    assert host.do(event) == Decision()


@pytest.mark.parametrize(
    ("request_", "sampled", "said", "level", "why"),
    [
        (None, True, "no room", Level.ADVISORY, "no room"),
        (ADVISORY, True, "", Level.ADVISORY, "the request asked for an advisory mask"),
        (None, False, "", Level.ADVISORY, "no device nodes are known yet"),
        (CONFINED, True, "no room", Level.LANDLOCK, "no room"),
    ],
)
def test_the_level_that_is_reached_is_told(
    request_: Request | None,
    sampled: bool,  # noqa: FBT001
    said: str,
    level: Level,
    why: str,
) -> None:
    """A lease that is not held as far as it could be says why."""
    host = host_of(preparing(request=request_), sampled=sampled)
    event = LeasePrepared(preparing().id, own_cgroup(), Level.ADVISORY, said, MOVED)
    decision = host.do(event)
    (lease,) = changed_leases(decision)
    assert (lease.level, lease.level_reason) == (level, why)
    assert (said in sentences(decision)) == bool(said)
    assert isinstance(decision.reply, Granted) == (request_ is CONFINED)


def test_a_cgroup_in_place_gets_its_mask_as_it_is_by_then() -> None:
    """Leases that have begun to end meanwhile leave the cgroup and its mask to it."""
    ends = held(service(), GPUS[1], name="2", state=S.RELEASING)
    stays = held(service(), GPUS[2], name="3")
    host = host_of(ends, stays, preparing(service()))
    event = LeasePrepared(
        preparing().id, service(), Level.DEVICE_PROGRAM, "", Attachment(Mode.IN_PLACE, (P,))
    )
    assert Remask(service(), mask(0, 2)) in host.do(event).actions
    assert host.lease(ends.id).cgroup is None
    # Nothing is known of nodes, so nothing is masked.
    blind = host_of(preparing(service()), sampled=False)
    assert blind.do(event).actions == (Follow(service()), TakeSample())


@pytest.mark.parametrize(
    ("request_", "refused"), [(REQUIRED, False), (None, True)]
)  # fmt: skip
def test_a_lease_that_cannot_be_made_true_ends(request_: Request | None, refused: bool) -> None:  # noqa: FBT001
    """Where the mask is required, or the process is at fault, its devices are free at once."""
    host = host_of(preparing(request=request_))
    decision = host.do(PrepareFailed(preparing().id, "no", refused))
    (lease,) = changed_leases(decision)
    assert (lease.state, lease.reason) == (S.ENDED, EndReason.PREPARE_FAILED)
    assert decision.reply == Rejected(Refusal.WRONG_STATE, f"{lease.id} has ended: no")
    assert host.do(PrepareFailed(preparing().id, "no", refused)) == Decision()


@pytest.mark.parametrize(
    ("request_", "level"), [(None, Level.ADVISORY), (CONFINED, Level.LANDLOCK)]
)
def test_a_lease_that_may_do_without_is_recorded(request_: Request | None, level: Level) -> None:
    """Where the mask is only preferred, the process has its lease by name."""
    host = host_of(preparing(request=request_))
    decision = host.do(PrepareFailed(preparing().id, "no", refused=False))
    (lease,) = changed_leases(decision)
    assert (lease.state, lease.cgroup, lease.level) == (S.ACTIVE, None, level)
    assert decision.actions == (WatchExit(P), TakeSample())


@pytest.mark.parametrize("state", [S.ACTIVE, S.RELEASING])
def test_a_failed_preparation_leaves_a_shared_cgroup_right(state: LeaseState) -> None:
    """The others' mask is put back; where they end, the program is taken off."""
    host = host_of(held(service(), GPUS[1], name="2", state=state), preparing(service()))
    decision = host.do(PrepareFailed(preparing().id, "no", refused=True))
    after = Remask(service(), mask(1)) if state is S.ACTIVE else Unprepare(service())
    assert decision.actions == (after,)


def test_another_process_joins() -> None:
    """It is moved under the mask of its cgroup, and noted when it is in; twice is once."""
    host = host_of(held(own_cgroup(), GPUS[0]))
    event = AttachRequested(ADA, reserved().id, Q, standing(Q))
    order = Join(reserved().id, own_cgroup(), Q, mask(0), ADA.uid)
    assert host.do(event).actions == (order,)
    by_root = host.do(replace(event, caller=ROOT)).actions
    assert by_root == (replace(order, only_uid=None),)
    decision = host.do(LeaseJoined(reserved().id, Q, replace(MOVED, processes=(Q,))))
    assert changed_leases(decision)[0].processes == (P, Q)
    assert decision.actions == (TakeSample(),)
    assert host.do(event).actions == ()


def test_nothing_is_masked_for_who_joins_before_the_first_sample() -> None:
    """The program that is there goes on to hold."""
    host = host_of(held(own_cgroup(), GPUS[0]), sampled=False)
    (order,) = host.do(AttachRequested(ADA, reserved().id, Q, standing(Q))).actions
    assert isinstance(order, Join)
    assert order.mask is None


def test_another_process_of_a_lease_without_a_cgroup_is_recorded() -> None:
    """Where nothing is held there is nothing to wait for."""
    host = host_of(held(None, GPUS[0]))
    decision = host.do(AttachRequested(ADA, reserved().id, Q, standing(Q)))
    assert decision.actions == (WatchExit(Q), TakeSample())
    assert isinstance(decision.reply, Done)


def test_who_joins_too_late_may_open_nothing() -> None:
    """A process that is in the cgroup of a lease that ended meanwhile is denied its devices."""
    ends = held(own_cgroup(), GPUS[0], state=S.RELEASING)
    event = LeaseJoined(ends.id, Q, MOVED)
    host = host_of(ends)
    decision = host.do(event)
    assert isinstance(decision.reply, Rejected)
    assert decision.actions == (Remask(own_cgroup(), nothing(host.ledger)), Follow(own_cgroup()))
    killed = replace(ends, clocks=Clocks(kill=Instant(9)))
    assert host_of(killed).do(event).actions == (Follow(own_cgroup()),)
    assert host_of(replace(ends, cgroup=service())).do(event).actions == ()
    assert host_of(replace(ends, cgroup=None)).do(event).actions == ()
    assert host_of().do(event).actions == ()


def test_a_join_that_fails_changes_nothing() -> None:
    """The reason is the answer."""
    failed = host_of(held(own_cgroup(), GPUS[0])).do(JoinFailed(reserved().id, "no"))
    assert failed == Decision(reply=Rejected(Refusal.WRONG_STATE, "lease-1: no"))
    assert join_failed(JoinFailed(reserved().id, "no")) == failed


def test_a_cgroup_that_is_unmasked_lets_its_lease_end() -> None:
    """Only ending leases of that very cgroup are let go; in cgroups of ours none waits."""
    ends = held(service(), GPUS[0], state=S.RELEASING)
    host = host_of(
        ends,
        held(service(22), GPUS[1], name="2", state=S.RELEASING),
        held(service(), GPUS[2], name="3"),
    )
    decision = host.do(Unprepared(service()))
    assert [(one.id, one.cgroup) for one in changed_leases(decision)] == [(ends.id, None)]
    assert decision.actions == (TakeSample(),)
    ours = host_of(held(own_cgroup(), GPUS[0], state=S.RELEASING))
    assert ours.do(Unprepared(own_cgroup())) == Decision()


def test_a_preparation_that_was_rolled_back_is_looked_at() -> None:
    """When something of it was undone, a look confirms that nothing is left."""
    back = replace(held(None, GPUS[0], state=S.RELEASING), entered=None)
    assert host_of(back).do(Unprepared(own_cgroup())).actions == (Observe(),)


def test_preparations_that_come_to_nothing_leave_no_program() -> None:
    """Where all others of a cgroup are only being prepared, their outcomes decide on its mask."""
    coming = replace(preparing(service()), id=held(None, name="2").id, shares=())
    coming = replace(coming, request=Request(RequestId("2")))
    host = host_of(preparing(service()), coming)
    assert host.do(PrepareFailed(preparing().id, "no", refused=True)).actions == ()
