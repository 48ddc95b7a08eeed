"""What processes had open before they got a mask: it denies the next open, and closes nothing."""

import asyncio

import structlog

from gpusched.core.ids import ProcessId
from gpusched.core.mask import Mask
from gpusched.core.sample import OpenNode
from gpusched.ports import ProcessTable


async def open_outside(
    table: ProcessTable, processes: tuple[ProcessId, ...], mask: Mask | None
) -> tuple[OpenNode, ...]:
    """Find what *processes* have open although *mask* denies it."""
    if mask is None or not mask.rules:
        return ()
    try:
        nodes = await asyncio.to_thread(table.open_nodes, processes)
    except OSError as error:
        # They are in already; what is not found is only not told.
        log = structlog.get_logger()
        log.warning("open devices are not looked for", reason=error.strerror)
        return ()
    return tuple(one for one in nodes if not mask.allows(one.major, one.minor))
