"""A sampler that answers what the test wants, as often as it is asked."""

import asyncio

from gpusched.core.sample import NOT_SAMPLED, NodeReading, Reading, Unavailable
from gpusched.core.survey import NodeSurvey


class FakeSampler:
    """Gives `reading`; `answering` cleared holds every call up, as a slow driver does."""

    def __init__(self, reading: Reading[NodeReading] = NOT_SAMPLED) -> None:
        self.reading = reading
        self.calls = 0
        self.closed = False
        self.released = False
        self.answering = asyncio.Event()
        self.answering.set()

    async def sample(self) -> Reading[NodeReading]:
        self.calls += 1
        await self.answering.wait()
        return self.reading

    async def survey(self) -> Reading[NodeSurvey]:
        return Unavailable("no survey in this test")

    def release(self) -> None:
        self.released = True

    def resume(self) -> None:
        self.released = False

    async def close(self) -> None:
        self.closed = True
