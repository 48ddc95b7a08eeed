"""Whose the memory of a device is: infrastructure, nobody known, compute instances; and peaks."""

import subprocess
from collections.abc import Iterator

import pytest

from gpusched.client.document import Document
from tests.e2e.host import GIB, MIB, Host, lease_of
from tests.e2e.opener import cgroup
from tools.stage import end

_PARTS = ("leases", "strays", "infrastructure", "ghost", "unattributed")
_GONE = 4194303
"""A pid that no process has: above what the kernel gives by default."""

_SCENARIO = """
[[device]]
profile = "A100-40GB"

[[device]]
profile = "A100-40GB"
mig = [{ gi = "2g.10gb", ci = ["1c", "1c"] }, "1g.5gb"]
"""


@pytest.fixture
def host() -> Iterator[Host]:
    with Host("scenario.toml") as host:
        path = host.folder / "scenario.toml"
        path.write_text(_SCENARIO)
        host._serve[host._serve.index("scenario.toml")] = str(path)
        host.start_daemon()
        yield host


def figures(device: Document) -> dict[str, int]:
    """The memory of a device and its account; every figure has to be there."""
    told = {}
    for name, part in (("memory", device.part("memory")), ("account", device.part("account"))):
        for key in part.fields:
            if key == "difference_bytes":
                continue
            size = part.measured(key)
            assert size is not None, (name, key, part.fields)
            told[key] = size
    return told


def check_balance(device: Document) -> dict[str, int]:
    """Make sure that a device's account balances to the byte; give its figures."""
    told = figures(device)
    assert told["total"] == told["used"] + told["driver_reserved"] + told["free"]
    assert told["used"] == sum(told[part] for part in _PARTS) - told["overlap"]
    return told


def by_place(host: Host) -> dict[tuple[int, int | None, int | None], Document]:
    """The devices by GPU, GI and CI."""
    found = {}
    for one in host.told("status").parts("devices"):
        mig = one.part("mig")
        gpu = mig.number("parent_index") if "mig" in one else one.number("index")
        place = (gpu, mig.optional("gpu_instance"), mig.optional("compute_instance"))
        found[place] = one
    return found


def server(host: Host) -> subprocess.Popen[str]:
    """A real process that the kernel calls as it calls the MPS server."""
    program = host.folder / "nvidia-cuda-mps-server"
    program.symlink_to("/bin/sleep")
    return host.start(str(program), "600")


def test_each_part_is_whose_it_is(host: Host) -> None:
    """A lease, a stray, the MPS server, a pid that nobody has and managed memory: used is the sum
    of the parts, on the screen by name.
    """
    mps = server(host)
    host.control(
        f"[[device]]\nindex = 0\nghost = '3GiB'\n"
        f"[[process]]\npid = {mps.pid}\nmemory = '30MiB'\n"
        f"[[process]]\npid = {_GONE}\ntype = 'G'\nmemory = '1GiB'\n"
    )
    host.worker("2GiB", "--device", "0", "--memory", "4GiB")
    host.stray("1GiB", 0)
    host.until(lambda: figures(by_place(host)[0, None, None])["strays"] == 2 * GIB)
    told = check_balance(by_place(host)[0, None, None])
    assert {name: told[name] for name in (*_PARTS, "unknown", "overlap")} == {
        "leases": 2 * GIB,
        "strays": 2 * GIB,
        "infrastructure": 30 * MIB,
        "ghost": 0,
        "unattributed": 3 * GIB,
        "unknown": GIB,
        "overlap": 0,
    }
    row = next(
        line for line in host.gpusched("status").stdout.splitlines() if " strays 1024MiB" in line
    )
    assert row.split(maxsplit=3)[3] == (
        "leases 2048MiB + strays 1024MiB + unknown processes 1024MiB + infrastructure 30MiB"
        " + unattributed 3072MiB"
    )
    assert row in host.gpusched("devices").stdout.splitlines()
    counts = host.told("status").part("counts")
    assert (counts.number("strays"), counts.number("unknown_processes")) == (1, 1)


def test_what_is_not_known_is_told(host: Host) -> None:
    """A process without a figure makes its part unknown, not 0, and what follows from it."""
    host.worker("2GiB", "--device", "0", "--memory", "4GiB")
    host.until(lambda: figures(by_place(host)[0, None, None])["leases"] == 2 * GIB)
    host.control(f"[[process]]\npid = {_GONE}\nmemory = 'N/A'\n")

    def unknown() -> bool:
        account = by_place(host)[0, None, None].part("account")
        return account.measured("unattributed") is None

    host.until(unknown)
    account = by_place(host)[0, None, None].part("account")
    assert account.measured("leases") == 2 * GIB
    assert account.part("strays").text("unavailable")
    assert "not known: strays, unknown processes, unattributed: " in host.gpusched("status").stdout


def test_an_old_driver_does_not_tell_what_it_keeps(host: Host) -> None:
    """Without memory information of version 2 what the driver keeps is unavailable, and the rest
    still adds up.
    """
    host.control("[[device]]\nindex = 0\nfaults = { no_memory_v2 = true }\n")

    def old() -> bool:
        memory = by_place(host)[0, None, None].part("memory")
        return memory.measured("driver_reserved") is None

    host.until(old)
    device = by_place(host)[0, None, None]
    memory, account = device.part("memory"), device.part("account")
    used = memory.measured("used") or 0
    assert used > 0
    assert memory.measured("total") == used + (memory.measured("free") or 0)
    assert account.measured("unattributed") == used


def test_compute_instances_of_one_memory_are_counted_once(host: Host) -> None:
    """Two leases on the two compute instances of a GPU instance are both in its one account, which
    each of the instances shows; that of the GPU is the account of all its instances.
    """
    places = by_place(host)
    (left, right), (other,) = (
        [one for (gpu, gi, _), one in sorted(places.items(), key=str) if (gpu, gi) == (1, wanted)]
        for wanted in _instances(places)
    )
    host.worker("2GiB", "--device", left.text("uuid"), "--memory", "3GiB")
    host.worker("3GiB", "--device", right.text("uuid"), "--memory", "4GiB")
    host.worker("1GiB", "--device", other.text("uuid"))
    host.until(lambda: figures_of(host, other)["leases"] == GIB)
    host.until(lambda: figures_of(host, right)["leases"] == 5 * GIB)
    now = by_place(host)
    shared = [check_balance(one) for one in now.values() if one.text("uuid") in _ids(left, right)]
    assert shared[0] == shared[1]
    assert (shared[0]["used"], shared[0]["unattributed"]) == (5 * GIB, 0)
    gpu = check_balance(now[1, None, None])
    assert (gpu["used"], gpu["leases"]) == (6 * GIB, 6 * GIB)
    # What is promised on one is not free on the other.
    assert "has " in host.refused(
        75, "run", "--device", right.text("uuid"), "--memory", "3GiB", "--", "true"
    )


def _instances(places: dict[tuple[int, int | None, int | None], Document]) -> list[int]:
    """The GPU instances, the one with several compute instances first."""
    found = [gi for _, gi, _ in places if gi is not None]
    return sorted(set(found), key=found.count, reverse=True)


def _ids(*devices: Document) -> set[str]:
    return {one.text("uuid") for one in devices}


def figures_of(host: Host, device: Document) -> dict[str, int]:
    found = (one for one in host.devices() if one.text("uuid") == device.text("uuid"))
    return figures(next(found))


def test_a_peak_outlives_the_daemon_and_the_lease(host: Host) -> None:
    """What samples have shown is there after `kill -9` of the daemon, though the worker ended
    while nobody looked; an ended lease says what it held at most and what to ask for.
    """
    worker = host.worker("3900MiB", "--device", "0", "--memory", "12GiB")
    lease = lease_of(worker.pid)
    host.until(lambda: _peak(host.leases()[lease]) == 3900 * MIB)
    host.until(lambda: host.processes()[worker.pid].measured("peak_memory") == 3900 * MIB)
    host.kill_daemon()
    assert end(worker) == 0
    host.start_daemon()
    host.until(lambda: host.ended(lease))
    (over,) = host.told("leases", "--ended").parts("leases")
    assert _peak(over) == over.parts("devices")[0].measured("peak_memory") == 3900 * MIB
    assert over.text("suggestion") == "--memory 5GiB"
    (line,) = host.gpusched("leases", "--ended").stdout.splitlines()[1:]
    assert line.endswith("   peak 3.8 of 12 GiB; ask --memory 5GiB")


def _peak(lease: Document) -> int | None:
    return lease.measured("peak_memory")


def test_an_idle_daemon_does_not_commit_for_its_leases(host: Host) -> None:
    """Samples that show nothing new of a lease change nothing: the generation stands still."""
    worker = host.worker("2GiB", "--device", "0")
    host.until(lambda: _peak(host.leases()[lease_of(worker.pid)]) == 2 * GIB)

    def read(before: Document) -> Document:
        told: list[Document] = []

        def newer() -> bool:
            told[:] = [host.told("status")]
            return told[0].text("sampled_at") != before.text("sampled_at")

        host.until(newer)
        return told[0]

    first = host.told("status")
    last = read(read(read(first)))
    assert last.number("generation") == first.number("generation")


@pytest.mark.root
def test_where_a_process_runs_is_told(host: Host) -> None:
    """The unit and the container of a process are told as its cgroup names them."""
    container = "0123456789abcdef" * 4
    with (
        cgroup() as slice_,
        cgroup("vllm.service", slice_) as unit,
        cgroup(f"docker-{container}.scope", slice_) as scope,
    ):
        strays = [host.stray("1GiB", 0) for _ in range(2)]
        for stray, folder in zip(strays, (unit, scope), strict=True):
            (folder / "cgroup.procs").write_text(str(stray.pid))
        pids = [one.pid for one in strays]
        host.until(lambda: _where(host, pids) == ["vllm.service", container[:12]])
        screen = host.gpusched("processes").stdout
        assert f" {container[:12]}\n" in screen
        assert " vllm.service\n" in screen
        for stray in strays:
            end(stray)


def _where(host: Host, pids: list[int]) -> list[str]:
    """The container, else the unit, of each process."""
    rows = host.processes()
    return [rows[pid].text("container") or rows[pid].text("unit") for pid in pids if pid in rows]
