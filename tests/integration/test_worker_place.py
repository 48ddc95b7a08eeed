"""Which of its siblings a worker is, found out by real processes."""

import socket
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from gpusched.client import worker_number, worker_place
from gpusched.client.worker_number import lowest_free
from tests.descriptors import descriptors

_FAMILY = """
import os, signal, sys
from gpusched.client.worker_place import identity, place

def worker():
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        found = place()
        assert place() == found
        os.write(theirs, f"{found.group} {found.number}".encode())
        signal.pause()
    said = os.read(ours, 4096).decode().split()
    assert said[0] == f"{os.getuid()}/{identity()}"
    return child, int(said[1])

def end(child):
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)

workers = [worker() for _ in range(3)]
print(*(number for _, number in workers))
end(workers[1][0])
workers[1] = worker()
print(workers[1][1])
if os.fork() == 0:
    cousins = [worker() for _ in range(2)]
    print(*(number for _, number in cousins), flush=True)
    for child, _ in cousins:
        end(child)
    os._exit(0)
os.wait()
for child, _ in workers:
    end(child)
"""


def test_a_replacement_gets_the_number_of_who_has_ended() -> None:
    """Workers of one parent count from 0; another's children are counted for themselves."""
    words = [sys.executable, "-u", "-c", _FAMILY]
    done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603 - our own program
    assert done.returncode == 0, done.stderr
    first, replaced, cousins = done.stdout.splitlines()
    assert (first, replaced, cousins) == ("0 1 2", "1", "0 1")


def test_a_parent_that_cannot_be_seen() -> None:
    """The first process of a container, whose parent is outside, and a child of a parent that is
    hidden have a place, too; and no process of another container is called like one here.
    """
    code = "from gpusched.client.worker_place import identity, place; print(place(), identity())"
    own = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    first = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]
    done = subprocess.run(  # noqa: S603 - our own program
        [*first, sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "/0.hidden." in done.stdout
    assert done.stdout.split(".")[-1] != own.stdout.split(".")[-1]


@pytest.fixture
def bentoml(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """BentoML as a worker of it has it loaded."""
    context = SimpleNamespace(worker_index=3, service_name="Svc")
    module = ModuleType("bentoml")
    vars(module)["server_context"] = context
    monkeypatch.setitem(sys.modules, "bentoml", module)
    return context


def test_bentoml_tells_its_workers(bentoml: SimpleNamespace) -> None:
    """BentoML's own number counts from 1, in each service for itself."""
    found = worker_place.place()
    assert found.number == 2
    assert found.group.endswith("/Svc")
    bentoml.service_name = "Other"
    assert worker_place.place().group.endswith("/Other")


def test_a_number_that_is_given(bentoml: SimpleNamespace) -> None:
    """What the worker says itself outweighs everything; in BentoML's parent there is no number."""
    assert worker_place.place(7).number == 7
    bentoml.worker_index = None
    assert worker_place.place(7) == worker_place.place(7)
    assert not worker_place.place(7).group.endswith("/Svc")


def number_of(group: str, most: int = 4) -> int:
    """The number that a process gets, which lets it go at once."""
    number, holder = lowest_free(group, most)
    holder.close()
    return number


def test_what_other_users_take_is_nobodys_number(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Names that another user has taken before leave a worker its number: it is held in a folder
    of the user's own.
    """
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with socket.socket(socket.AF_UNIX) as squatter:
        squatter.bind("\0gpusched/worker/squatted/0")
        number, holder = lowest_free("squatted", 4)
        assert (number, number_of("squatted"), number_of("another")) == (0, 1, 0)
    holder.close()
    assert number_of("squatted") == 0


def test_a_folder_that_others_can_write_to(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No number is held where others could take it away."""
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(shared))
    assert number_of("shared") == 0
    assert not [*shared.iterdir()]


@pytest.mark.parametrize("own", [True, False])
def test_more_workers_than_numbers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, own: bool
) -> None:
    """Where all numbers are held that is said, and nothing stays open; where no folder is the
    user's own it is the same.
    """
    folders = [str(tmp_path)] if own else ["/nonexistent"]
    monkeypatch.setattr(worker_number, "_own_folders", lambda _uid: iter(folders))
    held = [lowest_free("full", 2) for _ in range(2)]
    assert [number for number, _ in held] == [0, 1]
    before = descriptors()
    with pytest.raises(RuntimeError, match="more than 2 workers"):
        lowest_free("full", 2)
    assert descriptors() == before
    held[0][1].close()
    assert number_of("full", 2) == 0
    held[1][1].close()
