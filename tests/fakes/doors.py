"""Doors without a socket: a test comes in by using the authority they were given."""

from gpusched.ports import Authority


class FakeDoors:
    """Remembers who answers behind them; `failure` is raised by the next `open`."""

    def __init__(self, journal: list[str] | None = None) -> None:
        self.authority: Authority | None = None
        self.failure: OSError | None = None
        self._journal = [] if journal is None else journal

    async def open(self, authority: Authority) -> None:
        if self.failure is not None:
            raise self.failure
        self._journal.append("doors open")
        self.authority = authority

    async def close(self) -> None:
        self._journal.append("doors closed")
