"""What a request may prefer of its devices: with whom they are shared, how they lie."""

from enum import Enum


class Sharing(Enum):
    """With whom the devices may be shared."""

    CONFIGURED = "configured"
    EXCLUSIVE = "exclusive"
    ANY = "any"
    OWN = "own"


class Topology(Enum):
    """How the devices of one grant should lie to one another."""

    CONFIGURED = "configured"
    ANY = "any"
    SAME_NUMA_NODE = "same_numa_node"
    NVLINK = "nvlink"


class Placement(Enum):
    """Which of several fitting devices is taken."""

    CONFIGURED = "configured"
    PACK = "pack"
    SPREAD = "spread"
    TOPOLOGY = "topology"
