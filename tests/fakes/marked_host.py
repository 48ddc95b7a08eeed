"""A host whose devices report faults, are lost and are marked."""

from collections.abc import Iterable
from dataclasses import replace

from gpusched.core.changes import NoticeGiven
from gpusched.core.decision import Decision
from gpusched.core.device import Device
from gpusched.core.events import Ticked
from gpusched.core.fault import DeviceFault, FaultKind, Recovery
from gpusched.core.ids import DeviceUuid
from gpusched.core.notice import Notice
from gpusched.core.sample import LostDevice, NodeReading, Reading
from tests.fakes.builders import reading, sample
from tests.fakes.host import Host


def xid(one: Device, number: int) -> DeviceFault:
    """An XID of a GPU."""
    return DeviceFault(one.uuid, FaultKind.XID, number)


def lost(one: Device, needs: Recovery | None = Recovery.REBOOT) -> LostDevice:
    """A GPU of which NVML says that it is lost."""
    return LostDevice(one.index, one.uuid, "GPU is lost", needs)


def notices(decision: Decision) -> list[Notice]:
    """The notices of a decision."""
    return [one.notice for one in decision.changes if isinstance(one, NoticeGiven)]


class MarkedHost(Host):
    """Ticks with what NVML reports of health."""

    def look(
        self,
        *faults: DeviceFault,
        gone: Iterable[LostDevice] = (),
        without: Iterable[Device] = (),
        advice: Reading[Recovery] = Recovery.NONE,
    ) -> Decision:
        """Take a sample: *faults* were reported, *gone* are lost, *without* are not counted.

        What the driver advises is the same for every GPU that answers.
        """
        losses = tuple(gone)
        absent = {one.uuid for one in losses} | {one.uuid for one in without}
        there = [
            replace(reading(one), recovery=advice)
            for one in self.devices
            if one.uuid not in absent
        ]
        taken = sample(*there, at=self.now, lost=losses)
        assert isinstance(taken.reading, NodeReading)
        return self.do(Ticked(replace(taken, reading=replace(taken.reading, faults=faults))))

    def taints(self, device: DeviceUuid) -> list[str]:
        """The keys of a device's taints."""
        return [one.key for one in self.ledger.marks_of(device).taints]
