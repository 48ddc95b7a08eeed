"""What makes leases true in the kernel."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Protocol

from gpusched.core.actions import Join, Prepare
from gpusched.core.denial import DeniedOpen
from gpusched.core.enforcement import Ability, LeaseCgroup, Level
from gpusched.core.ids import ProcessId
from gpusched.core.mask import Governed, Mask
from gpusched.core.observation import Observation


class EnforceError(Exception):
    """The kernel or the service manager did not do what was asked, and it was undone.

    Its text is one line for the user: what failed, why, what to do.

    Attributes:
        refused: Whether the process is at fault (gone, another user's, in a cgroup that must not
            be masked) and not the host: then there is no lower level to fall back to.
    """

    def __init__(self, sentence: str, *, refused: bool = False) -> None:
        super().__init__(sentence)
        self.refused = refused


@dataclass(frozen=True, slots=True)
class Entered:
    """What entering a lease's cgroup has done.

    Attributes:
        cgroup: The lease's.
        level: Reached by it: DEVICE_PROGRAM, or ADVISORY.
        sentence: Why not a higher one; empty where it is the one that was asked for.
        processes: Who is in it now: the named process first, then its descendants; in place,
            those of the cgroup.
        escaped: Descendants that were found outside after all were moved.
    """

    cgroup: LeaseCgroup
    level: Level
    sentence: str
    processes: tuple[ProcessId, ...]
    escaped: tuple[ProcessId, ...] = ()


class Enforcer(Protocol):
    """Makes leases true in the kernel. Only ever narrows, with programs of its own.

    Every method can be repeated. Calls about one cgroup are made one after the other.
    """

    async def ability(self) -> Ability:
        """Find out, by trying, what can be enforced here."""
        ...

    async def prepare(self, order: Prepare) -> Entered:
        """Carry out *order*.

        Raises:
            EnforceError: Nothing is left of it, and no process was moved.
        """
        ...

    async def join(self, order: Join) -> Entered:
        """Carry out *order*.

        Raises:
            EnforceError: The process was not moved.
        """
        ...

    async def mask(self, cgroup: LeaseCgroup, mask: Mask) -> None:
        """Let *mask* be the one of *cgroup*, whatever was there of ours before.

        Raises:
            EnforceError: What was there before is there still.
        """
        ...

    async def signal(self, cgroup: LeaseCgroup, number: int) -> None:
        """Send a signal to every process of a cgroup; SIGKILL, for made ones only, leaves none.

        Raises:
            EnforceError: It would kill in a cgroup that is not gpusched's, or cannot reach it.
        """
        ...

    async def unprepare(self, cgroup: LeaseCgroup, back_to: str | None) -> bool:
        """Remove a made cgroup, or take the program off one in place.

        Args:
            cgroup: Which; that it is gone already is no error.
            back_to: Path to which processes in a made cgroup are moved first.

        Returns:
            Whether nothing of it is left: False while a made cgroup has processes.

        Raises:
            EnforceError: It cannot be removed.
        """
        ...

    async def observe(self, known: Collection[LeaseCgroup]) -> Observation:
        """Look at *known* cgroups, and at every one that gpusched made.

        One of *known* that is gone, or has become another, is not in the answer.
        """
        ...

    def follow(self, cgroup: LeaseCgroup, emptied: Callable[[], None]) -> None:
        """Call *emptied* in the event loop whenever *cgroup* has become empty, or is gone.

        Also when it is already. Following twice is following once.

        Raises:
            OSError: It cannot be watched.
        """
        ...

    def denied(self) -> tuple[DeniedOpen, ...]:
        """Give the denials since the last call, equal ones added up."""
        ...

    async def close(self) -> None:
        """Let go of what is open; what was attached stays attached. Idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class GuardState:
    """What the host-wide guard is.

    Attributes:
        on: Whether processes that are not admitted are denied.
        denied: Opens denied since it is on; None where nothing counts them.
    """

    on: bool
    denied: int | None = None


class Guard(Protocol):
    """The host-wide guard against processes without a lease. Blocking, from any thread.

    What it is outlives the daemon. Every method but `close` raises `EnforceError`.
    """

    def on(self, governed: Governed, admitted: Iterable[int]) -> None:
        """Deny governed nodes to all but the cgroups *admitted*, by inode, and those below them.

        On already, it takes these in the place of what it had, without a gap.
        """
        ...

    def off(self) -> None:
        """Deny nothing any more. Off already is no error."""
        ...

    def admit(self, inode: int) -> None:
        """Let a cgroup in; remembered also while the guard is off."""
        ...

    def dismiss(self, inode: int) -> None:
        """Let a cgroup in no more; one that was not is no error."""
        ...

    def renew(self) -> None:
        """Let in what serves every lease, where it has been started anew."""
        ...

    def status(self) -> GuardState:
        """Find out what it is."""
        ...

    def close(self) -> None:
        """Let go of what is open; what is on stays on. Idempotent."""
        ...
