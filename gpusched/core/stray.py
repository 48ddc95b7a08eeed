"""Processes that use a device without a lease: what is to be done, and how far it is. Values only.

Nothing here outlives the daemon: the next one finds such a process there at its start.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

from gpusched.core.device import Device
from gpusched.core.ids import SECOND, DeviceUuid, Instant, Moment, ProcessId

NO_DEVICES: Mapping[DeviceUuid, "StrayPolicy"] = MappingProxyType({})


class StrayPolicy(Enum):
    """What strays on a device lead to, by the configuration's word; the strictest last."""

    REPORT = "report"
    AVOID = "avoid"
    EVICT = "evict"


class StrayStep(Enum):
    """How far a stray has come on the way out."""

    NONE = "none"
    WARNED = "warned"
    TERMINATED = "terminated"
    KILLED = "killed"


@dataclass(frozen=True, slots=True)
class StrayRules:
    """What an operator wants done about strays.

    Attributes:
        policy: On every device without a policy of its own.
        devices: By device; that of a GPU is that of its MIG instances, too.
        grace: Nanoseconds between the warning and SIGTERM, and between that and SIGKILL.
        spare_uids: Users whose processes are not evicted.
        dry_run: Whether what would be sent is only told.
    """

    policy: StrayPolicy = StrayPolicy.AVOID
    devices: Mapping[DeviceUuid, StrayPolicy] = field(default_factory=lambda: NO_DEVICES)
    grace: int = 30 * SECOND
    spare_uids: tuple[int, ...] = (0,)
    dry_run: bool = False

    def of(self, device: Device) -> StrayPolicy:
        """Give the policy on *device*."""
        own = self.devices.get(device.uuid)
        if own is None and device.mig is not None:
            own = self.devices.get(device.mig.parent)
        return self.policy if own is None else own


AVOIDED = StrayRules()


@dataclass(frozen=True, slots=True)
class Stray:
    """One process that has no lease for a device it is on, as the samples so far show it.

    Attributes:
        process: Who.
        uid: Whose it is.
        devices: Where a sample showed it last.
        since: When a sample first showed it.
        at_start: Whether it was there when the daemon first read its devices.
        policy: The strictest of its devices.
        spared: Why it is left alone where that is to evict; empty: it is not.
        step: How far it has come.
        deadline: When the next step is due; None: none is.
        dry_run: Whether its steps are only told.
    """

    process: ProcessId
    uid: int
    devices: tuple[DeviceUuid, ...]
    since: Moment
    at_start: bool
    policy: StrayPolicy
    spared: str = ""
    step: StrayStep = StrayStep.NONE
    deadline: Instant | None = None
    dry_run: bool = False
