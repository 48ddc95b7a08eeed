"""The public face of a daemon over an authority in memory; real processes and cgroups."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gpusched.adapters.procfs import ProcfsProcessTable
from gpusched.rpc import allocating
from tests.integration.serving_rpc import Public, public
from tests.ports.cgroup_worlds import RealCgroups
from tests.ports.real_processes import RealProcesses


@pytest.fixture
async def face(socket_folder: Path) -> AsyncIterator[Public]:
    """Ask as an ordinary user."""
    async with public(socket_folder) as made:
        yield made


@pytest.fixture
async def admin_face(socket_folder: Path) -> AsyncIterator[Public]:
    """Ask as an administrator."""
    async with public(socket_folder, lambda _uid, _gid: True) as made:
        yield made


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have who waits told of his place without a pause."""
    monkeypatch.setattr(allocating, "NEWS_EVERY", 0.01)


@pytest.fixture
def table() -> ProcfsProcessTable:
    return ProcfsProcessTable()


@pytest.fixture
def cgroups() -> Iterator[RealCgroups]:
    with RealCgroups() as made:
        yield made


# After the cgroups: its processes end before those are removed.
@pytest.fixture
def processes(request: pytest.FixtureRequest) -> Iterator[RealProcesses]:
    if request.node.get_closest_marker("root"):
        request.getfixturevalue("cgroups")
    with RealProcesses() as made:
        yield made
