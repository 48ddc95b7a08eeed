"""The time, the boot and fresh ids: the only place where the daemon takes them from the host.

Exists so that the core gets all three as arguments. Nothing else may be measured here.
"""

import secrets
import time
from pathlib import Path

from gpusched.core.ids import BootId, Instant, LeaseId, Moment

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# Crockford's base 32: no i, l, o and u, so that an id can be read aloud.
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_ID_LENGTH = 10


class SystemClock:
    """The host's clocks."""

    def __init__(self) -> None:
        """Read the boot id, which cannot change while this process lives.

        Raises:
            OSError: `/proc` is not mounted.
        """
        self._boot_id = BootId(_BOOT_ID.read_text(encoding="ascii").strip())

    def now(self) -> Moment:
        """Give CLOCK_BOOTTIME (it counts while the host is suspended) and the wall time."""
        instant = Instant(time.clock_gettime_ns(time.CLOCK_BOOTTIME))
        return Moment(instant=instant, wall=time.time_ns())

    def boot_id(self) -> BootId:
        """Give the id of the running boot."""
        return self._boot_id


class RandomIds:
    """Ids of 50 random bits: among 100 000 leases, two alike have a chance of 1 in 200 000."""

    def lease_id(self) -> LeaseId:
        """Give an id that no lease ever had."""
        drawn = secrets.token_bytes(_ID_LENGTH)
        return LeaseId("lease-" + "".join([_ALPHABET[byte % len(_ALPHABET)] for byte in drawn]))
