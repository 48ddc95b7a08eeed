"""What one tick has read, frozen: every decision of a tick sees the same sample.

Two stages: a `NodeReading` is what NVML said (pids are bare numbers), a `NodeSample` is the same
with each pid resolved to a process. A reading is a value or `Unavailable`; missing is never zero.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Flag
from types import MappingProxyType
from typing import TypeAlias, TypeVar

from gpusched.core.device import Device, DeviceNode
from gpusched.core.fault import DeviceFault, Recovery
from gpusched.core.ids import DeviceUuid, Instant, LeaseId, ProcessId
from gpusched.core.mask import Governed, NodeRange
from gpusched.core.topology import UNKNOWN_TOPOLOGY, Topology, TopologyReading, topology_of

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A value that could not be read, and why."""

    reason: str


Reading: TypeAlias = T | Unavailable

NOT_SAMPLED = Unavailable("not read yet")


def plus(one: Reading[int], other: Reading[int]) -> Reading[int]:
    """Add two readings: what is not known of one is not known of both together."""
    if isinstance(one, Unavailable):
        return one
    return other if isinstance(other, Unavailable) else one + other


def greater(one: Reading[int], other: Reading[int]) -> Reading[int]:
    """Give the greater of two readings; where one is not known, that is not known either."""
    if isinstance(one, Unavailable):
        return one
    return other if isinstance(other, Unavailable) else max(one, other)


class ContextKind(Flag):
    """In which of NVML's three process lists a process stands."""

    COMPUTE = 1
    GRAPHICS = 2
    MPS = 4

    def label(self) -> str:
        """Give nvidia-smi's Type column: `C`, `G`, `C+G`, `M+C` or `M+C+G`."""
        names = []
        if ContextKind.MPS in self:
            names.append("M")
        # nvidia-smi prints the C of an MPS client even when only the graphics list has it too.
        if ContextKind.COMPUTE in self or ContextKind.MPS in self:
            names.append("C")
        if ContextKind.GRAPHICS in self:
            names.append("G")
        return "+".join(names)


@dataclass(frozen=True, slots=True)
class Memory:
    """Framebuffer of a device in bytes: total = used + reserved + free (NVML memory v2).

    Attributes:
        total: Physical size.
        reserved: What the driver keeps for itself (`driver_reserved`).
        used: Allocated by processes.
        free: What an allocation can still get.
        reserved_apart: Whether the driver tells what it keeps; where it does not, that is in
            `used`, and `reserved` is 0 (NVML memory v1).
    """

    total: int
    reserved: int
    used: int
    free: int
    reserved_apart: bool = True


@dataclass(frozen=True, slots=True)
class ContextReading:
    """One row of NVML's process lists.

    Attributes:
        pid: As NVML reports it, in the daemon's PID namespace.
        kind: The lists it stands in.
        memory: Bytes of device memory, from the compute list where it is in there.
        gpu_instance: GI id of a MIG process, else None.
        compute_instance: CI id of a MIG process, else None.
        name: NVML's name of the process.
    """

    pid: int
    kind: ContextKind
    memory: Reading[int]
    gpu_instance: int | None = None
    compute_instance: int | None = None
    name: Reading[str] = Unavailable("not asked")


@dataclass(frozen=True, slots=True)
class DeviceReading:
    """What one tick read of one device (a GPU, or a MIG instance).

    Attributes:
        recovery: What the driver says would help, as it was last asked.
        unmonitored: Why NVML reports no faults of it, so that only polling finds them; empty: it
            does.
    """

    device: Device
    memory: Reading[Memory] = NOT_SAMPLED
    contexts: Reading[tuple[ContextReading, ...]] = NOT_SAMPLED
    gpu_utilization: Reading[int] = NOT_SAMPLED
    temperature_celsius: Reading[int] = NOT_SAMPLED
    power_milliwatts: Reading[int] = NOT_SAMPLED
    power_limit_milliwatts: Reading[int] = NOT_SAMPLED
    compute_mode: Reading[int] = NOT_SAMPLED
    persistence: Reading[bool] = NOT_SAMPLED
    recovery: Reading[Recovery] = NOT_SAMPLED
    unmonitored: str = ""


@dataclass(frozen=True, slots=True)
class DriverVersions:
    """Versions of what answers below us.

    Attributes:
        driver: Of the kernel driver, such as `570.124.06`.
        nvml: Of the library, such as `12.570.124.06`.
        cuda: CUDA version the driver offers, as NVML's integer: 12080 is 12.8.
    """

    driver: Reading[str] = NOT_SAMPLED
    nvml: Reading[str] = NOT_SAMPLED
    cuda: Reading[int] = NOT_SAMPLED


@dataclass(frozen=True, slots=True)
class LostDevice:
    """An index NVML counts but does not give a handle for.

    Attributes:
        index: NVML index.
        uuid: Where an earlier reading of this driver load knew it.
        reason: NVML's error in words.
        needs: What would help it, where NVML says that it is lost or has to be reset; None: it
            does not answer for another reason.
    """

    index: int
    uuid: DeviceUuid | None
    reason: str
    needs: Recovery | None = None


@dataclass(frozen=True, slots=True)
class NodeReading:
    """One pass over NVML.

    Attributes:
        begun_at: Instant before the first call.
        ended_at: Instant after the last call.
        versions: Of driver and library.
        devices: Every device that gave a handle; GPUs before their MIG instances, in index order.
        lost: Devices that gave none.
        simulated: Whether a simulator answered instead of a driver.
        control_nodes: Nodes that every holder of a device needs beside its own.
        governed: Ranges of nodes that nobody may open without a lease: GPUs, MIG capabilities.
        faults: Events since the pass before, in the order in which NVML told them of each GPU.
        topology: How the GPUs that answer are joined, as it was read once.
    """

    begun_at: Instant
    ended_at: Instant
    versions: DriverVersions
    devices: tuple[DeviceReading, ...]
    lost: tuple[LostDevice, ...] = ()
    simulated: bool = False
    control_nodes: tuple[DeviceNode, ...] = ()
    governed: tuple[NodeRange, ...] = ()
    faults: tuple[DeviceFault, ...] = ()
    topology: TopologyReading = UNKNOWN_TOPOLOGY.reading


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """What `/proc` says of a process that holds a device.

    Attributes:
        identity: Pid and start time.
        uid: Real uid.
        name: Short name (comm).
        command: Command line in one string; empty for what has none.
        ancestors: The process's parents, nearest first.
        cgroup: Its cgroup2 path relative to the root; empty where the host has none.
        claims_lease: `GPUSCHED_LEASE` of its environment: a hint of the process itself, to be
            believed only together with the uid.
        user: Name of the uid, for display; empty where it has none.
    """

    identity: ProcessId
    uid: int
    name: str
    command: str
    ancestors: tuple[ProcessId, ...] = ()
    claims_lease: LeaseId | None = None
    cgroup: str = ""
    user: str = ""


@dataclass(frozen=True, slots=True)
class OpenNode:
    """A character device that a process has open.

    Attributes:
        process: Who.
        path: As `/proc/<pid>/fd` names it.
        major: Major number.
        minor: Minor number.
    """

    process: ProcessId
    path: str
    major: int
    minor: int


NO_PROCESSES: Mapping[int, ProcessFacts] = MappingProxyType({})
NO_MEMBERS: Mapping[LeaseId, frozenset[ProcessId]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class NodeSample:
    """What a tick decides on.

    Attributes:
        begun_at: Instant before anything was read.
        reading: NVML's part, or why there is none.
        processes: By pid, for every pid in the reading that `/proc` still knows.
        members: Of each watched lease, the processes of it that live; a lease that is missing
            here was not looked at.
    """

    begun_at: Instant
    reading: Reading[NodeReading]
    processes: Mapping[int, ProcessFacts] = field(default_factory=lambda: NO_PROCESSES)
    members: Mapping[LeaseId, frozenset[ProcessId]] = field(default_factory=lambda: NO_MEMBERS)

    def device(self, uuid: DeviceUuid) -> Reading[DeviceReading]:
        """Give the reading of one device, or why there is none."""
        if isinstance(self.reading, Unavailable):
            return self.reading
        for one in self.reading.devices:
            if one.device.uuid == uuid:
                return one
        for lost in self.reading.lost:
            if lost.uuid == uuid:
                return Unavailable(lost.reason)
        return Unavailable("the device is not there")


def advice_in(reading: NodeReading) -> dict[DeviceUuid, Recovery]:
    """Give what would help each GPU whose driver said it."""
    return {
        one.device.uuid: one.recovery
        for one in reading.devices
        if not isinstance(one.recovery, Unavailable)
    }


NOTHING_GOVERNED = Governed()


def governed_by(reading: Reading[NodeReading], before: Governed = NOTHING_GOVERNED) -> Governed:
    """Give what masks are about, as the driver has it in *reading*; else what it was *before*."""
    if isinstance(reading, Unavailable):
        return before
    return Governed(reading.governed, reading.control_nodes)


def topology_by(reading: Reading[NodeReading], before: Topology = UNKNOWN_TOPOLOGY) -> Topology:
    """Give how the GPUs in *reading* are joined; without one it is as it was *before*."""
    return before if isinstance(reading, Unavailable) else topology_of(reading.topology, before)
