"""Asks systemd over D-Bus, and never waits for ever.

Exists so that `slices` need not know connections: this one is made when it is needed, and made
again when the bus or systemd was started anew. What a unit is for may not enter. Source:
org.freedesktop.systemd1(5); dbus-fast 5.
"""

import asyncio
import os
from pathlib import Path
from typing import Final

import structlog
from dbus_fast import BusType, DBusFastError, Message, MessageType
from dbus_fast.aio import MessageBus

from gpusched.ports import EnforceError

_log = structlog.stdlib.get_logger(__name__)

_SYSTEMD: Final = "org.freedesktop.systemd1"
_MANAGER_PATH: Final = "/org/freedesktop/systemd1"
_MANAGER: Final = f"{_SYSTEMD}.Manager"
_PROPERTIES: Final = "org.freedesktop.DBus.Properties"
_DAEMON: Final = "org.freedesktop.DBus"
_DAEMON_PATH: Final = "/org/freedesktop/DBus"
# systemd's own socket, for root: there also where no dbus-daemon is. It has no AddMatch.
_PRIVATE: Final = Path("/run/systemd/private")
# For whoever creates a job systemd sends this one signal without being asked for all of them:
# `Subscribe` would have it tell the whole bus of every change of every unit.
_REMOVED_RULE: Final = f"type='signal',interface='{_MANAGER}',member='JobRemoved'"
_REMEMBERED: Final = 64  # ends of jobs of others that came meanwhile
# Said by the bus while systemd is being executed anew, or the bus itself was.
_PASSING: Final = frozenset(
    f"{_DAEMON}.Error.{name}"
    for name in ("Disconnected", "NameHasNoOwner", "NoReply", "ServiceUnknown")
)
# A job or a unit that has gone.
_NO_UNIT: Final = frozenset((f"{_SYSTEMD}.NoSuchUnit", f"{_DAEMON}.Error.UnknownObject"))
_RETRY_SECONDS: Final = 0.05
_LOOK_SECONDS: Final = 0.25


class _Direct(MessageBus):
    """A connection to systemd's own socket: nobody there answers the greeting of a bus."""

    async def _authenticate(self) -> None:
        await super()._authenticate()
        asyncio.get_running_loop().call_soon(self._greet)

    def _greet(self) -> None:
        """Answer the greeting, the first message sent, in the place of a bus."""
        kind = MessageType.METHOD_RETURN
        self._process_message(
            Message(message_type=kind, reply_serial=1, signature="s", body=[":direct"])
        )


class Refused(EnforceError):
    """systemd answered with an error.

    Attributes:
        name: D-Bus name of the error, such as `org.freedesktop.systemd1.NoSuchUnit`.
    """

    def __init__(self, what: str, name: str, why: str) -> None:
        super().__init__(f"systemd refused {what}: {why or name}")
        self.name = name
        self.why = why


class NoUnit(Refused):
    """There is no such unit, or its object has just gone."""


class SystemdBus:
    """The system's systemd. Used in one event loop; every call ends within `patience`."""

    def __init__(self, patience: float = 10.0, address: str | None = None) -> None:
        """Connect nowhere yet.

        Args:
            patience: Seconds for one call or one job, with every attempt at it.
            address: D-Bus address; None: the system bus, else systemd's own socket if root.
        """
        self._patience = patience
        self._address = address
        self._bus: MessageBus | None = None
        self._connecting = asyncio.Lock()
        self._systemd = ""  # who answered last, by unique name; empty on its own socket
        self._ended: dict[str, str] = {}  # job -> result
        self._jobs: dict[str, asyncio.Future[str]] = {}

    async def call(self, member: str, signature: str = "", *body: object) -> list[object]:
        """Call a method of systemd's manager; again where the connection is lost meanwhile.

        Raises:
            Refused: systemd answers with an error.
            EnforceError: There is no bus, or no answer in time.
        """
        return await self._ask(_MANAGER_PATH, _MANAGER, member, signature, body)

    async def value(self, path: str, interface: str, name: str) -> object:
        """Read a property of an object; *interface* without its first words.

        Raises:
            Refused: systemd answers with an error.
            EnforceError: There is no bus, or no answer in time.
        """
        body = (f"{_SYSTEMD}.{interface}", name)
        (variant,) = await self._ask(path, _PROPERTIES, "Get", "ss", body)
        return getattr(variant, "value", None)

    async def job(self, member: str, signature: str, *body: object) -> str:
        """Call a method that gives a job, wait for its end and give its result, such as `done`.

        Raises:
            Refused: systemd answers with an error.
            EnforceError: There is no bus, no answer, or no end in time.
        """
        (job,) = await self.call(member, signature, *body)
        try:
            async with asyncio.timeout(self._patience):
                return await self._end_of(str(job))
        except TimeoutError:
            raise EnforceError(
                f"systemd did not finish {_named(member, body)} within {self._patience:g} s; "
                "see `systemctl list-jobs`"
            ) from None

    async def close(self) -> None:
        """Let go of the connection. Idempotent."""
        bus, self._bus = self._bus, None
        if bus is not None:
            bus.disconnect()

    async def _end_of(self, job: str) -> str:
        """Wait for the signal; now and then look, for a signal may be lost in a re-execution."""
        if job in self._ended:
            return self._ended.pop(job)
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._jobs[job] = future
        try:
            while True:
                ended, _ = await asyncio.wait({future}, timeout=_LOOK_SECONDS)
                if ended:
                    return future.result()
                try:
                    await self.value(job, "Job", "State")
                except NoUnit:
                    return "done"  # the caller looks at the unit anyway
        finally:
            del self._jobs[job]

    def _heard(self, message: Message) -> None:
        """Note the end of a job, if it is systemd that tells it."""
        if message.member != "JobRemoved" or message.message_type is not MessageType.SIGNAL:
            return
        if self._systemd and message.sender != self._systemd:
            return
        _number, job, _unit, result = message.body
        if job in self._jobs:
            if not self._jobs[job].done():
                self._jobs[job].set_result(result)
            return
        self._ended[job] = result
        while len(self._ended) > _REMEMBERED:
            del self._ended[next(iter(self._ended))]

    async def _ask(
        self, path: str, interface: str, member: str, signature: str, body: tuple[object, ...]
    ) -> list[object]:
        lost = ""
        try:
            async with asyncio.timeout(self._patience):
                while True:
                    bus = await self._connected()
                    message = Message(_SYSTEMD, path, interface, member)
                    message.signature, message.body = signature, list(body)
                    reply, lost = await self._sent(bus, message)
                    if reply is not None:
                        return self._judged(reply, member, body)
                    await asyncio.sleep(_RETRY_SECONDS)
        except TimeoutError:
            raise EnforceError(
                f"systemd did not answer {_named(member, body)} within {self._patience:g} s"
                f"{f' ({lost})' if lost else ''}; see `systemctl status dbus.service`"
            ) from None

    async def _sent(self, bus: MessageBus, message: Message) -> tuple[Message | None, str]:
        """Give the reply; or None, where it is worth another attempt, and why."""
        try:
            reply: Message | None = await bus.call(message)  # None: closed meanwhile
        except (OSError, EOFError, DBusFastError) as error:
            self._drop(bus)
            return None, str(error) or type(error).__name__
        if reply is None:
            self._drop(bus)
            return None, "the connection was closed"
        if reply.message_type is MessageType.ERROR and reply.error_name in _PASSING:
            return None, str(reply.error_name)
        return reply, ""

    def _judged(self, reply: Message, member: str, body: tuple[object, ...]) -> list[object]:
        if reply.message_type is MessageType.ERROR:
            why = str(reply.body[0]) if reply.body else ""
            kind = NoUnit if reply.error_name in _NO_UNIT else Refused
            raise kind(_named(member, body), str(reply.error_name), why)
        self._systemd = reply.sender or ""
        return list(reply.body)

    def _drop(self, bus: MessageBus) -> None:
        if self._bus is bus:
            self._bus = None
        bus.disconnect()

    async def _connected(self) -> MessageBus:
        async with self._connecting:
            if self._bus is None or not self._bus.connected:
                self._bus = await self._connect()
            return self._bus

    async def _connect(self) -> MessageBus:
        why = ""
        for address in self._addresses():
            kind = _Direct if address == _private() else MessageBus
            bus = kind(address, BusType.SYSTEM)
            try:
                await bus.connect()
            except (OSError, EOFError, DBusFastError) as error:
                why = why or str(error) or type(error).__name__
                continue
            bus.add_message_handler(self._heard)
            if address != _private():
                rule = Message(_DAEMON, _DAEMON_PATH, _DAEMON, "AddMatch", signature="s")
                rule.body = [_REMOVED_RULE]
                await bus.call(rule)
            _log.debug("connected to systemd", address=address or "system bus")
            return bus
        raise EnforceError(f"systemd is not reached over D-Bus: {why}; start dbus.service")

    def _addresses(self) -> list[str | None]:
        if self._address is None and os.geteuid() == 0 and _PRIVATE.exists():
            return [None, _private()]
        return [self._address]


def _private() -> str:
    return f"unix:path={_PRIVATE}"


def _named(member: str, body: tuple[object, ...]) -> str:
    """Name a call for a sentence: its method, and what is most often a unit."""
    first = body[0] if body and isinstance(body[0], str) else ""
    return f"{member} {first}".strip()
