"""Makes one frozen `NodeSample` per tick: what NVML said, with each pid resolved to a process.

It reads; it decides nothing. A pid that `/proc` does not know any more stays in the sample.
"""

import asyncio
from collections.abc import Iterable, Mapping

import structlog

from gpusched.core.ids import LeaseId, ProcessId
from gpusched.core.ledger import Ledger
from gpusched.core.sample import NodeReading, NodeSample, ProcessFacts, Reading, Unavailable
from gpusched.ports import Clock, ProcessTable, Sampler, Watched


class Poller:
    """Reads devices and processes."""

    def __init__(self, sampler: Sampler, table: ProcessTable, clock: Clock) -> None:
        self._sampler = sampler
        self._table = table
        self._clock = clock
        self._idle = False
        self._log = structlog.get_logger()

    async def look(self, watched: tuple[Watched, ...]) -> NodeSample:
        """Take a sample; the processes of *watched* leases are looked for."""
        begun_at = self._clock.now().instant
        reading = await self._sampler.sample()
        pids = frozenset(_pids(reading))
        # Walking /proc of a busy host blocks, so it is done off the loop, and not without need.
        # The table is told once that nothing is watched any more, so that it can forget.
        if not pids and not watched and self._idle:
            return NodeSample(begun_at, reading)
        try:
            facts, members = await asyncio.to_thread(self._processes, pids, watched)
        except OSError as error:
            # Out of descriptors, say: nobody is known then, and nobody is held to be gone.
            self._log.warning("processes are not read", reason=error.strerror)
            return NodeSample(begun_at, reading)
        self._idle = not watched
        return NodeSample(begun_at, reading, facts, members)

    async def close(self) -> None:
        """Let go of the devices."""
        await self._sampler.close()

    def _processes(
        self, pids: Iterable[int], watched: tuple[Watched, ...]
    ) -> tuple[Mapping[int, ProcessFacts], Mapping[LeaseId, frozenset[ProcessId]]]:
        # Members first: a process that starts in between is then a stray for one tick at most,
        # and not a member that the lease lost.
        members = self._table.members(watched)
        return self._table.facts(pids), members


def watched_leases(ledger: Ledger) -> tuple[Watched, ...]:
    """Give the leases whose processes have to be looked for: those that were entered."""
    return tuple(
        Watched(
            lease.id,
            lease.uid,
            lease.processes,
            None if lease.cgroup is None else lease.cgroup.path,
        )
        for lease in ledger.live()
        if lease.entered is not None
    )


def _pids(reading: Reading[NodeReading]) -> Iterable[int]:
    if isinstance(reading, Unavailable):
        return
    for device in reading.devices:
        if not isinstance(device.contexts, Unavailable):
            yield from (one.pid for one in device.contexts)
