"""What samples show of a host that a file tells of: devices, processes, losses, faults."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from gpusched.core.device import Device
from gpusched.core.fault import DeviceFault, FaultKind, Recovery
from gpusched.core.ids import DeviceUuid, LeaseId, Moment, ProcessId
from gpusched.core.sample import (
    ContextReading,
    DeviceReading,
    LostDevice,
    NodeReading,
    NodeSample,
    ProcessFacts,
    Unavailable,
)
from gpusched.core.sizes import GIB, parse_size
from tests.fakes import builders
from tests.fakes.builders import A100, L4, context, device, facts, mig, reading

MODELS = {
    "A100-80GB": (A100, 80 * GIB),
    "H100-80GB": ("NVIDIA H100 80GB HBM3", 80 * GIB),
    "L4-12GB": (L4, 12 * GIB),
    "L4-24GB": (L4, 24 * GIB),
}
"""Products and their memory in bytes; the round sizes keep the texts readable."""

_WORDS = {"processes", "used", "busy", "lost", "unread", "nothing", "xid"}


def device_of(place: int, name: str) -> tuple[Device, ...]:
    """Give the devices at one place of the bus: `A100-80GB`, or `A100-80GB: 40 40` with MIG
    instances of so many GiB.
    """
    model, _, instances = name.partition(":")
    product, memory = MODELS[model]
    gpu = device(place, product, memory)
    if not instances:
        return (gpu,)
    gpu = replace(gpu, mig_enabled=True)
    sizes = [int(one) * GIB for one in instances.split()]
    return (gpu, *(mig(gpu, number, 0, size) for number, size in enumerate(sizes, 1)))


@dataclass
class Seen:
    """What the next sample shows; each file changes it.

    Attributes:
        devices: All of the host.
        rows: Who is on a device, by its UUID.
        known: What `/proc` says of processes.
        members: The processes of leases.
        used: Bytes in use that belong to no process, by UUID.
        busy: Utilization in percent, by UUID; else 97 where a process is, and 0 elsewhere.
        lost: Devices that do not answer.
        unread: Why the processes of a device cannot be read, by its UUID.
        nothing: Why nothing at all can be read; empty: it can.
        faults: What is reported with the next sample.
    """

    devices: tuple[Device, ...]
    rows: dict[DeviceUuid, tuple[ContextReading, ...]] = field(default_factory=dict)
    known: tuple[ProcessFacts, ...] = ()
    members: dict[LeaseId, frozenset[ProcessId]] = field(default_factory=dict)
    used: dict[DeviceUuid, int] = field(default_factory=dict)
    busy: dict[DeviceUuid, int] = field(default_factory=dict)
    lost: tuple[LostDevice, ...] = ()
    unread: dict[DeviceUuid, str] = field(default_factory=dict)
    nothing: str = ""
    faults: tuple[DeviceFault, ...] = ()

    def sample(self, at: Moment) -> NodeSample:
        """Take a sample."""
        if self.nothing:
            return NodeSample(at.instant, Unavailable(self.nothing), members=self.members)
        gone = {one.uuid for one in self.lost}
        readings = [self._read(one) for one in self.devices if one.uuid not in gone]
        taken = builders.sample(
            *readings, at=at, known=self.known, members=self.members, lost=self.lost
        )
        assert isinstance(taken.reading, NodeReading)
        return replace(taken, reading=replace(taken.reading, faults=self.faults))

    def change(self, said: Mapping[str, object], users: Mapping[str, int]) -> None:
        """Let it show what a file says; what it does not say stays.

        Raises:
            ValueError: A word that no file may say.
        """
        if strange := said.keys() - _WORDS:
            raise ValueError(f"nobody knows how to show {', '.join(sorted(strange))}")
        if "processes" in said:
            self._populate(cast("Sequence[Mapping[str, object]]", said["processes"]), users)
        if "used" in said:
            sizes = cast("Mapping[str, str]", said["used"])
            self.used = {self._uuid(one): parse_size(size) for one, size in sizes.items()}
        if "busy" in said:
            percents = cast("Mapping[str, int]", said["busy"])
            self.busy = {self._uuid(one): percent for one, percent in percents.items()}
        if "lost" in said:
            names = cast("Sequence[str]", said["lost"])
            gone = [one for one in self.devices if str(one.index) in names]
            self.lost = tuple(
                LostDevice(one.index, one.uuid, "GPU is lost", Recovery.REBOOT) for one in gone
            )
        if "unread" in said:
            reasons = cast("Mapping[str, str]", said["unread"])
            self.unread = {self._uuid(one): why for one, why in reasons.items()}
        if "xid" in said:
            numbers = cast("Mapping[str, int]", said["xid"])
            self.faults = tuple(
                DeviceFault(self._uuid(one), FaultKind.XID, xid) for one, xid in numbers.items()
            )
        self.nothing = str(said.get("nothing", self.nothing))

    def _populate(self, rows: Sequence[Mapping[str, object]], users: Mapping[str, int]) -> None:
        """Let these processes be there, and no others."""
        self.rows, known = {}, list[ProcessFacts]()
        for row in rows:
            pid, uuid = int(str(row["pid"])), self._uuid(str(row["on"]))
            memory = context(pid, parse_size(str(row["memory"])))
            self.rows[uuid] = (*self.rows.get(uuid, ()), memory)
            if (user := row.get("user")) is not None:
                one = facts(pid, users[str(user)], name=str(row.get("name", "python")))
                known.append(replace(one, user=str(user)))
        self.known = tuple(known)

    def _read(self, one: Device) -> DeviceReading:
        rows = self.rows.get(one.uuid, ())
        figures = (row.memory for row in rows)
        used = sum(size for size in figures if not isinstance(size, Unavailable))
        found = reading(one, *rows, used=used + self.used.get(one.uuid, 0))
        busy = self.busy.get(one.uuid, 97 if rows else 0)
        found = replace(found, gpu_utilization=busy)
        why = self.unread.get(one.uuid)
        return found if why is None else replace(found, contexts=Unavailable(why))

    def _uuid(self, name: str) -> DeviceUuid:
        """Give the device of an index of a GPU, or of a UUID."""
        (found,) = (
            one.uuid
            for one in self.devices
            if one.uuid == name or (one.mig is None and str(one.index) == name)
        )
        return found
