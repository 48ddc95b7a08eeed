"""The NVML process: the only one that loads `libnvidia-ml`; started, killed and replaced at will.

Exists because a call into the driver can hang for ever and because a driver upgrade is seen only
by a new process. It answers each byte on its standard input with one reading on its standard
output. It is small on purpose: no asyncio, no logging, no argument parser may enter.

An answer that nothing could be read is its last: the daemon starts another one after a while,
so that every retry loads the library anew, whether it was missing, without driver or replaced.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar

from gpusched.adapters.nvml import binding, wire
from gpusched.adapters.nvml.nodes import NodePlaces
from gpusched.adapters.nvml.sampler import NvmlSampler
from gpusched.adapters.nvml.survey import survey
from gpusched.core.sample import NodeReading, Reading, Unavailable
from gpusched.core.survey import NodeSurvey

T = TypeVar("T")

SIMULATED: Final = "--simulated"
"""Option: the folder of a simulation that answers in the place of the library."""

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h

_WHAT_TO_DO: Final = {
    binding.DRIVER_NOT_LOADED: (
        "the NVIDIA kernel driver is not loaded; install it or load it with `modprobe nvidia`,"
        " it is tried again every few seconds"
    ),
    binding.LIBRARY_NOT_FOUND: (
        "libnvidia-ml.so.1 was not found or cannot be loaded; install the NVIDIA driver's"
        " libraries (Debian: libnvidia-ml1) or name their folder in LD_LIBRARY_PATH, it is tried"
        " again every few seconds"
    ),
    binding.LIBRARY_MISMATCH: (
        "libnvidia-ml.so.1 and the loaded kernel driver have different versions, as after an"
        " upgrade; load the new kernel driver or reboot: this daemon holds nothing of the old one,"
        " and takes the new one up by itself"
    ),
    binding.NO_PERMISSION: (
        "NVML may not be used by this user or in this container; run the daemon as root on the"
        " host"
    ),
}


def main(arguments: Sequence[str]) -> int:
    """Answer requests until the daemon closes the pipe or nothing can be read.

    Args:
        arguments: None, or `--simulated FOLDER`.

    Returns:
        0 when the daemon has gone, 1 when the last answer was that nothing could be read.
    """
    _die_with_parent()
    requests, answers = _own_pipes()
    library = _Library(Path(arguments[1]) if arguments[:1] == [SIMULATED] else None)
    with requests, answers:
        while request := requests.read(len(wire.ASK)):
            answer = library.survey() if request == wire.SURVEY else library.sample()
            answers.write(wire.frame(answer))
            answers.flush()
            if isinstance(answer, Unavailable):
                return 1
    return 0


class _NoSimulation(Exception):
    """The simulator directory cannot be used; the text says why."""


class _Library:
    """The library, initialised at the first request: that alone can take many seconds."""

    def __init__(self, simulation: Path | None) -> None:
        self._simulation = simulation
        self._sampler: NvmlSampler | None = None

    def sample(self) -> Reading[NodeReading]:
        return self._answer(lambda sampler: sampler.sample())

    def survey(self) -> Reading[NodeSurvey]:
        return self._answer(lambda _: survey(simulated=self._simulation is not None))

    def _answer(self, read: Callable[[NvmlSampler], T]) -> Reading[T]:
        try:
            if self._sampler is None:
                self._sampler = self._start()
            return read(self._sampler)
        except binding.NvmlFailure as failure:
            general = f"NVML answers: {failure.words} (code {failure.code})"
            return Unavailable(_WHAT_TO_DO.get(failure.code, general))
        except _NoSimulation as error:
            return Unavailable(f"the simulator directory {self._simulation}: {error}")

    def _start(self) -> NvmlSampler:
        places = NodePlaces()
        if self._simulation is not None:
            places = _simulate(self._simulation)
        binding.start()
        return NvmlSampler(places, simulated=self._simulation is not None)


def _simulate(folder: Path) -> NodePlaces:
    """Put a simulation in the place of the library and give the places of its nodes."""
    # On first use: a daemon over real GPUs does not pay for the simulator.
    from gpusched.adapters.nvml import simulated  # noqa: PLC0415 - see above

    try:
        library: Any = simulated.load(folder)
    except simulated.ScenarioError as error:
        raise _NoSimulation(str(error)) from None
    binding.use_library(library)
    return NodePlaces(
        dev=library.nodes_root,
        proc=library.proc_root,
        sys=library.sys_root,
        major=library.node_major,
        gpu_minors=library.gpu_minors,
        capability_minors=library.capability_minors,
    )


def _die_with_parent() -> None:
    """Ask the kernel to kill this process when the daemon dies, also in the midst of a call.

    A daemon that died before this line left a closed pipe, which ends the process as well.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # An interrupt from the terminal reaches the whole group; when to end is the daemon's affair.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _own_pipes() -> tuple[BinaryIO, BinaryIO]:
    """Take the pipes away from everybody else: a library that prints must not spoil an answer."""
    requests = os.fdopen(os.dup(0), "rb", buffering=0)
    answers = os.fdopen(os.dup(1), "wb")
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    return requests, answers


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except BrokenPipeError:
        sys.exit(0)  # the daemon went away while it was answered
