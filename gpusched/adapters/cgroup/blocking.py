"""Work that blocks, kept out of the event loop, and the order of such work."""

import asyncio
import functools
import weakref
from collections.abc import Callable
from concurrent.futures import Executor
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


async def in_thread(
    threads: Executor, work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
) -> _T:
    """Do *work* in one of *threads* and give what it gives; its errors are raised here."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(threads, functools.partial(work, *args, **kwargs))


class Turns:
    """One after the other for what concerns the same thing, side by side for all else."""

    def __init__(self) -> None:
        """Keep no lock that nobody has."""
        self._locks: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    def of(self, key: str) -> asyncio.Lock:
        """Give the lock of *key*; it lives while somebody has it or waits for it."""
        return self._locks.setdefault(key, asyncio.Lock())
