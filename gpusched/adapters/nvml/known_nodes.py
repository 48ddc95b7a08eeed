"""A sampler that remembers which device nodes the last reading had, for whoever tries a mask."""

from gpusched.core.device import DeviceNode
from gpusched.core.sample import NodeReading, Reading, Unavailable
from gpusched.ports import Sampler


class RememberingSampler:
    """Passes readings on, and keeps the nodes of the last one that could be read."""

    def __init__(self, sampler: Sampler) -> None:
        """Remember nothing yet."""
        self._sampler = sampler
        self._nodes: tuple[DeviceNode, ...] = ()

    def nodes(self) -> tuple[DeviceNode, ...]:
        """Give the nodes of all devices, as last read; none before the first reading."""
        return self._nodes

    async def sample(self) -> Reading[NodeReading]:
        """Read all devices, or say in one line why none could be read."""
        reading = await self._sampler.sample()
        if not isinstance(reading, Unavailable):
            self._nodes = tuple(node for one in reading.devices for node in one.device.nodes)
        return reading

    def release(self) -> None:
        """Let go of the driver until `resume`. Idempotent."""
        self._sampler.release()

    def resume(self) -> None:
        """Take the driver up again with the next sample. Idempotent."""
        self._sampler.resume()

    async def close(self) -> None:
        """Let go of the library. Idempotent."""
        await self._sampler.close()
