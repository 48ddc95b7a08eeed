"""`gpusched simulated-worker`: a real process that uses simulated memory the way CUDA would.

It finds its devices by CUDA's rules, opens their nodes before anything else (so that a mask stops
it where it would stop CUDA), takes memory, says so in one line of JSON, and holds it until it is
told to stop or killed. It must start fast: nothing of gRPC or of the NVML binding comes in.
"""

import argparse
import errno
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from gpusched.adapters.nvml.simulated.memory import OutOfMemory, SimulatedMemory
from gpusched.adapters.nvml.simulated.nodes import CONTROL_NODES, gpu_node, mig_nodes
from gpusched.adapters.nvml.simulated.places import VARIABLE, Places
from gpusched.adapters.nvml.simulated.scenario import ScenarioError, SimulatedDevice
from gpusched.adapters.nvml.simulated.visible import CudaDevice, visible_devices
from gpusched.core.errors import InvalidRequest
from gpusched.core.sizes import parse_size

BAD_REQUEST = 64
NO_DEVICE = 3
OUT_OF_MEMORY = 4

_ENDED_BY = {signal.SIGTERM, signal.SIGINT}
_TYPES = ("C", "G", "C+G", "M+C", "M+C+G")


class NoCudaDevice(Exception):
    """CUDA would find no device to use."""

    def __init__(self, why: str = "") -> None:
        super().__init__("no CUDA-capable device is detected" + (f": {why}" if why else ""))


@dataclass(frozen=True, slots=True)
class Growth:
    """How a worker grows: *size* bytes on each device, every *seconds*."""

    size: int
    seconds: float


def main(argv: Sequence[str]) -> int:
    """Run the command.

    Args:
        argv: The arguments behind `gpusched simulated-worker`.

    Returns:
        0 after SIGTERM, SIGINT or the given time; 3 where CUDA would see no device; 4 when out
        of memory; 64 for wrong arguments or a wrong directory.
    """
    # Taken from here on by `sigtimedwait`: a signal that comes early is not lost.
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDED_BY)
    try:
        arguments = _parser().parse_args(argv)
        memory = SimulatedMemory(_directory(os.environ), arguments.type.split("+"))
    except (ScenarioError, InvalidRequest) as error:
        return _fail(str(error), BAD_REQUEST)
    try:
        return _work(memory, arguments)
    except NoCudaDevice as error:
        return _fail(str(error), NO_DEVICE)
    except OutOfMemory as error:
        return _fail(str(error), OUT_OF_MEMORY)
    except OSError as error:
        return _fail(f"the simulator directory cannot be used: {error}", BAD_REQUEST)
    finally:
        memory.close()


def usable_devices(memory: SimulatedMemory, environ: Mapping[str, str]) -> tuple[CudaDevice, ...]:
    """Give the devices that CUDA would show this process, their nodes opened.

    Raises:
        NoCudaDevice: There is none.
    """
    root = Places(_directory(environ)).dev
    for name in CONTROL_NODES:
        why = _denied(root / name)
        if why is not None:
            raise NoCudaDevice(why)
    denials: list[str] = []
    opened: list[SimulatedDevice] = []
    for subject in memory.view().gpus:
        why = _denied(root / gpu_node(subject.gpu).path)
        if why is None:
            opened.append(subject.gpu)
        else:
            denials.append(why)
    mask, order = environ.get("CUDA_VISIBLE_DEVICES"), environ.get("CUDA_DEVICE_ORDER")
    found = visible_devices(mask, order, opened)
    if not found:
        raise NoCudaDevice("" if mask == "" else next(iter(denials), ""))
    for one in found:
        _open_instance(root, one)
    return found


def _work(memory: SimulatedMemory, arguments: argparse.Namespace) -> int:
    devices = usable_devices(memory, os.environ)
    if arguments.device_index is not None:
        if arguments.device_index >= len(devices):
            raise NoCudaDevice(f"invalid device ordinal {arguments.device_index}")
        devices = (devices[arguments.device_index],)
    elif arguments.devices == "first":
        devices = devices[:1]
    memory.take({one.uuid: arguments.memory for one in devices})
    ready = {"pid": os.getpid(), "devices": [one.uuid for one in devices]}
    print(json.dumps({**ready, "bytes": arguments.memory}), flush=True)  # noqa: T201 - its output
    grow: Growth | None = arguments.grow
    return _hold(
        _ENDED_BY - ({signal.SIGTERM} if arguments.ignore_term else set()),
        _Steps(
            arguments.seconds,
            arguments.free_after,
            memory.free,
            None if grow is None else grow.seconds,
            lambda: memory.take({one.uuid: grow.size for one in devices} if grow else {}),
        ),
    )


@dataclass(slots=True)
class _Steps:
    """What a worker does on the way, each after so many seconds; None: not at all."""

    end: float | None
    free_after: float | None
    free: Callable[[], None]
    every: float | None
    grow: Callable[[], None]
    grown: int = 0

    def take(self, passed: float) -> float | None:
        """Take the steps that are due; say at which second the next one is."""
        if self.free_after is not None and passed >= self.free_after:
            self.free()
            self.free_after = None
        while self.every is not None and passed >= (self.grown + 1) * self.every:
            self.grow()
            self.grown += 1
        growth = None if self.every is None else (self.grown + 1) * self.every
        known = [one for one in (self.end, self.free_after, growth) if one is not None]
        return min(known, default=None)


def _hold(ended_by: set[signal.Signals], steps: _Steps) -> int:
    """Wait for a signal or until the time is up, taking the steps on the way."""
    begun = time.monotonic_ns()
    while True:
        passed = (time.monotonic_ns() - begun) / 1e9
        if steps.end is not None and passed >= steps.end:
            return 0
        until = steps.take(passed)
        if _signalled(None if until is None else max(0.0, until - passed)) in ended_by:
            return 0


def _signalled(seconds: float | None) -> int | None:
    if seconds is None:
        return signal.sigwait(_ENDED_BY)
    found = signal.sigtimedwait(_ENDED_BY, seconds)
    return None if found is None else found.si_signo


def _denied(node: Path) -> str | None:
    """Open *node* and keep it open, as CUDA does; says why where that is not allowed."""
    try:
        os.open(node, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        # ENXIO means that the kernel let us through and found no driver behind the node.
        return None if error.errno == errno.ENXIO else f"{node}: {error.strerror}"
    return None


def _open_instance(root: Path, device: CudaDevice) -> None:
    for instance in device.gpu.mig:
        if instance.uuid == device.uuid:
            for node in mig_nodes(device.gpu, instance):
                why = _denied(root / node.path)
                if why is not None:
                    raise NoCudaDevice(why)


def _directory(environ: Mapping[str, str]) -> Path:
    found = environ.get(VARIABLE)
    if not found or not Path(found).is_absolute():
        reason = "must be the absolute path of the simulator's directory; a grant carries it"
        raise ScenarioError((f"{VARIABLE}: {reason}",))
    return Path(found)


def _fail(why: str, code: int) -> int:
    print(f"simulated-worker: {why}", file=sys.stderr, flush=True)  # noqa: T201 - its output
    return code


class _Parser(argparse.ArgumentParser):
    """Ends with gpusched's exit code for a bad request."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and end."""
        self.exit(BAD_REQUEST, f"{self.prog}: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="gpusched simulated-worker",
        description="Use memory of simulated devices until stopped (SIGTERM, SIGINT).",
        epilog="example: gpusched run --memory 4GiB -- gpusched simulated-worker --memory 4GiB",
    )
    parser.add_argument(
        "--memory",
        type=parse_size,
        required=True,
        metavar="SIZE",
        help="on each device, the CUDA context included, such as 4GiB",
    )
    parser.add_argument(
        "--ignore-term",
        action="store_true",
        help="go on at SIGTERM: only SIGKILL and SIGINT end it",
    )
    parser.add_argument(
        "--grow", type=_growth, metavar="SIZE/SECONDS", help="take SIZE more every SECONDS"
    )
    parser.add_argument(
        "--free-after",
        type=float,
        metavar="SECONDS",
        help="give the memory back then, and go on without",
    )
    parser.add_argument(
        "--for", type=float, dest="seconds", metavar="SECONDS", help="end after this time"
    )
    parser.add_argument(
        "--type", choices=_TYPES, default="C", help="lists of NVML to stand in (default C)"
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--devices", choices=("all", "first"), default="all", help="of those that CUDA shows"
    )
    which.add_argument("--device-index", type=_ordinal, metavar="I", help="this CUDA ordinal only")
    return parser


def _growth(text: str) -> Growth:
    size, _, seconds = text.partition("/")
    try:
        growth = Growth(parse_size(size, "--grow"), float(seconds))
    except ValueError as error:
        raise InvalidRequest("--grow", f"{text!r} is not such as 256MiB/5") from error
    if growth.seconds <= 0:
        raise InvalidRequest("--grow", f"{seconds} is not a number of seconds above 0")
    return growth


def _ordinal(text: str) -> int:
    if not text.isdecimal():
        raise InvalidRequest("--device-index", f"{text!r} is not a CUDA ordinal such as 0")
    return int(text)
