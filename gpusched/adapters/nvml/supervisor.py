"""The daemon's end of the NVML process: asks it, waits only so long, ends it and starts another.

Exists so that nothing the driver does can hold up the daemon. It knows neither NVML nor what a
reading contains; nothing that loads the library may be imported here.
"""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gpusched.adapters.nvml import wire
from gpusched.core.sample import NodeReading, Reading, Unavailable
from gpusched.core.survey import NodeSurvey

_RELEASED: Final = Unavailable(
    "the driver has been let go; `gpusched nvml resume` takes it up again"
)
_CLOSED: Final = Unavailable("NVML has been released; this daemon reads no devices")
# Where the library and Python are found; the rest of the environment is none of its business.
_PASSED_ON: Final = ("LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONPATH")
_LAST_WORDS: Final = 1.0  # seconds for the exit status of a process that has closed its pipe


def child_command(simulation: Path | None = None) -> tuple[str, ...]:
    """Give the command line of the NVML process.

    Args:
        simulation: Folder of a simulation that answers in the place of a driver.
    """
    # -P: the current folder of a daemon that runs as root must not be searched for modules.
    command = (sys.executable, "-P", "-m", "gpusched.adapters.nvml.child")
    return command if simulation is None else (*command, "--simulated", str(simulation))


def child_environment(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Give the part of *environment* that the NVML process needs."""
    return {name: environment[name] for name in _PASSED_ON if name in environment}


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the daemon waits, in seconds.

    Attributes:
        deadline: For one sample.
        survey: For one survey, which asks a hundred times as much.
        start: For the first sample of a process: without persistence mode the driver initialises
            each GPU then, 1 to 3 seconds and more apiece, and would begin again after a kill.
        first_pause: Between the first failure and the next process.
        longest_pause: The pause doubles with each failure in a row up to this.
    """

    deadline: float = 5.0
    survey: float = 15.0
    start: float = 60.0
    first_pause: float = 0.5
    longest_pause: float = 30.0


_PATIENCE: Final = Patience()


@dataclass(slots=True)
class _Running:
    """One NVML process.

    Attributes:
        process: It.
        started_at: On the loop's clock.
        answered: Whether it has given a sample.
        owed: The request that it has not answered yet.
        killed_at: On the loop's clock; None while it is in use.
    """

    process: Process
    started_at: float
    answered: bool = False
    owed: asyncio.Task[wire.Answer] | None = None
    killed_at: float | None = None


class NvmlChild:
    """The `Sampler` over NVML: a process that is started when the first sample is asked for."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        patience: Patience = _PATIENCE,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Remember how to start the process; nothing is started yet.

        Args:
            command: Usually `child_command()`.
            patience: How long to wait for what.
            environment: The process's whole environment; None for `child_environment()`.
        """
        self._command = tuple(command)
        self._patience = patience
        self._environment = child_environment() if environment is None else dict(environment)
        self._turn = asyncio.Lock()
        self._child: _Running | None = None
        self._retired: list[_Running] = []
        self._failures = 0
        self._last = Unavailable("not read yet")
        self._not_before = 0.0
        self._closed = False
        self._released = False

    async def sample(self) -> Reading[NodeReading]:
        """Read all devices by a pass that begins after this call, or say why there is none.

        Calls take turns, and the deadline counts from the turn. A process that is late, has died
        or answers nonsense is ended; the next one is started after a pause, and until then the
        reason is given at once.
        """
        answer = await self._answered(wire.ASK, self._patience.deadline)
        return answer if isinstance(answer, NodeReading) else _no(answer)

    async def survey(self) -> Reading[NodeSurvey]:
        """Survey the host, or say why there is none; as `sample`, and in turn with it."""
        answer = await self._answered(wire.SURVEY, self._patience.survey)
        return answer if isinstance(answer, NodeSurvey) else _no(answer)

    async def _answered(self, request: bytes, deadline: float) -> wire.Answer:
        async with self._turn:
            if self._released:
                await self._gone()
            hindrance = self._hindrance()
            if hindrance is not None:
                return hindrance
            try:
                async with asyncio.timeout(deadline):
                    answer = await self._ask(request)
            except TimeoutError:
                if self._is_starting():
                    return Unavailable(
                        "NVML is still starting; that takes seconds per GPU without persistence"
                        " mode (`nvidia-smi -pm 1`)"
                    )
                answer = Unavailable(
                    f"NVML did not answer for {deadline:.1f} s;"
                    " its process was ended and is started again"
                )
            self._note(answer)
            if self._released:
                self._retire()  # it may have been started while it was let go
            return self._shut() or answer

    def release(self) -> None:
        """End the process, so that the driver can be unloaded; `sample` says once it is gone.

        Idempotent.
        """
        self._released = True
        self._retire()

    def resume(self) -> None:
        """Start a process again with the next sample: it loads the library anew. Idempotent."""
        self._released = False
        self._failures, self._not_before = 0, 0.0

    async def close(self) -> None:
        """End the process and wait a moment for it; one that hangs in the driver is left behind.

        After it the driver can be unloaded, as soon as nobody else uses it. Idempotent.
        """
        self._closed = True
        self._retire()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience.deadline):
                async with self._turn:  # a sample on its way ends with the process
                    self._retire()
                for one in self._retired:
                    await one.process.wait()

    async def _gone(self) -> None:
        """Wait until no process is left, but not for one that hangs in the driver."""
        self._retire()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience.deadline):
                for one in self._retired:
                    await one.process.wait()

    def _shut(self) -> Unavailable | None:
        """Say why there is no process, where that is on purpose."""
        if self._closed:
            return _CLOSED
        return _RELEASED if self._released else None

    def _hindrance(self) -> Unavailable | None:
        if self._closed:
            return _CLOSED
        now = asyncio.get_running_loop().time()
        if self._child is None and now < self._not_before and not self._released:
            return self._last
        self._retired = [one for one in self._retired if one.process.returncode is None]
        if not self._retired:
            return self._shut()
        # Another process would hang in the same driver, and they would pile up.
        former = self._retired[0]
        # One that is let go has been waited for.
        if not self._released and now - (former.killed_at or now) < self._patience.deadline:
            return self._last
        return Unavailable(
            f"NVML's former process {former.process.pid} hangs in the driver and cannot be ended;"
            " see the kernel log, a reboot may be needed"
        )

    def _is_starting(self) -> bool:
        if self._child is None or self._child.answered:
            return False
        age = asyncio.get_running_loop().time() - self._child.started_at
        return age < self._patience.start

    async def _ask(self, request: bytes) -> wire.Answer:
        if self._child is None:
            try:
                self._child = await self._start()
            except OSError as error:
                return Unavailable(f"NVML's process cannot be started: {error}")
            if self._released or self._closed:  # while it was being started
                self._retire()
                return _CLOSED
        child = self._child
        while True:
            stale = child.owed is not None
            child.owed = child.owed or asyncio.create_task(_exchange(child.process, request))
            answer = await asyncio.shield(child.owed)
            child.owed = None
            child.answered = True
            # What an earlier call asked for and gave up on was read before this call began.
            if isinstance(answer, Unavailable) or not stale:
                return answer

    async def _start(self) -> _Running:
        process = await asyncio.create_subprocess_exec(
            *self._command, stdin=PIPE, stdout=PIPE, env=self._environment
        )
        return _Running(process, asyncio.get_running_loop().time())

    def _note(self, answer: wire.Answer) -> None:
        """Count failures in a row, and end the process that failed."""
        if not isinstance(answer, Unavailable):
            self._failures = 0
            return
        pause = self._patience.first_pause * 2**self._failures
        self._not_before = asyncio.get_running_loop().time() + min(
            pause, self._patience.longest_pause
        )
        self._failures += 1
        self._last = answer
        self._retire()

    def _retire(self) -> None:
        if self._child is None:
            return
        with suppress(ProcessLookupError):
            self._child.process.kill()
        self._child.killed_at = asyncio.get_running_loop().time()
        self._retired.append(self._child)
        self._child = None


def _no(answer: wire.Answer) -> Unavailable:
    """Give the reason; an answer to another question is none to this."""
    if isinstance(answer, Unavailable):
        return answer
    return Unavailable("NVML's process answered another question")


async def _exchange(process: Process, request: bytes) -> wire.Answer:
    """Ask once; whatever goes wrong with the process is the answer."""
    assert process.stdin is not None and process.stdout is not None  # noqa: PT018, S101 - PIPE
    try:
        process.stdin.write(request)
        await process.stdin.drain()
        header = await process.stdout.readexactly(wire.HEADER_SIZE)
        return wire.answer_of(await process.stdout.readexactly(wire.body_size(header)))
    except wire.Garbled as error:
        return Unavailable(
            f"NVML's process answered nonsense ({error}); it was ended and is started again"
        )
    except (OSError, asyncio.IncompleteReadError):
        return Unavailable(f"NVML's process {await _ending(process)}; it is started again")


async def _ending(process: Process) -> str:
    with suppress(TimeoutError):
        async with asyncio.timeout(_LAST_WORDS):
            status = await process.wait()
            return f"was killed by signal {-status}" if status < 0 else f"ended with {status}"
    return "closed its pipe"
