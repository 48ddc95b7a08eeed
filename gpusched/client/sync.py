"""The client for programs that block: one method for each thing to ask, over gRPC.

Answers are the messages of `gpusched.api.v1`; refusals are `client.errors`. Imports grpc, so it is
loaded on first use only.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType
from typing import Self, TypeVar, Unpack

import grpc

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
from gpusched.client.errors import DaemonUnreachable, GpuschedError
from gpusched.client.patience import Absence
from gpusched.client.wish import Wish

Q = TypeVar("Q")
R = TypeVar("R")


class Client:
    """Asks the daemon; every method raises a `GpuschedError` when it is refused.

    Args:
        socket: The daemon's socket; None: $GPUSCHED_SOCKET, else where one is.
        timeout: Seconds to wait for a reply.
    """

    def __init__(self, socket: str | None = None, timeout: float = TIMEOUT) -> None:
        self.socket = socket_path(socket, os.environ)
        self._timeout = timeout
        self._pid = os.getpid()
        self._channel = grpc.insecure_channel(f"unix:{self.socket}", options=OPTIONS)
        self._leases = leases_pb2_grpc.LeasesStub(self._channel)
        self._devices = devices_pb2_grpc.DevicesStub(self._channel)
        self._processes = processes_pb2_grpc.ProcessesStub(self._channel)
        self._events = events_pb2_grpc.EventsStub(self._channel)
        self._node = node_pb2_grpc.NodeStub(self._channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; leases stay. In a process that was forked it does nothing."""
        if os.getpid() == self._pid:  # there gRPC's threads are not, and it would wait for them
            self._channel.close()

    def allocate(self, **wish: Unpack[Wish]) -> lease_pb2.Grant:
        """Ask for devices: `allocate(gpus=2, memory="4GiB")`; `Wish` lists the words.

        With a wait it returns when they are granted, however long that takes; a daemon that is
        restarted meanwhile is asked again. Ctrl-C withdraws it, unless it has a `request_id`.
        """
        message = allocate_request(wish)
        named = bool(message.request_id)
        if not may_wait(message):
            return self._call(self._leases.Allocate, message)
        self.ping()
        try:
            return self._awaited(message)
        except KeyboardInterrupt:
            if not named:  # nobody knows the id with which the place could be had back
                with suppress(GpuschedError):
                    self.cancel(message.request_id)
            raise

    def _awaited(self, message: request_pb2.AllocateRequest) -> lease_pb2.Grant:
        absence = Absence()
        while True:
            try:
                return self._leases.Allocate(message)
            except grpc.RpcError as error:
                threading.Event().wait(pause_before(error_from(error, self.socket), absence))
            with suppress(DaemonUnreachable):
                self.ping()
                absence.over()

    def explain(self, **wish: Unpack[Wish]) -> leases_pb2.ExplainReply:
        """Say what `allocate` would answer now, and why; changes nothing."""
        message = leases_pb2.ExplainRequest(request=allocate_request(wish))
        return self._call(self._leases.Explain, message)

    def attach(
        self, lease: str, pid: int | None = None, *, cgroup: str | None = None
    ) -> leases_pb2.AttachReply:
        """Put process *pid* and its descendants, or a whole cgroup, under a lease.

        Neither: this process. A cgroup is named by its path from the cgroup root.
        """
        return self._call(self._leases.Attach, attach_request(lease, pid, cgroup))

    def renew(self, lease: str, *, automatic: bool = False) -> lease_pb2.Lease:
        """Set the keepalive clock of a lease back, and keep it though it was told to be idle.

        With *automatic* only the former: a program does it by the clock.
        """
        message = leases_pb2.RenewRequest(lease_id=lease, automatic=automatic)
        return self._call(self._leases.Renew, message)

    def release(
        self, lease: str, *, kill: bool = False, grace: str | float | None = None
    ) -> lease_pb2.Lease:
        """End a lease; releasing the released succeeds.

        With *kill* its processes get SIGTERM, and SIGKILL after *grace* (`"30s"`, or seconds). It
        answers at once: `watch_leases(lease)` tells when they are gone.
        """
        message = release_request(lease, grace, kill=kill)
        return self._call(self._leases.Release, message).leases[0]

    def release_owner(self, reference: str) -> list[lease_pb2.Lease]:
        """End all leases of an owner in another system; none is no error."""
        message = leases_pb2.ReleaseRequest(owner_reference=reference)
        return list(self._call(self._leases.Release, message).leases)

    def revoke(
        self,
        lease: str,
        reason: str,
        *,
        grace: str | float | None = None,
        signal_in_place: bool = False,
    ) -> lease_pb2.Lease:
        """End a lease and its processes as an operator; its holder is told the reason."""
        message = revoke_request(lease, reason, grace, signal_in_place=signal_in_place)
        return self._call(self._leases.Revoke, message)

    def cancel(self, request_id: str) -> leases_pb2.CancelReply:
        """Withdraw a request by the key its client chose."""
        message = leases_pb2.CancelRequest(request_id=request_id)
        return self._call(self._leases.Cancel, message)

    def environment(self, lease: str, mask_format: str | None = None) -> lease_pb2.Grant:
        """Give the grant of a living lease again, in another mask format if wanted."""
        return self._call(self._leases.Environment, environment_request(lease, mask_format))

    def lease(self, lease: str, *, story: bool = False) -> lease_pb2.Lease:
        """Give one lease, living or ended, with its history if wanted."""
        message = leases_pb2.GetLeaseRequest(lease_id=lease, include_story=story)
        return self._call(self._leases.Get, message)

    def leases(self, *, mine: bool = False, ended: bool = False) -> leases_pb2.LeaseList:
        """List the living leases, or those that have ended."""
        message = leases_pb2.ListLeasesRequest(mine=mine, ended=ended)
        return self._call(self._leases.List, message)

    def watch_leases(
        self, lease: str = "", *, mine: bool = False, past_notices: bool = False
    ) -> Iterator[leases_pb2.LeaseList]:
        """Give the full list now and after each change.

        With *past_notices* the first list has those that were given since the daemon started.
        """
        message = leases_pb2.WatchLeasesRequest(
            lease_id=lease, mine=mine, past_notices=past_notices
        )
        return self._stream(self._leases.Watch, message)

    def notices(self, lease: str) -> Iterator[lease_pb2.Notice]:
        """Give what a lease is told before something is done to it, until it has ended.

        What was told before the call is not given; what lasts is in `lease(...).violations`.
        `HeldLease.on_notice` does without a thread of one's own, and outlives a daemon.
        """
        for listed in self.watch_leases(lease):
            yield from listed.notices

    def devices(self) -> devices_pb2.DeviceList:
        """List the devices."""
        return self._call(self._devices.List, devices_pb2.ListDevicesRequest())

    def watch_devices(self) -> Iterator[devices_pb2.DeviceList]:
        """Give the full list now and after each change."""
        return self._stream(self._devices.Watch, devices_pb2.WatchDevicesRequest())

    def forget(self, device: str) -> device_pb2.Device:
        """Stop waiting for the ghost memory of a device, by UUID or index, as an operator."""
        return self._call(self._devices.Forget, devices_pb2.ForgetRequest(device=device))

    def types(self) -> devices_pb2.TypeList:
        """List what this host offers, and how much of it is free."""
        return self._call(self._devices.ListTypes, devices_pb2.ListTypesRequest())

    def processes(self) -> processes_pb2.ProcessList:
        """List the processes on the devices."""
        return self._call(self._processes.List, processes_pb2.ListProcessesRequest())

    def status(self) -> node_pb2.NodeStatus:
        """Give everything that `gpusched status` shows."""
        return self._call(self._node.Status, node_pb2.StatusRequest())

    def ping(self) -> None:
        """Return when the daemon answers."""
        self._call(self._node.Ping, node_pb2.PingRequest())

    def events(self, limit: int = 0) -> events_pb2.EventList:
        """List the latest events, oldest first; 0: a hundred."""
        return self._call(self._events.List, events_pb2.ListEventsRequest(limit=limit))

    def watch_events(self, after_sequence: int | None = None) -> Iterator[event_pb2.Event]:
        """Give events as they happen, those after a sequence first if wanted."""
        message = events_pb2.WatchEventsRequest(after_sequence=after_sequence)
        return self._stream(self._events.Watch, message)

    def _call(self, method: "grpc.UnaryUnaryMultiCallable[Q, R]", message: Q) -> R:
        try:
            return method(message, timeout=self._timeout)
        except grpc.RpcError as error:
            if not unsent(error, self.socket):
                raise error_from(error, self.socket) from None
        try:
            return method(message, timeout=self._timeout, wait_for_ready=True)
        except grpc.RpcError as error:
            raise error_from(error, self.socket) from None

    def _stream(self, method: "grpc.UnaryStreamMultiCallable[Q, R]", message: Q) -> Iterator[R]:
        """Pass messages on; who stops reading ends the stream."""
        replies = method(message)
        try:
            yield from replies
        except grpc.RpcError as error:
            raise error_from(error, self.socket) from None
        finally:
            replies.cancel()
