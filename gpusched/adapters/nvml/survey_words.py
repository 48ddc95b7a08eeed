"""NVML's numbers in the words that nvidia-smi prints for them.

Source: nvml.h for the numbers, captures of `nvidia-smi -q -x` and its help for the words.
"""

from collections.abc import Callable, Mapping
from typing import Final

_UNKNOWN: Final = "Unknown"

Make = Callable[[int], str]
"""Makes a word of a number."""


def word(words: Mapping[int, str]) -> Make:
    """Give what looks a number up in *words*; one that a newer driver added is `Unknown`."""
    return lambda number: words.get(number, _UNKNOWN)


ENABLED: Final = word({0: "Disabled", 1: "Enabled"})
YES: Final = word({0: "No", 1: "Yes"})
ON: Final = word({0: "Off", 1: "On"})
ACTIVE: Final = word({0: "Not Active", 1: "Active"})
BRAND: Final = word(
    {
        1: "Quadro",
        2: "Tesla",
        3: "NVS",
        4: "GRID",
        5: "GeForce",
        6: "Titan",
        7: "NVIDIA Virtual Applications",
        8: "NVIDIA Virtual PC",
        9: "NVIDIA Virtual Compute Server",
        10: "NVIDIA RTX Virtual Workstation",
        11: "NVIDIA Cloud Gaming",
        12: "Quadro RTX",
        13: "NVIDIA RTX",
        14: "NVIDIA",
        15: "GeForce RTX",
        16: "Titan RTX",
    }
)
ARCHITECTURE: Final = word(
    {
        2: "Kepler",
        3: "Maxwell",
        4: "Pascal",
        5: "Volta",
        6: "Turing",
        7: "Ampere",
        8: "Ada Lovelace",
        9: "Hopper",
        10: "Blackwell",
        13: "Rubin",
    }
)
ADDRESSING: Final = word({0: "None", 1: "HMM", 2: "ATS"})
COMPUTE_MODE: Final = word(
    {0: "Default", 1: "Exclusive_Thread", 2: "Prohibited", 3: "Exclusive_Process"}
)
DRIVER_MODEL: Final = word({0: "WDDM", 1: "TCC", 2: "MCDM"})
OPERATION_MODE: Final = word({0: "All On", 1: "Compute", 2: "Low Double Precision"})
VIRTUALIZATION: Final = word(
    {0: "None", 1: "Pass-Through", 2: "VGPU", 3: "Host VGPU", 4: "Host VSGA"}
)
HOST_VGPU: Final = word({0: "Non SR-IOV", 1: "SR-IOV"})
RECOVERY: Final = word({0: "None", 1: "Reset", 2: "Reboot", 3: "Drain P2P", 4: "Drain and Reset"})
FABRIC_STATE: Final = word({1: "Not Started", 2: "In Progress", 3: "Completed"})
FABRIC_SUMMARY: Final = word({1: "Healthy", 2: "Unhealthy", 3: "Limited Capacity"})
BANDWIDTH: Final = word({1: "Degraded", 2: "Full"})
TRUE: Final = word({1: "True", 2: "False"})
CONFIGURATION: Final = word(
    {
        1: "None",
        2: "Incorrect System GUID",
        3: "Incorrect Chassis Serial Number",
        4: "No Partition",
        5: "Insufficient Nvlinks",
    }
)


def performance_state(number: int) -> str:
    """Give `P0` and so on; NVML's 32 is none of them."""
    return f"P{number}" if 0 <= number <= 15 else _UNKNOWN  # noqa: PLR2004 - nvmlPstates_t


def egm(mask: int) -> str:
    """Give whether extended GPU memory is on, the first bit of the capabilities."""
    return "enabled" if mask & 1 else "disabled"
