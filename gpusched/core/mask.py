"""The mask of a lease: which device nodes its processes may open. Values only.

A mask narrows: it denies GPUs that are not leased, and what it does not name it does not touch.
The kernel's form of it is `adapters/cgroup/device_program`; the environment that tells
frameworks what they have is `kit`.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from gpusched.core.device import Device, DeviceNode
from gpusched.core.ids import DeviceUuid


@dataclass(frozen=True, slots=True, order=True)
class NodeRange:
    """Character devices of one major.

    Attributes:
        major: Major number.
        first: Lowest minor.
        last: Highest minor, included.
    """

    major: int
    first: int
    last: int

    def __contains__(self, node: tuple[int, int]) -> bool:
        major, minor = node
        return major == self.major and self.first <= minor <= self.last


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of a mask: opening, reading, writing and making any node of *nodes*."""

    allow: bool
    nodes: NodeRange


@dataclass(frozen=True, slots=True)
class Mask:
    """Rules about character devices: the first that names a node decides; else it is allowed."""

    rules: tuple[Rule, ...]

    def allows(self, major: int, minor: int) -> bool:
        """Say whether the character device may be opened."""
        for rule in self.rules:
            if (major, minor) in rule.nodes:
                return rule.allow
        return True

    @property
    def digest(self) -> str:
        """Name the rules in twelve hexadecimal digits: equal for equal rules, in every version."""
        text = ";".join(
            f"{'+' if one.allow else '-'}{one.nodes.major}:{one.nodes.first}-{one.nodes.last}"
            for one in self.rules
        )
        return hashlib.sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Governed:
    """What a mask is about, as the driver has it now; read anew when the driver is loaded anew.

    Attributes:
        ranges: Nodes of GPUs and MIG capabilities, also of GPUs that come later.
        control: Nodes that every holder of a device needs, and nobody else (`nvidiactl`).
    """

    ranges: tuple[NodeRange, ...] = ()
    control: tuple[DeviceNode, ...] = field(default=())


def mask_of(leased: Iterable[DeviceUuid], devices: Iterable[Device], governed: Governed) -> Mask:
    """Make the mask of whoever has *leased*.

    Args:
        leased: UUIDs; of a device that is absent nothing can be allowed.
        devices: The inventory, with the nodes of each.
        governed: What is denied unless it is leased.
    """
    wanted = set(leased)
    known = tuple(devices)
    own = {node for one in known if one.uuid in wanted for node in (*one.nodes, *one.dri_nodes)}
    # Display nodes have no range of their own: other makers' GPUs have them too.
    foreign = {node for one in known for node in one.dri_nodes} - own
    denied = [*governed.ranges, *map(_alone, foreign)]
    if not wanted:
        denied += map(_alone, governed.control)
    rules = [Rule(allow=True, nodes=nodes) for nodes in sorted({_alone(one) for one in own})]
    rules += [Rule(allow=False, nodes=nodes) for nodes in sorted(set(denied))]
    return Mask(tuple(rules))


def _alone(node: DeviceNode) -> NodeRange:
    return NodeRange(node.major, node.minor, node.minor)
