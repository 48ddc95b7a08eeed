"""The client for asyncio: the same methods as `sync.Client`, to be awaited.

Answers are the messages of `gpusched.api.v1`; refusals are `client.errors`. Imports grpc, so it is
loaded on first use only.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from types import TracebackType
from typing import Self, TypeVar, Unpack

import grpc
from grpc import aio

from gpusched.api.v1 import (
    device_pb2,
    devices_pb2,
    devices_pb2_grpc,
    event_pb2,
    events_pb2,
    events_pb2_grpc,
    lease_pb2,
    leases_pb2,
    leases_pb2_grpc,
    node_pb2,
    node_pb2_grpc,
    processes_pb2,
    processes_pb2_grpc,
    request_pb2,
)
from gpusched.client.address import socket_path
from gpusched.client.channel import (
    OPTIONS,
    TIMEOUT,
    allocate_request,
    attach_request,
    environment_request,
    error_from,
    may_wait,
    pause_before,
    release_request,
    revoke_request,
    unsent,
)
from gpusched.client.errors import DaemonUnreachable, GpuschedError, NotFound, WrongState
from gpusched.client.patience import Absence
from gpusched.client.wish import Wish

Q = TypeVar("Q")
R = TypeVar("R")

_AGAIN = 0.1
"""Seconds until what may have come before the request is told to the daemon again."""


class AsyncClient:
    """Asks the daemon; every method raises a `GpuschedError` when it is refused.

    Args:
        socket: The daemon's socket; None: $GPUSCHED_SOCKET, else where one is.
        timeout: Seconds to wait for a reply.
    """

    def __init__(self, socket: str | None = None, timeout: float = TIMEOUT) -> None:
        self.socket = socket_path(socket, os.environ)
        self._timeout = timeout
        self._channel = aio.insecure_channel(f"unix:{self.socket}", options=OPTIONS)
        self._leases = leases_pb2_grpc.LeasesStub(self._channel)
        self._devices = devices_pb2_grpc.DevicesStub(self._channel)
        self._processes = processes_pb2_grpc.ProcessesStub(self._channel)
        self._events = events_pb2_grpc.EventsStub(self._channel)
        self._node = node_pb2_grpc.NodeStub(self._channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection; leases stay."""
        await self._channel.close()

    async def allocate(self, **wish: Unpack[Wish]) -> lease_pb2.Grant:
        """Ask for devices: `allocate(gpus=2, memory="4GiB")`; `Wish` lists the words.

        With a wait it returns when they are granted, as `Client.allocate` does; who is cancelled
        withdraws it and gives back what was granted, unless it has a `request_id`.
        """
        message = allocate_request(wish)
        named = bool(message.request_id)
        if may_wait(message):
            await self.ping()
            asking = asyncio.create_task(self._awaited(message))
        else:
            asking = asyncio.create_task(self._call(self._leases.Allocate, message))
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            if named:  # it can be had back by its id
                asking.cancel()
            else:
                await self._withdraw(asking, message.request_id)
            raise

    async def _withdraw(self, asking: asyncio.Task[lease_pb2.Grant], request_id: str) -> None:
        """Leave the queue, and give back what has been granted: nobody else knows of it."""
        try:
            while not asking.done():
                if request_id:  # what does not wait is answered at once
                    try:
                        await self.cancel(request_id)
                    except (NotFound, WrongState):
                        pass  # it has not come there yet, or has been answered
                    except GpuschedError:
                        asking.cancel()
                await asyncio.wait({asking}, timeout=_AGAIN)
        finally:
            asking.cancel()
        if not asking.cancelled() and asking.exception() is None:
            with suppress(GpuschedError):
                await self.release(asking.result().lease.id)

    async def _awaited(self, message: request_pb2.AllocateRequest) -> lease_pb2.Grant:
        absence = Absence()
        while True:
            try:
                return await self._leases.Allocate(message)
            except grpc.RpcError as error:
                await asyncio.sleep(pause_before(error_from(error, self.socket), absence))
            with suppress(DaemonUnreachable):
                await self.ping()
                absence.over()

    async def explain(self, **wish: Unpack[Wish]) -> leases_pb2.ExplainReply:
        """Say what `allocate` would answer now, and why; changes nothing."""
        message = leases_pb2.ExplainRequest(request=allocate_request(wish))
        return await self._call(self._leases.Explain, message)

    async def attach(
        self, lease: str, pid: int | None = None, *, cgroup: str | None = None
    ) -> leases_pb2.AttachReply:
        """Put process *pid* and its descendants, or a whole cgroup, under a lease.

        Neither: this process. A cgroup is named by its path from the cgroup root.
        """
        return await self._call(self._leases.Attach, attach_request(lease, pid, cgroup))

    async def renew(self, lease: str, *, automatic: bool = False) -> lease_pb2.Lease:
        """Set the keepalive clock of a lease back, and keep it though it was told to be idle.

        With *automatic* only the former: a program does it by the clock.
        """
        message = leases_pb2.RenewRequest(lease_id=lease, automatic=automatic)
        return await self._call(self._leases.Renew, message)

    async def release(
        self, lease: str, *, kill: bool = False, grace: str | float | None = None
    ) -> lease_pb2.Lease:
        """End a lease; releasing the released succeeds.

        With *kill* its processes get SIGTERM, and SIGKILL after *grace* (`"30s"`, or seconds). It
        answers at once: `watch_leases(lease)` tells when they are gone.
        """
        message = release_request(lease, grace, kill=kill)
        return (await self._call(self._leases.Release, message)).leases[0]

    async def release_owner(self, reference: str) -> list[lease_pb2.Lease]:
        """End all leases of an owner in another system; none is no error."""
        message = leases_pb2.ReleaseRequest(owner_reference=reference)
        return list((await self._call(self._leases.Release, message)).leases)

    async def revoke(
        self,
        lease: str,
        reason: str,
        *,
        grace: str | float | None = None,
        signal_in_place: bool = False,
    ) -> lease_pb2.Lease:
        """End a lease and its processes as an operator; its holder is told the reason."""
        message = revoke_request(lease, reason, grace, signal_in_place=signal_in_place)
        return await self._call(self._leases.Revoke, message)

    async def cancel(self, request_id: str) -> leases_pb2.CancelReply:
        """Withdraw a request by the key its client chose."""
        message = leases_pb2.CancelRequest(request_id=request_id)
        return await self._call(self._leases.Cancel, message)

    async def environment(self, lease: str, mask_format: str | None = None) -> lease_pb2.Grant:
        """Give the grant of a living lease again, in another mask format if wanted."""
        return await self._call(self._leases.Environment, environment_request(lease, mask_format))

    async def lease(self, lease: str, *, story: bool = False) -> lease_pb2.Lease:
        """Give one lease, living or ended, with its history if wanted."""
        message = leases_pb2.GetLeaseRequest(lease_id=lease, include_story=story)
        return await self._call(self._leases.Get, message)

    async def leases(self, *, mine: bool = False, ended: bool = False) -> leases_pb2.LeaseList:
        """List the living leases, or those that have ended."""
        message = leases_pb2.ListLeasesRequest(mine=mine, ended=ended)
        return await self._call(self._leases.List, message)

    def watch_leases(
        self, lease: str = "", *, mine: bool = False, past_notices: bool = False
    ) -> AsyncGenerator[leases_pb2.LeaseList, None]:
        """Give the full list now and after each change.

        With *past_notices* the first list has those that were given since the daemon started.
        """
        message = leases_pb2.WatchLeasesRequest(
            lease_id=lease, mine=mine, past_notices=past_notices
        )
        return self._stream(self._leases.Watch, message)

    async def notices(self, lease: str) -> AsyncIterator[lease_pb2.Notice]:
        """Give what a lease is told before something is done to it, until it has ended.

        What was told before the call is not given; what lasts is in `lease(...).violations`.
        `HeldLease.on_notice` does without a thread of one's own, and outlives a daemon.
        """
        async for listed in self.watch_leases(lease):
            for one in listed.notices:
                yield one

    async def devices(self) -> devices_pb2.DeviceList:
        """List the devices."""
        return await self._call(self._devices.List, devices_pb2.ListDevicesRequest())

    def watch_devices(self) -> AsyncIterator[devices_pb2.DeviceList]:
        """Give the full list now and after each change."""
        return self._stream(self._devices.Watch, devices_pb2.WatchDevicesRequest())

    async def forget(self, device: str) -> device_pb2.Device:
        """Stop waiting for the ghost memory of a device, by UUID or index, as an operator."""
        return await self._call(self._devices.Forget, devices_pb2.ForgetRequest(device=device))

    async def types(self) -> devices_pb2.TypeList:
        """List what this host offers, and how much of it is free."""
        return await self._call(self._devices.ListTypes, devices_pb2.ListTypesRequest())

    async def processes(self) -> processes_pb2.ProcessList:
        """List the processes on the devices."""
        return await self._call(self._processes.List, processes_pb2.ListProcessesRequest())

    async def status(self) -> node_pb2.NodeStatus:
        """Give everything that `gpusched status` shows."""
        return await self._call(self._node.Status, node_pb2.StatusRequest())

    async def ping(self) -> None:
        """Return when the daemon answers."""
        await self._call(self._node.Ping, node_pb2.PingRequest())

    async def events(self, limit: int = 0) -> events_pb2.EventList:
        """List the latest events, oldest first; 0: a hundred."""
        return await self._call(self._events.List, events_pb2.ListEventsRequest(limit=limit))

    def watch_events(self, after_sequence: int | None = None) -> AsyncIterator[event_pb2.Event]:
        """Give events as they happen, those after a sequence first if wanted."""
        message = events_pb2.WatchEventsRequest(after_sequence=after_sequence)
        return self._stream(self._events.Watch, message)

    async def _call(self, method: "aio.UnaryUnaryMultiCallable[Q, R]", message: Q) -> R:
        try:
            return await method(message, timeout=self._timeout)
        except grpc.RpcError as error:
            if not unsent(error, self.socket):
                raise error_from(error, self.socket) from None
        try:
            return await method(message, timeout=self._timeout, wait_for_ready=True)
        except grpc.RpcError as error:
            raise error_from(error, self.socket) from None

    async def _stream(
        self, method: "aio.UnaryStreamMultiCallable[Q, R]", message: Q
    ) -> AsyncGenerator[R, None]:
        """Pass messages on; who stops reading ends the stream."""
        replies = method(message)
        try:
            async for reply in replies:
                yield reply
        except grpc.RpcError as error:
            raise error_from(error, self.socket) from None
        finally:
            replies.cancel()
