"""What a request that could be granted later waits for, in words."""

from dataclasses import replace

from gpusched.core.ids import DeviceUuid, LeaseId
from gpusched.core.policy import Policy
from gpusched.core.quota import QuotaExcess, Resource
from gpusched.core.replies import FOR_EVER, Holder, Obstacle, Refusal, Rejected, Verdict
from gpusched.core.sight import Sight
from gpusched.core.waits import FREE, waits_for
from tests.fakes.builders import moment

GPU, OTHER = DeviceUuid("GPU-0"), DeviceUuid("GPU-1")
ONE, TWO = LeaseId("lease-1"), LeaseId("lease-2")
HELD = Verdict(GPU, Obstacle.HELD, "held", leases=(ONE,))
BY_ADA = Holder(ONE, 1000, "ada", moment())
LATER = Rejected(Refusal.LATER, "not now", verdicts=(HELD,), holders=(BY_ADA,))
ALL = Policy().others


def test_every_obstacle_that_goes_has_words() -> None:
    """Whatever is in the way and goes away is waited for in words of its own; else it is said
    that devices have to be free.
    """
    said = {
        one: waits_for(Rejected(Refusal.LATER, "", verdicts=(Verdict(GPU, one, ""),)), ALL)
        for one in Obstacle
    }
    assert {one for one, words in said.items() if words == FREE} == FOR_EVER
    assert len(set(said.values())) == len(Obstacle) - len(FOR_EVER) + 1


def test_leases_are_named_as_far_as_all_may_know() -> None:
    """Their users too; where leases are not shown, only that some have to end."""
    assert waits_for(LATER, ALL) == "the end of lease-1 of ada"
    nameless = replace(BY_ADA, user="")
    both = replace(LATER, holders=(nameless, Holder(TWO, 1001, "bob", moment())))
    assert waits_for(both, ALL) == "the end of lease-1 of 1000, lease-2 of bob"
    no_uid = Sight(uid=False, device=True, memory=True, command=True)
    assert waits_for(both, no_uid) == "the end of lease-1, lease-2"
    assert waits_for(both, replace(no_uid, device=False)) == "leases to end"


def test_a_quota_that_is_used_up_is_named() -> None:
    """Where no lease is named that would help, the quota is."""
    full = Rejected(Refusal.LATER, "", excess=QuotaExcess("user bob", Resource.LEASES, 2, 1, 2))
    assert waits_for(full, ALL) == "room in the quota of user bob"
    assert waits_for(replace(full, holders=(BY_ADA,)), ALL) == "the end of lease-1 of ada"


def test_several_things_may_help() -> None:
    """Each once; what serves, and what never will, is not waited for."""
    several = (
        HELD,
        Verdict(OTHER, Obstacle.CORDONED, ""),
        Verdict(OTHER, Obstacle.CORDONED, ""),
        Verdict(OTHER, Obstacle.TOO_SMALL, ""),
        Verdict(OTHER, Obstacle.TOO_LITTLE_FREE, ""),
        Verdict(OTHER, Obstacle.TOO_LITTLE_FREE, "", leases=(ONE,)),
        Verdict(OTHER, None, "free"),
    )
    assert waits_for(replace(LATER, verdicts=several), ALL) == (
        "the end of lease-1 of ada, or an operator to uncordon devices, or memory to be freed"
    )
