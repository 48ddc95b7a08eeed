"""What an operator asks of devices and of the driver. Each can be repeated."""

from dataclasses import dataclass
from typing import TypeAlias

from gpusched.core.ids import Caller, DeviceUuid


@dataclass(frozen=True, slots=True)
class CordonRequested:
    """No new leases on a device; those there stay.

    Attributes:
        caller: Who asks.
        device: Which; it need not be there now.
        reason: Why, in the operator's words.
    """

    caller: Caller
    device: DeviceUuid
    reason: str


@dataclass(frozen=True, slots=True)
class UncordonRequested:
    """Cordon, drain and taints come off a device."""

    caller: Caller
    device: DeviceUuid


@dataclass(frozen=True, slots=True)
class DrainRequested:
    """No new leases on a device, and those there end at a deadline.

    Attributes:
        caller: Who asks.
        device: Which; it need not be there now.
        reason: Why, in the operator's words; the holders are told.
        time: Nanoseconds until its leases end; None: as it was said before, else as configured.
        signal_in_place: Whether processes in a cgroup that is not gpusched's get SIGTERM too.
    """

    caller: Caller
    device: DeviceUuid
    reason: str
    time: int | None = None
    signal_in_place: bool = False


@dataclass(frozen=True, slots=True)
class ReleaseDriverRequested:
    """The driver is to be let go, so that it can be upgraded or a GPU reset."""

    caller: Caller
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ResumeDriverRequested:
    """The driver is to be taken up again."""

    caller: Caller


OperatorEvent: TypeAlias = (
    CordonRequested
    | UncordonRequested
    | DrainRequested
    | ReleaseDriverRequested
    | ResumeDriverRequested
)
"""Everything that an operator asks of devices and the driver."""
