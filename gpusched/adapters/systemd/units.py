"""Units of others, by name: where systemd has put their processes.

A connection for each question: they are rare, and a daemon that is asked none needs no bus.
Source: org.freedesktop.systemd1(5).
"""

from typing import Final

from gpusched.adapters.systemd.bus import NoUnit, SystemdBus

_KINDS: Final = {"service": "Service", "scope": "Scope"}
"""The kinds that have processes of their own, with the interface that tells their cgroup."""


class SystemdUnits:
    """Units of the system's manager; those of a user's own manager are not among them."""

    async def cgroup(self, unit: str) -> str | None:
        """Ask for `ControlGroup`."""
        interface = _KINDS[unit.rpartition(".")[2]]
        bus = SystemdBus()
        try:
            (path,) = await bus.call("GetUnit", "s", unit)
            return str(await bus.value(str(path), interface, "ControlGroup"))
        except NoUnit:
            return None
        finally:
            await bus.close()
