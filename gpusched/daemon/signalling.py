"""Sends what ends processes, to all of a cgroup or to one; a failure is told."""

from signal import SIGKILL, SIGTERM
from typing import TypeAlias

import structlog

from gpusched.core.actions import Kill, SignalProcess, Terminate
from gpusched.core.enforcement import LeaseCgroup
from gpusched.core.stray_events import SignalFailed
from gpusched.ports import EnforceError, Enforcer, Signaller

Signals: TypeAlias = Terminate | Kill | SignalProcess


class Signalling:
    """The signals of decisions."""

    def __init__(self, enforcer: Enforcer, signaller: Signaller) -> None:
        self._enforcer = enforcer
        self._signaller = signaller
        self._log = structlog.get_logger()

    async def send(self, order: Signals) -> SignalFailed | None:
        """Carry out *order*; give what the engine has to hear of it."""
        match order:
            case Terminate(cgroup):
                await self._to_all(cgroup, SIGTERM)
            case Kill(cgroup):
                await self._to_all(cgroup, SIGKILL)
            case SignalProcess():
                return self._to_one(order)
        return None

    async def _to_all(self, cgroup: LeaseCgroup, number: int) -> None:
        try:
            await self._enforcer.signal(cgroup, number)
        except EnforceError as error:
            self._log.warning("not signalled", cgroup=cgroup.path, reason=str(error))

    def _to_one(self, order: SignalProcess) -> SignalFailed | None:
        try:
            self._signaller.send(order.process, SIGKILL if order.kill else SIGTERM)
        except OSError as error:
            reason = error.strerror or "the signal could not be sent"
            self._log.warning("not signalled", pid=order.process.pid, reason=reason)
            return SignalFailed(order.process, reason)
        return None
