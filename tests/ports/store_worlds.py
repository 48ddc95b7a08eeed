"""What the suites about the store have in common."""

from collections.abc import Callable
from typing import TypeAlias

from gpusched.core.changes import Durable
from gpusched.core.ids import BootId, Instant
from gpusched.ports import Batch, Store

FIRST_BOOT = BootId("11111111-1111-1111-1111-111111111111")

Start: TypeAlias = Callable[[], Store]
"""Starts a store over what earlier ones of the same test kept, which are closed by it."""


def batch(*changes: Durable, generation: int = 1, power_safe: bool = False) -> Batch:
    return Batch(changes, generation, Instant(generation * 10), power_safe=power_safe)
