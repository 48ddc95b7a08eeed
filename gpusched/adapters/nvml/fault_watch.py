"""Which GPUs report their faults, and what they have reported since the pass before.

One event set per GPU, so that a lost one takes no other's along. Its set is dropped with the
first error and made anew when the GPU answers again; the tries become rarer, so that a GPU that
refuses costs next to nothing. What one GPU does not support is not tried again in this process.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from gpusched.adapters.nvml import binding, binding_events
from gpusched.core.fault import DeviceFault, FaultKind, Recovery
from gpusched.core.ids import DeviceUuid
from gpusched.core.sample import NOT_SAMPLED, Reading, Unavailable

_KINDS: Final[Mapping[int, FaultKind]] = {
    binding_events.XID: FaultKind.XID,
    binding_events.ECC_SINGLE: FaultKind.ECC_CORRECTED,
    binding_events.ECC_DOUBLE: FaultKind.ECC_UNCORRECTED,
    binding_events.UNAVAILABLE: FaultKind.UNAVAILABLE,
}
_ACTIONS: Final[Mapping[int, Recovery]] = {
    0: Recovery.NONE,
    1: Recovery.RESET,
    2: Recovery.REBOOT,
    3: Recovery.DRAIN_P2P,
    4: Recovery.DRAIN_AND_RESET,
    5: Recovery.RECOVER_IMEX,
    6: Recovery.BUS_RESET,
    7: Recovery.REBOOT,
}
"""`nvmlDeviceGpuRecoveryAction_t` (nvml.h)."""

_NEVER: Final = frozenset(
    {binding.NOT_SUPPORTED, binding.FUNCTION_NOT_FOUND, binding.NO_PERMISSION}
)
_MOST_EVENTS = 64
"""Of one GPU in one pass: a flood must not hold up the readings; the rest comes with the next."""

_LONGEST_PAUSE = 64
"""Passes between two tries to have a GPU report."""

_ADVICE_EVERY = 16
"""Passes between two looks at the advice for a GPU that nothing is known against."""


@dataclass(slots=True)
class _Gpu:
    """How it stands with one GPU.

    Attributes:
        events: Its set; None: it reports nothing now.
        why: Why it reports nothing.
        pause: Passes between two tries; 0: it is not tried again.
        due: Pass of the next try.
        troubled: Whether its advice is asked for in every pass.
        advice: As it was last read.
        advised: Whether the driver has advice for it at all.
    """

    events: binding_events.EventSet | None = None
    why: str = ""
    pause: int = 1
    due: int = 0
    troubled: bool = False
    advice: Reading[Recovery] = NOT_SAMPLED
    advised: bool = True


class FaultWatch:
    """The event sets of one driver load."""

    def __init__(self) -> None:
        self._gpus: dict[DeviceUuid, _Gpu] = {}
        self._pass = 0

    def follow(self, uuid: DeviceUuid, handle: binding.Handle) -> tuple[Reading[Recovery], str]:
        """Have a GPU that answers report its faults, and ask what would help it.

        Returns:
            What would help, as it was last asked, and why it reports nothing; empty: it does.

        Raises:
            binding.NvmlFailure: It is lost or needs a reset.
        """
        gpu = self._gpus.setdefault(uuid, _Gpu())
        if gpu.events is None and gpu.pause and self._pass >= gpu.due:
            self._register(gpu, handle)
        if gpu.advised and (gpu.troubled or self._pass % _ADVICE_EVERY == 0):
            _ask(gpu, handle)
        return gpu.advice, gpu.why

    def gone(self, uuid: DeviceUuid) -> None:
        """Note that a GPU does not answer: it is looked at closely once it does again."""
        self._gpus.setdefault(uuid, _Gpu()).troubled = True

    def faults(self) -> Iterator[DeviceFault]:
        """End the pass: give what every GPU has reported since the last one."""
        self._pass += 1
        for uuid, gpu in self._gpus.items():
            yield from self._drained(uuid, gpu)

    def _register(self, gpu: _Gpu, handle: binding.Handle) -> None:
        events = None
        try:
            events = binding_events.event_set()
            binding_events.register(handle, events)
        except binding.NvmlFailure as failure:
            if events is not None:
                binding_events.free(events)
            self._stop(gpu, failure)
            return
        gpu.events = events  # whether it reports shows when the set is emptied

    def _drained(self, uuid: DeviceUuid, gpu: _Gpu) -> Iterator[DeviceFault]:
        events = gpu.events
        if events is None:
            return
        for _ in range(_MOST_EVENTS):
            try:
                event = binding_events.next_event(events)
            except binding.NvmlFailure as failure:
                binding_events.free(events)
                gpu.events = None
                self._stop(gpu, failure)
                return
            gpu.why, gpu.pause = "", 1
            if event is None:
                return
            gpu.troubled = True
            kind = _KINDS.get(event.kind)
            if kind is not None:
                number = event.data if kind is FaultKind.XID else 0
                yield DeviceFault(uuid, kind, number, event.gpu_instance, event.compute_instance)

    def _stop(self, gpu: _Gpu, failure: binding.NvmlFailure) -> None:
        gpu.why = failure.words
        if failure.code in _NEVER:
            gpu.pause = 0
            return
        gpu.due = self._pass + gpu.pause
        gpu.pause = min(_LONGEST_PAUSE, gpu.pause * 2)


def _ask(gpu: _Gpu, handle: binding.Handle) -> None:
    """Read the advice; a GPU that needs none any more is not troubled."""
    try:
        found = binding_events.recovery_action(handle)
    except binding.NvmlFailure as failure:
        if failure.code in binding.GONE:
            raise
        gpu.advice, gpu.advised = Unavailable(failure.words), failure.code not in _NEVER
        return
    gpu.advice = _ACTIONS.get(found, Recovery.OTHER)
    gpu.troubled = gpu.advice is not Recovery.NONE
