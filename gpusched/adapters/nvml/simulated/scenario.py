"""What a simulated host is: plain values that a scenario is parsed into. No text, no files."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gpusched.adapters.nvml.simulated.details import Details, details_of
from gpusched.adapters.nvml.simulated.mig import MigDevice
from gpusched.adapters.nvml.simulated.profiles import Profile

FOREVER = float("inf")

COMPUTE_MODES = {"default": 0, "prohibited": 2, "exclusive_process": 3}
"""NVML's compute modes by their names in scenarios; 1 was removed."""

RECOVERY_ACTIONS = {
    "none": 0,
    "gpu_reset": 1,
    "node_reboot": 2,
    "drain_p2p": 3,
    "drain_and_reset": 4,
}
"""NVML's recovery actions by their names in scenarios."""


ANCESTORS = {"PIX": 10, "PXB": 20, "PHB": 30, "NODE": 40, "SYS": 50}
"""NVML's common ancestors by nvidia-smi's words, which scenarios use."""


class ScenarioError(Exception):
    """A scenario cannot be used.

    Attributes:
        faults: Everything that is wrong with it, each led by its key.
    """

    def __init__(self, faults: tuple[str, ...]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Faults:
    """What goes wrong with one device.

    Attributes:
        lost: Every call on it, and asking for its handle, answers GPU_IS_LOST.
        reset_required: The same with RESET_REQUIRED.
        hang: Seconds that a call takes; `FOREVER` for one that never returns.
        hang_in: C functions that hang; empty for every one.
        no_permission: Process lists answer NO_PERMISSION.
        insufficient_size: How many process lists outgrow the caller's array before one fits.
        no_memory_v2: Memory v2 answers NOT_SUPPORTED.
        errors: Return code by name of the C function.
    """

    lost: bool = False
    hang: float = 0.0
    hang_in: frozenset[str] = frozenset()
    no_permission: bool = False
    insufficient_size: int = 0
    no_memory_v2: bool = False
    errors: Mapping[str, int] = field(default_factory=dict)
    reset_required: bool = False


@dataclass(frozen=True, slots=True)
class SimulatedEvent:
    """Something that a device reports once.

    Attributes:
        sequence: Grows from event to event; what is not above the last one has happened.
        kind: Bit of `nvmlEventType…`.
        data: Of an XID its number.
        gpu_instance: GI id; None where it is not one instance's.
        compute_instance: CI id; None where it is not one instance's.
    """

    sequence: int
    kind: int
    data: int = 0
    gpu_instance: int | None = None
    compute_instance: int | None = None


@dataclass(frozen=True, slots=True)
class DeviceState:
    """What may change while a simulated device runs.

    Attributes:
        vanished: It is not enumerated at all; the indices of those after it move up.
        ghost: Bytes in use that no process accounts for.
        overlap: Bytes that its processes count twice (shared buffers).
        utilization: Percent of time in which a kernel ran.
        memory_utilization: Percent of time in which memory was accessed.
        temperature: Degrees Celsius.
        power: Milliwatts.
        power_limit: Milliwatts.
        compute_mode: NVML's number.
        persistence: Persistence mode.
        details: What only `nvidia-smi -q` asks for.
        faults: What goes wrong.
        events: What it has reported, or reports now.
        recovery: NVML's number of what would help it; 0: nothing has to be done.
    """

    temperature: int
    power: int
    power_limit: int
    vanished: bool = False
    ghost: int = 0
    overlap: int = 0
    utilization: int = 0
    memory_utilization: int = 0
    compute_mode: int = 0
    persistence: bool = True
    details: Details = field(default_factory=dict)
    faults: Faults = field(default_factory=Faults)
    events: tuple[SimulatedEvent, ...] = ()
    recovery: int = 0


@dataclass(frozen=True, slots=True)
class SimulatedDevice:
    """One card.

    Attributes:
        index: Its place in the scenario, by which processes and the control file name it. NVML's
            index is the same until another device vanishes.
        profile: Its model.
        uuid: Its identity.
        minor: Of its node.
        bus_id: PCI bus id in NVML's form.
        serial: Board serial number.
        numa: NUMA node; -1 where nobody knows it.
        switch: Number of the PCIe switch that it sits behind.
        nvswitch: Number of the NVSwitches that all its NVLinks lead to; None: they lead to none.
        mig_enabled: Whether it is in MIG mode.
        mig: Its MIG devices, in NVML's order.
        state: What may change.
    """

    index: int
    profile: Profile
    uuid: str
    minor: int
    bus_id: str
    serial: str
    numa: int
    switch: int
    nvswitch: int | None
    mig_enabled: bool
    mig: tuple[MigDevice, ...]
    state: DeviceState

    @property
    def usable(self) -> int:
        """Bytes that processes can have at most."""
        return self.profile.memory - self.profile.reserved


@dataclass(frozen=True, slots=True)
class SimulatedProcess:
    """A row of NVML's process lists that no real process stands behind.

    Attributes:
        pid: As NVML reports it.
        lists: The letters of the lists it stands in: C, G and M.
        device: Index of the device in the scenario.
        memory: Bytes; None for N/A.
        gpu_instance: GI id; None outside MIG.
        compute_instance: CI id; None outside MIG.
        name: What `nvmlSystemGetProcessName` says; None for NOT_FOUND.
    """

    pid: int
    lists: frozenset[str]
    device: int
    memory: int | None
    gpu_instance: int | None = None
    compute_instance: int | None = None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class SimulatedLink:
    """What is particular about two cards.

    Attributes:
        gpus: Their indices in the scenario, the lower one first.
        nvlinks: NVLinks from one to the other.
        ancestor: NVML's number of their common ancestor; None: as their places have it.
        peer_to_peer: Whether one may access the other's memory.
    """

    gpus: tuple[int, int]
    nvlinks: int = 0
    ancestor: int | None = None
    peer_to_peer: bool = True


@dataclass(frozen=True, slots=True)
class Scenario:
    """One simulated host.

    Attributes:
        devices: In the order of their PCI bus ids.
        processes: In the order in which NVML lists them.
        driver: Driver version.
        nvml: Version of the library.
        cuda: CUDA version as NVML's integer: 12080 is 12.8.
        seed: From which identities are derived.
        process_stride: Bytes between two entries of a v3 process list: 24, or the 32 that
            drivers 535.43 to 535.86 wrote under the same name.
        missing_functions: C functions that the library lacks.
        errors: Return code by name of the C function, whatever the device.
        links: Pairs of cards that have something particular between them.
    """

    devices: tuple[SimulatedDevice, ...]
    processes: tuple[SimulatedProcess, ...]
    driver: str
    nvml: str
    cuda: int
    seed: str
    process_stride: int = 24
    missing_functions: frozenset[str] = frozenset()
    errors: Mapping[str, int] = field(default_factory=dict)
    links: tuple[SimulatedLink, ...] = ()


def initial_state(profile: Profile) -> DeviceState:
    """Give the state of an idle card."""
    power = profile.power
    return DeviceState(profile.temperature, power.idle, power.default, details=details_of(profile))
