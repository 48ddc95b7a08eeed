"""Which fault is how bad, and what the operator wants done about it. Values only.

What XIDs mean: NVIDIA's XID catalogue (docs.nvidia.com/deploy/xid-errors). HARD are those whose
immediate resolution there is a reset or a restart, and the memory and NVLink faults that have a
workflow of their own. APPLICATION are those that the Kubernetes device plugin ignores, because
it is a program that caused them. Everything else is SOFT.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from gpusched.core.fault import DeviceFault, FaultKind, Recovery
from gpusched.core.ids import SECOND
from gpusched.core.marks import TaintEffect


class Severity(Enum):
    """How bad a fault is for who comes next."""

    NOTHING = "nothing"
    SOFT = "soft"
    HARD = "hard"


APPLICATION_XIDS = frozenset({13, 31, 43, 45, 68, 109})
"""Faults of the program that ran."""

INFORMATION_XIDS = frozenset({106, 107, 154})
"""Two test messages, and "the recovery action has changed", which is read then."""

HARD_XIDS: Mapping[int, tuple[str, Recovery]] = {
    46: ("the GPU stopped processing", Recovery.RESET),
    48: ("double-bit ECC error", Recovery.RESET),
    62: ("an internal micro-controller halted", Recovery.RESET),
    64: ("memory could not be remapped", Recovery.RESET),
    74: ("NVLink error", Recovery.RESET),
    79: ("the GPU has fallen off the bus", Recovery.REBOOT),
    95: ("uncontained memory error", Recovery.RESET),
    110: ("security fault", Recovery.RESET),
    119: ("the GPU's firmware (GSP) does not answer", Recovery.RESET),
    120: ("error of the GPU's firmware (GSP)", Recovery.RESET),
    136: ("link training failed", Recovery.RESET),
    140: ("unrecovered ECC error", Recovery.RESET),
    143: ("the GPU could not be initialised", Recovery.RESET),
    155: ("NVLink error", Recovery.RESET),
    156: ("a resource was retired", Recovery.RESET),
    158: ("fatal timeout", Recovery.RESET),
}
"""By XID: what it is, and what helps."""


@dataclass(frozen=True, slots=True)
class HealthRules:
    """The operator's settings. Durations are nanoseconds.

    Attributes:
        soft: Effect of a soft fault.
        hard: Effect of a hard fault.
        lost: Effect of a GPU's loss, beside that nothing is scheduled on what does not answer.
        soft_time: How long a soft taint stays after its last fault.
        ignored: XIDs that mark nothing.
        fatal: XIDs that are hard, whatever the table says.
    """

    soft: TaintEffect = TaintEffect.NO_SCHEDULE
    hard: TaintEffect = TaintEffect.NO_SCHEDULE
    lost: TaintEffect = TaintEffect.NO_SCHEDULE
    soft_time: int = 600 * SECOND
    ignored: tuple[int, ...] = ()
    fatal: tuple[int, ...] = ()


CAREFUL = HealthRules()
"""Nothing new on what reported a fault; what runs there is left alone."""


def severity_of(fault: DeviceFault, rules: HealthRules) -> Severity:
    """Say how bad *fault* is; what the operator says of an XID comes first."""
    if fault.kind is not FaultKind.XID:
        return Severity.NOTHING if fault.kind is FaultKind.ECC_CORRECTED else Severity.HARD
    if fault.number in rules.ignored:
        return Severity.NOTHING
    if fault.number in rules.fatal or fault.number in HARD_XIDS:
        return Severity.HARD
    if fault.number in APPLICATION_XIDS or fault.number in INFORMATION_XIDS:
        return Severity.NOTHING
    return Severity.SOFT


def key_of(fault: DeviceFault) -> str:
    """Name what a taint for *fault* is for."""
    if fault.kind is FaultKind.XID:
        return f"xid-{fault.number}"
    return "ecc-double-bit" if fault.kind is FaultKind.ECC_UNCORRECTED else "gpu-unavailable"


def reason_of(fault: DeviceFault) -> str:
    """Say what *fault* is, in one sentence."""
    if fault.kind is FaultKind.ECC_UNCORRECTED:
        return "double-bit ECC error"
    if fault.kind is FaultKind.ECC_CORRECTED:
        return "corrected ECC error"
    if fault.kind is FaultKind.UNAVAILABLE:
        return "the driver reports that the GPU is unavailable"
    if fault.number in APPLICATION_XIDS:
        return f"XID {fault.number}: a fault of the program that ran"
    words, _ = HARD_XIDS.get(fault.number, ("", None))
    return f"XID {fault.number}: {words}" if words else f"XID {fault.number}"


def recovery_of(fault: DeviceFault) -> str:
    """Say what helps; empty where that is not known."""
    if fault.kind is FaultKind.ECC_UNCORRECTED:
        return Recovery.RESET.value
    if fault.kind is FaultKind.XID and fault.number in HARD_XIDS:
        return HARD_XIDS[fault.number][1].value
    return ""
