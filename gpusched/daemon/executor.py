"""Carries out actions, after the commit that made them true. Outcomes come back as events."""

import structlog

from gpusched.core.actions import (
    Action,
    Answer,
    ReleaseDriver,
    ResumeDriver,
    TakeSample,
    WatchExit,
)
from gpusched.daemon.kernel import Kernel
from gpusched.daemon.ticker import Ticker
from gpusched.daemon.waiting_room import WaitingRoom
from gpusched.ports import ExitWatch, Sampler


class Executor:
    """Does what decisions ask of the world; never blocks."""

    def __init__(
        self,
        ticker: Ticker,
        exits: ExitWatch,
        kernel: Kernel,
        sampler: Sampler,
        room: WaitingRoom,
    ) -> None:
        self._ticker = ticker
        self._exits = exits
        self._kernel = kernel
        self._sampler = sampler
        self._room = room
        self._log = structlog.get_logger()

    def perform(self, action: Action) -> None:
        """Carry out *action*."""
        match action:
            case Answer():
                self._room.answer(action)
            case TakeSample():
                self._ticker.wake()
            case WatchExit(process):
                try:
                    self._exits.watch(process, self._ticker.wake)
                except OSError as error:
                    # The tick finds the end too, only later.
                    self._log.warning(
                        "exit is not watched", pid=process.pid, reason=error.strerror
                    )
            case ReleaseDriver():
                self._sampler.release()
            case ResumeDriver():
                self._sampler.resume()
            case _:
                self._kernel.perform(action)
