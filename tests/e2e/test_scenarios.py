"""Hosts that are not as simple as eight equal cards: MIG, other minors, strays, missing values."""

from collections.abc import Iterator

import pytest

from gpusched.client.document import Document
from tests.e2e.host import GIB, HELD, Host, environment_of, lease_of

_SCENARIO = """
minors = [5, 3, 4, 1, 2]

[[device]]
profile = "A100-40GB"
mig = ["3g.20gb", "2g.10gb", "2g.10gb"]

[[device]]
profile = "L4"
count = 3

[[device]]
profile = "L4"
[device.faults]
no_permission = true

[[process]]
pid = 4194303
type = "C+G"
device = 1
memory = "3GiB"
name = "/usr/bin/trainer"

[[process]]
pid = 4194302
device = 2
memory = "N/A"
name = "/usr/bin/wsl"
"""


@pytest.fixture(scope="module")
def scenario_host() -> Iterator[Host]:
    with Host("scenario.toml") as host:
        path = host.folder / "scenario.toml"
        path.write_text(_SCENARIO)
        host._serve[host._serve.index("scenario.toml")] = str(path)
        host.start_daemon()
        yield host


@pytest.fixture
def host(scenario_host: Host) -> Iterator[Host]:
    yield scenario_host
    scenario_host.sweep()


def _whole(host: Host) -> dict[int, Document]:
    return {one.number("index"): one for one in host.devices() if "mig" not in one}


def test_a_grant_goes_by_minor_where_nodes_do(host: Host) -> None:
    """Index and minor differ: the node of a grant is that of the minor."""
    grant = host.told("allocate", "--device", "3")
    (device,) = grant.parts("devices")
    assert (device.number("index"), device.number("minor")) == (3, 1)
    assert [one.text("path").rpartition("/")[2] for one in device.parts("nodes")] == ["nvidia1"]
    shown = grant.words("environment")["CUDA_VISIBLE_DEVICES"]
    assert shown == (device.text("uuid") if HELD else "3")


def test_a_mig_instance_is_leased_and_used(host: Host) -> None:
    """A worker on an instance is shown with GI and CI, and its mask is the full MIG UUID."""
    worker = host.worker("4GiB", "--mig", "2g.10gb")
    mask = environment_of(worker.pid)["CUDA_VISIBLE_DEVICES"]
    (leased,) = host.leases()[lease_of(worker.pid)].parts("devices")
    assert mask == leased.text("uuid")
    assert mask.startswith("MIG-")
    host.until(lambda: worker.pid in host.processes())
    row = host.processes()[worker.pid]
    assert row.text("device_uuid") == mask
    assert (row.number("gpu_index"), row.measured("memory")) == (0, 4 * GIB)
    assert (row.number("gpu_instance") > 0, row.optional("compute_instance")) == (True, 0)


def test_a_partitioned_gpu_is_not_leased_whole(host: Host) -> None:
    """While MIG is on only the instances are handed out."""
    assert "Traceback" not in host.refused(78, "run", "--device", "0", "--", "true")
    host.allocate("--gpus", "2", "--mig", "2g.10gb")
    host.refused(75, "run", "--mig", "2g.10gb", "--", "true")
    host.refused(78, "run", "--gpus", "3", "--mig", "2g.10gb", "--", "true")


def test_a_stray_hinders_exclusive_grants(host: Host) -> None:
    """A device on which a process without a lease was seen is not granted exclusively."""
    said = host.refused(75, "run", "--device", "1", "--", "true")
    assert "4194303" in said
    row = host.processes()[4194303]
    assert (row.text("type"), row.measured("memory")) == ("C+G", 3 * GIB)
    assert row.part("name").text("value") == "/usr/bin/trainer"


def test_a_stray_reduces_what_can_be_shared(host: Host) -> None:
    """Memory is shared only within what the last reading says is free."""
    grantable = [_whole(host)[index].measured("grantable") or 0 for index in (1, 3)]
    assert grantable[0] == grantable[1] - 3 * GIB
    host.refused(75, "run", "--device", "1", "--memory", "20GiB", "--", "true")
    host.allocate("--device", "1", "--memory", "18GiB")


def test_unknown_memory_is_not_zero(host: Host) -> None:
    """A process whose memory is N/A keeps its row, and says N/A."""
    row = host.processes()[4194302]
    assert row.measured("memory") is None
    assert row.part("memory").text("unavailable")
    screen = host.gpusched("status").stdout
    (line,) = (one for one in screen.splitlines() if " 4194302 " in one)
    assert " N/A " in line.partition("/usr/bin/wsl")[2]


def test_a_list_that_is_not_readable_is_not_empty(host: Host) -> None:
    """Without the permission to list processes the status says so, and nobody gets the device."""
    status = host.told("status")
    assert [one.number("gpu_index") for one in status.parts("unreadable")] == [4]
    screen = host.gpusched("status").stdout
    assert "process list of GPU 4 not readable: " in screen
    assert "No running processes found" not in screen
    host.refused(75, "run", "--device", "4", "--", "true")


def test_a_real_stray_is_seen_and_named(host: Host) -> None:
    """A worker that asked nobody is a stray, with its real pid and user."""
    stray = host.stray("2GiB", 3)
    host.until(lambda: stray.pid in host.processes())
    row = host.processes()[stray.pid]
    assert (row.text("kind"), row.text("user")) == ("PROCESS_KIND_STRAY", "root")
    assert "strays" in next(
        line for line in host.gpusched("status").stdout.splitlines() if line.startswith("  3 ")
    )
    host.refused(75, "run", "--device", "3", "--", "true")
    stray.kill()
    host.until(lambda: host.gpusched("run", "--device", "3", "--", "true").returncode == 0)
