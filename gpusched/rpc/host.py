"""What the services tell of the host and the daemon that no decision depends on.

Values only, given once at the start; nothing is read here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Host:
    """The host and the daemon on it.

    Attributes:
        node: Name of the host.
        version: Of gpusched.
        socket: Path of the public socket.
        boot_id: Of the running boot.
        started_at: When the daemon started, as Unix time in nanoseconds.
        cores: Processors of the host.
        memory: Of the host, in bytes.
        extra_environment: Goes into the environment of every grant.
        prices: Price of an instance type by its name, as the config has it.
        advisory: Whether the daemon runs unprivileged over real devices.
        remarks: Sentences that every `status` repeats.
        foreign_pid_namespace: Whether the daemon is outside the host's PID namespace.
        pid: The daemon's; 0: it is no process that could be attached.
        simulated: Whether its devices are a simulator's, also while none is read.
    """

    node: str
    version: str
    socket: str
    boot_id: str
    started_at: int
    cores: int
    memory: int
    extra_environment: Mapping[str, str] = field(default_factory=lambda: _NONE)
    prices: Mapping[str, str] = field(default_factory=lambda: _NONE)
    advisory: bool = False
    remarks: tuple[str, ...] = ()
    foreign_pid_namespace: bool = False
    pid: int = 0
    simulated: bool = False
