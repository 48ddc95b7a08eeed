"""Identities that outlive names, so that nothing is ever addressed by an index or a bare pid.

Only value types; whoever needs a fresh one gets it from `ports.IdSource`, never from here.
"""

from dataclasses import dataclass
from typing import NewType

LeaseId = NewType("LeaseId", str)
"""Identity of a lease: `lease-` and ten characters of Crockford base 32, in lower case."""

RequestId = NewType("RequestId", str)
"""The client's idempotency key of a request."""

DeviceUuid = NewType("DeviceUuid", str)
"""NVML UUID of a device: `GPU-…` or `MIG-…`, always in full length."""

BootId = NewType("BootId", str)
"""`/proc/sys/kernel/random/boot_id`: another one voids every lease."""

Instant = NewType("Instant", int)
"""CLOCK_BOOTTIME in nanoseconds: survives a restart of the daemon, not a reboot."""

SECOND = 1_000_000_000
"""Nanoseconds in a second."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When an event happened: on the clock that decides, and on the one that is displayed.

    Attributes:
        instant: CLOCK_BOOTTIME in nanoseconds; every deadline is measured on it.
        wall: Unix time in nanoseconds; for display only.
    """

    instant: Instant
    wall: int

    def wall_of(self, instant: Instant) -> int:
        """Say which wall time *instant* has, as seen from this moment."""
        return self.wall + (instant - self.instant)


@dataclass(frozen=True, slots=True, order=True)
class ProcessId:
    """A process as the kernel cannot confuse it: a pid may be recycled, the pair may not.

    Attributes:
        pid: Process id in the daemon's PID namespace.
        start_ticks: Field 22 of `/proc/<pid>/stat`, in clock ticks since boot.
    """

    pid: int
    start_ticks: int


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: named by the kernel through the front, never by the request.

    Attributes:
        uid: Effective uid of the connecting process when it connected (SO_PEERCRED).
        gid: Its effective gid then.
        process: The connecting process; None when it was gone before it could be identified.
        user: Name of the uid, for display.
        admin: Whether the caller is root or in the administrators' group.
        cgroup: The cgroup it connected from, for the log: it may have been moved since, so that
            whoever attaches a process looks anew. Empty where it is not known.
        groups: Its supplementary groups when it connected.
    """

    uid: int
    gid: int
    process: ProcessId | None = None
    user: str = ""
    admin: bool = False
    cgroup: str = ""
    groups: tuple[int, ...] = ()
