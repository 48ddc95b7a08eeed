"""The flags that give a container a lease, by what the engine can; golden."""

from pathlib import Path

import pytest

from gpusched.cli.command import UsageError
from gpusched.cli.container_engine import Engine
from gpusched.cli.container_flags import flags_of
from gpusched.client.document import Document

GOLDEN = Path(__file__).parent / "golden/container_flags.txt"
BOTH = ("/etc/cdi", "/var/run/cdi")
NODES = {0: "/dev/nvidia1", 1: "/dev/nvidia3"}
GRANT = Document(
    {
        "lease": {"id": "lease-3f9k"},
        "cdi_name": "gpusched.io/lease=lease-3f9k",
        "devices": [
            {"uuid": f"GPU-{place}", "nodes": [{"path": path}]} for place, path in NODES.items()
        ],
        "control_nodes": [{"path": "/dev/nvidiactl"}, {"path": "/dev/nvidia-uvm"}],
        "container_environment": {
            "CUDA_VISIBLE_DEVICES": "0,1",
            "NVIDIA_VISIBLE_DEVICES": "GPU-0,GPU-1",
        },
    }
)
ENGINES: dict[str, Engine | None] = {
    "no engine": None,
    "docker 19.03": Engine("docker", "19.03.15"),
    "docker 24, NVIDIA's runtime": Engine("docker", "24.0.9", nvidia=True),
    "docker 24": Engine("docker", "24.0.9"),
    "docker 25, switched on": Engine("docker", "25.0.3", BOTH),
    "docker 25, not switched on": Engine("docker", "25.0.3", ()),
    "docker 28.1, does not say": Engine("docker", "28.1.1", nvidia=True),
    "docker 28.1, switched on": Engine("docker", "28.1.1", BOTH, nvidia=True),
    "docker 28.2": Engine("docker", "28.2.2", BOTH),
    "docker 28.2, does not say": Engine("docker", "28.2.2"),
    "docker 28.2, switched off": Engine("docker", "28.2.2", ()),
    "docker 29": Engine("docker", "29.1.0", BOTH),
    "podman 3.4": Engine("podman", "3.4.4"),
    "podman 4.1": Engine("podman", "4.1.0"),
    "podman 5": Engine("podman", "5.6.2"),
}


def printed(grant: Document, engine: Engine | None) -> str:
    """What a user sees: the flags, and below them what is warned of."""
    flags = flags_of(grant, engine)
    return "\n".join([flags.text, *(f"  gpusched: {one}" for one in flags.remarks)])


def test_the_flags_are_golden() -> None:
    """Every engine gets what it understands, and the user hears what that does not do."""
    said = "".join(f"{name}\n{printed(GRANT, one)}\n\n" for name, one in ENGINES.items())
    assert said == GOLDEN.read_text()


@pytest.mark.parametrize("version", ["18.09.7", "17.3.1", "1.13.1"])
def test_an_engine_that_is_too_old(version: str) -> None:
    """Before 19.03 Docker gives no GPUs to containers, and the refusal names that version."""
    with pytest.raises(UsageError, match=rf"Docker {version} .*19\.03 is the first"):
        flags_of(GRANT, Engine("docker", version))


def test_a_lease_without_a_name() -> None:
    """Where engines are not told of leases, the nodes are named for an engine that could, too."""
    fields = {name: value for name, value in GRANT.fields.items() if name != "cdi_name"}
    said = printed(Document(fields), ENGINES["docker 28.2"])
    assert said.startswith("--device=/dev/nvidia1 --device=/dev/nvidia3 ")
    assert "gpusched: the lease has no name for engines: " in said


@pytest.mark.parametrize("engine", ["docker 28.2", "docker 24"])
def test_a_lease_that_is_in_use(engine: str) -> None:
    """No container comes under a lease that has a cgroup by then: that is said, and not the
    command that would be refused.
    """
    lease = {"id": "lease-3f9k", "holder": {"cgroup": "/gpusched/lease-3f9k"}}
    said = printed(Document({**GRANT.fields, "lease": lease}), ENGINES[engine])
    assert "lease-3f9k is in use in /gpusched/lease-3f9k, and no container comes under it" in said
    assert "gpusched attach" not in said


def test_simulated_nodes_are_put_below_dev() -> None:
    """A node that lies elsewhere on the host is where a real one is in the container, once."""
    node = {"path": "/srv/simulator/dev/nvidia2"}
    grant = Document({"devices": [{"nodes": [node]}, {"nodes": [node]}]})
    assert printed(grant, None).startswith("--device=/srv/simulator/dev/nvidia2:/dev/nvidia2\n")


def test_a_lease_without_devices() -> None:
    """There is nothing to give, and so nothing that could be missing."""
    grant = Document({"lease": {"id": "l"}, "container_environment": {"A": "b"}})
    flags = flags_of(grant, Engine("docker", "24.0.9", nvidia=True))
    assert flags.text == "-e A=b"
    assert "must be in the image" not in flags.remarks[0]
