"""A lease as a program holds it: its names, its devices, its variables in the environment."""

import os
import time
from collections.abc import Iterable
from typing import NamedTuple, TypeVar

from gpusched.api.v1 import lease_pb2, request_pb2
from gpusched.client.advice import settled
from gpusched.client.errors import WrongState
from gpusched.client.level import level_word
from gpusched.client.listening import Callback, Listen
from gpusched.client.ordinals import LeasedDevice, alone, ordinal_of

C = TypeVar("C", bound=Callback)

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
    """A lease that this process entered: what `lease` and `async_lease` give to their block.

    Attributes:
        id: The lease's id.
        devices: Its devices, in the order granted, which is that of `env["CUDA_VISIBLE_DEVICES"]`.
        env: The variables that tell a program which devices are its own.
        memory_limit: Bytes on each device, CUDA context included, the least where they differ, as
            parts of unlike devices do; None: no limit.
        enforcement: Who holds the mask.
        grant: Everything that the daemon said.
        renewal: Seconds between two renewals; None: none is needed.
    """

    def __init__(
        self,
        grant: lease_pb2.Grant,
        listen: Listen | None = None,
        beside: Iterable[lease_pb2.GrantedDevice] = (),
    ) -> None:
        """Take over what was granted; *beside* are devices that this process sees, too."""
        self.grant = grant
        self.id = grant.lease.id
        self.devices = tuple(_device(one) for one in grant.devices)
        self.env = dict(grant.environment)
        limits = [one.memory_limit for one in self.devices if one.memory_limit is not None]
        self.memory_limit = min(limits, default=None)
        level = lease_pb2.EnforcementLevel.Name(grant.enforcement.level)
        self.enforcement = Enforcement(level_word(level), grant.enforcement.sentence)
        self._listen = listen
        self._beside = tuple(_device(one) for one in beside)
        self._before: dict[str, str | None] = {}
        self.renewal = _renewal(grant.lease)

    def torch_device(self, place: int = 0) -> str:
        """Give what PyTorch calls a device of the lease, such as `"cuda:0"`; torch is not loaded.

        It is right in a process that had `env` before CUDA was loaded: this one within its
        block, unless `apply=False`, and those that it starts.

        Args:
            place: Place of the device in `devices`, from 0.

        Raises:
            NoSuchDevice: There is no such place; or CUDA has no number for the device: of several
                MIG instances it shows one, and a mask that was asked for in a format that is
                wrong here shows none. It is an IndexError, too.
        """
        relative = self.grant.mask_format == request_pb2.MASK_FORMAT_RELATIVE
        hidden = self.enforcement.level in ("kernel", "guard", "landlock") or alone(self.devices)
        number = ordinal_of(
            place,
            self.devices,
            self.env,
            relative=relative,
            hidden=hidden,
            beside=self._beside,
        )
        return f"cuda:{number}"

    def on_notice(self, callback: C) -> C:
        """Tell *callback* each `Notice` to this lease until the block ends.

        What the daemon has told this lease before is told first. `lease` calls it in a daemon
        thread; `async_lease` in a task, which awaits what it returns. One that raises is logged
        (`logging`, logger `gpusched`), and hears the next all the same. A daemon that restarts is
        asked again.

        Returns:
            The callback, so that this is a decorator, too.

        Raises:
            TypeError: It is a coroutine function, and the lease is that of `lease`.
            WrongState: The lease has no block, or its block is over.
        """
        if self._listen is None:
            raise WrongState("this lease has no block: hear its notices with `Client.notices`")
        self._listen(self.id, callback)
        return callback

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


def _renewal(lease: lease_pb2.Lease) -> float | None:
    """Give a third of what is allowed, in seconds; None: no renewal is needed."""
    if not lease.HasField("keepalive_deadline"):
        return None
    deadline = lease.keepalive_deadline.ToNanoseconds()
    allowed = deadline - lease.created_at.ToNanoseconds()
    # One that is given again (`request_id`) is older, and has been renewed since.
    left = deadline - time.time_ns()
    # Either is out where the clock was set meanwhile: then the other holds.
    sound = [one for one in (allowed, left) if one > 0]
    return max(min(sound, default=0) / _THIRD / 1e9, 0.01)


def _device(granted: lease_pb2.GrantedDevice) -> LeasedDevice:
    limited = granted.HasField("memory_limit_bytes")
    return LeasedDevice(
        uuid=granted.uuid,
        index=granted.index,
        type=granted.gpu_type,
        memory_limit=granted.memory_limit_bytes if limited else None,
        nodes=tuple(one.path for one in granted.nodes),
        exclusive=granted.exclusive,
        pci_bus_id=granted.pci_bus_id,
    )
