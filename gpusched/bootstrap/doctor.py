"""What `gpusched doctor` finds out with adapters: NVML in a process, a program in a cgroup.

Each probe leaves the host as it was, and none waits longer than it says.
"""

import asyncio
import ctypes
import os
import struct
from pathlib import Path
from typing import Final

import gpusched
from gpusched.adapters.cgroup.hierarchy import Hierarchy
from gpusched.adapters.cgroup.mounting import find_root
from gpusched.adapters.cgroup.probing import Prober
from gpusched.adapters.cgroup.programs import Programs
from gpusched.adapters.clock import SystemClock
from gpusched.adapters.nvml.supervisor import NvmlChild, Patience, child_command
from gpusched.cli.command import Invocation
from gpusched.cli.doctor import diagnose
from gpusched.client.address import socket_path
from gpusched.config.paths import SYSTEM_STATE
from gpusched.core.device import DeviceNode
from gpusched.core.mask import Mask, NodeRange, Rule
from gpusched.core.sample import Reading, Unavailable
from gpusched.core.survey import NodeSurvey, SurveyedDevice, SurveyValue
from gpusched.doctor.asking import ask_daemon
from gpusched.doctor.host import Host
from gpusched.doctor.situation import DriverFacts, Gpu, Probes, Situation
from gpusched.launch.landlock import available
from gpusched.ports import EnforceError

NVML_PATIENCE: Final = 30.0
"""Seconds for NVML: without persistence mode the driver initialises each GPU first."""

_NULL: Final = DeviceNode("/dev/null", 1, 3)  # Documentation/admin-guide/devices.txt
_WITHOUT_NULL: Final = Mask((Rule(allow=False, nodes=NodeRange(1, 3, 3)),))
_TIMEX_SIZE: Final = 256  # struct timex has 208 bytes (linux/timex.h)
_TIMEX_STATUS: Final = 40
_UNSYNCHRONISED: Final = 0x0040  # STA_UNSYNC
_TIME_ERROR: Final = 5


def doctor(invocation: Invocation) -> int:
    """Examine this host; give the exit code."""
    path = socket_path(invocation.options.socket, os.environ)
    clock = SystemClock()
    probes = Probes(
        driver=lambda: ask_nvml(child_command()),
        programs=try_program,
        landlock=available,
        daemon=lambda: ask_daemon(path),
        clock=clock.now,
        synchronised=synchronised,
    )
    state = invocation.options.state_dir or os.environ.get("GPUSCHED_STATE_DIR")
    situation = Situation(
        host=Host(),
        probes=probes,
        version=gpusched.__version__,
        began=clock.now(),
        cuda=invocation.options.cuda,
        state=str(Path(state or SYSTEM_STATE).absolute()),
    )
    return diagnose(invocation, situation)


def ask_nvml(command: tuple[str, ...], patience: float = NVML_PATIENCE) -> Reading[DriverFacts]:
    """Survey the host by an NVML process of our own, which is ended whatever it does.

    Args:
        command: Starts the process.
        patience: Seconds.
    """
    found = asyncio.run(_surveyed(command, patience))
    if isinstance(found, Unavailable):
        return found
    return DriverFacts(
        _text(found.fields.get("driver_version")),
        _text(found.fields.get("cuda_version")),
        tuple(map(_gpu, found.devices)),
    )


async def _surveyed(command: tuple[str, ...], patience: float) -> Reading[NodeSurvey]:
    # Its own deadline must not come first; to give up on the process it takes another second.
    child = NvmlChild(command, patience=Patience(deadline=1.0, survey=2 * patience))
    try:
        async with asyncio.timeout(patience):
            return await child.survey()
    except TimeoutError:
        return Unavailable(
            f"NVML did not answer within {patience:g} s; without persistence mode it takes seconds"
            " per GPU, else the driver hangs: look at `dmesg | grep -i xid`"
        )
    finally:
        await child.close()


def _gpu(device: SurveyedDevice) -> Gpu:
    value = device.fields.get
    return Gpu(
        index=device.index,
        persistence=_text(value("persistence_mode")),
        mig=_text(value("mig.mode.current")),
        mig_pending=_text(value("mig.mode.pending")),
        compute_mode=_text(value("compute_mode")),
        lost="" if device.failure is None else device.failure.words,
    )


def _text(value: SurveyValue | None) -> str:
    return value if isinstance(value, str) else "N/A"


def try_program() -> str | None:
    """Try a device program in a cgroup of its own, which is removed; None: it denied.

    Returns:
        Why it cannot be had, in a sentence.
    """
    root = find_root(Path("/proc/self/mountinfo").read_text("utf-8", "replace"))
    if root is None:
        return "no cgroup2 tree is mounted that may be written; see `cgroup`"
    hierarchy = Hierarchy(root)
    path = f"/gpusched_doctor_{os.getpid()}"
    programs, prober = Programs(), Prober(hierarchy, lambda: (_NULL,))
    try:
        hierarchy.create(path)
        programs.apply(hierarchy.folder(path), _WITHOUT_NULL)
        prober.check(path, _WITHOUT_NULL)
    except EnforceError as error:
        return str(error)
    finally:
        prober.close()
        programs.close()
        hierarchy.remove_if_bare(path)
    return None


def synchronised() -> bool | None:
    """Ask the kernel whether its clock follows a good one (adjtimex(2)); None: it does not say."""
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(_TIMEX_SIZE)  # modes 0: nothing is set
    state = int(libc.adjtimex(buffer))
    if state < 0:
        return None
    status = int(struct.unpack_from("=i", buffer.raw, _TIMEX_STATUS)[0])
    return state != _TIME_ERROR and not status & _UNSYNCHRONISED
