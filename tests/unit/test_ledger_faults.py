"""The ledger checks itself: an index that contradicts the leases is found and named."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from gpusched.core.changes import InventoryChanged, LeaseChanged
from gpusched.core.errors import InvariantBroken
from gpusched.core.ids import LeaseId, RequestId
from gpusched.core.lease import Lease, LeaseState
from gpusched.core.lease_table import NOTHING_HELD
from gpusched.core.ledger import Ledger
from gpusched.core.policy import Policy
from gpusched.core.sizes import GIB
from tests.fakes.builders import ADA, device, lease, process, share

GPU = device(0)
S = LeaseState


def ledger(*leases: Lease) -> Ledger:
    """A ledger with these leases."""
    made = Ledger(Policy())
    made.apply(InventoryChanged((GPU,), {}))
    for one in leases:
        made.apply(LeaseChanged(one))
    return made


def break_live(made: Ledger) -> None:
    """Lose a live lease."""
    made._live.clear()


def break_requests(made: Ledger) -> None:
    """Answer a request that nobody asked."""
    made._requests[ADA.uid, RequestId("ghost")] = LeaseId("lease-1")


def break_holdings(made: Ledger) -> None:
    """Promise a byte that no lease has."""
    made._holdings[GPU.memory_domain].promised += 1


def break_ended(made: Ledger) -> None:
    """Remember an end that never was."""
    made._ended[LeaseId("lease-ghost")] = None


def break_cgroups(made: Ledger) -> None:
    """Give a lease a cgroup that it does not have."""
    made._cgroups["/nowhere"] = {LeaseId("lease-1"): None}


def break_openings(made: Ledger) -> None:
    """Take a device for free that has a share."""
    made.openings.follow(GPU.memory_domain, NOTHING_HELD)


@pytest.mark.parametrize(
    ("harm", "index"),
    [
        (break_live, "live"),
        (break_requests, "requests"),
        (break_holdings, "holdings"),
        (break_ended, "ended"),
        (break_cgroups, "cgroups"),
        (break_openings, "openings"),
    ],
)
def test_an_index_that_contradicts_the_leases_is_found(
    harm: Callable[[Ledger], None], index: str
) -> None:
    """The ledger compares each of its indexes with the leases."""
    made = ledger(lease(S.RESERVED, share(GPU, GIB)))
    made.check_invariants()
    harm(made)
    with pytest.raises(InvariantBroken) as caught:
        made.check_invariants()
    assert caught.value.faults == (f"index {index} does not agree with the leases",)


def test_every_contradiction_is_named() -> None:
    """Faults of leases and of indexes are reported together, in one line."""
    broken = replace(lease(S.RESERVED, share(GPU, GIB)), processes=(process(1),))
    made = ledger(broken)
    break_requests(made)
    with pytest.raises(InvariantBroken) as caught:
        made.check_invariants()
    assert str(caught.value) == (
        "lease-1 is reserved and has processes; index requests does not agree with the leases"
    )
