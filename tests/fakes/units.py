"""A service manager in memory: units by name, with the cgroups that they run in."""

from gpusched.ports import EnforceError


class FakeUnits:
    """Knows what a test tells it.

    Attributes:
        running: Cgroups by unit; an empty one is of a unit that does not run.
        fault: Why it says nothing; empty: it does.
    """

    def __init__(self) -> None:
        self.running: dict[str, str] = {}
        self.fault = ""

    async def cgroup(self, unit: str) -> str | None:
        if self.fault:
            raise EnforceError(self.fault)
        return self.running.get(unit)
