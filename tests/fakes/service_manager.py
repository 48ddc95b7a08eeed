"""A service manager that remembers what it was told."""


class FakeServiceManager:
    """Asks for `WATCHDOG=1` every `interval` seconds, or not at all."""

    def __init__(self, journal: list[str] | None = None) -> None:
        self.states: list[str] = []
        self.interval: float | None = None
        self._journal = [] if journal is None else journal

    def notify(self, state: str) -> None:
        self.states.append(state)
        self._journal.append(state.partition("\n")[0])

    def watchdog_interval(self) -> float | None:
        return self.interval
