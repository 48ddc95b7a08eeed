"""The public face of the daemon over an authority in memory, for the tests that ask it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.serving_rpc import Public, public


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
