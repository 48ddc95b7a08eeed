"""The watch on cgroups: the last exit is heard at once, whoever was the last."""

import asyncio
import functools
import os
import statistics
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpusched.adapters.cgroup.emptiness import Emptiness
from gpusched.adapters.cgroup.hierarchy import Hierarchy
from gpusched.core.enforcement import LeaseCgroup
from tests.descriptors import descriptors
from tests.fakes.waiting import until
from tests.ports.cgroup_worlds import RealCgroups

pytestmark = pytest.mark.root


@pytest.fixture
def cgroups() -> Iterator[RealCgroups]:
    with RealCgroups() as made:
        yield made


def lease_cgroup(cgroups: RealCgroups, path: str) -> LeaseCgroup:
    return LeaseCgroup(path, cgroups.folder(path).stat().st_ino, made=True)


def started(cgroups: RealCgroups, path: str, script: str) -> subprocess.Popen[bytes]:
    """A shell that is in the cgroup and runs *script*."""
    command = ["sh", "-c", f"read -r line; {script}"]
    shell = subprocess.Popen(command, stdin=subprocess.PIPE, bufsize=0)  # noqa: S603 -- our words
    (cgroups.folder(path) / "cgroup.procs").write_text(str(shell.pid))
    assert shell.stdin is not None
    shell.stdin.write(b"go\n")
    return shell


def finish(shell: subprocess.Popen[bytes]) -> None:
    """Let a shell read the end of its input, and reap it."""
    shell.communicate(timeout=10)
    assert shell.returncode is not None


async def test_a_daemonised_child_is_waited_for(cgroups: RealCgroups, tmp_path: Path) -> None:
    """A cgroup is empty when the last process has ended, also one that left its session."""
    path, pipe = cgroups.make(), tmp_path / "pipe"
    os.mkfifo(pipe)
    watch, told = Emptiness(Hierarchy(cgroups.mount)), []
    shell = started(cgroups, path, f"setsid sh -c 'read -r line < {pipe}' &")
    finish(shell)
    watch.follow(lease_cgroup(cgroups, path), lambda: told.append(1))
    await asyncio.sleep(0.02)
    assert told == []
    pipe.write_text("end\n")
    await until(lambda: told == [1])
    watch.close()


async def test_a_cgroup_that_fills_again_is_told_again(cgroups: RealCgroups) -> None:
    """Each time that the last process ends is told, however short its life was."""
    path = cgroups.make()
    watch, told = Emptiness(Hierarchy(cgroups.mount)), []
    watch.follow(lease_cgroup(cgroups, path), lambda: told.append(1))
    await until(lambda: len(told) == 1)
    for _ in range(2):
        told.clear()
        finish(started(cgroups, path, "true"))
        await until(lambda: bool(told))
    watch.close()


async def test_a_cgroup_removed_by_hand_is_noticed(cgroups: RealCgroups) -> None:
    """Whoever follows a cgroup hears that it is gone, also when another gets its name."""
    path = cgroups.make()
    cgroup = lease_cgroup(cgroups, path)
    watch, told = Emptiness(Hierarchy(cgroups.mount)), []
    watch.follow(cgroup, lambda: told.append(1))
    await until(lambda: len(told) == 1)
    cgroups.remove(path)
    cgroups.folder(path).mkdir()
    await until(lambda: len(told) == 2)
    watch.follow(cgroup, lambda: told.append(1))
    await until(lambda: len(told) == 3)
    watch.close()


async def test_nobody_is_told_after_forgetting(cgroups: RealCgroups) -> None:
    """A forgotten cgroup is told of no more, its neighbours are, and no descriptor is left."""
    first, second = cgroups.make(), cgroups.make()
    before = descriptors()
    watch = Emptiness(Hierarchy(cgroups.mount))
    told: list[str] = []
    shells = [started(cgroups, path, "read -r line") for path in (first, second)]
    for path in (first, second):
        watch.follow(lease_cgroup(cgroups, path), functools.partial(told.append, path))
    watch.forget(lease_cgroup(cgroups, first).inode)
    for shell in shells:
        finish(shell)
    # What fills and empties within moments may be told more than once.
    await until(lambda: second in told)
    before_the_end = len(told)
    cgroups.remove(second)
    await until(lambda: len(told) > before_the_end)
    assert set(told) == {second}
    watch.close()
    watch.close()
    assert descriptors() <= before


async def test_the_last_exit_is_heard_within_100_ms(cgroups: RealCgroups) -> None:
    """Of fifty last exits, 49 are heard within a tenth of a second."""
    path = cgroups.make()
    watch, heard = Emptiness(Hierarchy(cgroups.mount)), asyncio.Event()
    watch.follow(lease_cgroup(cgroups, path), heard.set)
    await heard.wait()
    times = []
    for _ in range(50):
        shell = started(cgroups, path, "read -r line")
        heard.clear()
        shell.kill()
        begun = time.perf_counter()
        await asyncio.wait_for(heard.wait(), 10)
        times.append(time.perf_counter() - begun)
        finish(shell)
    watch.close()
    assert statistics.quantiles(times, n=50)[-1] < 0.1
