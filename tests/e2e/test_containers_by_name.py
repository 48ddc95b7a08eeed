"""A user types `podman run --device gpusched.io/lease=<id>`, and the rest happens by itself.

The engine gives the container the leased nodes, the hook puts it under the lease, and the lease
ends with it. podman over runc, as in `test_containers`.
"""

import json
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpusched.client.document import Document
from tests.e2e.host import Host
from tests.e2e.podman import ABSENT, ALL, DENIED, NO_DRIVER, ONLY_2, Engine, engine_of
from tools.stage import ROOT

FOLDER = Path("/run/cdi")
"""Where podman looks; a test cannot have it look elsewhere."""

DEV = Path("/dev")
NODES = ("-uvm", "-uvm-tools", "1", "2", "ctl")
_CONFIG = '[sampling]\ninterval = "100ms"\n[containers]\ncdi = "on"\n'
pytestmark = pytest.mark.podman


@pytest.fixture(scope="module")
def shared_host() -> Iterator[Host]:
    """A daemon over four devices that tells engines of its leases."""
    there = FOLDER.is_dir()
    with Host("4xA100-80GB") as host:
        host.config.write_text(_CONFIG)
        host.start_daemon()
        yield host
        host.sweep()
        assert ours() == []
    if not there:
        FOLDER.rmdir()


def ours() -> list[Path]:
    """Give the documents of simulating daemons."""
    return list(FOLDER.glob("gpusched_sim_*"))


def granted(host: Host, *words: str) -> tuple[str, str]:
    """Reserve; give the lease's id and its name for engines."""
    grant = host.told("allocate", *words)
    assert not grant.texts("warnings")
    return grant.part("lease").text("id"), grant.text("cdi_name")


def refused(engine: Engine, name: str) -> str:
    """Start a container that does not start; give what podman says."""
    done = engine.tried(f"gpusched-test-{secrets.token_hex(4)}", "--device", name)
    assert done.returncode == 126, done
    assert "Traceback" not in done.stderr
    return done.stderr


def listed(engine: Engine, container: str) -> list[str]:
    """Give the NVIDIA nodes in a container."""
    return engine.podman("exec", container, "/bin/sh", "-c", "echo /dev/nvidia*").split()


def variables(pid: int) -> list[str]:
    """Give the environment of a container's first process."""
    return Path(f"/proc/{pid}/environ").read_text().split("\0")


def test_a_container_has_its_lease_from_start_to_end(host: Host, engine: Engine) -> None:
    """The flags as gpusched prints them give the leased nodes alone and the right variables; the
    hook has attached the container, nobody else can start with the lease, and it ends with it.
    """
    lease, name = granted(host, "--device", "1,2")
    done = host.gpusched("env", lease, "--format", "docker")
    assert done.stdout.split() == ["--device", name], done
    container = engine.run(*done.stdout.split())
    pid = engine.pid(container)
    assert listed(engine, container) == [f"/dev/nvidia{one}" for one in NODES]
    assert engine.opens(container, folder=DEV) == [ABSENT, NO_DRIVER, NO_DRIVER, ABSENT]
    told = variables(pid)
    assert "CUDA_VISIBLE_DEVICES=0,1" in told
    assert "NVIDIA_VISIBLE_DEVICES=void" in told
    assert f"GPUSCHED_LEASE={lease}" in told
    found = host.leases()[lease]
    assert found.text("state") == "LEASE_STATE_ACTIVE"
    assert pid in [one.number("pid") for one in found.parts("processes")]
    assert f"gpusched: the container does not start: {lease}" in refused(engine, name)
    engine.remove(container)
    host.until(lambda: host.ended(lease) == "END_REASON_EMPTY")
    host.until(lambda: ours() == [])
    assert "unresolvable CDI devices" in refused(engine, name)


def test_an_unknown_lease_is_the_engines_refusal(host: Host, engine: Engine) -> None:
    """What was never granted is no device, and the engine says so itself."""
    assert "gpusched.io/lease=nope" in refused(engine, "gpusched.io/lease=nope")
    assert host.leases() == {}


def test_a_privileged_container_by_name(host: Host, engine: Engine) -> None:
    """--privileged has every node, and the mask denies those that are not leased."""
    _, name = granted(host, "--device", "2")
    container = engine.run("--privileged", "--device", name, *engine.bound())
    assert engine.opens(container) == ONLY_2


def test_a_running_container_is_attached_by_id(host: Host, engine: Engine) -> None:
    """A container with every node, started outside a lease, is contained once it is attached."""
    container = engine.run(*engine.given())
    assert engine.opens(container) == ALL
    number = engine.podman("inspect", "--format", "{{.Id}}", container)
    lease, _ = granted(host, "--device", "2")
    done = host.gpusched("attach", lease, "--container", number[:12], "--json")
    assert done.returncode == 0, done
    reply = Document(json.loads(done.stdout))
    assert reply.part("attachment").text("mode") == "ATTACH_MODE_IN_PLACE"
    assert reply.part("lease").part("holder").text("cgroup").endswith(number)
    assert engine.opens(container) == ONLY_2
    assert "none that runs is called" in host.refused(64, "attach", lease, "--container", "nobody")


def test_compose(host: Host, engine: Engine) -> None:
    """The Compose file of the guide starts a service with its lease, which ends with it."""
    lease, _ = granted(host, "--device", "3")
    page = (ROOT / "docs/guides/containers.md").read_text()
    found = re.search(r"<!-- compose -->\n```yaml\n(.*?)```", page, re.DOTALL)
    assert found is not None
    project = host.folder / "compose"
    project.mkdir()
    (project / "compose.yaml").write_text(found[1])
    told = {"GPUSCHED_LEASE": lease, "IMAGE": engine.image()}
    container = engine.composed(project, told)
    assert engine.opens(container, folder=DEV) == [ABSENT, ABSENT, ABSENT, NO_DRIVER]
    assert host.leases()[lease].text("state") == "LEASE_STATE_ACTIVE"
    engine.remove(container)
    host.until(lambda: host.ended(lease) == "END_REASON_EMPTY")


@pytest.mark.usefixtures("host")
def test_without_a_lease_or_a_daemon() -> None:
    """Where the guard is on, a container with every node and no lease opens none of them.

    While the daemon is away no container starts with a lease. The next one makes good what it
    finds: a missing document is written again, and one without a lease goes.
    """
    with Host("4xA100-80GB") as guarded, engine_of(guarded) as engine:
        guarded.config.write_text(f'{_CONFIG}[enforcement]\nguard_top = "{engine.parent}"\n')
        guarded.start_daemon()
        assert guarded.gpusched("guard", "on").returncode == 0
        stranger = engine.run("--privileged", *engine.bound())
        assert engine.opens(stranger) == [DENIED] * 4
        lease, name = granted(guarded, "--device", "2")
        (file,) = ours()
        before = json.loads(file.read_text())
        guarded.kill_daemon()
        assert "gpusched: the container does not start: " in refused(engine, name)
        file.rename(file.with_name(file.name.replace(lease, "lease-0000000000")))
        guarded.start_daemon()
        assert ours() == [file]
        assert json.loads(file.read_text()) == before
        container = engine.run("--device", name, *engine.given())
        assert engine.opens(container) == ONLY_2
        assert guarded.gpusched("guard", "off").returncode == 0
        engine.remove(container)
        guarded.until(lambda: guarded.leases() == {})
