"""Carries out what decisions ask of the kernel, beside the event loop's other work.

Each action becomes a task; its outcome goes back to the engine as an event, and the reply to that
is what waits for it hear. Nothing is decided here.
"""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from typing import TypeAlias

import structlog

from gpusched.core.actions import (
    Follow,
    Join,
    Kill,
    Observe,
    Prepare,
    Remask,
    SetGuard,
    SignalProcess,
    Terminate,
    Unprepare,
)
from gpusched.core.denial import DeniedOpen
from gpusched.core.enforcement import LeaseCgroup, Mode
from gpusched.core.events import (
    CgroupEmptied,
    Event,
    GuardSet,
    JoinFailed,
    LeaseJoined,
    LeasePrepared,
    Masked,
    Observed,
    PrepareFailed,
    Unprepared,
)
from gpusched.core.ids import LeaseId, ProcessId
from gpusched.core.ledger import Ledger
from gpusched.core.observation import Observation
from gpusched.core.replies import Attachment, Reply
from gpusched.daemon.engine import STOPPING, Engine
from gpusched.daemon.gatekeeper import Gatekeeper
from gpusched.daemon.opened import open_outside
from gpusched.daemon.outcomes import Outcomes
from gpusched.daemon.signalling import Signalling
from gpusched.daemon.tasks import Tasks
from gpusched.ports import (
    Clock,
    EnforceError,
    Enforcer,
    Guard,
    ProcessTable,
    Signaller,
    Stopping,
)

Worked: TypeAlias = (
    Prepare | Join | Remask | Terminate | Kill | SignalProcess | SetGuard | Unprepare
)
Asked: TypeAlias = Observe | Follow | Worked

Key: TypeAlias = tuple[LeaseId, ProcessId | None]

GUARDING: Key = (LeaseId(""), None)
"""Under which those wait who have asked for the guard."""

DEFECT = "a defect of gpusched stopped it; its log says which"


class Kernel:
    """The enforcer, as the executor uses it.

    Args:
        enforcer: Does it.
        guard: The host-wide one.
        signaller: Signals single processes.
        table: Finds what processes had open before.
        clock: Says when a look began.
    """

    def __init__(
        self,
        enforcer: Enforcer,
        guard: Guard,
        signaller: Signaller,
        table: ProcessTable,
        clock: Clock,
    ) -> None:
        self._enforcer = enforcer
        self._signalling = Signalling(enforcer, signaller)
        self._guard = Gatekeeper(guard)
        self._table = table
        self._clock = clock
        self._engine: Engine | None = None
        self._tasks = Tasks()
        self._outcomes: Outcomes[Key] = Outcomes()
        self._looking = False
        self._closed = False
        self._log = structlog.get_logger()

    def serve(self, engine: Engine) -> None:
        """Tell outcomes to *engine* from now on."""
        self._engine = engine
        # What was decided and never committed is never done: nobody may wait for it.
        engine.failed.add_done_callback(lambda failed: self._outcomes.end(failed.result()))

    async def look(self, known: Iterable[LeaseCgroup]) -> Observation:
        """Look at the cgroups and programs of all leases.

        Raises:
            EnforceError: They cannot be looked at.
        """
        begun_at = self._clock.now().instant
        seen = await self._enforcer.observe(tuple(known))
        guard = await self._guard.state()
        return replace(seen, begun_at=begun_at, guard=guard.on, guard_denied=guard.denied)

    def denied(self) -> tuple[DeniedOpen, ...]:
        """Give the opens that the kernel denied since the last call."""
        return self._enforcer.denied()

    async def guarded(self) -> Reply:
        """Wait for what comes of turning the guard on or off; to be called as `outcome`.

        Raises:
            Stopping: The daemon ends.
        """
        return await self._outcomes.heard(GUARDING)

    async def outcome(self, lease: LeaseId, process: ProcessId | None) -> Reply:
        """Wait for what comes of preparing or joining.

        To be called in the step of the loop in which the decision was made.

        Raises:
            Stopping: The daemon ends.
        """
        return await self._outcomes.heard((lease, process))

    def perform(self, action: Asked) -> None:
        """Begin to carry out *action*."""
        if self._closed or self._outcomes.ended is not None:
            return  # the next daemon finds what there is to do
        match action:
            case Follow(cgroup):
                self._follow(cgroup)
            case Observe():
                self._observe_once()
            case _:
                self._tasks.begin(self._work(action))

    async def close(self) -> None:
        """Wait for what has begun; nobody hears of an outcome any more. Idempotent."""
        self._closed = True
        await self._tasks.finished()
        self._outcomes.end(STOPPING)

    async def _work(self, action: Worked) -> None:
        try:
            await self._carry_out(action)
        except Exception:
            await self._give_up(action)
            raise

    async def _give_up(self, action: Worked) -> None:
        """Let nobody wait for what a defect has ended."""
        match action:
            case Prepare(lease, process=process):
                await self._answer((lease, process), PrepareFailed(lease, DEFECT, refused=False))
            case Join(lease, process=process):
                await self._answer((lease, process), JoinFailed(lease, DEFECT))
            case SetGuard():
                before = self._ledger().ability.guard
                await self._answer(GUARDING, GuardSet(before, DEFECT))
            case _:
                pass

    async def _carry_out(self, action: Worked) -> None:
        match action:
            case Prepare():
                await self._prepare(action)
            case Join():
                await self._join(action)
            case Remask():
                await self._remask(action)
            case Terminate() | Kill() | SignalProcess():
                failed = await self._signalling.send(action)
                if failed is not None:
                    await self._tell(failed)
            case SetGuard():
                await self._set_guard(action)
            case Unprepare():
                await self._unprepare(action)

    async def _prepare(self, order: Prepare) -> None:
        event: LeasePrepared | PrepareFailed
        try:
            entered = await self._enforcer.prepare(order)
        except EnforceError as error:
            event = PrepareFailed(order.lease, str(error), error.refused)
        else:
            await self._guard.admit(entered.cgroup)
            outside = await open_outside(self._table, entered.processes, order.mask)
            attachment = Attachment(order.mode, entered.processes, entered.escaped, outside)
            event = LeasePrepared(
                order.lease, entered.cgroup, entered.level, entered.sentence, attachment
            )
        await self._answer((order.lease, order.process), event)

    async def _join(self, order: Join) -> None:
        event: LeaseJoined | JoinFailed
        try:
            entered = await self._enforcer.join(order)
        except EnforceError as error:
            event = JoinFailed(order.lease, str(error))
        else:
            outside = await open_outside(self._table, entered.processes, order.mask)
            mode = Mode.MOVE if order.cgroup.made else Mode.IN_PLACE
            attachment = Attachment(mode, entered.processes, entered.escaped, outside)
            event = LeaseJoined(order.lease, order.process, attachment)
        await self._answer((order.lease, order.process), event)

    async def _remask(self, order: Remask) -> None:
        failure = None
        try:
            await self._enforcer.mask(order.cgroup, order.mask)
        except EnforceError as error:
            failure = str(error)
            self._log.warning("mask not changed", cgroup=order.cgroup.path, reason=failure)
        await self._tell(Masked(order.cgroup, failure))

    async def _unprepare(self, order: Unprepare) -> None:
        try:
            gone = await self._enforcer.unprepare(order.cgroup, order.back_to)
        except EnforceError as error:
            # The next look finds it again.
            self._log.warning("not cleared away", cgroup=order.cgroup.path, reason=str(error))
            return
        if gone:
            await self._guard.dismiss(order.cgroup)
            await self._tell(Unprepared(order.cgroup))

    async def _set_guard(self, order: SetGuard) -> None:
        await self._answer(GUARDING, await self._guard.set(order))

    async def _observe(self) -> None:
        try:
            ledger = self._ledger()
            known = {one.cgroup for one in ledger.live() if one.cgroup is not None}
            await self._tell(Observed(await self.look(known)))
        except EnforceError as error:
            self._log.warning("cgroups are not looked at", reason=str(error))
        finally:
            self._looking = False

    def _observe_once(self) -> None:
        """Look, unless somebody does: what is asked for meanwhile is asked for again by a tick."""
        if not self._looking:
            self._looking = True
            self._tasks.begin(self._observe())

    def _follow(self, cgroup: LeaseCgroup) -> None:
        def emptied() -> None:
            if not self._closed:
                self._tasks.begin(self._tell(CgroupEmptied(cgroup)))

        try:
            self._enforcer.follow(cgroup, emptied)
        except OSError as error:
            # The tick finds the end too, only later.
            self._log.warning("end is not watched", cgroup=cgroup.path, reason=error.strerror)

    async def _answer(self, key: Key, event: Event) -> None:
        await self._outcomes.tell(key, self._told(event))

    async def _tell(self, event: Event) -> None:
        with suppress(Stopping):  # the next daemon finds out by itself
            await self._told(event)

    async def _told(self, event: Event) -> Reply:
        if self._engine is None:
            raise Stopping(STOPPING)
        return await self._engine.submit(event)

    def _ledger(self) -> Ledger:
        if self._engine is None:
            raise EnforceError(STOPPING)
        return self._engine.ledger
