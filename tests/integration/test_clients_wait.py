"""What clients of every kind do while they wait: JSON, the thin client, and both gRPC clients."""

import asyncio
import json
import os
from contextlib import suppress
from pathlib import Path

import pytest

from gpusched.client import AsyncClient, Client, errors, patience
from gpusched.client.patience import granted
from gpusched.client.thin import ThinClient
from tests.fakes.gateway import gateway, reply
from tests.fakes.waiting import until
from tests.integration.serving_rpc import (
    Public,
    abandoned,
    another_ends,
    another_holds,
    http_ask,
    pass_time,
    waits,
)
from tests.integration.waiting_clients import ALL

pytestmark = pytest.mark.usefixtures("often")


async def test_waiting_over_json(face: Public) -> None:
    """A plain HTTP client waits as well: for one answer, or line by line."""
    another_holds(face, count=ALL)
    body = b'{"request_id": "mine", "wait_without_limit": true}'
    whole = asyncio.ensure_future(http_ask(face.path, "POST", "/v1/Leases/Allocate", body))
    lines = asyncio.ensure_future(http_ask(face.path, "POST", "/v1/Leases/AllocateStream", body))
    await until(lambda: len(face.authority.events) > 1 and not whole.done())
    await until(lambda: len(face.authority.ledger.waiting) == 1)
    await asyncio.sleep(0.1)
    another_ends(face)
    grant = json.loads((await whole).text)
    told_lines = [json.loads(line) for line in (await lines).text.splitlines()]
    assert told_lines[0]["waiting"]["position"] == 1
    assert told_lines[-1]["grant"]["lease"]["id"] == grant["lease"]["id"]


async def test_who_hangs_up_over_json_keeps_his_place(face: Public) -> None:
    """That a plain HTTP client is gone is noticed, and its place is kept for a while."""
    another_holds(face, count=ALL)
    for name, method in (("whole", "Allocate"), ("lines", "AllocateStream")):
        body = json.dumps({"request_id": name, "wait_without_limit": True})
        _reader, writer = await asyncio.open_unix_connection(face.path)
        head = f"POST /v1/Leases/{method} HTTP/1.0\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write((head + body).encode())
        await until(lambda name=name: waits(face, name))  # type: ignore[misc]  # the loop's
        writer.close()
        await until(lambda name=name: abandoned(face, name))  # type: ignore[misc]  # as above


async def test_the_thin_client_tells_its_place_until_the_grant(face: Public) -> None:
    """What the command line waits with says its place in a sentence, and gives the grant."""
    theirs = another_holds(face, count=ALL)
    told: list[str] = []
    request: dict[str, object] = {"request_id": "mine", "wait": "60s"}
    asked = asyncio.ensure_future(
        asyncio.to_thread(granted, ThinClient(str(face.path)), request, told.append)
    )
    await until(lambda: bool(told))
    another_ends(face)
    grant = await asked
    assert grant.part("lease").part("request").text("request_id") == "mine"
    assert told == [f"mine waits, place 1: the end of {theirs} of other"]


async def test_the_thin_client_that_waits_in_vain(face: Public) -> None:
    """A wait that runs out is the refusal that it would have been at once."""
    another_holds(face, count=ALL)
    told: list[str] = []
    request: dict[str, object] = {"request_id": "mine", "wait": "2s"}
    asked = asyncio.ensure_future(
        asyncio.to_thread(granted, ThinClient(str(face.path)), request, told.append)
    )
    await until(lambda: bool(told))
    pass_time(face, 3)
    with pytest.raises(errors.CouldFitLater, match=r"^waited 2s: "):
        await asked


async def test_the_blocking_client_waits(face: Public) -> None:
    """`allocate` with a wait returns with the grant, however long its timeout is."""
    another_holds(face, count=ALL)

    def ask() -> str:
        with Client(str(face.path), timeout=0.5) as client:
            return client.allocate(request_id="mine", wait_without_limit=True).lease.id

    asked = asyncio.ensure_future(asyncio.to_thread(ask))
    await until(lambda: waits(face, "mine"))
    await asyncio.sleep(0.7)
    another_ends(face)
    lease = face.authority.ledger.by_request(os.geteuid(), "mine")  # type: ignore[arg-type]  # a word
    assert lease is not None
    assert await asked == lease.id


async def test_the_awaited_client_waits(face: Public) -> None:
    """The client for asyncio does the same."""
    another_holds(face, count=ALL)
    async with AsyncClient(str(face.path), timeout=0.5) as client:
        asked = asyncio.ensure_future(client.allocate(request_id="mine", wait="1h"))
        await until(lambda: waits(face, "mine"))
        await asyncio.sleep(0.7)
        another_ends(face)
        assert (await asked).lease.request.request_id == "mine"


async def test_who_is_cancelled_withdraws_what_he_could_not_come_back_to(face: Public) -> None:
    """A task that is cancelled takes its request along, unless it has an id of its own."""
    another_holds(face, count=ALL)
    async with AsyncClient(str(face.path)) as client:
        nameless = asyncio.ensure_future(client.allocate(wait_without_limit=True))
        await until(lambda: len(face.authority.ledger.waiting) == 1)
        nameless.cancel()
        with suppress(asyncio.CancelledError):
            await nameless
        assert len(face.authority.ledger.waiting) == 0
        named = asyncio.ensure_future(client.allocate(request_id="mine", wait_without_limit=True))
        await until(lambda: waits(face, "mine"))
        named.cancel()
        with suppress(asyncio.CancelledError):
            await named
        await until(lambda: abandoned(face, "mine"))


async def test_a_withdrawal_by_others_reaches_every_client(face: Public) -> None:
    """A request that is cancelled elsewhere is refused as one that may be asked again."""
    another_holds(face, count=ALL)
    async with AsyncClient(str(face.path)) as client:
        asked = asyncio.ensure_future(client.allocate(request_id="mine", wait_without_limit=True))
        await until(lambda: waits(face, "mine"))
        await client.cancel("mine")
        with pytest.raises(errors.CouldFitLater, match=r"mine waits no longer: .* cancelled it"):
            await asked


def test_who_asks_again_names_the_devices_that_he_waits_for(socket_folder: Path) -> None:
    """A device that was named by its index is named by its UUID from the first place on: to a
    daemon that was started anew the index may mean nothing, or another device.
    """

    def line(fields: dict[str, object]) -> bytes:
        return b"HTTP/1.0 200 OK\r\n\r\n" + json.dumps(fields).encode() + b"\n"

    def tell(_sentence: str) -> None:
        served.script["Leases/AllocateStream"] = line({"grant": {"lease": {"id": "lease-a"}}})

    place = {"position": 1, "request": {"request_id": "mine", "device_uuids": ["GPU-a"]}}
    script = {"Node/Ping": reply({}), "Leases/AllocateStream": line({"waiting": place})}
    request: dict[str, object] = {"device_uuids": ["5"], "wait_without_limit": True}
    with gateway(socket_folder, script) as served:
        grant = granted(ThinClient(str(served.path)), request, tell)
    assert grant.part("lease").text("id") == "lease-a"
    asked = [message for method, message in served.asked if method == "Leases/AllocateStream"]
    assert [one["device_uuids"] for one in asked] == [["5"], ["GPU-a"]]
    assert asked[0]["request_id"] == asked[1]["request_id"]


async def test_a_daemon_that_does_not_come_back_is_given_up(
    face: Public, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every client asks again for as long as a daemon keeps places, and then says who is away."""
    monkeypatch.setattr(patience, "AWAY", 0.2)
    another_holds(face, count=ALL)
    told: list[str] = []
    request: dict[str, object] = {"request_id": "thin", "wait_without_limit": True}

    def block() -> None:
        with Client(str(face.path)) as client:
            client.allocate(request_id="blocking", wait_without_limit=True)

    async with AsyncClient(str(face.path)) as client:
        asked = [
            asyncio.ensure_future(
                asyncio.to_thread(granted, ThinClient(str(face.path)), request, told.append)
            ),
            asyncio.ensure_future(asyncio.to_thread(block)),
            asyncio.ensure_future(client.allocate(request_id="awaited", wait_without_limit=True)),
        ]
        await until(lambda: len(face.authority.ledger.waiting) == len(asked))
        await until(lambda: bool(told))
        face.authority.stop()
        ends = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(one) for one in ends] == [errors.DaemonUnreachable] * len(asked)
    assert told[1:] == ["the daemon is away; the request keeps its place for a while"]


async def test_a_daemon_that_is_not_there_is_not_waited_for(tmp_path: Path) -> None:
    """Where there never was a daemon, a request that may wait is refused at once."""
    socket = str(tmp_path / "none.sock")
    request: dict[str, object] = {"wait_without_limit": True}
    with pytest.raises(errors.DaemonUnreachable):
        await asyncio.to_thread(granted, ThinClient(socket), request, print)
    async with AsyncClient(socket) as client:
        with pytest.raises(errors.DaemonUnreachable):
            await client.allocate(wait_without_limit=True)
