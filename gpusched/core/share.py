"""What a lease has of one device. A value; its owner is not in it."""

from dataclasses import dataclass

from gpusched.core.ids import DeviceUuid
from gpusched.core.pool import DEFAULT_POOL


@dataclass(frozen=True, slots=True)
class Share:
    """What a lease has of one device.

    Attributes:
        device: UUID.
        domain: The device's memory domain, so that a lease can be weighed while it is absent.
        memory: Bytes promised; None for a whole device.
        baseline: Bytes of the device that belonged to no process when it was granted; None where
            that was not known. More than that at the end is memory that is not back yet.
        peak: Most bytes that a sample showed its processes to hold there; None: none did yet.
        total: Bytes of its whole memory at the grant, which a whole one counts; None: it has none.
        pool: Name of the pool that the device was in then.
        alone: Whether nobody else may have a share of the device although this one has a size.
    """

    device: DeviceUuid
    domain: str
    memory: int | None
    baseline: int | None = None
    peak: int | None = None
    total: int | None = None
    pool: str = DEFAULT_POOL
    alone: bool = False

    @property
    def exclusive(self) -> bool:
        """Whether nobody else may have a share of the device."""
        return self.memory is None or self.alone
