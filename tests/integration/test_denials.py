"""Specification: which process was denied which device is told, as far as the kernel knows it."""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpusched.adapters.cgroup import bpf
from gpusched.adapters.cgroup.bpf_call import Command
from gpusched.adapters.cgroup.device_program import Report
from gpusched.adapters.cgroup.programs import Programs
from gpusched.ports import DeniedOpen
from tests.fakes.device_world import MAJOR, Opener, cgroup, make_nodes, mask_allowing
from tests.fakes.refusing_kernel import refused

pytestmark = pytest.mark.root

ROOT = Path(__file__).parents[2]
MORE_THAN_FIT = 10_000

_DAEMON_IN_A_CONTAINER = """
import sys
from pathlib import Path
from gpusched.adapters.cgroup.programs import Programs
from tests.fakes.device_world import Opener, mask_allowing
programs, folder = Programs(), Path(sys.argv[1])
programs.apply(folder, mask_allowing())
with Opener(folder) as opener:
    assert opener.tries("read", Path(sys.argv[2])) == "EPERM"
    opened = opener.pid
print(*(one.pid for one in programs.denied()), opened)
"""


@pytest.fixture
def programs() -> Iterator[Programs]:
    """Those of one daemon."""
    made = Programs()
    yield made
    made.close()


@pytest.fixture
def folder() -> Iterator[Path]:
    """The cgroup of a lease."""
    with cgroup() as made:
        yield made


@pytest.fixture
def nodes(tmp_path: Path) -> list[Path]:
    """The device nodes 0 to 2."""
    return make_nodes(tmp_path, 3)


def test_a_denied_open_is_told_once(programs: Programs, folder: Path, nodes: list[Path]) -> None:
    """A denial names process, cgroup and device; what was allowed or told before is not told."""
    programs.apply(folder, mask_allowing(2))
    with Opener(folder) as opener:
        for _ in range(2):
            opener.reads(nodes)
            inode = folder.stat().st_ino
            assert set(programs.denied()) == {
                DeniedOpen(opener.pid, inode, MAJOR, 0),
                DeniedOpen(opener.pid, inode, MAJOR, 1),
            }
            assert programs.denied() == ()


def test_equal_denials_are_added_up(programs: Programs, folder: Path, nodes: list[Path]) -> None:
    """A worker that tries again and again is one entry with a count."""
    programs.apply(folder, mask_allowing(2))
    with Opener(folder) as opener:
        opener.tries("read", nodes[0], times=50)
        opener.tries("write", nodes[0], times=50)
        expected = DeniedOpen(opener.pid, folder.stat().st_ino, MAJOR, 0, count=100)
        assert programs.denied() == (expected,)


def test_a_denial_names_the_cgroup_whose_mask_it_is(
    programs: Programs, folder: Path, nodes: list[Path]
) -> None:
    """A process may be in a cgroup below; what is told is the one with the mask, the lease's."""
    programs.apply(folder, mask_allowing(2))
    with cgroup(folder) as inner, Opener(inner) as opener:
        opener.tries("read", nodes[0])
        assert [one.cgroup for one in programs.denied()] == [folder.stat().st_ino]


def test_two_leases_are_told_apart(programs: Programs, folder: Path, nodes: list[Path]) -> None:
    """One ring serves all leases of the daemon."""
    programs.apply(folder, mask_allowing(2))
    with cgroup() as other:
        programs.apply(other, mask_allowing(2))
        with Opener(folder) as first, Opener(other) as second:
            first.tries("read", nodes[0])
            second.tries("read", nodes[1])
            assert {(one.pid, one.cgroup, one.minor) for one in programs.denied()} == {
                (first.pid, folder.stat().st_ino, 0),
                (second.pid, other.stat().st_ino, 1),
            }


def test_a_full_ring_loses_denials_but_never_denies_less(
    programs: Programs, folder: Path, nodes: list[Path]
) -> None:
    """Beyond what fits denials are lost, each is still denied, and afterwards all is as before."""
    programs.apply(folder, mask_allowing(2))
    with Opener(folder) as opener:
        for _ in range(3):  # more than once around
            assert opener.tries("read", nodes[0], times=MORE_THAN_FIT) == "EPERM"
            (told,) = programs.denied()
            assert (told.pid, told.minor) == (opener.pid, 0)
            assert MORE_THAN_FIT / 2 < told.count < MORE_THAN_FIT
        opener.tries("read", nodes[1])
        (told,) = programs.denied()
        assert (told.minor, told.count) == (1, 1)


def test_an_older_kernel_tells_what_it_can(
    programs: Programs, folder: Path, nodes: list[Path]
) -> None:
    """Where the kernel refuses to name the process the denial is told without, and remembered."""
    unfit = bpf.map_create(bpf.MapKind.HASH, "gs_test", 1, key_size=8, size=8)
    try:
        whole, nameless, silent = programs._reports
        assert whole is not None
        # To push into a table is refused as an unknown function is: by the verifier, EINVAL.
        programs._reports = [Report(unfit), nameless, silent]
        programs.apply(folder, mask_allowing(2))
        assert programs._reports == [nameless, silent]
        with Opener(folder) as opener:
            assert opener.reads(nodes) == ["EPERM", "EPERM", "ENXIO"]
        assert [one.pid for one in programs.denied()] == [None, None]
        programs._reports = [Report(unfit), silent]
        programs.apply(folder, mask_allowing(2))
        with Opener(folder) as opener:
            assert opener.reads(nodes) == ["EPERM", "EPERM", "ENXIO"]
        assert programs.denied() == ()
    finally:
        os.close(unfit)


def test_a_daemon_in_a_container_names_no_process(folder: Path, nodes: list[Path]) -> None:
    """In a PID namespace of its own the kernel's number would name another process: it is None."""
    script = [sys.executable, "-c", _DAEMON_IN_A_CONTAINER, str(folder), str(nodes[0])]
    said = subprocess.run(  # noqa: S603 - our own program
        ["unshare", "--pid", "--fork", "--mount-proc", *script],  # noqa: S607 - as root
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    assert said.stdout.split()[-2] == "None"


def test_without_a_ring_masks_hold_in_silence(folder: Path, nodes: list[Path]) -> None:
    """Where the kernel has no ring buffer (before Linux 5.8) masks hold and nothing is told."""
    made: list[Programs] = []
    assert refused(Command.MAP_CREATE, errno.EINVAL, lambda: made.append(Programs())) is None
    (programs,) = made
    programs.apply(folder, mask_allowing(2))
    with Opener(folder) as opener:
        assert opener.reads(nodes) == ["EPERM", "EPERM", "ENXIO"]
    assert programs.denied() == ()
    programs.close()


def test_a_closed_ring_tells_nothing(folder: Path) -> None:
    """After the end nothing is told, closing again does nothing, and masks stay."""
    programs = Programs()
    programs.apply(folder, mask_allowing(2))
    for _ in range(2):
        programs.close()
    assert programs.denied() == ()
    assert programs.digest(folder) == mask_allowing(2).digest
