"""The public socket with both protocols behind it, opened and closed in the right order.

Exists because gRPC and the JSON gateway answer from one registry to the same callers. Who may
ask what is decided further in.
"""

import asyncio
import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gpusched.ports import Authority, Clock, IdSource, ProcessTable, Surveyor, Units
from gpusched.rpc.call import Callers, Users
from gpusched.rpc.front import Front, FrontLimits, check_private
from gpusched.rpc.host import Host
from gpusched.rpc.peer import PeerTable
from gpusched.rpc.registry import registry_of
from gpusched.rpc.server import RpcServer
from gpusched.rpc.world import World
from gpusched.web.gateway import Gateway

GRACE_SECONDS = 1.0
"""How long calls on their way may take when the daemon ends."""


@dataclass(frozen=True, slots=True)
class Facing:
    """What the services need beside the authority.

    Attributes:
        clock: For deadlines in replies.
        ids: For fresh leases and request ids.
        table: Looks up processes that a request names.
        host: What is told of the host.
        surveyor: Reads what nvidia-smi prints.
        units: Looks up units that a request names.
        is_admin: Says of a uid and gid whether it administers.
        limits: What a client may take of the front.
    """

    clock: Clock
    ids: IdSource
    table: ProcessTable
    host: Host
    surveyor: Surveyor
    units: Units
    is_admin: Callable[[int, int], bool]
    limits: FrontLimits


class PublicDoors:
    """Front, gRPC server and gateway; see `daemon.lifecycle.Doors`.

    Args:
        socket: Where clients connect; its folder is made, open to all.
        facing: What the services need.
    """

    def __init__(self, socket: Path, facing: Facing) -> None:
        self._socket = socket
        self._facing = facing
        self._front: Front | None = None
        self._server: RpcServer | None = None
        self._gateway: Gateway | None = None

    async def open(self, authority: Authority) -> None:
        """Begin to answer.

        Raises:
            OSError: The socket or its folder cannot be made.
        """
        facing, peers, users = self._facing, PeerTable(), Users()
        world = World(
            authority,
            facing.clock,
            facing.ids,
            facing.table,
            facing.host,
            facing.surveyor,
            facing.units,
            users,
        )
        callers = Callers(facing.is_admin, users)
        registry = registry_of(world)
        backend = self._private() / "grpc.sock"
        backend.unlink(missing_ok=True)
        most = facing.limits.connections_per_uid
        self._server = RpcServer(registry, peers, callers, world.turns, most)
        await self._server.start(backend)
        self._gateway = Gateway(registry, callers, world.turns)
        self._front = Front(self._socket, backend, peers, self._gateway.protocol, facing.limits)
        self._front.start()

    async def close(self) -> None:
        """Accept nobody, let calls finish, then close every connection. Idempotent."""
        if self._front is not None:
            self._front.stop_accepting()
        if self._server is not None and self._gateway is not None:
            await asyncio.gather(self._server.stop(GRACE_SECONDS), self._gateway.close())
        if self._front is not None:
            await self._front.close()

    def _private(self) -> Path:
        """Make the folder of grpc's own socket: whoever could write there could be anybody.

        The public socket's folder must not be another user's either, who could put a socket of
        his own in its place (a folder in /tmp may have been made by anybody).
        """
        folder = self._socket.parent
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        if folder.stat().st_uid not in (0, os.geteuid()):
            raise PermissionError(errno.EPERM, "belongs to another user", str(folder))
        private = self._socket.with_name(f".{self._socket.name}")
        private.mkdir(mode=0o700, exist_ok=True)
        # Before grpc binds a socket in it, whose own refusal of a long path says less.
        check_private(private)
        return private
