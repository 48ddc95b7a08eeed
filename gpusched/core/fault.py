"""What a GPU or its driver reports of itself: faults, and what would help. Values only."""

from dataclasses import dataclass
from enum import Enum

from gpusched.core.ids import DeviceUuid


class FaultKind(Enum):
    """Which of NVML's events tells of a fault."""

    XID = "xid"
    ECC_CORRECTED = "ecc_corrected"
    ECC_UNCORRECTED = "ecc_uncorrected"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class DeviceFault:
    """One event, as NVML reports it.

    Attributes:
        device: UUID of the GPU; events of MIG instances are reported by their GPU.
        kind: Which.
        number: Number of an XID (999: the driver does not know it); else 0.
        gpu_instance: GI id where the fault is one instance's; else None.
        compute_instance: CI id where the fault is one instance's; else None.
    """

    device: DeviceUuid
    kind: FaultKind
    number: int = 0
    gpu_instance: int | None = None
    compute_instance: int | None = None


class Recovery(Enum):
    """What the driver says would help a GPU (NVML's recovery action, drivers from 570 on)."""

    NONE = "none"
    RESET = "reset the GPU"
    REBOOT = "restart the host"
    DRAIN_P2P = "end the GPU's peer-to-peer work"
    DRAIN_AND_RESET = "end all work on the GPU, then reset it"
    RECOVER_IMEX = "recover the IMEX domain"
    BUS_RESET = "reset the GPU's bus"
    OTHER = "ask the driver's documentation"
