"""A host with running services starts using gpusched: they live on, under leases."""

from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen

import pytest

from gpusched.client.document import Document
from tests import capabilities
from tests.e2e.host import GIB, Host, first_line
from tests.e2e.opener import (
    DENIED,
    NO_DRIVER,
    Opener,
    cgroup,
    gpu_nodes,
    path_of,
    starting_in,
)
from tools.stage import GPUSCHED, Failed, end

_ONLY_1 = [DENIED, NO_DRIVER, DENIED, DENIED]
_ALL = [NO_DRIVER] * 4


@pytest.fixture(scope="module")
def shared_host() -> Iterator[Host]:
    """A daemon over four devices."""
    with Host("4xA100-80GB") as host:
        host.start_daemon()
        yield host


@pytest.fixture
def nodes(host: Host) -> list[Path]:
    """The nodes of the four."""
    return gpu_nodes(host.state, 0, 1, 2, 3)


@pytest.fixture
def service() -> Iterator[Path]:
    """A cgroup as a service manager makes it for a unit."""
    with cgroup() as slice_, cgroup("foo.service", slice_) as folder:
        yield folder


@pytest.fixture
def session() -> Iterator[Path]:
    """A cgroup as a session has it: nobody looks after its processes."""
    with cgroup() as folder:
        yield folder


def _work(host: Host, folder: Path, index: int, memory: str) -> "Popen[str]":
    """Start a worker without a lease in a cgroup; it has its memory when this returns."""
    where = (
        f"GPUSCHED_SIMULATOR={host.state / 'simulator'}",
        f"CUDA_VISIBLE_DEVICES={index}",
        "CUDA_DEVICE_ORDER=PCI_BUS_ID",
    )
    work = (str(GPUSCHED), "simulated-worker", "--memory", memory)
    worker = host.start(*starting_in(folder), "env", *where, *work)
    if first_line(worker):
        return worker
    raise Failed(f"the worker ended with {worker.wait()}")


def _adopted(host: Host, *words: str) -> list[Document]:
    """Adopt; give the rows."""
    return host.told("adopt", *words).parts("adoptions")


def _pids(row: Document) -> set[int]:
    return {one.number("pid") for one in row.parts("processes")}


def _cgroup_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cgroup").read_text().splitlines()[-1].partition("::")[2]


@pytest.mark.root
def test_a_dry_run_changes_nothing(host: Host, nodes: list[Path], service: Path) -> None:
    """It lists what runs and what would become of it, and nobody is masked or has a lease."""
    with Opener(host.environment, *starting_in(service)) as beside:
        worker = _work(host, service, 1, "3GiB")
        for words in (("--all", "--dry-run"), (), (str(worker.pid), "--dry-run")):
            (row,) = _adopted(host, *words)
            assert _pids(row) == {worker.pid}
            assert row.text("cgroup") == path_of(service)
            assert row.text("sentence") == (
                f"{host.devices()[1].text('uuid')} exclusively: nobody else is on it;"
                f" masked in place in {path_of(service)}"
            )
            assert "lease" not in row
        assert host.leases() == {}
        assert beside.opens(*nodes) == _ALL
        assert "nothing was changed" in host.gpusched("adopt").stdout


@pytest.mark.root
def test_a_service_is_adopted_where_it_is(host: Host, nodes: list[Path], service: Path) -> None:
    """Its process lives on in its cgroup, which opens no other device; the lease ends with it."""
    with Opener(host.environment, *starting_in(service)) as beside:
        worker = _work(host, service, 1, "3GiB")
        (row,) = _adopted(host, str(worker.pid))
        lease = row.part("lease").text("id")
        assert not row.flag("refused"), row
        assert worker.poll() is None
        assert _cgroup_of(worker.pid) == path_of(service)
        assert beside.opens(*nodes) == _ONLY_1
        found = host.leases()[lease]
        assert found.text("state") == "LEASE_STATE_ACTIVE"
        assert "request" not in found
        assert found.part("holder").flag("in_place")
        (device,) = found.parts("devices")
        assert device.flag("exclusive")
        host.until(lambda: host.processes()[worker.pid].text("lease_id") == lease)
        (again,) = _adopted(host, str(worker.pid))
        assert again.part("lease").text("id") == lease
        host.refused(75, "allocate", "--device", "1")
        end(worker)
        assert host.leases()[lease].text("state") == "LEASE_STATE_ACTIVE"
    host.until(lambda: host.ended(lease) == "END_REASON_EMPTY")
    with Opener(host.environment, *starting_in(service)) as next_one:
        assert next_one.opens(*nodes) == _ALL


@pytest.mark.root
def test_a_session_s_process_is_moved(host: Host, nodes: list[Path], session: Path) -> None:
    """It lives on in a cgroup of the lease, whose mask holds, and the lease ends with it."""
    worker, other = (_work(host, session, index, "3GiB") for index in (1, 2))
    (row,) = _adopted(host, str(worker.pid))
    lease = row.part("lease").text("id")
    place = host.leases()[lease].part("holder").text("cgroup")
    assert worker.poll() is None
    assert _cgroup_of(worker.pid) == place != path_of(session)
    assert _cgroup_of(other.pid) == path_of(session)
    mount = capabilities.cgroup2_mount()
    assert mount is not None
    with Opener(host.environment, *starting_in(mount / place.lstrip("/"))) as inside:
        assert inside.opens(*nodes) == _ONLY_1
    end(worker)
    host.until(lambda: host.ended(lease) == "END_REASON_EMPTY")
    assert other.poll() is None


@pytest.mark.root
def test_all_that_runs(host: Host, service: Path, session: Path) -> None:
    """Each unit and each job gets its lease; those that share a device get what they use of it."""
    alone = _work(host, service, 1, "3GiB")
    jobs = [_work(host, session, 2, memory) for memory in ("4GiB", "5500MiB")]
    rows = _adopted(host, "--all")
    assert sorted(map(sorted, map(_pids, rows))) == sorted([one.pid] for one in (alone, *jobs))
    assert not any(row.flag("refused") for row in rows), rows
    leases = host.leases()
    assert len(leases) == 3
    limits = {
        _pids(row).pop(): [
            one.optional("memory_limit_bytes")
            for one in leases[row.part("lease").text("id")].parts("devices")
        ]
        for row in rows
    }
    # Rounded up to 256 MiB: 5500 MiB are 5632.
    assert limits == {alone.pid: [None], jobs[0].pid: [4 * GIB], jobs[1].pid: [5632 << 20]}
    assert [one.poll() for one in (alone, *jobs)] == [None] * 3
    host.until(
        lambda: {one.text("kind") for one in host.processes().values()} == {"PROCESS_KIND_LEASE"}
    )
    assert _adopted(host, "--all") == []
    for one in (alone, *jobs):
        end(one)
    host.until(lambda: not host.leases())


@pytest.mark.root
def test_what_a_lease_has_is_not_adopted(host: Host, session: Path) -> None:
    """A process on a device that a lease has for itself is refused, and lives on."""
    lease = host.allocate("--device", "1")
    worker = _work(host, session, 1, "3GiB")
    refused = host.gpusched("adopt", str(worker.pid))
    assert refused.returncode == 64
    assert f"is held exclusively by {lease}" in refused.stdout
    assert _cgroup_of(worker.pid) == path_of(session)
    assert worker.poll() is None
    assert list(host.leases()) == [lease]


def test_one_without_a_device(host: Host) -> None:
    """A process that holds no device is not found."""
    assert "holds no device" in host.refused(64, "adopt", str(host.pid))


@pytest.mark.root
def test_by_name_where_no_cgroups_can_be_had() -> None:
    """Without cgroups a process is adopted by name; the lease ends with it."""
    with Host("2xL4", "--advisory") as host:
        host.start_daemon()
        stray = host.stray("3GiB", 0)
        (row,) = _adopted(host, "--all")
        assert row.text("sentence").endswith("; recorded by name")
        lease = row.part("lease").text("id")
        assert host.leases()[lease].text("state") == "LEASE_STATE_ACTIVE"
        end(stray)
        host.until(lambda: host.ended(lease) == "END_REASON_EMPTY")
