"""Between two commands of a unit's start its cgroup is empty, and that ends no lease."""

from dataclasses import replace

import pytest

from gpusched.core.actions import Prepare, Unprepare
from gpusched.core.enforcement import LeaseCgroup, Level, Mode
from gpusched.core.enforcing import let_go, masks
from gpusched.core.events import AttachRequested, CgroupEmptied, LeasePrepared, Ticked
from gpusched.core.ids import ProcessId
from gpusched.core.lease import EndReason, Lease, LeaseState, end
from gpusched.core.observation import Observation
from gpusched.core.reconcile import reconcile
from gpusched.core.replies import Attachment
from gpusched.core.unit_start import may_be_between_steps
from tests.fakes.attaching import mask
from tests.fakes.builders import ADA, moment, process, reading, sample
from tests.fakes.host import Host, changed_leases
from tests.fakes.kernel_builders import (
    GPUS,
    SERVICE,
    held,
    host_of,
    own_cgroup,
    service,
    standing,
)

SCOPE = service(path="/user.slice/app-x.scope")
CONTAINER = service(path="/docker/" + "ab" * 32)
SOON, LATER = moment(1004.9), moment(1005)


def starting(cgroup: LeaseCgroup | None) -> Lease:
    """A lease that a command of the start has attached just now."""
    return replace(held(cgroup, GPUS[0]), entered=moment(1000))


@pytest.mark.parametrize("cgroup", [SCOPE, CONTAINER, own_cgroup(), None])
def test_only_a_service_is_started_in_steps(cgroup: LeaseCgroup | None) -> None:
    """A scope, a container and a cgroup of ours have no further step when they are empty."""
    assert not may_be_between_steps(starting(cgroup), SOON.instant)


def test_a_start_is_over_soon() -> None:
    """Five seconds after it was attached an empty service is one that has ended."""
    assert may_be_between_steps(starting(service()), SOON.instant)
    assert not may_be_between_steps(starting(service()), LATER.instant)
    nobody = replace(starting(service()), entered=None)
    assert not may_be_between_steps(nobody, SOON.instant)
    adopted = replace(starting(service()), adopted=True)
    assert not may_be_between_steps(adopted, SOON.instant)


def test_a_command_that_took_its_own_lease_leaves_none_behind() -> None:
    """What `gpusched run` took for one step is free for the next, and for a restart at once."""
    step = starting(service())
    step = replace(step, request=replace(step.request, attach_caller=True))
    assert not may_be_between_steps(step, SOON.instant)
    host = host_of(step)
    host.now = SOON
    host.do(CgroupEmptied(service()))
    (lease,) = host.ledger.live()
    assert lease.reason is EndReason.EMPTY


def test_a_unit_that_is_started_anew_has_the_devices_of_this_start_only() -> None:
    """What the last start took may still be ending: its cgroup is another one of the same path."""
    last = starting(service())
    fresh = replace(held(None, GPUS[1], name="2", state=LeaseState.RESERVED))
    host = host_of(last, fresh)
    host.now = SOON
    again = standing(process(50), path=SERVICE, inode=22)
    (order,) = host.do(AttachRequested(ADA, fresh.id, process(50), again)).actions
    assert isinstance(order, Prepare)
    assert order.mask == mask(1)
    done = Attachment(Mode.IN_PLACE, (process(50),))
    host.do(LeasePrepared(fresh.id, service(22), Level.DEVICE_PROGRAM, "", done))
    assert masks(host.ledger) == {service(22): mask(1)}
    assert let_go(host.ledger, last, kill=False) == [Unprepare(service())]


def test_who_ends_is_cleared_away_at_once() -> None:
    """A lease that was revoked so soon ends no later for it."""
    host = host_of(starting(service()))
    host.now = SOON
    (lease,) = host.ledger.live()
    host.put(end(lease, EndReason.REVOKED, SOON))
    look = Observation((), host.now.instant, guard=False)
    assert reconcile(host.ledger, look, host.now).actions


def ends(host: Host) -> list[EndReason | None]:
    """The three ways in which an empty cgroup is found, and the ends that they lead to."""
    now = host.now
    look = Observation((), now.instant, guard=False)
    members = {one.id: frozenset[ProcessId]() for one in host.ledger.live()}
    taken = sample(*map(reading, GPUS), at=now, members=members)
    found = reconcile(host.ledger, look, now).changes
    host.apply(found)
    decisions = [host.do(CgroupEmptied(service())), host.do(Ticked(taken))]
    return [lease.reason for one in decisions for lease in changed_leases(one)]


def test_no_way_of_finding_it_empty_ends_it() -> None:
    """Neither the notice, nor a sample, nor a look at the cgroups; afterwards it does end."""
    host = host_of(starting(service()))
    host.now = SOON
    assert ends(host) == []
    (lease,) = host.ledger.live()
    assert lease.usable
    host.now = LATER
    host.do(CgroupEmptied(service()))
    (lease,) = host.ledger.live()
    assert lease.reason is EndReason.EMPTY
