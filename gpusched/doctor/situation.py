"""All that the checks look at: the host, what only adapters can find out, and what is wanted.

What costs something (asking the driver, asking the daemon) is asked for once, and only by the
check that needs it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from gpusched.config.paths import SYSTEM_STATE
from gpusched.core.ids import Moment
from gpusched.core.sample import Reading, Unavailable
from gpusched.doctor.host import Host
from gpusched.doctor.kernel_driver import DriverFile, KernelGpu, driver_file, gpus_of
from gpusched.doctor.versions import Version

NEWER_THAN: Version = (11, 3)
"""CUDA version that the driver should offer more than, unless something else is wanted."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU as NVML described it; values in nvidia-smi's words, `N/A` where the card has none.

    Attributes:
        index: NVML index.
        persistence: `Enabled` or `Disabled`.
        mig: MIG mode.
        mig_pending: MIG mode after the next reset.
        compute_mode: Such as `Default`.
        lost: Why it does not answer; empty: it does.
    """

    index: int
    persistence: str = "N/A"
    mig: str = "N/A"
    mig_pending: str = "N/A"
    compute_mode: str = "N/A"
    lost: str = ""


@dataclass(frozen=True, slots=True)
class DriverFacts:
    """What NVML said of the host: version of the driver, CUDA version (`12.8`), GPUs."""

    driver: str
    cuda: str
    gpus: tuple[Gpu, ...]


@dataclass(frozen=True, slots=True)
class DaemonAnswer:
    """What the daemon's socket gave.

    Attributes:
        version: Of the daemon that answered; empty: none did.
        simulated: Whether it serves simulated devices.
        advisory: Whether it serves real ones without root.
        level: Highest enforcement that it gives, in words.
        facts: What its NVML process said; None: not asked for, it is simulated.
        reason: Why none answered, with what to do; empty: one did.
        absent: Whether there is no socket at all.
    """

    version: str = ""
    simulated: bool = False
    advisory: bool = False
    level: str = ""
    facts: Reading[DriverFacts] | None = None
    reason: str = ""
    absent: bool = False


@dataclass(frozen=True, slots=True)
class Probes:
    """What only others can find out.

    Attributes:
        driver: Asks NVML, in a process of its own and only so long.
        programs: Tries a device program; None: it denied what it should, else why it cannot be.
        landlock: Why Landlock cannot be had; None: it can.
        daemon: Asks the daemon.
        clock: The time.
        synchronised: Whether the kernel counts its clock as synchronised; None: not known.
    """

    driver: Callable[[], Reading[DriverFacts]]
    programs: Callable[[], str | None]
    landlock: Callable[[], str | None]
    daemon: Callable[[], DaemonAnswer]
    clock: Callable[[], Moment]
    synchronised: Callable[[], bool | None]


@dataclass(frozen=True)
class Situation:
    """What is looked at.

    Attributes:
        host: The host.
        probes: What only others can find out.
        version: Of this command.
        cuda: CUDA version that is wanted; None: anything newer than `NEWER_THAN`.
        state: The daemon's state directory.
        began: When the looking began.
    """

    host: Host
    probes: Probes
    version: str
    began: Moment
    cuda: Version | None = None
    state: str = field(default_factory=lambda: str(SYSTEM_STATE))

    @cached_property
    def loaded(self) -> DriverFile:
        """The kernel's driver, by its own file."""
        return driver_file(self.host)

    @cached_property
    def gpus(self) -> tuple[KernelGpu, ...]:
        """The GPUs that the kernel's driver has."""
        return gpus_of(self.host)

    @cached_property
    def daemon(self) -> DaemonAnswer:
        """What the daemon answered."""
        return self.probes.daemon()

    @cached_property
    def facts(self) -> Reading[DriverFacts]:
        """What NVML says: the daemon's, where one serves real devices, else our own.

        Without a driver in the kernel NVML is not asked: as root it would make device nodes.
        """
        if not self.loaded.version:
            broken = self.loaded.there
            why = "the driver in the kernel is broken" if broken else "no NVIDIA driver is loaded"
            return Unavailable(why)
        served = self.daemon.facts
        return self.probes.driver() if served is None else served
