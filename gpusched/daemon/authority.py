"""The engine as clients' side sees it: the port `Authority`, made of engine and ticker."""

from gpusched.core.ledger import Ledger
from gpusched.daemon.engine import Engine
from gpusched.daemon.ticker import Ticker


class EngineAuthority:
    """Passes on; holds nothing of its own."""

    def __init__(self, engine: Engine, ticker: Ticker) -> None:
        self._engine = engine
        self.propose = engine.propose
        self.durable = engine.durable
        self.news = engine.news
        self.refresh = ticker.refresh

    @property
    def ledger(self) -> Ledger:
        """The record as it is now."""
        return self._engine.ledger
