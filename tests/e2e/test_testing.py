"""`gpusched.testing`: a simulated host for the tests of others, which leaves nothing behind."""

import importlib.metadata
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import pytest

import gpusched
from gpusched import testing
from gpusched.api.v1 import device_pb2
from gpusched.client.errors import CouldFitLater, DaemonUnreachable
from tests.e2e.host import GIB, members_of_lease
from tests.e2e.opener import as_user

_ROOT = Path(__file__).parent.parent.parent
_HELD = """
import os, sys, gpusched
import gpusched.testing

with gpusched.testing.daemon("2xL4") as host, gpusched.lease(devices=[1]) as lease:
    stray, worker = host.stray("1GiB"), host.worker(lease, "1GiB")
    print(host.folder, stray.pid, worker.pid, os.getuid(), flush=True)
    sys.stdin.read()
"""
_FORKS = """
import os, sys, gpusched.testing

with gpusched.testing.daemon("L4") as host:
    host.client.ping()
    child = os.fork()
    if not child:
        sys.exit(3)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), host.client.status().node != "")
"""
_USERS_TESTS = """
import gpusched
import pytest

def test_two_by_default(gpusched_daemon):
    with gpusched.lease(gpus=2) as lease:
        assert lease.torch_device(1) == "cuda:1"

@pytest.mark.gpusched_host("H100", config="[leases]\\nkeepalive = '1h'")
def test_as_marked(gpusched_daemon):
    with gpusched.lease() as lease:
        assert lease.devices[0].type == "nvidia-h100-80gb"
        assert lease.grant.lease.HasField("keepalive_deadline")
"""


@pytest.fixture(scope="module")
def host() -> Iterator[testing.SimulatedHost]:
    """One host for the tests that leave it as they found it."""
    with testing.daemon("2xL4") as found:
        yield found


def test_a_block_has_a_daemon_where_clients_look(host: testing.SimulatedHost) -> None:
    """Within the block `GPUSCHED_SOCKET` leads to it; the test's process takes leases of it, one
    after the other, and each ends with its block.
    """
    assert os.environ["GPUSCHED_SOCKET"] == host.socket
    with gpusched.lease(gpus=2) as first:
        assert [one.id for one in host.client.leases().leases] == [first.id]
        with pytest.raises(CouldFitLater) as caught:
            host.client.allocate(gpus=1)
        assert caught.value.holders == [first.id]
    with gpusched.lease(gpus=2, wait="10s") as second:
        assert members_of_lease(host.client.lease(second.id)) == [os.getpid()]


def test_a_lost_card(host: testing.SimulatedHost) -> None:
    """A card that is lost is granted to nobody, until it answers again."""
    host.lose(1)
    try:
        (_, lost) = host.client.devices().devices
        assert lost.health == device_pb2.HEALTH_LOST
        with pytest.raises(gpusched.CouldFitLater):
            host.client.allocate(gpus=2)
    finally:
        host.recover(1)


def test_memory_that_nobody_has(host: testing.SimulatedHost) -> None:
    """A card that is full serves no request for memory, until it is emptied."""
    host.fill("20GiB", 0)
    with pytest.raises(CouldFitLater):
        host.client.allocate(devices=[0], memory="8GiB")
    host.fill(None, 0)
    with gpusched.lease(devices=[0], memory="8GiB") as lease:
        assert lease.memory_limit == 8 * GIB


def test_a_stray_is_none_of_the_tests_own(host: testing.SimulatedHost) -> None:
    """A stray is a real process without a lease, also while the test's process has one."""
    with gpusched.lease(devices=[0], wait="10s") as lease:
        stray = host.stray("3GiB", 1)
        (row,) = host.client.processes().processes
        assert (row.process.pid, row.lease_id) == (stray.pid, "")
        assert members_of_lease(host.client.lease(lease.id)) == [os.getpid()]
        with pytest.raises(CouldFitLater):
            host.client.allocate(devices=[1])
    stray.end()
    assert not stray.alive
    with pytest.raises(testing.HostFault, match="CUDA out of memory"):
        host.stray("100GiB")
    with gpusched.lease(wait="10s") as lease:
        worker = host.worker(lease, "1GiB")
        assert worker.alive
        worker.end()
        with pytest.raises(testing.HostFault, match="CUDA out of memory"):
            host.worker(lease, "100GiB")


def test_an_error_of_a_card(host: testing.SimulatedHost) -> None:
    """An XID that the driver reports is a taint, as on a real host."""
    host.report(48, device=1)
    assert host.client.devices().devices[1].taints


def test_a_crash_of_the_daemon() -> None:
    """A daemon that is killed is not there; it comes back with its leases."""
    with testing.daemon("L4") as host, gpusched.lease() as lease:
        host.kill()
        with pytest.raises(DaemonUnreachable):
            host.client.ping()
        host.start()
        host.start()
        assert [one.id for one in host.client.leases().leases] == [lease.id]
        host.stop()
        with pytest.raises(testing.HostFault, match="does not run"):
            host.stray("1GiB")


def test_nothing_is_left_of_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """Folder, processes and variables go with the block; what was set before is there again, and
    no lease of elsewhere is seen within.
    """
    monkeypatch.setenv("GPUSCHED_SOCKET", "elsewhere")
    monkeypatch.setenv("GPUSCHED_LEASE", "lease-elsewhere")
    with testing.daemon("L4") as host:
        with gpusched.worker_lease(wait="10s") as lease:
            assert lease.id != "lease-elsewhere"
        stray = host.stray("1GiB")
    assert not host.folder.exists()
    assert not stray.alive
    assert os.environ["GPUSCHED_SOCKET"] == "elsewhere"
    assert os.environ["GPUSCHED_LEASE"] == "lease-elsewhere"
    host.close()


@pytest.mark.parametrize(
    ("simulate", "config", "why"),
    [("3xNothing", "", "Nothing"), ("L4", "[nonsense]\nkey = 1", "nonsense")],
)
def test_what_cannot_be_simulated(simulate: str, config: str, why: str) -> None:
    """A daemon that does not start says why, and leaves nothing."""
    with pytest.raises(testing.HostFault, match=why), testing.daemon(simulate, config=config):
        pass


def test_a_card_that_is_not_there(host: testing.SimulatedHost) -> None:
    """A control of a card that the host has not is refused in the simulator's words."""
    with pytest.raises(testing.HostFault, match="must name a device, from 0 to 1"):
        host.lose(9)


def test_what_is_not_understood_takes_nothing_else_back() -> None:
    """What a test did to cards before stays, and what it does afterwards works, when one thing is
    refused.
    """
    with testing.daemon("3xL4") as host:
        host.lose(0)
        host.report(48, device=1)
        with pytest.raises(testing.HostFault):
            host.report(-1, device=2)
        host.report(48, device=2)
        lost, *told = host.client.devices().devices
        assert lost.taints
        assert all(one.taints for one in told)


@pytest.mark.parametrize(
    "uid", [None, pytest.param(65534, marks=pytest.mark.root)], ids=["here", "without root"]
)
def test_a_test_that_is_killed_leaves_nothing(uid: int | None) -> None:
    """A test that dies by `kill -9` takes daemon, strays, workers and folder along; root is not
    needed.
    """
    start = () if uid is None else as_user(uid)
    process = subprocess.Popen(  # noqa: S603 - our own Python
        (*start, sys.executable, "-c", _HELD),
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    folder, stray, worker, who = process.stdout.readline().split()
    assert int(who) == (os.getuid() if uid is None else uid)
    ended = [os.pidfd_open(int(one)) for one in (stray, worker)]
    process.send_signal(signal.SIGKILL)
    process.communicate()
    for one in ended:
        assert select.select([one], [], [], 10)[0]
        os.close(one)
    for _ in range(1000):
        if not Path(folder).exists():
            return
        Event().wait(0.01)
    pytest.fail(f"{folder} is left")


def test_a_process_that_a_test_forked_ends_nothing() -> None:
    """A host is its own test's: it goes on when a forked process leaves the block."""
    done = subprocess.run(  # noqa: S603 - our own Python
        [sys.executable, "-c", _FORKS], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["3", "True"], done


def test_the_documented_example_runs(tmp_path: Path) -> None:
    """What the simulator's page shows is a program that runs as it stands."""
    text = (_ROOT / "docs" / "simulator.md").read_text()
    (example,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    program = tmp_path / "example.py"
    program.write_text(example)
    words = (sys.executable, str(program))
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=_ROOT)  # noqa: S603 - as above
    assert (done.returncode, done.stderr) == (0, ""), done


def test_pytest_has_the_fixture(tmp_path: Path) -> None:
    """Where gpusched is installed, a user's test has `gpusched_daemon` without a line of setup."""
    (plugin,) = (
        one
        for one in importlib.metadata.entry_points(group="pytest11")
        if one.value == "gpusched.testing.plugin"
    )
    assert plugin.name == "gpusched"
    (tmp_path / "test_mine.py").write_text(_USERS_TESTS)
    words = (sys.executable, "-m", "pytest", "-q", "--strict-markers", "-p", "no:cacheprovider")
    done = subprocess.run(  # noqa: S603 - our own Python
        (*words, str(tmp_path)), cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done
    assert "2 passed" in done.stdout


def test_the_plugin_costs_nothing() -> None:
    """What every pytest loads beside it imports nothing but itself."""
    code = (
        "import pytest, sys; before = set(sys.modules); import gpusched.testing.plugin;"
        " print(sorted(set(sys.modules) - before))"
    )
    words = (sys.executable, "-c", code)
    done = subprocess.run(words, capture_output=True, text=True, check=True, cwd=_ROOT)  # noqa: S603 - as above
    assert done.stdout.strip() == "['gpusched', 'gpusched.testing', 'gpusched.testing.plugin']"
