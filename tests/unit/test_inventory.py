"""The inventory as ticks change it: what appears, is lost, comes back, or was removed."""

from dataclasses import replace

from gpusched.core.changes import InventoryChanged, StoryKind, StoryTold
from gpusched.core.decision import Decision
from gpusched.core.device import Device
from gpusched.core.events import Ticked
from gpusched.core.fault import Recovery
from gpusched.core.ids import DeviceUuid
from gpusched.core.request import Request
from gpusched.core.sample import LostDevice, NodeSample
from tests.fakes.builders import UNREADABLE, A, device, mig, reading, sample
from tests.fakes.host import Host

GPU, OTHER = device(0), device(1)
PARENT = replace(device(0), mig_enabled=True)
LOST = LostDevice(1, OTHER.uuid, "GPU is lost")


def told(decision: Decision) -> list[tuple[StoryKind, str, str]]:
    """The story lines of a decision: kind, device, sentence."""
    lines = (one.line for one in decision.changes if isinstance(one, StoryTold))
    return [(one.kind, one.entity, one.sentence) for one in lines]


def changed(decision: Decision) -> bool:
    """Whether the inventory changed."""
    return any(isinstance(one, InventoryChanged) for one in decision.changes)


def see(host: Host, *devices: Device, lost: tuple[LostDevice, ...] = ()) -> Decision:
    """A tick that reads these devices and no others."""
    host.devices = devices
    return host.tick(lost=lost)


def test_the_first_sample_is_no_news() -> None:
    """Everything is found at the first sample; the history does not list it."""
    host = Host()
    decision = host.do(Ticked(sample(reading(OTHER), reading(GPU))))
    assert changed(decision)
    assert told(decision) == []
    assert list(host.ledger.devices) == [GPU.uuid, OTHER.uuid]


def test_an_inventory_that_stays_is_no_change() -> None:
    """A tick that finds what was there changes no inventory and no generation."""
    host = Host(GPU, OTHER)
    before = host.ledger.generation
    assert not changed(see(host, OTHER, GPU))
    assert host.ledger.generation == before


def test_a_device_that_appears_is_told() -> None:
    """A device that was plugged in joins the inventory and the history."""
    host = Host(GPU)
    assert told(see(host, GPU, OTHER)) == [
        (StoryKind.DEVICE_APPEARED, OTHER.uuid, "answers"),
    ]
    assert list(host.ledger.devices) == [GPU.uuid, OTHER.uuid]


def test_a_device_that_changes_is_kept_as_it_is_now() -> None:
    """A device whose attributes changed stays the same device, and is no news."""
    host = Host(GPU)
    changed_one = replace(GPU, index=5)
    decision = see(host, changed_one)
    assert changed(decision)
    assert told(decision) == []
    assert host.ledger.devices == {GPU.uuid: changed_one}


def test_a_lost_device_stays_in_the_inventory() -> None:
    """A lost device does not hide the others, is told once, and keeps NVML's reason."""
    host = Host(GPU, OTHER)
    assert told(see(host, GPU, lost=(LOST,))) == [
        (StoryKind.DEVICE_LOST, OTHER.uuid, "lost: GPU is lost"),
    ]
    assert host.ledger.lost == {OTHER.uuid: "GPU is lost"}
    assert list(host.ledger.devices) == [GPU.uuid, OTHER.uuid]
    assert told(see(host, GPU, lost=(LOST,))) == []


def test_a_new_reason_for_a_loss_is_taken_over_untold() -> None:
    """A lost device may be lost for another reason at the next tick; it is lost only once."""
    host = Host(GPU, OTHER)
    see(host, GPU, lost=(replace(LOST, needs=Recovery.REBOOT),))
    decision = see(host, GPU)
    assert changed(decision)
    assert told(decision) == []
    assert host.ledger.lost == {OTHER.uuid: "it is not there any more"}


def test_a_lost_index_without_a_known_device_is_nobody() -> None:
    """A lost device that nobody ever knew by UUID is not in the inventory."""
    host = Host(GPU)
    assert not changed(see(host, GPU, lost=(LostDevice(1, None, "GPU is lost"),)))
    stranger = LostDevice(1, DeviceUuid("GPU-x"), "GPU is lost")
    assert not changed(see(host, GPU, lost=(stranger,)))


def test_a_device_that_comes_back_is_told() -> None:
    """A lost device that answers again serves again."""
    host = Host(GPU, OTHER)
    see(host, GPU, lost=(LOST,))
    assert told(see(host, GPU, OTHER)) == [(StoryKind.DEVICE_APPEARED, OTHER.uuid, "answers")]
    assert host.ledger.lost == {}


def test_a_device_that_vanishes_keeps_its_lease() -> None:
    """A lease is kept though its device is absent, and its device is lost."""
    host = Host(GPU, OTHER)
    lease = host.grant(Request(A, devices=(OTHER.uuid,)))
    see(host, GPU)
    assert host.ledger.lost == {OTHER.uuid: "it is not there any more"}
    assert host.lease(lease.id).live


def test_an_instance_removed_by_hand_is_gone() -> None:
    """A MIG instance that vanished from a GPU that answers was removed, not lost."""
    host = Host(PARENT, mig(PARENT, 1), mig(PARENT, 2))
    decision = see(host, PARENT, mig(PARENT, 2))
    assert list(host.ledger.devices) == [PARENT.uuid, mig(PARENT, 2).uuid]
    assert host.ledger.lost == {}
    assert told(decision) == []


def test_a_leased_instance_that_vanished_is_lost() -> None:
    """A MIG instance that is leased is kept as lost, even when its GPU answers."""
    host = Host(PARENT, mig(PARENT, 1))
    lease = host.grant(Request(A, mig_profile="4g.40gb"))
    see(host, PARENT)
    assert list(host.ledger.lost) == [mig(PARENT, 1).uuid]
    host.release(lease)
    see(host, PARENT)
    assert list(host.ledger.devices) == [PARENT.uuid]


def test_a_leased_instance_that_does_not_answer_is_lost_for_that_reason() -> None:
    """NVML does not say which of the instances it is: the reason is that of their GPU's."""
    host = Host(PARENT, mig(PARENT, 1))
    host.grant(Request(A, mig_profile="4g.40gb"))
    see(host, PARENT, lost=(LostDevice(0, None, "MIG device 0: Unknown Error"),))
    assert host.ledger.lost == {mig(PARENT, 1).uuid: "MIG device 0: Unknown Error"}


def test_instances_are_lost_with_their_gpu() -> None:
    """When a partitioned GPU is lost, so are its instances."""
    host = Host(PARENT, mig(PARENT, 1), OTHER)
    see(host, OTHER, lost=(LostDevice(0, PARENT.uuid, "GPU is lost"),))
    assert host.ledger.lost == {
        PARENT.uuid: "GPU is lost",
        mig(PARENT, 1).uuid: "it is not there any more",
    }


def test_a_silent_nvml_leaves_the_inventory_alone() -> None:
    """When NVML did not answer, every device stays, and none is lost for it."""
    host = Host(GPU, OTHER)
    decision = host.do(Ticked(NodeSample(host.now.instant, UNREADABLE)))
    assert not changed(decision)
    assert list(host.ledger.devices) == [GPU.uuid, OTHER.uuid]
    assert host.ledger.lost == {}
