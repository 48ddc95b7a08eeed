"""Masks: which nodes are allowed to whoever has which devices."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gpusched.core.device import DeviceNode
from gpusched.core.ids import DeviceUuid
from gpusched.core.mask import Governed, Mask, NodeRange, Rule, mask_of
from tests.fakes.builders import CONTROL_NODE, mig
from tests.fakes.kernel_builders import GOVERNED, GPUS

CARD = DeviceNode("/dev/dri/card0", 226, 0)
RENDER = DeviceNode("/dev/dri/renderD128", 226, 128)
some = st.sets(st.sampled_from([one.uuid for one in GPUS]))


@given(some)
def test_exactly_the_leased_gpus_are_allowed(leased: set[DeviceUuid]) -> None:
    """Of all GPUs the leased ones may be opened, and what is no GPU is not touched."""
    mask = mask_of(leased, GPUS, GOVERNED)
    for one in GPUS:
        assert mask.allows(195, one.index) == (one.uuid in leased)
    assert not mask.allows(195, 200)
    assert mask.allows(1, 3)
    assert mask.allows(195, 255) == bool(leased)


@given(some, some)
def test_two_leases_together_allow_what_either_does(
    one: set[DeviceUuid], other: set[DeviceUuid]
) -> None:
    """The mask of a cgroup with two leases is the union of theirs."""
    both = mask_of(one | other, GPUS, GOVERNED)
    masks = [mask_of(some_, GPUS, GOVERNED) for some_ in (one, other)]
    for minor in range(256):
        assert both.allows(195, minor) == any(each.allows(195, minor) for each in masks)


def test_display_nodes_of_other_gpus_are_denied() -> None:
    """A GPU's display nodes go with it; those of other makers are not touched."""
    first, second = replace(GPUS[0], dri_nodes=(CARD,)), replace(GPUS[1], dri_nodes=(RENDER,))
    mask = mask_of([first.uuid], [first, second], GOVERNED)
    assert mask.allows(226, 0)
    assert not mask.allows(226, 128)
    assert mask.allows(226, 129)


def test_a_node_that_a_leased_instance_shares_is_allowed() -> None:
    """The parent's node is allowed to whoever has one instance of it, the others' are not."""
    parent = GPUS[0]
    first, second = (
        replace(mig(parent, n), nodes=(*parent.nodes, DeviceNode(f"/caps/{n}", 236, n)))
        for n in (1, 2)
    )
    governed = Governed((*GOVERNED.ranges, NodeRange(236, 0, 1023)), (CONTROL_NODE,))
    mask = mask_of([first.uuid], [parent, first, second], governed)
    assert mask.allows(195, parent.index)
    assert mask.allows(236, 1)
    assert not mask.allows(236, 2)


def test_of_an_absent_device_nothing_is_allowed() -> None:
    """A lease of a device that is not there has the control nodes and no other."""
    mask = mask_of([DeviceUuid("GPU-gone")], GPUS, GOVERNED)
    assert not any(mask.allows(195, minor) for minor in range(255))
    assert mask.allows(195, 255)


def test_the_first_rule_decides() -> None:
    """Rules are looked at in order; what none names is allowed."""
    nodes = NodeRange(195, 1, 2)
    assert Mask((Rule(allow=True, nodes=nodes), Rule(allow=False, nodes=nodes))).allows(195, 1)
    assert not Mask((Rule(allow=False, nodes=nodes),)).allows(195, 2)
    assert Mask(()).allows(195, 0)


def test_the_digest_names_the_rules() -> None:
    """It is the same in every version, and another for other rules."""
    assert Mask(()).digest == "e3b0c44298fc"
    first = Mask((Rule(allow=True, nodes=NodeRange(195, 0, 0)),))
    assert first.digest == Mask(first.rules).digest
    others = (
        Rule(allow=False, nodes=NodeRange(195, 0, 0)),
        Rule(allow=True, nodes=NodeRange(195, 0, 1)),
    )
    assert len({first.digest, *(Mask((one,)).digest for one in others)}) == 3
