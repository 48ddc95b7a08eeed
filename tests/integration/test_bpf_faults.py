"""Specification: what the kernel refuses is one sentence, and what was there is there still."""

import errno
import gc
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gpusched.adapters.cgroup import bpf
from gpusched.adapters.cgroup.bpf_call import MAX_PROGRAMS, Command
from gpusched.adapters.cgroup.device_program import encode
from gpusched.adapters.cgroup.programs import Programs
from gpusched.ports import EnforceError
from tests.fakes.device_world import cgroup, mask_allowing
from tests.fakes.refusing_kernel import refused

pytestmark = pytest.mark.root

ROOT = Path(__file__).parents[2]
OLD, NEW = mask_allowing(1), mask_allowing(2)
REFUSALS = [
    (Command.PROGRAM_LOAD, errno.ENOMEM, "out of memory"),
    (Command.PROGRAM_LOAD, errno.ENOSPC, "No space left on device"),
    (Command.PROGRAM_LOAD, errno.EAGAIN, "Resource temporarily unavailable"),
    (Command.PROGRAM_LOAD, errno.EPERM, "needs CAP_SYS_ADMIN, or root"),
    (Command.PROGRAM_LOAD, errno.EINVAL, "device programs need Linux 4.15"),
    (Command.PROGRAM_LOAD, errno.ENOSYS, "built without bpf(2), or a seccomp filter forbids it"),
    (Command.ATTACH, errno.EINVAL, "replacing a program without a gap needs Linux 5.6"),
    (Command.ATTACH, errno.ENOSPC, "No space left on device"),
    (Command.PROGRAM_BY_ID, errno.EPERM, "needs CAP_SYS_ADMIN, or root"),
    (Command.QUERY, errno.EFAULT, "Bad address"),
]

_NOBODYS_TRIAL = """
import os, sys
from pathlib import Path
from gpusched.adapters.cgroup.programs import Programs
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
print(Programs().obstacle(Path(sys.argv[1])))
"""


@pytest.fixture
def programs() -> Iterator[Programs]:
    """Those of one daemon."""
    made = Programs()
    yield made
    made.close()


@pytest.fixture
def folder(programs: Programs) -> Iterator[Path]:
    """The cgroup of a lease that has the mask `OLD`."""
    with cgroup() as made:
        programs.apply(made, OLD)
        yield made


@contextmanager
def attached_alone(folder: Path, flags: int) -> Iterator[None]:
    """Attach a program of somebody who does not use BPF_F_ALLOW_MULTI."""
    descriptor, program = os.open(folder, os.O_RDONLY), bpf.load_program(encode(OLD), "foreign")
    try:
        bpf._attach(descriptor, program, flags, 0)
        yield
    finally:
        os.close(program)
        os.close(descriptor)


@contextmanager
def free_descriptors(count: int) -> Iterator[None]:
    """Let this process open *count* more files and none after them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # What an earlier test let go of may hold files that would be closed while this counts on them.
    gc.collect()
    free = (number for number in range(soft) if not Path(f"/proc/self/fd/{number}").is_symlink())
    limit = [next(free) for _ in range(count + 1)][-1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def is_sentence(text: str) -> bool:
    """Whether it is one line that begins with what failed."""
    begins = re.match(r"the devices of /\S+ cannot be masked: the (kernel|cgroup|daemon) ", text)
    return begins is not None and "\n" not in text


@pytest.mark.parametrize(("command", "number", "words"), REFUSALS)
def test_a_refusal_is_a_sentence(
    programs: Programs, folder: Path, command: Command, number: int, words: str
) -> None:
    """Each refusal of bpf(2) is told in one line with what to do, and the old mask holds."""
    error = refused(command, number, lambda: programs.apply(folder, NEW))
    assert isinstance(error, EnforceError)
    assert is_sentence(str(error))
    assert words in str(error)
    assert programs.digest(folder) == OLD.digest
    programs.apply(folder, NEW)
    assert programs.digest(folder) == NEW.digest


def test_what_does_not_stand_is_told(programs: Programs, folder: Path) -> None:
    """A program that is not there after the kernel said it was attached is never taken for one."""
    error = refused(Command.ATTACH, 0, lambda: programs.apply(folder, NEW))
    assert isinstance(error, EnforceError)
    assert "vanished as soon as it was attached: another program manages" in str(error)
    assert "\n" not in str(error)


def _apply(programs: Programs, folder: Path) -> None:
    programs.apply(folder, NEW)


def _remove(programs: Programs, folder: Path) -> None:
    programs.remove(folder)


def _digest(programs: Programs, folder: Path) -> None:
    programs.digest(folder)


@pytest.mark.parametrize("work", [_apply, _remove, _digest])
@pytest.mark.parametrize("count", [0, 1])  # the cgroup takes one, a program another
def test_too_many_open_files_is_a_sentence(
    programs: Programs, folder: Path, count: int, work: Callable[[Programs, Path], None]
) -> None:
    """Where no file can be opened the daemon says so, and the old mask holds."""
    with free_descriptors(count), pytest.raises(EnforceError) as raised:
        work(programs, folder)
    assert is_sentence(str(raised.value))
    assert "raise LimitNOFILE" in str(raised.value)
    assert programs.digest(folder) == OLD.digest


@pytest.mark.parametrize("command", [Command.DETACH, Command.QUERY])
def test_what_cannot_be_removed_is_told(
    programs: Programs, folder: Path, command: Command
) -> None:
    """A program that stays although it should go is one sentence."""
    error = refused(command, errno.EPERM, lambda: programs.remove(folder))
    assert isinstance(error, EnforceError)
    assert is_sentence(str(error))


def test_a_vanished_cgroup_is_told(programs: Programs, folder: Path) -> None:
    """A cgroup that was removed by hand cannot be masked, and the user is told why."""
    folder.rmdir()
    with pytest.raises(EnforceError, match="the cgroup is gone; attach again"):
        programs.apply(folder, NEW)


def test_a_folder_that_is_no_cgroup_is_told(programs: Programs, tmp_path: Path) -> None:
    """A directory of another file system cannot be masked, and the trial says so as well."""
    with pytest.raises(EnforceError, match="what was named is no cgroup2 directory"):
        programs.apply(tmp_path, NEW)
    assert "what was named is no cgroup2 directory" in str(programs.obstacle(tmp_path))
    assert "No such file or directory" in str(programs.obstacle(tmp_path / "absent"))
    assert list(tmp_path.iterdir()) == []


def test_where_others_forbid_programs_the_obstacle_is_named(programs: Programs) -> None:
    """Below a program that tolerates none beside it, as in a Slurm step, the trial says so."""
    with cgroup() as step, attached_alone(step, flags=0):
        assert "forbids more of them (as in a Slurm step)" in str(programs.obstacle(step))
        assert [one for one in step.iterdir() if one.is_dir()] == []


def test_a_full_cgroup_is_told(programs: Programs) -> None:
    """Where the cgroup has as many programs as it can, ours cannot come in, and that is said."""
    with cgroup() as full:
        for _ in range(MAX_PROGRAMS):
            with attached_alone(full, flags=bpf._ALLOW_MULTI):
                pass
        with pytest.raises(EnforceError, match="carries 64 programs, the most it can"):
            programs.apply(full, NEW)
        assert programs.digest(full) is None


def test_without_the_rights_the_obstacle_is_named() -> None:
    """A daemon that is not root learns by the trial what it lacks."""
    with cgroup() as folder:
        os.chown(folder, 65534, 65534)
        command = [sys.executable, "-c", _NOBODYS_TRIAL, str(folder)]
        said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603 - our own program
    obstacle = said.stdout.splitlines()[-1]
    assert is_sentence(obstacle)
    assert "needs CAP_SYS_ADMIN, or root" in obstacle


def test_what_cannot_be_opened_again_is_an_obstacle(programs: Programs, folder: Path) -> None:
    """Where a program can be attached but not opened again to be replaced, the trial says so."""
    said: list[str | None] = []

    def trial() -> None:
        said.append(programs.obstacle(folder))

    assert refused(Command.PROGRAM_BY_ID, errno.EPERM, trial) is None
    assert said[0] is not None
    assert is_sentence(said[0])
    assert [one for one in folder.iterdir() if one.is_dir()] == []
