"""How GPUs are joined: what a pair is worth, and what is not known of it."""

from itertools import combinations

import pytest

from gpusched.core.ids import DeviceUuid
from gpusched.core.sample import Unavailable, topology_by
from gpusched.core.topology import (
    UNKNOWN_TOPOLOGY,
    UNREAD,
    CommonAncestor,
    Link,
    Topology,
    TopologyReading,
    topology_of,
)
from tests.fakes.builders import device
from tests.fakes.topologies import nvswitch, paired

A, B, C = DeviceUuid("GPU-a"), DeviceUuid("GPU-b"), DeviceUuid("GPU-c")
THREE = TopologyReading(
    (A, B, C), (10, 50, UNREAD), (4, 0, UNREAD), (1, 0, UNREAD), "Unknown Error"
)


def test_a_pair_is_looked_up_both_ways_round() -> None:
    """The way from one GPU to another is the way back."""
    topology = Topology(THREE)
    assert topology.between(A, B) == Link(CommonAncestor.SINGLE, 4, peer_to_peer=True)
    assert topology.between(B, A) == topology.between(A, B)
    assert topology.between(A, C) == Link(CommonAncestor.SYSTEM, 0, peer_to_peer=False)


def test_what_was_not_read_joins_nothing() -> None:
    """A pair that could not be read is unknown: worth nothing, and not joined."""
    topology = Topology(THREE)
    assert topology.between(B, C) == Link()
    assert topology.worth(B, C) == 0
    assert not topology.joined(B, C)
    assert topology.between(A, DeviceUuid("GPU-x")) == Link()


def test_an_ancestor_that_is_not_known_here_is_unknown() -> None:
    """A level that a later driver has is no reason to fail."""
    topology = Topology(TopologyReading((A, B), (77,), (0,), (1,)))
    assert topology.between(A, B).ancestor is None


def test_instances_of_one_gpu_are_on_one_board() -> None:
    """A GPU is nearest to itself."""
    assert UNKNOWN_TOPOLOGY.between(A, A).ancestor is CommonAncestor.INTERNAL


@pytest.mark.parametrize("nvlinks", [0, 1, 18])
def test_nearer_is_worth_more(nvlinks: int) -> None:
    """The nearer the common ancestor, the more a pair is worth."""
    levels = [Link(one, nvlinks).worth for one in CommonAncestor]
    assert levels == sorted(levels, reverse=True)
    assert len(set(levels)) == len(levels)


def test_an_nvlink_is_worth_more_than_any_way_over_pcie() -> None:
    """One NVLink across sockets beats two GPUs of one board, and every further one counts."""
    assert Link(CommonAncestor.SYSTEM, 1).worth > Link(CommonAncestor.INTERNAL, 0).worth
    assert Link(CommonAncestor.SYSTEM, 2).worth > Link(CommonAncestor.INTERNAL, 1).worth
    assert Link(CommonAncestor.NODE, 18).worth == 1820
    assert Link(None, None).worth == 0


def test_what_a_gpu_is_worth_to_the_others() -> None:
    """Each pair of which something good is known is told both ways round."""
    topology = Topology(THREE)
    assert topology.worth_to(A) == {B: 450, C: 10}
    assert topology.worth_to(B) == {A: 450}
    assert topology.worth_to(DeviceUuid("GPU-x")) == {}
    assert (topology.worth(A, B), topology.worth(B, A)) == (450, 450)


def test_the_topology_stays_the_same_object_while_nothing_changes() -> None:
    """What was worked out of a topology holds until another one is read."""
    before = Topology(THREE)
    again = TopologyReading(THREE.gpus, THREE.ancestors, THREE.nvlinks, THREE.peers, THREE.doubt)
    assert topology_of(again, before) is before
    other = TopologyReading((A, B), (10,), (4,), (1,))
    assert topology_of(other, before).reading is other


def test_without_a_reading_the_topology_is_as_it_was() -> None:
    """A sample that could not be read says nothing of the topology."""
    before = Topology(THREE)
    assert topology_by(Unavailable("no driver"), before) is before


def test_the_two_hosts() -> None:
    """On NVSwitches all are joined; in the PCIe box neighbours are, and no others."""
    gpus = [device(place) for place in range(8)]
    uuids = [one.uuid for one in gpus]
    switched, pairs = Topology(nvswitch(gpus)), Topology(paired(gpus))
    assert all(switched.joined(one, two) for one, two in combinations(uuids, 2))
    joined = [(one, two) for one, two in combinations(range(8), 2)]
    joined = [pair for pair in joined if pairs.joined(uuids[pair[0]], uuids[pair[1]])]
    assert joined == [(0, 1), (2, 3), (4, 5), (6, 7)]
