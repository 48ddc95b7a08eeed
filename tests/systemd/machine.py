"""A machine with a real systemd as its first process: systemd-nspawn over a throw-away tree.

It has its own PID, mount, network, IPC and cgroup namespaces, and the host's kernel. Only root can
have one. Its mounts die with its namespace and its processes with its first one; its cgroups are
removed here. The recipe's odd parts: SYSTEMD_SECCOMP=0, since nspawn's filter takes bpf(2) from
systemd without a word; UNIFIED_HIERARCHY=1, since the host may be hybrid.
"""

import contextlib
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from tests import capabilities
from tests.systemd import rootfs
from tools.stage import ROOT, Failed, waiting

BOOT_SECONDS = 60.0
STOP_SECONDS = 15.0
RUN_SECONDS = 300.0
"""An installation can take minutes on a busy host; killed halfway it makes the next one fail."""
REPOSITORY = "/repository"
WHEELHOUSE = "/wheelhouse"
SITE = "/site"
_UP = frozenset({"running", "degraded"})
_ENVIRONMENT = {
    "SYSTEMD_SECCOMP": "0",
    "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
    "SYSTEMD_NSPAWN_LOCK": "0",
    "SYSTEMD_LOG_LEVEL": "warning",
}
# $1: the cgroup to live in; $2: overlay or plain; $3 tree below, $4 changes, $5 work, $6 root.
_START = """
set -eu
echo 0 > "$1/cgroup.procs"
if [ "$2" = overlay ]; then
    mount -t overlay machine -o "lowerdir=$3,upperdir=$4,workdir=$5" "$6"
fi
shift 6
exec systemd-nspawn "$@"
"""
_INSIDE = """echo 0 > "$1/cgroup.procs"; shift; exec "$@" """
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Machine:
    """One machine; `boot` and `stop` may be called in turn, its tree stays until `close`.

    Attributes:
        console: What its console said, for a reader of a failure.
    """

    def __init__(self) -> None:
        self.name = f"gpusched-test-{secrets.token_hex(4)}"
        self._folder = Path(tempfile.mkdtemp(prefix=f"{self.name}-", dir="/var/tmp"))
        self.console = self._folder / "console.log"
        self._root = self._folder / "root"
        for name in ("changes", "work", "root"):
            (self._folder / name).mkdir(mode=0o755)
        mount = capabilities.cgroup2_mount()
        assert mount is not None
        self._cgroup = mount / self.name
        self._process: subprocess.Popen[bytes] | None = None
        self._leader: int | None = None
        self._payload = self._cgroup
        self._kind = "overlay" if self._overlay_works() else "plain"
        if self._kind == "plain":
            source = f"{rootfs.rootfs()}/."
            _host("cp", "-a", "--reflink=auto", source, str(self._root))

    @property
    def leader(self) -> int:
        """Pid of its first process, as the host counts.

        Raises:
            Failed: It is not running.
        """
        if self._leader is None:
            raise Failed("the machine is not running")
        return self._leader

    def boot(self) -> None:
        """Start it; return when everything that starts at boot has started, or has failed.

        Raises:
            Failed: Not in time.
        """
        self._cgroup.mkdir()
        base, changes, work = rootfs.rootfs(), self._folder / "changes", self._folder / "work"
        places = [self._cgroup, self._kind, base, changes, work, self._root]
        # A PID namespace around nspawn: where this process is killed, unshare is, then nspawn, and
        # with the first process of that namespace every other in it.
        start = ["unshare", "--mount", "--propagation=private", "--pid", "--fork", "--mount-proc"]
        start += ["--kill-child", "sh", "-c", _START, "sh"]
        command = ["setpriv", "--pdeathsig=KILL", *start, *map(str, places), *self._words()]
        with self.console.open("ab") as console:
            self._process = subprocess.Popen(  # noqa: S603 - our own words
                command,
                env=os.environ | _ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
            )
        self._until(BOOT_SECONDS, "boot", self._find_leader)
        self._until(BOOT_SECONDS, "boot", self._is_up)

    def run(
        self, argv: Sequence[str], user: str | None = None, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in it, as root or as *user*, outside any unit; its code is not judged.

        Raises:
            subprocess.TimeoutExpired: It took longer than `RUN_SECONDS`, and was killed.
        """
        return subprocess.run(  # noqa: S603 - a test's own words
            self.command(argv, user),
            input=stdin,
            stdin=None if stdin is not None else subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
            env=self.environment(),
            check=False,
        )

    def told(self, *argv: str) -> str:
        """Run a command that must succeed; give what it prints, without the last newline.

        Raises:
            Failed: It did not succeed.
        """
        done = self.run(argv)
        if done.returncode:
            raise Failed(f"`{' '.join(argv)}` ended with {done.returncode}: {done.stderr}")
        return done.stdout.rstrip("\n")

    def command(self, argv: Sequence[str], user: str | None = None) -> list[str]:
        """Give the words that run *argv* in it when the host runs them (with `environment`)."""
        # nsenter keeps the cgroup of the caller, which does not exist in the machine.
        visitor = self._payload / "visitor"
        visitor.mkdir(exist_ok=True)
        entering = ["nsenter", f"--target={self.leader}", "--all", "--"]
        becoming = []
        if user is not None:
            becoming = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--"]
        return ["sh", "-c", _INSIDE, "sh", str(visitor), *entering, *becoming, *argv]

    def environment(self) -> dict[str, str]:
        """Give the environment for `command`: nothing of the host's."""
        return {"PATH": _PATH, "LC_ALL": "C.UTF-8", "PYTHONPATH": f"{REPOSITORY}:{SITE}"}

    def put(self, source: Path, target: str, mode: int = 0o644) -> None:
        """Copy a file of the host into it.

        Raises:
            Failed: The machine refused it.
        """
        argv = ["install", "-D", f"--mode={mode:o}", "/dev/stdin", target]
        with source.open("rb") as content:
            done = subprocess.run(  # noqa: S603 - our own words
                self.command(argv),
                stdin=content,
                capture_output=True,
                timeout=RUN_SECONDS,
                env=self.environment(),
                check=False,
            )
        if done.returncode:
            raise Failed(f"{target}: {done.stderr.decode()}")

    def cgroup(self, path: str) -> Path:
        """Give the folder on the host of a cgroup that the machine calls *path*."""
        return self._payload / path.lstrip("/")

    def stop(self) -> None:
        """Power it off, or end it the hard way; its tree is kept for the next `boot`."""
        if self._process is None:
            return
        if self._leader is not None:
            with contextlib.suppress(subprocess.TimeoutExpired, Failed):
                self.run(["systemctl", "--no-block", "poweroff"])
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = self._leader = None
        self._remove_cgroups()

    def close(self) -> None:
        """Stop it and remove all of it. Idempotent."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _words(self) -> list[str]:
        """Give the options of systemd-nspawn."""
        binds = {ROOT: REPOSITORY, rootfs.wheelhouse(): WHEELHOUSE, rootfs.site(): SITE}
        return [
            f"--directory={self._root}",
            f"--machine={self.name}",
            "--quiet",
            "--register=no",
            "--keep-unit",
            "--console=pipe",
            "--capability=all",
            "--private-network",
            "--resolv-conf=off",
            "--timezone=off",
            "--link-journal=no",
            *(f"--bind-ro={source}:{target}" for source, target in binds.items()),
            "--boot",
        ]

    def _overlay_works(self) -> bool:
        lower, upper = rootfs.rootfs(), self._folder / "changes"
        options = f"lowerdir={lower},upperdir={upper},workdir={self._folder / 'work'}"
        mount = ["mount", "-t", "overlay", "trial", "-o", options, str(self._root)]
        # In a namespace of its own: nothing to unmount.
        done = subprocess.run(  # noqa: S603 - our own words
            ["unshare", "--mount", "--propagation=private", *mount],  # noqa: S607 - of util-linux
            capture_output=True,
            check=False,
        )
        return done.returncode == 0

    def _find_leader(self) -> bool:
        """Look for nspawn's child that is the first process of a PID namespace."""
        assert self._process is not None
        for pid in _children(self._process.pid):
            with contextlib.suppress(OSError, StopIteration):
                status = Path(f"/proc/{pid}/status").read_text().splitlines()
                numbers = next(line for line in status if line.startswith("NSpid:")).split()
                places = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
                place = next(line for line in places if line.startswith("0::"))
                if numbers[-1] == "1" and place.endswith("/init.scope"):
                    self._leader = pid
                    mount = self._cgroup.parent
                    self._payload = (mount / place[3:].lstrip("/")).parent
                    return True
        return False

    def _is_up(self) -> bool:
        return self.run(["systemctl", "is-system-running"]).stdout.strip() in _UP

    def _until(self, seconds: float, what: str, done: Callable[[], bool]) -> None:
        with contextlib.suppress(Failed):
            for _ in waiting(seconds, what):
                if done():
                    return
                if self._process is None or self._process.poll() is not None:
                    break
        said = self.console.read_text(errors="replace")[-2000:]
        raise Failed(f"the machine did not {what} within {seconds:.0f} s:\n{said}")

    def _remove_cgroups(self) -> None:
        """Remove the cgroups made for it, in every tree that the host has; the deepest first."""
        for tree in {self._cgroup, *Path("/sys/fs/cgroup").glob(f"*/{self.name}")}:
            for folder, _, _ in os.walk(tree, topdown=False):
                with contextlib.suppress(FileNotFoundError):
                    Path(folder).rmdir()


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(
            OSError
        ):  # it ended meanwhile: a machine that boots has many such
            found += map(int, path.read_text().split())
    return [*found, *(one for child in found for one in _children(child))]


def _host(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - our own words
