"""A process that opens what it is told to, and the cgroups that tests put it in.

It is started in any way (by `gpusched run`, as another user, in a container) and says of each open
how it ended: no driver answers for the simulator's nodes, so what the kernel allows is ENXIO, and
what it denies EPERM, or EACCES by Landlock.
"""

import contextlib
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests import capabilities
from tools.stage import END_SECONDS, GPUSCHED, waiting

DENIED: Final = "EPERM"
DENIED_BY_ITSELF: Final = "EACCES"
NO_DRIVER: Final = "ENXIO"
OPENED: Final = "ok"

RUN: Final = (str(GPUSCHED), "run")
# What is under a lease may not see the project, if it belongs to another user.
_PYTHON: Final = (sys.executable, "-I", "-S", "-c")

_PROGRAM: Final = """
import ctypes, errno, os, signal, stat, sys

def act(verb, words):
    if verb == "open":
        os.close(os.open(words[0], os.O_RDWR))
    elif verb == "hold":
        os.open(words[0], os.O_PATH)  # without a driver no other descriptor of it can be had
    elif verb == "mknod":
        os.mknod(words[1], stat.S_IFCHR | 0o666, os.makedev(int(words[0]), int(words[1][-1])))
        os.unlink(words[1])
    elif verb == "child":
        ours, theirs = os.pipe()
        child = os.fork()
        if child:
            return child
        os.close(theirs)
        os.closerange(0, 2)
        os.read(ours, 1)  # until its parent has ended
        os._exit(0)
    elif verb == "newuser":
        uid = os.getuid()
        if ctypes.CDLL(None, use_errno=True).unshare(0x10000000):
            raise OSError(ctypes.get_errno(), "unshare")
        open("/proc/self/uid_map", "w").write(f"0 {uid} 1")
        return os.getuid()
    elif verb == "detach":
        for turn in range(2):
            if os.fork():
                os._exit(0)
            os.setsid() if not turn else None
        return os.getpid()
    elif verb == "uids":
        os.setresuid(*map(int, words))
    elif verb == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif verb == "cgroup":
        return open("/proc/self/cgroup").read().splitlines()[-1][3:]
    elif verb == "pid":
        return os.getpid()
    return "ok"

for line in sys.stdin:
    verb, *words = line.split()
    try:
        answer = act(verb, words)
    except OSError as error:
        answer = errno.errorcode[error.errno]
    print(answer, flush=True)
"""


class Opener:
    """A process that does what it is told, a line at a time; it ends with the `with` block.

    Args:
        environment: All of it.
        before: What starts it: a command that becomes, or runs, the words behind it.
    """

    def __init__(self, environment: Mapping[str, str], *before: str) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            [*before, *_PYTHON, _PROGRAM],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            self.pid = int(self.does("pid"))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End it, and wait until whatever it has become has ended, too."""
        try:
            self._process.communicate(timeout=END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise

    def kill(self) -> None:
        """End it by SIGKILL."""
        self._process.kill()
        self._process.wait()

    def killed_by(self) -> int | None:
        """Give the signal that has ended it; None while it lives."""
        code = self._process.poll()
        return None if code is None else -code

    def does(self, verb: str, *words: object) -> str:
        """Have it do something; give what it answers, or the name of its error."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(verb, *words, file=self._process.stdin, flush=True)
        answer = self._process.stdout.readline().strip()
        assert answer, f"ended with {self._process.wait()} instead of an answer to {verb}"
        return answer

    def opens(self, *paths: Path) -> list[str]:
        """Have it open each path; say how each open ended."""
        return [self.does("open", path) for path in paths]


def as_user(uid: int) -> tuple[str, ...]:
    """Give what starts a command as an ordinary user who may read the project wherever it lies."""
    capability = "-all,+dac_read_search"
    return (
        "setpriv",
        *(f"--reuid={uid}", f"--regid={uid}", "--clear-groups"),
        *(f"--inh-caps={capability}", f"--ambient-caps={capability}"),
    )


def gpu_nodes(state: Path, *indices: int) -> list[Path]:
    """Give the paths of the simulator's GPU nodes."""
    return [state / "simulator/dev" / f"nvidia{one}" for one in indices]


@contextlib.contextmanager
def cgroup(name: str = "", parent: Path | None = None) -> Iterator[Path]:
    """Make a cgroup, below *parent* or the root; at the end nothing of it is left."""
    above = parent or capabilities.cgroup2_mount()
    assert above is not None
    folder = above / (name or f"gpusched-test-{secrets.token_hex(4)}")
    folder.mkdir()
    try:
        yield folder
    finally:
        remove_cgroup(folder)


def remove_cgroup(folder: Path) -> None:
    """End whom a failed test has left in a cgroup, and remove it with those below it."""
    with contextlib.suppress(OSError):  # it is gone, or of cgroup v1
        (folder / "cgroup.kill").write_text("1")
    folders = [Path(one) for one, _, _ in os.walk(folder, topdown=False)]
    for one in folders:
        for _ in waiting(5, f"{one} to be empty"):
            try:
                one.rmdir()
            except FileNotFoundError:
                break
            except OSError:
                continue
            break


def path_of(folder: Path) -> str:
    """Give a cgroup's path from the root of the hierarchy, as gpusched says it."""
    mount = capabilities.cgroup2_mount()
    assert mount is not None
    return f"/{folder.relative_to(mount)}"


def starting_in(folder: Path) -> tuple[str, ...]:
    """Give what starts a command in a cgroup."""
    return ("sh", "-c", 'echo $$ > "$0"/cgroup.procs && exec "$@"', str(folder))
