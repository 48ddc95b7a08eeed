"""Time, devices, processes and the service manager."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from gpusched.core.ids import BootId, LeaseId, Moment, ProcessId
from gpusched.core.sample import NodeReading, OpenNode, ProcessFacts, Reading
from gpusched.core.standing import Standing
from gpusched.core.survey import NodeSurvey


class Clock(Protocol):
    """The time, and the boot it counts from."""

    def now(self) -> Moment:
        """Give the present moment."""
        ...

    def boot_id(self) -> BootId:
        """Give the id of the running boot."""
        ...


class IdSource(Protocol):
    """Fresh identities."""

    def lease_id(self) -> LeaseId:
        """Give an id that no lease ever had."""
        ...


class Sampler(Protocol):
    """Reads every device once per call."""

    async def sample(self) -> Reading[NodeReading]:
        """Read all devices, or say in one line why none could be read.

        Never raises for what the driver or the library does, and always returns within the
        sampler's own deadline.
        """
        ...

    def release(self) -> None:
        """Let go of the driver until `resume`; then `sample` says so, once nothing is left of it.

        Does not block. Idempotent.
        """
        ...

    def resume(self) -> None:
        """Take the driver up again with the next sample, as it is then. Idempotent."""
        ...

    async def close(self) -> None:
        """Let go of the library. Idempotent."""
        ...


class Surveyor(Protocol):
    """Reads everything that nvidia-smi prints, when it is asked for."""

    async def survey(self) -> Reading[NodeSurvey]:
        """Survey the host, or say in one line why it cannot be; as `Sampler.sample`."""
        ...


@dataclass(frozen=True, slots=True)
class Watched:
    """A lease whose processes are to be looked for.

    Attributes:
        lease: Its id, as its processes carry it in `GPUSCHED_LEASE`.
        uid: Only processes of this user can belong to it by that sign.
        roots: Processes attached by name.
        cgroup: Path of the lease's cgroup, relative to the root; then its processes are those in
            it and below it, and no others. None: the lease has none.
    """

    lease: LeaseId
    uid: int
    roots: tuple[ProcessId, ...]
    cgroup: str | None = None


class TooMany(Exception):
    """There is more to look at than the caller has time for."""


class ProcessTable(Protocol):
    """What `/proc` knows. Blocking: a busy host has thousands of processes."""

    def identify(self, pid: int) -> ProcessId | None:
        """Give the identity of the process that has *pid* now; None where there is none."""
        ...

    def uids(self, process: ProcessId) -> tuple[int, int, int] | None:
        """Give real, effective and saved uid; None where the process is gone."""
        ...

    def standing(self, process: ProcessId, most: int | None = None) -> Standing | None:
        """Say whose a process and its descendants are, and where it is; None where it is gone.

        Args:
            process: Where to begin.
            most: Threads that are looked at, all processes' together; None: however many.

        Raises:
            TooMany: There are more: ask where it may take its time.
        """
        ...

    def population(self, cgroup: str) -> Standing:
        """Say who is in *cgroup* and below it, in the form of a standing.

        Args:
            cgroup: Path relative to the root of the cgroup2 hierarchy.

        Raises:
            FileNotFoundError: There is no such cgroup.
            OSError: Not all that live in it can be told.
        """
        ...

    def cgroups(self) -> Iterable[str]:
        """Give the paths of all cgroups, relative to the root of the cgroup2 hierarchy."""
        ...

    def open_nodes(self, processes: Iterable[ProcessId]) -> tuple[OpenNode, ...]:
        """Find the character devices that *processes* have open; those that are gone have none."""
        ...

    def facts(self, pids: Iterable[int]) -> Mapping[int, ProcessFacts]:
        """Describe the processes among *pids* that exist."""
        ...

    def members(self, watched: Iterable[Watched]) -> Mapping[LeaseId, frozenset[ProcessId]]:
        """Find the living processes of each lease.

        A process belongs to a lease when it is a root, descends from a member (also one that was
        seen earlier and has ended since), or carries the lease's id and its holder's uid.
        """
        ...


class ExitWatch(Protocol):
    """Tells at once when a process ends."""

    def watch(self, process: ProcessId, ended: Callable[[], None]) -> None:
        """Call *ended* in the event loop once *process* has ended, also when it already has."""
        ...

    def close(self) -> None:
        """Forget all. Idempotent."""
        ...


class Signaller(Protocol):
    """Signals single processes. Does not block."""

    def send(self, process: ProcessId, number: int) -> bool:
        """Send a signal to exactly *process*; say whether it was there.

        Raises:
            OSError: It may not be signalled, or cannot be.
        """
        ...


class ServiceManager(Protocol):
    """Whoever started the daemon and wants to hear how it is (systemd's notify protocol)."""

    def notify(self, state: str) -> None:
        """Send one or more assignments such as `READY=1`; never fails."""
        ...

    def watchdog_interval(self) -> float | None:
        """Seconds between `WATCHDOG=1` that are asked for; None where nobody asks."""
        ...
