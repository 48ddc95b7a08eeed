"""Model servers as users run them, under `gpusched run`: real processes, real HTTP, no GPU.

What a worker may open is asked of the kernel. docs/guides/frameworks.md names these tests.
"""

import pytest

from tests.blocks import file_in
from tests.e2e.host import CONFINED, HELD, Host, kill, members
from tests.e2e.servers import BIN, GUIDE, RUN, Server, openable
from tests.e2e.serving import LEASE_OF_ITS_OWN
from tools.stage import GPUSCHED

_GUNICORN = ("gunicorn", "--bind", "unix:SOCKET", "--log-level", "warning")
_UVICORN = ("uvicorn", "--uds", "SOCKET", "--log-level", "warning", "--workers", "2")
_PAIR = (*RUN, "--device", "6,3", "--")
_BOTH = "1,0" if CONFINED else "6,3"
_LITSERVE = """
import sys
import litserve
from tests.e2e.serving import report

class Who(litserve.LitAPI):
    def setup(self, device):
        self.device = device

    def predict(self, request):
        return {**report(), "device": self.device}

if __name__ == "__main__":
    server = litserve.LitServer(Who(), accelerator="gpu")
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False)
"""
_LITSERVE_COUNTS = "from litserve.connector import check_cuda_with_nvidia_smi as n; print(n())"
pytestmark = pytest.mark.frameworks


@pytest.mark.parametrize(
    "command",
    [
        (*_GUNICORN, "--workers", "2", "tests.e2e.serving:wsgi"),
        (*_UVICORN, "tests.e2e.serving:asgi"),
    ],
    ids=["gunicorn", "uvicorn"],
)
def test_every_worker_has_the_lease_and_nothing_else(host: Host, command: tuple[str, ...]) -> None:
    """Each worker of a server sees the lease's devices in its mask and can open no other."""
    server = Server(host, _PAIR, command)
    found = server.workers(2)
    uuids = [one.text("uuid") for one in host.devices()]
    ((lease, row),) = host.leases().items()
    for worker in found.values():
        assert (worker.text("lease"), worker.text("mask")) == (lease, _BOTH)
        assert worker.texts("devices") == [uuids[6], uuids[3]]
        assert worker.texts("opens") == openable(host, 6, 3)
    if HELD:
        host.until(lambda: found.keys() <= set(members(host.leases()[lease])))
    assert row.text("state") == "LEASE_STATE_ACTIVE"


def test_a_gunicorn_worker_has_a_device_of_its_own(host: Host) -> None:
    """With the hooks of the guide each worker has one device, and who replaces it has the same."""
    configuration = host.folder / "gunicorn.conf.py"
    configuration.write_text(file_in(GUIDE, "gunicorn.conf.py"))
    command = (*_GUNICORN, "--config", str(configuration), "tests.e2e.serving:wsgi")
    server = Server(host, _PAIR, command)
    before = {pid: one.text("mask") for pid, one in server.workers(2).items()}
    assert sorted(before.values()) == sorted(_BOTH.split(","))
    (victim, mask), _ = before.items()
    kill(victim)
    after = {pid: one.text("mask") for pid, one in server.workers(2, but=victim).items()}
    (replacement,) = after.keys() - before.keys()
    assert after[replacement] == mask


def test_a_uvicorn_worker_takes_a_lease_of_its_own(host: Host) -> None:
    """A worker that asks in its lifespan has a lease; who replaces it asks again."""
    variables = (f"{LEASE_OF_ITS_OWN}=1",)
    simulator = f"GPUSCHED_SIMULATOR={host.state / 'simulator'}"
    server = Server(host, (), (*_UVICORN, "tests.e2e.serving:asgi"), (*variables, simulator))
    before = server.workers(2)
    leases = {one.text("lease") for one in before.values()}
    assert leases == host.leases().keys()
    devices = {one.text("lease"): one.texts("devices") for one in before.values()}
    assert len({uuid for (uuid,) in devices.values()}) == 2
    if HELD:
        assert [len(one.texts("opens")) for one in before.values()] == [1, 1]
    victim = next(iter(before))
    kill(victim)
    after = server.workers(2, but=victim)
    host.until(lambda: host.ended(before[victim].text("lease")) == "END_REASON_EMPTY")
    assert {one.text("lease") for one in after.values()} == host.leases().keys()


def _link(host: Host) -> str:
    """Put gpusched in nvidia-smi's place; give the variable that finds it there."""
    link = host.folder / "nvidia-smi"
    if not link.is_symlink():
        link.symlink_to(GPUSCHED)
    return f"PATH={host.folder}:{host.environment['PATH']}"


def test_litserve_has_a_worker_for_each_device(host: Host) -> None:
    """LitServe counts the devices of a lease and starts a worker on each of CUDA's ordinals."""
    script = host.folder / "serve.py"
    script.write_text(_LITSERVE)
    command = ("python", str(script), "PORT")
    server = Server(host, _PAIR, command, (_link(host),), ("POST", "/predict"))
    found = server.workers(2).values()
    assert sorted(one.text("device") for one in found) == ["cuda:0", "cuda:1"]
    assert {one.text("mask") for one in found} == {_BOTH}
    assert [one.texts("opens") for one in found] == [openable(host, 6, 3)] * 2


@pytest.mark.parametrize(("form", "count"), [("auto", "2"), ("uuid", "0")])
def test_litserve_counts_numbers_and_not_uuids(host: Host, form: str, count: str) -> None:
    """UUIDs are no devices to LitServe, which is one reason why they are not the default."""
    python = (str(BIN / "python"), "-c", _LITSERVE_COUNTS)
    words = ("env", _link(host), *RUN, "--device", "6,3", "--mask-format", form, "--", *python)
    assert host.run(*words).stdout.split() == [count]
