"""Devices and a library that fail in a running daemon: what works goes on, what fails is said."""

import time
from collections.abc import Iterator

import pytest

import gpusched
from gpusched.client.document import Document
from tests.e2e.host import GIB, Host, children_of, command_of, kill, lease_of

_LOST = "[[device]]\nindex = 1\nfaults = { lost = true }\n"
_HANGING = '[[device]]\nindex = 1\nfaults = { hang = "forever" }\n'
# A busy machine is not a driver that hangs.
_CONFIG = '[sampling]\ninterval = "100ms"\ndeadline = "2s"\nmax_age = "4s"\n'


@pytest.fixture(scope="module")
def faulty_host() -> Iterator[Host]:
    with Host("3xL4") as host:
        host.config.write_text(_CONFIG)
        host.start_daemon()
        yield host


@pytest.fixture
def host(faulty_host: Host) -> Iterator[Host]:
    yield faulty_host
    faulty_host.control("")
    faulty_host.until(lambda: _healths(faulty_host) == ["HEALTHY"] * 3, seconds=60)
    faulty_host.sweep()


def _healths(host: Host) -> list[str]:
    return [one.text("health").removeprefix("HEALTH_") for one in _by_bus(host)]


def _by_bus(host: Host) -> list[Document]:
    return sorted(host.devices(), key=lambda one: one.text("pci_bus_id"))


def test_a_lost_gpu_does_not_hide_the_others(host: Host) -> None:
    """The others are read and granted, nothing is scheduled on the lost one, and it comes back."""
    worker = host.worker("1GiB", "--device", "1")
    lease = lease_of(worker.pid)
    host.control(_LOST)
    host.until(lambda: _healths(host) == ["HEALTHY", "LOST", "HEALTHY"])
    (held,) = host.leases()[lease].parts("devices")
    assert held.flag("lost")
    uuids = [one.text("uuid") for one in _by_bus(host)]
    taken = host.told("allocate", "--gpus", "2").part("lease").parts("devices")
    assert [one.text("uuid") for one in taken] == [uuids[0], uuids[2]]
    assert uuids[1] in host.gpusched("status").stdout
    host.control("")
    host.until(lambda: _healths(host) == ["HEALTHY"] * 3)
    assert lease in host.leases()
    kinds = [one.text("kind") for one in host.told("events").parts("events")]
    assert "device_appeared" in kinds[kinds.index("device_lost") :]


def test_a_lost_gpu_is_not_granted(host: Host) -> None:
    """A free device that is lost serves nobody until it is back."""
    host.control(_LOST)
    host.until(lambda: "LOST" in _healths(host))
    host.refused(75, "run", "--gpus", "3", "--", "true")
    host.control("")
    host.until(lambda: host.gpusched("run", "--gpus", "3", "--", "true").returncode == 0)


def test_a_hanging_call_holds_nobody_up(host: Host) -> None:
    """The status answers at once and says why nothing is read; the library's process is killed."""
    worker = host.worker("1GiB", "--device", "0")
    lease = lease_of(worker.pid)
    before = children_of(host.pid)
    host.control(_HANGING)
    host.until(lambda: "UNREAD" in _healths(host))
    with gpusched.Client(str(host.socket)) as client:
        assert sorted(_seconds_of_status(client) for _ in range(5))[2] < 0.5
    driver = host.told("status").part("driver")
    assert driver.text("state") == "DRIVER_STATE_NOT_ANSWERING"
    assert "NVML" in driver.text("sentence")
    assert lease in host.leases()
    host.refused(75, "run", "--device", "2", "--", "true")
    host.control("")
    host.until(lambda: _healths(host) == ["HEALTHY"] * 3, seconds=60)
    assert children_of(host.pid) != before
    assert host.gpusched("run", "--device", "2", "--", "true").returncode == 0
    assert host.processes()[worker.pid].text("lease_id") == lease


def _seconds_of_status(client: gpusched.Client) -> float:
    begun = time.perf_counter()
    client.status()
    return time.perf_counter() - begun


def test_a_killed_library_process_is_started_again(host: Host) -> None:
    """The next samples are there again, and no lease was touched."""
    lease = host.allocate()
    (child,) = _libraries(host)
    kill(child)
    host.until(lambda: _libraries(host) not in ([], [child]))
    host.until(lambda: _healths(host) == ["HEALTHY"] * 3)
    assert lease in host.leases()


def _libraries(host: Host) -> list[int]:
    """The pids of those of the daemon's children that read devices."""
    return [pid for pid in children_of(host.pid) if "gpusched.adapters.nvml" in command_of(pid)]


def test_the_control_file_holds_at_once(host: Host) -> None:
    """Ghost memory that appears while the daemon runs reduces what can be granted."""
    host.control('[[device]]\nindex = 2\nghost = "20GiB"\n')
    host.until(lambda: (_by_bus(host)[2].part("memory").measured("used") or 0) >= 20 * GIB)
    host.refused(75, "run", "--device", "2", "--memory", "8GiB", "--", "true")


def test_a_wrong_control_file_changes_nothing(host: Host) -> None:
    """What is wrong stands beside it, and the simulator goes on as it was."""
    host.control("[[device]]\nindex = 99\n")
    fault = host.state / "simulator" / "control.fault"
    host.until(fault.exists)
    assert "must name a device, from 0 to 2" in fault.read_text()
    assert _healths(host) == ["HEALTHY"] * 3
