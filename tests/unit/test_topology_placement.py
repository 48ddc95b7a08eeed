"""Which devices a request gets on a host of NVSwitches, and on one whose GPUs are paired."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpusched.core.arranging import broken_by
from gpusched.core.ids import RequestId
from gpusched.core.policy import Policy
from gpusched.core.preferences import Sharing, Topology
from gpusched.core.replies import Refusal
from gpusched.core.request import Request
from gpusched.core.sizes import GIB
from gpusched.core.topology import TopologyReading
from tests.examples import examples
from tests.fakes.builders import L4, A, B, device, mig
from tests.fakes.placed import EIGHT, NVLINK, ONE_NODE, PACK, host_of, on
from tests.fakes.topologies import flat, nvswitch, paired, reading_of

PAIRED: dict[str, tuple[list[int], Request, list[int]]] = {
    "two are a pair": ([], Request(A, count=2), [0, 1]),
    "two are a whole pair": ([0], Request(A, count=2), [2, 3]),
    "two are the pair whose socket is broken into": ([4], Request(A, count=2), [6, 7]),
    "no pair is left": ([0, 3, 4, 7], Request(A, count=2), [1, 2]),
    "three are a pair and one of its socket": ([], Request(A, count=3), [0, 1, 2]),
    "three take the half pair": ([3], Request(A, count=3), [0, 1, 2]),
    "three take a pair and the half one": ([0], Request(A, count=3), [1, 2, 3]),
    "four are the pairs of one socket": ([], Request(A, count=4), [0, 1, 2, 3]),
    "four are the pairs of the whole socket": ([1], Request(A, count=4), [4, 5, 6, 7]),
    "four are two pairs wherever": ([0, 4], Request(A, count=4), [2, 3, 6, 7]),
    "six are three pairs": ([1], Request(A, count=6), [2, 3, 4, 5, 6, 7]),
    "all": ([], Request(A, count=8), list(range(8))),
    "one on a fresh host": ([], Request(A), [0]),
    "one takes the half pair": ([2], Request(A), [3]),
    "one takes the half pair of the emptier socket": ([0, 4, 5], Request(A), [1]),
    "one begins a pair in the socket in use": ([4, 5], Request(A), [6]),
    "one by pack leaves pairs whole": ([0], PACK, [1]),
    "two by pack": ([0], replace(PACK, count=2), [1, 2]),
    "one with a size leaves pairs whole": ([5], Request(A, memory=GIB), [4]),
    "two that must include one": ([], Request(A, count=2, must_include=(EIGHT[3].uuid,)), [2, 3]),
    "two joined": ([0, 2], replace(NVLINK, count=2), [4, 5]),
    "two that would rather be joined": (
        [0, 2, 4, 6],
        Request(A, count=2, topology=Topology.NVLINK),
        [1, 3],
    ),
    "one node": ([0, 4, 5], replace(ONE_NODE, count=3), [1, 2, 3]),
    "one node is preferred to pairs": (
        [3, 7],
        Request(A, count=3, topology=Topology.SAME_NUMA_NODE),
        [0, 1, 2],
    ),
    "no node has four": (
        [3, 7],
        Request(A, count=4, topology=Topology.SAME_NUMA_NODE),
        [0, 1, 4, 5],
    ),
    "no topology": ([0], Request(A, count=2, topology=Topology.ANY), [1, 2]),
    "as many as are joined": ([], replace(NVLINK, count=1, max_count=4), [0, 1]),
    "as many as lie on one node": ([0, 1], replace(ONE_NODE, count=2, max_count=8), [4, 5, 6, 7]),
}

SWITCHED: dict[str, tuple[list[int], Request, list[int]]] = {
    "two of one socket": ([], Request(A, count=2), [0, 1]),
    "two of the socket in use": ([4], Request(A, count=2), [5, 6]),
    "four of the whole socket": ([0], Request(A, count=4), [4, 5, 6, 7]),
    "five are all of one socket": ([0], Request(A, count=5), [1, 4, 5, 6, 7]),
    "one in the socket in use": ([4, 5, 6], Request(A), [7]),
    "one of a fresh host": ([], Request(A), [0]),
    "eight joined": ([], replace(NVLINK, count=8), list(range(8))),
    "six joined": ([1, 5], replace(NVLINK, count=6), [0, 2, 3, 4, 6, 7]),
    "two to four": ([0, 1, 2, 3, 4], Request(A, count=2, max_count=4), [5, 6, 7]),
}


@pytest.mark.parametrize("case", PAIRED)
def test_a_host_of_four_pairs(case: str) -> None:
    """On eight GPUs in four NVLink pairs each request gets the set that the table has."""
    taken, request, chosen = PAIRED[case]
    assert on(host_of(paired(EIGHT), taken=taken).grant(request)) == chosen


@pytest.mark.parametrize("case", SWITCHED)
def test_a_host_of_switches(case: str) -> None:
    """On eight GPUs of one set of NVSwitches each request gets the set that the table has."""
    taken, request, chosen = SWITCHED[case]
    assert on(host_of(nvswitch(EIGHT), taken=taken).grant(request)) == chosen


def test_singles_leave_pairs_whole() -> None:
    """Of eight singles each second one completes a pair: never more than one pair is broken."""
    host = host_of(paired(EIGHT))
    got = [on(host.grant(Request(RequestId(str(number)))))[0] for number in range(8)]
    for count in range(1, 9):
        halves = [{one // 2 for one in got[:count] if one % 2 == side} for side in (0, 1)]
        assert len(halves[0] ^ halves[1]) == count % 2
    assert sorted(got) == list(range(8))


def test_shares_leave_pairs_whole_as_well() -> None:
    """Shares that fill one device after the other begin with the broken pair."""
    host = host_of(paired(EIGHT), taken=[6])
    got = [
        on(host.grant(Request(RequestId(str(number)), memory=50 * GIB)))[0] for number in range(3)
    ]
    assert got == [7, 4, 5]


def test_the_configured_topology_holds_for_shares() -> None:
    """Where topology is configured, several shares are placed where they are joined."""
    host = host_of(paired(EIGHT), taken=[0], policy=Policy(placement="topology"))
    assert on(host.grant(Request(A, count=2, memory=GIB))) == [2, 3]
    assert on(host.grant(Request(B, memory=GIB))) == [2]
    host = host_of(paired(EIGHT), taken=[0], policy=Policy(placement="topology"))
    free = Request(A, count=2, memory=GIB, topology=Topology.ANY)
    assert on(host.grant(free)) == [1, 2]


def test_the_best_joined_kind_is_taken() -> None:
    """Of several types with enough devices the one that is joined best is taken."""
    mixed = [*(device(place, L4, 24 * GIB) for place in (0, 1)), *EIGHT[2:4]]
    joined = reading_of(mixed, lambda one, two: 4 if (one, two) == (2, 3) else 0)
    assert on(host_of(joined, mixed).grant(Request(A, count=2))) == [2, 3]


def test_a_lost_or_partitioned_gpu_is_no_partner() -> None:
    """A pair of which one is gone or cut up is broken already: a single goes there."""
    host = host_of(paired(EIGHT))
    host.ledger.lost = {EIGHT[3].uuid: "GPU is lost"}
    assert on(host.grant(Request(A))) == [2]
    cut = [*EIGHT[:5], replace(EIGHT[5], mig_enabled=True), *EIGHT[6:]]
    assert on(host_of(paired(cut), cut).grant(Request(A))) == [4]


def test_what_is_not_in_the_inventory_breaks_nothing() -> None:
    """A GPU that is in the topology alone is nobody's partner."""
    host = host_of(paired(EIGHT), EIGHT[:2])
    assert broken_by(host.ledger).keys() == {EIGHT[0].uuid, EIGHT[1].uuid}


def test_pairs_that_can_never_be_had_are_refused_for_ever() -> None:
    """More joined devices than there are is never here: it says how many, and what would do."""
    host = host_of(paired(EIGHT))
    no = host.refusal(replace(NVLINK, count=4))
    assert (no.why, no.field) == (Refusal.NEVER_HERE, "topology")
    assert no.sentence == (
        "4 devices all joined by NVLink wanted: at most 2 of them are all joined by NVLink"
    )
    assert no.nearest == Request(A, count=4, topology=Topology.NVLINK)
    assert host.refusal(replace(ONE_NODE, count=5)).sentence == (
        "5 devices on one NUMA node wanted: at most 4 of them are on one NUMA node"
    )
    assert len(host.grant(no.nearest).shares) == 4


def test_pairs_that_are_taken_are_refused_for_now() -> None:
    """Joined devices that others hold are waited for: it says who has them."""
    host = host_of(paired(EIGHT), taken=[0, 2, 4, 6])
    no = host.refusal(replace(NVLINK, count=2))
    assert (no.why, no.field) == (Refusal.LATER, "topology")
    assert no.sentence == (
        "2 devices all joined by NVLink wanted, 4 free now:"
        " at most 1 of them are all joined by NVLink"
    )
    assert len(no.holders) == 4
    few = host_of(paired(EIGHT), taken=[0, 1, 2, 3, 4, 6, 7])
    no = few.refusal(replace(NVLINK, count=2))
    assert (no.why, no.field) == (Refusal.LATER, "")
    assert no.sentence.startswith("2 devices wanted, 1 free now: ")


def test_at_least_so_many_joined() -> None:
    """A range that cannot be had is told by its least."""
    host = host_of(flat(EIGHT))
    no = host.refusal(replace(NVLINK, count=4, min_count=2))
    assert no.sentence.startswith("at least 2 devices all joined by NVLink wanted: at most 1 of")


def test_named_devices_have_to_lie_as_demanded() -> None:
    """Devices that are named are granted only where they lie as the request demands."""
    host = host_of(paired(EIGHT))
    pair = replace(NVLINK, count=2, devices=(EIGHT[3].uuid, EIGHT[2].uuid))
    assert on(host.grant(pair)) == [3, 2]
    apart = replace(pair, request_id=B, devices=(EIGHT[4].uuid, EIGHT[6].uuid))
    no = host.refusal(apart)
    assert no.why is Refusal.NEVER_HERE
    assert no.sentence.endswith("wanted: those that are named are not")
    assert on(host.grant(replace(apart, topology_required=False))) == [4, 6]


def test_devices_that_must_be_included_have_to_lie_as_demanded() -> None:
    """Devices that must be included and do not lie so leave no choice."""
    host = host_of(paired(EIGHT))
    both = (EIGHT[0].uuid, EIGHT[2].uuid)
    no = host.refusal(replace(NVLINK, count=2, must_include=both))
    assert no.sentence.endswith("wanted: those that must be included are not")


def test_a_gpu_whose_numa_node_is_not_known_is_on_none() -> None:
    """Where the NUMA node is not known, being on one together is not known either."""
    unknown = [replace(one, numa_node=None) for one in EIGHT]
    no = host_of(nvswitch(unknown), unknown).refusal(replace(ONE_NODE, count=2))
    assert no.sentence.endswith("at most 1 of them are on one NUMA node")


def test_instances_are_never_joined() -> None:
    """MIG instances have neither NVLink nor peer-to-peer access, whatever their GPUs have."""
    parents = [replace(one, mig_enabled=True) for one in EIGHT[:2]]
    host = host_of(nvswitch(parents), [*parents, *(mig(one) for one in parents)])
    asked = replace(NVLINK, count=2, mig_profile="4g.40gb")
    assert host.refusal(asked).why is Refusal.NEVER_HERE
    assert len(host.grant(replace(asked, topology_required=False)).shares) == 2


def test_a_worker_that_comes_again_gets_its_devices_back() -> None:
    """The devices of the holder's last lease with the key are taken where they are free."""
    host = host_of(paired(EIGHT))
    asked = Request(A, count=2, affinity_key="worker", available=(EIGHT[4].uuid, EIGHT[6].uuid))
    host.release(host.grant(asked))
    again = Request(B, count=2, affinity_key="worker")
    assert on(host.grant(again)) == [4, 6]
    last = host.ledger.last_with(1000, "worker")
    assert last is not None
    host.release(last)
    host.grant(Request(A, devices=(EIGHT[6].uuid,)))
    three = replace(again, count=3, must_include=(EIGHT[1].uuid,))
    assert on(host.grant(three)) == [1, 4, 5]


def test_affinity_gives_way_to_what_is_demanded() -> None:
    """A condition on how devices lie goes before having the same ones again."""
    host = host_of(paired(EIGHT))
    had = Request(A, count=2, affinity_key="worker", devices=(EIGHT[5].uuid, EIGHT[6].uuid))
    host.release(host.grant(had))
    joined = replace(NVLINK, count=2, affinity_key="worker")
    assert on(host.grant(joined)) == [0, 1]


@st.composite
def hosts(draw: st.DrawFn) -> tuple[TopologyReading, list[int], int]:
    """Any topology of up to eight GPUs, some of them taken, and how many are wanted."""
    size = draw(st.integers(2, 8))
    gpus = EIGHT[:size]
    pairs = list(combinations(range(size), 2))
    links = {pair: draw(st.sampled_from([-1, 0, 0, 4, 12])) for pair in pairs}
    near = {pair: draw(st.sampled_from([-1, 10, 40, 50])) for pair in pairs}
    reading = reading_of(gpus, lambda i, j: links[i, j], lambda i, j: near[i, j])
    taken = draw(st.lists(st.integers(0, size - 1), max_size=size - 1, unique=True))
    return reading, taken, draw(st.integers(1, size - len(taken)))


@examples(150)
@given(hosts())
def test_no_better_connected_set_was_free(host_: tuple[TopologyReading, list[int], int]) -> None:
    """What is chosen served, has the right number, and no set that was free is joined better."""
    reading, taken, count = host_
    gpus = EIGHT[: len(reading.gpus)]
    host = host_of(reading, gpus, taken)
    free = [place for place in range(len(gpus)) if place not in taken]
    chosen = on(host.grant(Request(A, count=count, sharing=Sharing.EXCLUSIVE)))
    assert len(chosen) == len(set(chosen)) == count
    assert set(chosen) <= set(free)

    def worth(places_: Sequence[int]) -> int:
        topology = host.ledger.topology
        return sum(
            topology.worth(gpus[one].uuid, gpus[two].uuid) for one, two in combinations(places_, 2)
        )

    assert worth(chosen) == max(worth(every) for every in combinations(free, count))
