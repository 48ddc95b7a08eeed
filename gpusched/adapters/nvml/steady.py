"""A device's memory and its processes, read so that both tell of one moment.

NVML gives the two by calls of their own. What a worker takes between them would stand in the
account as memory of nobody, or as overlap, until the next tick.
"""

from typing import Final, TypeAlias

from gpusched.adapters.nvml import binding
from gpusched.adapters.nvml.inventory import Found
from gpusched.adapters.nvml.process_lists import ProcessLists, lists_of
from gpusched.core.ids import DeviceUuid
from gpusched.core.sample import Memory, Reading, Unavailable

Look: TypeAlias = tuple[Reading[Memory], Reading[ProcessLists]]

_AGAIN: Final = 3
"""How often a device whose memory moves is looked at again: it may never stop."""


class SteadyLooks:
    """Looks at devices, from one pass to the next.

    Only where bytes moved since the pass before is the memory read once more, behind the lists;
    a device on which nothing happens costs no call.
    """

    def __init__(self) -> None:
        self._before: dict[DeviceUuid, tuple[int, int]] = {}

    def at(self, found: Found) -> Look:
        """Read the lists of *found*, and its memory again while it moved meanwhile.

        Raises:
            binding.NvmlFailure: It turns out to be lost.
        """
        memory, lists = found.memory, binding.reading(lists_of, found.handle)
        for _ in range(_AGAIN):
            if isinstance(memory, Unavailable) or isinstance(lists, Unavailable):
                return memory, lists
            bytes_now = (memory.used, _listed(lists))
            if self._before.get(found.device.uuid) == bytes_now:
                break
            self._before[found.device.uuid] = bytes_now
            behind = binding.reading(binding.memory, found.handle)
            if behind == memory or isinstance(behind, Unavailable):
                break
            memory, lists = behind, binding.reading(lists_of, found.handle)
        return memory, lists


def _listed(lists: ProcessLists) -> int:
    return sum(row.memory or 0 for rows in lists.values() for row in rows)
