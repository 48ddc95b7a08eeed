"""A container is masked where it is: its engine keeps it, gpusched denies it the other devices.

podman over runc and a folder of busybox, without network and images. What gives a container its
nodes is not asked here: it gets all four, as one that is --privileged does on a real host. A
container that is --privileged and in the host's cgroup namespace besides can write itself out of
its cgroup, and no mask can prevent that.
"""

import json
from collections.abc import Iterator

import pytest

from gpusched.client.document import Document
from tests import capabilities
from tests.e2e.host import Host
from tests.e2e.podman import ALL, ONLY_2, Engine

pytestmark = pytest.mark.podman


@pytest.fixture(scope="module")
def shared_host() -> Iterator[Host]:
    """A daemon over four devices."""
    with Host("4xA100-80GB") as host:
        host.start_daemon()
        yield host


def _attach(host: Host, engine: Engine, name: str) -> tuple[str, Document]:
    """Attach a container to a lease of device 2; give the lease and what attaching did."""
    lease = host.allocate("--device", "2")
    done = host.gpusched("attach", lease, "--pid", str(engine.pid(name)), "--json")
    assert done.returncode == 0, done
    return lease, Document(json.loads(done.stdout)).part("attachment")


def test_a_container_is_masked_where_it_is(host: Host, engine: Engine) -> None:
    """What was allowed by its engine is denied by the lease's mask, also to a later `exec`."""
    name = engine.run(*engine.given())
    assert engine.opens(name) == ALL
    _, attachment = _attach(host, engine, name)
    assert attachment.text("mode") == "ATTACH_MODE_IN_PLACE"
    pids = [one.number("pid") for one in attachment.parts("processes")]
    assert engine.pid(name) in pids
    assert engine.opens(name) == ONLY_2


def test_a_privileged_container_is_masked_as_well(host: Host, engine: Engine) -> None:
    """--privileged takes off the engine's denials, not the lease's."""
    name = engine.run("--privileged", *engine.bound())
    assert engine.opens(name) == ALL
    _attach(host, engine, name)
    assert engine.opens(name) == ONLY_2


def test_the_lease_ends_with_the_container(host: Host, engine: Engine) -> None:
    """Its last process ends the lease, whoever ended it, and another container is not masked."""
    name = engine.run(*engine.given())
    other = engine.run(*engine.given())
    lease, _ = _attach(host, engine, name)
    assert engine.opens(other) == ALL
    engine.remove(name)
    host.until(lambda: host.ended(lease) == "END_REASON_EMPTY")
    assert engine.opens(other) == ALL


def test_a_revoked_lease_leaves_the_container_running(host: Host, engine: Engine) -> None:
    """At the end of its lease a container has what it had before, and goes on."""
    name = engine.run(*engine.given())
    pid = engine.pid(name)
    lease, _ = _attach(host, engine, name)
    assert engine.opens(name) == ONLY_2
    assert host.gpusched("revoke", lease, "--reason", "tried", "--grace", "0s").returncode == 0
    host.until(lambda: host.ended(lease) == "END_REASON_REVOKED")
    assert engine.pid(name) == pid
    assert engine.opens(name) == ALL


def test_who_can_write_to_the_hosts_cgroups_can_leave(host: Host, engine: Engine) -> None:
    """What no mask prevents: --privileged with the host's cgroup namespace walks out of it."""
    mount = capabilities.cgroup2_mount()
    name = engine.run("--privileged", "--cgroupns=host", f"--volume={mount}:/cg", *engine.bound())
    _attach(host, engine, name)
    assert engine.opens(name) == ONLY_2
    assert engine.opens(name, "echo $$ >/cg/cgroup.procs &&") == ALL
