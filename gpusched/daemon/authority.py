"""The engine as clients' side sees it: the port `Authority`, made of what the daemon is."""

from gpusched.core.ledger import Ledger
from gpusched.daemon.containers import Containers
from gpusched.daemon.engine import Engine
from gpusched.daemon.kernel import Kernel
from gpusched.daemon.ticker import Ticker
from gpusched.daemon.waiting_room import WaitingRoom


class EngineAuthority:
    """Passes on; holds nothing of its own."""

    def __init__(
        self,
        engine: Engine,
        ticker: Ticker,
        kernel: Kernel,
        room: WaitingRoom,
        containers: Containers,
    ) -> None:
        self._engine = engine
        self.propose = engine.propose
        self.durable = engine.durable
        self.news = engine.news
        self.refresh = ticker.refresh
        self.outcome = kernel.outcome
        self.guarded = kernel.guarded
        self.served = room.served
        self.named = containers.named

    @property
    def ledger(self) -> Ledger:
        """The record as it is now."""
        return self._engine.ledger
