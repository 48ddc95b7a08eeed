"""From start to end of the daemon: recover, look, open, tick, and go in order.

The order is the promise: nothing is answered before the ledger is recovered and the devices were
looked at once, and nothing decided is lost on the way out.
"""

import asyncio
import signal
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from gpusched.core.events import PolicyRead, Recovered
from gpusched.core.ids import SECOND
from gpusched.core.ledger import Ledger
from gpusched.core.policy import Policy
from gpusched.core.sample import Unavailable
from gpusched.daemon.attended import AttendedSampler
from gpusched.daemon.authority import EngineAuthority
from gpusched.daemon.committer import QUICK
from gpusched.daemon.containers import Containers
from gpusched.daemon.engine import Engine
from gpusched.daemon.executor import Executor
from gpusched.daemon.kernel import Kernel
from gpusched.daemon.poller import Poller
from gpusched.daemon.ticker import Ticker
from gpusched.daemon.waiting_room import WaitingRoom
from gpusched.ports import (
    Authority,
    Clock,
    EnforceError,
    Enforcer,
    ExitWatch,
    Guard,
    ProcessTable,
    Sampler,
    ServiceManager,
    Signaller,
    Stopping,
    Store,
)

BOOT_TIME = 300 * SECOND
"""A start this soon after the boot may be before the driver's."""


class Doors(Protocol):
    """Where clients come in."""

    async def open(self, authority: Authority) -> None:
        """Begin to answer."""
        ...

    async def close(self) -> None:
        """Answer nobody any more. Idempotent."""
        ...


@dataclass(frozen=True, slots=True)
class Reloaded:
    """The configuration as it was read anew.

    Attributes:
        policy: For decisions.
        interval: Seconds between ticks.
        changed: What is different, key by key, for the story.
    """

    policy: Policy
    interval: float
    changed: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class World:
    """Everything the daemon is made of; chosen in `bootstrap`.

    Attributes:
        reload: Reads the configuration again; None when it has faults, which it has logged.
        boot_patience: Seconds to wait for the driver soon after a boot.
        quick: Nanoseconds that a commit may hold up the loop; see `Committer`.
        containers: Tells container engines of leases.
    """

    version: str
    policy: Policy
    interval: float
    boot_patience: float
    clock: Clock
    store: Store
    sampler: Sampler
    table: ProcessTable
    enforcer: Enforcer
    guard: Guard
    exits: ExitWatch
    signaller: Signaller
    manager: ServiceManager
    doors: Doors
    reload: Callable[[], Reloaded | None]
    quick: int = QUICK
    containers: Containers = field(default_factory=lambda: Containers(None))


async def run(world: World) -> str | None:
    """Serve until a signal ends it; return why it had to end by itself, else None.

    Raises:
        StoreError: The ledger cannot be loaded; nothing was changed.
        InvariantBroken: The loaded ledger contradicts itself.
    """
    interval = min(world.interval, world.manager.watchdog_interval() or world.interval)
    poller = Poller(AttendedSampler(world.sampler, world.manager), world.table, world.clock)
    kernel = Kernel(world.enforcer, world.guard, world.signaller, world.table, world.clock)
    room = WaitingRoom()
    ticker = Ticker(poller, world.clock, world.manager, interval, kernel.denied)
    reread = _reread()
    try:
        # Closed from the last to the first, also when the start fails halfway.
        async with AsyncExitStack() as closing:
            closing.callback(world.store.close)
            closing.push_async_callback(world.enforcer.close)
            closing.callback(world.guard.close)
            closing.callback(world.exits.close)
            closing.push_async_callback(ticker.close)
            executor = Executor(ticker, world.exits, kernel, world.sampler, room)
            engine, recovered = await _restored(world, executor, kernel)
            closing.push_async_callback(engine.close)
            closing.push_async_callback(kernel.close)
            closing.push_async_callback(world.containers.close)
            closing.push_async_callback(world.doors.close)
            room.serve(engine)
            closing.callback(room.close)
            closing.callback(world.manager.notify, "STOPPING=1")
            await engine.submit(recovered)
            await _first_look(world, ticker, engine)
            # After the first look, by which the nodes are known.
            await world.containers.serve(engine)
            await world.doors.open(EngineAuthority(engine, ticker, kernel, room, world.containers))
            world.manager.notify("READY=1\nSTATUS=serving")
            structlog.get_logger().info("serving", generation=engine.ledger.generation)
            return await _serve(world, ticker, engine, reread)
    except (Stopping, EnforceError) as error:
        return str(error)


def _reread() -> asyncio.Event:
    """Remember SIGHUP from here on: unheard, it would end a daemon that waits for its driver."""
    asked = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, asked.set)
    return asked


async def _restored(world: World, executor: Executor, kernel: Kernel) -> tuple[Engine, Recovered]:
    boot = world.clock.boot_id()
    stored = world.store.load(boot)
    ledger = Ledger(world.policy)
    ledger.restore(
        stored.leases,
        stored.stories,
        stored.generation,
        stored.ghosts,
        stored.marks,
        stored.released,
    )
    ledger.restore_waiting(stored.waiting)
    ledger.check_invariants()
    ability = await world.enforcer.ability()
    structlog.get_logger().info("enforcement", reached=ability.level.value, why=ability.sentence)
    cgroups = (lease.cgroup for lease in ledger.live())
    seen = await kernel.look({one for one in cgroups if one is not None})
    engine = Engine(ledger, world.store, world.clock, executor.perform, world.quick)
    kernel.serve(engine)
    alive_at, version = stored.alive_at, world.version
    return engine, Recovered(stored.boot_id, boot, alive_at, version, ability, seen)


async def _first_look(world: World, ticker: Ticker, engine: Engine) -> None:
    """Sample once before anybody is answered; soon after a boot wait for the driver a while."""
    began = world.clock.now().instant
    patience = world.boot_patience * SECOND if began < BOOT_TIME else 0
    while True:
        await ticker.tick(engine)
        sample = engine.ledger.sample
        missing = sample is None or isinstance(sample.reading, Unavailable)
        wanted = missing and engine.ledger.released is None
        if not wanted or world.clock.now().instant - began >= patience:
            return
        await asyncio.sleep(ticker.interval)


async def _serve(
    world: World, ticker: Ticker, engine: Engine, reread: asyncio.Event
) -> str | None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    reloading: set[asyncio.Task[None]] = set()

    def reload() -> None:
        task = loop.create_task(_reload(world, ticker, engine))
        reloading.add(task)
        task.add_done_callback(reloading.discard)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    loop.add_signal_handler(signal.SIGHUP, reload)
    if reread.is_set():
        reload()
    ticking = loop.create_task(ticker.run(engine))
    stopped = loop.create_task(ended.wait())
    try:
        await asyncio.wait((ticking, stopped, engine.failed), return_when=asyncio.FIRST_COMPLETED)
        if engine.failed.done():
            return engine.failed.result()
        if ticking.done():
            ticking.result()  # raises what ended it: ticking never ends by itself
        return None
    finally:
        stopped.cancel()
        ticking.cancel()


async def _reload(world: World, ticker: Ticker, engine: Engine) -> None:
    found = world.reload()
    if found is None:
        return
    ticker.interval = min(found.interval, world.manager.watchdog_interval() or found.interval)
    with suppress(Stopping):  # then the daemon ends, and why has been said
        await engine.submit(PolicyRead(found.policy, found.changed))
        structlog.get_logger().info("configuration read", changed=dict(found.changed))
