"""What a client that waits for devices knows, whatever it speaks: its id, and when to give up.

The daemon keeps the place of a request; who asks again with the same id has it back. So a daemon
that restarts is asked again, for as long as it keeps places.
"""

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Event, current_thread, main_thread
from types import FrameType
from typing import NoReturn

from gpusched.client.document import Document
from gpusched.client.errors import DaemonUnreachable, GpuschedError
from gpusched.client.thin import ThinClient

AWAY = 110.0
"""Seconds for which a daemon that was there before is asked again: it keeps places for 120."""

_PAUSES = (0.1, 0.2, 0.5, 1.0)
_ENDING = (signal.SIGTERM, signal.SIGHUP)


def waits(request: Mapping[str, object]) -> bool:
    """Say whether a request, in its JSON form, may wait."""
    return "wait" in request or bool(request.get("wait_without_limit"))


def fresh_id() -> str:
    """Draw an id for a request that may have to be asked again."""
    return f"wait-{os.urandom(5).hex()}"


class Absence:
    """How long a daemon has been away."""

    def __init__(self) -> None:
        self._paused = 0.0
        self._tries = 0

    @property
    def begins(self) -> bool:
        """Whether it has been missed once only."""
        return self._tries == 1

    def over(self) -> None:
        """Take note that it is there."""
        self._paused, self._tries = 0.0, 0

    def pause(self) -> float | None:
        """Give the seconds to wait before it is asked again; None: it is given up."""
        if self._paused > AWAY:
            return None
        pause = _PAUSES[min(self._tries, len(_PAUSES) - 1)]
        self._paused += pause
        self._tries += 1
        return pause


def granted(
    client: ThinClient, request: dict[str, object], tell: Callable[[str], None]
) -> Document:
    """Give the grant of a request that may wait. Who is ended meanwhile leaves at once.

    Args:
        client: Calls the daemon.
        request: An `AllocateRequest` in its JSON form.
        tell: Tells the user one sentence, whenever his place is another one.

    Raises:
        GpuschedError: It was refused, or the daemon did not come back.
    """
    request = {"request_id": fresh_id(), **request}
    client.call("Node/Ping")
    with _withdrawn_at_the_end(client, str(request["request_id"])):
        return _asked(client, request, tell)


def _asked(
    client: ThinClient, request: dict[str, object], tell: Callable[[str], None]
) -> Document:
    absence = Absence()
    while True:
        try:
            return _followed(client, request, tell, absence)
        except DaemonUnreachable:
            pause = absence.pause()
            if pause is None:
                raise
        if absence.begins:
            tell("the daemon is away; the request keeps its place for a while")
        Event().wait(pause)


def _followed(
    client: ThinClient, request: dict[str, object], tell: Callable[[str], None], absence: Absence
) -> Document:
    for update in client.stream("Leases/AllocateStream", request):
        absence.over()
        if "grant" in update:
            return update.part("grant")
        waiting = update.part("waiting")
        named = waiting.part("request").texts("device_uuids")
        if named:
            # An index may name nothing, or another device, to the daemon that is asked next.
            request["device_uuids"] = named
        tell(_news(waiting))
    raise DaemonUnreachable("the daemon ended the stream before the grant; it may be restarting")


def _news(waiting: Document) -> str:
    name, place = waiting.part("request").text("request_id"), waiting.number("position")
    why = waiting.text("waits_for") or "its turn"
    return f"{name} waits, place {place}: {why}"


@contextmanager
def _withdrawn_at_the_end(client: ThinClient, name: str) -> Iterator[None]:
    """Leave the queue where a signal ends this process: nobody would come back for the place."""
    # Only the main thread may. One that is ignored, as `nohup` has it, stays so.
    main = current_thread() is main_thread()
    taken = [one for one in _ENDING if main and signal.getsignal(one) is signal.SIG_DFL]
    for one in taken:
        signal.signal(one, _end)
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        _withdraw(client, name)
        raise
    finally:
        for one in taken:
            signal.signal(one, signal.SIG_DFL)


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


def _withdraw(client: ThinClient, name: str) -> None:
    """Leave at once what nobody waits for any more."""
    try:
        client.call("Leases/Cancel", {"request_id": name})
    except GpuschedError:
        return  # it leaves by itself
