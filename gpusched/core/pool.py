"""Pools: named sets of devices, and who may use them. Values; no ledger.

A device is in exactly one. Whoever is named by none of them is in the default pool.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from gpusched.core.ids import DeviceUuid
from gpusched.core.rights import EVERYBODY, Rights

DEFAULT_POOL = "default"
"""Name of the pool of every device that no other pool has."""


@dataclass(frozen=True, slots=True)
class Pools:
    """All pools.

    Attributes:
        named: Who may use each, by name, in the order of the configuration, the default one first.
        by_uuid: Name of the pool by UUID of a device.
        by_index: The same by NVML index of a GPU; a UUID says more.
    """

    named: Mapping[str, Rights] = field(default_factory=lambda: ONLY_DEFAULT)
    by_uuid: Mapping[DeviceUuid, str] = field(default_factory=lambda: NO_UUIDS)
    by_index: Mapping[int, str] = field(default_factory=lambda: NO_INDICES)

    def __str__(self) -> str:
        words = []
        for name, rights in self.named.items():
            devices = [str(key) for key, found in self._devices() if found == name]
            whose = f" for {rights.words}" if rights.words else ""
            words.append(f"{name}: {' '.join(devices) or 'all others'}{whose}")
        return "; ".join(words)

    def _devices(self) -> tuple[tuple[object, str], ...]:
        return (*self.by_uuid.items(), *self.by_index.items())


ONLY_DEFAULT: Mapping[str, Rights] = MappingProxyType({DEFAULT_POOL: EVERYBODY})
NO_UUIDS: Mapping[DeviceUuid, str] = MappingProxyType({})
NO_INDICES: Mapping[int, str] = MappingProxyType({})
ONE_POOL = Pools()
