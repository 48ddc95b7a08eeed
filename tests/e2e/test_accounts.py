"""Accounts with real processes: the bytes of a device add up at every look."""

from gpusched.client.document import Document
from tests.e2e.host import GIB, MIB, Host, first_line
from tools.stage import GPUSCHED, end

_OVERLAP = """
[[device]]
index = 0
overlap = "1GiB"
[[process]]
pid = 4000001
device = 0
memory = "2GiB"
"""
_SHARED = """
[[device]]
profile = "A100-40GB"
mig = [{ gi = "3g.20gb", ci = ["1c", "2c"] }, "2g.10gb"]
[[process]]
pid = 4000001
gi = 1
ci = 0
memory = "1GiB"
[[process]]
pid = 4000002
gi = 1
ci = 1
memory = "2GiB"
"""
_PARTS = ("leases", "strays", "infrastructure", "ghost", "unattributed")
_CONTROL = """
[[device]]
index = 0
ghost = "700MiB"
[[process]]
pid = 4000001
device = 0
memory = "25MiB"
name = "/usr/bin/nvidia-cuda-mps-server"
"""


def _bytes(message: Document, name: str) -> int:
    """A size that must have been read."""
    size = message.measured(name)
    assert size is not None, message.fields
    return size


def _balances(device: Document) -> dict[str, int]:
    """The account of a device, which must balance to the byte."""
    memory, account = device.part("memory"), device.part("account")
    total, used = _bytes(memory, "total"), _bytes(memory, "used")
    assert total == used + _bytes(memory, "driver_reserved") + _bytes(memory, "free")
    parts = {name: _bytes(account, name) for name in _PARTS}
    assert used == sum(parts.values()) - _bytes(account, "overlap")
    return parts


def test_the_account_balances_while_workers_grow(host: Host) -> None:
    """Two leases, a stray, a process nobody knows and memory of no process share a device: at
    every look the parts make up what is used, to the byte, and each has its own.
    """
    share = ("--device", "0", "--memory", "20GiB")
    steady = host.worker("2GiB", *share)
    grow = (str(GPUSCHED), "simulated-worker", "--memory", "1GiB", "--grow", "64MiB/0.2")
    growing = host.start(str(GPUSCHED), "run", *share, "--", *grow)
    assert first_line(growing)
    stray = host.stray("3GiB", 0)
    host.control(_CONTROL)
    host.until(lambda: _balances(host.devices()[0])["unattributed"] == 700 * MIB)
    seen = set()
    for _ in range(30):
        parts = _balances(host.devices()[0])
        assert parts["strays"] == 3 * GIB + 25 * MIB
        assert parts["unattributed"] == 700 * MIB
        seen.add(parts["leases"])
    assert len(seen) > 1
    screen = host.gpusched("status").stdout
    assert " + strays 3072MiB + unknown processes 25MiB + unattributed 700MiB" in screen
    host.control("")
    for worker in (steady, growing, stray):
        assert end(worker) == 0
    host.until(lambda: not any(_balances(host.devices()[0]).values()))


def test_overlap_is_told(host: Host) -> None:
    """Buffers that the driver counts twice are overlap, and nobody's memory is less than 0."""
    worker = host.worker("4GiB", "--device", "0", "--memory", "8GiB")
    host.control(_OVERLAP)
    host.until(lambda: host.devices()[0].part("account").measured("overlap") == GIB)
    assert _balances(host.devices()[0])["leases"] == 4 * GIB
    host.control("")
    assert end(worker) == 0


def test_compute_instances_share_an_account() -> None:
    """Two compute instances of one GPU instance show the account of the memory they share, and a
    process of one of them is not taken for memory of nobody on the other.
    """
    with Host("shared.toml") as host:
        path = host.folder / "shared.toml"
        path.write_text(_SHARED)
        host._serve[host._serve.index("shared.toml")] = str(path)
        host.start_daemon()
        instances = [one for one in host.devices() if "mig" in one]
        accounts = [_balances(one) for one in instances]
    assert [one["strays"] for one in accounts] == [3 * GIB, 3 * GIB, 0]
    assert [one["unattributed"] for one in accounts] == [0, 0, 0]
