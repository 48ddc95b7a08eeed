"""Which GPUs are no pair for who wants one, and how one alone lies."""

from dataclasses import replace

from gpusched.core.changes import MarksChanged
from gpusched.core.marks import Cordon, Marks
from gpusched.core.policy import Policy
from gpusched.core.pool import Pools
from gpusched.core.request import Request
from gpusched.core.rights import EVERYBODY
from gpusched.core.stray import StrayPolicy, StrayRules
from tests.fakes.builders import A, context, facts, reading
from tests.fakes.placed import EIGHT, NVLINK, ONE_NODE, host_of, on
from tests.fakes.topologies import flat, paired


def test_a_gpu_that_is_not_to_be_had_is_no_partner() -> None:
    """A pair of which one is cordoned, has a stray, or is in another pool is no good one."""
    host = host_of(paired(EIGHT))
    host.apply([MarksChanged(EIGHT[3].uuid, Marks(Cordon("broken fan", 0, "root", host.now)))])
    assert on(host.grant(Request(A))) == [2]
    host = host_of(paired(EIGHT))
    host.tick(reading(EIGHT[5], context(7)), known=[facts(7)])
    assert on(host.grant(Request(A))) == [4]
    reported = Policy(strays=StrayRules(policy=StrayPolicy.REPORT))
    host = host_of(paired(EIGHT), policy=reported)
    host.tick(reading(EIGHT[5], context(7)), known=[facts(7)])
    assert on(host.grant(Request(A))) == [0]
    pools = Pools({"default": EVERYBODY, "other": EVERYBODY}, {EIGHT[7].uuid: "other"})
    host = host_of(paired(EIGHT), policy=Policy(pools=pools))
    assert on(host.grant(Request(A))) == [6]


def test_one_alone_lies_as_is_demanded() -> None:
    """A condition on how devices lie to one another keeps nobody from one device."""
    unknown = [replace(one, numa_node=None) for one in EIGHT]
    for asked in (ONE_NODE, NVLINK):
        assert on(host_of(flat(unknown), unknown).grant(replace(asked, max_count=2))) == [0]
