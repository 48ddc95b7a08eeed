"""An open that the kernel denied, as it reports it. A value only."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DeniedOpen:
    """An open that the kernel denied.

    Attributes:
        pid: Who tried, in the daemon's PID namespace; None where the kernel cannot tell.
        cgroup: Inode of the cgroup whose mask denied it.
        major: Of the device node.
        minor: Of the device node.
        count: How often since it was last told.
    """

    pid: int | None
    cgroup: int
    major: int
    minor: int
    count: int = 1
