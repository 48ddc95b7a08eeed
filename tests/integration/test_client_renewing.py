"""A keepalive in bad luck: the daemon is away for a while, and not much of it is left then."""

import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

import gpusched
from gpusched.api.v1 import lease_pb2
from gpusched.client.held import HeldLease
from tests.fakes.lease_service import LeaseService, lease_service
from tests.fakes.waiting import until

_SECOND = 10**9
_RENEWAL = 3
_OFTEN = 9
"""In thirds this takes longer than a test waits for anything."""


@pytest.fixture
def away(socket_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LeaseService]:
    """A service, where clients look for it, that renews nothing."""
    with lease_service(socket_folder) as (path, service):
        monkeypatch.setenv("GPUSCHED_SOCKET", path)
        service.keepalive = 3 * _RENEWAL * _SECOND
        service.refusals["Renew"] = (grpc.StatusCode.UNAVAILABLE, "it stops", None)
        yield service


async def _asked_again(service: LeaseService) -> None:
    """Wait until it was asked to renew more often than at each third of the keepalive."""
    await until(lambda: len(service.asked) > _OFTEN)


async def test_who_cannot_renew_tries_again_soon(away: LeaseService) -> None:
    """In a block it does not wait for the next third of the keepalive: it may be over."""
    with gpusched.lease():
        await _asked_again(away)
    assert len(away.asked) > _OFTEN


async def test_an_async_block_tries_again_soon(away: LeaseService) -> None:
    """So does one in a loop."""
    async with gpusched.async_lease():
        await _asked_again(away)
    assert len(away.asked) > _OFTEN


def test_a_clock_that_was_set_back_makes_nobody_hurry() -> None:
    """A lease that begins in the future is renewed by what is left of its keepalive."""
    grant, now = lease_pb2.Grant(), time.time_ns()
    grant.lease.created_at.FromNanoseconds(now + 3600 * _SECOND)
    grant.lease.keepalive_deadline.FromNanoseconds(now + 30 * _SECOND)
    renewal = HeldLease(grant).renewal
    assert renewal is not None
    assert 9 < renewal <= 10
