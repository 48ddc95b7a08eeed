"""A lease as a program holds it: its names, and its variables in the environment."""

import os
from typing import NamedTuple

from gpusched.api.v1 import lease_pb2
from gpusched.client.advice import settled
from gpusched.client.level import level_word

_THIRD = 3


class Enforcement(NamedTuple):
    """How far the mask of a lease is held.

    Attributes:
        level: `"kernel"`, `"guard"`, `"landlock"`, or `"advisory"`: nobody holds it.
        sentence: What that means here, or why it is not more.
    """

    level: str
    sentence: str


class HeldLease:
    """A lease that this process entered.

    Attributes:
        id: The lease's id.
        devices: UUIDs, in the order granted.
        env: The variables that tell a program which devices are its own.
        memory_limit: Bytes on each device, CUDA context included; None: no limit.
        enforcement: Who holds the mask.
        grant: Everything that the daemon said.
    """

    def __init__(self, grant: lease_pb2.Grant) -> None:
        self.grant = grant
        self.id = grant.lease.id
        self.devices = tuple(one.uuid for one in grant.devices)
        self.env = dict(grant.environment)
        limits = [
            one.memory_limit_bytes for one in grant.devices if one.HasField("memory_limit_bytes")
        ]
        self.memory_limit = limits[0] if limits else None
        level = lease_pb2.EnforcementLevel.Name(grant.enforcement.level)
        self.enforcement = Enforcement(level_word(level), grant.enforcement.sentence)
        self._before: dict[str, str | None] = {}

    def apply(self) -> None:
        """Put `env` into this process's environment, before CUDA is loaded; repeatable.

        What the user has set of a framework's memory (`client.advice`) stays.
        """
        for name, value in settled(self.env, os.environ).items():
            self._before.setdefault(name, os.environ.get(name))
            os.environ[name] = value

    def restore(self) -> None:
        """Undo `apply`; CUDA, once loaded, keeps the devices that it saw."""
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        self._before.clear()

    @property
    def renewal(self) -> float | None:
        """Seconds between two renewals, a third of what is allowed; None: none is needed."""
        lease = self.grant.lease
        if not lease.HasField("keepalive_deadline"):
            return None
        allowed = lease.keepalive_deadline.ToNanoseconds() - lease.created_at.ToNanoseconds()
        return max(allowed / _THIRD / 1e9, 0.01)
