"""A container that was started with every GPU, as `--gpus all` does: contained, or told.

What runs in it is a real process of the container's cgroup. It sees the host's files and pids,
since the simulator, unlike NVML, translates no pid.
"""

import json
import subprocess
from collections.abc import Iterator

import pytest

from gpusched.client.document import Document
from tests.e2e.host import Host, first_line
from tests.e2e.podman import Engine
from tools.stage import GPUSCHED

FOREIGN, OWN = 0, 2
_EVERY_GPU = ("--pid=host", "--volume=/:/host:dev", "--device-cgroup-rule=c *:* rmw")
pytestmark = pytest.mark.podman


@pytest.fixture(scope="module")
def shared_host() -> Iterator[Host]:
    """A daemon over four devices."""
    with Host("4xA100-80GB") as host:
        host.start_daemon()
        yield host


def _on_foreign(host: Host, engine: Engine, container: str) -> subprocess.Popen[str]:
    """Start what uses device 0 in a container."""
    variables = (
        f"GPUSCHED_SIMULATOR={host.state / 'simulator'}",
        f"CUDA_VISIBLE_DEVICES={FOREIGN}",
        "CUDA_DEVICE_ORDER=PCI_BUS_ID",
    )
    work = (str(GPUSCHED), "simulated-worker", "--memory", "1GiB")
    return engine.started(
        container, "/bin/busybox", "chroot", "/host", "/usr/bin/env", *variables, *work
    )


def _attached(host: Host, engine: Engine, container: str, *wishes: str) -> str:
    lease = host.allocate("--device", str(OWN), *wishes)
    done = host.gpusched("attach", lease, "--pid", str(engine.pid(container)))
    assert done.returncode == 0, done
    return lease


def test_without_a_lease_it_is_a_stray(host: Host, engine: Engine) -> None:
    """Its processes are shown with their container, and their device is not given to anybody."""
    container = engine.run(*_EVERY_GPU)
    worker = _on_foreign(host, engine, container)
    pid = Document(json.loads(first_line(worker))).number("pid")
    assert pid is not None
    host.until(lambda: pid in host.processes())
    row = host.processes()[pid]
    number = engine.podman("inspect", "--format", "{{.Id}}", container)
    assert row.text("container")[:12] == number[:12]
    assert f"without a lease by pid {pid} " in host.refused(
        75, "allocate", "--device", str(FOREIGN)
    )
    engine.remove(container)
    worker.wait()


def test_under_a_lease_it_is_contained(host: Host, engine: Engine) -> None:
    """Once it is under a lease its processes find the leased device only, which is CUDA's first
    then, whatever number they say.
    """
    container = engine.run(*_EVERY_GPU)
    _attached(host, engine, container)
    worker = _on_foreign(host, engine, container)
    told = Document(json.loads(first_line(worker)))
    assert told.texts("devices") == [host.devices()[OWN].text("uuid")]
    engine.remove(container)
    worker.wait()


def test_where_nothing_holds_it_it_is_a_violation(host: Host, engine: Engine) -> None:
    """Under a lease that is advisory its use of another device is told by pid and device."""
    container = engine.run(*_EVERY_GPU)
    lease = _attached(host, engine, container, "--enforce", "advisory")
    worker = _on_foreign(host, engine, container)
    pid = Document(json.loads(first_line(worker))).number("pid")
    host.until(lambda: host.leases()[lease].parts("violations"))
    (violation,) = host.leases()[lease].parts("violations")
    assert violation.text("kind") == "VIOLATION_KIND_OUTSIDE_MASK"
    assert violation.text("device_uuid") == host.devices()[FOREIGN].text("uuid")
    assert violation.part("process").number("pid") == pid
    engine.remove(container)
    worker.wait()
