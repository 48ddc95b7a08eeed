"""How a process comes under a lease in the kernel: what is asked for, and what is refused."""

from dataclasses import replace

import pytest

from gpusched.core.actions import (
    Prepare,
)
from gpusched.core.attachable import foreign
from gpusched.core.attaching import cannot_hold
from gpusched.core.clocks import Clocks
from gpusched.core.decision import Decision
from gpusched.core.enforcement import Ability, Level, Mode
from gpusched.core.events import (
    AttachRequested,
)  # fmt: skip
from gpusched.core.ids import Caller, Instant
from gpusched.core.lease import EndReason
from gpusched.core.replies import Refusal, Rejected, Underway
from gpusched.core.standing import Standing
from tests.fakes.attaching import (
    ADVISORY,
    CONFINED,
    REQUIRED,
    P,
    Q,
    S,
    mask,
    reserved,
)
from tests.fakes.builders import ADA, ROOT, moment
from tests.fakes.host import Host, changed_leases
from tests.fakes.kernel_builders import (
    GPUS,
    SERVICE,
    SESSION,
    held,
    host_of,
    own_cgroup,
    service,
    standing,
)  # fmt: skip


def attached(host: Host, place: Standing, *, whole: bool = False, by: Caller = ADA) -> Decision:
    """Ask to attach process 50, or its whole cgroup, to the lease of these tests."""
    return host.do(AttachRequested(by, reserved().id, None if whole else P, place))


def test_a_process_of_a_session_is_moved() -> None:
    """Its lease is prepared with the cgroup it comes from, under the holder's uid only."""
    host = host_of(reserved())
    decision = attached(host, standing(P))
    order = Prepare(reserved().id, ADA.uid, Mode.MOVE, P, SESSION, mask(0), False, ADA.uid)  # noqa: FBT003
    (lease,) = changed_leases(decision)
    assert decision.actions == (order,)
    assert decision.reply == Underway(lease, P)
    assert (lease.state, lease.origin, lease.cgroup) == (S.PREPARING, SESSION, None)


@pytest.mark.parametrize("whole", [True, False])
def test_a_process_of_a_service_stays(whole: bool) -> None:  # noqa: FBT001
    """Its cgroup is masked in place; an administrator may do so to anybody's."""
    host = host_of(reserved())
    decision = attached(host, standing(P, path=SERVICE, inode=21, uid=7), whole=whole, by=ROOT)
    (order,) = decision.actions
    assert isinstance(order, Prepare)
    assert (order.mode, order.cgroup, order.only_uid) == (Mode.IN_PLACE, SERVICE, None)
    assert changed_leases(decision)[0].cgroup == service()


def test_a_process_that_has_a_lease_already_stays_in_its_cgroup() -> None:
    """The mask becomes that of both; a descendant of it, which has none by name, is moved."""
    other = replace(held(own_cgroup("2"), GPUS[1], name="2"), processes=(P,))
    place = standing(P, path=own_cgroup("2").path + "/sub")
    host = host_of(other, reserved())
    decision = attached(host, place)
    (order,) = decision.actions
    assert isinstance(order, Prepare)
    assert (order.mode, order.cgroup, order.mask) == (
        Mode.IN_PLACE,
        own_cgroup("2").path,
        mask(0, 1),
    )
    assert changed_leases(decision)[0].cgroup == own_cgroup("2")
    child = host_of(replace(other, processes=(Q,)), reserved())
    assert [one.mode for one in attached(child, place).actions if isinstance(one, Prepare)] == [
        Mode.MOVE
    ]


@pytest.mark.parametrize("taken", [SERVICE, SERVICE + "/a/b"])
def test_masks_are_not_laid_over_each_other(taken: str) -> None:
    """A cgroup in or around one that is masked for another lease is refused."""
    other = held(service(path=SERVICE + "/a"), GPUS[1], name="2")
    reply = attached(host_of(other, reserved()), standing(P, path=taken)).reply
    assert isinstance(reply, Rejected)
    assert "which has the mask of lease-2; `gpusched release lease-2` first" in reply.sentence
    ends = replace(other, state=S.RELEASING, ending=moment(), reason=EndReason.RELEASED)
    assert isinstance(attached(host_of(ends, reserved()), standing(P, path=taken)).reply, Underway)


def test_nobody_joins_processes_that_are_being_ended() -> None:
    """A cgroup whose processes are killed is not attached."""
    killed = replace(
        held(own_cgroup("2"), GPUS[1], name="2", state=S.RELEASING), clocks=Clocks(kill=Instant(9))
    )
    place = standing(P, path=own_cgroup("2").path)
    reply = attached(host_of(killed, reserved()), place, whole=True).reply
    assert isinstance(reply, Rejected)
    assert reply.why is Refusal.WRONG_STATE


def test_a_mask_that_is_required_is_not_promised_in_vain() -> None:
    """A host that cannot hold it, or knows no nodes, refuses to attach."""
    advice = Ability(Level.ADVISORY, "no programs", cgroups=True)
    for host in (
        host_of(reserved(REQUIRED), ability=advice),
        host_of(reserved(REQUIRED), sampled=False),
    ):
        decision = attached(host, standing(P))
        assert isinstance(decision.reply, Rejected)
        assert decision.changes == ()
    assert cannot_hold(host_of().ledger, REQUIRED) is None
    assert cannot_hold(host_of(sampled=False).ledger, CONFINED) is None
    order = attached(host_of(reserved(REQUIRED)), standing(P)).actions[0]
    assert isinstance(order, Prepare)
    assert order.required


def test_an_advisory_lease_gets_a_cgroup_without_a_program() -> None:
    """So does every lease while no nodes are known, for a mask would allow all."""
    for host in (host_of(reserved(ADVISORY)), host_of(reserved(), sampled=False)):
        (order,) = attached(host, standing(P)).actions
        assert isinstance(order, Prepare)
        assert order.mask is None


def test_only_ones_own_processes_are_attached() -> None:
    """One uid of one process that is another's is enough; nobody attaches what nobody is in."""
    mixed = replace(standing(P, Q), tree=(*standing(P).tree, *standing(Q, uid=7).tree))
    refusal = foreign(ADA, mixed)
    assert refusal is not None
    assert refusal.why is Refusal.NOT_ALLOWED
    assert foreign(ROOT, mixed) is None
    assert foreign(ADA, standing(P, Q)) is None
    assert foreign(ADA, standing()) is not None


@pytest.mark.parametrize("by", [ADA, ROOT])
def test_a_cgroup_that_others_may_come_into(by: Caller) -> None:
    """Only an administrator has one masked: the mask is that of whoever comes there later."""
    host = host_of(reserved())
    place = standing(P, path="/user.slice")
    reply = attached(host, place, whole=True, by=by).reply
    if by is ROOT:
        assert isinstance(reply, Underway)
        return
    assert isinstance(reply, Rejected)
    assert reply.why is Refusal.NOT_ALLOWED
    assert reply.sentence.startswith("/user.slice is no service, scope or container, and not in")


def test_a_cgroup_that_was_made_for_a_lease() -> None:
    """Nobody comes into it who did not ask, so another lease may have it, too."""
    host = host_of(held(own_cgroup("2"), GPUS[1], name="2"), reserved())
    place = standing(P, path=own_cgroup("2").path, inode=own_cgroup("2").inode)
    assert isinstance(attached(host, place, whole=True).reply, Underway)
