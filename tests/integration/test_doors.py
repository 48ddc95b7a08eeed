"""The public socket's folder: whose it may be."""

import os
from pathlib import Path

import pytest

from gpusched.rpc.front import FrontLimits
from gpusched.rpc.host import Host
from gpusched.web.doors import Facing, PublicDoors
from tests.fakes.authority import FakeAuthority
from tests.fakes.builders import sample
from tests.fakes.clock import FakeClock, FakeIds
from tests.fakes.processes import FakeProcessTable
from tests.fakes.sampler import FakeSampler
from tests.fakes.units import FakeUnits


def doors_at(socket: Path, clock: FakeClock) -> PublicDoors:
    host = Host("here", "1", str(socket), "b", 1, 8, 1 << 30)
    everybody = FrontLimits()
    facing = Facing(
        clock,
        FakeIds(),
        FakeProcessTable(),
        host,
        FakeSampler(),
        FakeUnits(),
        lambda *_: False,
        everybody,
    )
    return PublicDoors(socket, facing)


async def test_open_and_close(socket_folder: Path) -> None:
    """The folder is made, the socket is there while the doors are open, and closing repeats."""
    clock = FakeClock()
    socket = socket_folder / "run" / "g.sock"
    doors = doors_at(socket, clock)
    await doors.open(FakeAuthority(clock, sample))
    assert socket.is_socket()
    await doors.close()
    await doors.close()
    assert not socket.exists()


@pytest.mark.root
async def test_folder_of_another_user(socket_folder: Path) -> None:
    """A folder that belongs to another user is refused: he could put a socket of his own there."""
    clock = FakeClock()
    os.chown(socket_folder, 65534, 65534)
    doors = doors_at(socket_folder / "g.sock", clock)
    with pytest.raises(PermissionError, match="belongs to another user"):
        await doors.open(FakeAuthority(clock, sample))
    await doors.close()
