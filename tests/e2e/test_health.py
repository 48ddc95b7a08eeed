"""Faults in a running daemon with real workers: what is marked, what ends, what is not touched."""

from collections.abc import Iterator

import pytest

from gpusched.client.document import Document
from tests.e2e.host import Host, lease_of

_CONFIG = """
[sampling]
interval = "100ms"
[leases]
grace = "1s"
[health]
soft_time = "2s"
fatal_xids = [94]
"""
_REPORT = "[[device]]\nindex = {index}\nevents = [{events}]\n{rest}\n"


class Reports:
    """What the cards have reported so far: a sequence grows, so that each happens once."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.count = 0

    def report(self, index: int, *events: str, rest: str = "") -> None:
        """Let a card report events, and be as *rest* says from now on."""
        told = []
        for event in events:
            self.count += 1
            told.append(f"{{ sequence = {self.count}, {event} }}")
        text = _REPORT.format(index=index, events=", ".join(told), rest=rest)
        self.host.control(text)

    def device(self, index: int) -> Document:
        """The card at a place of the bus, also while it is lost."""
        return sorted(self.host.devices(), key=lambda one: one.text("pci_bus_id"))[index]

    def taints(self, index: int) -> list[str]:
        """The keys of a card's taints."""
        return [one.text("key") for one in self.device(index).parts("taints")]

    def told(self, kind: str, device: str) -> list[str]:
        """The sentences of one kind about a device."""
        events = self.host.told("events").parts("events")
        return [
            one.text("sentence")
            for one in events
            if (one.text("kind"), one.text("id")) == (kind, device)
        ]


@pytest.fixture(scope="module")
def shared() -> Iterator[Reports]:
    with Host("3xL4") as host:
        host.config.write_text(_CONFIG)
        host.start_daemon()
        yield Reports(host)


@pytest.fixture
def cards(shared: Reports) -> Iterator[Reports]:
    yield shared
    host = shared.host
    host.control("")
    host.until(lambda: [one.text("health") for one in host.devices()].count("HEALTH_LOST") == 0)
    for device in host.devices():
        host.gpusched("uncordon", device.text("uuid"))
    host.sweep()


def test_a_fault_of_a_program_marks_nothing(cards: Reports) -> None:
    """It is told, the card stays healthy and is granted."""
    uuid = cards.device(0).text("uuid")
    cards.report(0, "xid = 31")
    cards.host.until(lambda: cards.told("fault", uuid))
    assert cards.taints(0) == []
    assert cards.device(0).text("health") == "HEALTH_HEALTHY"
    assert cards.host.gpusched("run", "--device", "0", "--", "true").returncode == 0


def test_a_soft_fault_goes_by_time(cards: Reports) -> None:
    """It keeps new leases away for a while, and the card is granted again by itself."""
    cards.report(0, "xid = 63")
    cards.host.until(lambda: cards.taints(0) == ["xid-63"])
    cards.host.until(lambda: cards.taints(0) == [])
    assert cards.host.gpusched("run", "--device", "0", "--", "true").returncode == 0


def test_a_hard_fault_keeps_new_leases_away(cards: Reports) -> None:
    """The lease there goes on, every screen says why, and the operator takes the mark off."""
    host = cards.host
    worker = host.worker("1GiB", "--device", "1", "--memory", "2GiB")
    cards.report(1, "xid = 48", "kind = 'ecc_double'", "xid = 94")
    host.until(lambda: cards.taints(1) == ["xid-48", "ecc-double-bit", "xid-94"])
    assert cards.device(1).text("health") == "HEALTH_UNHEALTHY"
    assert "XID 48: double-bit ECC error" in host.gpusched("status").stdout
    said = host.refused(75, "run", "--device", "1", "--memory", "1GiB", "--", "true")
    assert "what helps: reset the GPU" in said
    assert "XID 48" in host.gpusched("explain", "--device", "1").stdout
    assert lease_of(worker.pid) in host.leases()
    assert worker.poll() is None
    assert host.gpusched("uncordon", "1").returncode == 0
    assert host.gpusched("run", "--device", "1", "--memory", "1GiB", "--", "true").returncode == 0


def test_a_gpu_is_lost_and_recovers_while_leases_run(cards: Reports) -> None:
    """No lease ends, the others are granted, and with its return every mark of it is gone."""
    host = cards.host
    worker, other = host.worker("1GiB", "--device", "1"), host.worker("1GiB", "--device", "0")
    uuid = cards.device(1).text("uuid")
    cards.report(1, "xid = 79", rest="faults = { lost = true }")
    host.until(lambda: sorted(cards.taints(1)) == ["lost", "xid-79"])
    assert cards.device(1).text("health") == "HEALTH_LOST"
    assert {lease_of(worker.pid), lease_of(other.pid)} <= set(host.leases())
    assert host.gpusched("run", "--device", "2", "--", "true").returncode == 0
    assert host.gpusched("cordon", uuid, "--reason", "look at it").returncode == 0
    assert host.gpusched("uncordon", uuid).returncode == 0
    host.control("")
    host.until(lambda: cards.device(1).text("health") == "HEALTH_HEALTHY")
    assert cards.taints(1) == []
    assert {lease_of(worker.pid), lease_of(other.pid)} <= set(host.leases())
    host.until(lambda: worker.pid in host.processes())
    assert host.processes()[worker.pid].text("lease_id") == lease_of(worker.pid)


def test_a_fault_is_over_when_the_driver_asks_for_nothing_more(cards: Reports) -> None:
    """Its advice is a mark, and with the advice the fault that led to it is over."""
    host = cards.host
    cards.report(2, "xid = 95", "kind = 'recovery'", rest='recovery = "gpu_reset"')
    host.until(lambda: sorted(cards.taints(2)) == ["recovery-action", "xid-95"])
    host.control("")
    host.until(lambda: cards.taints(2) == [])


def test_evict_ends_the_leases_of_a_card_that_fails() -> None:
    """After the notice and the grace its lease ends, with the reason; its neighbour's does not."""
    with Host("2xL4") as host:
        host.config.write_text(_CONFIG + 'hard = "evict"\n')
        host.start_daemon()
        cards = Reports(host)
        worker, other = host.worker("1GiB", "--device", "0"), host.worker("1GiB", "--device", "1")
        lease = lease_of(worker.pid)
        cards.report(0, "xid = 62")
        host.until(lambda: host.ended(lease) == "END_REASON_DEVICE_FAILED")
        assert worker.wait(10) == 0  # it ends in order at SIGTERM
        assert other.poll() is None
        assert lease_of(other.pid) in host.leases()
        story = [
            one.text("sentence")
            for one in host.told("events").parts("events")
            if one.text("id") == lease
        ]
        assert any("its device failed: XID 62" in one for one in story)


def test_a_card_that_reports_nothing_is_unmonitored() -> None:
    """It is said, and the card is read, granted and found lost all the same."""
    with Host("card.toml") as host:
        path = host.folder / "card.toml"
        path.write_text(
            '[[device]]\nprofile = "L4"\nfaults = { errors = { nvmlDeviceRegisterEvents = 3 } }\n'
            '[[device]]\nprofile = "L4"\n'
        )
        host._serve[host._serve.index("card.toml")] = str(path)
        host.start_daemon()
        assert [one.flag("unmonitored") for one in host.devices()] == [True, False]
        assert host.gpusched("run", "--gpus", "2", "--", "true").returncode == 0
        host.control("[[device]]\nindex = 0\nfaults = { lost = true }\n")
        host.until(lambda: "HEALTH_LOST" in [one.text("health") for one in host.devices()])
