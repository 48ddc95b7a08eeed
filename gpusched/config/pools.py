"""Reads `[pools.NAME]`: the devices of a pool, and who may use it."""

from collections.abc import Mapping

from gpusched.config.named import faults_of
from gpusched.config.option import words
from gpusched.config.principals import Names
from gpusched.config.rights import NAMES, rights_of
from gpusched.core.ids import DeviceUuid
from gpusched.core.pool import DEFAULT_POOL, Pools
from gpusched.core.rights import EVERYBODY, Rights

_KEYS = ("devices", *NAMES)
_SUCH = 'list UUIDs or indices of GPUs, such as ["GPU-…", "0"]'


def pools_of(found: object, names: Names) -> tuple[Pools, list[str]]:
    """Read all pools; give them, and every fault of theirs.

    Args:
        found: What TOML has under `pools`.
        names: Where users and groups are looked up.
    """
    if not isinstance(found, dict):
        return Pools(), ["pools: is a table of tables, each begun by [pools.NAME]"]
    reader = _Reader(names)
    for name, table in found.items():
        reader.read(name, table)
    return Pools(reader.named, reader.by_uuid, reader.by_index), reader.faults


class _Reader:
    """Takes pools out of their tables and collects what is wrong."""

    def __init__(self, names: Names) -> None:
        self.named: dict[str, Rights] = {DEFAULT_POOL: EVERYBODY}
        self.by_uuid: dict[DeviceUuid, str] = {}
        self.by_index: dict[int, str] = {}
        self.faults: list[str] = []
        self._names = names

    def read(self, name: str, table: object) -> None:
        """Read one table."""
        place = f"pools.{name}"
        self.faults += faults_of(place, "a pool", table, _KEYS)
        if not isinstance(table, dict):
            return
        self._devices(name, place, table)
        self.named[name], faults = rights_of(place, table, self._names)
        self.faults += faults

    def _devices(self, name: str, place: str, table: Mapping[str, object]) -> None:
        if name == DEFAULT_POOL:
            if "devices" in table:
                self.faults.append(
                    f"{place}.devices: it has every device that no other pool names; leave it out"
                )
            return
        try:
            devices = words(table.get("devices", ()))
        except TypeError:
            self.faults.append(f"{place}.devices: {table['devices']!r} is no such list; {_SUCH}")
            return
        if not devices:
            self.faults.append(f"{place}.devices: names no device; {_SUCH}")
        for device in devices:
            self._device(name, f"{place}.devices", device)

    def _device(self, name: str, place: str, device: str) -> None:
        if device.isascii() and device.isdigit():
            other = self.by_index.setdefault(int(device), name)
        elif device.startswith(("GPU-", "MIG-")):
            other = self.by_uuid.setdefault(DeviceUuid(device), name)
        else:
            self.faults.append(f"{place}: {device!r} is neither a UUID nor an index; {_SUCH}")
            return
        if other != name:
            self.faults.append(
                f"{place}: {device!r} is in pool {other} already; a device belongs to one pool"
            )
