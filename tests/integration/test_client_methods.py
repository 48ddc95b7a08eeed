"""Every method of the clients calls the method of the API that it is named after."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from gpusched.client import errors
from gpusched.client.aio import AsyncClient
from gpusched.client.sync import Client
from tests.fakes.lease_service import lease_service

CALLS: dict[str, tuple[Callable[[Client], object], Callable[[AsyncClient], Awaitable[object]]]] = {
    "Leases/Explain": (lambda c: c.explain(gpus=1), lambda c: c.explain(gpus=1)),
    "Leases/Attach": (lambda c: c.attach("l"), lambda c: c.attach("l", 7)),
    "Leases/Cancel": (lambda c: c.cancel("k"), lambda c: c.cancel("k")),
    "Leases/Environment": (
        lambda c: c.environment("l"),
        lambda c: c.environment("l", mask_format="uuid"),
    ),
    "Leases/Get": (lambda c: c.lease("l"), lambda c: c.lease("l", story=True)),
    "Leases/List": (lambda c: c.leases(), lambda c: c.leases(mine=True)),
    "Devices/List": (lambda c: c.devices(), lambda c: c.devices()),
    "Devices/ListTypes": (lambda c: c.types(), lambda c: c.types()),
    "Devices/Watch": (
        lambda c: next(c.watch_devices()),
        lambda c: anext(c.watch_devices()),
    ),
    "Processes/List": (lambda c: c.processes(), lambda c: c.processes()),
    "Events/List": (lambda c: c.events(), lambda c: c.events(5)),
    "Events/Watch": (
        lambda c: next(c.watch_events()),
        lambda c: anext(c.watch_events(after_sequence=4)),
    ),
    "Node/Ping": (lambda c: c.ping(), lambda c: c.ping()),
}


@pytest.mark.parametrize("method", list(CALLS))
async def test_a_method_calls_its_namesake(method: str, socket_folder: Path) -> None:
    """Both clients call it, and a daemon that does not have it says so by its name."""
    blocking, awaited = CALLS[method]
    with lease_service(socket_folder) as (path, _):
        with Client(path) as client, pytest.raises(errors.NotYet) as first:
            blocking(client)
        async with AsyncClient(path) as client:
            with pytest.raises(errors.NotYet) as second:
                await awaited(client)
    for caught in (first, second):
        assert caught.value.sentence == f"/gpusched.v1.{method}"


async def test_release_by_owner(socket_folder: Path) -> None:
    """All leases of an owner are released at once."""
    with lease_service(socket_folder) as (path, service):
        with Client(path) as client:
            assert len(client.release_owner("ray:1")) == 1
        async with AsyncClient(path) as client:
            assert len(await client.release_owner("ray:1")) == 1
    assert [getattr(one, "owner_reference", "") for one in service.asked] == ["ray:1"] * 2
