"""Specification: in a cgroup with a mask the kernel denies what is not leased, and only that."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpusched.adapters.cgroup import bpf
from gpusched.adapters.cgroup.device_program import encode
from gpusched.adapters.cgroup.programs import PROBE_NAME, Programs
from gpusched.core.mask import Mask
from tests.fakes.device_world import Opener, cgroup, make_nodes, mask_allowing

pytestmark = pytest.mark.root

DENIED, ALLOWED = "EPERM", "ENXIO"
ROOT = Path(__file__).parents[2]
LONG = 20.0  # seconds; only a failing test ever waits so long

_OTHER_DAEMON = """
import signal, sys
from pathlib import Path
from gpusched.adapters.cgroup.programs import Programs
from tests.fakes.device_world import mask_allowing
Programs().apply(Path(sys.argv[1]), mask_allowing(2))
print("applied", flush=True)
signal.pause()
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
    """The device nodes 0 to 3."""
    return make_nodes(tmp_path, 4)


def attached(folder: Path) -> tuple[int, ...]:
    """The ids of all programs at a cgroup."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        return bpf.query(descriptor)
    finally:
        os.close(descriptor)


def attach_foreign(folder: Path, mask: Mask, name: str) -> None:
    """Attach a program that is not one of ours, whatever it is called."""
    descriptor, program = os.open(folder, os.O_RDONLY), bpf.load_program(encode(mask), name)
    try:
        bpf.attach(descriptor, program)
    finally:
        os.close(program)
        os.close(descriptor)


def test_what_is_not_leased_is_denied(programs: Programs, folder: Path, nodes: list[Path]) -> None:
    """In a lease on device 2 of 4 the others cannot be opened nor made, and all else can."""
    programs.apply(folder, mask_allowing(2))
    with Opener(folder) as opener:
        for verb in ("read", "write"):
            found = [opener.tries(verb, node) for node in nodes]
            assert found == [DENIED, DENIED, ALLOWED, DENIED]
        assert [opener.tries("mknod", node) for node in nodes] == [DENIED, DENIED, "ok", DENIED]
        assert opener.reads([Path("/dev/null"), Path("/dev/urandom")]) == ["ok", "ok"]


def test_a_cgroup_below_is_under_the_mask(
    programs: Programs, folder: Path, nodes: list[Path]
) -> None:
    """The mask holds in every cgroup below, and a wider one of its own does not help."""
    programs.apply(folder, mask_allowing(2))
    with cgroup(folder) as inner:
        programs.apply(inner, mask_allowing(0, 2))
        with Opener(inner) as opener:
            assert opener.reads(nodes) == [DENIED, DENIED, ALLOWED, DENIED]


def test_outside_nothing_changes(programs: Programs, folder: Path, nodes: list[Path]) -> None:
    """A cgroup beside the lease's opens what it could open before."""
    programs.apply(folder, mask_allowing())
    with cgroup() as other, Opener(other) as opener:
        assert opener.reads(nodes) == [ALLOWED] * 4


def test_a_new_mask_takes_the_place_of_the_old(
    programs: Programs, folder: Path, nodes: list[Path]
) -> None:
    """After a change only the new mask holds, for processes that run already too."""
    programs.apply(folder, mask_allowing(2))
    with Opener(folder) as opener:
        programs.apply(folder, mask_allowing(0, 1))
        assert opener.reads(nodes) == [ALLOWED, ALLOWED, DENIED, DENIED]
    assert len(attached(folder)) == 1


def test_the_digest_tells_which_mask_it_is(programs: Programs, folder: Path) -> None:
    """The kernel is the record: any process can read there which mask a cgroup has."""
    assert programs.digest(folder) is None
    for mask in (mask_allowing(2), mask_allowing()):
        programs.apply(folder, mask)
        assert programs.digest(folder) == mask.digest


def test_the_mask_outlives_its_daemon(programs: Programs, folder: Path, nodes: list[Path]) -> None:
    """After `kill -9` of the daemon the mask holds; the next daemon puts its own in its place."""
    with subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-c", _OTHER_DAEMON, str(folder)], stdout=subprocess.PIPE, cwd=ROOT
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"applied\n"
        other.send_signal(signal.SIGKILL)
        other.wait(LONG)
    with Opener(folder) as opener:
        assert opener.reads(nodes) == [DENIED, DENIED, ALLOWED, DENIED]
        assert programs.denied() == ()  # they went to the one that is dead
        (before,) = attached(folder)
        programs.apply(folder, mask_allowing(2))
        (after,) = attached(folder)
        assert after != before
        assert opener.reads(nodes) == [DENIED, DENIED, ALLOWED, DENIED]
    assert len(programs.denied()) == 3


def test_programs_of_others_are_left_alone(
    programs: Programs, folder: Path, nodes: list[Path]
) -> None:
    """Beside a program of somebody else ours comes, is replaced and goes; his denials stay."""
    attach_foreign(folder, mask_allowing(0, 2), "sd_devices")
    attach_foreign(folder, mask_allowing(0, 2, 3), "gs_guard")
    foreign = attached(folder)
    programs.remove(folder)
    with Opener(folder) as opener:
        for mask in (mask_allowing(2), mask_allowing(2, 3)):
            programs.apply(folder, mask)
            assert len(attached(folder)) == 3
            assert opener.reads(nodes) == [DENIED, DENIED, ALLOWED, DENIED]
        programs.remove(folder)
        assert opener.reads(nodes) == [ALLOWED, DENIED, ALLOWED, DENIED]
    assert attached(folder) == foreign
    assert programs.digest(folder) is None


def test_of_two_of_ours_one_stays(programs: Programs, folder: Path) -> None:
    """Where two programs of ours are attached the next mask takes the place of both."""
    attach_foreign(folder, mask_allowing(0), f"gs_{mask_allowing(0).digest}")
    attach_foreign(folder, mask_allowing(1), f"gs_{mask_allowing(1).digest}")
    programs.apply(folder, mask_allowing(2))
    assert len(attached(folder)) == 1
    assert programs.digest(folder) == mask_allowing(2).digest


def test_what_is_gone_needs_no_removal(programs: Programs, folder: Path) -> None:
    """Removing an absent program, or one of an absent cgroup, is no error and can be repeated."""
    programs.apply(folder, mask_allowing())
    for _ in range(2):
        programs.remove(folder)
        assert attached(folder) == ()
    folder.rmdir()
    programs.remove(folder)
    assert programs.digest(folder) is None


def test_no_descriptor_stays_open(programs: Programs, folder: Path) -> None:
    """Whatever is done with a cgroup, no descriptor of it or of its program is kept."""
    before = sorted(Path("/proc/self/fd").iterdir())
    for _ in range(3):
        programs.apply(folder, mask_allowing(1))
        programs.digest(folder)
    programs.remove(folder)
    assert sorted(Path("/proc/self/fd").iterdir()) == before


def test_where_programs_can_be_had_there_is_no_obstacle(programs: Programs, folder: Path) -> None:
    """The trial loads, attaches and replaces one; neither it nor a killed one leaves anything."""
    (folder / PROBE_NAME).mkdir()
    assert programs.obstacle(folder) is None
    assert [one for one in folder.iterdir() if one.is_dir()] == []
    assert attached(folder) == ()
