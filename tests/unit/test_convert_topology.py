"""The ways between GPUs on the wire."""

from dataclasses import replace

from gpusched.api.v1 import device_pb2
from gpusched.core.topology import UNREAD, Topology, TopologyReading
from gpusched.rpc.convert_topology import links_of
from tests.fakes.builders import device, mig

ONE, TWO, THREE = (device(place) for place in range(3))
READ = Topology(
    TopologyReading(
        (ONE.uuid, TWO.uuid, THREE.uuid), (40, UNREAD, 50), (4, UNREAD, 0), (1, UNREAD, 0), "why"
    )
)


def test_links() -> None:
    """A GPU tells of every other one: ancestor, NVLinks, and whether they are peers."""
    link, _ = links_of(TWO, READ)
    assert link.peer_uuid == ONE.uuid
    assert link.common_ancestor == device_pb2.COMMON_ANCESTOR_NODE
    assert (link.nvlinks, link.nvlinks_unread, link.peer_to_peer.value) == (4, False, True)


def test_a_pair_that_could_not_be_read_says_why() -> None:
    """What is unknown is never told as nothing."""
    _, link = links_of(ONE, READ)
    assert link.common_ancestor == device_pb2.COMMON_ANCESTOR_UNSPECIFIED
    assert (link.nvlinks, link.nvlinks_unread, link.peer_to_peer.unavailable) == (0, True, "why")
    untold = Topology(replace(READ.reading, doubt=""))
    assert links_of(ONE, untold)[1].peer_to_peer.unavailable == "not read"


def test_no_links_of_what_is_no_gpu_that_answers() -> None:
    """A MIG instance and a lost GPU have no links."""
    assert links_of(mig(ONE), READ) == []
    assert links_of(device(7), READ) == []
