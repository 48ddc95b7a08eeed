"""A container is masked where it is: its engine keeps it, gpusched denies it the other devices.

podman over runc and a folder of busybox, without network and images. What gives a container its
nodes is not asked here: it gets all four, as one that is --privileged does on a real host. A
container that is --privileged and in the host's cgroup namespace besides can write itself out of
its cgroup, and no mask can prevent that.
"""

import json
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpusched.client.document import Document
from tests import capabilities
from tests.e2e.host import Host
from tests.e2e.opener import cgroup, gpu_nodes, path_of, remove_cgroup, starting_in
from tools.stage import waiting

_DENIED = "Operation not permitted"
_NO_DRIVER = "No such device or address"
_ALL = [_NO_DRIVER] * 4
_ONLY_2 = [_DENIED, _DENIED, _NO_DRIVER, _DENIED]
# Where root may not raise limits (CAP_SYS_RESOURCE) podman's own are too high.
_LIMITS = ("--ulimit", "nofile=20000:20000", "--ulimit", "nproc=4096:4096", "--pids-limit=0")
_CGROUPS = Path("/sys/fs/cgroup")
pytestmark = pytest.mark.podman


class Engine:
    """podman with a store of its own, and what it runs.

    Args:
        host: Whose nodes its containers get.
        folder: For the store and the root of the containers.
        parent: The cgroup that those of the containers lie in.
        home: The cgroup that it runs in itself, so that its end can be waited for.
    """

    def __init__(self, host: Host, folder: Path, parent: Path, home: Path) -> None:
        self._host = host
        self._parent = path_of(parent)
        self._devices = host.state / "simulator/dev"
        self._root = folder / "root"
        (self._root / "bin").mkdir(parents=True)
        busybox = shutil.which("busybox")
        assert busybox is not None
        shutil.copy(busybox, self._root / "bin")
        (self._root / "bin/sh").symlink_to("busybox")
        names = {"--root": "store", "--runroot": "run", "--tmpdir": "tmp"}
        places = [f"{option}={folder / name}" for option, name in names.items()]
        # The other storage driver mounts something.
        kinds = ("--runtime=runc", "--cgroup-manager=cgroupfs", "--storage-driver=vfs")
        self._podman = (*starting_in(home), "podman", *places, *kinds)

    def run(self, *options: str) -> str:
        """Start a container that waits; give its name."""
        name = f"gpusched-test-{secrets.token_hex(4)}"
        # Its monitor would have a cgroup elsewhere, which stays.
        cgroups = (f"--cgroup-parent={self._parent}", "--cgroups=no-conmon")
        where = (f"--name={name}", "--net=none", *cgroups, *_LIMITS)
        command = ("--rootfs", str(self._root), "/bin/busybox", "sleep", "600")
        self.podman("run", "--detach", *where, *options, *command)
        return name

    def pid(self, name: str) -> int:
        """Give the pid of a container's first process, as the host has it."""
        return int(self.podman("inspect", "--format", "{{.State.Pid}}", name))

    def opens(self, name: str, before: str = "") -> list[str]:
        """Open the four devices, each by a `podman exec` of its own; say how each ended.

        Args:
            name: The container.
            before: What its shell does first.
        """
        answers = []
        for node in gpu_nodes(self._host.state, 0, 1, 2, 3):
            script = f"{before} ( : <{node} ) 2>&1; true"
            answers.append(self.podman("exec", name, "/bin/sh", "-c", script).rpartition(": ")[2])
        return answers

    def given(self) -> tuple[str, ...]:
        """Give the options that put the devices into a container, allowed by its own program."""
        return tuple(f"--device={one}" for one in gpu_nodes(self._host.state, 0, 1, 2, 3))

    def bound(self) -> tuple[str, ...]:
        """Give the options that only show the devices to a container."""
        return (f"--volume={self._devices}:{self._devices}:dev",)

    def remove(self, *names: str) -> None:
        """End containers."""
        self.podman("rm", "--force", "--time=0", *names)

    def podman(self, *words: str) -> str:
        """Run podman to its end."""
        done = self._host.run(*self._podman, *words)
        assert done.returncode == 0, done
        return done.stdout.strip()


@pytest.fixture(scope="module")
def shared_host() -> Iterator[Host]:
    """A daemon over four devices."""
    with Host("4xA100-80GB") as host:
        host.start_daemon()
        yield host


@pytest.fixture
def engine(host: Host) -> Iterator[Engine]:
    """An engine of which nothing is left behind."""
    # Short: conmon's sockets lie in it.
    folder = Path(tempfile.mkdtemp(prefix="gps-pod-"))
    try:
        with cgroup() as parent, cgroup("engine", parent) as home:
            found = Engine(host, folder, parent, home)
            try:
                yield found
            finally:
                found.remove("--all")
                # What it has started at the end of a container may still be tidying up.
                for _ in waiting(10, "podman to end"):
                    if not (home / "cgroup.procs").read_text():
                        break
                # On a hybrid host it has made the parent in the other hierarchies, too.
                for one in _CGROUPS.glob(f"*/{parent.name}"):
                    if one != parent:
                        remove_cgroup(one)
    finally:
        shutil.rmtree(folder)


def _attach(host: Host, engine: Engine, name: str) -> tuple[str, Document]:
    """Attach a container to a lease of device 2; give the lease and what attaching did."""
    lease = host.allocate("--device", "2")
    done = host.gpusched("attach", lease, "--pid", str(engine.pid(name)), "--json")
    assert done.returncode == 0, done
    return lease, Document(json.loads(done.stdout)).part("attachment")


def test_a_container_is_masked_where_it_is(host: Host, engine: Engine) -> None:
    """What was allowed by its engine is denied by the lease's mask, also to a later `exec`."""
    name = engine.run(*engine.given())
    assert engine.opens(name) == _ALL
    _, attachment = _attach(host, engine, name)
    assert attachment.text("mode") == "ATTACH_MODE_IN_PLACE"
    pids = [one.number("pid") for one in attachment.parts("processes")]
    assert engine.pid(name) in pids
    assert engine.opens(name) == _ONLY_2


def test_a_privileged_container_is_masked_as_well(host: Host, engine: Engine) -> None:
    """--privileged takes off the engine's denials, not the lease's."""
    name = engine.run("--privileged", *engine.bound())
    assert engine.opens(name) == _ALL
    _attach(host, engine, name)
    assert engine.opens(name) == _ONLY_2


def test_the_lease_ends_with_the_container(host: Host, engine: Engine) -> None:
    """Its last process ends the lease, whoever ended it, and another container is not masked."""
    name = engine.run(*engine.given())
    other = engine.run(*engine.given())
    lease, _ = _attach(host, engine, name)
    assert engine.opens(other) == _ALL
    engine.remove(name)
    host.until(lambda: host.ended(lease) == "END_REASON_EMPTY")
    assert engine.opens(other) == _ALL


def test_a_revoked_lease_leaves_the_container_running(host: Host, engine: Engine) -> None:
    """At the end of its lease a container has what it had before, and goes on."""
    name = engine.run(*engine.given())
    pid = engine.pid(name)
    lease, _ = _attach(host, engine, name)
    assert engine.opens(name) == _ONLY_2
    assert host.gpusched("revoke", lease, "--reason", "tried", "--grace", "0s").returncode == 0
    host.until(lambda: host.ended(lease) == "END_REASON_REVOKED")
    assert engine.pid(name) == pid
    assert engine.opens(name) == _ALL


def test_who_can_write_to_the_hosts_cgroups_can_leave(host: Host, engine: Engine) -> None:
    """What no mask prevents: --privileged with the host's cgroup namespace walks out of it."""
    mount = capabilities.cgroup2_mount()
    name = engine.run("--privileged", "--cgroupns=host", f"--volume={mount}:/cg", *engine.bound())
    _attach(host, engine, name)
    assert engine.opens(name) == _ONLY_2
    assert engine.opens(name, "echo $$ >/cg/cgroup.procs &&") == _ALL
