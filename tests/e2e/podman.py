"""podman over runc and a folder of busybox: containers without network and images.

Where root may not raise limits podman's own are too high, so that they are said here.
"""

import contextlib
import secrets
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.e2e.host import Host
from tests.e2e.opener import cgroup, gpu_nodes, path_of, remove_cgroup, starting_in
from tools.stage import waiting

DENIED = "Operation not permitted"
NO_DRIVER = "No such device or address"
ABSENT = "no such file"
ALL = [NO_DRIVER] * 4
ONLY_2 = [DENIED, DENIED, NO_DRIVER, DENIED]
LIMITS = ("--ulimit", "nofile=20000:20000", "--ulimit", "nproc=4096:4096", "--pids-limit=0")
_CGROUPS = Path("/sys/fs/cgroup")


class Engine:
    """podman with a store of its own, and what it runs.

    Attributes:
        parent: The cgroup that those of its containers lie in.

    Args:
        host: Whose nodes its containers get.
        folder: For the store and the root of the containers.
        parent: The cgroup that those of the containers lie in.
        home: The cgroup that it runs in itself, so that its end can be waited for.
    """

    def __init__(self, host: Host, folder: Path, parent: Path, home: Path) -> None:
        self._host = host
        self.parent = path_of(parent)
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
        done = self.tried(name, *options)
        assert done.returncode == 0, done
        return name

    def tried(self, name: str, *options: str) -> subprocess.CompletedProcess[str]:
        """Try to start a container that waits."""
        # Its monitor would have a cgroup elsewhere, which stays.
        cgroups = (f"--cgroup-parent={self.parent}", "--cgroups=no-conmon")
        where = (f"--name={name}", "--net=none", *cgroups, *LIMITS)
        command = ("--rootfs", str(self._root), "/bin/busybox", "sleep", "600")
        return self._host.run(*self._podman, "run", "--detach", *where, *options, *command)

    def pid(self, name: str) -> int:
        """Give the pid of a container's first process, as the host has it."""
        return int(self.podman("inspect", "--format", "{{.State.Pid}}", name))

    def opens(self, name: str, before: str = "", folder: Path | None = None) -> list[str]:
        """Open the four devices, each by a `podman exec` of its own; say how each ended.

        Args:
            name: The container.
            before: What its shell does first.
            folder: Where the nodes are in the container; None: where the host has them.
        """
        answers = []
        for host_node in gpu_nodes(self._host.state, 0, 1, 2, 3):
            node = host_node if folder is None else folder / host_node.name
            script = f"{before} ( : <{node} ) 2>&1; true"
            answers.append(self.podman("exec", name, "/bin/sh", "-c", script).rpartition(": ")[2])
        return answers

    def started(self, name: str, *command: str) -> subprocess.Popen[str]:
        """Start a command in a container; what it prints can be read."""
        return self._host.start(*self._podman, "exec", name, *command)

    def given(self) -> tuple[str, ...]:
        """Give the options that put the devices into a container, allowed by its own program."""
        return tuple(f"--device={one}" for one in gpu_nodes(self._host.state, 0, 1, 2, 3))

    def bound(self) -> tuple[str, ...]:
        """Give the options that only show the devices to a container."""
        return (f"--volume={self._devices}:{self._devices}:dev",)

    def image(self) -> str:
        """Make an image of the folder that other containers have as their root; give its name."""
        (self._root / "bin/sleep").symlink_to("busybox")
        packed = shutil.make_archive(str(self._root), "tar", self._root)
        name = "localhost/gpusched-test:1"
        self.podman("import", packed, name)
        return name

    def composed(self, project: Path, variables: Mapping[str, str]) -> str:
        """Start the one service of a folder's Compose file; give its container's name.

        By podman-compose, over this very engine.
        """
        podman = project / "podman"
        words = shlex.join([*self._podman, "$@"]).replace("'$@'", '"$@"')
        podman.write_text(f"#!/bin/sh\nexec {words}\n")
        podman.chmod(0o755)
        own = shlex.join([f"--cgroup-parent={self.parent}", "--cgroups=no-conmon", *LIMITS])
        compose = [str(Path(sys.executable).with_name("podman-compose")), "--in-pod=false"]
        compose += [f"--podman-path={podman}", f"--podman-run-args={own}"]
        compose += ["--file", str(project / "compose.yaml"), "up", "--detach"]
        done = self._host.run(*compose, **variables)
        assert done.returncode == 0, done
        return self.podman("ps", "--format", "{{.Names}}")

    def remove(self, *names: str) -> None:
        """End containers."""
        self.podman("rm", "--force", "--time=0", *names)

    def podman(self, *words: str) -> str:
        """Run podman to its end."""
        done = self._host.run(*self._podman, *words)
        assert done.returncode == 0, done
        return done.stdout.strip()


@contextlib.contextmanager
def engine_of(host: Host) -> Iterator[Engine]:
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
