"""NVML at its worst: each misfortune has a screen and decisions, and none of them ends a lease.

What is not known frees, kills and grants nothing. What one card does, no other pays for.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from gpusched.cli.status_screen import screen
from gpusched.client.document import Document
from gpusched.client.thin import ThinClient
from tests.e2e.host import GIB, Host, children_of, command_of, kill, lease_of

# A busy machine is not a driver that hangs.
_CONFIG = '[sampling]\ninterval = "100ms"\ndeadline = "2s"\nmax_age = "4s"\n'
_CARD = "[[device]]\nindex = 1\n"
_HEALTHY = ("HEALTHY", "HEALTHY", "HEALTHY")
_UNREAD = ("UNREAD", "UNREAD", "UNREAD")
_LISTS = "nvmlDeviceGetComputeRunningProcesses_v3"


@dataclass(frozen=True, slots=True)
class Misfortune:
    """What goes wrong, and what is to be seen of it.

    Attributes:
        control: What the simulator is told; card 1 is the one that fails, where only one does.
        healths: Of the three cards.
        screen: Words that `gpusched status` must have.
        driver: State of the driver.
        whole: Exit codes of asking for card 1, and for card 2, as a whole.
    """

    control: str
    healths: tuple[str, ...]
    screen: str
    driver: str
    whole: tuple[int, int]


MISFORTUNES = {
    "one value": Misfortune(
        _CARD + "faults = { errors = { nvmlDeviceGetTemperature = 999 } }",
        _HEALTHY,
        "nvidia-l4",
        "ANSWERING",
        (0, 0),
    ),
    "the processes of one card": Misfortune(
        _CARD + f"faults = {{ errors = {{ {_LISTS} = 999 }} }}",
        _HEALTHY,
        "process list of GPU 1 not readable: Unknown Error",
        "ANSWERING",
        (75, 0),
    ),
    "no permission": Misfortune(
        _CARD + "faults = { no_permission = true }",
        _HEALTHY,
        "process list of GPU 1 not readable: Insufficient Permissions",
        "ANSWERING",
        (75, 0),
    ),
    "one card": Misfortune(
        _CARD + "faults = { errors = { nvmlDeviceGetUUID = 999 } }",
        ("HEALTHY", "LOST", "HEALTHY"),
        "lost: Unknown Error",
        "ANSWERING",
        (75, 0),
    ),
    "one card needs a reset": Misfortune(
        _CARD + "faults = { reset_required = true }",
        ("HEALTHY", "LOST", "HEALTHY"),
        "lost: GPU requires",
        "ANSWERING",
        (75, 0),
    ),
    "one card vanishes": Misfortune(
        _CARD + "vanished = true",
        ("HEALTHY", "LOST", "HEALTHY"),
        "lost: it is not there any more",
        "ANSWERING",
        (75, 0),
    ),
    "all cards": Misfortune(
        "errors = { nvmlDeviceGetUUID = 999 }",
        _UNREAD,
        "NVML answers: Unknown Error (code 999)",
        "NOT_ANSWERING",
        (75, 75),
    ),
    "one call hangs": Misfortune(
        _CARD + 'faults = { hang = "forever", hang_in = ["nvmlDeviceGetTemperature"] }',
        _UNREAD,
        "NVML did not answer for 2.0 s",
        "NOT_ANSWERING",
        (75, 75),
    ),
    "everything hangs": Misfortune(
        "".join(f'[[device]]\nindex = {n}\nfaults = {{ hang = "forever" }}\n' for n in range(3)),
        _UNREAD,
        "NVML did not answer for 2.0 s",
        "NOT_ANSWERING",
        (75, 75),
    ),
    "the driver is unloaded": Misfortune(
        "errors = { nvmlDeviceGetCount_v2 = 9, nvmlInitWithFlags = 9 }",
        _UNREAD,
        "the NVIDIA kernel driver is not loaded",
        "MISSING",
        (75, 75),
    ),
    "the library fits no more": Misfortune(
        "errors = { nvmlDeviceGetCount_v2 = 18, nvmlInitWithFlags = 18 }",
        _UNREAD,
        "have different versions",
        "MISMATCH",
        (75, 75),
    ),
}


@pytest.fixture(scope="module")
def shared() -> Iterator[Host]:
    with Host("3xL4") as host:
        host.config.write_text(_CONFIG)
        host.start_daemon()
        yield host


@pytest.fixture
def host(shared: Host) -> Iterator[Host]:
    yield shared
    _mend(shared)
    for device in shared.devices():
        shared.gpusched("uncordon", device.text("uuid"))
    shared.sweep()


def _by_bus(host: Host) -> list[Document]:
    return sorted(host.devices(), key=lambda one: one.text("pci_bus_id"))


def _healths(host: Host) -> tuple[str, ...]:
    return _healths_of(_by_bus(host))


def _healths_of(devices: list[Document]) -> tuple[str, ...]:
    return tuple(one.text("health").removeprefix("HEALTH_") for one in devices)


def _is_seen(host: Host, expected: Misfortune) -> bool:
    """Look once: a process that is ended and started again has many things to say in turn."""
    status = ThinClient(str(host.socket)).call("Node/Status")
    healths = _healths_of(sorted(status.parts("devices"), key=lambda one: one.text("pci_bus_id")))
    return (
        healths[1:] in (expected.healths[1:], ("UNHEALTHY", *expected.healths[2:]))
        and expected.screen in "\n".join(screen(status, None))
        and status.part("driver").text("state") == f"DRIVER_STATE_{expected.driver}"
    )


def _mend(host: Host) -> None:
    """Let everything be well; a process that hangs as it starts is given a minute otherwise."""
    host.control("")
    if _healths(host) == _UNREAD:
        for pid in children_of(host.pid):
            if "gpusched.adapters.nvml" in command_of(pid):
                kill(pid)
    host.until(lambda: _healths(host) == _HEALTHY, seconds=90)


@pytest.mark.parametrize("name", MISFORTUNES)
def test_misfortunes(host: Host, name: str) -> None:
    """The screen says what is the matter, and the decisions are those of doubt."""
    expected = MISFORTUNES[name]
    uuids = [one.text("uuid") for one in _by_bus(host)]
    worker = host.worker("1GiB", "--device", "0")
    lease = lease_of(worker.pid)
    host.control(expected.control)
    host.until(lambda: _is_seen(host, expected), seconds=30)
    codes = [host.gpusched("run", "--device", uuid, "--", "true").returncode for uuid in uuids[1:]]
    assert tuple(codes) == expected.whole
    assert lease in host.leases()
    assert worker.poll() is None
    _mend(host)
    host.until(lambda: worker.pid in host.processes())
    assert host.processes()[worker.pid].text("lease_id") == lease


def test_a_lease_that_ends_unseen_is_confirmed_when_it_is_seen(host: Host) -> None:
    """While nothing is read an end waits for a reading, and its device is granted to nobody."""
    worker = host.worker("1GiB", "--device", "0")
    lease = lease_of(worker.pid)
    host.control(MISFORTUNES["all cards"].control)
    host.until(lambda: _healths(host) == _UNREAD)
    worker.kill()
    worker.wait()
    host.until(lambda: host.leases()[lease].text("state") == "LEASE_STATE_RELEASING")
    host.refused(75, "run", "--device", "0", "--", "true")
    _mend(host)
    host.until(lambda: host.ended(lease) == "END_REASON_EMPTY")


def test_the_age_of_a_reading_is_told_while_a_call_hangs(host: Host) -> None:
    """The status answers, with the age of the last reading, which grows until there is another."""
    host.control(MISFORTUNES["everything hangs"].control)
    host.until(lambda: host.told("status").flag("sample_stale"))
    status = host.told("status")
    assert any("The last reading is" in one for one in status.texts("warnings"))
    assert float(status.text("sample_age").removesuffix("s")) > 4
    assert "STALE" in host.gpusched("status").stdout
    _mend(host)
    host.until(lambda: not host.told("status").flag("sample_stale"))


def test_rows_of_another_width_are_read_right() -> None:
    """A driver of 535.43 to 535.86 writes 32 bytes a row: no pid or size of a worker is wrong."""
    with Host("wide.toml") as host:
        path = host.folder / "wide.toml"
        path.write_text(
            'driver = "535.54.03"\nprocess_stride = 32\n[[device]]\nprofile = "L4"\ncount = 2\n'
        )
        host._serve[host._serve.index("wide.toml")] = str(path)
        host.start_daemon()
        wish = ("--device", "0", "--memory", "4GiB")
        workers = [host.worker(f"{size}GiB", *wish) for size in (1, 2, 3)]
        host.until(lambda: {one.pid for one in workers} <= set(host.processes()))
        rows = host.processes()
        assert set(rows) == {one.pid for one in workers}
        sizes = [rows[one.pid].measured("memory") for one in workers]
        assert sizes == [GIB, 2 * GIB, 3 * GIB]
        assert {row.text("kind") for row in rows.values()} == {"PROCESS_KIND_LEASE"}
