"""Which GPU it is that does not answer and has no name: told by its place, or not at all."""

from dataclasses import replace

from gpusched.core.device import Device
from gpusched.core.fault import Recovery
from gpusched.core.missing import recognized
from gpusched.core.operator_events import UncordonRequested
from gpusched.core.sample import LostDevice, NodeReading, NodeSample
from tests.fakes.builders import ROOT, UNREADABLE, device, mig, moment, reading, sample
from tests.fakes.host import sentences
from tests.fakes.marked_host import MarkedHost

GPUS = [device(place) for place in range(4)]
PARENT = replace(GPUS[1], mig_enabled=True)


def nameless(index: int, needs: Recovery | None = Recovery.REBOOT) -> LostDevice:
    """What NVML counts at *index* and has no name for."""
    return LostDevice(index, None, "GPU is lost", needs)


def losses(taken: NodeSample, *known: Device) -> list[tuple[int, str | None]]:
    """Index and name of what is lost, as it is recognised."""
    found = recognized(taken, known).reading
    assert isinstance(found, NodeReading)
    return [(one.index, one.uuid) for one in found.lost]


def test_the_place_on_the_bus_tells() -> None:
    """As many as are missing, each between those that it lies between: they keep all that NVML
    says of them.
    """
    taken = sample(reading(GPUS[1]), reading(GPUS[2]), lost=(nameless(0), nameless(3, None)))
    assert losses(taken, *reversed(GPUS)) == [(0, GPUS[0].uuid), (3, GPUS[3].uuid)]
    found = recognized(taken, GPUS).reading
    assert isinstance(found, NodeReading)
    assert [one.needs for one in found.lost] == [Recovery.REBOOT, None]


def test_the_mig_devices_go_with_it() -> None:
    """What is lost with a partitioned GPU is named behind it, and those of no other."""
    other = mig(GPUS[0])
    taken = sample(reading(GPUS[0]), reading(other), lost=(nameless(1),))
    parts = [mig(PARENT, 1), mig(PARENT, 2)]
    names = [(1, PARENT.uuid), *((1, one.uuid) for one in parts)]
    assert losses(taken, GPUS[0], other, PARENT, *parts) == names


def test_where_it_is_not_sure_nobody_is_named() -> None:
    """More are missing than have no name, or fewer, or at another place."""
    one, two, three, four = GPUS
    for taken in (
        sample(reading(one), reading(two), lost=(nameless(2),)),
        sample(reading(one), reading(two), reading(three), lost=(nameless(3), nameless(4))),
        sample(*(reading(each) for each in (one, two, four)), lost=(nameless(9),)),
    ):
        assert recognized(taken, GPUS) is taken


def test_one_that_has_its_name_is_left_alone() -> None:
    """So is a MIG device without one, whose GPU answers, and what could not be read at all."""
    named = LostDevice(1, GPUS[1].uuid, "GPU is lost")
    part = LostDevice(0, None, "MIG device 0: Unknown Error")
    for lost in ((), (named,), (part,)):
        taken = sample(*(reading(each) for each in GPUS if lost != (named,)), lost=lost)
        assert recognized(taken, GPUS) is taken
    unread = NodeSample(moment().instant, UNREADABLE)
    assert recognized(unread, GPUS) is unread
    both = sample(reading(GPUS[0]), lost=(part, named, nameless(2)))
    names = [(0, None), (1, GPUS[1].uuid), (2, GPUS[2].uuid)]
    assert losses(both, *GPUS[:3]) == names


def test_a_lost_gpu_without_a_name_is_recognised() -> None:
    """A library that was loaded anew cannot name a GPU that does not answer: the one that is
    missing at its place on the bus is marked with it, and recovers as ever.
    """
    gpu, other = GPUS[:2]
    host = MarkedHost(*GPUS[:2])
    nameless = LostDevice(1, None, "GPU is lost", Recovery.REBOOT)
    told = sentences(host.look(without=[other], gone=[nameless]))
    assert told == ["lost: GPU is lost", "tainted lost (no-schedule): GPU is lost"]
    assert (host.taints(gpu.uuid), host.taints(other.uuid)) == ([], ["lost"])
    host.do(UncordonRequested(ROOT, other.uuid))
    host.look(without=[other], gone=[nameless])
    assert host.taints(other.uuid) == []
    assert sentences(host.look()) == ["answers"]
    host.look(without=[other], gone=[replace(nameless, needs=None)])
    assert host.taints(other.uuid) == []
    host.look(without=[other], gone=[nameless])
    assert host.taints(other.uuid) == ["lost"]
