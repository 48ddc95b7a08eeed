"""Who a process is when it is to be attached: whose, with which descendants, in which cgroup."""

from dataclasses import dataclass

from gpusched.core.ids import ProcessId


@dataclass(frozen=True, slots=True)
class Member:
    """A process and whose it is.

    Attributes:
        process: Which.
        uids: Real, effective and saved uid.
    """

    process: ProcessId
    uids: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Standing:
    """What matters of a process when it is to be attached.

    Attributes:
        cgroup: Its cgroup2 path, relative to the root as the daemon sees it; empty where the
            host has none.
        inode: Of that cgroup's directory; 0 where there is none.
        tree: Itself first, then its descendants; where a whole cgroup is attached, all in it.
    """

    cgroup: str
    inode: int
    tree: tuple[Member, ...]
