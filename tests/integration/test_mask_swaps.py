"""Specification: a mask is replaced under running processes without a gap in either direction."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gpusched.adapters.cgroup.programs import Programs
from tests.fakes.device_world import cgroup, make_nodes, mask_allowing

pytestmark = pytest.mark.root

SWAPS = 10_000

_BUSY = """
import errno, os, select, sys
procs, denied, allowed = sys.argv[1:]
open(procs, "w").write("0")
print("in", flush=True)
counts = {"denied": 0, "leaked": 0, "allowed": 0, "refused": 0}
def verdict(path):
    try:
        os.close(os.open(path, os.O_RDWR))
    except OSError as error:
        return error.errno
    return 0
while not select.select([0], [], [], 0)[0]:
    for _ in range(100):
        counts["denied" if verdict(denied) == errno.EPERM else "leaked"] += 1
        counts["allowed" if verdict(allowed) == errno.ENXIO else "refused"] += 1
print(*counts.values())
"""


@contextmanager
def busy(folder: Path, denied: Path, allowed: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process in the cgroup that opens both nodes until its input ends."""
    arguments = [str(folder / "cgroup.procs"), str(denied), str(allowed)]
    with subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-I", "-S", "-c", _BUSY, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in\n"
        try:
            yield process
        finally:
            process.kill()


def test_ten_thousand_swaps_no_gap(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """While masks change no denied open succeeds and no allowed one is refused."""
    never, always, *_ = make_nodes(tmp_path, 4)
    masks = (mask_allowing(1), mask_allowing(1, 2), mask_allowing(1, 2, 3))
    programs = Programs()
    with cgroup() as folder:
        programs.apply(folder, masks[0])
        with busy(folder, never, always) as opener:
            began = time.perf_counter()
            for number in range(SWAPS):
                programs.apply(folder, masks[number % 3])
                programs.denied()
            seconds = time.perf_counter() - began
            denied, leaked, allowed, refused = map(int, opener.communicate()[0].split())
    programs.close()
    record_property(
        "measured",
        f"{SWAPS} swaps in {seconds:.1f} s ({1e6 * seconds / SWAPS:.0f} us each): "
        f"{denied} opens denied, {leaked} leaked; {allowed} allowed, {refused} refused",
    )
    assert (leaked, refused) == (0, 0)
    assert min(denied, allowed) > SWAPS, "the opener was not busy"
