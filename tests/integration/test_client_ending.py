"""The client library's verbs that end leases and give up memory: what they send."""

from pathlib import Path

import pytest

from gpusched.api.v1 import leases_pb2
from gpusched.client import errors
from gpusched.client.aio import AsyncClient
from gpusched.client.sync import Client
from tests.fakes.lease_service import lease_service


async def test_release_with_its_processes(socket_folder: Path) -> None:
    """Both clients send kill and grace with a release, and neither where they are not said."""
    with lease_service(socket_folder) as (path, service):
        with Client(path) as client:
            client.release("l", kill=True, grace="30s")
            client.release("l")
        async with AsyncClient(path) as client:
            await client.release("l", kill=True, grace=30)
            await client.release("l")
    asked = [one for one in service.asked if isinstance(one, leases_pb2.ReleaseRequest)]
    assert [one.kill for one in asked] == [True, False, True, False]
    assert [one.grace.seconds for one in asked] == [30, 0, 30, 0]
    assert [one.HasField("grace") for one in asked] == [True, False, True, False]


async def test_verbs_of_an_operator(socket_folder: Path) -> None:
    """Revoke and forget call their namesakes, and a daemon that lacks them says so by name."""
    told: list[str] = []
    with lease_service(socket_folder) as (path, _):
        with Client(path) as client:
            for ask in (lambda: client.revoke("l", "why"), lambda: client.forget("3")):
                with pytest.raises(errors.NotYet) as caught:
                    ask()
                told.append(caught.value.sentence)
        async with AsyncClient(path) as client:
            with pytest.raises(errors.NotYet) as caught:
                await client.revoke("l", "why", grace="1m", signal_in_place=True)
            told.append(caught.value.sentence)
            with pytest.raises(errors.NotYet) as caught:
                await client.forget("3")
            told.append(caught.value.sentence)
    assert told == ["/gpusched.v1.Leases/Revoke", "/gpusched.v1.Devices/Forget"] * 2
