"""The end of a lease's block in a Python program, in order and in bad luck: nothing is left."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator

import pytest

import gpusched
from gpusched import testing

_FORKS = """
import os, sys, threading, gpusched

wish = {"memory": "2GiB", "keepalive": "20s", "wait": "20s"}
with gpusched.lease(**wish) as lease, gpusched.Client() as client:
    lease.on_notice(print)
    client.ping()
    child = os.fork()
    if not child:
        sys.exit(3)
    ended = threading.Thread(target=os.wait)
    ended.start()
    ended.join(20)
    if ended.is_alive():
        os.kill(child, 9)
        os._exit(1)
    print(bool(client.lease(lease.id).end_reason), "GPUSCHED_LEASE" in os.environ)
"""


@pytest.fixture(scope="module")
def host() -> Iterator[testing.SimulatedHost]:
    """A host with room for all."""
    with testing.daemon("8xL4") as made:
        yield made


@pytest.mark.usefixtures("host")
async def test_nothing_is_told_after_an_async_block() -> None:
    """Who asks for notices when the block is over is told so, in both faces."""
    async with gpusched.async_lease(memory="2GiB", wait="20s") as lease:
        lease.on_notice(print)
    with pytest.raises(gpusched.WrongState, match="block of this lease is over"):
        lease.on_notice(print)


@pytest.mark.usefixtures("host")
def test_a_forked_process_that_leaves_the_block_ends_nothing() -> None:
    """It ends, though it has none of the threads of the block, and the lease goes on. How it ends
    is not sure: gRPC aborts some processes that were forked while another thread was in it.
    """
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", _FORKS], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["False", "True"], done


async def test_who_is_cancelled_while_he_asks_has_nothing(host: testing.SimulatedHost) -> None:
    """Wherever a task is cancelled between its request and its block, with a wait and without,
    nothing stays granted to the process, and nothing waits.
    """

    async def held(words: gpusched.Wish) -> None:
        async with gpusched.async_lease(apply=False, **words):
            pass

    before = {one.id for one in host.client.leases().leases}
    for words in (gpusched.Wish(gpus=1), gpusched.Wish(gpus=1, wait="20s")):
        for milliseconds in range(0, 16, 2):
            task = asyncio.create_task(held(words))
            await asyncio.sleep(milliseconds / 1000)
            task.cancel()
            await asyncio.wait({task})
    listed = host.client.leases()
    assert all(one.end_reason for one in listed.leases if one.id not in before)
    assert not listed.waiting
